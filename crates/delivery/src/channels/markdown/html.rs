//! Markdown as HTML for Matrix and e-mail.

use pulldown_cmark::{CowStr, Event, Tag, TagEnd, html::push_html};

use super::{may_link, parser};

/// The text as HTML. What is HTML in it is shown as text, a picture is a link to it, and a link leads to a web page or a
/// mail address.
pub(in super::super) fn html(source: &str) -> String {
    let mut out = String::with_capacity(source.len() * 5 / 4);
    // A link that leads elsewhere is its text alone.
    let mut open: Vec<bool> = Vec::new();
    let events = parser(source).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        // Lines stay lines, as in the other dialects.
        Event::SoftBreak => Some(Event::HardBreak),
        Event::TaskListMarker(done) => {
            Some(Event::Text(CowStr::Borrowed(if done { "☑ " } else { "☐ " })))
        }
        Event::Start(
            Tag::Link { link_type, dest_url, title, id } | Tag::Image { link_type, dest_url, title, id },
        ) => {
            open.push(may_link(&dest_url));
            open.last().copied()?.then_some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
        }
        Event::End(TagEnd::Link | TagEnd::Image) => open.pop()?.then_some(Event::End(TagEnd::Link)),
        event => Some(event),
    });
    push_html(&mut out, events);
    out.truncate(out.trim_end().len());
    out
}
