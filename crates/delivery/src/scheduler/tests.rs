//! The scheduler against queues that are played: it is fair, keeps every bound, and overlooks nothing.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

const T0: UnixMs = UnixMs::from_millis(1_000_000);

fn id(number: usize) -> DestinationId {
    DestinationId::from_number(i64::try_from(number).expect("a small number"))
}

fn limits(max_concurrent: usize) -> LaneLimits {
    LaneLimits { max_concurrent, per_second: None }
}

/// Queues as the store keeps them, and what was sent.
struct Play {
    scheduler: Scheduler,
    queues: HashMap<(DestinationId, QueueClass), BTreeMap<(UnixMs, usize), ()>>,
    under_way: Vec<(DestinationId, QueueClass)>,
    sent: Vec<(DestinationId, QueueClass)>,
    made: usize,
    now: UnixMs,
}

impl Play {
    fn new(max_concurrent: usize) -> Self {
        Self {
            scheduler: Scheduler::new(max_concurrent),
            queues: HashMap::new(),
            under_way: Vec::new(),
            sent: Vec::new(),
            made: 0,
            now: T0,
        }
    }

    fn lane(&mut self, destination: DestinationId, limits: LaneLimits) {
        self.scheduler.configure(destination, limits, Sending::Yes, self.now);
    }

    fn put(&mut self, destination: DestinationId, class: QueueClass, at: UnixMs, count: usize) {
        for _ in 0..count {
            self.made += 1;
            self.queues.entry((destination, class)).or_default().insert((at, self.made), ());
        }
        self.scheduler.has_news(QueueNews { destination, class, at }, self.now);
    }

    /// Plans and leases, as the service does.
    fn lease(&mut self, room: usize) {
        for grant in self.scheduler.plan(self.now, room) {
            let queue = self.queues.entry((grant.destination, grant.class)).or_default();
            let mut count = 0;
            while count < grant.most
                && let Some(entry) = queue.first_entry()
                && entry.key().0 <= self.now
            {
                entry.remove();
                count += 1;
                self.under_way.push((grant.destination, grant.class));
                self.sent.push((grant.destination, grant.class));
            }
            let next = queue.keys().next().map(|(at, _)| *at);
            self.scheduler.leased(grant, count, next, self.now);
        }
    }

    fn end(&mut self, place: usize, ended: Ended) {
        let (destination, class) = self.under_way.swap_remove(place);
        self.scheduler.ended(destination, class, ended, self.now);
    }

    fn end_all(&mut self, ended: Ended) {
        while !self.under_way.is_empty() {
            self.end(0, ended);
        }
    }

    fn sent_to(&self, destination: DestinationId) -> usize {
        self.sent.iter().filter(|(to, _)| *to == destination).count()
    }

    fn under_way_to(&self, destination: DestinationId) -> usize {
        self.under_way.iter().filter(|(to, _)| *to == destination).count()
    }

    fn waits(&self) -> usize {
        self.queues.values().map(BTreeMap::len).sum()
    }
}

#[test]
fn a_large_backlog_and_a_small_one_are_served_in_turn() {
    let mut play = Play::new(8);
    for (destination, backlog) in [(id(1), 10_000), (id(2), 50), (id(3), 50)] {
        play.lane(destination, limits(8));
        play.put(destination, QueueClass::FirstTry, T0, backlog);
    }
    while play.sent.len() < 150 {
        play.lease(usize::MAX);
        play.end(0, Ended::Well);
    }
    for small in [id(2), id(3)] {
        assert!((46..=50).contains(&play.sent_to(small)), "an equal share: {}", play.sent_to(small));
    }
}

#[test]
fn a_turn_that_was_cut_short_goes_on_before_the_others() {
    let mut play = Play::new(100);
    for destination in [id(1), id(2)] {
        play.lane(destination, limits(100));
        play.put(destination, QueueClass::FirstTry, T0, 100);
    }
    for _ in 0..8 {
        play.lease(3);
        play.end_all(Ended::Well);
    }
    assert_eq!((play.sent_to(id(1)), play.sent_to(id(2))), (12, 12));
}

