//! Messages for people, each within the limits that its service publishes. What a run puts out is text from outside:
//! it mentions nobody, and links in it are not fetched.

use clawhook_model::UnixMs;
use http::HeaderValue;
use serde_json::{Value, json};

use super::cut::{cut, one_line, pieces, utf16};
use super::error::RenderError;
use super::facts::Facts;
use super::{RenderInput, Rendered};

/// What Slack takes: 150 characters in a header, 3,000 in a section, 50 blocks, 40,000 characters in all.
const SLACK_HEADER: usize = 150;
const SLACK_SECTION: usize = 3_000;
const SLACK_SECTIONS: usize = 12;
/// What Discord takes in `content`, in characters.
const DISCORD_CONTENT: usize = 2_000;
/// Teams takes 28 KB of JSON, and is known to count them in UTF-16. So many of them are the text's; the rest is for the
/// card around it.
const TEAMS_TEXT: usize = 24_000;
/// The longest headline in Discord and Teams.
const HEADLINE: usize = 200;

/// Says that there is more than the message shows.
const CUT: &str = "cut: the whole text is in the run's record";

/// A message with blocks: headline, text in sections, a footnote.
pub(super) fn slack(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    let facts = Facts::read(event.body)?;
    let headline = facts.headline(event.kind);
    let text = facts.text();
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&headline, SLACK_HEADER, utf16) } }),
    ];
    if let Some(link) = event.ack_url {
        let text = format!("<{link}|Acknowledge>");
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    let mut shown = 0;
    for piece in pieces(&text, SLACK_SECTION, mrkdwn_cost).take(SLACK_SECTIONS) {
        shown += piece.len();
        // A section without text is refused.
        if !piece.trim().is_empty() {
            blocks.push(json!({ "type": "section", "text": mrkdwn(piece) }));
        }
    }
    let footnote = footnote(&facts, shown < text.len());
    if !footnote.is_empty() {
        blocks.push(json!({ "type": "context", "elements": [{ "type": "plain_text", "text": footnote }] }));
    }
    let notification = escape_mrkdwn(&cut(&headline, SLACK_HEADER, utf16));
    Ok(message(
        &json!({ "text": notification, "blocks": blocks, "unfurl_links": false, "unfurl_media": false }),
    ))
}

/// `verbatim` keeps names such as `@channel` in the text from becoming mentions.
fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": escape_mrkdwn(text), "verbatim": true })
}

/// Slack's three control characters as entities, so that no `<!channel>` and no link can be made of the text.
pub(super) fn escape_mrkdwn(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What a character costs once it is escaped.
fn mrkdwn_cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        c => utf16(c),
    }
}

/// A message of plain content that mentions nobody and shows no previews.
pub(super) fn discord(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    const SUPPRESS_EMBEDS: u32 = 1 << 2;
    let facts = Facts::read(event.body)?;
    let headline = cut(&facts.headline(event.kind), HEADLINE, utf16);
    let link = event.ack_url.map(|link| format!("[Acknowledge]({link})\n")).unwrap_or_default();
    let content = cut(format!("**{headline}**\n{link}{}", facts.text()).trim_end(), DISCORD_CONTENT, utf16);
    Ok(message(&json!({ "content": content, "allowed_mentions": { "parse": [] }, "flags": SUPPRESS_EMBEDS })))
}

/// A message with one adaptive card, as a Teams workflow takes it.
pub(super) fn teams(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    let facts = Facts::read(event.body)?;
    let headline = cut(&facts.headline(event.kind), HEADLINE, utf16);
    let whole = facts.text();
    let text = cut(&whole, TEAMS_TEXT, json_cost);
    let mut body = vec![
        json!({ "type": "TextBlock", "text": headline, "size": "large", "weight": "bolder", "wrap": true }),
    ];
    if let Some(link) = event.ack_url {
        let text = format!("[Acknowledge]({link})");
        body.push(json!({ "type": "TextBlock", "text": text, "wrap": true }));
    }
    if !text.is_empty() {
        body.push(json!({ "type": "TextBlock", "text": text, "wrap": true }));
    }
    let footnote = footnote(&facts, text != whole);
    if !footnote.is_empty() {
        body.push(
            json!({ "type": "TextBlock", "text": footnote, "size": "small", "isSubtle": true, "wrap": true }),
        );
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    let message = message(&json!({
        "type": "message",
        "attachments": [
            { "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card },
        ],
    }));
    // Without a charset Teams takes the body for something else, and counts it twice.
    Ok(Rendered { content_type: HeaderValue::from_static("application/json; charset=utf-8"), ..message })
}

/// How many bytes a character takes in a JSON text, in UTF-8 or in UTF-16, whichever are more.
fn json_cost(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 4,
        c if c < ' ' => 12,
        c => c.len_utf8().max(2 * c.len_utf16()),
    }
}

/// Where the message comes from, in small print.
fn footnote(facts: &Facts<'_>, is_cut: bool) -> String {
    let parts = [
        one_line(&facts.run_id),
        facts.run_at_ms.map(UnixMs::to_rfc3339).unwrap_or_default(),
        facts.duration_ms.map(seconds).unwrap_or_default(),
        if is_cut { CUT.to_owned() } else { String::new() },
    ];
    let given: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    cut(&given.join(" · "), HEADLINE, utf16)
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn message(message: &Value) -> Rendered {
    Rendered::json(message.to_string())
}
