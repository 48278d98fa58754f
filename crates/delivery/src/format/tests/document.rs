//! docs/formats.md shows what is really sent.

use super::*;

const DOCUMENT: &str = include_str!("../../../../../docs/formats.md");

/// What stands for the event in the examples.
const PLACE_OF_THE_EVENT: &str = "(the event)";

/// The example of a format: its headers and its body, with the event replaced by its place.
fn example(format: &Value) -> String {
    let [ok, ..] = each_status();
    let rendered = renderer(format).unwrap().render(&ok.input()).unwrap();
    let mut example = format!("content-type: {}\n", rendered.content_type.to_str().unwrap());
    for (name, value) in &rendered.headers {
        example.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    let event: Value = serde_json::from_slice(ok.input().body).unwrap();
    let mut body = json_of(&rendered);
    for member in ["data", "event"] {
        if body.get(member) == Some(&event) {
            body[member] = json!(PLACE_OF_THE_EVENT);
        }
    }
    let body = if body == event { PLACE_OF_THE_EVENT.to_owned() } else { format!("{body:#}") };
    format!("```http\n{example}\n{body}\n```\n")
}

#[track_caller]
fn is_shown(what: &str, text: &str) {
    assert!(DOCUMENT.contains(text), "docs/formats.md needs, for {what}:\n\n{text}");
}

#[test]
fn the_document_shows_every_format_as_it_is_sent() {
    for format in BodyFormat::NAMED {
        let heading = format!("`{}`", format.as_str());
        is_shown(format.as_str(), &heading);
        // One shape serves both, and is shown once.
        if format.as_str() != "zapier" {
            is_shown(format.as_str(), &example(&format.to_json()));
        }
    }
}

#[test]
fn the_documents_template_is_taken_and_gives_what_the_document_shows() {
    let start = DOCUMENT.find("```json\n{ \"template\"").unwrap() + "```json\n".len();
    let written = &DOCUMENT[start..start + DOCUMENT[start..].find("```").unwrap()];
    let format: Value = serde_json::from_str(written).unwrap();
    is_shown("the template", &example(&format));
}

#[test]
fn the_document_shows_the_sample_event() {
    let [ok, ..] = each_status();
    let event: Value = serde_json::from_slice(ok.input().body).unwrap();
    is_shown("the event", &format!("```json\n{event:#}\n```\n"));
}
