//! Who is let in, and to which hook.

use std::collections::BTreeSet;

use clawhook_inbound::{Head, HookSet, HooksDefinition, Refusal, RefusalBody, TokenDefinition, Unproven};
use http::{HeaderMap, Method};
use proptest::prelude::*;
use serde_json::json;

use crate::world::{Post, TOKEN, agent, definition, hook_id, mapping, token, with_hooks};

const WAKE: &str = r#"{"text":"hello"}"#;

#[test]
fn what_lies_elsewhere_is_not_for_hooks() {
    let set = with_hooks(vec![]);
    for (path, expected) in [
        ("/hooks", Some("")),
        ("/hooks/", Some("")),
        ("/hooks/agent", Some("agent")),
        ("/hooks//a/b/", Some("a/b")),
        ("/hooksagent", None),
        ("/", None),
    ] {
        assert_eq!(set.sub_path(path), expected, "{path}");
    }
    let headers = HeaderMap::new();
    let head = Head { method: &Method::POST, path: "/api/v1/jobs", query: None, headers: &headers };
    assert!(set.enter(&head).is_none());
}

#[test]
fn the_steps_are_taken_in_openclaws_order_and_told_in_its_words() {
    let set = with_hooks(vec![]);
    let good = Post::new("/hooks/wake", &json!({ "text": "hello" }));
    let in_query = Post { query: Some("a=1&token=x".to_owned()), method: Method::GET, ..good.clone() };
    let text = "Hook token must be provided via Authorization: Bearer <token> or X-OpenClaw-Token header (query \
                parameters are not allowed).";
    assert_eq!(in_query.answer(&set), (400, text.to_owned()));

    let get = Post { method: Method::GET, headers: HeaderMap::new(), ..good.clone() };
    assert_eq!(get.answer(&set), (405, "Method Not Allowed".to_owned()));
    assert_eq!(get.refused(&set).allow(), Some("POST"));

    let no_token = Post { headers: HeaderMap::new(), path: "/hooks".to_owned(), ..good.clone() };
    assert_eq!(no_token.answer(&set), (401, "Unauthorized".to_owned()));
    assert_eq!(no_token.refused(&set).body(), RefusalBody::Text("Unauthorized".to_owned()));
    for path in ["/hooks", "/hooks/", "/hooks/nothing"] {
        let at = Post { path: path.to_owned(), ..good.clone() };
        assert_eq!(at.answer(&set), (404, "Not Found".to_owned()), "{path}");
    }
}

#[test]
fn a_token_comes_as_a_bearer_or_in_openclaws_header_and_the_bearer_wins() {
    let set = with_hooks(vec![]);
    let bare = || Post::bare("/hooks/wake", WAKE);
    for good in [
        bare().with("authorization", &format!("bEaReR  {TOKEN} ")),
        bare().with("x-openclaw-token", TOKEN),
        bare().with("authorization", "Basic abc").with("x-openclaw-token", TOKEN),
    ] {
        good.asked(&set);
    }
    for bad in [
        bare().with("authorization", &format!("Bearer {TOKEN}x")),
        bare().with("authorization", TOKEN),
        bare().with("authorization", "Bearer "),
        bare().with("authorization", "Bearer wrong").with("x-openclaw-token", TOKEN),
        bare().with("x-openclaw-token", &TOKEN[1..]),
    ] {
        assert_eq!(bad.refused(&set), Refusal::Unauthorized(Unproven::Token));
    }
}

