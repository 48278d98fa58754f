//! Requests from outside: `hooks`.
//!
//! Each part is read with its own place; what holds between them is the rule of `clawhook_inbound`, whose problems are
//! told at the place of the key that they name.

pub(super) mod keys;
mod raw;
mod setting;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawhook_delivery::Guard;
use clawhook_delivery::signature::generic::{HmacScheme, SignedMessage};
use clawhook_inbound::{
    Action, AgentRules, DefinitionProblem, Delivery, Filter, FilterTest, HookDefinition, HookField, HookId,
    HookSet, HooksDefinition, Limits, Matching, Scheme, SchemeKeyError, SessionRules, SignatureCheck,
    TokenDefinition, Transform,
};
use clawhook_model::{AgentId, SecretSource, SecretText, WebhookTarget};
use jsonc_parser::common::Range;

pub(super) use self::raw::RawHooks;
use self::raw::{RawFilter, RawLimits, RawMapping, RawSignature, RawToken};
use self::setting::{ActionName, Receiver, SchemeName};
use super::agents::AgentsConfig;
use super::block::{Written, shorten};
use super::channels::ChannelsConfig;
use super::resolve::Resolver;

/// What `hooks.token` is called among the tokens.
const DEFAULT_TOKEN: &str = "default";

/// The places of what was written, for the problems that show themselves only between the parts.
struct Places {
    block: Option<Range>,
    default_session_key: Option<Range>,
    prefixes: Option<Range>,
    mappings: Vec<MappingPlaces>,
}

struct MappingPlaces {
    whole: Range,
    id: Option<Range>,
    path: Option<Range>,
    signature: Option<Range>,
    agent_id: Option<Range>,
    session_key: Option<Range>,
    session_mode: Option<Range>,
}

impl MappingPlaces {
    fn of(raw: &RawMapping) -> Self {
        Self {
            whole: raw.at,
            id: at(raw.id.as_ref()),
            path: at(raw.path.as_ref()),
            signature: raw.signature.as_ref().map(|signature| signature.at),
            agent_id: at(raw.agent_id.as_ref()),
            session_key: at(raw.session_key.as_ref()),
            session_mode: at(raw.session_mode.as_ref()),
        }
    }

    fn at(&self, field: HookField) -> Range {
        let part = match field {
            HookField::Id => self.id,
            HookField::Match => self.path,
            HookField::Signature => self.signature,
            HookField::AgentId => self.agent_id,
            HookField::SessionKey => self.session_key,
            HookField::SessionMode => self.session_mode,
            _ => None,
        };
        part.unwrap_or(self.whole)
    }
}

impl Resolver<'_, '_> {
    /// The hooks, where they are on. What is written is checked in any case.
    pub(super) fn hooks(
        &mut self,
        raw: RawHooks,
        known: (&AgentsConfig, &ChannelsConfig),
        gateway_token: Option<&SecretText>,
    ) -> Option<HookSet> {
        let is_on = keys::ENABLED.or_default(raw.enabled.clone());
        let places = Places {
            block: raw.at,
            default_session_key: at(raw.default_session_key.as_ref()),
            prefixes: at(raw.prefixes.as_ref()),
            mappings: raw.mappings.iter().map(MappingPlaces::of).collect(),
        };
        let is_written = is_on || !raw.mappings.is_empty();
        let tokens_before = (raw.token.is_some(), raw.tokens.len());
        let enabled_at = at(raw.enabled.as_ref());
        let definition = self.hooks_definition(raw, known, gateway_token);
        if !is_written {
            return None;
        }
        let has_signed = definition.hooks.iter().any(|hook| hook.signature.is_some());
        if is_on && tokens_before == (false, 0) && !has_signed {
            let message = "hooks.enabled requires hooks.token".to_owned();
            let hint = "set `hooks.token`, or give each mapping a `signature`";
            self.findings.report(enabled_at, message, Some(hint.to_owned()));
            return None;
        }
        match HookSet::new(definition) {
            Ok(set) => is_on.then_some(set),
            // What the parts lack was told already, and would be told again of the whole.
            Err(_) if !self.findings.is_empty() => None,
            Err(problems) => {
                // Hooks that are off may still lack what they are called with.
                let counts = |problem: &DefinitionProblem| is_on || problem.field != HookField::Signature;
                problems.into_iter().filter(counts).for_each(|problem| self.report_problem(problem, &places));
                None
            }
        }
    }

