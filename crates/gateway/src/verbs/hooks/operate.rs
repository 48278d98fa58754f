//! What operators do with hooks: look at them and at what was asked of them, try them out, halt them, have requests done
//! once more.

use std::time::Duration;

use bytes::Bytes;
use clawhook_inbound::{Head, Hook, HookId, HookKind, Reading, Request};
use clawhook_model::{HookRequestId, Job, Provenance};
use clawhook_store::{HookAsk, HookRequest, HookRequestFilter, HookState, RunRecord};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::super::{Verbs, shown};
use super::HookVerbError;
use super::accept::{Incoming, Taken};
use super::standing::{hook_of, job_of};
use crate::hooks::{Hooks, Origin, asks_of};

/// A hook, and how it stands.
pub(crate) struct HookDetail {
    /// As it is configured.
    pub(crate) hook: Hook,
    /// The path that it is at.
    pub(crate) path: String,
    /// Its standing job; none where another job has that id.
    pub(crate) job: Option<Job>,
    /// How it stands.
    pub(crate) state: Option<HookState>,
}

/// A request that is made to try a hook out.
pub(crate) struct TrialRequest {
    /// Its headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Its query, without the `?`.
    pub(crate) query: Option<String>,
    /// Its bytes.
    pub(crate) body: Bytes,
}

/// What a request would do.
pub(crate) struct HookTrial {
    /// Whether its signature is right; none where the hook has none.
    pub(crate) signed: Option<bool>,
    /// Why it would be ignored.
    pub(crate) ignored: Option<&'static str>,
    /// What would be answered to a service that asks whether anybody is here.
    pub(crate) challenge: Option<String>,
    /// How many elements would be left out.
    pub(crate) dropped: usize,
    /// Whether a second such request would be known for the same.
    pub(crate) has_identity: bool,
    /// What would be queued, piece by piece.
    pub(crate) asks: Vec<Value>,
}

/// A request, with its bytes and what became of it.
pub(crate) struct InspectedRequest {
    /// The request.
    pub(crate) request: HookRequest,
    /// Its bytes.
    pub(crate) body: Bytes,
    /// Its runs that are still known.
    pub(crate) runs: Vec<RunRecord>,
}

impl Verbs {
    fn hooks_on(&self) -> Result<&Hooks, HookVerbError> {
        self.with.hooks.as_ref().ok_or(HookVerbError::Off)
    }

    fn find_hook(&self, id: &str) -> Result<&Hook, HookVerbError> {
        let not_found = || HookVerbError::NoSuchHook(shown(id));
        let hook: HookId = id.parse().map_err(|_| not_found())?;
        self.hooks_on()?.set.hook(&hook).ok_or_else(not_found)
    }

    /// The hooks, in the order in which they are asked whether a request is theirs.
    pub(crate) async fn list_hooks(&self) -> Result<Vec<HookDetail>, HookVerbError> {
        let Some(hooks) = &self.with.hooks else { return Ok(Vec::new()) };
        let mut details = Vec::with_capacity(hooks.set.hooks().len());
        for hook in hooks.set.hooks() {
            details.push(self.hook_detail(hook).await?);
        }
        Ok(details)
    }

    async fn hook_detail(&self, hook: &Hook) -> Result<HookDetail, HookVerbError> {
        let job_id = job_of(hook.id());
        let states = self.with.store.hooks().await?;
        let state = states.into_iter().find(|state| state.job_id == job_id);
        let job = self.with.store.job(&job_id).await?.filter(|_| state.is_some());
        let base = self.with.hooks.as_ref().map_or("", |hooks| hooks.set.path());
        let below = match hook.kind() {
            HookKind::Agent | HookKind::Wake => hook.id().as_str(),
            HookKind::Mapping(definition) => definition.matching.path.as_deref().unwrap_or("*"),
        };
        Ok(HookDetail { path: format!("{base}/{below}"), hook: hook.clone(), job, state })
    }

    /// Has nothing more of what a hook accepts begin, or lets it begin again.
    pub(crate) async fn pause_hook(&self, id: &str, paused: bool) -> Result<HookDetail, HookVerbError> {
        let hook = self.find_hook(id)?;
        let job = job_of(hook.id());
        if !self.with.store.pause_hook(&job, paused, self.with.clock.now()).await? {
            return Err(HookVerbError::NoSuchHook(shown(id)));
        }
        self.hook_detail(hook).await
    }

    /// The requests of a hook, the newest first. Those of a hook that is configured no more can be read while there are any.
    pub(crate) async fn hook_requests(
        &self,
        id: &str,
        open: Option<bool>,
        before: Option<HookRequestId>,
        limit: usize,
    ) -> Result<Vec<HookRequest>, HookVerbError> {
        let hook: HookId = id.parse().map_err(|_| HookVerbError::NoSuchHook(shown(id)))?;
        let filter = HookRequestFilter { job_id: Some(job_of(&hook)), open, before, limit };
        let found = self.with.store.hook_requests(filter).await?;
        if found.is_empty() {
            self.find_hook(id)?;
        }
        Ok(found)
    }