#[test]
fn each_of_several_tokens_reaches_what_it_may_and_no_more() {
    let narrow = TokenDefinition {
        hooks: Some(BTreeSet::from([hook_id("agent"), hook_id("git")])),
        agents: Some(BTreeSet::from([agent("ops")])),
        ..token("ci", "the-token-of-the-builds")
    };
    let mut with_two = definition();
    with_two.tokens.push(narrow);
    with_two.hooks = vec![mapping("git", "pushed"), mapping("mail", "arrived")];
    let set = HookSet::new(with_two).unwrap();
    let ci = |path: &str, body: &str| {
        Post::bare(path, body).with("authorization", "Bearer the-token-of-the-builds")
    };

    assert_eq!(ci("/hooks/agent", r#"{"message":"go","agentId":"ops"}"#).turn(&set).agent_id, agent("ops"));
    for body in
        [r#"{"message":"go","agentId":"sales"}"#, r#"{"message":"go"}"#, r#"{"message":"go","agentId":" "}"#]
    {
        let refusal = ci("/hooks/agent", body).refused(&set);
        assert_eq!(refusal, Refusal::AgentNotAllowed, "{body}");
    }
    let refusal = ci("/hooks/mail", "{}").refused(&set);
    assert_eq!(refusal.status().as_u16(), 401);
    assert_eq!(refusal.cause().unwrap(), "the token `ci` may not use the hook `mail`");
    assert!(!refusal.to_string().contains("ci"), "the caller is not told");
    // The mapping's agent is the default one, which this token may not reach either.
    assert_eq!(ci("/hooks/git", "{}").refused(&set), Refusal::AgentNotAllowed);
    Post::new("/hooks/git", &json!({})).asked(&set);
}

#[test]
fn i12_no_token_shows_itself() {
    let set = with_hooks(vec![]);
    assert!(!format!("{set:?}").contains(TOKEN));
    assert!(!format!("{:?}", definition()).contains(TOKEN));
}

#[test]
fn bodies_are_read_as_openclaw_reads_them() {
    let set = with_hooks(vec![]);
    let with = |body: &[u8]| Post::bare("/hooks/agent", body).with("x-openclaw-token", TOKEN);
    for empty in [&b""[..], b"  \n", b"[]", b"[{\"message\":\"x\"}]", b"null", b"7", b"\"message\""] {
        assert_eq!(with(empty).answer(&set), (400, "message required".to_owned()));
    }
    for cut in [&b"{"[..], b"{\"message\":", b"{\"message\":\"x"] {
        assert_eq!(with(cut).answer(&set), (400, "Unexpected end of JSON input".to_owned()));
    }
    let (status, text) = with(b"message=hello").answer(&set);
    assert!(status == 400 && text.starts_with("the body is not JSON: "), "{text}");
    assert!(!text.contains("hello"), "nothing of it is repeated");

    // What is no UTF-8 is read with replacements, as Node reads it.
    let turn = with(b"{\"message\":\"caf\xe9\"}").turn(&set);
    assert!(turn.message.contains("caf\u{fffd}"));
}

#[test]
fn a_body_at_the_limit_is_taken_and_one_beyond_it_is_not() {
    let set = with_hooks(vec![]);
    let sized = |bytes: usize| {
        let frame = r#"{"message":""}"#.len();
        let body = format!(r#"{{"message":"{}"}}"#, "x".repeat(bytes - frame));
        Post::bare("/hooks/agent", body).with("x-openclaw-token", TOKEN)
    };
    sized(256 * 1024).asked(&set);
    assert_eq!(sized(256 * 1024 + 1).answer(&set), (413, "payload too large".to_owned()));
}

#[test]
fn json_that_is_nested_too_deep_is_refused_and_breaks_nothing() {
    let set = with_hooks(vec![mapping("deep", "{{a}}")]);
    let nested = |depth: usize| {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        Post::bare("/hooks/deep", body).with("x-openclaw-token", TOKEN)
    };
    nested(100).asked(&set);
    for depth in [200, 100_000] {
        let (status, text) = nested(depth).answer(&set);
        assert!(status == 400 && text.contains("recursion limit"), "{text}");
    }
}

#[test]
fn a_set_of_hooks_without_a_token_takes_signed_requests_alone() {
    let definition = HooksDefinition { tokens: vec![], ..definition() };
    let set = HookSet::new(definition.clone()).unwrap();
    let refusal = Post::new("/hooks/wake", &json!({ "text": "hello" })).refused(&set);
    assert_eq!(refusal, Refusal::Unauthorized(Unproven::Token));
    let problems =
        HookSet::new(HooksDefinition { hooks: vec![mapping("git", "x")], ..definition }).unwrap_err();
    assert!(problems[0].message.starts_with("nobody could use the hook `git`"), "{problems:?}");
}

proptest! {
    #[test]
    fn whatever_is_sent_there_is_an_answer(
        path in "/hooks(/agent|/wake|/git|/[a-z/.%]{0,9})?",
        query in proptest::option::of("\\PC{0,20}"),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "\\{\"(message|text|agentId|model|timeoutSeconds|channel|to)\":(\"[a-z]{0,5}\"|-?[0-9e.]{1,9}|null|\\[\\])\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let set = with_hooks(vec![mapping("git", "{{a}}{{headers.x-openclaw-token}}{{query.b}}")]);
        let mut post = Post::bare(&path, body).with("x-openclaw-token", TOKEN);
        post.query = query;
        if let Err(refusal) = post.to(&set) {
            prop_assert!(refusal.status().is_client_error());
        }
    }
}