    /// Refuses receivers where no webhook may go, while somebody is looking.
    pub(super) fn check_hook_receivers(&mut self, raw: &RawHooks, guard: &Guard) {
        let one = |receiver: &Option<Written<Receiver>>| {
            receiver.iter().map(|receiver| (receiver.value.clone(), receiver.at)).collect::<Vec<_>>()
        };
        let mut receivers = one(&raw.callback);
        for mapping in &raw.mappings {
            receivers.extend(one(&mapping.callback));
            if let Some(list) = &mapping.destinations {
                receivers.extend(list.value.iter().map(|receiver| (receiver.clone(), list.at)));
            }
        }
        for (receiver, at) in receivers {
            let WebhookTarget::Url(url) = receiver.0 else { continue };
            if let Err(refusal) = guard.check_url(&url) {
                let message = format!("`hooks` sends to a place where no webhook may go: {refusal}");
                self.findings.report(Some(at), message, Some(refusal.hint()));
            }
        }
    }

    fn report_problem(&mut self, problem: DefinitionProblem, places: &Places) {
        let DefinitionProblem { hook, field, message, hint } = problem;
        let mapping = hook.and_then(|place| Some((place, places.mappings.get(place)?)));
        let (place, message) = match (mapping, field) {
            (Some((place, mapping)), field) => {
                (Some(mapping.at(field)), format!("`hooks.mappings[{place}]`: {message}"))
            }
            (None, HookField::DefaultSessionKey) => {
                (places.default_session_key, format!("`hooks.defaultSessionKey`: {message}"))
            }
            (None, HookField::AllowedSessionKeyPrefixes) => {
                (places.prefixes, format!("`hooks.allowedSessionKeyPrefixes` {message}"))
            }
            (None, _) => (places.block, format!("`hooks`: {message}")),
        };
        self.findings.report(place, message, hint);
    }

    fn hooks_definition(
        &mut self,
        raw: RawHooks,
        (agents, channels): (&AgentsConfig, &ChannelsConfig),
        gateway_token: Option<&SecretText>,
    ) -> HooksDefinition {
        let limits = Limits {
            max_concurrent_runs: keys::MAX_CONCURRENT.or_default(raw.limits.max_concurrent),
            queue_depth: keys::QUEUE_DEPTH.or_default(raw.limits.queue_depth),
            rate_per_minute: raw.limits.rate.map(|rate| rate.value),
            paused: keys::PAUSED.or_default(raw.limits.paused),
        };
        let return_output = keys::RETURN_OUTPUT.or_default(raw.return_output);
        let mut hooks = Vec::new();
        for (place, mapping) in raw.mappings.into_iter().enumerate() {
            hooks.push(self.mapping(place, mapping, &limits, return_output));
        }
        for preset in keys::PRESETS.or_default(raw.presets) {
            hooks.push(HookDefinition { limits, return_output, ..preset.hook() });
        }
        let known: BTreeSet<AgentId> = agents.entries.keys().cloned().collect();
        let prefixes = keys::PREFIXES.or_default(raw.prefixes);
        HooksDefinition {
            path: keys::PATH.or_default(raw.path).0,
            max_body_bytes: keys::MAX_BODY_BYTES.or_default(raw.max_body_bytes),
            tokens: self.hook_tokens(raw.token, raw.tokens, &known, &hooks, gateway_token),
            agents: AgentRules {
                allowed: raw.allowed_agent_ids.and_then(|allowed| self.allowed_agents(allowed, &known)),
                known,
                default: AgentId::main(),
            },
            sessions: SessionRules {
                default_key: raw.default_session_key.map(|key| key.value),
                allow_request: keys::ALLOW_REQUEST_SESSION_KEY.or_default(raw.allow_request_session_key),
                prefixes: prefixes.iter().map(|prefix| prefix.trim().to_lowercase()).collect(),
            },
            channels: channels.kinds(),
            limits,
            callback: raw.callback.map(|callback| callback.value.0),
            return_output,
            hooks,
        }
    }

    /// The list of agents; none is all of them. An agent that there is not is most likely misspelt.
    fn allowed_agents(
        &mut self,
        written: Written<Vec<setting::AllowedAgent>>,
        known: &BTreeSet<AgentId>,
    ) -> Option<BTreeSet<AgentId>> {
        let agents: Option<BTreeSet<AgentId>> = written.value.into_iter().map(|agent| agent.0).collect();
        for unknown in agents.iter().flatten().filter(|agent| !known.contains(agent)) {
            self.unknown_agent("hooks.allowedAgentIds", unknown, known, written.at);
        }
        agents
    }

