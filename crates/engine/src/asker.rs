//! The asker: sends again what nobody has acknowledged in time, unless it is quiet.

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{QuietHours, UnixMs};
use clawhook_store::{Ask, AskAnswer, Store, StoreError, Topic};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

/// How many are asked before it looks again.
const BATCH: usize = 64;
/// How long it waits where the store cannot be read or written.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it sleeps at most, to notice when the clock was set.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// The task that asks again. It knows nothing of its own: who is to be asked when stands in the store.
#[derive(Clone)]
pub struct Asker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
}

impl Asker {
    /// An asker for which quiet hours that name no zone are those of `zone`; nothing happens before [`Asker::run`].
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, zone: TimeZone) -> Self {
        Self { store, clock, zone }
    }

    /// Asks whoever is to be asked, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut changes = self.store.subscribe(Topic::Asks);
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            let wake = match self.round().await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "acknowledgements are not asked for: the store cannot be read or written");
                    Some(self.clock.now().plus(PAUSE))
                }
            };
            let longest = self.clock.now().plus(LONGEST_SLEEP);
            let wake = wake.map_or(longest, |wake| wake.min(longest));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = changes.changed() => {}
                () = self.clock.sleep_until(wake) => {}
            }
        }
    }

    /// Asks everybody who is due; says when the next one is.
    async fn round(&self) -> Result<Option<UnixMs>, StoreError> {
        loop {
            let now = self.clock.now();
            let due = self.store.due_asks(now, BATCH).await?;
            if due.is_empty() {
                return self.store.next_ask().await;
            }
            for ask in due {
                let answer = self.answer(&ask, now);
                self.store.answer_ask(ask, answer, now).await?;
            }
        }
    }

    fn answer(&self, ask: &Ask, now: UnixMs) -> AskAnswer {
        let quiet = ask.quiet_hours.as_ref().and_then(|hours| quiet_until(hours, &self.zone, now));
        quiet.map_or(AskAnswer::Ask, AskAnswer::Postpone)
    }
}

/// Until when it is quiet, if it is. A zone that has vanished from the machine keeps nobody from being asked.
fn quiet_until(hours: &QuietHours, host_zone: &TimeZone, now: UnixMs) -> Option<UnixMs> {
    let zone = match &hours.zone {
        Some(name) => TimeZone::get(name).ok()?,
        None => host_zone.clone(),
    };
    let time = zone.to_datetime(Timestamp::from_millisecond(now.as_millis()).ok()?).time();
    let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok()?;
    let left = Duration::from_mins(u64::from(hours.left(minute)?));
    // To the beginning of the minute in which it ends. Where the clocks change meanwhile, it is looked at again then.
    let into_minute = Duration::from_secs(u64::try_from(time.second()).unwrap_or(0));
    Some(now.plus(left.saturating_sub(into_minute).max(Duration::from_secs(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_end_where_their_zone_says() {
        let hours = QuietHours { start: 22 * 60, end: 7 * 60, zone: Some("Europe/Berlin".to_owned()) };
        let at = |text: &str| UnixMs::from_millis(text.parse::<Timestamp>().unwrap().as_millisecond());
        let until = |now: &str| quiet_until(&hours, &TimeZone::UTC, at(now)).map(UnixMs::to_rfc3339);
        assert_eq!(until("2026-01-15T20:59:59Z"), None);
        assert_eq!(until("2026-01-15T21:00:30Z").as_deref(), Some("2026-01-16T06:00:00.000Z"));
        assert_eq!(until("2026-01-16T05:59:59Z").as_deref(), Some("2026-01-16T06:00:00.000Z"));
        assert_eq!(until("2026-01-16T06:00:00Z"), None);
        let nowhere = QuietHours { zone: Some("Nowhere/Here".to_owned()), ..hours.clone() };
        assert_eq!(quiet_until(&nowhere, &TimeZone::UTC, at("2026-01-15T23:00:00Z")), None);
        let here = QuietHours { zone: None, ..hours };
        let end = quiet_until(&here, &TimeZone::UTC, at("2026-01-15T23:00:00Z")).map(UnixMs::to_rfc3339);
        assert_eq!(end.as_deref(), Some("2026-01-16T07:00:00.000Z"));
    }
}
