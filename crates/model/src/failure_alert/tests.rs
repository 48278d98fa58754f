use proptest::prelude::*;

use super::*;

const HOUR_MS: i64 = 60 * 60 * 1000;

fn at(ms: i64) -> UnixMs {
    UnixMs::from_millis(1_000_000_000_000 + ms)
}

fn event() -> EventId {
    EventId::new(UnixMs::EPOCH)
}

fn failed(reason: ErrorReason) -> Trouble {
    Trouble::Failed { reason, last: false }
}

fn note(state: &mut AlertState, trouble: Trouble, ms: i64) -> bool {
    state.note(trouble, Some(AlertRules::default()), None, event(), at(ms)).is_some()
}

#[test]
fn the_second_failure_in_a_row_is_told_and_the_same_is_not_told_again() {
    let mut state = AlertState::default();
    let told: Vec<bool> =
        (0..6).map(|hour| note(&mut state, failed(ErrorReason::Timeout), hour * 2 * HOUR_MS)).collect();
    assert_eq!(told, [false, true, false, false, false, false]);
}

#[test]
fn another_cause_is_told_once_the_cooldown_is_over() {
    let mut state = AlertState::default();
    note(&mut state, failed(ErrorReason::Timeout), 0);
    assert!(note(&mut state, failed(ErrorReason::Timeout), 1));
    assert!(!note(&mut state, failed(ErrorReason::Auth), HOUR_MS));
    assert!(note(&mut state, failed(ErrorReason::Auth), HOUR_MS + 1));
}

#[test]
fn a_success_ends_the_incident_and_names_who_was_told() {
    let mut state = AlertState::default();
    note(&mut state, failed(ErrorReason::Timeout), 0);
    note(&mut state, failed(ErrorReason::Timeout), 1);
    let (told, failures) = state.succeeded();
    assert_eq!((told.len(), failures), (1, 2));
    assert_eq!(state.succeeded(), (Vec::new(), 0));
    note(&mut state, failed(ErrorReason::Timeout), 2);
    assert!(!note(&mut state, failed(ErrorReason::Timeout), 3), "it cools down");
    assert!(note(&mut state, failed(ErrorReason::Timeout), 2 * HOUR_MS));
}

#[test]
fn the_last_failure_of_a_one_shot_and_the_end_of_a_job_are_told_at_once() {
    let mut state = AlertState::default();
    assert!(note(&mut state, Trouble::Failed { reason: ErrorReason::Exit, last: true }, 0));
    let off = Trouble::SwitchedOff { reason: AutoDisableReason::ConsecutiveFailures };
    assert!(note(&mut state, off, 1), "no cooldown holds back what nothing follows");
    assert!(!note(&mut state, off, 2));
}

#[test]
fn missed_instants_count_as_failures_and_skips_only_where_that_is_asked_for() {
    let mut state = AlertState::default();
    assert!(!note(&mut state, Trouble::Missed { instants: 1 }, 0));
    assert!(note(&mut state, Trouble::Missed { instants: 1 }, 1));
    let skipped = Trouble::Skipped { reason: None };
    let mut state = AlertState::default();
    assert!((0..5).all(|n| !note(&mut state, skipped, n)));
    let rules = AlertRules { include_skipped: true, ..AlertRules::default() };
    let due = state.note(skipped, Some(rules), None, event(), at(9));
    assert_eq!(due, Some(AlertDue { consecutive: 6 }));
}

#[test]
fn a_delivery_that_is_given_up_is_an_incident_of_its_own() {
    let mut state = AlertState::default();
    let dead = Trouble::Undelivered { cause: DeadCause::Receiver };
    assert!(note(&mut state, dead, 0));
    state.succeeded();
    assert!(!note(&mut state, dead, 2 * HOUR_MS), "that runs succeed says nothing of deliveries");
    assert_eq!(state.delivered().len(), 1);
    assert!(note(&mut state, dead, 4 * HOUR_MS));
}

#[test]
fn a_flood_of_failures_in_a_day_is_one_alert_for_each_cause() {
    let mut state = AlertState::default();
    let causes = [ErrorReason::Timeout, ErrorReason::Auth, ErrorReason::Exit];
    let told = (0..1440_usize)
        .filter(|minute| {
            note(&mut state, failed(causes[minute % causes.len()]), i64::try_from(*minute).unwrap() * 60_000)
        })
        .count();
    assert_eq!(told, causes.len());
}

fn troubles() -> impl Strategy<Value = Option<Trouble>> {
    let reason = prop::sample::select(vec![ErrorReason::Timeout, ErrorReason::Auth, ErrorReason::Exit]);
    prop_oneof![
        1 => Just(None),
        6 => (reason.clone(), any::<bool>()).prop_map(|(reason, last)| Some(Trouble::Failed { reason, last })),
        2 => reason.prop_map(|reason| Some(Trouble::Skipped { reason: Some(reason) })),
        2 => (1..5u32).prop_map(|instants| Some(Trouble::Missed { instants })),
    ]
}

proptest! {
    /// Whatever happens: within an incident no cause is told twice, two alerts are never closer than the cooldown, and
    /// what is remembered stays small.
    #[test]
    fn alerts_never_flood(
        steps in prop::collection::vec((troubles(), 0..40 * 60_000i64), 1..200),
        after in 1..4u32,
        include_skipped: bool,
    ) {
        let rules = AlertRules { after, include_skipped, ..AlertRules::default() };
        let mut state = AlertState::default();
        let (mut ms, mut last): (i64, Option<i64>) = (0, None);
        let mut causes: Vec<(AlertScope, String)> = Vec::new();
        for (trouble, wait) in steps {
            ms += wait;
            let Some(trouble) = trouble else {
                state.succeeded();
                causes.clear();
                continue;
            };
            if state.note(trouble, Some(rules), None, event(), at(ms)).is_some() {
                let cause = (trouble.scope(), format!("{} {}", trouble.status(), trouble.cause()));
                prop_assert!(!causes.contains(&cause), "{cause:?} was told");
                causes.push(cause);
                prop_assert!(last.is_none_or(|last| ms - last >= HOUR_MS));
                last = Some(ms);
            }
            prop_assert!(state.told.len() <= MOST_TOLD);
        }
    }

    /// A state that went through the store decides as before.
    #[test]
    fn the_state_survives_the_store(steps in prop::collection::vec(troubles(), 1..40)) {
        let mut state = AlertState::default();
        for (n, trouble) in steps.into_iter().enumerate() {
            if let Some(trouble) = trouble {
                note(&mut state, trouble, i64::try_from(n).unwrap() * HOUR_MS);
            }
            let text = serde_json::to_string(&state).unwrap();
            state = serde_json::from_str(&text).unwrap();
        }
    }
}
