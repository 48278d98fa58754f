//! Providers as they were written.

use std::path::PathBuf;

use clawhook_model::SecretSource;
use jsonc_parser::common::Range;

use super::setting::{ApiName, ModelList};
use super::{ChatApi, PermissionRules, keys};
use crate::config::block::{Block, Written, shorten};
use crate::config::problem::Findings;
use crate::config::secret_map::{Headers, SecretMap, Variables};
use crate::config::setting::{Argument, BaseUrl};

/// One of `models.providers`.
pub(in crate::config) struct RawProvider {
    pub(super) name: Written<String>,
    pub(super) api: ApiName,
    pub(super) base_url: Option<Written<BaseUrl>>,
    pub(super) api_key: Option<Written<SecretSource>>,
    pub(super) headers: Option<Written<SecretMap<Headers>>>,
    pub(super) models: Option<Written<ModelList>>,
    pub(super) command: Option<Written<String>>,
    pub(super) args: Option<Written<Vec<Argument>>>,
    pub(super) env: Option<Written<SecretMap<Variables>>>,
    pub(super) cwd: Option<Written<PathBuf>>,
    pub(super) permissions: Option<Written<PermissionRules>>,
    pub(super) mode: Option<Written<String>>,
    pub(super) auth_method: Option<Written<String>>,
    pub(super) token: Option<Written<SecretSource>>,
    pub(super) session_key_prefix: Option<Written<String>>,
}

/// Reads `models`.
pub(in crate::config) fn read(mut models: Block<'_>, findings: &mut Findings) -> Vec<RawProvider> {
    let entries = models.entries("providers", findings);
    let providers =
        entries.into_iter().map(|(name, entry)| RawProvider::read(name, entry, findings)).collect();
    models.finish(findings);
    providers
}

impl RawProvider {
    fn read(name: Written<String>, mut entry: Block<'_>, findings: &mut Findings) -> Self {
        let api = keys::API.or_default(entry.key(&keys::API, findings));
        let needs_url = matches!(api, ApiName::OpenClawHooks | ApiName::Chat(ChatApi::OpenAiCompletions));
        let provider = Self {
            api,
            base_url: entry.key_if_required(&keys::BASE_URL, needs_url, findings),
            api_key: entry.key(&keys::API_KEY, findings),
            headers: entry.key(&keys::HEADERS, findings),
            models: entry.key(&keys::MODELS, findings),
            command: entry.key_if_required(&keys::COMMAND, api == ApiName::Acp, findings),
            args: entry.key(&keys::ARGS, findings),
            env: entry.key(&keys::ENV, findings),
            cwd: entry.key(&keys::CWD, findings),
            permissions: entry.key(&keys::PERMISSIONS, findings),
            mode: entry.key(&keys::MODE, findings),
            auth_method: entry.key(&keys::AUTH_METHOD, findings),
            token: entry.key_if_required(&keys::TOKEN, api == ApiName::OpenClawHooks, findings),
            session_key_prefix: entry.key(&keys::SESSION_KEY_PREFIX, findings),
            name,
        };
        entry.finish(findings);
        provider.report_useless(findings);
        provider
    }

    /// Tells of every key that the provider's API has no use for.
    fn report_useless(&self, findings: &mut Findings) {
        let useful: &[&str] = match self.api {
            ApiName::Chat(_) => &["baseUrl", "apiKey", "headers", "models"],
            ApiName::Acp => &["command", "args", "env", "cwd", "permissions", "mode", "authMethod", "models"],
            ApiName::OpenClawHooks => &["baseUrl", "token", "sessionKeyPrefix", "models"],
        };
        for (key, at) in self.written().into_iter().filter(|(key, _)| !useful.contains(key)) {
            if let Some(at) = at {
                let name = shorten(&self.name.value);
                let message = format!(
                    "`models.providers.{name}.{key}` is of no use with the api \"{}\"",
                    self.api.as_str()
                );
                let hint = format!("a provider of that kind takes api, {}", useful.join(", "));
                findings.report(Some(at), message, Some(hint));
            }
        }
    }

    /// Its keys with the places where they are written.
    fn written(&self) -> [(&'static str, Option<Range>); 13] {
        fn at<T>(written: Option<&Written<T>>) -> Option<Range> {
            written.map(|written| written.at)
        }
        [
            ("baseUrl", at(self.base_url.as_ref())),
            ("apiKey", at(self.api_key.as_ref())),
            ("headers", at(self.headers.as_ref())),
            ("models", at(self.models.as_ref())),
            ("command", at(self.command.as_ref())),
            ("args", at(self.args.as_ref())),
            ("env", at(self.env.as_ref())),
            ("cwd", at(self.cwd.as_ref())),
            ("permissions", at(self.permissions.as_ref())),
            ("mode", at(self.mode.as_ref())),
            ("authMethod", at(self.auth_method.as_ref())),
            ("token", at(self.token.as_ref())),
            ("sessionKeyPrefix", at(self.session_key_prefix.as_ref())),
        ]
    }
}
