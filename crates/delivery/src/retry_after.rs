//! `Retry-After`: when a receiver asks to be tried again.

use std::time::UNIX_EPOCH;

use clawhook_model::{RetryAfter, UnixMs};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use httpdate::HttpDate;

/// What the head of an answer asks for. Only 429 and 503 ask (RFC 9110 §15.5.14 leaves it to us which others would);
/// junk asks for nothing.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<RetryAfter> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    parse(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Reads whole seconds, or an HTTP-date in any of its three grammars (RFC 9110 §5.6.7).
fn parse(text: &str) -> Option<RetryAfter> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too great to count is a long time all the same.
        return Some(RetryAfter::Seconds(text.parse().unwrap_or(u64::MAX)));
    }
    let date: HttpDate = text.parse().ok()?;
    let since_epoch = std::time::SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Some(RetryAfter::At(UnixMs::EPOCH.plus(since_epoch)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_and_all_three_dates_are_read() {
        let date = Some(RetryAfter::At(UnixMs::from_millis(784_111_777_000)));
        for (text, expected) in [
            ("120", Some(RetryAfter::Seconds(120))),
            (" 0 ", Some(RetryAfter::Seconds(0))),
            ("99999999999999999999999", Some(RetryAfter::Seconds(u64::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", date),
            ("Sunday, 06-Nov-94 08:49:37 GMT", date),
            ("Sun Nov  6 08:49:37 1994", date),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn junk_asks_for_nothing() {
        for junk in [
            "",
            "-1",
            "+5",
            "1.5",
            "5s",
            "soon",
            "1e3",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 2027 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }

    #[test]
    fn only_429_and_503_ask() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        for (status, expected) in [
            (429, Some(RetryAfter::Seconds(7))),
            (503, Some(RetryAfter::Seconds(7))),
            (200, None),
            (301, None),
            (500, None),
        ] {
            assert_eq!(retry_after(StatusCode::from_u16(status).unwrap(), &headers), expected, "{status}");
        }
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(retry_after(StatusCode::SERVICE_UNAVAILABLE, &headers), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_read(text in "\\PC*") {
            parse(&text);
        }

        #[test]
        fn no_text_that_resembles_a_date_is_too_odd_to_be_read(
            text in "(Sun|Sunday|Wednesday),? [ 0-9]{1,3}[- ](Nov|Feb|xyz)[- ][0-9]{1,5} [0-9:]{0,9}( GMT| [0-9]{4})?",
        ) {
            parse(&text);
        }
    }
}
