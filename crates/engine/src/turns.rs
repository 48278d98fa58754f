//! From a run that is claimed to the turn it takes: what it is told of its session, and whether it may begin at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clawhook_agent::{Command, LiveOutput, Message, Turn, TurnResult, Work};
use clawhook_model::{
    AgentTurn, CommandSpec, ErrorReason, JobDefinition, Payload, Role, RunOutcome, RunStatus, SessionRef,
    SessionTarget, SuppressionReason, TranscriptEntry, UnixMs, WakeMode,
};
use clawhook_store::{LeftWithSessions, StoreError, SystemEvent};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use crate::Core;
use crate::chains;
use crate::heartbeat::{ASK, HeartbeatOptions, NOTHING_TO_DO, is_nothing_to_do};
use crate::runner::Begun;
use crate::sessions::{SessionTurn, matched, message, told_at_once};
use crate::slots::Held;

/// How long a run waits for the turn of a session that another has (contract §4.4).
const TURN_PATIENCE: Duration = Duration::from_mins(2);
/// When a run that waited in vain tries again.
const TURN_LATER: Duration = Duration::from_secs(30);
/// How many system events one turn is told of, and how many bytes of their text; the others wait for the next one.
const EVENTS_AT_ONCE: usize = 100;
const EVENT_BYTES_AT_ONCE: usize = 64 * 1024;