#[test]
fn a_destination_that_hangs_holds_its_first_window_and_no_more() {
    let mut play = Play::new(64);
    for destination in [id(1), id(2)] {
        play.lane(destination, limits(64));
        play.put(destination, QueueClass::FirstTry, T0, 1_000);
    }
    while play.sent_to(id(2)) < 500 {
        play.lease(usize::MAX);
        let healthy = play.under_way.iter().position(|(to, _)| *to == id(2)).expect("it is served");
        play.end(healthy, Ended::Well);
    }
    assert_eq!(play.under_way_to(id(1)), 16);
    for _ in 0..16 {
        let hung = play.under_way.iter().position(|(to, _)| *to == id(1)).expect("it hangs");
        play.end(hung, Ended::Badly { hold_until: None });
    }
    play.lease(usize::MAX);
    assert_eq!(play.under_way_to(id(1)), 0, "its circuit is open");
    assert_eq!(play.scheduler.next_alarm(), Some(T0.plus_millis(5_000)));
    play.now = T0.plus_millis(5_000);
    play.end_all(Ended::Well);
    play.lease(usize::MAX);
    assert_eq!(play.under_way_to(id(1)), 1, "one probe");
}

#[test]
fn a_storm_of_retries_leaves_room_for_first_tries() {
    let mut play = Play::new(8);
    for number in 1..=20 {
        play.lane(id(number), limits(8));
        play.put(id(number), QueueClass::Retry, T0, 50);
    }
    play.lease(usize::MAX);
    assert_eq!(play.under_way.len(), 6, "a quarter of the places is kept");
    play.lane(id(99), limits(8));
    play.put(id(99), QueueClass::FirstTry, T0, 1);
    play.lease(usize::MAX);
    assert_eq!(play.sent_to(id(99)), 1);
    while play.waits() > 0 {
        play.end(0, Ended::Well);
        play.lease(usize::MAX);
    }
}

#[test]
fn retries_of_one_destination_do_not_starve_behind_its_first_tries() {
    let mut play = Play::new(8);
    play.lane(id(1), limits(8));
    play.put(id(1), QueueClass::Retry, T0, 10);
    play.put(id(1), QueueClass::FirstTry, T0, 1_000);
    while play.sent.len() < 100 {
        play.lease(usize::MAX);
        play.end_all(Ended::Well);
    }
    assert_eq!(play.sent.iter().filter(|(_, class)| *class == QueueClass::Retry).count(), 10);
}

#[test]
fn a_rate_limit_holds_and_is_waited_for_exactly() {
    let mut play = Play::new(100);
    play.lane(id(1), LaneLimits { max_concurrent: 100, per_second: Some(5.0) });
    play.put(id(1), QueueClass::FirstTry, T0, 12);
    play.lease(usize::MAX);
    play.end_all(Ended::Well);
    assert_eq!(play.sent.len(), 5);
    assert_eq!(play.scheduler.next_alarm(), Some(T0.plus_millis(200)));
    while play.waits() > 0 {
        play.now = play.scheduler.next_alarm().expect("it waits for the next token");
        play.lease(usize::MAX);
        play.end_all(Ended::Well);
    }
    assert!((1_400..=1_410).contains(&play.now.since(T0).as_millis()), "12 at 5 a second, 5 of them at once");
}

#[test]
fn who_asks_to_be_left_alone_is() {
    let mut play = Play::new(8);
    play.lane(id(1), limits(8));
    play.put(id(1), QueueClass::FirstTry, T0, 9);
    play.lease(1);
    let until = T0.plus_millis(30_000);
    play.end(0, Ended::Throttled { hold_until: Some(until) });
    play.lease(usize::MAX);
    assert!(play.under_way.is_empty());
    assert_eq!(play.scheduler.next_alarm(), Some(until));
    play.now = until;
    play.lease(usize::MAX);
    assert_eq!(play.under_way.len(), 8);
}

#[test]
fn what_was_under_way_before_a_hold_does_not_end_it() {
    let mut play = Play::new(8);
    play.lane(id(1), limits(8));
    play.put(id(1), QueueClass::FirstTry, T0, 9);
    play.lease(2);
    let until = T0.plus_millis(30_000);
    play.end(0, Ended::Throttled { hold_until: Some(until) });
    play.end(0, Ended::Well);
    play.lease(usize::MAX);
    assert!(play.under_way.is_empty());
    assert_eq!(play.scheduler.next_alarm(), Some(until));
}

