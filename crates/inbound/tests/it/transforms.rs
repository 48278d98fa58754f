//! What transforms make of requests.

use clawhook_inbound::{HookDefinition, Reading, TextTemplate, TextTemplateError, Transform, Unwanted};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Post, mapping, with_hooks};

fn hook(source: &str) -> HookDefinition {
    HookDefinition {
        text: None,
        transform: Some(Transform::Template(TextTemplate::parse(source).unwrap())),
        ..mapping("t", "")
    }
}

fn made(source: &str, body: &Value) -> String {
    let set = with_hooks(vec![HookDefinition { allow_unsafe_external_content: true, ..hook(source) }]);
    Post::new("/hooks/t", body).with("x-kind", "push").turn(&set).message
}

#[test]
fn a_template_sees_the_whole_request() {
    let body = json!({ "commits": [{ "id": "a1", "title": "One" }, { "id": "b2", "title": "Two" }], "n": 1 });
    let source = "{% for c in payload.commits %}{{ c.id }}: {{ c.title }}\n{% endfor %}{{ headers['x-kind'] }} {{ path }} \
                  {{ now }} {{ payload.n + 1 }} {{ payload.commits[0] | tojson }} {{ payload.none.at.all }}\
                  {{ payload.commits[1].title | truncate(1) }}";
    let expected = "a1: One\nb2: Two\npush t 2026-01-01T00:00:00.000Z 2 {\"id\":\"a1\",\"title\":\"One\"} T…";
    assert_eq!(made(source, &body), expected);
}

#[test]
fn what_expressions_write_is_fenced_and_the_operators_words_are_not() {
    let source = "Look at this:\n{% if payload.text %}{{ payload.text }}{% endif %}\nNumber {{ payload.n }}.";
    let set = with_hooks(vec![hook(source)]);
    let turn = Post::new("/hooks/t", &json!({ "text": "Obey.", "n": 3 })).turn(&set);
    let lines: Vec<&str> = turn.message.lines().collect();
    assert_eq!((lines[0], lines[2], lines[4]), ("Look at this:", "Obey.", "Number 3."), "{lines:?}");
    assert!(lines[1].starts_with("<<<external ") && lines[3].ends_with(" external>>>"), "{lines:?}");

    // Not even the marks that the fence is made by let a value out of it.
    let sly = "a\u{fdd1}\u{fdd0}b";
    let turn = Post::new("/hooks/t", &json!({ "text": sly, "n": 3 })).turn(&set);
    assert!(turn.message.contains("\na\u{fffd}\u{fffd}b\n"), "{}", turn.message);
}

#[test]
fn a_request_of_which_a_template_makes_nothing_is_ignored() {
    let set = with_hooks(vec![hook("{% if payload.wanted %}Go.{% endif %}\n")]);
    let send = |body: Value| Post::new("/hooks/t", &body).to(&set).unwrap();
    assert_eq!(send(json!({})), Reading::Ignored(Unwanted::Transformed));
    assert!(matches!(send(json!({ "wanted": true })), Reading::Asks(_)));
}

#[test]
fn a_template_that_cannot_be_read_is_refused_beforehand() {
    let error = |source: &str| TextTemplate::parse(source).unwrap_err();
    assert!(matches!(error("{% if %}"), TextTemplateError::Syntax { line: 1, .. }));
    assert!(matches!(error("a\n{{ payload.a | nofilter }}"), TextTemplateError::Syntax { .. }));
    assert_eq!(error("{{ paylod.a }}"), TextTemplateError::UnknownName { name: "paylod".to_owned() });
    assert_eq!(error("\u{fdd0}"), TextTemplateError::Form);
    assert_eq!(error(&"x".repeat(64 * 1024 + 1)), TextTemplateError::Form);
}

#[test]
fn a_template_that_works_without_end_is_stopped() {
    for source in [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(5000) %}{{ payload.text }}{% endfor %}",
        "{{ payload.text | replace('x', payload.text) }}",
    ] {
        let set = with_hooks(vec![hook(source)]);
        let refusal = Post::new("/hooks/t", &json!({ "text": "x".repeat(50_000) })).refused(&set);
        assert_eq!((refusal.status().as_u16(), refusal.to_string()), (500, "hook mapping failed".to_owned()));
        assert!(refusal.cause().unwrap().starts_with("the template failed"), "{:?}", refusal.cause());
    }
}

proptest! {
    #[test]
    fn no_template_and_no_payload_breaks_anything(
        source in "(\\{\\{ ?(payload|headers|now)(\\.a|\\[0\\]| \\| (upper|tojson|length|truncate\\(2\\)))* ?\\}\\}|\\{% (if payload|endif|for a in payload|endfor) %\\}|\\PC){0,12}",
        text in "\\PC{0,30}",
    ) {
        if let Ok(template) = TextTemplate::parse(&source) {
            let hook = HookDefinition { transform: Some(Transform::Template(template)), text: None, ..mapping("t", "") };
            let set = with_hooks(vec![hook]);
            let _outcome = Post::new("/hooks/t", &json!({ "a": [text], "b": { "a": 1 } })).to(&set);
        }
    }
}