/// What a run is to do now.
pub(crate) enum Prepared {
    /// It takes a turn.
    Turn(Box<Planned>),
    /// It is over without one.
    Over(Box<(TurnResult, LeftWithSessions)>),
    /// It was cancelled, for this reason, before its turn began.
    Cancelled(&'static str),
    /// It is put back.
    Later {
        /// Until when.
        until: UnixMs,
        /// Why.
        why: String,
    },
}

impl Prepared {
    /// It is over without a turn, in this way.
    pub(crate) fn over(outcome: RunOutcome, left: LeftWithSessions) -> Self {
        Self::Over(Box::new((TurnResult::of(outcome), left)))
    }
}

/// A turn that is about to be taken.
pub(crate) struct Planned {
    /// The turn.
    pub(crate) turn: Turn,
    /// The system events that it is told of.
    pub(crate) told: Vec<u64>,
    /// The session is ours until the result is committed.
    pub(crate) session: Option<SessionTurn>,
}

/// Prepares a run. Only the store is asked, and other turns of its session are waited for; meanwhile its slot is free for
/// others.
pub(crate) async fn prepare(
    core: &Arc<Core>,
    begun: &Begun,
    appended: &str,
    live: LiveOutput,
    slot: &mut Option<Held>,
) -> Result<Prepared, StoreError> {
    let job = &begun.job.definition;
    match &job.payload {
        Payload::SystemEvent { text } if text.trim().is_empty() => {
            return Ok(skipped(ErrorReason::Format, "main job requires non-empty systemEvent text"));
        }
        Payload::SystemEvent { text } if job.wake_mode == WakeMode::NextHeartbeat => return Ok(left(text)),
        // It costs nothing that a budget counts.
        Payload::Command(_) => {}
        Payload::AgentTurn(_) | Payload::SystemEvent { .. } | Payload::Heartbeat => {
            if let Some(why) = over_budget(core, begun).await? {
                return Ok(skipped(ErrorReason::Budget, why));
            }
        }
    }
    let upstream = chains::upstream(core, begun).await?;
    let mut prepared = match &job.payload {
        Payload::AgentTurn(turn) => agent_turn(core, begun, turn, live, slot).await?,
        Payload::SystemEvent { text } => system_event(core, begun, text, live, slot).await?,
        Payload::Heartbeat => heartbeat(core, begun, live, slot).await?,
        Payload::Command(command) => command_turn(core, begun, command, live, slot).await?,
    };
    // The turns of the session that were waited for may have used the budget up.
    if matches!(prepared, Prepared::Turn(_))
        && !matches!(job.payload, Payload::Command(_))
        && let Some(why) = over_budget(core, begun).await?
    {
        return Ok(skipped(ErrorReason::Budget, why));
    }
    if let Prepared::Turn(planned) = &mut prepared {
        chains::tell(&mut planned.turn.work, upstream.as_ref(), appended);
    }
    Ok(prepared)
}

/// Takes a reply for what it says: an agent that looked after its main session and had nothing to do is silent.
pub(crate) fn hear(begun: &Begun, outcome: &mut RunOutcome) {
    let looked_after = begun.job.definition.session_target == SessionTarget::Main;
    let reply = outcome.summary.as_deref().unwrap_or_default();
    if looked_after && outcome.status == RunStatus::Ok && is_nothing_to_do(reply) {
        outcome.silent = true;
    }
}

/// What the run leaves with sessions, now that its turn has ended.
pub(crate) fn leave(core: &Core, begun: &Begun, told: Vec<u64>, result: &TurnResult) -> LeftWithSessions {
    let job = &begun.job.definition;
    let outcome = &result.outcome;
    let is_ok = outcome.status == RunStatus::Ok;
    let speaks = is_ok && SuppressionReason::of(outcome).is_none();
    let reply = match (&job.session_target, &outcome.summary) {
        (SessionTarget::Current, Some(text)) if speaks => {
            let entry = TranscriptEntry::said(core.clock.now(), Role::Assistant, text.clone());
            job.continues().map(|session| (session, entry))
        }
        _ => None,
    };
    LeftWithSessions {
        is_kept: !job.session_target.is_fresh(),
        cleanup: job.cleanup,
        forgotten: is_forgotten(job, &told, result),
        reply,
        // What a turn was told of and did not come to waits for the next one.
        told: if is_ok { told } else { Vec::new() },
        event: None,
        elsewhere: Vec::new(),
        note: None,
    }
}

/// Whether later turns of the session need not know of this one: a heartbeat at which nothing had come and nothing was to
/// be done, or a try to which the agent has answered nothing, and which is made again.
fn is_forgotten(job: &JobDefinition, told: &[u64], result: &TurnResult) -> bool {
    let answered = |entry: &TranscriptEntry| matches!(entry.role, Role::Assistant | Role::Tool);
    match result.outcome.status {
        RunStatus::Ok => result.outcome.silent && told.is_empty() && job.payload == Payload::Heartbeat,
        RunStatus::Error | RunStatus::Skipped => !result.transcript.iter().any(answered),
    }
}

/// The day that `at` belongs to in the gateway's zone, in days since 1970-01-01.
pub(crate) fn day(core: &Core, at: UnixMs) -> i32 {
    let Ok(instant) = Timestamp::from_millisecond(at.as_millis()) else { return 0 };
    let date = core.host_zone.to_datetime(instant).date();
    date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days())
}

async fn agent_turn(
    core: &Arc<Core>,
    begun: &Begun,
    turn: &AgentTurn,
    live: LiveOutput,
    slot: &mut Option<Held>,
) -> Result<Prepared, StoreError> {
    let job = &begun.job.definition;
    let Ok(session) = turn_of_kept(core, begun, slot).await else { return Ok(later(core)) };
    let history = match job.continues() {
        Some(session) => history(core, &session).await?,
        None => Vec::new(),
    };
    let message = Message {
        history,
        text: turn.message.clone(),
        model: turn.model.clone(),
        fallbacks: turn.fallbacks.clone(),
        thinking: turn.thinking,
        tools_allow: turn.tools_allow.clone(),
        light_context: turn.light_context,
        unfenced: turn.allow_unsafe_external_content,
        output_schema: job.output_schema.clone(),
    };
    Ok(take(core, begun, Work::Message(Box::new(message)), live, session))
}