    fn unknown_agent(&mut self, path: &str, agent: &AgentId, known: &BTreeSet<AgentId>, at: Range) {
        let names: Vec<&str> = known.iter().map(AgentId::as_str).collect();
        let message = format!("`{path}` names the agent `{agent}`, which there is not");
        self.findings.report(Some(at), message, Some(format!("there are {}", names.join(", "))));
    }

    fn hook_tokens(
        &mut self,
        token: Option<Written<SecretSource>>,
        tokens: Vec<RawToken>,
        agents: &BTreeSet<AgentId>,
        hooks: &[HookDefinition],
        gateway_token: Option<&SecretText>,
    ) -> Vec<TokenDefinition> {
        let mut read: Vec<TokenDefinition> = Vec::new();
        let token_at = at(token.as_ref());
        if let Some(token) = self.secret(keys::TOKEN.path, token) {
            let name = DEFAULT_TOKEN.to_owned();
            let definition = TokenDefinition {
                name,
                token,
                hooks: None,
                agents: None,
                allow_unsafe_external_content: false,
            };
            self.add_token(&mut read, definition, keys::TOKEN.path, token_at, gateway_token);
        }
        for raw in tokens {
            let name = raw.name.value;
            let path = format!("hooks.tokens.{}", shorten(&name));
            for hook in raw.hooks.iter().flat_map(|hooks| &hooks.value) {
                let is_known = *hook == HookId::agent()
                    || *hook == HookId::wake()
                    || hooks.iter().any(|known| known.id == *hook);
                if !is_known {
                    let message = format!("`{path}.hooks` names the hook `{hook}`, which there is not");
                    self.findings.report(at(raw.hooks.as_ref()), message, None);
                }
            }
            for agent in raw.agents.iter().flat_map(|agents| &agents.value) {
                if let (false, Some(written)) = (agents.contains(&agent.0), &raw.agents) {
                    self.unknown_agent(&format!("{path}.agentIds"), &agent.0, agents, written.at);
                }
            }
            if name == DEFAULT_TOKEN {
                let message = format!("`{path}` has the name of `hooks.token`");
                self.findings.report(Some(raw.name.at), message, Some("choose another".to_owned()));
            }
            let token_at = at(raw.token.as_ref());
            let Some(token) = self.secret(&format!("{path}.token"), raw.token) else { continue };
            let definition = TokenDefinition {
                name,
                token,
                hooks: raw.hooks.map(|hooks| hooks.value.into_iter().collect()),
                agents: raw.agents.map(|agents| agents.value.into_iter().map(|agent| agent.0).collect()),
                allow_unsafe_external_content: keys::TOKEN_UNSAFE.or_default(raw.is_unsafe),
            };
            self.add_token(&mut read, definition, &format!("{path}.token"), token_at, gateway_token);
        }
        read
    }

    /// Adds a token, unless it opens something else already: then nobody could tell what its holder may.
    fn add_token(
        &mut self,
        tokens: &mut Vec<TokenDefinition>,
        definition: TokenDefinition,
        path: &str,
        at: Option<Range>,
        gateway_token: Option<&SecretText>,
    ) {
        let text = definition.token.expose().trim();
        let twin = tokens.iter().find(|token| token.token.expose().trim() == text);
        let message = if text.is_empty() {
            format!("`{path}` is blank")
        } else if gateway_token.is_some_and(|token| token.expose().trim() == text) {
            format!("`{path}` is the token of the gateway, and whoever may call a hook could do everything")
        } else if let Some(twin) = twin {
            format!("`{path}` is the token `{}` as well", twin.name)
        } else {
            tokens.push(definition);
            return;
        };
        let hint = "make one with: openssl rand -base64 32".to_owned();
        self.findings.report(at, message, Some(hint));
    }

