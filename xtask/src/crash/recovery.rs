//! How soon after a restart that goes on which was in flight at the death.

use std::time::Duration;

use clawhook_model::UnixMs;

use super::gateway::RETRY_STEP;
use super::receiver::Request;
use super::store_copy::OpenDelivery;

/// The promise: within a second of the restart, or of its own due time where that comes later. On top comes one step
/// of the retry schedule with its jitter, for a machine that is busy with other things than this test: the usual time
/// is a few hundredths of a second, and a lease of a dead owner that were waited for would take half a minute.
pub(super) const BOUND: Duration =
    Duration::from_secs(1).saturating_add(RETRY_STEP).saturating_add(Duration::from_millis(20));

/// What was measured in all lives.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    /// How long each took, and which event it was.
    times: Vec<(Duration, String)>,
    /// Deliveries whose next life was too short to tell.
    pub(super) cut_short: usize,
    pub(super) late: Vec<String>,
}

/// A life, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) started_at: UnixMs,
    pub(super) listening_since: UnixMs,
    pub(super) ended_at: UnixMs,
}

impl Recoveries {
    /// Measures a life that began with `open` deliveries. `requests` are those that arrived since it was started.
    pub(super) fn measure(&mut self, life: Life, open: &[OpenDelivery], requests: &[Request]) {
        for delivery in open {
            let due = delivery.due_at.max(life.listening_since);
            let arrived = requests
                .iter()
                .find(|request| {
                    (&request.event_id, &request.path) == (&delivery.event_id, &delivery.path)
                        && request.arrived_at >= life.started_at
                })
                .map(|request| request.arrived_at);
            let took = arrived.unwrap_or(life.ended_at).since(due);
            if took > BOUND {
                let how = if arrived.is_some() { "was sent" } else { "was not even sent" };
                self.late
                    .push(format!("{} {how} {took:?} after it was due, in a new life", delivery.event_id));
            }
            match arrived {
                Some(_) => self.times.push((took, delivery.event_id.clone())),
                None => self.cut_short += 1,
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    pub(super) fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).map(|(took, _)| *took).unwrap_or_default()
    }

    pub(super) fn longest(&self) -> (Duration, &str) {
        self.times.iter().max().map(|(took, event)| (*took, event.as_str())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::receiver::Behaviour;
    use super::*;

    const LIFE: Life = Life {
        started_at: UnixMs::from_millis(900),
        listening_since: UnixMs::from_millis(1000),
        ended_at: UnixMs::from_millis(9000),
    };

    fn open(due_at: i64) -> Vec<OpenDelivery> {
        let due_at = UnixMs::from_millis(due_at);
        vec![OpenDelivery { event_id: "evt".to_owned(), path: "/hook".to_owned(), due_at }]
    }

    fn request(arrived_at: i64) -> Vec<Request> {
        vec![Request {
            event_id: "evt".to_owned(),
            path: "/hook".to_owned(),
            attempt: 1,
            arrived_at: UnixMs::from_millis(arrived_at),
            body: None,
            signature_fault: None,
            behaviour: Behaviour::Ok,
            answered: false,
        }]
    }

    #[test]
    fn time_counts_from_the_start_or_from_the_due_time_whichever_is_later() {
        let mut measured = Recoveries::default();
        measured.measure(LIFE, &open(0), &request(1030));
        measured.measure(LIFE, &open(3000), &request(3040));
        assert_eq!(
            (measured.median(), measured.longest()),
            (Duration::from_millis(40), (Duration::from_millis(40), "evt"))
        );
        assert!(measured.late.is_empty());
    }

    #[test]
    fn what_is_late_or_never_sent_is_told_unless_the_life_was_too_short() {
        let mut measured = Recoveries::default();
        measured.measure(LIFE, &open(0), &request(5000));
        measured.measure(LIFE, &open(0), &[]);
        assert_eq!(measured.late.len(), 2);
        let short = Life { ended_at: UnixMs::from_millis(1500), ..LIFE };
        measured.measure(short, &open(0), &[]);
        assert_eq!((measured.late.len(), measured.cut_short), (2, 2));
    }
}
