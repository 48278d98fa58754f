//! What is asked of the gateway about destinations: a steady one that jobs name, paused and resumed all the time, and
//! spare ones that come and go.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use super::api::Api;
use super::work::Worker;

/// The name of the destination that jobs name, and the end of the path that it has to itself.
pub(super) const STEADY: &str = "steady";
const FEW_SPARES: usize = 2;
/// A destination's edits count up its `limits.maxConcurrent`, from here to there.
const LEAST_CONCURRENT: u64 = 8;
const MOST_CONCURRENT: u64 = 1_000;

/// What was promised of the named destinations.
#[derive(Debug, Default)]
pub(super) struct DestinationPromises {
    named: BTreeMap<String, DestinationPromise>,
    /// Whether the steady one may be paused, now or at some moment of this life.
    pub(super) restless: bool,
    pause_asked: bool,
}

/// One destination that was asked for. Its name is used for no other.
#[derive(Debug, Default)]
struct DestinationPromise {
    stored: bool,
    removal_asked: bool,
    removed: bool,
    /// The last limit that was asked for, and the last that was answered.
    asked: u64,
    kept: u64,
}

impl DestinationPromises {
    /// A new life begins, with what the last one left.
    pub(super) fn begin_life(&mut self) {
        self.restless = self.pause_asked;
    }

    /// Those that are known to be there, and are not to go.
    fn present(&self) -> Vec<String> {
        let present = self.named.iter().filter(|(_, promise)| promise.stored && !promise.removal_asked);
        present.map(|(name, _)| name.clone()).collect()
    }

    /// Compares a list of all named destinations with what was promised.
    fn compare(&mut self, listed: &[Value]) -> Vec<String> {
        let mut broken = Vec::new();
        let mut found: BTreeMap<&str, &Value> =
            listed.iter().map(|shown| (shown["name"].as_str().unwrap_or_default(), shown)).collect();
        for (name, promise) in &mut self.named {
            match found.remove(name.as_str()) {
                None if promise.stored && !promise.removal_asked => {
                    broken.push(format!("the destination `{name}` was stored and is gone"));
                }
                None => {}
                Some(_) if promise.removed => {
                    broken.push(format!("the destination `{name}` was removed and is there again"));
                }
                Some(shown) => broken.extend(promise.compare(name, shown)),
            }
        }
        broken.extend(found.into_keys().map(|name| format!("nobody asked for the destination `{name}`")));
        broken
    }
}

impl DestinationPromise {
    fn compare(&mut self, name: &str, shown: &Value) -> Option<String> {
        self.stored = true;
        let limit = shown["definition"]["limits"]["maxConcurrent"].as_u64().unwrap_or(0);
        if !(self.kept..=self.asked).contains(&limit) {
            return Some(format!(
                "the destination `{name}` has the limit {limit}, after {} was answered and {} asked for",
                self.kept, self.asked
            ));
        }
        self.kept = limit;
        None
    }
}

impl Worker {
    /// Makes the destination that jobs name.
    pub(super) fn make_the_steady_destination(&mut self, api: &Api) -> io::Result<()> {
        self.define(api, STEADY)
    }

    /// Looks whether every destination is as it was promised before the gateway died.
    pub(super) fn look_at_destinations(&mut self, api: &Api) -> io::Result<()> {
        let answer = api.get("/api/v1/destinations?limit=200")?;
        match answer.body["destinations"].as_array() {
            Some(listed) if answer.status == 200 && answer.body["hasMore"] == false => {
                let broken = self.promises.destinations.compare(listed);
                self.promises.broken.extend(broken);
            }
            _ => self.wonder_at("the list of destinations", &answer),
        }
        Ok(())
    }

    pub(super) fn make_spare_destination(&mut self, api: &Api) -> io::Result<()> {
        if self.promises.destinations.present().len() > FEW_SPARES {
            return self.remove_spare_destination(api);
        }
        self.names += 1;
        let name = format!("spare-{}", self.names);
        self.define(api, &name)
    }

