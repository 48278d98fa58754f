use proptest::prelude::*;

use super::*;

fn within(limit: usize) -> impl Fn(&str) -> bool {
    move |text| text.encode_utf16().count() <= limit
}

/// The text that parts were cut from, without what was put in where a code block was cut.
fn rejoined(parts: &[Part]) -> String {
    let mut whole = String::new();
    for part in parts {
        let mut text = part.text.as_str();
        if part.reopened {
            text = text.split_once('\n').map_or("", |(_, rest)| rest);
        }
        if part.closed {
            text = text.rsplit_once('\n').map_or("", |(start, _)| start);
        }
        whole.push_str(text);
    }
    whole
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What agents write: paragraphs, code blocks, long words, entities, characters of several code points.
fn markdown() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-z ]{0,60}",
        "[a-z]{0,80}",
        "(👩‍👩‍👧|e\u{301}|&amp;|x){0,30}",
        Just("```".to_owned()),
        Just("```rust".to_owned()),
        Just("~~~~".to_owned()),
        "    [a-z]{0,20}",
        Just(String::new()),
    ];
    proptest::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn every_part_fits_and_nothing_is_lost(text in markdown(), limit in 30usize..200) {
        let fits = within(limit);
        let parts = parts(&text, usize::MAX - 1, &fits);
        for part in &parts {
            prop_assert!(fits(&part.text), "{} > {limit}: {:?}", part.text.encode_utf16().count(), part.text);
        }
        prop_assert_eq!(without_space(&rejoined(&parts)), without_space(&text));
    }

    #[test]
    fn a_cut_code_block_is_closed_and_opened_again(text in markdown(), limit in 30usize..200) {
        let parts = parts(&text, usize::MAX - 1, &within(limit));
        for part in &parts[..parts.len() - 1] {
            prop_assert_eq!(fence_after(None, &part.text), None, "{:?}", part.text);
        }
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said_to_be(text in markdown(), most in 1usize..4) {
        let fits = within(100);
        let pieces = split(&text, most, &fits);
        prop_assert!(!pieces.is_empty() && pieces.len() <= most);
        prop_assert!(pieces.iter().all(|piece| fits(piece)), "{pieces:?}");
        let all = parts(&text, most, &fits);
        prop_assert_eq!(pieces.last().unwrap().ends_with(CUT), all.len() > most);
    }

    #[test]
    fn no_text_is_too_odd_to_be_cut(text in "(?s).{0,200}", limit in 1usize..40) {
        let parts = parts(&text, usize::MAX - 1, &within(limit));
        prop_assert_eq!(without_space(&rejoined(&parts)), without_space(&text));
    }
}

#[test]
fn a_text_that_fits_is_one_piece() {
    assert_eq!(split("short", 5, &within(100)), ["short"]);
    assert_eq!(split("", 5, &within(100)), [""]);
}

#[test]
fn a_piece_ends_after_a_paragraph_a_line_or_a_word() {
    assert_eq!(split("one two\n\nthree four five", 9, &within(20)), ["one two", "three four five"]);
    assert_eq!(split("one two three\nfour five", 9, &within(20)), ["one two three", "four five"]);
    assert_eq!(split("one two three four five", 9, &within(16)), ["one two three", "four five"]);
}

#[test]
fn a_code_block_goes_on_in_the_next_piece() {
    let text = "see\n```rust\nfn a() {\n    b();\n    c();\n}\n```\nend";
    let pieces = split(text, 9, &within(33));
    assert_eq!(pieces, ["see\n```rust\nfn a() {\n    b();\n```", "```rust\n    c();\n}\n```\nend"]);
}

#[test]
fn neither_a_family_nor_an_entity_is_torn() {
    let family = "👩‍👩‍👧";
    let pieces = split(&family.repeat(5), 9, &within(20));
    assert!(pieces.iter().all(|piece| piece.replace(family, "").is_empty()), "{pieces:?}");
    assert_eq!(split("aaaaaaaa&amp;bbbb", 9, &within(11)), ["aaaaaaaa", "&amp;bbbb"]);
}

#[test]
fn a_long_text_is_cut_in_little_time() {
    let text = "word ".repeat(50_000);
    let pieces = split(&text, 100, &within(4_096));
    assert!(
        pieces.len() > 60 && pieces.iter().all(|piece| piece.len() > 4_000 || Some(piece) == pieces.last())
    );
}