    fn mapping(
        &mut self,
        place: usize,
        mut raw: RawMapping,
        limits: &Limits,
        return_output: bool,
    ) -> HookDefinition {
        let path = format!("hooks.mappings[{place}]");
        let id = match raw.id.take() {
            Some(id) => id.value,
            None => counted_id(place),
        };
        let signature = raw.signature.take().and_then(|signature| self.signature(&path, signature));
        let filters = std::mem::take(&mut raw.filters);
        let action = self.action(&path, &raw);
        let text = self.text(&path, &mut raw, action);
        let delivery = self.hook_delivery(&path, &mut raw);
        HookDefinition {
            matching: Matching {
                path: raw.path.map(|path| path.value.0),
                source: raw.source.map(|source| source.value),
            },
            signature: signature.map(Arc::new),
            filters: filters.into_iter().filter_map(|filter| self.filter(&path, filter)).collect(),
            action,
            wake_mode: keys::WAKE_MODE.or_default(raw.wake_mode),
            name: value(raw.name),
            agent_id: value(raw.agent_id),
            session_key: value(raw.session_key),
            session_mode: keys::SESSION_MODE.or_default(raw.session_mode),
            text,
            model: value(raw.model),
            thinking: value(raw.thinking),
            timeout: raw.timeout_seconds.map(|seconds| Duration::from_secs(seconds.value.into())),
            delivery,
            tools_allow: raw
                .tools_allow
                .map(|tools| tools.value.iter().map(|tool| tool.as_str().to_owned()).collect()),
            allow_unsafe_external_content: keys::UNSAFE.or_default(raw.is_unsafe),
            for_each: value(raw.for_each),
            transform: self.transform(&path, raw.transform),
            limits: own_limits(raw.limits, limits),
            callback: raw.callback.map(|callback| callback.value.0),
            return_output: value(raw.return_output).unwrap_or(return_output),
            ..HookDefinition::new(id)
        }
    }

    fn transform(&mut self, path: &str, raw: raw::RawTransform) -> Transform {
        if let Some(module) = raw.module.as_ref().map(|module| module.at).or(at(raw.export.as_ref())) {
            let message =
                format!("`{path}.transform` names a module of JavaScript, which clawhook does not run");
            let hint = "write what it makes of the payload as `transform.jq`, or the text as `transform.template`; \
                        docs/hooks.md shows how";
            self.findings.report(Some(module), message, Some(hint.to_owned()));
        }
        Transform { jq: value(raw.jq), template: value(raw.template) }
    }

    fn action(&mut self, path: &str, raw: &RawMapping) -> Action {
        let deliver_only = raw.deliver_only.as_ref().is_some_and(|written| written.value);
        if let (true, Some(action)) = (deliver_only, &raw.action) {
            let message = format!("`{path}.action` is of no use beside `deliverOnly`");
            self.findings.report(Some(action.at), message, Some("take one of the two out".to_owned()));
        }
        if deliver_only {
            let useless = [
                ("agentId", at(raw.agent_id.as_ref())),
                ("sessionKey", at(raw.session_key.as_ref())),
                ("sessionMode", at(raw.session_mode.as_ref())),
                ("messageTemplate", at(raw.message.as_ref())),
                ("wakeMode", at(raw.wake_mode.as_ref())),
                ("model", at(raw.model.as_ref())),
                ("thinking", at(raw.thinking.as_ref())),
                ("timeoutSeconds", at(raw.timeout_seconds.as_ref())),
                ("toolsAllow", at(raw.tools_allow.as_ref())),
                ("allowUnsafeExternalContent", at(raw.is_unsafe.as_ref())),
                ("deliver", at(raw.deliver.as_ref())),
                ("callback", at(raw.callback.as_ref())),
                ("returnOutput", at(raw.return_output.as_ref())),
            ];
            for (key, at) in useless.into_iter().filter(|(_, at)| at.is_some()) {
                self.findings.report(at, format!("`{path}.{key}` is of no use beside `deliverOnly`"), None);
            }
            return Action::DeliverOnly;
        }
        match raw.action.as_ref().map(|action| action.value) {
            Some(ActionName::Wake) => {
                let useless = [
                    ("name", at(raw.name.as_ref())),
                    ("sessionMode", at(raw.session_mode.as_ref())),
                    ("model", at(raw.model.as_ref())),
                    ("thinking", at(raw.thinking.as_ref())),
                    ("timeoutSeconds", at(raw.timeout_seconds.as_ref())),
                    ("toolsAllow", at(raw.tools_allow.as_ref())),
                    ("deliver", at(raw.deliver.as_ref())),
                    ("channel", at(raw.channel.as_ref())),
                    ("to", at(raw.to.as_ref())),
                    ("accountId", at(raw.account_id.as_ref())),
                    ("destinations", at(raw.destinations.as_ref())),
                    ("callback", at(raw.callback.as_ref())),
                    ("returnOutput", at(raw.return_output.as_ref())),
                ];
                for (key, at) in useless.into_iter().filter(|(_, at)| at.is_some()) {
                    let message = format!("`{path}.{key}` is of no use with the action \"wake\"");
                    self.findings.report(at, message, None);
                }
                Action::Wake
            }
            Some(ActionName::Agent) | None => Action::Agent,
        }
    }

