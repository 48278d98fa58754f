//! What the configuration promises, shown through `Config::parse`.

mod agents;
mod hooks;
mod providers;
mod retention;
mod secrets;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use clawhook_engine::CatchUpPace;
use clawhook_model::{AgentId, FailureRules, Misfire, MisfirePolicy, Overlap, SecretText, TransientClass};

use super::{ChatApi, Config, ConfigError, ProviderApi, RetentionConfig, keys};

const DOCUMENT: &str = include_str!("../../../../../docs/configuration.md");

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let lookup =
        |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Config::parse(text, "clawhook.json5", &lookup)
}

fn parse(text: &str) -> Config {
    parse_with(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> ConfigError {
    parse_with(text, &[]).expect_err(text)
}

/// The only problem of a text: its position, message and hint.
fn only_problem(text: &str) -> ((usize, usize), String, Option<String>) {
    let error = refused(text);
    let [problem] = error.problems() else { panic!("not one problem: {error}") };
    (problem.position().unwrap(), problem.message().to_owned(), problem.hint().map(str::to_owned))
}

fn exposed(secret: Option<&SecretText>) -> Option<&str> {
    secret.map(SecretText::expose)
}

#[test]
fn an_empty_object_gives_the_defaults() {
    for config in [parse("{}"), Config::default()] {
        assert_eq!(config.gateway.address(), "127.0.0.1:18780".parse().unwrap());
        assert!(config.gateway.token.is_none());
        assert!(config.cron.enabled);
        assert_eq!(config.cron.max_concurrent_runs, 8);
        assert!(config.cron.webhook_token.is_none());
        assert!(config.cron.allowed_hostnames.is_empty());
        assert_eq!(config.cron.shutdown_grace, Duration::from_secs(20));
        assert_eq!(config.cron.misfire, Misfire::default());
        assert_eq!(config.cron.overlap, Overlap::Skip);
        assert_eq!(config.cron.catch_up, CatchUpPace::default());
        assert_eq!(config.cron.failure, FailureRules::default());
        let waits: Vec<u64> = config.delivery.retry.schedule.delays().iter().map(Duration::as_secs).collect();
        assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert!(config.delivery.signing_secret.is_none());
        assert_eq!(config.delivery.timeout, Duration::from_secs(15));
        assert_eq!(config.delivery.connect_timeout, Duration::from_secs(5));
        assert_eq!(config.delivery.max_concurrent, 256);
        assert_eq!(config.delivery.max_concurrent_per_destination, 64);
        assert!(config.delivery.ports.is_empty());
        assert!(config.delivery.proxy.is_none());
        assert_eq!(config.agents.entries.keys().cloned().collect::<Vec<_>>(), [AgentId::main()]);
        assert!(config.agents.entries[&AgentId::main()].profile.model.is_none());
        let retention = RetentionConfig {
            sessions: Some(Duration::from_hours(24)),
            max_age: Some(Duration::from_hours(7 * 24)),
            runs_per_job: Some(2_000),
            max_bytes: Some(2 << 30),
        };
        assert_eq!(config.cron.retention, retention);
        assert!(!config.cron.budget.is_limited());
        assert!(config.models.providers.is_empty());
        assert_eq!(config.store.path, std::path::Path::new(".clawhook/clawhook.db"));
    }
}

#[test]
fn each_key_is_obeyed() {
    let config = parse(
        r#"{
        gateway: { port: 9000, bind: "lan", auth: { mode: "token", token: "gate" } },
        cron: {
            enabled: false, maxConcurrentRuns: 0x10, webhookToken: "hook", shutdownGrace: "1m30s",
            webhookSsrfPolicy: { allowedHostnames: ["Hooks.Internal", "127.0.0.1", "[::1]", "fd00::1"] },
            skipMissedJobs: false, misfire: { policy: "each", max: 7, maxLateness: "6h" },
            overlap: { policy: "bufferAll", max: 20 }, catchUp: { atOnce: 2, every: "1m" },
            failures: { disableAfter: 4 }, retry: { maxAttempts: 0, backoffMs: [5, 1000], retryOn: ["timeout"] },
        },
        delivery: {
            retrySchedule: ["1s", "1h30m"], signingSecret: "whsec_a", timeout: "10s", connectTimeout: "2s",
            maxConcurrent: 20, maxConcurrentPerDestination: 4, pauseAfter: "2h", disableAfter: "3d",
            retryWindow: "3d", clientErrorTries: 5, maxRetryAfter: "10m",
            ports: [8443, 1], proxy: "http://Proxy.internal:3128", proxyCredentials: "user:pass",
            destinations: { ops: { url: "https://example.com/", limits: { maxConcurrent: 0x2, perSecond: +.5 } } },
        },
        agents: {
            defaults: { model: { primary: "local/small" } },
            entries: { "Sales Team": { model: "cloud/vendor/large" }, plain: {} },
        },
        models: { providers: {
            local: { baseUrl: "http://127.0.0.1:1234/v1" },
            cloud: { baseUrl: "https://api.example.com/v1", apiKey: "sk", api: "openai-completions" },
        } },
        store: { path: "/var/lib/clawhook/a.db" },
    }"#,
    );
    assert_eq!(config.gateway.port, 9000);
    assert_eq!(config.gateway.bind, "0.0.0.0".parse::<IpAddr>().unwrap());
    assert_eq!(exposed(config.gateway.token.as_ref()), Some("gate"));
    assert!(!config.cron.enabled);
    assert_eq!(config.cron.max_concurrent_runs, 16);
    assert_eq!(exposed(config.cron.webhook_token.as_ref()), Some("hook"));
    assert_eq!(config.cron.shutdown_grace, Duration::from_secs(90));
    let misfire =
        Misfire { policy: MisfirePolicy::Each { most: 7 }, max_lateness: Some(Duration::from_hours(6)) };
    assert_eq!(config.cron.misfire, misfire);
    assert_eq!(config.cron.overlap, Overlap::BufferAll { most: 20 });
    assert_eq!(config.cron.catch_up, CatchUpPace { at_once: 2, every: Duration::from_mins(1) });
    let failure = FailureRules {
        most_retries: 0,
        retry_after: [5, 1000].map(Duration::from_millis).to_vec(),
        retry_on: vec![TransientClass::Timeout],
        disable_after: 4,
    };
    assert_eq!(config.cron.failure, failure);
    assert_eq!(config.cron.allowed_hostnames, ["hooks.internal", "127.0.0.1", "::1", "fd00::1"]);
    assert_eq!(config.delivery.retry.schedule.delays(), [Duration::from_secs(1), Duration::from_secs(5_400)]);
    assert_eq!(exposed(config.delivery.signing_secret.as_ref()), Some("whsec_a"));
    assert_eq!(config.delivery.timeout, Duration::from_secs(10));
    assert_eq!(config.delivery.connect_timeout, Duration::from_secs(2));
    assert_eq!(config.delivery.max_concurrent, 20);
    assert_eq!(config.delivery.max_concurrent_per_destination, 4);
    assert_eq!(config.delivery.retry.window, Some(Duration::from_hours(72)));
    assert_eq!(config.delivery.retry.client_error_tries.get(), 5);
    assert_eq!(config.delivery.retry.max_retry_after, Duration::from_mins(10));
    assert_eq!(config.delivery.ports, [8443, 1]);
    assert_eq!(config.delivery.proxy.as_ref().unwrap().to_string(), "http://proxy.internal:3128");
    assert_eq!(config.delivery.pause_after, Duration::from_hours(2));
    assert_eq!(config.delivery.disable_after, Duration::from_hours(72));
    let ops = config.delivery.destinations[&"ops".parse().unwrap()].to_json();
    let limits = serde_json::json!({ "maxConcurrent": 2, "perSecond": 0.5 });
    assert_eq!((&ops["url"], &ops["limits"]), (&"https://example.com/".into(), &limits));
    let model = |agent: &str| {
        config.agents.entries[&AgentId::normalise(agent)].profile.model.as_ref().unwrap().to_string()
    };
    assert_eq!(model("main"), "local/small");
    assert_eq!(model("plain"), "local/small");
    assert_eq!(model("sales-team"), "cloud/vendor/large");
    assert!(!config.agents.entries.contains_key(&AgentId::normalise("stranger")));
    let ProviderApi::Chat { api, base_url, api_key, .. } = &config.models.providers["cloud"].api else {
        panic!("{config:?}");
    };
    assert_eq!(base_url.as_ref().map(url::Url::as_str), Some("https://api.example.com/v1"));
    assert_eq!(exposed(api_key.as_ref()), Some("sk"));
    assert_eq!(*api, ChatApi::OpenAiCompletions);
    assert_eq!(config.store.path, std::path::Path::new("/var/lib/clawhook/a.db"));
}

#[test]
fn defaults_give_way_to_a_smaller_limit_that_was_written() {
    let config = parse("{ delivery: { timeout: '2s', maxConcurrent: 10 } }");
    assert_eq!(config.delivery.connect_timeout, Duration::from_secs(2));
    assert_eq!(config.delivery.max_concurrent_per_destination, 10);
}

#[test]
fn openclaws_key_for_missed_jobs_means_the_misfire_policy_skip() {
    for text in [
        "{ cron: { skipMissedJobs: true } }",
        "{ cron: { skipMissedJobs: true, misfire: { policy: 'skip' } } }",
        "{ cron: { misfire: { policy: 'skip' } } }",
    ] {
        assert_eq!(parse(text).cron.misfire.policy, MisfirePolicy::Skip, "{text}");
    }
}

#[test]
fn what_is_said_of_misfires_overlaps_and_failures_is_refused_where_it_cannot_be_meant() {
    for (text, said) in [
        (
            "{ cron: { skipMissedJobs: true, misfire: { policy: 'once' } } }",
            "`cron.skipMissedJobs` is true, and `cron.misfire.policy` says otherwise",
        ),
        ("{ cron: { misfire: { policy: 'never' } } }", r#"must be "skip", "once" or "each", not `"never"`"#),
        (
            "{ cron: { misfire: { max: 3 } } }",
            "`cron.misfire.max` has a place with the policy \"each\" alone",
        ),
        ("{ cron: { misfire: { policy: 'each', max: 0 } } }", "a whole number from 1 to 1000, not `0`"),
        ("{ cron: { overlap: 'replace' } }", r#"not `"replace"`"#),
        ("{ cron: { overlap: {} } }", "`cron.overlap` must be"),
        ("{ cron: { overlap: { policy: 'skip', max: 3 } } }", "`cron.overlap.max` has a place with"),
        ("{ cron: { overlap: { policy: 'bufferAll', max: 5000 } } }", "from 1 to 1000, not `5000`"),
        ("{ cron: { retry: { maxAttempts: 11 } } }", "a whole number from 0 to 10, not `11`"),
        ("{ cron: { retry: { backoffMs: [] } } }", "a list of 1 to 10, each a whole number"),
        ("{ cron: { retry: { backoffMs: [1.5] } } }", "`cron.retry.backoffMs[0]` must be"),
        ("{ cron: { retry: { retryOn: ['auth'] } } }", r#"not `"auth"`"#),
        ("{ cron: { failures: { disableAfter: 0 } } }", "a whole number from 1 to 1000, not `0`"),
    ] {
        let (_, message, _) = only_problem(text);
        assert!(message.contains(said), "{text}: {message}");
    }
}

#[test]
fn all_that_json5_allows_is_read() {
    let text = "\u{feff}// a comment\r\n{ /* and\n another */ 'cron': { \"enabled\": false, maxConcurrentRuns: +12, },\r\n\
                gateway: { bind: '\\x31\\\n27.0.0.2', }, }\n";
    let config = parse(text);
    assert!(!config.cron.enabled);
    assert_eq!(config.cron.max_concurrent_runs, 12);
    assert_eq!(config.gateway.bind, "127.0.0.2".parse::<IpAddr>().unwrap());
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_key_that_was_meant() {
    let error = refused("{\n  // jobs\n  cron: {\n    enabled: true,\n    maxConcurentRuns: 4,\n  },\n}\n");
    let expected = "\
clawhook.json5:5:5: unknown key `maxConcurentRuns` in `cron`
 5 |     maxConcurentRuns: ***,
   |     ^^^^^^^^^^^^^^^^
   = did you mean `maxConcurrentRuns`?";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn columns_count_characters_and_lines_end_in_any_of_the_three_ways() {
    let (position, _, _) = only_problem("{\r\n\r  \"cron\": { /* žluťoučký */ \"wrong\": 1 } }");
    assert_eq!(position, (3, 29));
}

#[test]
fn an_unknown_key_that_resembles_nothing_lists_what_is_known() {
    let (_, message, hint) = only_problem("{ store: { colour: 'red' } }");
    assert_eq!(message, "unknown key `colour` in `store`");
    assert_eq!(hint.unwrap(), "known here: path");
    let (_, message, hint) = only_problem("{ crons: {} }");
    assert_eq!((message.as_str(), hint.unwrap().as_str()), ("unknown key `crons`", "did you mean `cron`?"));
}

#[test]
fn a_key_in_the_wrong_block_is_led_to_the_right_one() {
    let (_, _, hint) = only_problem("{ delivery: { webhookToken: 'x' } }");
    assert_eq!(hint.unwrap(), "did you mean `cron.webhookToken`?");
}

#[test]
fn a_key_of_openclaw_that_has_no_effect_is_refused_as_such() {
    for (text, key) in [
        ("{ cron: { triggers: { enabled: true } } }", "cron.triggers"),
        ("{ hooks: { gmail: {} } }", "hooks.gmail"),
        ("{ hooks: { transformsDir: 'x' } }", "hooks.transformsDir"),
        ("{ gateway: { auth: { password: 'x' } } }", "gateway.auth.password"),
        ("{ agents: { entries: { a: { sandbox: {} } } } }", "agents.entries.a.sandbox"),
        ("{ agents: { list: [{ id: 'a', identity: {} }] } }", "agents.list[0].identity"),
        ("{ agents: { defaults: { heartbeat: { target: 'last' } } } }", "agents.defaults.heartbeat.target"),
        ("{ cron: { runLog: { maxBytes: 2000000 } } }", "cron.runLog.maxBytes"),
        (
            "{ cron: { webhookSsrfPolicy: { dangerouslyAllowPrivateNetwork: true } } }",
            "cron.webhookSsrfPolicy.dangerouslyAllowPrivateNetwork",
        ),
    ] {
        let (_, message, _) = only_problem(text);
        let expected = format!("`{key}` is a key of OpenClaw that this version of clawhook does not act on");
        assert_eq!(message, expected);
    }
}

#[test]
fn a_wrong_value_is_told_with_what_it_must_be() {
    for (text, place, expected) in [
        (
            "{ gateway: { port: '9000' } }",
            (1, 20),
            "`gateway.port` must be a whole number from 0 to 65535, not `\"9000\"`",
        ),
        (
            "{ gateway: { port: 65536 } }",
            (1, 20),
            "`gateway.port` must be a whole number from 0 to 65535, not `65536`",
        ),
        (
            "{ gateway: { port: -1 } }",
            (1, 20),
            "`gateway.port` must be a whole number from 0 to 65535, not `-1`",
        ),
        (
            "{ gateway: { port: 1.5 } }",
            (1, 20),
            "`gateway.port` must be a whole number from 0 to 65535, not `1.5`",
        ),
        (
            "{ gateway: { port: null } }",
            (1, 20),
            "`gateway.port` must be a whole number from 0 to 65535, not `null`",
        ),
        (
            "{ gateway: { bind: 'wan' } }",
            (1, 20),
            "`gateway.bind` must be \"loopback\", \"lan\" or an IP address, not `\"wan\"`",
        ),
        (
            "{ gateway: { auth: { mode: 'none' } } }",
            (1, 28),
            "`gateway.auth.mode` must be \"token\", not `\"none\"`",
        ),
        (
            "{ gateway: { auth: { token: 12345 } } }",
            (1, 29),
            "`gateway.auth.token` must be a text, \"${NAME}\", { env: \"NAME\" }, { file: \"path\" }, { exec: [\"program\", \"argument\"] } or { source: \"env\" or \"file\", id: \"…\" }, not a number",
        ),
        ("{ gateway: [] }", (1, 12), "`gateway` must be an object, `{ … }`"),
        ("{ cron: { enabled: 'yes' } }", (1, 20), "`cron.enabled` must be true or false, not `\"yes\"`"),
        (
            "{ cron: { maxConcurrentRuns: 0 } }",
            (1, 30),
            "`cron.maxConcurrentRuns` must be a whole number from 1 to 1024, not `0`",
        ),
        (
            "{ cron: { maxConcurrentRuns: 1025 } }",
            (1, 30),
            "`cron.maxConcurrentRuns` must be a whole number from 1 to 1024, not `1025`",
        ),
        (
            "{ cron: { webhookSsrfPolicy: { allowedHostnames: ['a', 'http://b'] } } }",
            (1, 56),
            "`cron.webhookSsrfPolicy.allowedHostnames[1]` must be an exact host name or IP address, not `\"http://b\"`",
        ),
        (
            "{ cron: { webhookSsrfPolicy: { allowedHostnames: ['*.b'] } } }",
            (1, 51),
            "`cron.webhookSsrfPolicy.allowedHostnames[0]` must be an exact host name or IP address, not `\"*.b\"`",
        ),
        (
            "{ delivery: { timeout: '61s' } }",
            (1, 24),
            "`delivery.timeout` must be a duration from 100ms to 1m, not `\"61s\"`",
        ),
        (
            "{ delivery: { timeout: 15 } }",
            (1, 24),
            "`delivery.timeout` must be a duration from 100ms to 1m, not `15`",
        ),
        (
            "{ delivery: { retrySchedule: '5s' } }",
            (1, 30),
            "`delivery.retrySchedule` must be a list of at most 50, each a duration from 1ms to 30d, not `\"5s\"`",
        ),
        (
            "{ delivery: { retrySchedule: ['5s', '5'] } }",
            (1, 37),
            "`delivery.retrySchedule[1]` must be a duration from 1ms to 30d, not `\"5\"`",
        ),
        (
            "{ delivery: { timeout: '2s', connectTimeout: '3s' } }",
            (1, 46),
            "`delivery.connectTimeout` is 3s, which is above `delivery.timeout`, 2s",
        ),
        (
            "{ delivery: { maxConcurrent: 5, maxConcurrentPerDestination: 6 } }",
            (1, 62),
            "`delivery.maxConcurrentPerDestination` is 6, which is above `delivery.maxConcurrent`, 5",
        ),
        (
            "{ agents: { defaults: { model: 'gpt' } } }",
            (1, 32),
            "`agents.defaults.model` must be \"provider/model\" or { primary: \"provider/model\", fallbacks: [\"provider/model\"] }, not `\"gpt\"`",
        ),
        (
            "{ agents: { defaults: { model: { primary: 5 } } } }",
            (1, 43),
            "`agents.defaults.model.primary` must be \"provider/model\", not `5`",
        ),
        (
            "{ agents: { defaults: { model: 'x/y' } } }",
            (1, 32),
            "the model names the provider `x`, which `models.providers` lacks",
        ),
        (
            "{ agents: { entries: { A: {}, a: {} } } }",
            (1, 31),
            "`a` is the agent `a`, which has an entry already",
        ),
        (
            "{ models: { providers: { x: {} } } }",
            (1, 26),
            "`models.providers.x.baseUrl` is missing: it must be an https or http URL",
        ),
        (
            "{ models: { providers: { x: { baseUrl: 'ftp://h' } } } }",
            (1, 40),
            "`models.providers.x.baseUrl` must begin with https:// or http://",
        ),
        (
            "{ models: { providers: { x: { baseUrl: 'http://h', api: 'grpc' } } } }",
            (1, 57),
            "`models.providers.x.api` must be one of \"openai-completions\", \"openai-responses\", \"anthropic-messages\", \"google-generative-ai\", \"ollama\", \"acp\", \"openclaw-hooks\", not `\"grpc\"`",
        ),
        (
            "{ models: { providers: { 'a/b': { baseUrl: 'http://h' } } } }",
            (1, 26),
            "`a/b` cannot be the name of a provider",
        ),
        (
            "{ delivery: { ports: [443, 0] } }",
            (1, 28),
            "`delivery.ports[1]` must be a whole number from 1 to 65535, not `0`",
        ),
        (
            "{ delivery: { proxy: 'https://proxy:3128' } }",
            (1, 22),
            "`delivery.proxy` must begin with http://",
        ),
        (
            "{ delivery: { proxy: 'http://u:p@proxy:3128' } }",
            (1, 22),
            "`delivery.proxy` carries a user name or password, which belong in `delivery.proxyCredentials`",
        ),
        (
            "{ delivery: { proxy: 'http://proxy:3128', proxyCredentials: 'user' } }",
            (1, 61),
            "`delivery.proxyCredentials` must be of the form user:password, without control characters",
        ),
        (
            "{ delivery: { proxyCredentials: 'user:pass' } }",
            (1, 33),
            "`delivery.proxyCredentials` is set, and `delivery.proxy` is not",
        ),
        ("{ store: { path: '' } }", (1, 18), "`store.path` must be a path, not `\"\"`"),
        ("{ store: { path: 'a', path: 'b' } }", (1, 23), "`store.path` is written twice"),
        (
            "{ gateway: { bind: 'lan' } }",
            (1, 20),
            "`gateway.bind` is 0.0.0.0, which others can reach, but no token is set",
        ),
        ("[]", (1, 1), "the file must hold one object, `{ … }`"),
        ("// nothing", (1, 1), "the file must hold one object, `{ … }`, and it is empty"),
        ("{ cron: { enabled: true } gateway: {} }", (1, 26), "expected comma"),
        ("{ cron: { enabled: true }", (1, 1), "unterminated object"),
        ("{ cron: { enabled: yes } }", (1, 20), "unexpected word"),
    ] {
        let (position, message, _) = only_problem(text);
        assert_eq!((position, message.as_str()), (place, expected), "{text}");
    }
    let long: Vec<&str> = std::iter::repeat_n("'1s'", 51).collect();
    let (_, message, _) = only_problem(&format!("{{ delivery: {{ retrySchedule: [{}] }} }}", long.join(",")));
    assert!(message.ends_with("not 51 entries"), "{message}");
    assert!(parse("{ delivery: { retrySchedule: [] } }").delivery.retry.schedule.delays().is_empty());
}

#[test]
fn all_problems_of_a_file_are_told_at_once_in_its_order() {
    let error = refused(
        "{\n gatway: {},\n delivery: { timeout: 'soon', connectTimeout: '1x' },\n cron: { enabled: 1, webhookToken: '${NOPE}' },\n}",
    );
    let lines: Vec<(usize, usize)> = error.problems().iter().map(|p| p.position().unwrap()).collect();
    assert_eq!(lines, [(2, 2), (3, 23), (3, 47), (4, 19), (4, 36)]);
    assert_eq!(error.to_string().matches("clawhook.json5:").count(), 5);
}

#[test]
fn of_very_many_problems_the_rest_is_counted() {
    let keys: Vec<String> = (0..5_000).map(|number| format!("key{number}: 1")).collect();
    let error = refused(&format!("{{ {} }}", keys.join(", ")));
    assert_eq!(error.problems().len(), 5_000);
    let told = error.to_string();
    assert!(told.ends_with("and 4980 more problems"), "{told}");
    assert!(told.len() < 20_000, "{}", told.len());
}

#[test]
fn a_declared_destination_that_is_wrong_is_told_with_its_place() {
    let declare = |definition: &str| format!("{{ delivery: {{ destinations: {{\n{definition} }} }} }}");
    for (definition, at, message, hint) in [
        ("ops: {}", (2, 1), "`delivery.destinations.ops.url` is missing", None),
        ("ops: 7", (2, 1), "`delivery.destinations.ops` must be an object, not 7", None),
        (
            "Ops: {}",
            (2, 1),
            "`delivery.destinations.Ops` cannot be the name of a destination",
            Some("a name has 1 to 63"),
        ),
        (
            "ops: { url: 'https://example.com/', sendEmtpy: true }",
            (2, 37),
            "`delivery.destinations.ops.sendEmtpy` is not a field of a destination",
            Some("did you mean `sendEmpty`?"),
        ),
        (
            "ops: { url: 'https://example.com/',\n limits: { perSecond: 0 } }",
            (3, 23),
            "`delivery.destinations.ops.limits.perSecond` is wrong: `0` is not a rate",
            None,
        ),
        (
            "ops: { url: 'https://example.com/', order: 'none', order: 'job' }",
            (2, 52),
            "`delivery.destinations.ops` has `order` twice",
            None,
        ),
        (
            "ops: { url: 'http://127.0.0.1/' }",
            (2, 13),
            "`delivery.destinations.ops.url`: ",
            Some("if that is meant, add `127.0.0.1`"),
        ),
        (
            "ops: { url: 'https://example.com/', limits: { perSecond: Infinity } }",
            (2, 58),
            "holds a number that JSON",
            None,
        ),
    ] {
        let error = refused(&declare(definition));
        let [problem] = error.problems() else { panic!("not one problem: {error}") };
        assert!(problem.message().contains(message), "{error}");
        assert_eq!(problem.position(), Some(at), "{error}");
        assert_eq!(problem.hint().is_some(), hint.is_some(), "{error}");
        assert!(problem.hint().unwrap_or_default().contains(hint.unwrap_or_default()), "{error}");
    }
    let twice = "a: { url: 'https://example.com/' }, 'a': { url: 'https://example.com/' }";
    assert!(refused(&declare(twice)).to_string().contains("`delivery.destinations.a` is written twice"));
}

#[test]
fn i12_a_declared_destination_that_is_wrong_shows_no_value() {
    let text =
        "{ delivery: { destinations: { ops: { url: 'ftp://example.com/?k=s3cret', order: 'job' } } } }";
    let told = refused(text).to_string();
    assert!(told.contains("ftp") && !told.contains("s3cret"), "{told}");
}

#[test]
fn a_long_line_is_shown_around_its_mistake() {
    let padding = "x".repeat(100_000);
    let error = refused(&format!(
        "{{ cron: {{ /* {padding} */ enabled: true, webhookToken: '{padding}', enabled: 5, }} }}"
    ));
    assert!(error.to_string().len() < 1_000, "{error}");
    let error = refused(&format!("{{ {padding}: 1 }}"));
    assert!(error.to_string().len() < 1_000, "{error}");
}

#[test]
fn hostile_sizes_are_refused_without_harm() {
    let large = format!("{{}}{}", " ".repeat(1024 * 1024));
    assert!(matches!(refused(&large), ConfigError::TooLarge { .. }));
    let (_, message, _) = only_problem(&"[".repeat(1024 * 1024));
    assert_eq!(message, "maximum nesting depth exceeded");
    let (_, message, _) = only_problem(&"{a:".repeat(300_000));
    assert_eq!(message, "maximum nesting depth exceeded");
}

#[test]
fn a_file_is_read_and_its_lack_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clawhook.json5");
    assert!(matches!(Config::load(&path), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&path, "{ store: { path: 'data/a.db' } }").unwrap();
    assert_eq!(Config::load(&path).unwrap().store.path, directory.path().join("data/a.db"));
    std::fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::TooLarge { .. })));
    std::fs::write(&path, [b'{', 0xff, b'}']).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn the_environment_overrides_what_it_may() {
    let port = |text, value| parse_with(text, &[("CLAWHOOK_GATEWAY_PORT", value)]);
    assert_eq!(port("{ gateway: { port: 1 } }", "2").unwrap().gateway.port, 2);
    assert_eq!(port("{ gateway: { port: 1 } }", "").unwrap().gateway.port, 1);
    let told = port("{}", "many").unwrap_err().to_string();
    assert_eq!(told, "CLAWHOOK_GATEWAY_PORT must be a port from 0 to 65535, not `many`");

    let token = |text| parse_with(text, &[("CLAWHOOK_GATEWAY_TOKEN", "from-env")]).unwrap().gateway.token;
    assert_eq!(exposed(token("{}").as_ref()), Some("from-env"));
    assert_eq!(exposed(token("{ gateway: { bind: 'lan' } }").as_ref()), Some("from-env"));
    assert_eq!(exposed(token("{ gateway: { auth: { token: 'from-file' } } }").as_ref()), Some("from-file"));

    let enabled =
        |value| parse_with("{}", &[("CLAWHOOK_SKIP_CRON", value)]).map(|config| config.cron.enabled);
    assert!(!enabled("1").unwrap());
    assert!(enabled("0").unwrap());
    assert!(enabled("perhaps").is_err());

    let state = |variables| parse_with("{}", variables).unwrap().store.path;
    assert_eq!(state(&[("HOME", "/h")]), std::path::Path::new("/h/.clawhook/clawhook.db"));
    let moved = state(&[("HOME", "/h"), ("CLAWHOOK_STATE_DIR", "/s")]);
    assert_eq!(moved, std::path::Path::new("/s/clawhook.db"));
}

/// A text in which the key of this full name, or the block that it is, has the value.
fn within_blocks(path: &str, value: &str) -> String {
    let names: Vec<&str> = path.split('.').collect();
    let opened = names[..names.len() - 1].iter().rev().fold(
        format!("{}: {value}", names[names.len() - 1].replace('*', "x")),
        |inside, name| match name.strip_suffix("[]") {
            Some(list) => format!("{list}: [{{ {inside} }}]"),
            None => format!("{}: {{ {inside} }}", name.replace('*', "x")),
        },
    );
    format!("{{ {opened} }}")
}

#[test]
fn every_defined_key_is_accepted() {
    for key in keys::all() {
        // No key takes `null`, so that the complaint shows the key to be known.
        let error = refused(&within_blocks(key.path(), "null"));
        let path = key.path().replace('*', "x").replace("[]", "[0]");
        let told = error.problems().iter().any(|p| p.message().starts_with(&format!("`{path}` must be ")));
        assert!(told, "{path}: {error}");
    }
}

#[test]
fn every_accepted_key_is_defined_once() {
    // What stands for an entry of the user's naming has no name of its own.
    let defined: Vec<&str> =
        keys::all().map(keys::Documented::path).filter(|path| !path.ends_with(".*")).collect();
    let mut blocks: BTreeSet<String> = BTreeSet::from([String::new()]);
    for path in &defined {
        blocks.extend(path.match_indices('.').map(|(dot, _)| path[..dot].to_owned()));
    }
    let mut accepted = Vec::new();
    // Their keys are names of the user's; and two keys are there to be refused in their own words.
    let named_by_users = ["models.providers", "mcp.servers", "hooks.tokens", "channels"];
    let refused_by_name = ["hooks.mappings[].transform.module", "hooks.mappings[].transform.export"];
    for block in blocks.iter().filter(|block| !named_by_users.contains(&block.as_str())) {
        let separator = if block.is_empty() { "" } else { "." };
        let error = refused(&within_blocks(&format!("{block}{separator}nothingLikeThis"), "1"));
        let mut hints = error.problems().iter().filter_map(|problem| problem.hint());
        let known = hints.find_map(|hint| hint.strip_prefix("known here: ")).unwrap();
        for name in known.split(", ") {
            let full = if block.is_empty() { name.to_owned() } else { format!("{block}.{name}") };
            let is_block = blocks.contains(&full) || blocks.contains(&format!("{full}[]"));
            let has_entries = ["agents.entries", "channels.*.accounts"].contains(&full.as_str());
            if !is_block && !has_entries && !refused_by_name.contains(&full.as_str()) {
                accepted.push(full);
            }
        }
    }
    accepted.sort();
    let mut expected: Vec<String> = defined.iter().map(|path| (*path).to_owned()).collect();
    expected.sort();
    assert_eq!(accepted, expected);
}

#[test]
fn i12_an_address_to_ping_is_checked_like_a_webhook_and_nothing_but_its_host_is_shown() {
    let config =
        parse(r#"{ cron: { watchdog: { pingUrl: "https://hc.example.com/s3cret", pingEvery: "10s" } } }"#);
    let ping = config.watchdog.ping.as_ref().unwrap();
    assert_eq!((ping.url.host(), ping.every), ("hc.example.com", Duration::from_secs(10)));
    assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    for (url, told) in [
        ("http://hc.example.com/s3cret", "is not encrypted"),
        ("https://127.0.0.1/s3cret", "127.0.0.1"),
        ("https://user:s3cret@hc.example.com/", "is no https URL"),
        ("s3cret", "is no https URL"),
    ] {
        let error = refused(&format!(r#"{{ cron: {{ watchdog: {{ pingUrl: "{url}" }} }} }}"#)).to_string();
        assert!(error.contains(told) && error.contains("cron.watchdog.pingUrl"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    refused(r#"{ cron: { watchdog: { pingEvery: "10s" } } }"#);
}

#[test]
fn the_document_tells_exactly_the_keys_there_are() {
    let reference = Config::reference();
    assert!(DOCUMENT.contains(&reference), "docs/configuration.md needs this table:\n\n{reference}");
}

#[test]
fn the_example_of_the_document_loads_and_holds_every_key() {
    let start = DOCUMENT.find("```json5\n{").unwrap() + "```json5\n".len();
    let example = &DOCUMENT[start..start + DOCUMENT[start..].find("```").unwrap()];
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("secrets")).unwrap();
    std::fs::write(directory.path().join("secrets/webhook-token"), "t0ken\n").unwrap();
    std::fs::create_dir(directory.path().join("reports")).unwrap();
    let name = directory.path().join("clawhook.json5").display().to_string();
    let env = |name: &str| match name {
        "PING_URL" => Some("https://ping.example.com/0123".to_owned()),
        "HOME" => None,
        "CLAWHOOK_TOKEN" => Some("the token of the gateway".to_owned()),
        // Each variable has a value of its own, which does as the credentials of a proxy as well.
        name => (!name.starts_with("CLAWHOOK_")).then(|| format!("user:value-of-{name}")),
    };
    let config = Config::parse(example, &name, &env).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exposed(config.cron.webhook_token.as_ref()), Some("t0ken"));
    for key in keys::all().filter(|key| !key.path().ends_with(".*")) {
        let name = keys::last_name(key.path());
        assert!(example.contains(&format!("{name}: ")), "the example lacks {}", key.path());
    }
}

#[test]
fn the_file_is_looked_for_where_the_environment_says() {
    let path = |variables: &[(&str, &str)]| {
        let lookup =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::default_path(&lookup).display().to_string()
    };
    assert_eq!(path(&[("HOME", "/h")]), "/h/.clawhook/clawhook.json5");
    assert_eq!(path(&[("HOME", "/h"), ("CLAWHOOK_STATE_DIR", "/s")]), "/s/clawhook.json5");
    assert_eq!(path(&[("CLAWHOOK_CONFIG_PATH", "/c.json5"), ("CLAWHOOK_STATE_DIR", "/s")]), "/c.json5");
    let config = Config::without_file(&|name| (name == "CLAWHOOK_GATEWAY_PORT").then(|| "0".to_owned()));
    assert_eq!(config.unwrap().gateway.port, 0);
}
