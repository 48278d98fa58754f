//! Templates: what they can say, and what they cannot do.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn template(body: &str) -> Value {
    json!({ "template": { "body": body } })
}

fn of_type(content_type: &str, body: &str) -> Value {
    json!({ "template": { "body": body, "contentType": content_type } })
}

fn with_header(value: &str) -> Value {
    json!({ "template": { "body": "{}", "headers": { "X-A": value } } })
}

#[track_caller]
fn text(format: &Value, changes: &Value) -> String {
    let rendered = render(format, &event(changes)).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

#[track_caller]
fn refused(format: &Value) -> String {
    renderer(format).expect_err("the template is refused").to_string()
}

#[test]
fn a_value_is_written_as_its_place_in_the_json_wants_it() {
    let body = r#"{"in text": "<{{ event.summary }}>", "alone": {{ event.summary }}, "number": {{ event.durationMs }},
        "number in text": "{{ event.durationMs }}", "object": {{ event.usage }}, "object in text": "{{ event.usage }}",
        "absent": {{ event.error }}, "absent in text": "{{ event.error }}", "{{ event.status }}": {{ event.usage | tojson }},
        "made": {{ ["a", 1.5, true, none] }}, "made in text": "{{ [1] | tojson }}"}"#;
    let rendered: Value =
        serde_json::from_str(&text(&template(body), &json!({ "summary": "\"},\n\\ü" }))).unwrap();
    let usage = json!({ "input_tokens": 812, "output_tokens": 64, "total_tokens": 876 });
    assert_eq!(
        rendered,
        json!({
            "in text": "<\"},\n\\ü>", "alone": "\"},\n\\ü", "number": 4217, "number in text": "4217",
            "object": usage, "object in text": usage.to_string(), "absent": null, "absent in text": "",
            "ok": usage, "made": ["a", 1.5, true, null], "made in text": "[1]",
        })
    );
}

/// Templates that are compiled once for many values.
static IN_JSON: LazyLock<Renderer> = LazyLock::new(|| {
    let body = r#"{"a": "x{{ event.summary }}{{ event.summary }}", "b": {{ event.summary }},
        "c": ["{{ event.summary | upper | lower | truncate(1000) }}", {{ event.summary | tojson }}, {{ [event.summary] }}],
        "d": "{% for _ in [1, 2] %}{{ event.summary }}{% endfor %}", "e": "\"\\{{ event.summary }}",
        {% set alias = event.summary ~ "" %}"f": "{{ alias }}", "g": 1}"#;
    renderer(&template(body)).unwrap()
});
static IN_MARKUP: LazyLock<Renderer> = LazyLock::new(|| {
    let body = "<p title=\"{{ event.summary }}\">{{ event.summary }}</p>";
    renderer(&of_type("text/html", body)).unwrap()
});
static IN_A_FORM: LazyLock<Renderer> = LazyLock::new(|| {
    renderer(&of_type("application/x-www-form-urlencoded", "a={{ event.summary }}&b=1")).unwrap()
});

fn with_summary(renderer: &Renderer, summary: &str) -> Bytes {
    let body = Bytes::from(json!({ "summary": summary }).to_string());
    renderer.render(&input(&body)).unwrap().body
}