    /// The template of what is told: `messageTemplate` for a turn, `textTemplate` for an event.
    fn text(
        &mut self,
        path: &str,
        raw: &mut RawMapping,
        action: Action,
    ) -> Option<clawhook_inbound::Template> {
        let (wanted, other, name, instead) = match action {
            Action::Agent => (raw.message.take(), raw.text.take(), "textTemplate", "messageTemplate"),
            Action::Wake => (raw.text.take(), raw.message.take(), "messageTemplate", "textTemplate"),
            Action::DeliverOnly => (raw.text.take(), None, "", ""),
        };
        if let Some(other) = other {
            let message = format!("`{path}.{name}` is of no use with this action");
            self.findings.report(Some(other.at), message, Some(format!("write `{instead}`")));
        }
        if let (Some(text), Some(_)) = (&wanted, &raw.transform.template) {
            let message = format!("`{path}` has a template beside `transform`, which makes the text");
            self.findings.report(Some(text.at), message, Some("take one of the two out".to_owned()));
        }
        wanted.map(|text| text.value)
    }

    fn hook_delivery(&mut self, path: &str, raw: &mut RawMapping) -> Delivery {
        let is_on = keys::DELIVER.or_default(raw.deliver.clone());
        let parts = [
            ("to", at(raw.to.as_ref()), raw.channel.is_some()),
            ("accountId", at(raw.account_id.as_ref()), raw.channel.is_some()),
            ("channel", at(raw.channel.as_ref()), raw.destinations.is_none()),
        ];
        for (key, at, is_fit) in parts {
            if let (Some(at), false) = (at, is_fit) {
                let message = match key {
                    "channel" => format!("`{path}` has `channel` and `destinations`"),
                    _ => format!("`{path}.{key}` needs `channel`"),
                };
                self.findings.report(Some(at), message, None);
            }
        }
        if let Some(channel) = raw.channel.as_ref()
            && channel.value.trim() != "last"
            && raw.to.is_none()
        {
            let message = format!("`{path}.channel` needs `to`");
            self.findings.report(Some(channel.at), message, Some("name the recipient".to_owned()));
        }
        match (raw.destinations.take(), raw.channel.take()) {
            _ if !is_on => Delivery::None,
            (Some(targets), _) => {
                Delivery::Webhook(targets.value.into_iter().map(|target| target.0).collect())
            }
            (None, Some(channel)) => Delivery::Announce {
                channel: channel.value.trim().to_lowercase(),
                to: raw.to.take().map(|to| to.value),
                account_id: raw.account_id.take().map(|account| account.value),
            },
            (None, None) => Delivery::None,
        }
    }

    fn filter(&mut self, path: &str, raw: RawFilter) -> Option<Filter> {
        if raw.tests != 1 {
            let message = format!("a filter of `{path}` must have one of `is`, `isNot` and `matches`");
            self.findings.report(Some(raw.at), message, None);
        }
        let is = raw.is.map(|texts| FilterTest::Is(texts.value));
        let is_not = raw.is_not.map(|texts| FilterTest::IsNot(texts.value));
        let matches = raw.matches.map(|pattern| pattern.value.0);
        Some(Filter { value: raw.value?.value, test: is.or(is_not).or(matches)? })
    }

