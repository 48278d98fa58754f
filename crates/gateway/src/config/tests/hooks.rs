//! `hooks`.

use clawhook_inbound::{
    Action, Delivery, Head, HookDefinition, HookId, HookKind, HookSet, Limits, Reading, Refusal, Request,
    SessionMode, Work,
};
use clawhook_model::{AgentId, UnixMs, WakeMode, WebhookTarget};
use http::{HeaderMap, Method};

use super::{Config, only_problem, parse, parse_with, refused};

const DOCUMENT: &str = include_str!("../../../../../docs/hooks.md");

fn on(inside: &str) -> String {
    format!("{{ hooks: {{ enabled: true, token: 'the token of hooks', {inside} }} }}")
}

fn hooks(inside: &str) -> HookSet {
    parse(&on(inside)).hooks.unwrap()
}

fn mapping<'s>(set: &'s HookSet, id: &str) -> &'s HookDefinition {
    let id: HookId = id.parse().unwrap();
    match set.hook(&id).unwrap().kind() {
        HookKind::Mapping(definition) => definition,
        other => panic!("no mapping: {other:?}"),
    }
}

fn send(set: &HookSet, path: &str, headers: &[(&'static str, &str)], body: &str) -> Result<Reading, Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let head = Head { method: &Method::POST, path, query: None, headers: &map };
    let entry = set.enter(&head).unwrap()?;
    let request = Request { head, body: body.as_bytes(), received_at: UnixMs::EPOCH };
    set.open(entry, &request, UnixMs::EPOCH)?.read(&request)
}

#[test]
fn hooks_are_off_unless_they_are_enabled() {
    assert!(parse("{}").hooks.is_none());
    assert!(parse("{ hooks: {} }").hooks.is_none());
    assert!(parse("{ hooks: { token: 'x', enabled: false, path: '/in' } }").hooks.is_none());
    let set = hooks("");
    assert_eq!((set.path(), set.max_body_bytes()), ("/hooks", 256 * 1024));
    assert_eq!(set.hooks().len(), 2);
    assert_eq!(*set.hooks()[0].limits(), Limits::default());
}

#[test]
fn hooks_without_a_token_or_a_signature_do_not_start() {
    let (position, message, _) = only_problem("{ hooks: {\n  enabled: true } }");
    assert_eq!(position, (2, 12));
    assert_eq!(message, "hooks.enabled requires hooks.token");
    let signed = "{ hooks: { enabled: true, mappings: [{ match: { path: 'a' }, messageTemplate: 'x', \
                  signature: { scheme: 'github', secret: 'a secret of GitHub' } }] } }";
    assert!(parse(signed).hooks.is_some());
    let both = "{ hooks: { enabled: true, mappings: [{ match: { path: 'a' }, messageTemplate: 'x', \
                signature: { scheme: 'github', secret: 'a secret of GitHub' } }, { messageTemplate: 'y' }] } }";
    let (_, message, _) = only_problem(both);
    assert!(message.contains("nobody could use the hook `mapping-2`"), "{message}");
}

#[test]
fn each_key_of_hooks_is_obeyed() {
    let config = parse(
        r#"{
        agents: { entries: { ops: {}, sales: {} } },
        hooks: {
            enabled: true, token: "the first token", path: "in/", maxBodyBytes: 1000, allowedAgentIds: ["Ops", "main"],
            defaultSessionKey: "hook:Inbox", allowRequestSessionKey: true, allowedSessionKeyPrefixes: [" Hook: "],
            presets: ["gmail"], returnOutput: true, callback: "ops",
            limits: { maxConcurrentRuns: 2, queueDepth: 5, ratePerMinute: 7, paused: true },
            tokens: { ci: { token: "the second token", hooks: ["agent"], agentIds: ["ops"], allowUnsafeExternalContent: true } },
            mappings: [
                {
                    match: { path: "/Deploys/", source: "ci" }, name: "Deploy {{id}}", agentId: "ops",
                    sessionKey: "hook:{{id}}", sessionMode: "persistent", wakeMode: "next-heartbeat",
                    messageTemplate: "{{text}}", channel: "Telegram", to: "@{{team}}", accountId: "bot",
                    model: "a/b", thinking: "high", timeoutSeconds: 60, toolsAllow: ["shell__*"],
                    allowUnsafeExternalContent: true, limits: { queueDepth: 9, paused: false }, returnOutput: false,
                    callback: "https://example.com/done",
                    filters: [{ value: "kind", is: ["a"] }, { value: "kind", isNot: ["b"] }, { value: "kind", matches: "^a$" }],
                },
                { id: "mail", action: "wake", textTemplate: "x", forEach: "items" },
                { id: "orders", deliverOnly: true, textTemplate: "x", destinations: ["ops", "https://example.com/"] },
                { id: "quiet", messageTemplate: "x", deliver: false, destinations: ["ops"] },
                { id: "made", transform: { template: "{{ payload.a }}", jq: "{a: .payload.b}" } },
            ],
        },
    }"#,
    );
    let set = config.hooks.unwrap();
    assert_eq!((set.path(), set.max_body_bytes()), ("/in", 1000));
    let all = Limits { max_concurrent_runs: 2, queue_depth: 5, rate_per_minute: Some(7), paused: true };
    let ops = WebhookTarget::Destination("ops".parse().unwrap());
    let agent = &set.hooks()[0];
    assert_eq!((*agent.limits(), agent.callback(), agent.returns_output()), (all, Some(&ops), true));

    let deploys = mapping(&set, "mapping-1");
    assert_eq!(deploys.matching.path.as_deref(), Some("Deploys"));
    assert_eq!(deploys.matching.source.as_deref(), Some("ci"));
    assert_eq!(deploys.limits, Limits { queue_depth: 9, paused: false, ..all });
    assert_eq!(deploys.action, Action::Agent);
    assert_eq!(deploys.wake_mode, WakeMode::NextHeartbeat);
    assert_eq!(deploys.session_mode, SessionMode::Persistent);
    assert_eq!(deploys.filters.len(), 3);
    assert_eq!(deploys.timeout.unwrap().as_secs(), 60);
    assert_eq!(deploys.tools_allow.as_deref(), Some(&["shell__*".to_owned()][..]));
    assert!(deploys.allow_unsafe_external_content && !deploys.return_output);
    assert!(matches!(deploys.callback, Some(WebhookTarget::Url(_))));
    match &deploys.delivery {
        Delivery::Announce { channel, to, account_id } => {
            assert_eq!(channel, "telegram");
            assert_eq!(to.as_ref().unwrap().source(), "@{{team}}");
            assert_eq!(account_id.as_deref(), Some("bot"));
        }
        other => panic!("{other:?}"),
    }
    for (written, expected) in [
        (&deploys.name, "Deploy {{id}}"),
        (&deploys.agent_id, "ops"),
        (&deploys.session_key, "hook:{{id}}"),
        (&deploys.text, "{{text}}"),
        (&deploys.model, "a/b"),
        (&deploys.thinking, "high"),
    ] {
        assert_eq!(written.as_ref().unwrap().source(), expected);
    }
    let mail = mapping(&set, "mail");
    assert_eq!((mail.action, mail.for_each.as_deref(), mail.limits), (Action::Wake, Some("items"), all));
    let orders = mapping(&set, "orders");
    assert_eq!(orders.action, Action::DeliverOnly);
    assert!(
        matches!(&orders.delivery, Delivery::Webhook(targets) if targets.len() == 2 && targets[0] == ops)
    );
    assert_eq!(mapping(&set, "quiet").delivery, Delivery::None);
    assert!(
        mapping(&set, "made").transform.template.is_some() && mapping(&set, "made").transform.jq.is_some()
    );
    assert_eq!(mapping(&set, "gmail").for_each.as_deref(), Some("messages"));

    let first = [("x-openclaw-token", "the first token")];
    let second = [("x-openclaw-token", "the second token")];
    assert_eq!(
        send(&set, "/in/agent", &first, r#"{"message":"x","agentId":"sales"}"#),
        Err(Refusal::AgentNotAllowed)
    );
    assert_eq!(send(&set, "/in/agent", &second, r#"{"message":"x"}"#), Err(Refusal::AgentNotAllowed));
    match send(&set, "/in/agent", &second, r#"{"message":"x","agentId":"ops"}"#).unwrap() {
        Reading::Asks(asked) => match &asked.work[0] {
            Work::Agent(turn) => {
                assert_eq!((turn.message.as_str(), &turn.agent_id), ("x", &AgentId::normalise("ops")));
                assert_eq!(turn.session_key.as_ref().unwrap().as_str(), "hook:inbox");
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    assert!(matches!(send(&set, "/in/wake", &second, r#"{"text":"x"}"#), Err(Refusal::Unauthorized(_))));
}

#[test]
fn what_is_wrong_with_a_hook_is_told_with_its_place() {
    for (inside, told) in [
        (
            "mappings: [{ messageTemplate: '{{a | b}}' }]",
            "`hooks.mappings[0].messageTemplate` `a | b` is no path",
        ),
        ("mappings: [{ messageTemplate: 'x', agentId: 'nobody' }]", "there is no agent `nobody`"),
        ("mappings: [{ messageTemplate: 'x', sessionKey: '{{id}}' }]", "lets whoever sends a request choose"),
        ("allowedAgentIds: ['nobody']", "names the agent `nobody`"),
        ("path: '/'", "cannot be the path of hooks"),
        ("maxBodyBytes: 262145", "must be a whole number from 1 to 262144"),
        ("presets: ['github']", "is no preset"),
        ("defaultSessionKey: 'a', allowedSessionKeyPrefixes: ['hook:']", "begins with none of"),
        ("mappings: [{ id: 'Bad Id', messageTemplate: 'x' }]", "is not a hook's id"),
        ("mappings: [{ messageTemplate: 'x', match: { path: 'agent' } }]", "is a hook of the house"),
        ("mappings: [{ messageTemplate: 'x', filters: [{ value: 'a', matches: '(' }] }]", "unclosed group"),
        (
            "mappings: [{ messageTemplate: 'x', filters: [{ value: 'a' }] }]",
            "one of `is`, `isNot` and `matches`",
        ),
        ("mappings: [{ transform: { template: '{% if %}' } }]", "cannot be read in line 1"),
        ("mappings: [{ messageTemplate: 'x', transform: { jq: 'def f: f; f' } }]", "transform.jq` has `def`"),
        ("mappings: [{ textTemplate: 'x' }]", "is of no use with this action"),
        ("mappings: [{ messageTemplate: 'x', to: 'a' }]", "needs `channel`"),
        ("mappings: [{ messageTemplate: 'x', deliverOnly: true }]", "is of no use beside `deliverOnly`"),
        ("tokens: { a: { token: 'the token of hooks' } }", "is the token `default` as well"),
        ("tokens: { a: { token: 'x', hooks: ['nothing'] } }", "which there is not"),
        ("callback: 'https://127.0.0.1/x'", "where no webhook may go"),
        (
            "mappings: [{ messageTemplate: 'x', destinations: ['ops', 'http://example.com/'] }]",
            "where no webhook may go",
        ),
        ("tokens: { default: { token: 'x' } }", "has the name of `hooks.token`"),
    ] {
        let text = on(inside);
        let error = refused(&text);
        let problem = &error.problems()[0];
        assert!(problem.message().contains(told), "{inside}: {error}");
        let (line, column) = problem.position().unwrap();
        assert_eq!(line, 1);
        assert!(
            column > "{ hooks: { enabled: true, token: 'the token of hooks', ".len() - 1,
            "{inside}: {column}"
        );
    }
}

#[test]
fn the_token_of_hooks_is_not_that_of_the_gateway() {
    for text in [
        "{ gateway: { auth: { token: 'the same' } }, hooks: { enabled: true, token: 'the same' } }",
        "{ gateway: { auth: { token: 'the same' } }, hooks: { enabled: true, token: 'x', tokens: { a: { token: 'the same' } } } }",
    ] {
        let (_, message, hint) = only_problem(text);
        assert!(message.contains("is the token of the gateway"), "{message}");
        assert!(hint.unwrap().contains("openssl rand"));
    }
    let from_environment =
        parse_with("{ hooks: { enabled: true, token: 'same' } }", &[("CLAWHOOK_GATEWAY_TOKEN", "same")]);
    assert!(from_environment.is_err());
}

#[test]
fn a_module_of_javascript_is_refused_with_what_to_write_instead() {
    let (_, message, hint) = only_problem(&on("mappings: [{ transform: { module: 'a.mjs', export: 'b' } }]"));
    assert!(message.contains("`hooks.mappings[0].transform` names a module of JavaScript"), "{message}");
    assert!(hint.unwrap().contains("transform.jq"));
    let (_, _, hint) = only_problem("{ hooks: { transformsDir: 'hooks' } }");
    assert!(hint.unwrap().contains("transform.template"));
}

#[test]
fn a_signature_is_what_its_keys_say() {
    let signed = |inside: &str| {
        on(&format!(
            "mappings: [{{ match: {{ path: 'a' }}, messageTemplate: 'x', signature: {{ {inside} }} }}]"
        ))
    };
    for good in [
        "scheme: 'gitlab', secrets: ['one secret of GitLab', 'another of GitLab']",
        "scheme: 'standard', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', tolerance: '1m'",
        "scheme: 'hmac', secret: 'the secret of a service', header: 'x-sig', signedContent: 'v0:{{timestamp}}:{{body}}', \
         timestampHeader: 'x-time', algorithm: 'sha1', encoding: 'base64', prefix: 'v0='",
        "scheme: 'hmac', secret: 'the secret of a service', header: 'x-sig'",
    ] {
        assert!(parse(&signed(good)).hooks.is_some());
    }
    for (bad, told) in [
        ("scheme: 'github'", "take every request for a genuine one"),
        ("secret: 'the secret of a service'", "`hooks.mappings[0].signature.scheme` is missing"),
        ("scheme: 'github', secret: 'too short'", "9 characters"),
        ("scheme: 'github', secret: { env: 'NOTHING' }", "cannot be read"),
        ("scheme: 'hubgit', secret: 'the secret of a service'", "one of \"standard\""),
        ("scheme: 'standard', secret: 'the secret of a service'", "begins with `whsec_`"),
        (
            "scheme: 'hmac', secret: 'the secret of a service'",
            "`hooks.mappings[0].signature.header` is missing",
        ),
        (
            "scheme: 'github', secret: 'the secret of a service', header: 'x'",
            "with the scheme \"hmac\" alone",
        ),
        ("scheme: 'github', secret: 'the secret of a service', tolerance: '1m'", "has no time"),
        (
            "scheme: 'github', secret: 'the secret of a service', secrets: ['another of the service']",
            "`secret` and `secrets`",
        ),
        (
            "scheme: 'hmac', secret: 'the secret of a service', header: 'x', timestampHeader: 'y', signedContent: '{{body}}'",
            "a time that is not signed proves nothing",
        ),
    ] {
        let (_, message, _) = only_problem(&signed(bad));
        assert!(message.contains(told), "{bad}: {message}");
    }
}

#[test]
fn i12_no_secret_of_a_hook_is_shown() {
    let text = on("mappings: [{ match: { path: 'a' }, messageTemplate: 'x', \
                   signature: { scheme: 'github', secret: 'the secret of a service' } }]");
    let shown = format!("{:?}", parse(&text));
    assert!(!shown.contains("the token of hooks") && !shown.contains("the secret of a service"), "{shown}");
    let error = refused(&on("tokens: { a: { token: 'short-secret', nonsense: 1 } }")).to_string();
    assert!(!error.contains("short-secret") && !error.contains("the token of hooks"), "{error}");
}

#[test]
fn the_examples_of_the_document_load() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("cockpit");
    std::fs::write(&secret, "the token of the cockpit\n").unwrap();
    let mut examples = 0;
    for block in DOCUMENT.split("```json5\n").skip(1) {
        let example = block.split("```").next().unwrap();
        let example = example.replace("/run/secrets/cockpit", &secret.display().to_string());
        let env = |name: &str| (!name.starts_with("CLAWHOOK_")).then(|| format!("the secret {name}"));
        let config = Config::parse(&example, "clawhook.json5", &env);
        assert!(config.unwrap_or_else(|error| panic!("{error}")).hooks.is_some());
        examples += 1;
    }
    assert_eq!(examples, 5);
}
