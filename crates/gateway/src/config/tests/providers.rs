//! What the configuration promises of providers and of servers of tools.

use std::time::Duration;

use super::{exposed, only_problem, parse, refused};
use crate::config::{AcpConfig, ChatApi, Config, McpTransport, PermissionRule, PermissionRules, ProviderApi};

fn provider(definition: &str) -> Config {
    parse(&with_provider(definition))
}

fn with_provider(definition: &str) -> String {
    format!("{{ models: {{ providers: {{ x: {definition} }} }} }}")
}

fn with_server(definition: &str) -> String {
    format!("{{ mcp: {{ servers: {{ x: {definition} }} }} }}")
}

fn acp(definition: &str) -> AcpConfig {
    match provider(definition).models.providers.remove("x").unwrap().api {
        ProviderApi::Acp(acp) => acp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_api_of_a_model_is_known_by_openclaws_name() {
    for api in ChatApi::ALL {
        let config = provider(&format!("{{ api: '{}', baseUrl: 'http://h/v1' }}", api.as_str()));
        let ProviderApi::Chat { api: read, base_url, .. } = &config.models.providers["x"].api else {
            panic!("{config:?}");
        };
        assert_eq!(*read, api);
        assert_eq!(base_url.as_ref().unwrap().as_str(), "http://h/v1");
    }
    let config = provider("{ api: 'anthropic-messages', apiKey: 'k' }");
    assert!(matches!(&config.models.providers["x"].api, ProviderApi::Chat { base_url: None, .. }));
}

#[test]
fn headers_are_secrets_under_names_in_lower_case() {
    let config = provider("{ baseUrl: 'http://h', headers: { 'X-Org': 'one', other: 'two' } }");
    let ProviderApi::Chat { headers, .. } = &config.models.providers["x"].api else { panic!() };
    assert_eq!(exposed(headers.get("x-org")), Some("one"));
    assert_eq!(exposed(headers.get("other")), Some("two"));
    let (_, message, _) =
        only_problem(&with_provider("{ baseUrl: 'http://h', headers: { a: { env: 'NOPE' } } }"));
    let told = "`models.providers.x.headers.a` cannot be read: the environment variable `NOPE` is not set";
    assert!(message.starts_with(told), "{message}");
}

#[test]
fn models_are_listed_or_named_and_have_a_price() {
    let cost = "cost: { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }";
    let described = "name: 'Large', reasoning: true, input: ['text'], contextWindow: 200000, maxTokens: 8192";
    let listed =
        provider(&format!("{{ baseUrl: 'http://h', models: [{{ id: 'v/large', {described}, {cost} }}] }}"));
    let named =
        provider(&format!("{{ baseUrl: 'http://h', models: {{ 'v/large': {{ {described}, {cost} }} }} }}"));
    let of = |config: &Config| config.models.providers["x"].models["v/large"].clone();
    assert_eq!(of(&listed), of(&named));
    let model = of(&listed);
    assert_eq!((model.context_window, model.max_tokens), (Some(200_000), Some(8192)));
    assert!(model.calls_tools);
    let price = model.price.unwrap();
    assert_eq!((price.input, price.output, price.cache_read, price.cache_write), (3.0, 15.0, 0.3, 3.75));
    let without_cache = provider("{ baseUrl: 'http://h', models: { m: { cost: { input: 2, output: 4 } } } }");
    let price = without_cache.models.providers["x"].models["m"].price.unwrap();
    assert_eq!((price.cache_read, price.cache_write), (2.0, 2.0));
    let toolless = provider("{ baseUrl: 'http://h', models: { m: { compat: { supportsTools: false } } } }");
    assert!(!toolless.models.providers["x"].models["m"].calls_tools);
}

#[test]
fn a_coding_agent_is_a_program_with_rules() {
    let agent =
        acp("{ api: 'acp', command: 'qwen', args: ['--acp'], env: { KEY: 'k3y' }, cwd: 'w', mode: 'plan',
                       authMethod: 'openai', permissions: { allow: ['read', 'edit'], deny: ['execute'] } }");
    assert_eq!(agent.argv, ["qwen", "--acp"]);
    assert_eq!(exposed(agent.env.get("KEY")), Some("k3y"));
    assert_eq!(agent.cwd.as_deref(), Some(std::path::Path::new("w")));
    assert_eq!((agent.mode.as_deref(), agent.auth_method.as_deref()), (Some("plan"), Some("openai")));
    let rules =
        PermissionRules { rule: PermissionRule::Deny, allow: vec!["read", "edit"], deny: vec!["execute"] };
    assert_eq!(agent.permissions, rules);
    let rule =
        |text: &str| acp(&format!("{{ api: 'acp', command: 'q', permissions: '{text}' }}")).permissions.rule;
    assert_eq!(rule("allowReads"), PermissionRule::AllowReads);
    assert_eq!(rule("allowAll"), PermissionRule::AllowAll);
    assert_eq!(rule("deny"), PermissionRule::Deny);
    assert_eq!(acp("{ api: 'acp', command: 'q' }").permissions, PermissionRules::default());
}

#[test]
fn another_gateway_is_an_address_and_a_token() {
    let config = provider(
        "{ api: 'openclaw-hooks', baseUrl: 'http://h:18789', token: 't0ken', sessionKeyPrefix: 'hook:c:' }",
    );
    let ProviderApi::OpenClawHooks { base_url, token, session_key_prefix } =
        &config.models.providers["x"].api
    else {
        panic!("{config:?}");
    };
    assert_eq!((base_url.as_str(), token.expose()), ("http://h:18789/", "t0ken"));
    assert_eq!(session_key_prefix.as_deref(), Some("hook:c:"));
}

#[test]
fn what_is_wrong_with_a_provider_is_told_with_what_to_do() {
    for (definition, told, to_do) in [
        ("{}", "`models.providers.x.baseUrl` is missing", ""),
        ("{ api: 'acp' }", "`models.providers.x.command` is missing", ""),
        ("{ api: 'openclaw-hooks', baseUrl: 'http://h' }", "`models.providers.x.token` is missing", ""),
        ("{ api: 'openclaw-hooks', token: 't' }", "`models.providers.x.baseUrl` is missing", ""),
        (
            "{ baseUrl: 'http://h', command: 'q' }",
            "`models.providers.x.command` is of no use with the api \"openai-completions\"",
            "takes api, baseUrl, apiKey, headers, models",
        ),
        (
            "{ api: 'acp', command: 'q', apiKey: 'k' }",
            "`models.providers.x.apiKey` is of no use with the api \"acp\"",
            "takes api, command, args, env",
        ),
        (
            "{ api: 'openclaw-hooks', baseUrl: 'http://h', token: 't', headers: {} }",
            "`models.providers.x.headers` is of no use",
            "takes api, baseUrl, token, sessionKeyPrefix, models",
        ),
        (
            "{ api: 'acp', command: 'q', permissions: 'yes' }",
            "`models.providers.x.permissions` must be \"deny\"",
            "",
        ),
        (
            "{ api: 'acp', command: 'q', permissions: { allow: ['rm'] } }",
            "permissions.allow` must be a list of",
            "",
        ),
        ("{ api: 'acp', command: 'q', env: { 'A=B': 'c' } }", "`models.providers.x.env.A=B` is no name", ""),
        ("{ baseUrl: 'http://h', headers: { 'a b': 'c' } }", "headers.a b` is no name", ""),
        ("{ baseUrl: 'http://h', headers: { A: 'c', a: 'd' } }", "headers.a` is written twice", ""),
        ("{ baseUrl: 'http://h', models: [{}] }", "`models.providers.x.models[0]` must have an `id`", ""),
        (
            "{ baseUrl: 'http://h', models: { m: { id: 'n' } } }",
            "models.m` has an `id`, which stands before",
            "",
        ),
        ("{ baseUrl: 'http://h', models: [{ id: 'm' }, { id: 'm' }] }", "has the model `m` twice", ""),
        (
            "{ baseUrl: 'http://h', models: [{ id: 'm', prise: 1 }] }",
            "models[0]` has the unknown member",
            "it takes",
        ),
        (
            "{ baseUrl: 'http://h', models: { m: { cost: { input: 1 } } } }",
            "must have `input` and `output`",
            "",
        ),
        (
            "{ baseUrl: 'http://h', models: { m: { cost: { input: -1, output: 1 } } } }",
            "models.m.cost.input` must",
            "",
        ),
    ] {
        let (_, message, hint) = only_problem(&with_provider(definition));
        assert!(message.contains(told), "{definition}: {message}");
        assert!(hint.unwrap_or_default().contains(to_do), "{definition}");
    }
}

#[test]
fn a_server_of_tools_is_a_program_or_an_address() {
    let config = parse(
        "{ mcp: { servers: { files: { command: 'f', args: ['a', ''], env: { K: 'v' }, cwd: '/w', startupTimeout: '5s' },
           clock: { url: 'https://h/mcp', headers: { Authorization: 'Bearer t' } } } } }",
    );
    let files = &config.mcp.servers["files"];
    assert_eq!(files.startup_timeout, Duration::from_secs(5));
    let McpTransport::Program { argv, env, cwd } = &files.transport else { panic!() };
    assert_eq!(argv.as_slice(), ["f", "a", ""]);
    assert_eq!(exposed(env.get("K")), Some("v"));
    assert_eq!(cwd.as_deref(), Some(std::path::Path::new("/w")));
    let McpTransport::Http { url, headers } = &config.mcp.servers["clock"].transport else { panic!() };
    assert_eq!(url.as_str(), "https://h/mcp");
    assert_eq!(exposed(headers.get("authorization")), Some("Bearer t"));
    for (definition, told) in [
        ("{}", "has neither `command` nor `url`"),
        ("{ command: 'c', url: 'http://h' }", "has `command` and `url`"),
        ("{ command: 'c', headers: {} }", "`mcp.servers.x.headers` is of no use beside `command`"),
        ("{ url: 'http://h', cwd: '/' }", "`mcp.servers.x.cwd` is of no use beside `url`"),
        ("{ url: 'file:///etc' }", "must begin with https:// or http://"),
    ] {
        let error = refused(&with_server(definition)).to_string();
        assert!(error.contains(told), "{definition}: {error}");
    }
    for name in ["Files", "a b", "a__b", ""] {
        let text = format!("{{ mcp: {{ servers: {{ '{name}': {{ command: 'c' }} }} }} }}");
        let (_, message, _) = only_problem(&text);
        assert!(message.contains("cannot be the name of a server"), "{message}");
    }
}

