//! All hooks together: which of them a request is for, and whether it may come in.

use std::collections::BTreeSet;

use clawhook_model::UnixMs;
use http::Method;

use crate::body;
use crate::call::Call;
use crate::definition::{
    AgentRules, DefinitionProblem, Delivery, HookDefinition, HookField, HookId, HooksDefinition, SessionRules,
};
use crate::hook::{Hook, HookKind};
use crate::refusal::{Refusal, Unproven};
use crate::request::{Head, Request};
use crate::token::{self, Token};
use crate::work::SessionMode;

/// All hooks of a gateway, ready to be used.
#[derive(Debug, Clone)]
pub struct HookSet {
    path: String,
    max_body_bytes: usize,
    pub(crate) tokens: Vec<Token>,
    /// `agent`, `wake`, and then the others in the order in which they are asked.
    hooks: Vec<Hook>,
    pub(crate) agents: AgentRules,
    pub(crate) sessions: SessionRules,
    pub(crate) channels: Vec<String>,
}

/// A request whose head was let in.
#[derive(Debug, Clone)]
pub struct Entry<'s> {
    /// The path below that of all hooks, without slashes around it.
    pub sub_path: String,
    /// Whose token it came with; without one it must be signed.
    pub caller: Option<&'s Token>,
}

impl HookSet {
    /// The hooks of a definition, or everything that does not hold in it.
    pub fn new(definition: HooksDefinition) -> Result<Self, Vec<DefinitionProblem>> {
        let problems = problems(&definition);
        if !problems.is_empty() {
            return Err(problems);
        }
        let built_in = |id, kind| Hook {
            id,
            kind,
            limits: definition.limits,
            callback: definition.callback.clone(),
            return_output: definition.return_output,
        };
        let mut hooks =
            vec![built_in(HookId::agent(), HookKind::Agent), built_in(HookId::wake(), HookKind::Wake)];
        hooks.extend(definition.hooks.into_iter().map(Hook::of));
        Ok(Self {
            path: definition.path,
            max_body_bytes: definition.max_body_bytes,
            tokens: definition.tokens.iter().map(Token::new).collect(),
            hooks,
            agents: definition.agents,
            sessions: definition.sessions,
            channels: definition.channels,
        })
    }

