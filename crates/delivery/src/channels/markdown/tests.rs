use proptest::prelude::*;

use super::marked::{mrkdwn, telegram, visible_units};
use super::*;

/// What an agent may write.
const REPORT: &str = "\
# Today's <mails>

Three **need** an *answer*, ~~four~~ don't & [one](https://example.com/?a=1&b=2) is spam:

1. `rm -rf`
2. @bob and bob@example.com
   - nested

> quoted
> twice

```rust
let a = &b < c; // @bob
```

| who | what |
|---|---|
| a | b |

- [x] done
";

#[test]
fn slack_gets_its_own_markup_and_nothing_that_means_more() {
    let expected = "\
*Today's &lt;mails&gt;*

Three *need* an _answer_, ~four~ don't &amp; <https://example.com/?a=1&amp;b=2|one> is spam:

1. `rm -rf`
2. @bob and bob@example.com
    • nested

> quoted
> twice

```
let a = &amp;b &lt; c; // @bob
```

who | what
a | b

• ☑ done";
    assert_eq!(mrkdwn(REPORT), expected);
    assert_eq!(mrkdwn("<!channel> <@U123> <#C1|x>"), "&lt;!channel&gt; &lt;@U123&gt; &lt;#C1|x&gt;");
    assert_eq!(mrkdwn("[a](!channel) [b](@U123) [c](javascript:x)"), "a b c");
    assert_eq!(mrkdwn("[a](https://e.com/x|y%3E)"), "<https://e.com/x%7Cy%3E|a>");
}

#[test]
fn telegram_gets_html_in_which_nobody_is_called() {
    let expected = "\
<b>Today's &lt;mails&gt;</b>

Three <b>need</b> an <i>answer</i>, <s>four</s> don't &amp; <a href=\"https://example.com/?a=1&amp;b=2\">one</a> is spam:

1. <code>rm -rf</code>
2. @\u{200b}bob and bob@example.com
    • nested

<blockquote>quoted
twice</blockquote>

<pre><code class=\"language-rust\">let a = &amp;b &lt; c; // @bob</code></pre>

who | what
a | b

• ☑ done";
    assert_eq!(telegram(REPORT), expected);
    assert_eq!(telegram("[a](tg://user?id=1)"), "a");
    assert_eq!(telegram("<b onclick=x>"), "&lt;b onclick=x&gt;");
    assert_eq!(visible_units("<b>a&amp;😀</b>"), 4);
}

#[test]
fn html_lets_nothing_through_that_an_agent_wrote_as_html() {
    let out = html("<script>alert(1)</script>\n\n![x](https://e.com/track.png) [y](javascript:alert) a\nb");
    assert!(!out.contains("<script") && !out.contains("<img") && !out.contains("javascript"), "{out}");
    assert!(out.contains("<a href=\"https://e.com/track.png\">x</a>") && out.contains("a<br />\nb"), "{out}");
}

#[test]
fn in_mattermost_nobody_is_called_and_code_stays_what_it_is() {
    let text = Dialect::Mattermost.write("@all `@property @here` a@b.c (@bob)").text;
    assert_eq!(text, "@\u{200b}all `@property @\u{200b}here` a@b.c (@\u{200b}bob)");
    let text = Dialect::Anywhere.write("<!channel> <@U1> @everyone").text;
    assert_eq!(text, "<\u{200b}!channel> <\u{200b}@\u{200b}U1> @\u{200b}everyone");
}

/// The text that a Telegram client would show; none where its HTML is not well formed.
fn shown(html: &str) -> Option<String> {
    let mut open = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(if rest.starts_with('<') { '>' } else { ';' })?;
        let (mark, left) = rest.split_at(end + 1);
        rest = left;
        match mark {
            "&amp;" => text.push('&'),
            "&lt;" => text.push('<'),
            "&gt;" => text.push('>'),
            tag => match tag.strip_prefix("</") {
                Some(name) => {
                    if open.pop()? != name.trim_end_matches('>') {
                        return None;
                    }
                }
                None => {
                    let name = tag.trim_matches(['<', '>']).split(' ').next()?;
                    if !["b", "i", "s", "a", "code", "pre", "blockquote"].contains(&name) {
                        return None;
                    }
                    open.push(name);
                }
            },
        }
    }
    text.push_str(rest);
    open.is_empty().then_some(text)
}

fn markdown() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("**"),
        Just("*"),
        Just("_"),
        Just("~~"),
        Just("`"),
        Just("\n```\n"),
        Just("\n> "),
        Just("\n- "),
        Just("\n1. "),
        Just("\n# "),
        Just("[x](https://e.com)"),
        Just("<b>"),
        Just("</b>"),
        Just("<!channel>"),
        Just("&lt;"),
        Just("&"),
        Just("@all"),
        Just("| a | b |\n|---|---|\n| c | d |\n"),
        Just("word"),
        Just(" "),
        Just("\n\n"),
        Just("😀"),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn telegrams_html_is_always_well_formed(text in markdown()) {
        let html = telegram(&text);
        let shown = shown(&html);
        prop_assert!(shown.is_some(), "{html}");
        prop_assert_eq!(shown.map(|shown| utf16(&shown)), Some(visible_units(&html)));
    }

    #[test]
    fn slack_is_never_told_to_call_anybody(text in markdown()) {
        let text = mrkdwn(&text);
        for command in ["<!", "<@", "<#"] {
            prop_assert!(!text.contains(command), "{text}");
        }
    }

    #[test]
    fn no_words_are_lost(words in proptest::collection::vec("[a-z]{3,8}", 1..20), text in markdown()) {
        let source = format!("{text}\n\n{}", words.join(" "));
        for word in words {
            prop_assert!(mrkdwn(&source).contains(&word));
            prop_assert!(telegram(&source).contains(&word));
        }
    }

    #[test]
    fn every_piece_is_within_its_limit(text in markdown(), repeat in 1usize..40, dialect in 0usize..4, max in 120usize..600) {
        let dialect = [Dialect::Mrkdwn, Dialect::TelegramHtml, Dialect::Discord, Dialect::Mattermost][dialect];
        let text = text.repeat(repeat);
        let fits = |text: &str| dialect.write(text).units <= max;
        let pieces = Piece::split(&text, 1_000, &fits, dialect);
        for piece in &pieces {
            let units = match dialect {
                Dialect::TelegramHtml => visible_units(&piece.text),
                Dialect::Mattermost => piece.text.chars().count(),
                _ => utf16(&piece.text),
            };
            prop_assert!(units <= max, "{units} > {max}: {}", piece.text);
        }
        prop_assert_eq!(pieces.last().map(|piece| piece.number as usize), Some(pieces.len()));
    }
}
