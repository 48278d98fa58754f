//! The headers of a request or an answer, as the record of an attempt keeps them.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::webhook_url::MASK;

/// How many headers are kept.
const MOST: usize = 64;
/// How much of one value is kept, in bytes.
const LONGEST_VALUE: usize = 1_024;
/// How much is kept in all, in bytes. A receiver chooses what it answers, and every attempt is recorded.
const MOST_BYTES: usize = 8 * 1_024;
/// Ends what was cut, and stands as the name where headers were left out.
const CUT: &str = "…";

/// Names and values of headers, in their order, bounded: a value that is too long ends in `…`, and where there were
/// too many headers, the last says how many were left out. In JSON an array of pairs.
///
/// It does not know what is secret: whoever makes it has masked that.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordedHeaders {
    /// One line each, `name: value`: one piece of memory for all of them, since every attempt makes two.
    lines: String,
}

impl RecordedHeaders {
    /// Keeps what fits of `headers`. What is not UTF-8 is replaced.
    pub fn record<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut recorded = Self::default();
        let (mut kept, mut left_out) = (0, 0);
        for (name, value) in headers {
            let shown = &value[..value.len().min(LONGEST_VALUE)];
            let fits = recorded.lines.len() + name.len() + shown.len() <= MOST_BYTES;
            if kept == MOST || !fits {
                left_out += 1;
                continue;
            }
            kept += 1;
            recorded.push(name, shown, value.len() > shown.len());
        }
        if left_out > 0 {
            recorded.push(CUT, format!("{left_out} more were not kept").as_bytes(), false);
        }
        recorded
    }

    /// The names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.lines().filter_map(|line| line.split_once(": "))
    }

    /// The first value under `name`, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(its, value)| (its == name).then_some(value))
    }

    /// Puts the mask in the place of a secret wherever a value repeats it.
    pub fn mask(&mut self, secret: &str) {
        if self.lines.contains(secret) {
            self.lines = self.lines.replace(secret, MASK);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn push(&mut self, name: &str, value: &[u8], is_cut: bool) {
        if self.lines.capacity() == 0 {
            self.lines.reserve(512);
        }
        self.push_without_line_breaks(name);
        self.lines.push_str(": ");
        match std::str::from_utf8(value) {
            Ok(text) => self.push_without_line_breaks(text),
            // A character that the limit has split is left out.
            Err(error) if is_cut && error.error_len().is_none() => {
                self.push_without_line_breaks(&String::from_utf8_lossy(&value[..error.valid_up_to()]));
            }
            Err(_) => self.push_without_line_breaks(&String::from_utf8_lossy(value)),
        }
        if is_cut {
            self.lines.push_str(CUT);
        }
        self.lines.push('\n');
    }

    /// A header has none; what comes from elsewhere must not pass for two headers.
    fn push_without_line_breaks(&mut self, text: &str) {
        if text.contains(['\n', '\r']) {
            self.lines.push_str(&text.replace(['\n', '\r'], " "));
        } else {
            self.lines.push_str(text);
        }
    }
}

impl fmt::Debug for RecordedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for RecordedHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for RecordedHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = RecordedHeaders;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of pairs of a header's name and value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<RecordedHeaders, A::Error> {
                let mut headers = RecordedHeaders::default();
                while let Some((name, value)) = pairs.next_element::<(String, String)>()? {
                    headers.push(&name, value.as_bytes(), false);
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_seq(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(headers: &[(&str, &str)]) -> RecordedHeaders {
        RecordedHeaders::record(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn headers_are_an_array_of_pairs_in_their_order() {
        let headers = recorded(&[("webhook-id", "evt_1"), ("x-empty", ""), ("x-colon", "a: b")]);
        let json = serde_json::to_string(&headers).unwrap();
        assert_eq!(json, r#"[["webhook-id","evt_1"],["x-empty",""],["x-colon","a: b"]]"#);
        assert_eq!(serde_json::from_str::<RecordedHeaders>(&json).unwrap(), headers);
        assert_eq!((headers.get("x-colon"), headers.get("x-none")), (Some("a: b"), None));
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let long = format!("{}ü", "y".repeat(1_023));
        let headers = recorded(&[("x-long", &long)]);
        assert_eq!(headers.get("x-long"), Some(format!("{}…", "y".repeat(1_023)).as_str()));
    }

    #[test]
    fn of_too_many_headers_the_last_line_says_how_many_are_missing() {
        let many = recorded(&[("x-a", "1"); 70]);
        assert_eq!(many.iter().count(), 65);
        assert_eq!(many.iter().last(), Some(("…", "6 more were not kept")));
    }

    proptest! {
        #[test]
        fn whatever_a_receiver_answers_its_record_is_bounded_and_reads_back(
            headers in prop::collection::vec(("[a-z-]{1,80}", prop::collection::vec(any::<u8>(), 0..3_000)), 0..100),
        ) {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            let headers = RecordedHeaders::record(headers);
            prop_assert!(headers.iter().count() <= MOST + 1);
            // Replaced bytes take three, and each line a few.
            prop_assert!(headers.lines.len() <= 3 * MOST_BYTES + 16 * MOST, "{}", headers.lines.len());
            let json = serde_json::to_string(&headers).unwrap();
            prop_assert_eq!(serde_json::from_str::<RecordedHeaders>(&json).unwrap(), headers);
        }
    }
}