#[test]
fn a_paused_destination_gets_one_probe_at_a_time_and_a_disabled_one_nothing() {
    let mut play = Play::new(8);
    let every = Duration::from_hours(1);
    let probe = Sending::Probe { every, next_at: T0 };
    play.scheduler.configure(id(1), limits(8), probe, T0);
    play.scheduler.configure(id(2), limits(8), Sending::No, T0);
    for destination in [id(1), id(2)] {
        play.put(destination, QueueClass::FirstTry, T0, 5);
    }
    let grants = play.scheduler.plan(T0, usize::MAX);
    assert_eq!(grants, [Grant { destination: id(1), class: QueueClass::FirstTry, most: 1, probe: true }]);
    play.scheduler.leased(grants[0], 1, Some(T0), T0);
    assert!(play.scheduler.plan(T0, usize::MAX).is_empty());
    play.scheduler.ended(id(1), QueueClass::FirstTry, Ended::Badly { hold_until: None }, T0);
    assert_eq!(play.scheduler.next_alarm(), Some(T0.plus(every)));
    for ended in [Ended::Answered, Ended::Gone, Ended::Throttled { hold_until: None }] {
        let now = play.scheduler.next_alarm().expect("the next probe");
        let grants = play.scheduler.plan(now, usize::MAX);
        play.scheduler.leased(grants[0], 1, Some(T0), now);
        play.scheduler.ended(id(1), QueueClass::FirstTry, ended, now);
        assert_eq!(play.scheduler.next_alarm(), Some(now.plus(every)), "{ended:?}");
    }
    play.scheduler.configure(id(1), limits(8), Sending::Yes, T0);
    assert!(play.scheduler.plan(T0, usize::MAX)[0].most > 1, "resumed");
}

#[derive(Debug, Clone)]
enum Step {
    Put { to: usize, retry: bool, in_ms: i64, count: usize },
    Lease { room: usize },
    End { place: usize, how: u8 },
    Wait { ms: i64 },
    Configure { to: usize, max: usize, rate: Option<u32>, sending: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..5, any::<bool>(), 0i64..5_000, 1usize..20)
            .prop_map(|(to, retry, in_ms, count)| Step::Put { to, retry, in_ms, count }),
        4 => (1usize..40).prop_map(|room| Step::Lease { room }),
        6 => (any::<usize>(), 0u8..5).prop_map(|(place, how)| Step::End { place, how }),
        2 => (0i64..20_000).prop_map(|ms| Step::Wait { ms }),
        1 => (0usize..5, 1usize..12, prop::option::of(1u32..50), 0u8..3)
            .prop_map(|(to, max, rate, sending)| Step::Configure { to, max, rate, sending }),
    ]
}

fn how(how: u8, now: UnixMs) -> Ended {
    match how {
        0 => Ended::Badly { hold_until: None },
        1 => Ended::Badly { hold_until: Some(now.plus_millis(700)) },
        2 => Ended::Answered,
        3 => Ended::OwnFault,
        _ => Ended::Well,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens: no bound is exceeded, and once everything goes well, everything that waits is sent.
    #[test]
    fn i15_bounds_hold_and_nothing_is_overlooked(steps in prop::collection::vec(step(), 1..120)) {
        let mut play = Play::new(10);
        let mut most = [4usize; 5];
        for (to, most) in most.iter().enumerate() {
            play.lane(id(to), limits(*most));
        }
        for step in steps {
            match step {
                Step::Put { to, retry, in_ms, count } => {
                    let class = if retry { QueueClass::Retry } else { QueueClass::FirstTry };
                    play.put(id(to), class, play.now.plus_millis(in_ms), count);
                }
                Step::Lease { room } => {
                    let before: Vec<usize> = (0..5).map(|to| play.under_way_to(id(to))).collect();
                    play.lease(room);
                    for to in 0..5 {
                        prop_assert!(play.under_way_to(id(to)) <= most[to].max(before[to]));
                    }
                }
                Step::End { place, how: kind } if !play.under_way.is_empty() => {
                    let ended = how(kind, play.now);
                    play.end(place % play.under_way.len(), ended);
                }
                Step::End { .. } => {}
                Step::Wait { ms } => play.now = play.now.plus_millis(ms),
                Step::Configure { to, max, rate, sending } => {
                    most[to] = max;
                    let limits = LaneLimits { max_concurrent: max, per_second: rate.map(f64::from) };
                    let sending = match sending {
                        0 => Sending::No,
                        1 => Sending::Probe { every: Duration::from_secs(60), next_at: play.now },
                        _ => Sending::Yes,
                    };
                    play.scheduler.configure(id(to), limits, sending, play.now);
                }
            }
            prop_assert!(play.under_way.len() <= 10);
            let retries = play.under_way.iter().filter(|(_, class)| *class == QueueClass::Retry).count();
            prop_assert!(retries <= 8);
        }
        for to in 0..5 {
            play.lane(id(to), limits(4));
        }
        for _ in 0..20_000 {
            play.lease(usize::MAX);
            if play.under_way.is_empty() {
                if play.waits() == 0 {
                    break;
                }
                let alarm = play.scheduler.next_alarm();
                prop_assert!(alarm.is_some(), "{} wait and nothing will happen", play.waits());
                play.now = play.now.max(alarm.unwrap_or(play.now));
            }
            play.end_all(Ended::Well);
        }
        prop_assert_eq!(play.waits(), 0);
    }
}
