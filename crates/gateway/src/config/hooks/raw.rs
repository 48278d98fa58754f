//! Hooks as they were written.

use std::time::Duration;

use clawhook_delivery::signature::generic::{HmacAlgorithm, HmacEncoding, SignedMessage};
use clawhook_inbound::{HookId, JqProgram, Lookup, Preset, SessionMode, Template, TextTemplate};
use clawhook_model::{SecretSource, SessionName, WakeMode};
use jsonc_parser::common::Range;

use super::keys;
use super::setting::{
    ActionName, AllowedAgent, HeaderText, HookPath, Pattern, Receiver, SchemeName, SubPath, TokenAgent,
};
use crate::config::agents::setting::ToolPattern;
use crate::config::block::{Block, Written};
use crate::config::problem::Findings;

/// `hooks`.
#[derive(Default)]
pub(in crate::config) struct RawHooks {
    pub(super) at: Option<Range>,
    pub(super) enabled: Option<Written<bool>>,
    pub(super) token: Option<Written<SecretSource>>,
    pub(super) tokens: Vec<RawToken>,
    pub(super) path: Option<Written<HookPath>>,
    pub(in crate::config) slots: Option<Written<usize>>,
    pub(super) max_body_bytes: Option<Written<usize>>,
    pub(super) allowed_agent_ids: Option<Written<Vec<AllowedAgent>>>,
    pub(super) default_session_key: Option<Written<SessionName>>,
    pub(super) allow_request_session_key: Option<Written<bool>>,
    pub(super) prefixes: Option<Written<Vec<String>>>,
    pub(super) presets: Option<Written<Vec<Preset>>>,
    pub(super) limits: RawLimits,
    pub(super) callback: Option<Written<Receiver>>,
    pub(super) return_output: Option<Written<bool>>,
    pub(super) mappings: Vec<RawMapping>,
}

/// One of `hooks.tokens`.
pub(super) struct RawToken {
    pub(super) name: Written<String>,
    pub(super) token: Option<Written<SecretSource>>,
    pub(super) hooks: Option<Written<Vec<HookId>>>,
    pub(super) agents: Option<Written<Vec<TokenAgent>>>,
    pub(super) is_unsafe: Option<Written<bool>>,
}

/// `limits`, of all hooks or of one.
#[derive(Default)]
pub(super) struct RawLimits {
    pub(super) max_concurrent: Option<Written<u32>>,
    pub(super) queue_depth: Option<Written<u32>>,
    pub(super) rate: Option<Written<u32>>,
    pub(super) paused: Option<Written<bool>>,
}

/// One of `hooks.mappings`.
pub(super) struct RawMapping {
    pub(super) at: Range,
    pub(super) id: Option<Written<HookId>>,
    pub(super) path: Option<Written<SubPath>>,
    pub(super) source: Option<Written<String>>,
    pub(super) action: Option<Written<ActionName>>,
    pub(super) deliver_only: Option<Written<bool>>,
    pub(super) wake_mode: Option<Written<WakeMode>>,
    pub(super) name: Option<Written<Template>>,
    pub(super) agent_id: Option<Written<Template>>,
    pub(super) session_key: Option<Written<Template>>,
    pub(super) session_mode: Option<Written<SessionMode>>,
    pub(super) message: Option<Written<Template>>,
    pub(super) text: Option<Written<Template>>,
    pub(super) deliver: Option<Written<bool>>,
    pub(super) channel: Option<Written<String>>,
    pub(super) to: Option<Written<Template>>,
    pub(super) account_id: Option<Written<String>>,
    pub(super) destinations: Option<Written<Vec<Receiver>>>,
    pub(super) is_unsafe: Option<Written<bool>>,
    pub(super) tools_allow: Option<Written<Vec<ToolPattern>>>,
    pub(super) model: Option<Written<Template>>,
    pub(super) thinking: Option<Written<Template>>,
    pub(super) timeout_seconds: Option<Written<u32>>,
    pub(super) for_each: Option<Written<String>>,
    pub(super) transform: RawTransform,
    pub(super) signature: Option<RawSignature>,
    pub(super) filters: Vec<RawFilter>,
    pub(super) limits: RawLimits,
    pub(super) callback: Option<Written<Receiver>>,
    pub(super) return_output: Option<Written<bool>>,
}

