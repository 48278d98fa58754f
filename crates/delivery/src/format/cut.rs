//! Cutting texts to the limits of receivers.

/// How much a character counts in UTF-16, which is at least what any service counts that limits characters.
pub(super) fn utf16(c: char) -> usize {
    c.len_utf16()
}

/// The longest start of `text` that costs at most `limit`, and what is left.
pub(super) fn split_at_cost(text: &str, limit: usize, cost: impl Fn(char) -> usize) -> (&str, &str) {
    let mut spent = 0;
    for (index, c) in text.char_indices() {
        spent += cost(c);
        if spent > limit {
            return text.split_at(index);
        }
    }
    (text, "")
}

/// `text`, where it costs more than `limit` cut so that it fits with an ellipsis.
pub(super) fn cut(text: &str, limit: usize, cost: impl Fn(char) -> usize) -> String {
    if split_at_cost(text, limit, &cost).1.is_empty() {
        return text.to_owned();
    }
    let (start, _) = split_at_cost(text, limit.saturating_sub(cost('…')), &cost);
    format!("{}…", start.trim_end())
}

/// `text` in pieces that each cost at most `limit`; a piece ends after a line where its last half has one.
pub(super) fn pieces(
    text: &str,
    limit: usize,
    cost: impl Fn(char) -> usize + Copy,
) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let (start, _) = split_at_cost(left, limit, cost);
        let at_line = start.rfind('\n').map(|index| index + 1).filter(|index| *index > start.len() / 2);
        let end = match at_line {
            Some(index) if start.len() < left.len() => index,
            _ => start.len(),
        };
        let (piece, rest) = left.split_at(end);
        left = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// `text` on one line, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_text_fits_and_an_uncut_one_is_whole(text in "\\PC{0,40}", limit in 1usize..30) {
            let cut = cut(&text, limit, utf16);
            prop_assert!(cut.encode_utf16().count() <= limit);
            if text.encode_utf16().count() <= limit {
                prop_assert_eq!(cut, text);
            }
        }

        #[test]
        fn pieces_fit_and_make_up_the_text(text in "[a-zé😀\n]{0,80}", limit in 2usize..30) {
            let pieces: Vec<&str> = pieces(&text, limit, utf16).collect();
            prop_assert_eq!(pieces.concat(), text.clone());
            prop_assert!(pieces.iter().all(|piece| piece.encode_utf16().count() <= limit));
        }
    }

    #[test]
    fn a_piece_ends_after_a_line() {
        assert_eq!(pieces("one two\nthree", 10, utf16).collect::<Vec<_>>(), ["one two\n", "three"]);
    }
}
