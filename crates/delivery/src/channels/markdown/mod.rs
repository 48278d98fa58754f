//! What agents write is Markdown, and each service has a dialect of its own.
//!
//! Slack and Telegram get their own markup, made of what the Markdown means, with everything escaped that would mean
//! something there. Discord and Mattermost read Markdown themselves. HTML is for e-mail and Matrix: no HTML of the
//! agent's is let through. Wherever it is, a text mentions nobody, and links lead to web pages and mail addresses alone.

mod html;
mod marked;
mod mention;
#[cfg(test)]
mod tests;

use pulldown_cmark::{Options, Parser};

use super::Piece;
use super::message::Message;
use super::split::split;

pub(super) use html::html;
use mention::neutral_anywhere;

/// How a service writes texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// As it is.
    Plain,
    /// Slack's mrkdwn.
    Mrkdwn,
    /// Discord's Markdown, whose requests say that nobody is mentioned.
    Discord,
    /// The HTML of Telegram's Bot API.
    TelegramHtml,
    /// Mattermost's Markdown, in which a mention is what looks like one.
    Mattermost,
    /// A channel behind an OpenClaw gateway, whichever it is.
    Anywhere,
}

/// A text in a dialect, and what it counts there.
struct Written {
    text: String,
    units: usize,
}

impl Dialect {
    fn write(self, source: &str) -> Written {
        match self {
            Self::Plain | Self::Discord => Written { units: utf16(source), text: source.to_owned() },
            Self::Mattermost => {
                let text = mention::neutral_outside_code(source);
                Written { units: text.chars().count(), text }
            }
            Self::Anywhere => {
                let text = neutral_anywhere(source);
                Written { units: utf16(&text), text }
            }
            Self::Mrkdwn => {
                let text = marked::mrkdwn(source);
                Written { units: utf16(&text), text }
            }
            Self::TelegramHtml => {
                let text = marked::telegram(source);
                Written { units: marked::visible_units(&text), text }
            }
        }
    }
}

impl Piece {
    /// The whole message in pieces of at most `max` characters, as the dialect counts them.
    pub(super) fn rendered(message: &Message, dialect: Dialect, most: usize, max: usize) -> Vec<Self> {
        Self::split(&message.markdown(), most, &|text| dialect.write(text).units <= max, dialect)
    }

    /// `source` in pieces that fit, each written in `dialect`.
    pub(super) fn split(
        source: &str,
        most: usize,
        fits: &dyn Fn(&str) -> bool,
        dialect: Dialect,
    ) -> Vec<Self> {
        let pieces = split(source, most, fits);
        let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let piece =
            |(number, text): (u32, String)| Self { number, of, text: dialect.write(&text).text, html: None };
        (1..).zip(pieces).map(piece).collect()
    }
}

fn parser(source: &str) -> Parser<'_> {
    Parser::new_ext(
        source,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS,
    )
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Whether a link may lead there: to a web page or a mail address, and to nothing that a service takes for a command.
fn may_link(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https" | "mailto"))
        && !url.contains(|c: char| c.is_control() || c == ' ')
}

/// `text` with `&`, `<` and `>` as entities, and quotation marks where they would end an attribute.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}