/// `transform` of a mapping.
pub(super) struct RawTransform {
    pub(super) template: Option<Written<TextTemplate>>,
    pub(super) jq: Option<Written<JqProgram>>,
    pub(super) module: Option<Written<String>>,
    pub(super) export: Option<Written<String>>,
}

/// `signature` of a mapping.
pub(super) struct RawSignature {
    pub(super) at: Range,
    pub(super) scheme: Option<Written<SchemeName>>,
    pub(super) secret: Option<Written<SecretSource>>,
    pub(super) secrets: Option<Written<Vec<SecretSource>>>,
    pub(super) tolerance: Option<Written<Duration>>,
    pub(super) header: Option<Written<HeaderText>>,
    pub(super) algorithm: Option<Written<HmacAlgorithm>>,
    pub(super) encoding: Option<Written<HmacEncoding>>,
    pub(super) prefix: Option<Written<String>>,
    pub(super) timestamp_header: Option<Written<HeaderText>>,
    pub(super) signed_content: Option<Written<SignedMessage>>,
}

/// One of a mapping's `filters`.
pub(super) struct RawFilter {
    pub(super) at: Range,
    pub(super) value: Option<Written<Lookup>>,
    pub(super) is: Option<Written<Vec<String>>>,
    pub(super) is_not: Option<Written<Vec<String>>>,
    pub(super) matches: Option<Written<Pattern>>,
    /// How many of the three are written, whether or not they are well.
    pub(super) tests: usize,
}

impl RawHooks {
    /// Reads the block.
    pub(in crate::config) fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let mut tokens = Vec::new();
        for (name, mut entry) in block.entries("tokens", findings) {
            tokens.push(RawToken {
                name,
                token: entry.required(&keys::TOKENS_TOKEN, findings),
                hooks: entry.key(&keys::TOKENS_HOOKS, findings),
                agents: entry.key(&keys::TOKENS_AGENTS, findings),
                is_unsafe: entry.key(&keys::TOKEN_UNSAFE, findings),
            });
            entry.finish(findings);
        }
        let mut limits = block.block("limits", findings);
        let raw_limits = RawLimits {
            max_concurrent: limits.key(&keys::MAX_CONCURRENT, findings),
            queue_depth: limits.key(&keys::QUEUE_DEPTH, findings),
            rate: limits.key(&keys::RATE, findings),
            paused: limits.key(&keys::PAUSED, findings),
        };
        limits.finish(findings);
        let mappings = block.list("mappings", keys::MAPPINGS_EXPECTED, findings);
        let raw = Self {
            at: Some(block.at()),
            enabled: block.key(&keys::ENABLED, findings),
            token: block.key(&keys::TOKEN, findings),
            tokens,
            path: block.key(&keys::PATH, findings),
            slots: block.key(&keys::SLOTS, findings),
            max_body_bytes: block.key(&keys::MAX_BODY_BYTES, findings),
            allowed_agent_ids: block.key(&keys::ALLOWED_AGENT_IDS, findings),
            default_session_key: block.key(&keys::DEFAULT_SESSION_KEY, findings),
            allow_request_session_key: block.key(&keys::ALLOW_REQUEST_SESSION_KEY, findings),
            prefixes: block.key(&keys::PREFIXES, findings),
            presets: block.key(&keys::PRESETS, findings),
            limits: raw_limits,
            callback: block.key(&keys::CALLBACK, findings),
            return_output: block.key(&keys::RETURN_OUTPUT, findings),
            mappings: mappings.into_iter().map(|mapping| RawMapping::read(mapping, findings)).collect(),
        };
        block.finish(findings);
        raw
    }
}

