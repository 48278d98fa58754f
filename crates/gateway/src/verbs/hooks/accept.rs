//! Taking a request: what it asks for is durable before it is answered.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use clawhook_inbound::{Asked, Call, Hook, HookId, Reading, Request, Work};
use clawhook_model::{
    AgentId, DeliveryMode, HOPS_HEADER, HookRequestId, Provenance, RecordedHeaders, RunId, RunState,
    TRAIL_HEADER, UnixMs, WakeMode,
};
use clawhook_store::{
    AcceptHook, HookAccepted, HookAsk, HookKey, HookOutcome, NewHookRequest, RefusedLoop, RunRecord, Topic,
};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::Verbs;
use super::standing::job_of;
use super::{Completion, HookVerbError};
use crate::hooks::{BeingAnswered, Hooks, Origin, asks_of};

/// How long a caller is kept waiting at most for the end of what it asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// How long after a run's end its delivery is waited for.
const DELIVERY_WAIT: Duration = Duration::from_secs(10);
/// How long a waiting caller rests at most between two looks, although nothing was told.
const LONGEST_REST: Duration = Duration::from_millis(50);
/// Parts of names of headers whose values are secrets.
const SECRET_HEADERS: [&str; 7] =
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];

/// A request that was let in, with what is known of its sender.
pub(crate) struct Incoming<'a> {
    /// The request.
    pub(crate) request: Request<'a>,
    /// Its bytes once more, for the store.
    pub(crate) body: Bytes,
    /// Who sent it; none where a person repeats it.
    pub(crate) client: Option<IpAddr>,
    /// The request that it repeats.
    pub(crate) replay_of: Option<HookRequestId>,
}

/// A request that was taken.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The answer, which is the same however often the request is made; and the runs whose end is waited for.
    Answer {
        /// The answer.
        body: Value,
        /// The runs.
        waits_for: Vec<RunId>,
        /// Until this is dropped the same request is not answered once more.
        being_answered: Option<BeingAnswered>,
    },
    /// The hook does not want it.
    Ignored,
    /// The service wants to know whether anybody is here.
    Challenge(String),
}

impl Verbs {
    /// The hooks that there are.
    pub(crate) fn hooks(&self) -> Option<&Hooks> {
        self.with.hooks.as_ref()
    }

    /// Takes a request that found its hook.
    pub(crate) async fn take_hook(
        &self,
        call: Call<'_>,
        incoming: Incoming<'_>,
    ) -> Result<Taken, HookVerbError> {
        let hook = call.hook();
        let now = incoming.request.received_at;
        if self.with.stopping.is_cancelled() {
            return Err(HookVerbError::Stopping);
        }
        if let (Some(most), Some(hooks)) = (hook.limits().rate_per_minute, &self.with.hooks) {
            hooks.rates.take(hook.id(), most, now).map_err(|wait| HookVerbError::TooMany { wait })?;
        }
        let provenance = self.provenance_of(hook, &incoming.request).await?;
        let Asked { work, identity, dropped } = match call.read(&incoming.request)? {
            Reading::Challenge(text) => return Ok(Taken::Challenge(text)),
            Reading::Ignored(why) => {
                let answer = json!({ "ignored": why.as_str() });
                self.keep_request(hook, &incoming, Vec::new(), None, answer).await?;
                return Ok(Taken::Ignored);
            }
            Reading::Asks(asked) => asked,
        };
        if dropped > 0 {
            tracing::warn!(hook = %hook.id(), dropped, "elements of a request are left out, because one request may not ask for more");
        }
        let waits = work.iter().any(|work| matches!(work, Work::Agent(work) if work.wait));
        let mode = work.iter().find_map(|work| match work {
            Work::Wake(wake) => Some(wake.mode),
            _ => None,
        });
        let request_id = HookRequestId::new(now);
        let job_id = job_of(hook.id());
        let instance = self.with.engine.instance();
        let origin =
            Origin { hook, job_id: &job_id, request: request_id, provenance: &provenance, instance, now };
        let asks = asks_of(origin, work);
        self.check_work(hook, &asks)?;
        let base = self.with.hooks.as_ref().map_or("", |hooks| hooks.set.path());
        let answer = answer_of(&asks, base);
        let key = identity.map(|identity| HookKey { key: identity.key, work: identity.work });
        let (goes_on, being_answered) = self.begin_answer(key, waits);
        let accepted = self.keep(hook, request_id, &incoming, asks, key, answer.clone()).await?;
        let body = match (accepted, mode) {
            (HookAccepted::KeyReused { request }, _) => return Err(HookVerbError::KeyReused(request)),
            (HookAccepted::Repeated { .. }, _) if goes_on => return Err(HookVerbError::BeingAnswered),
            (HookAccepted::Repeated { answer, .. }, _) => answer,
            (HookAccepted::Done(outcome), Some(mode)) => woken(mode, outcome),
            _ => answer,
        };
        let waits_for = if waits { runs_in(&body) } else { Vec::new() };
        Ok(Taken::Answer { body, waits_for, being_answered })
    }