    /// All of them: `agent`, `wake`, and then the others in the order in which they are asked.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// The hook of this id.
    pub fn hook(&self, id: &HookId) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.id == *id)
    }

    /// The path below which they lie, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The largest body that is taken.
    pub fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// The part of a path below that of the hooks, without slashes around it; none where the path is not theirs.
    pub fn sub_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(self.path.as_str())?;
        (below.is_empty() || below.starts_with('/')).then(|| below.trim_matches('/'))
    }

    /// Lets a request in by its head, or refuses it before its body is read; none where its path is not that of hooks
    /// (contract §5.2). Who counts wrong tokens counts the refusals [`Refusal::Unauthorized`] of this and of
    /// [`HookSet::open`].
    pub fn enter(&self, head: &Head<'_>) -> Option<Result<Entry<'_>, Refusal>> {
        let sub_path = self.sub_path(head.path)?;
        Some(self.let_in(head, sub_path))
    }

    fn let_in(&self, head: &Head<'_>, sub_path: &str) -> Result<Entry<'_>, Refusal> {
        if head.query_value("token").is_some() {
            return Err(Refusal::TokenInQuery);
        }
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let caller = token::presented(head.headers).and_then(|given| token::holder(&self.tokens, given));
        let may_be_signed =
            || self.hooks.iter().any(|hook| hook.signature().is_some() && hook.is_at(sub_path));
        if caller.is_none() && !may_be_signed() {
            return Err(Refusal::Unauthorized(Unproven::Token));
        }
        if sub_path.is_empty() {
            return Err(Refusal::UnknownHook);
        }
        Ok(Entry { sub_path: sub_path.to_owned(), caller })
    }

    /// Opens a request that was let in, when its body is there: whether it is signed as it must be, whether it is JSON,
    /// which hook it is for, and whether its caller may use that.
    pub fn open<'s>(
        &'s self,
        entry: Entry<'s>,
        request: &Request<'_>,
        now: UnixMs,
    ) -> Result<Call<'s>, Refusal> {
        if request.body.len() > self.max_body_bytes {
            return Err(Refusal::TooLarge);
        }
        let here: Vec<&Hook> = self.hooks.iter().filter(|hook| hook.is_at(&entry.sub_path)).collect();
        // What has neither a token nor a right signature is not looked into.
        let verdicts: Vec<Result<(), Unproven>> = here.iter().map(|hook| hook.verify(request, now)).collect();
        if entry.caller.is_none() {
            let mut signed = here
                .iter()
                .zip(&verdicts)
                .filter(|(hook, _)| hook.signature().is_some())
                .map(|(_, verdict)| verdict);
            let first = signed.next().cloned().unwrap_or(Err(Unproven::Token));
            if first.is_err() && !signed.any(Result::is_ok) {
                return first.map_err(Refusal::Unauthorized).map(|()| unreachable!("it is an error"));
            }
        }
        let payload = body::payload(request.body)?;
        let (hook, verdict) =
            here.iter().zip(verdicts).find(|(hook, _)| hook.takes(&payload)).ok_or(Refusal::UnknownHook)?;
        verdict.map_err(Refusal::Unauthorized)?;
        match (hook.signature(), entry.caller) {
            (None, None) => return Err(Refusal::Unauthorized(Unproven::Token)),
            (None, Some(caller)) if !caller.may_use(&hook.id) => {
                let unproven =
                    Unproven::Rights { token: caller.name().to_owned(), hook: hook.id.to_string() };
                return Err(Refusal::Unauthorized(unproven));
            }
            _ => {}
        }
        // Rights come from what the hook asks for: where that is a signature, a token gives none.
        let caller = entry.caller.filter(|_| hook.signature().is_none());
        Ok(Call { set: self, hook, caller, sub_path: entry.sub_path, payload })
    }
}

/// Everything that does not hold between the parts of a definition.
fn problems(definition: &HooksDefinition) -> Vec<DefinitionProblem> {
    let mut checker = Checker { definition, found: Vec::new() };
    checker.default_session();
    let mut ids = BTreeSet::from([HookId::agent(), HookId::wake()]);
    for (place, hook) in definition.hooks.iter().enumerate() {
        if !ids.insert(hook.id.clone()) {
            checker.report(place, HookField::Id, format!("the hook `{}` is there twice", hook.id), None);
        }
        checker.matching(place, hook);
        checker.agent(place, hook);
        checker.session(place, hook);
        checker.delivery(place, hook);
    }
    checker.found
}

struct Checker<'d> {
    definition: &'d HooksDefinition,
    found: Vec<DefinitionProblem>,
}