#[test]
fn i12_no_secret_of_a_provider_or_a_server_is_shown() {
    let config = parse(
        "{ models: { providers: { a: { baseUrl: 'http://h', headers: { x: 's3cret' } },
             b: { api: 'acp', command: 'c', env: { K: 's3cret' } },
             c: { api: 'openclaw-hooks', baseUrl: 'http://h', token: 's3cret' } } },
           mcp: { servers: { d: { command: 'c', env: { K: 's3cret' } }, e: { url: 'http://h', headers: { x: 's3cret' } } } } }",
    );
    assert!(!format!("{config:?}").contains("s3cret"));
    for text in [
        with_provider("{ baseUrl: 'http://h', headers: { x: 's3cret', 'b d': 's3cret' } }"),
        with_provider("{ baseUrl: 'http://h', headers: ['s3cret'] }"),
        with_provider("{ baseUrl: 'http://h', token: 's3cret' }"),
        with_provider("{ api: 'acp', command: 'c', args: ['--key', 's3cret', 5] }"),
        with_provider("{ api: 'acp', command: 'c', env: { K: { env: 's3cret-x' } } }"),
        with_server("{ command: 'c', env: { K: 's3cret\\u0007' } }"),
        with_server("{ url: 'http://u:s3cret@h' }"),
        with_server("{ url: 'http://h', headers: { a: 's3cret' }, cwd: 's3cret' }")
            .replace("cwd: 's3cret'", "cwd: 'w'"),
    ] {
        let error = refused(&text);
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