async fn command_turn(
    core: &Arc<Core>,
    begun: &Begun,
    command: &CommandSpec,
    live: LiveOutput,
    slot: &mut Option<Held>,
) -> Result<Prepared, StoreError> {
    let Ok(session) = turn_of_kept(core, begun, slot).await else { return Ok(later(core)) };
    let work = Work::Command(command_of(command, begun.job.definition.output_schema.as_ref()));
    Ok(take(core, begun, work, live, session))
}

/// A turn in the main session for one text, and for what else waits there. While the session is busy for too long the text
/// is left for its next turn (contract §4.4).
async fn system_event(
    core: &Arc<Core>,
    begun: &Begun,
    text: &str,
    live: LiveOutput,
    slot: &mut Option<Held>,
) -> Result<Prepared, StoreError> {
    let Some(session) = own_turn(core, begun, slot).await else { return Ok(left(text)) };
    main_turn(core, begun, text, None, live, session).await
}

/// A turn in the main session for what waits there.
async fn heartbeat(
    core: &Arc<Core>,
    begun: &Begun,
    live: LiveOutput,
    slot: &mut Option<Held>,
) -> Result<Prepared, StoreError> {
    let Some(options) = core.options.heartbeats.get(&begun.run.agent_id) else {
        return Ok(skipped(ErrorReason::Unavailable, "the agent has no heartbeat any more"));
    };
    let HeartbeatOptions { active, prompt, model, .. } = options;
    let now = core.clock.now();
    if active.as_ref().is_some_and(|hours| !hours.contains(now)) {
        return Ok(skipped(ErrorReason::QuietHours, "it is not within the agent's active hours"));
    }
    let Some(session) = own_turn(core, begun, slot).await else {
        return Ok(skipped(ErrorReason::Unavailable, "the agent's main session is busy"));
    };
    if prompt.is_none() && events(core, begun).await?.is_empty() {
        let outcome = RunOutcome { silent: true, ..RunOutcome::ok(NOTHING_TO_DO) };
        return Ok(Prepared::over(outcome, LeftWithSessions::default()));
    }
    let ask = prompt.as_deref().unwrap_or(ASK);
    main_turn(core, begun, ask, model.clone(), live, session).await
}

async fn main_turn(
    core: &Arc<Core>,
    begun: &Begun,
    ask: &str,
    model: Option<String>,
    live: LiveOutput,
    session: SessionTurn,
) -> Result<Prepared, StoreError> {
    let events = events(core, begun).await?;
    let history = history(core, &begun.run.session).await?;
    let message = Message { history, text: message(&events, ask), model, ..Message::default() };
    let mut prepared = take(core, begun, Work::Message(Box::new(message)), live, Some(session));
    if let Prepared::Turn(planned) = &mut prepared {
        planned.told = events.iter().map(|event| event.seq).collect();
    }
    Ok(prepared)
}

/// The turn of the run's session, where that is kept under a name.
async fn turn_of_kept(
    core: &Arc<Core>,
    begun: &Begun,
    slot: &mut Option<Held>,
) -> Result<Option<SessionTurn>, Busy> {
    match begun.job.definition.session_target {
        SessionTarget::Named(_) => own_turn(core, begun, slot).await.map(Some).ok_or(Busy),
        _ => Ok(None),
    }
}

/// Another run has the turn of the session, and does not let go of it.
struct Busy;

/// Waits for the turn of the run's own session; none where that takes too long. Whoever waits has no slot: a turn that
/// hangs must not keep others waiting than those of its session.
async fn own_turn(core: &Arc<Core>, begun: &Begun, slot: &mut Option<Held>) -> Option<SessionTurn> {
    let session = begun.run.session.id;
    if let Some(turn) = core.turns.try_take(session) {
        return Some(turn);
    }
    let lane = slot.take().map(|held| held.lane);
    let waited = async {
        let turn = core.turns.take(session).await;
        if let Some(lane) = lane {
            *slot = core.slots.hold(lane).await;
        }
        turn
    };
    tokio::select! {
        biased;
        turn = waited => Some(turn),
        () = core.clock.sleep(TURN_PATIENCE) => None,
    }
}