impl Checker<'_> {
    fn report(&mut self, place: usize, field: HookField, message: String, hint: Option<&str>) {
        self.found.push(DefinitionProblem {
            hook: Some(place),
            field,
            message,
            hint: hint.map(str::to_owned),
        });
    }

    fn report_of_all(&mut self, field: HookField, message: String, hint: &str) {
        self.found.push(DefinitionProblem { hook: None, field, message, hint: Some(hint.to_owned()) });
    }

    fn default_session(&mut self) {
        let sessions = &self.definition.sessions;
        match &sessions.default_key {
            Some(key) if !sessions.admits(key) => {
                let message = format!("`{key}` begins with none of `hooks.allowedSessionKeyPrefixes`");
                self.report_of_all(
                    HookField::DefaultSessionKey,
                    message,
                    "add what it begins with to the list",
                );
            }
            None if !sessions.prefixes.is_empty()
                && !sessions.prefixes.iter().any(|p| "hook:".starts_with(p.as_str()) || p == "hook:") =>
            {
                let message =
                    "does not admit `hook:`, which the keys begin with that are made where none is named";
                let hint = "add \"hook:\", or set `hooks.defaultSessionKey`";
                self.report_of_all(HookField::AllowedSessionKeyPrefixes, message.to_owned(), hint);
            }
            _ => {}
        }
    }

    fn matching(&mut self, place: usize, hook: &HookDefinition) {
        let path = hook.matching.path.as_deref();
        if let Some(name @ ("agent" | "wake")) = path {
            let message = format!("`{name}` is a hook of the house, which comes before all others");
            self.report(place, HookField::Match, message, Some("choose another path"));
        }
        if hook.signature.is_some() && path.is_none() {
            let message = format!("the hook `{}` has a signature and takes every path", hook.id);
            let hint =
                "give it `match.path`, so that it is known by the path whose signature is to be verified";
            self.report(place, HookField::Match, message, Some(hint));
        }
        if hook.signature.is_none() && self.definition.tokens.is_empty() {
            let message = format!(
                "nobody could use the hook `{}`: it has no signature, and there is no token",
                hook.id
            );
            let hint = "give it `signature`, or set `hooks.token`";
            self.report(place, HookField::Signature, message, Some(hint));
        }
    }

    fn agent(&mut self, place: usize, hook: &HookDefinition) {
        if hook.action == crate::definition::Action::DeliverOnly {
            return;
        }
        let named = match &hook.agent_id {
            None => None,
            Some(template) => match template.as_fixed() {
                Some(name) => Some(name),
                None => return,
            },
        };
        match self.definition.agents.choose(named, None) {
            Ok(_) => {}
            Err(Refusal::UnknownAgent(name)) => {
                let known: Vec<String> =
                    self.definition.agents.known.iter().map(ToString::to_string).collect();
                let hint = format!("there are {}", known.join(", "));
                self.report(place, HookField::AgentId, format!("there is no agent `{name}`"), Some(&hint));
            }
            Err(_) => {
                let agent = named.unwrap_or(self.definition.agents.default.as_str());
                let message = format!(
                    "`hooks.allowedAgentIds` does not allow the agent `{agent}` of the hook `{}`",
                    hook.id
                );
                self.report(
                    place,
                    HookField::AgentId,
                    message,
                    Some("add it to the list, or name another agent"),
                );
            }
        }
    }

    fn session(&mut self, place: usize, hook: &HookDefinition) {
        let sessions = &self.definition.sessions;
        let Some(template) = &hook.session_key else {
            if hook.session_mode == SessionMode::Persistent && sessions.default_key.is_none() {
                let message = format!("the hook `{}` keeps a session that has no name", hook.id);
                self.report(place, HookField::SessionMode, message, Some("give it a `sessionKey`"));
            }
            return;
        };
        match template.as_fixed() {
            Some(key) => match sessions.templated(key) {
                Ok(Some(_)) => {}
                Ok(None) => self.report(place, HookField::SessionKey, "the key is empty".to_owned(), None),
                Err(refusal) => self.report(place, HookField::SessionKey, refusal.to_string(), None),
            },
            None if hook.is_preset => {}
            None if !sessions.allow_request || sessions.prefixes.is_empty() => {
                let message =
                    format!("`{}` lets whoever sends a request choose the session", template.source());
                let hint = "set `hooks.allowRequestSessionKey` to true and list in `hooks.allowedSessionKeyPrefixes` \
                            what keys may begin with, or write a fixed key";
                self.report(place, HookField::SessionKey, message, Some(hint));
            }
            None => {}
        }
    }

    fn delivery(&mut self, place: usize, hook: &HookDefinition) {
        use crate::definition::Action;
        if hook.action == Action::DeliverOnly && hook.delivery == Delivery::None {
            let message = format!("the hook `{}` sends its event on, and has no receiver", hook.id);
            let hint = "name `destinations`, or `channel` and `to`";
            self.report(place, HookField::Delivery, message, Some(hint));
        }
        if hook.action != Action::DeliverOnly && hook.text.is_none() && hook.transform.template.is_none() {
            let message = format!("the hook `{}` comes to no text", hook.id);
            let hint = "write `messageTemplate` (`textTemplate` with the action \"wake\"), or a `transform`";
            self.report(place, HookField::Text, message, Some(hint));
        }
    }
}
