//! The agents as the configuration has them, in the agent crate's words.

use std::collections::BTreeMap;
use std::path::Path;

use clawhook_agent::{
    AcpOptions, AcpPermissions, AcpRule, AgentOptions, AgentProfile, ChatEndpoint, CommandOptions,
    Environment, McpOptions, McpServer, McpTransport, ModelInfo, OpenClawOptions, Provider, ProviderApi,
};
use clawhook_model::SecretText;
use secrecy::SecretString;

use crate::config::{self, AcpConfig, AgentConfig, Config, PermissionRule, PermissionRules};

/// What the agents of `config` are made of. What has no folder of its own works in `state_dir`.
pub(crate) fn agent_options(config: &Config, state_dir: &Path) -> AgentOptions {
    let of_agent = |agent: &AgentConfig| {
        // An agent whose folder the operator did not name has one in the state directory, and its commands are not held to it.
        let workspace = Some(config.within_state(&agent.workspace, state_dir));
        AgentProfile { workspace, ..agent.profile.clone() }
    };
    let agents = config.agents.entries.iter().map(|(id, agent)| (id.clone(), of_agent(agent)));
    let providers =
        config.models.providers.iter().map(|(name, provided)| (name.clone(), provider(provided))).collect();
    let servers = config.mcp.servers.iter().map(|(name, server)| (name.clone(), tool_server(server)));
    AgentOptions {
        agents: agents.collect(),
        providers,
        tools: McpOptions { servers: servers.collect(), cwd: state_dir.to_owned() },
        commands: CommandOptions { cwd: state_dir.to_owned(), environment: Environment::inherited() },
    }
}

fn provider(provider: &config::ProviderConfig) -> Provider {
    let api = match &provider.api {
        config::ProviderApi::Chat { api, base_url, api_key, key_reference, headers } => {
            ProviderApi::Chat(ChatEndpoint {
                api: *api,
                base_url: base_url.clone(),
                api_key: api_key.as_ref().map(|key| key.as_secret_string().clone()),
                key_reference: key_reference.clone(),
                headers: secrets(headers),
            })
        }
        config::ProviderApi::Acp(config) => ProviderApi::Acp(acp(config)),
        config::ProviderApi::OpenClawHooks { base_url, token, session_key_prefix } => {
            ProviderApi::OpenClaw(OpenClawOptions {
                base_url: base_url.clone(),
                token: Some(token.as_secret_string().clone()),
                session_key_prefix: session_key_prefix.clone(),
            })
        }
    };
    let models = provider.models.iter().map(|(name, model)| {
        let info = ModelInfo {
            price: model.price,
            context_tokens: model.context_window.map(u64::from),
            max_tokens: model.max_tokens,
            tools: model.calls_tools,
        };
        (name.clone(), info)
    });
    Provider { api, models: models.collect() }
}

fn acp(config: &AcpConfig) -> AcpOptions {
    AcpOptions {
        argv: config.argv.clone(),
        env: secrets(&config.env),
        cwd: config.cwd.clone(),
        permissions: permissions(&config.permissions),
        mode: config.mode.clone(),
        auth_method: config.auth_method.clone(),
    }
}

/// The configuration knows the kinds by the protocol's names, and has refused all others.
fn permissions(rules: &PermissionRules) -> AcpPermissions {
    let kinds = |names: &[&'static str]| names.iter().filter_map(|name| name.parse().ok()).collect();
    let rule = match rules.rule {
        PermissionRule::Deny => AcpRule::Deny,
        PermissionRule::AllowReads => AcpRule::AllowReads,
        PermissionRule::AllowAll => AcpRule::AllowAll,
    };
    AcpPermissions { rule, allow: kinds(&rules.allow), deny: kinds(&rules.deny) }
}

fn tool_server(server: &config::McpServerConfig) -> McpServer {
    let transport = match &server.transport {
        config::McpTransport::Program { argv, env, cwd } => {
            McpTransport::Program { argv: argv.clone(), cwd: cwd.clone(), env: secrets(env) }
        }
        config::McpTransport::Http { url, headers } => {
            McpTransport::Http { url: url.clone(), headers: secrets(headers) }
        }
    };
    McpServer { transport, startup_timeout: server.startup_timeout }
}

fn secrets(texts: &BTreeMap<String, SecretText>) -> BTreeMap<String, SecretString> {
    texts.iter().map(|(name, text)| (name.clone(), text.as_secret_string().clone())).collect()
}