    /// Whether a request of this key is being answered already; and the note that this one is, where its caller waits.
    fn begin_answer(&self, key: Option<HookKey>, waits: bool) -> (bool, Option<BeingAnswered>) {
        let (Some(HookKey { key, .. }), Some(hooks)) = (key, &self.with.hooks) else { return (false, None) };
        if !waits {
            return (hooks.answering.goes_on(&key), None);
        }
        let being_answered = hooks.answering.begin(key);
        (being_answered.is_none(), being_answered)
    }

    /// What led to a request, one hop further; beyond the bound it is refused, and that is told.
    async fn provenance_of(&self, hook: &Hook, request: &Request<'_>) -> Result<Provenance, HookVerbError> {
        let header = |name| request.head.header(name);
        let Some(told) = Provenance::of_request(header(HOPS_HEADER), header(TRAIL_HEADER), request.body)
        else {
            return Ok(Provenance::default());
        };
        let broken = match told.caused(self.with.engine.max_hops()) {
            Ok(provenance) => return Ok(provenance),
            Err(broken) => broken,
        };
        tracing::warn!(hook = %hook.id(), hops = broken.hops, "a request is refused that goes round in a circle");
        let refused = RefusedLoop {
            job_id: job_of(hook.id()),
            job_name: format!("hook-{}", hook.id()),
            agent_id: AgentId::main(),
            broken: broken.clone(),
        };
        self.with.store.tell_of_loop(refused, request.received_at).await?;
        Err(HookVerbError::Loop(broken))
    }

    /// Refuses what no agent could do, while the caller is there to hear of it.
    pub(super) fn check_work(&self, hook: &Hook, asks: &[HookAsk]) -> Result<(), HookVerbError> {
        for ask in asks {
            let run = match ask {
                HookAsk::Run(run) => Some(&**run),
                HookAsk::Wake(wake) => wake.run.as_ref(),
                HookAsk::Event(_) => None,
            };
            let Some(run) = run else { continue };
            if hook.callback().is_some() && matches!(run.work.delivery.mode, DeliveryMode::Announce(_)) {
                return Err(HookVerbError::Unfit {
                    message:
                        "the hook has a callback, and a result goes to that or to a channel, not to both"
                            .to_owned(),
                    hint: Some("leave `channel` and `to` out, or take `callback` from the hook".to_owned()),
                });
            }
            self.with.agents.check(&run.run.agent_id, &run.work).map_err(|error| HookVerbError::Unfit {
                message: error.to_string(),
                hint: Some(error.hint()),
            })?;
        }
        Ok(())
    }

    /// Records a request that asks for nothing.
    async fn keep_request(
        &self,
        hook: &Hook,
        incoming: &Incoming<'_>,
        asks: Vec<HookAsk>,
        key: Option<HookKey>,
        answer: Value,
    ) -> Result<HookAccepted, HookVerbError> {
        let id = HookRequestId::new(incoming.request.received_at);
        self.keep(hook, id, incoming, asks, key, answer).await
    }

    /// Has the store keep a request with what it asks for.
    async fn keep(
        &self,
        hook: &Hook,
        id: HookRequestId,
        incoming: &Incoming<'_>,
        asks: Vec<HookAsk>,
        key: Option<HookKey>,
        answer: Value,
    ) -> Result<HookAccepted, HookVerbError> {
        let head = &incoming.request.head;
        let sub_path = self.with.hooks.as_ref().and_then(|hooks| hooks.set.sub_path(head.path));
        let request = NewHookRequest {
            id,
            path: sub_path.unwrap_or(head.path).to_owned(),
            client: incoming.client.map(|client| client.to_string()),
            headers: json!(recorded(head.headers)),
            body: incoming.body.clone(),
            answer,
            replay_of: incoming.replay_of,
        };
        let accept =
            AcceptHook { job_id: job_of(hook.id()), request, key, depth: hook.limits().queue_depth, asks };
        match self.with.store.accept_hook(accept, incoming.request.received_at).await? {
            HookAccepted::Full { waiting } => Err(HookVerbError::Full { waiting }),
            HookAccepted::Disabled => Err(HookVerbError::Disabled),
            HookAccepted::NoHook => Err(HookVerbError::NoSuchHook(hook.id().to_string())),
            accepted => Ok(accepted),
        }
    }