impl RawMapping {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let mut matching = block.block("match", findings);
        let mut transform = block.block("transform", findings);
        let mut limits = block.block("limits", findings);
        let signature = block.has("signature").then(|| block.block("signature", findings));
        let filters = block.list("filters", keys::FILTERS_EXPECTED, findings);
        let raw = Self {
            at: block.at(),
            id: block.key(&keys::ID, findings),
            path: matching.key(&keys::MATCH_PATH, findings),
            source: matching.key(&keys::MATCH_SOURCE, findings),
            action: block.key(&keys::ACTION, findings),
            deliver_only: block.key(&keys::DELIVER_ONLY, findings),
            wake_mode: block.key(&keys::WAKE_MODE, findings),
            name: block.key(&keys::NAME, findings),
            agent_id: block.key(&keys::AGENT_ID, findings),
            session_key: block.key(&keys::SESSION_KEY, findings),
            session_mode: block.key(&keys::SESSION_MODE, findings),
            message: block.key(&keys::MESSAGE_TEMPLATE, findings),
            text: block.key(&keys::TEXT_TEMPLATE, findings),
            deliver: block.key(&keys::DELIVER, findings),
            channel: block.key(&keys::CHANNEL, findings),
            to: block.key(&keys::TO, findings),
            account_id: block.key(&keys::ACCOUNT_ID, findings),
            destinations: block.key(&keys::DESTINATIONS, findings),
            is_unsafe: block.key(&keys::UNSAFE, findings),
            tools_allow: block.key(&keys::TOOLS_ALLOW, findings),
            model: block.key(&keys::MODEL, findings),
            thinking: block.key(&keys::THINKING, findings),
            timeout_seconds: block.key(&keys::TIMEOUT_SECONDS, findings),
            for_each: block.key(&keys::FOR_EACH, findings),
            transform: RawTransform {
                template: transform.key(&keys::TEMPLATE, findings),
                jq: transform.key(&keys::JQ, findings),
                module: transform.key(&keys::MODULE, findings),
                export: transform.key(&keys::EXPORT, findings),
            },
            signature: signature.map(|signature| RawSignature::read(signature, findings)),
            filters: filters.into_iter().map(|filter| RawFilter::read(filter, findings)).collect(),
            limits: RawLimits {
                max_concurrent: limits.key(&keys::OWN_MAX_CONCURRENT, findings),
                queue_depth: limits.key(&keys::OWN_QUEUE_DEPTH, findings),
                rate: limits.key(&keys::OWN_RATE, findings),
                paused: limits.key(&keys::OWN_PAUSED, findings),
            },
            callback: block.key(&keys::MAPPING_CALLBACK, findings),
            return_output: block.key(&keys::MAPPING_RETURN_OUTPUT, findings),
        };
        matching.finish(findings);
        transform.finish(findings);
        limits.finish(findings);
        block.finish(findings);
        raw
    }
}

impl RawSignature {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let raw = Self {
            at: block.at(),
            scheme: block.required(&keys::SCHEME, findings),
            secret: block.key(&keys::SECRET, findings),
            secrets: block.key(&keys::SECRETS, findings),
            tolerance: block.key(&keys::TOLERANCE, findings),
            header: block.key(&keys::HEADER, findings),
            algorithm: block.key(&keys::ALGORITHM, findings),
            encoding: block.key(&keys::ENCODING, findings),
            prefix: block.key(&keys::PREFIX, findings),
            timestamp_header: block.key(&keys::TIMESTAMP_HEADER, findings),
            signed_content: block.key(&keys::SIGNED_CONTENT, findings),
        };
        block.finish(findings);
        raw
    }
}

impl RawFilter {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let raw = Self {
            at: block.at(),
            value: block.required(&keys::FILTER_VALUE, findings),
            is: block.key(&keys::FILTER_IS, findings),
            is_not: block.key(&keys::FILTER_IS_NOT, findings),
            matches: block.key(&keys::FILTER_MATCHES, findings),
            tests: ["is", "isNot", "matches"].into_iter().filter(|name| block.has(name)).count(),
        };
        block.finish(findings);
        raw
    }
}
