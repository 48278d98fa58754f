//! A request as it came in: its head, and later its body.

use std::borrow::Cow;

use clawhook_model::UnixMs;
use http::{HeaderMap, Method};

/// What is known of a request before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The whole path.
    pub path: &'a str,
    /// The query without its `?`; none is none.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A whole request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Everything but the body.
    pub head: Head<'a>,
    /// Exactly the bytes that came.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: UnixMs,
}

impl<'a> Head<'a> {
    /// The one value of a header. A header that came twice has none: nobody knows which of them was meant.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        }
    }

    /// All values of a header, parted by commas, as templates see it.
    pub fn joined_header(&self, name: &str) -> Option<String> {
        let values: Vec<Cow<'_, str>> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The first value of a member of the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The members of the query, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> {
        let members = self.query.unwrap_or_default().split('&').filter(|member| !member.is_empty());
        members.map(|member| {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            (decode(name), decode(value))
        })
    }
}

/// What a form's text stands for: `+` is a space, `%41` a byte.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with_query(query: &str, name: &str) -> Option<String> {
        let headers = HeaderMap::new();
        let head = Head { method: &Method::POST, path: "/hooks/x", query: Some(query), headers: &headers };
        head.query_value(name)
    }

    #[test]
    fn the_first_member_of_a_query_counts_and_is_decoded() {
        assert_eq!(with_query("a=1&b=two+words%21&b=3", "b").as_deref(), Some("two words!"));
        assert_eq!(with_query("a=%zz%4", "a").as_deref(), Some("%zz%4"));
        assert_eq!(with_query("flag", "flag").as_deref(), Some(""));
        assert_eq!(with_query("a=1", "b"), None);
    }

    #[test]
    fn a_header_that_came_twice_has_no_one_value() {
        let mut headers = HeaderMap::new();
        headers.append("x-event", HeaderValue::from_static("push"));
        let once = headers.clone();
        headers.append("x-event", HeaderValue::from_static("ping"));
        let head = |headers| Head { method: &Method::POST, path: "/", query: None, headers };
        assert_eq!(head(&once).header("x-event"), Some("push"));
        assert_eq!(head(&headers).header("x-event"), None);
        assert_eq!(head(&headers).joined_header("x-event").as_deref(), Some("push, ping"));
    }

    proptest! {
        #[test]
        fn any_query_can_be_read(query in "\\PC*") {
            with_query(&query, "a");
        }
    }
}