async fn history(core: &Core, session: &SessionRef) -> Result<Vec<TranscriptEntry>, StoreError> {
    let (entries, bytes) = core.options.history;
    Ok(matched(core.store.history(session.id, entries, bytes).await?))
}

async fn events(core: &Core, begun: &Begun) -> Result<Vec<SystemEvent>, StoreError> {
    let events = core.store.system_events(begun.run.session.id, EVENTS_AT_ONCE).await?;
    Ok(told_at_once(events, EVENT_BYTES_AT_ONCE))
}

/// Why the run may not begin: the day's budget of its job, or of all jobs, is used up. Runs that go on at that moment are
/// not counted, since nobody knows what they will take.
pub(crate) async fn over_budget(core: &Core, begun: &Begun) -> Result<Option<String>, StoreError> {
    let job = &begun.job.definition;
    let today = day(core, core.clock.now());
    if job.budget.is_limited() {
        let spent = core.store.spent(today, Some(&begun.job.id)).await?;
        if let Some(why) = job.budget.used_up(&spent) {
            return Ok(Some(format!("the job's budget of the day is used up: {why}")));
        }
    }
    gateway_over_budget(core).await
}

/// Why nothing more may be spent today: the budget of all jobs is used up.
pub(crate) async fn gateway_over_budget(core: &Core) -> Result<Option<String>, StoreError> {
    if !core.options.budget.is_limited() {
        return Ok(None);
    }
    let spent = core.store.spent(day(core, core.clock.now()), None).await?;
    let used_up = core.options.budget.used_up(&spent);
    Ok(used_up.map(|why| format!("the gateway's budget of the day (`cron.budget`) is used up: {why}")))
}

fn take(core: &Core, begun: &Begun, work: Work, live: LiveOutput, session: Option<SessionTurn>) -> Prepared {
    let turn = Turn {
        agent: begun.run.agent_id.clone(),
        session: begun.run.session.clone(),
        work,
        timeout: time_limit(core, begun),
        live,
    };
    Prepared::Turn(Box::new(Planned { turn, told: Vec::new(), session }))
}

/// How long the turn may take: what the job says, else its agent, else what is usual for such work.
fn time_limit(core: &Core, begun: &Begun) -> Option<Duration> {
    let payload = &begun.job.definition.payload;
    match (payload, core.options.turn_limits.get(&begun.run.agent_id)) {
        (Payload::AgentTurn(turn), Some(agents_own)) if turn.timeout_ms.is_none() => *agents_own,
        _ => payload.time_limit(),
    }
}

/// A system event that is left for the session's next turn is done (contract §4.4).
fn left(text: &str) -> Prepared {
    let left =
        LeftWithSessions { is_kept: true, event: Some(text.to_owned()), ..LeftWithSessions::default() };
    Prepared::over(RunOutcome::ok(text), left)
}

fn skipped(reason: ErrorReason, why: impl Into<String>) -> Prepared {
    Prepared::over(RunOutcome::skipped(reason, why), LeftWithSessions::default())
}

fn later(core: &Core) -> Prepared {
    let why = "another run has the turn of its session".to_owned();
    Prepared::Later { until: core.clock.now().plus(TURN_LATER), why }
}

fn command_of(command: &CommandSpec, output_schema: Option<&Value>) -> Command {
    Command {
        argv: command.argv.clone(),
        cwd: command.cwd.as_ref().map(PathBuf::from),
        env: command.env.clone(),
        input: command.input.clone(),
        no_output_timeout: command.no_output_timeout_ms.filter(|ms| *ms > 0).map(Duration::from_millis),
        output_max_bytes: command.output_max_bytes.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        output_schema: output_schema.cloned(),
    }
}