proptest! {
    #[test]
    fn no_value_breaks_out_of_the_json_around_it(value in prop_oneof![
        any::<String>(),
        "[\"\\\\{}\\[\\],:nu0/a ]{0,12}",
    ]) {
        let rendered: Value = serde_json::from_slice(&with_summary(&IN_JSON, &value)).unwrap();
        let twice = format!("{value}{value}");
        let lower = value.to_uppercase().to_lowercase();
        prop_assert_eq!(rendered, json!({
            "a": format!("x{twice}"), "b": value, "c": [lower, value, [value]], "d": twice,
            "e": format!("\"\\{value}"), "f": value, "g": 1,
        }));
    }

    #[test]
    fn no_value_becomes_markup_or_a_second_member_of_a_form(value in any::<String>()) {
        let html = with_summary(&IN_MARKUP, &value);
        let marks = html.iter().filter(|byte| b"<>\"'".contains(byte)).count();
        prop_assert_eq!(marks, 6);
        let form = with_summary(&IN_A_FORM, &value);
        let pairs: Vec<_> = url::form_urlencoded::parse(&form).into_owned().collect();
        prop_assert_eq!(pairs, [("a".to_owned(), value), ("b".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn a_value_right_after_a_backslash_is_refused() {
    let error = refused(&template("{\n\"a\": \"\\{{ event.summary }}\"}"));
    assert_eq!(
        error,
        "on a sample event of status `ok`: the template's body, line 2: a value stands right after a backslash, \
         which would escape its first character"
    );
    // In the middle of an escape there is no way out either.
    assert!(refused(&template(r#"{"a": "\u{{ event.summary }}"}"#)).contains("not JSON"));
}

#[test]
fn text_and_headline_are_there_and_plain_types_are_not_escaped() {
    let body = "{{ headline }}\n{{ text }}";
    assert_eq!(
        text(&of_type("text/plain", body), &json!({ "summary": "<a> & \"b\"" })),
        "daily-summary: ok\n<a> & \"b\""
    );
}

#[test]
fn the_filters_do_what_their_names_say() {
    let plain = |body: &str| text(&of_type("text/plain", body), &json!({ "summary": "<one>\n two 🐎" }));
    assert_eq!(plain("{{ event.summary | truncate(4) }}"), "<on…");
    assert_eq!(plain("{{ event.summary | one_line }}"), "<one> two 🐎");
    assert_eq!(plain("{{ event.summary | mrkdwn | trim }}"), "&lt;one&gt;\n two 🐎");
    assert_eq!(plain("{{ event.summary | urlencode }}"), "%3Cone%3E%0A%20two%20%F0%9F%90%8E");
    assert_eq!(plain("{{ event.runAtMs | date }}"), "2026-02-18T09:00:00.000Z");
    assert_eq!(plain("{{ event.runAtMs | date('%d.%m.%Y %H:%M', tz='Europe/Vienna') }}"), "18.02.2026 10:00");
    assert_eq!(plain("{{ event.nextRunAtMs | date }}"), "");
    assert_eq!(
        plain("{{ event.usage | tojson }}"),
        r#"{"input_tokens":812,"output_tokens":64,"total_tokens":876}"#
    );
    assert_eq!(plain("{{ event.error | default('all well') | upper }}"), "ALL WELL");
    assert_eq!(plain("{% if event.usage.total_tokens > 800 %}many{% else %}few{% endif %}"), "many");
    assert_eq!(plain("{{ event.diagnostics.summary }}|"), "|", "what is absent is empty, however deep");
}

#[test]
fn headers_are_rendered_and_trimmed() {
    let rendered =
        render(&with_header(" {{ event.jobName }} "), &event(&json!({ "jobName": "žluť" }))).unwrap();
    assert_eq!(rendered.headers["x-a"].as_bytes(), "žluť".as_bytes());
}

#[test]
fn a_header_with_a_line_break_is_refused_when_it_is_saved_or_else_when_it_happens() {
    let error = refused(&with_header("{{ event.summary }}"));
    assert!(error.contains("the template's header `X-A` puts out a line break"), "{error}");
    assert!(error.contains("`one_line`"), "{error}");
    let format = with_header("{{ event.jobName }}");
    for name in ["a\r\nwebhook-id: x", "a\nb", "a\0b", "a\u{7f}b"] {
        let error = render(&format, &event(&json!({ "jobName": name }))).unwrap_err();
        assert_eq!(error, RenderError::HeaderValue { name: "X-A".to_owned() });
    }
    let cleaned =
        render(&with_header("{{ event.jobName | one_line }}"), &event(&json!({ "jobName": "a\r\nb" })));
    assert_eq!(cleaned.unwrap().headers["x-a"], "a b");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    assert_eq!(
        refused(&template("{\n  \"a\": {{ event.summary }\n}")),
        "the template's body, line 2: syntax error: unexpected `}`, expected end of variable block"
    );
    assert_eq!(
        refused(&template("\n{{ event.sumary }}")),
        "the template's body, line 2: there is no `event.sumary`; did you mean `summary`?"
    );
    assert_eq!(
        refused(&with_header("{{ jobName }}")),
        "the template's header `X-A`, line 1: there is no `jobName`; there are event, text, headline"
    );
    assert!(refused(&template("{{ text | shout }}")).contains("unknown filter"));
    assert_eq!(
        refused(&template("{\n\"a\": {{ event.status }} oops}")),
        "on a sample event of status `ok`: what the template's body puts out is not JSON: expected `,` or `}` at \
         line 2 column 11"
    );
    assert!(
        refused(&template("{% if event.error %}[{% else %}[]{% endif %}")).contains("of status `error`"),
        "each status is tried"
    );
}

#[test]
fn blocks_that_gather_text_for_an_unknown_place_are_refused() {
    for (body, block) in [
        ("{% set a %}{{ text }}{% endset %}{{ a }}", "endset"),
        ("\n{%- filter upper %}{{ text }}{% endfilter %}", "filter"),
        ("{%+autoescape false%}{{ text }}{% endautoescape %}", "autoescape"),
    ] {
        let error = refused(&template(body));
        assert!(error.contains(&format!("`{{% {block} %}}` is not served")), "{error}");
    }
}

#[test]
fn a_template_reaches_nothing_but_its_event() {
    for body in [
        "{% include '/etc/passwd' %}",
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{% macro a() %}{% endmacro %}",
        "{{ text | safe }}",
        "{{ debug() }}",
        "{{ namespace() }}",
        "{{ event.runAtMs | date(tz='../../../../etc/passwd') }}",
        "{{ event.runAtMs | date('%d', tz='/etc/localtime') }}",
    ] {
        renderer(&of_type("text/plain", body)).expect_err(body);
    }
}

#[test]
fn a_templates_work_memory_and_output_are_bounded() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert!(refused(&template(endless)).contains("more work than one event may cost"));
    let doubling = format!(
        "{{% set a0 = text %}}{}",
        (0..60).map(|n| format!("{{% set a{} = a{n} ~ a{n} %}}", n + 1)).collect::<String>()
    );
    assert!(refused(&template(&doubling)).contains("more work"));
    let repeated = "{{ ('x' * 100000000) | length }}";
    assert!(refused(&template(repeated)).contains("more work"));
    let serialised = "{% for a in range(9999) %}{% if event | tojson %}{% endif %}{% endfor %}";
    assert!(refused(&template(serialised)).contains("more work"));
    let long = "{% for a in range(300) %}{{ 'x' * 1000 }}{% endfor %}";
    let error = refused(&of_type("text/plain", long));
    assert!(error.contains("more than 262144 bytes") && error.contains("truncate"), "{error}");
    assert!(refused(&with_header("{{ 'x' * 5000 }}")).contains("more than 4096 bytes"));
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    assert!(
        renderer(&of_type("text/plain", &format!("{{{{ {deep} }}}}"))).is_err(),
        "and does not end the process"
    );
}

#[test]
fn an_event_that_is_too_long_for_its_template_is_refused_and_says_what_to_do() {
    let long = event(&json!({ "summary": "x".repeat(300_000) }));
    let error = render(&template("{{ text }}"), &long).unwrap_err();
    assert!(matches!(error, RenderError::TooLong { limit: 262_144, .. }), "{error}");
    assert!(render(&template("{{ text | truncate(1000) }}"), &long).is_ok());
}
