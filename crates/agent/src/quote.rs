//! Foreign words in our own sentences.

use clawhook_model::MASK;

/// How many characters are quoted.
const QUOTE_LIMIT: usize = 300;

/// One line of foreign words that may be shown: without the secrets, without control characters, and short.
pub(crate) fn quote<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let masked = mask(text, secrets);
    let line = masked.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    start_of(&line, QUOTE_LIMIT).trim_end_matches('.').to_owned()
}

/// The first `limit` characters of `text`, with a sign where there are more.
pub(crate) fn start_of(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn mask<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<_> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
    // One can be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_short_line_without_the_secrets_even_where_one_lies_across_the_cut() {
        let key = "sk-123456789";
        let text = format!("{}\r\n\u{1b}[31m key {key}", "x".repeat(QUOTE_LIMIT - 15));
        let quoted = quote(&text, ["sk-1", key, ""]);
        assert!(!quoted.contains("sk-1") && !quoted.contains("2345"), "{quoted}");
        assert!(quoted.chars().count() <= QUOTE_LIMIT + 1);
        assert!(!quoted.contains(char::is_control));
        assert_eq!(quote("a\n b.", []), "a b");
    }
}