    /// Waits for the end of runs, and for their deliveries a little; no longer than a caller is kept waiting, and not at all
    /// where too many wait already. None where one is not over by then.
    pub(crate) async fn hook_completion(
        &self,
        runs: &[RunId],
        output: bool,
    ) -> Result<Option<Completion>, HookVerbError> {
        let Some(hooks) = &self.with.hooks else { return Ok(None) };
        let Ok(_place) = hooks.waiting.try_acquire() else { return Ok(None) };
        let Some(run) = runs.first() else { return Ok(None) };
        let record = self.over(*run, Instant::now() + LONGEST_WAIT).await?;
        Ok(record.and_then(|record| Completion::of(&record, output)))
    }

    async fn over(&self, run: RunId, deadline: Instant) -> Result<Option<RunRecord>, HookVerbError> {
        let mut settled = self.with.store.subscribe(Topic::Settled);
        let (mut until, mut is_over) = (deadline, false);
        loop {
            settled.mark_unchanged();
            let Some(record) = self.with.store.run(run).await? else { return Ok(None) };
            let is_delivered =
                record.deliveries.iter().all(|delivery| !delivery.required || delivery.state.is_settled());
            let was_over = std::mem::replace(&mut is_over, record.run.progress.state() == RunState::Finished);
            if is_over && is_delivered {
                return Ok(Some(record));
            }
            if is_over && !was_over {
                until = deadline.min(Instant::now() + DELIVERY_WAIT);
            }
            let news = async {
                tokio::time::sleep(LONGEST_REST).await;
                settled.changed().await
            };
            tokio::select! {
                biased;
                () = self.with.stopping.cancelled() => return Ok(Some(record)),
                () = tokio::time::sleep_until(until) => return Ok(Some(record)),
                news = news => if news.is_err() { return Ok(Some(record)) },
            }
        }
    }

    /// A run that a hook's request asked for, with that hook.
    pub(crate) async fn hook_run(
        &self,
        run: RunId,
    ) -> Result<Option<(HookId, UnixMs, RunRecord)>, HookVerbError> {
        let Some(request) = self.with.store.hook_request_of(run).await? else { return Ok(None) };
        let Some(hook) = super::standing::hook_of(&request.job_id) else { return Ok(None) };
        let record = self.with.store.run(run).await?;
        Ok(record.map(|record| (hook, request.received_at, record)))
    }
}

/// The answer to a request that asks for this, in OpenClaw's words, and where to look what becomes of it.
fn answer_of(asks: &[HookAsk], base: &str) -> Value {
    let runs: Vec<RunId> = asks
        .iter()
        .filter_map(|ask| match ask {
            HookAsk::Run(run) => Some(run.run.id),
            _ => None,
        })
        .collect();
    let events: Vec<String> = asks
        .iter()
        .filter_map(|ask| match ask {
            HookAsk::Event(event) => Some(event.id.to_string()),
            _ => None,
        })
        .collect();
    let status_url = |run: &RunId| format!("{base}/runs/{run}");
    match (runs.as_slice(), events.as_slice()) {
        ([only], _) => json!({ "ok": true, "runId": only, "statusUrl": status_url(only) }),
        ([first, ..], _) => json!({
            "ok": true, "runId": first, "statusUrl": status_url(first), "runIds": runs, "dispatched": runs.len(),
        }),
        ([], [only]) => json!({ "ok": true, "eventId": only }),
        ([], [first, ..]) => {
            json!({ "ok": true, "eventId": first, "eventIds": events, "dispatched": events.len() })
        }
        ([], []) => json!({ "ok": true }),
    }
}

/// The answer to whoever left a text.
fn woken(mode: WakeMode, outcome: HookOutcome) -> Value {
    json!({ "ok": true, "mode": mode.as_str(), "eventOutcome": outcome.as_str() })
}

/// The runs that an answer names.
fn runs_in(answer: &Value) -> Vec<RunId> {
    answer["runId"].as_str().and_then(|run| run.parse().ok()).into_iter().collect()
}

/// The headers as they are kept, without secrets.
fn recorded(headers: &HeaderMap) -> RecordedHeaders {
    RecordedHeaders::record(headers.iter().map(|(name, value)| {
        let is_secret = SECRET_HEADERS.iter().any(|part| name.as_str().contains(part));
        (name.as_str(), if is_secret { &b"***"[..] } else { value.as_bytes() })
    }))
}
