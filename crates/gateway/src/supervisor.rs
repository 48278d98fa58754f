//! The gateway's tasks, and what happens when one of them falls.
//!
//! A task whose state lies in the store is begun again when it panics: after a second, and after twice as long each time
//! it falls again. Until it has run well for a while an alarm says so. What cannot be begun again, the door with its
//! listener, ends the gateway when it falls, and whoever started the gateway starts it again.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_engine::{AlarmKind, Alarms};
use futures_util::future::select_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a task that fell is left before it is begun again, at first and at most.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MOST: Duration = Duration::from_secs(30);
/// How long it must run before all is well again.
const WELL_AFTER: Duration = Duration::from_mins(5);

/// Begins tasks again that fell.
#[derive(Clone)]
pub(crate) struct Supervisor {
    alarms: Alarms,
    clock: Arc<dyn Clock>,
}

/// A part of the gateway that runs until it is told to stop.
pub(crate) struct Part {
    name: &'static str,
    over: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(crate) fn new(alarms: Alarms, clock: Arc<dyn Clock>) -> Self {
        Self { alarms, clock }
    }

    /// Begins a part that is begun again whenever it panics, until `stop`. One that panics in the middle of its end is
    /// begun once more, to finish what it had to.
    pub(crate) fn begin<F>(
        &self,
        name: &'static str,
        stop: CancellationToken,
        work: impl Fn(CancellationToken) -> F + Send + 'static,
    ) -> Part
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let supervisor = self.clone();
        Part::begin(name, async move { supervisor.keep_going(name, &stop, work).await })
    }

    async fn keep_going<F>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        work: impl Fn(CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut rest = REST_FIRST;
        loop {
            let was_stopping = stop.is_cancelled();
            let mut task = tokio::spawn(work(stop.clone()));
            let ended = tokio::select! {
                ended = &mut task => ended,
                () = self.clock.sleep(WELL_AFTER) => {
                    self.alarms.clear(AlarmKind::TaskPanicked(name));
                    rest = REST_FIRST;
                    task.await
                }
            };
            let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) else { return };
            tracing::error!(task = name, "a task of the gateway panicked; it is begun again");
            if was_stopping {
                resume_unwind(panic);
            }
            let detail =
                format!("the {name} panicked and was begun again; the gateway's log has the details");
            self.alarms.raise(AlarmKind::TaskPanicked(name), detail, self.clock.now());
            stop.run_until_cancelled(self.clock.sleep(rest)).await;
            rest = (rest * 2).min(REST_MOST);
        }
    }
}

impl Part {
    /// Begins a part that is not begun again.
    pub(crate) fn begin(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let over = CancellationToken::new();
        let at_the_end = over.clone().drop_guard();
        let task = tokio::spawn(async move {
            // A panic drops this as well.
            let _at_the_end = at_the_end;
            work.await;
        });
        Self { name, over, task }
    }

    /// Returns the name of the first part that is over, well or not.
    pub(crate) async fn first_over(parts: impl IntoIterator<Item = &Self>) -> &'static str {
        let each = parts.into_iter().map(|part| Box::pin(part.over()));
        select_all(each).await.0
    }

    async fn over(&self) -> &'static str {
        self.over.cancelled().await;
        self.name
    }

    /// Waits for the part's end; its name comes back where that was no good one.
    pub(crate) async fn end(self) -> Option<&'static str> {
        match self.task.await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(part = self.name, %error, "a part of the gateway broke");
                Some(self.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use clawhook_clock::ManualClock;
    use clawhook_model::UnixMs;

    use super::*;

    struct World {
        clock: ManualClock,
        supervisor: Supervisor,
        stop: CancellationToken,
        lives: Arc<AtomicU32>,
    }

    impl World {
        fn new() -> Self {
            let clock = ManualClock::at(UnixMs::EPOCH);
            let supervisor = Supervisor::new(Alarms::default(), Arc::new(clock.clone()));
            Self { clock, supervisor, stop: CancellationToken::new(), lives: Arc::default() }
        }

        /// A part of which so many lives end in a panic as soon as they began.
        fn falls(&self, times: u32) -> Part {
            let lives = self.lives.clone();
            self.supervisor.begin("clockwork", self.stop.clone(), move |stop| {
                let life = lives.fetch_add(1, Ordering::SeqCst);
                async move {
                    assert!(life >= times, "as told");
                    stop.cancelled().await;
                }
            })
        }

        /// Moves on to the next instant that the supervisor waits for, so much later: the end of a rest, or of the time
        /// to run well.
        async fn next(&self, length: Duration) {
            while self.clock.next_wake() != Some(self.clock.now().plus(length)) {
                tokio::task::yield_now().await;
            }
            self.clock.advance(length);
        }

        fn is_alarmed(&self) -> bool {
            self.supervisor.alarms.is_raised(AlarmKind::TaskPanicked("clockwork"))
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_is_begun_again_and_the_alarm_ends_when_it_has_run_well() {
        let world = World::new();
        let part = world.falls(6);
        for rest in [1, 2, 4, 8, 16, 30] {
            world.next(Duration::from_secs(rest)).await;
            assert!(world.is_alarmed());
        }
        world.next(WELL_AFTER).await;
        while world.is_alarmed() {
            tokio::task::yield_now().await;
        }
        world.stop.cancel();
        assert_eq!(part.end().await, None);
        assert_eq!(world.lives.load(Ordering::SeqCst), 7);
    }

    #[tokio::test]
    async fn what_fell_and_rests_is_begun_once_more_to_end_in_order() {
        let world = World::new();
        let part = world.falls(1);
        while !world.is_alarmed() {
            tokio::task::yield_now().await;
        }
        world.stop.cancel();
        assert_eq!(part.end().await, None);
        assert_eq!(world.lives.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_cannot_even_end_is_told() {
        let world = World::new();
        world.stop.cancel();
        let part = world.falls(u32::MAX);
        assert_eq!(part.end().await, Some("clockwork"));
    }
}