    /// One request, its bytes, and its runs.
    pub(crate) async fn hook_request(&self, id: &str) -> Result<InspectedRequest, HookVerbError> {
        let not_found = || HookVerbError::NoSuchRequest(shown(id));
        let id: HookRequestId = id.parse().map_err(|_| not_found())?;
        let (request, body) = self.with.store.hook_request(id).await?.ok_or_else(not_found)?;
        let mut runs = Vec::with_capacity(request.runs.len());
        for run in &request.runs {
            runs.extend(self.with.store.run(*run).await?);
        }
        Ok(InspectedRequest { request, body, runs })
    }

    /// What a request to a hook would do; nothing of it is done.
    pub(crate) async fn try_hook(&self, id: &str, trial: TrialRequest) -> Result<HookTrial, HookVerbError> {
        let hook = self.find_hook(id)?;
        let set = &self.hooks_on()?.set;
        let now = self.with.clock.now();
        let headers = header_map(&trial.headers)?;
        let path = self.hook_detail(hook).await?.path.replace('*', hook.id().as_str());
        let head =
            Head { method: &Method::POST, path: &path, query: trial.query.as_deref(), headers: &headers };
        let request = Request { head, body: &trial.body, received_at: now };
        let signed = hook.signature().map(|_| set.is_signed(hook.id(), &request, now));
        let call = set.open_for_operator(hook.id(), &request)?;
        let mut outcome = HookTrial {
            signed,
            ignored: None,
            challenge: None,
            dropped: 0,
            has_identity: false,
            asks: Vec::new(),
        };
        match call.read(&request)? {
            Reading::Ignored(why) => outcome.ignored = Some(why.as_str()),
            Reading::Challenge(text) => outcome.challenge = Some(text),
            Reading::Asks(asked) => {
                let (job_id, provenance) = (job_of(hook.id()), Provenance::default());
                let origin = Origin {
                    hook,
                    job_id: &job_id,
                    request: HookRequestId::new(now),
                    provenance: &provenance,
                    instance: self.with.engine.instance(),
                    now,
                };
                let asks = asks_of(origin, asked.work);
                self.check_work(hook, &asks)?;
                outcome.dropped = asked.dropped;
                outcome.has_identity = asked.identity.is_some();
                outcome.asks = asks.iter().map(shown_ask).collect();
            }
        }
        Ok(outcome)
    }

    /// Has a request of the past done once more, by the hook as it is now. It is a request of its own.
    pub(crate) async fn replay_hook_request(
        &self,
        id: &str,
    ) -> Result<(HookRequestId, Taken), HookVerbError> {
        let InspectedRequest { request, body, .. } = self.hook_request(id).await?;
        if request.headers.is_null() {
            return Err(HookVerbError::Forgotten(request.id.to_string()));
        }
        let gone = || HookVerbError::NoSuchHook(request.job_id.to_string());
        let hook = hook_of(&request.job_id).ok_or_else(gone)?;
        let set = &self.hooks_on()?.set;
        let headers: Vec<(String, String)> =
            serde_json::from_value(request.headers.clone()).unwrap_or_default();
        let headers = header_map(&headers)?;
        let path = format!("{}/{}", set.path(), request.path);
        let head = Head { method: &Method::POST, path: &path, query: None, headers: &headers };
        let again = Request { head, body: &body, received_at: self.with.clock.now() };
        let call = set.open_for_operator(&hook, &again)?;
        let incoming =
            Incoming { request: again, body: body.clone(), client: None, replay_of: Some(request.id) };
        Ok((request.id, self.take_hook(call, incoming).await?))
    }
}

/// Headers as a request has them.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, HookVerbError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let bad = || HookVerbError::Unfit {
            message: format!("`{}` is not a header", shown(name)),
            hint: Some("write a header as `name: value`".to_owned()),
        };
        // What was left out of a record stands in it under this name.
        if name == "…" {
            continue;
        }
        let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
        map.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad())?);
    }
    Ok(map)
}

/// A piece of what a request would ask for, secrets masked.
fn shown_ask(ask: &HookAsk) -> Value {
    match ask {
        HookAsk::Run(run) => {
            let mut shown = run.work.shown_json();
            if let Some(shown) = shown.as_object_mut() {
                shown.retain(|key, _| !matches!(key.as_str(), "enabled" | "schedule" | "description"));
                shown.insert("sessionKey".to_owned(), json!(run.run.session.key));
            }
            json!({ "run": shown })
        }
        HookAsk::Wake(wake) => json!({
            "wake": {
                "text": wake.text, "agentId": wake.agent_id.as_str(), "sessionKey": wake.session.key,
                "mode": if wake.run.is_some() { "now" } else { "next-heartbeat" },
            },
        }),
        HookAsk::Event(event) => {
            let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
            let to: Vec<String> =
                event.deliveries.iter().map(|delivery| delivery.plan.target.shown()).collect();
            json!({ "event": { "body": body, "to": to } })
        }
    }
}

/// How long a hook that refuses for now asks its callers to wait.
pub(crate) const AGAIN_IN: Duration = Duration::from_secs(30);
