//! The replayer: drives replays on, each at its rate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{ReplayId, UnixMs};
use clawhook_store::{ReplayAdvanced, RunningReplay, Store, StoreError, Topic};
use tokio_util::sync::CancellationToken;

/// How many deliveries are queued in one transaction, where a rate does not ask for fewer.
const BATCH: usize = 256;
/// How much of a second's worth is queued at once.
const PART_OF_A_SECOND: f64 = 0.25;
/// How long the replayer waits where the store cannot be read or written.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that drives replays on: it queues what each is to send once more, and keeps to its rate.
///
/// It knows nothing of its own. How far a replay has come stands in the store and moves with each batch, so that after a
/// crash the next life goes on with the very next delivery. Only the rate starts afresh: a restart may bring one batch
/// sooner than it allows. What is queued waits like everything else, and destinations' own limits hold for it.
#[derive(Clone)]
pub struct Replayer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Replayer {
    /// A replayer; nothing happens before [`Replayer::run`].
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Drives on what goes on, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut changes = self.store.subscribe(Topic::Replays);
        let mut due = HashMap::new();
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            let wake = match self.round(&mut due).await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "replays wait: the store cannot be read");
                    Some(self.clock.now().plus(PAUSE))
                }
            };
            let wake = wake.unwrap_or(UnixMs::from_millis(i64::MAX));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = changes.changed() => {}
                () = self.clock.sleep_until(wake) => {}
            }
        }
    }

    /// Drives on each replay that is due by one batch; says when the next one is due.
    async fn round(&self, due: &mut HashMap<ReplayId, UnixMs>) -> Result<Option<UnixMs>, StoreError> {
        let running = self.store.running_replays().await?;
        due.retain(|id, _| running.iter().any(|replay| replay.id == *id));
        for replay in running {
            let now = self.clock.now();
            if due.get(&replay.id).is_some_and(|at| *at > now) {
                continue;
            }
            match self.store.advance_replay(replay.id, batch(replay), now).await {
                Ok(ReplayAdvanced::Running { sent }) => {
                    due.insert(replay.id, now.plus(rest(replay, sent)));
                }
                Ok(ReplayAdvanced::Over) => {
                    tracing::info!(replay = %replay.id, "the replay is over");
                    due.remove(&replay.id);
                }
                Err(error) => {
                    tracing::error!(replay = %replay.id, %error, "the replay waits: it cannot be driven on");
                    due.insert(replay.id, now.plus(PAUSE));
                }
            }
        }
        Ok(due.values().min().copied())
    }
}

/// How many a replay may queue at once.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
fn batch(replay: RunningReplay) -> usize {
    let part = |rate: f64| (rate * PART_OF_A_SECOND).clamp(1.0, BATCH as f64) as usize;
    replay.per_second.map_or(BATCH, part)
}

/// How long a replay rests after it queued so many.
fn rest(replay: RunningReplay, sent: usize) -> Duration {
    let millis = |rate: f64| Duration::try_from_secs_f64((sent as f64 / rate * 1000.0).ceil() / 1000.0);
    replay.per_second.and_then(|rate| millis(rate).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rate(per_second: Option<f64>) -> RunningReplay {
        RunningReplay { id: ReplayId::new(UnixMs::EPOCH), per_second }
    }

    #[test]
    fn a_batch_and_its_rest_never_exceed_the_rate() {
        for (rate, most, rested) in [
            (0.5, 1, Duration::from_secs(2)),
            (1.0, 1, Duration::from_secs(1)),
            (50.0, 12, Duration::from_millis(240)),
            (1_000_000.0, 256, Duration::from_millis(1)),
        ] {
            let replay = at_rate(Some(rate));
            assert_eq!((batch(replay), rest(replay, most)), (most, rested), "{rate}");
        }
        let replay = at_rate(None);
        assert_eq!((batch(replay), rest(replay, BATCH)), (BATCH, Duration::ZERO));
        assert_eq!(
            rest(at_rate(Some(1.0)), 0),
            Duration::ZERO,
            "a stretch where nothing matches is passed at once"
        );
    }
}
