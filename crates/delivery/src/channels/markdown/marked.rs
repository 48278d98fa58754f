//! Markdown in the markup of Slack and of Telegram, which know no headings, tables or lists of their own.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Tag, TagEnd};

use super::mention::neutral;
use super::{escape, may_link, parser};

/// The text in Slack's mrkdwn.
pub(super) fn mrkdwn(source: &str) -> String {
    Writer::new(Markup::Mrkdwn).write(source)
}

/// The text in the HTML of Telegram's Bot API.
pub(super) fn telegram(source: &str) -> String {
    Writer::new(Markup::Telegram).write(source)
}

/// How much of what [`telegram`] wrote counts: everything but tags, an entity for one.
pub(super) fn visible_units(html: &str) -> usize {
    let mut units = 0;
    // What ends the tag or the entity that is being passed over.
    let mut until = None;
    for c in html.chars() {
        match (until, c) {
            (Some(end), c) => until = until.filter(|_| c != end),
            (None, '<') => until = Some('>'),
            (None, '&') => {
                units += 1;
                until = Some(';');
            }
            (None, c) => units += c.len_utf16(),
        }
    }
    units
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Markup {
    Mrkdwn,
    Telegram,
}

struct Writer {
    markup: Markup,
    /// What is being written, the innermost last: a quotation, a link's text, a cell of a table.
    outs: Vec<String>,
    /// The lists that are open; the number of the next entry where it has one.
    lists: Vec<Option<u64>>,
    /// Where the links lead that are open.
    links: Vec<Option<String>>,
    in_code: bool,
    quotes: usize,
    cells: Vec<String>,
}

impl Writer {
    fn new(markup: Markup) -> Self {
        Self {
            markup,
            outs: vec![String::new()],
            lists: Vec::new(),
            links: Vec::new(),
            in_code: false,
            quotes: 0,
            cells: Vec::new(),
        }
    }

    fn write(mut self, source: &str) -> String {
        for event in parser(source) {
            self.event(event);
        }
        let out = self.outs.drain(..).collect::<String>();
        out.trim_end().to_owned()
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(code) => self.code(&code),
            Event::SoftBreak | Event::HardBreak => self.push("\n"),
            Event::Rule => self.block("———"),
            Event::TaskListMarker(done) => self.push(if done { "☑ " } else { "☐ " }),
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.begin_block();
                self.push(self.bold().0);
            }
            Tag::Paragraph if self.lists.is_empty() => self.begin_block(),
            Tag::BlockQuote(_) => {
                self.begin_block();
                self.quotes += 1;
                self.outs.push(String::new());
            }
            Tag::CodeBlock(kind) => {
                self.begin_block();
                self.in_code = true;
                let opening = self.code_block_opening(&kind);
                self.push(&opening);
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.begin_block();
                } else {
                    self.begin_line();
                }
                self.lists.push(first);
            }
            Tag::Item => self.begin_item(),
            Tag::Emphasis => self.push(self.italic().0),
            Tag::Strong => self.push(self.bold().0),
            Tag::Strikethrough => self.push(self.struck().0),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(Some(dest_url.to_string()).filter(|url| may_link(url)));
                self.outs.push(String::new());
            }
            Tag::Table(_) => self.begin_block(),
            Tag::TableHead | Tag::TableRow => self.begin_line(),
            Tag::TableCell => self.outs.push(String::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.push(self.bold().1);
                self.push("\n\n");
            }
            TagEnd::Paragraph => self.push(if self.lists.is_empty() { "\n\n" } else { "\n" }),
            TagEnd::BlockQuote(_) => self.end_quote(),
            TagEnd::CodeBlock => {
                self.in_code = false;
                let out = self.out();
                out.truncate(out.trim_end_matches('\n').len());
                self.push(match self.markup {
                    Markup::Mrkdwn => "\n```\n\n",
                    Markup::Telegram => "</code></pre>\n\n",
                });
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.push("\n");
                }
            }
            TagEnd::Item => self.begin_line(),
            TagEnd::Emphasis => self.push(self.italic().1),
            TagEnd::Strong => self.push(self.bold().1),
            TagEnd::Strikethrough => self.push(self.struck().1),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableCell => {
                let cell = self.outs.pop().unwrap_or_default();
                self.cells.push(cell);
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                let row = std::mem::take(&mut self.cells).join(" | ");
                self.push(&row);
                self.push("\n");
            }
            TagEnd::Table => self.push("\n"),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let neutral = match self.markup {
            Markup::Telegram if !self.in_code => CowStr::from(neutral(text)),
            _ => CowStr::from(text),
        };
        let mut escaped = String::with_capacity(text.len());
        escape(&neutral, &mut escaped);
        self.push(&escaped);
    }

    fn code(&mut self, code: &str) {
        let (open, close) = match self.markup {
            Markup::Mrkdwn => ("`", "`"),
            Markup::Telegram => ("<code>", "</code>"),
        };
        let mut escaped = open.to_owned();
        escape(code, &mut escaped);
        escaped.push_str(close);
        self.push(&escaped);
    }

    fn code_block_opening(&self, kind: &CodeBlockKind<'_>) -> String {
        if self.markup == Markup::Mrkdwn {
            return "```\n".to_owned();
        }
        let language = match kind {
            CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default(),
            CodeBlockKind::Indented => "",
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-#._".contains(&byte);
        if language.is_empty() || !language.bytes().all(is_plain) {
            return "<pre><code>".to_owned();
        }
        format!("<pre><code class=\"language-{language}\">")
    }

    fn end_quote(&mut self) {
        self.quotes -= 1;
        let quoted = self.outs.pop().unwrap_or_default();
        let quoted = quoted.trim();
        let whole = match self.markup {
            Markup::Mrkdwn => {
                let lines: Vec<String> = quoted.lines().map(|line| format!("> {line}")).collect();
                format!("{}\n\n", lines.join("\n"))
            }
            // It knows no quotation within another.
            Markup::Telegram if self.quotes > 0 => format!("{quoted}\n\n"),
            Markup::Telegram => format!("<blockquote>{quoted}</blockquote>\n\n"),
        };
        self.push(&whole);
    }

    fn end_link(&mut self) {
        let text = self.outs.pop().unwrap_or_default();
        let Some(url) = self.links.pop().flatten() else {
            self.push(&text);
            return;
        };
        let mut target = String::new();
        escape(&url, &mut target);
        let text = if text.trim().is_empty() { target.clone() } else { text };
        let link = match self.markup {
            // `|` would end the address.
            Markup::Mrkdwn => format!("<{}|{}>", target.replace('|', "%7C"), text.replace('\n', " ")),
            Markup::Telegram => format!("<a href=\"{}\">{text}</a>", target.replace('"', "%22")),
        };
        self.push(&link);
    }

    fn begin_item(&mut self) {
        self.begin_line();
        let depth = self.lists.len().saturating_sub(1);
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "• ".to_owned(),
        };
        let indent = "    ".repeat(depth);
        self.push(&format!("{indent}{mark}"));
    }

    /// A block has an empty line before it; in a list it begins on a line of its own.
    fn begin_block(&mut self) {
        if !self.lists.is_empty() {
            let out = self.out();
            if !out.ends_with("• ") && !out.ends_with(". ") {
                self.begin_line();
            }
            return;
        }
        let out = self.out();
        if !out.is_empty() && !out.ends_with("\n\n") {
            let line = if out.ends_with('\n') { "\n" } else { "\n\n" };
            out.push_str(line);
        }
    }

    fn begin_line(&mut self) {
        let out = self.out();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
    }

    fn block(&mut self, text: &str) {
        self.begin_block();
        self.push(text);
        self.push("\n\n");
    }

    fn bold(&self) -> (&'static str, &'static str) {
        match self.markup {
            Markup::Mrkdwn => ("*", "*"),
            Markup::Telegram => ("<b>", "</b>"),
        }
    }

    fn italic(&self) -> (&'static str, &'static str) {
        match self.markup {
            Markup::Mrkdwn => ("_", "_"),
            Markup::Telegram => ("<i>", "</i>"),
        }
    }

    fn struck(&self) -> (&'static str, &'static str) {
        match self.markup {
            Markup::Mrkdwn => ("~", "~"),
            Markup::Telegram => ("<s>", "</s>"),
        }
    }

    fn out(&mut self) -> &mut String {
        if self.outs.is_empty() {
            self.outs.push(String::new());
        }
        let last = self.outs.len() - 1;
        &mut self.outs[last]
    }

    fn push(&mut self, text: &str) {
        self.out().push_str(text);
    }
}