    fn signature(&mut self, path: &str, raw: RawSignature) -> Option<SignatureCheck> {
        let path = format!("{path}.signature");
        let keys_at = at(raw.secret.as_ref()).or(at(raw.secrets.as_ref())).unwrap_or(raw.at);
        let mut secrets = Vec::new();
        if let (Some(_), Some(several)) = (&raw.secret, &raw.secrets) {
            let message = format!("`{path}` has `secret` and `secrets`");
            self.findings.report(Some(several.at), message, Some("take one of the two out".to_owned()));
        }
        secrets.extend(self.secret(&format!("{path}.secret"), raw.secret));
        if let Some(Written { value: sources, at }) = raw.secrets {
            for source in sources {
                let source = Written { value: source, at };
                secrets.extend(self.secret(&format!("{path}.secrets"), Some(source)));
            }
        }
        let name = raw.scheme?.value;
        let hmac_keys = [
            ("header", at(raw.header.as_ref())),
            ("algorithm", at(raw.algorithm.as_ref())),
            ("encoding", at(raw.encoding.as_ref())),
            ("prefix", at(raw.prefix.as_ref())),
            ("timestampHeader", at(raw.timestamp_header.as_ref())),
            ("signedContent", at(raw.signed_content.as_ref())),
        ];
        for (key, at) in hmac_keys.into_iter().filter(|(_, at)| at.is_some() && name != SchemeName::Hmac) {
            self.findings.report(
                at,
                format!("`{path}.{key}` has a place with the scheme \"hmac\" alone"),
                None,
            );
        }
        let has_time = match name {
            SchemeName::Github | SchemeName::Gitlab => false,
            SchemeName::Standard | SchemeName::Stripe | SchemeName::Slack => true,
            SchemeName::Hmac => raw.timestamp_header.is_some(),
        };
        if let (Some(tolerance), false) = (&raw.tolerance, has_time) {
            let message = format!("`{path}.tolerance` is of no use: what is signed has no time");
            self.findings.report(Some(tolerance.at), message, None);
        }
        let tolerance = keys::TOLERANCE.or_default(raw.tolerance);
        let scheme = match name {
            SchemeName::Standard => Scheme::Standard,
            SchemeName::Github => Scheme::Github,
            SchemeName::Gitlab => Scheme::Gitlab,
            SchemeName::Stripe => Scheme::Stripe,
            SchemeName::Slack => Scheme::Slack,
            SchemeName::Hmac => {
                let Some(header) = raw.header else {
                    let message =
                        format!("`{path}.header` is missing: it must name the header with the hash");
                    self.findings.report(Some(raw.at), message, None);
                    return None;
                };
                let timestamp = raw.timestamp_header.map(|header| header.value.0);
                let message = match raw.signed_content {
                    None if timestamp.is_some() => SignedMessage::timestamp_and_body(),
                    None => SignedMessage::body(),
                    Some(content) if content.value.has_timestamp() != timestamp.is_some() => {
                        let message = format!(
                            "`{path}.signedContent` and `timestampHeader` go together: a time that is not signed \
                             proves nothing"
                        );
                        let hint =
                            "write `{{timestamp}}` in the one and the header's name in the other, or neither";
                        self.findings.report(Some(content.at), message, Some(hint.to_owned()));
                        return None;
                    }
                    Some(content) => content.value,
                };
                Scheme::Hmac(Box::new(HmacScheme {
                    header: header.value.0,
                    algorithm: keys::ALGORITHM.or_default(raw.algorithm),
                    encoding: keys::ENCODING.or_default(raw.encoding),
                    prefix: value(raw.prefix).unwrap_or_default(),
                    timestamp,
                    message,
                }))
            }
        };
        match SignatureCheck::new(scheme, secrets.iter().map(SecretText::expose), tolerance) {
            Ok(check) => Some(check),
            // A secret that could not be read was told already.
            Err(SchemeKeyError::None) if keys_at != raw.at => None,
            Err(error) => {
                self.findings.report(Some(keys_at), format!("`{path}`: {error}"), None);
                None
            }
        }
    }
}

/// `mapping-<n>`.
fn counted_id(place: usize) -> HookId {
    let id = format!("mapping-{}", place + 1).parse();
    id.unwrap_or_else(|_| unreachable!("letters, a dash and digits are an id"))
}

fn own_limits(raw: RawLimits, all: &Limits) -> Limits {
    Limits {
        max_concurrent_runs: value(raw.max_concurrent).unwrap_or(all.max_concurrent_runs),
        queue_depth: value(raw.queue_depth).unwrap_or(all.queue_depth),
        rate_per_minute: value(raw.rate).or(all.rate_per_minute),
        paused: value(raw.paused).unwrap_or(all.paused),
    }
}

fn value<T>(written: Option<Written<T>>) -> Option<T> {
    written.map(|written| written.value)
}

fn at<T>(written: Option<&Written<T>>) -> Option<Range> {
    written.map(|written| written.at)
}
