//! Texts that must not be told, in what others say.

use std::fmt;

/// Shorter values are words like `true`, or numbers; masking them would hide no secret and garble the text.
const SHORTEST: usize = 6;

/// Values that are masked wherever they stand.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// These values, and those of their words that are long enough: of `Bearer …` the token is the secret.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let words = values.flat_map(|value| std::iter::once(value).chain(value.split_whitespace()));
        let long_enough = words.filter(|word| word.len() >= SHORTEST && *word != "Bearer");
        let mut values: Vec<_> = long_enough.map(str::to_owned).collect();
        // One can be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values)
    }

    /// The text with `***` in the place of each of the values.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_as_a_whole_and_by_their_words() {
        let secrets = Secrets::of(["s3cret", "s3cret-and-more", "Bearer t0ken-t0ken", "true"].into_iter());
        assert_eq!(secrets.mask("s3cret-and-more s3cret"), "*** ***");
        assert_eq!(secrets.mask("Bearer t0ken-t0ken"), "***");
        assert_eq!(secrets.mask("Bearer token `t0ken-t0ken` is not true"), "Bearer token `***` is not true");
        assert_eq!(format!("{secrets:?}"), "Secrets(4)");
    }
}