    /// Removes one for which nothing waits and that no job names.
    pub(super) fn remove_spare_destination(&mut self, api: &Api) -> io::Result<()> {
        let mut spares = self.promises.destinations.present();
        spares.retain(|name| name != STEADY);
        let Some(name) = self.chance.pick(&spares).cloned() else { return self.make_spare_destination(api) };
        self.promised(&name).removal_asked = true;
        let answer = api.send("DELETE", &format!("/api/v1/destinations/{name}"), None)?;
        self.expect("the removal of a destination", 200, &answer);
        self.promised(&name).removed = answer.status == 200;
        Ok(())
    }

    pub(super) fn edit_destination(&mut self, api: &Api) -> io::Result<()> {
        let Some(name) = self.chance.pick(&self.promises.destinations.present()).cloned() else {
            return Ok(());
        };
        let promise = self.promised(&name);
        let limit = (promise.asked + 1).min(MOST_CONCURRENT);
        promise.asked = limit;
        let patch = json!({ "limits": { "maxConcurrent": limit } });
        let answer = api.send("PATCH", &format!("/api/v1/destinations/{name}"), Some(&patch))?;
        self.expect("the edit of a destination", 200, &answer);
        self.promised(&name).kept = limit;
        Ok(())
    }

    /// Pauses the steady destination, or has it go on.
    pub(super) fn pause_or_resume(&mut self, api: &Api) -> io::Result<()> {
        if self.promises.destinations.pause_asked {
            return self.resume_the_steady_destination(api);
        }
        self.promises.destinations.pause_asked = true;
        self.promises.destinations.restless = true;
        let answer = api.post(&format!("/api/v1/destinations/{STEADY}/pause"), None)?;
        self.expect("a pause", 200, &answer);
        Ok(())
    }

    /// Has the steady destination go on, if it does not.
    pub(super) fn resume_the_steady_destination(&mut self, api: &Api) -> io::Result<()> {
        let answer = api.post(&format!("/api/v1/destinations/{STEADY}/resume"), None)?;
        self.expect("a resumption", 200, &answer);
        self.promises.destinations.pause_asked = false;
        Ok(())
    }

    fn define(&mut self, api: &Api, name: &str) -> io::Result<()> {
        let (asked, kept) = (LEAST_CONCURRENT, LEAST_CONCURRENT);
        let promise = DestinationPromise { asked, kept, ..DestinationPromise::default() };
        self.promises.destinations.named.insert(name.to_owned(), promise);
        let url = format!("{}/{name}", self.hook);
        let definition = json!({ "name": name, "url": url, "limits": { "maxConcurrent": LEAST_CONCURRENT } });
        let answer = api.post("/api/v1/destinations", Some(&definition))?;
        self.expect("a new destination", 201, &answer);
        self.promised(name).stored = answer.status == 201;
        Ok(())
    }

    fn promised(&mut self, name: &str) -> &mut DestinationPromise {
        self.promises.destinations.named.entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promises(promise: DestinationPromise) -> DestinationPromises {
        DestinationPromises {
            named: BTreeMap::from([("a".to_owned(), promise)]),
            ..DestinationPromises::default()
        }
    }

    #[test]
    fn a_loss_a_return_a_stranger_and_an_edit_undone_are_found() {
        let there =
            |limit: u64| json!({ "name": "a", "definition": { "limits": { "maxConcurrent": limit } } });
        let stored =
            || DestinationPromise { stored: true, asked: 10, kept: 9, ..DestinationPromise::default() };
        let removed = DestinationPromise { removal_asked: true, removed: true, ..stored() };
        assert!(promises(stored()).compare(&[there(10)]).is_empty());
        assert!(promises(stored()).compare(&[])[0].contains("is gone"));
        assert!(promises(stored()).compare(&[there(8)])[0].contains("has the limit 8"));
        assert!(promises(removed).compare(&[there(9)])[0].contains("is there again"));
        assert!(DestinationPromises::default().compare(&[there(8)])[0].contains("nobody asked"));
    }
}
