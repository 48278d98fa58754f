//! Who is there, remembered for a while: looking costs little, and a gateway with many jobs looks often.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clawhook_model::UnixMs;

/// How long somebody counts as there.
const GOOD_FOR: Duration = Duration::from_mins(5);

/// How long somebody counts as missing.
const BAD_FOR: Duration = Duration::from_mins(1);

/// What is known of each provider, by its name, and by the folder in which it is started where that matters.
#[derive(Default)]
pub(crate) struct Preflights(Mutex<HashMap<Place, Known>>);

type Place = (String, Option<PathBuf>);

struct Known {
    at: UnixMs,
    result: Result<(), String>,
}

impl Preflights {
    /// What was found out of `provider`, in `folder`, not too long ago.
    pub(crate) fn known(
        &self,
        provider: &str,
        folder: Option<&Path>,
        now: UnixMs,
    ) -> Option<Result<(), String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { at, result } = known.get(&place(provider, folder))?;
        let good_for = if result.is_ok() { GOOD_FOR } else { BAD_FOR };
        // After a step back of the clock nothing is known.
        (*at <= now && now < at.plus(good_for)).then(|| result.clone())
    }

    /// Keeps what was found out.
    pub(crate) fn learn(
        &self,
        provider: &str,
        folder: Option<&Path>,
        result: Result<(), String>,
        now: UnixMs,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(place(provider, folder), Known { at: now, result });
    }

    /// Forgets what is known of `provider`, since a call showed that it may be wrong.
    pub(crate) fn forget(&self, provider: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _), _| name != provider);
    }
}

fn place(provider: &str, folder: Option<&Path>) -> Place {
    (provider.to_owned(), folder.map(Path::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_looked_for_again_sooner_than_who_is_there() {
        let preflights = Preflights::default();
        let at = |seconds: i64| UnixMs::from_millis(1_000_000 + seconds * 1_000);
        preflights.learn("good", None, Ok(()), at(0));
        preflights.learn("bad", None, Err("gone".into()), at(0));
        assert_eq!(preflights.known("good", None, at(299)), Some(Ok(())));
        assert_eq!(preflights.known("good", None, at(300)), None);
        assert_eq!(preflights.known("bad", None, at(59)), Some(Err("gone".into())));
        assert_eq!(preflights.known("bad", None, at(60)), None);
        assert_eq!(preflights.known("good", None, at(-1)), None);
        preflights.forget("good");
        assert_eq!(preflights.known("good", None, at(1)), None);
    }

    #[test]
    fn who_is_missing_in_one_folder_may_be_there_in_another() {
        let preflights = Preflights::default();
        let (here, there) = (Some(Path::new("/here")), Some(Path::new("/there")));
        let now = UnixMs::from_millis(1_000_000);
        preflights.learn("agent", here, Err("gone".into()), now);
        assert_eq!(preflights.known("agent", here, now), Some(Err("gone".into())));
        assert_eq!(preflights.known("agent", there, now), None);
        preflights.forget("agent");
        assert_eq!(preflights.known("agent", here, now), None);
    }
}
