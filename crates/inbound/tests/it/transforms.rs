//! What transforms make of requests.

use clawhook_inbound::{HookDefinition, Reading, TextTemplate, TextTemplateError, Transform, Unwanted};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Post, mapping, with_hooks};

fn hook(source: &str) -> HookDefinition {
    HookDefinition {
        text: None,
        transform: Transform { template: Some(TextTemplate::parse(source).unwrap()), jq: None },
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
            let hook = HookDefinition { transform: Transform { template: Some(template), jq: None }, text: None, ..mapping("t", "") };
            let set = with_hooks(vec![hook]);
            let _outcome = Post::new("/hooks/t", &json!({ "a": [text], "b": { "a": 1 } })).to(&set);
        }
    }
}

mod jq {
    use std::time::{Duration, Instant};

    use clawhook_inbound::{Action, Delivery, HookDefinition, JqError, JqProgram, Transform, Work};
    use clawhook_model::WebhookTarget;

    use super::*;
    use crate::world::template;

    fn hook(program: &str, text: &str) -> HookDefinition {
        HookDefinition {
            transform: Transform { jq: Some(JqProgram::parse(program).unwrap()), template: None },
            ..mapping("t", text)
        }
    }

    /// What the program makes of the payload.
    fn made(program: &str, body: &Value) -> Value {
        let hook = HookDefinition {
            action: Action::DeliverOnly,
            delivery: Delivery::Webhook(vec![WebhookTarget::Destination("ops".parse().unwrap())]),
            ..hook(&format!("{{made: ({program})}}"), "x")
        };
        let set = with_hooks(vec![hook]);
        match Post::new("/hooks/t", body).with("x-kind", "push").asked(&set).work.remove(0) {
            Work::DeliverOnly(mut event) => event.data["made"].take(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_makes_another_payload() {
        let body = json!({
            "items": [{ "k": "b", "n": 2 }, { "k": "a", "n": 1 }, { "k": "b", "n": 3 }],
            "text": " Grüß Gott ", "obj": { "x": 1, "y": null }, "no": null, "big": 12345678901234567_u64, "half": 0.5,
        });
        for (program, expected) in [
            (".payload.items | map(.n) | add", json!(6)),
            ("[.payload.items[] | select(.n > 1) | .k]", json!(["b", "b"])),
            (".payload.items | group_by(.k) | map({(.[0].k): length}) | add", json!({ "a": 1, "b": 2 })),
            (".payload.items | sort_by(.n) | map(.k) | join(\", \")", json!("a, b, b")),
            (".payload.items | unique_by(.k) | length", json!(2)),
            (".payload.items | min_by(.n).k + max_by(.n).k", json!("ab")),
            (".payload.items | [any(.n == 3), all(.n > 1)]", json!([true, false])),
            (".payload.text | trim | ascii_upcase", json!("GRüß GOTT")),
            (
                "\"\\(.payload.text | trim)! \\(1 + 1) \\(.payload.obj)\"",
                json!("Grüß Gott! 2 {\"x\":1,\"y\":null}"),
            ),
            (".payload.obj | to_entries | map(select(.value != null)) | from_entries", json!({ "x": 1 })),
            (".payload.obj | with_entries({key: .key, value: 7})", json!({ "x": 7, "y": 7 })),
            (".payload.obj | keys", json!(["x", "y"])),
            (".payload | .no.deep.er // \"nothing\"", json!("nothing")),
            (".payload.items[0] as {k: $k, $n} | [$k, $n]", json!(["b", 2])),
            (".payload.items[1:] | length", json!(2)),
            ("if .payload.no then 1 elif .payload.half < 1 then 2 else 3 end", json!(2)),
            ("try error(\"x\") catch .", json!("x")),
            ("[.payload.items[]?.k, .payload.text[]?]", json!(["b", "a", "b"])),
            (".headers[\"x-kind\"] + \" \" + .path + \" \" + .now", json!("push t 2026-01-01T00:00:00.000Z")),
            ("\"7.5\" | tonumber | . * 2 - 1", json!(14.0)),
            (".payload.big", json!(12345678901234567_u64)),
            ("[(\"a,b\" / \",\"), 7 % 4] | tojson", json!("[[\"a\",\"b\"],3]")),
            ("{a: 1} * {a: {b: 2}}", json!({ "a": { "b": 2 } })),
            ("first(.payload.items[] | .k) , empty", json!("b")),
            ("[limit(2; .payload.items[].n)]", json!([2, 1])),
            (".payload.no | type", json!("null")),
            ("\"a b c\" | split(\" \") | last", json!("c")),
        ] {
            assert_eq!(made(program, &body), expected, "{program}");
        }
    }

    #[test]
    fn templates_see_what_the_program_made_and_fence_it() {
        let hook = HookDefinition {
            name: Some(template("{{title}}")),
            for_each: Some("alerts".to_owned()),
            ..hook("{alerts: [.payload.list[] | {who: .}], title: \"T\"}", "Look at {{alerts[0].who}}")
        };
        let asked = Post::new("/hooks/t", &json!({ "list": ["a", "b"] })).asked(&with_hooks(vec![hook]));
        let told: Vec<(String, String)> = asked
            .work
            .into_iter()
            .map(|work| match work {
                Work::Agent(turn) => (turn.name, turn.message),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.len(), 2);
        assert_eq!(told[1].0, "T");
        assert!(told[1].1.starts_with("Look at \n<<<external ") && told[1].1.contains("\nb\n"), "{told:?}");
    }

    #[test]
    fn a_program_that_makes_nothing_lets_the_request_be_ignored_and_one_that_fails_is_told() {
        let to = |program: &str, body: Value| {
            Post::new("/hooks/t", &body).to(&with_hooks(vec![hook(program, "x")]))
        };
        for nothing in ["empty", "null", "if .payload.wanted then {} else empty end"] {
            assert_eq!(to(nothing, json!({})).unwrap(), Reading::Ignored(Unwanted::Transformed), "{nothing}");
        }
        assert!(matches!(
            to("if .payload.wanted then {} else empty end", json!({ "wanted": 1 })),
            Ok(Reading::Asks(_))
        ));
        for (program, cause) in [
            ("{}, {}", "more than one value"),
            ("[1]", "something else than an object"),
            (".payload.text.deep", "the program failed"),
            ("error(\"no\")", "the program failed"),
            ("{a: (\"a\" * 9)}", "the program failed"),
            ("{a: ([1] - [1])}", "the program failed"),
        ] {
            let refusal = to(program, json!({ "text": "x" })).unwrap_err();
            assert_eq!(
                (refusal.status().as_u16(), refusal.to_string()),
                (500, "hook mapping failed".to_owned())
            );
            assert!(refusal.cause().unwrap().contains(cause), "{program}: {:?}", refusal.cause());
        }
    }

    #[test]
    fn what_could_run_without_end_or_reads_more_than_its_request_is_refused() {
        for (program, told) in [
            ("def f: f; f", "`def`"),
            ("reduce .[] as $x (0; . + 1)", "`reduce`"),
            ("foreach .[] as $x (0; . + 1)", "`foreach`"),
            ("label $out | break $out", "`label`"),
            ("[..]", "`..`"),
            (".a = 1", "an assignment"),
            (".a |= 1", "an assignment"),
            (".a += 1", "an assignment"),
            ("@base64", "`@base64`"),
            ("repeat(1)", "`repeat` with 1"),
            ("recurse(.a)", "`recurse` with 1"),
            ("range(1000)", "`range` with 1"),
            ("until(false; .)", "`until` with 2"),
            ("now", "`now` with 0"),
            ("env", "`env` with 0"),
            ("input", "`input` with 0"),
            ("halt", "`halt` with 0"),
            ("hook_weigh", "`hook_weigh` with 0"),
            ("path(.a)", "`path` with 1"),
            ("fromjson", "`fromjson` with 0"),
            ("map(.; .)", "`map` with 2"),
            ("$ENV", "`$ENV`"),
            ("{a: (def f: 1; f)}", "`def`"),
            ("\"\\([..])\"", "`..`"),
            (".[[..][0]]", "`..`"),
            (". as {(..): $x} | $x", "`..`"),
        ] {
            let error = JqProgram::parse(program).unwrap_err();
            assert!(error.to_string().contains(told), "{program}: {error}");
        }
        for program in [".a b", "(", "", "if", "\u{0}"] {
            assert!(matches!(JqProgram::parse(program), Err(JqError::Syntax(_))), "{program}");
        }
        assert_eq!(JqProgram::parse(&"(".repeat(4_000)).unwrap_err(), JqError::TooLarge);
        assert_eq!(JqProgram::parse(&"1+".repeat(4_000)).unwrap_err(), JqError::TooLarge);
        for deep in ["1+".repeat(2_000), "-".repeat(4_000), "try ".repeat(1_000), ".a|".repeat(1_300)] {
            assert_eq!(JqProgram::parse(&format!("{deep}1")).unwrap_err(), JqError::TooLarge);
        }
        assert!(JqProgram::parse(&format!("{}1", "1+".repeat(90))).is_ok());
    }

    #[test]
    fn a_program_that_takes_too_much_is_stopped_and_cannot_catch_that() {
        let body = json!({ "list": vec![1; 50_000], "text": "x".repeat(100_000) });
        for program in [
            "{n: [.payload.list[] as $a | try (.payload.list[] as $b | try error catch 1) catch 1]}",
            "{n: ([.payload.list[] as $a | .payload.text | tojson] | join(\"\"))}",
        ] {
            let hook = hook(program, "x");
            let begun = Instant::now();
            let refusal = Post::new("/hooks/t", &body).refused(&with_hooks(vec![hook]));
            assert_eq!(
                refusal.cause().unwrap(),
                "the program takes more work than one request may",
                "{program}"
            );
            assert!(begun.elapsed() < Duration::from_secs(30), "{program}: {:?}", begun.elapsed());
        }
        // Doubling by nesting costs what it would be when it is written out.
        let doubled = format!("{{n: (1{})}}", " | [.,.]".repeat(60));
        let refusal = Post::new("/hooks/t", &json!({})).refused(&with_hooks(vec![hook(&doubled, "x")]));
        assert_eq!(refusal.cause().unwrap(), "the program takes more work than one request may");
    }

    proptest! {
        #[test]
        fn no_program_and_no_payload_breaks_anything(
            program in "(\\.payload|\\.a|\\[\\]|\\[|\\]|\\{a: |\\}|\\(|\\)| \\| |, |map\\(|add|length|tojson|\\$x| as |1|\"\\\\\\(|\"|//| \\+ | \\* | / |\\?|not|keys|sort|-){0,14}",
            text in "\\PC{0,20}",
        ) {
            if let Ok(parsed) = JqProgram::parse(&program) {
                let hook = HookDefinition {
                    transform: Transform { jq: Some(parsed), template: None },
                    ..mapping("t", "x")
                };
                let body = json!({ "a": [text, 1, null, { "a": true }], "b": { "a": [[1]] } });
                let _outcome = Post::new("/hooks/t", &body).to(&with_hooks(vec![hook]));
            }
        }
    }
}
