//! When a provider wants to be asked again, from the many headers in which providers say so.

use std::time::{Duration, SystemTime};

use clawhook_model::UnixMs;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;

use super::failure::Complaint;

/// A provider that wants to be left alone for longer is no longer busy but closed: its refusal is an error like others.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// What is left of a quota, and when it is full again.
const QUOTAS: [(&str, &str); 6] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
];

/// The instant, where the provider names one that is not unreasonably far.
pub(super) fn retry_at(headers: &HeaderMap, complaint: &Complaint, now: UnixMs) -> Option<UnixMs> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let at = header("retry-after-ms")
        .and_then(|ms| after_seconds(ms.parse::<f64>().ok()? / 1000.0, now))
        .or_else(|| retry_after(header("retry-after")?, now))
        .or_else(|| instant(complaint.retry_delay.as_deref()?, now))
        .or_else(|| used_up(header, now))?;
    (at <= now.plus(LONGEST_WAIT)).then(|| at.max(now))
}

/// Seconds, or a date in one of HTTP's forms.
fn retry_after(text: &str, now: UnixMs) -> Option<UnixMs> {
    if let Ok(seconds) = text.parse::<f64>() {
        return after_seconds(seconds, now);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixMs::from_millis(i64::try_from(since.as_millis()).ok()?))
}

fn after_seconds(seconds: f64, now: UnixMs) -> Option<UnixMs> {
    Some(now.plus(Duration::try_from_secs_f64(seconds).ok()?.min(2 * LONGEST_WAIT)))
}

/// The end of the quotas that are used up: the last of them.
fn used_up<'a>(header: impl Fn(&str) -> Option<&'a str>, now: UnixMs) -> Option<UnixMs> {
    let empty = QUOTAS.iter().filter(|(remaining, _)| header(remaining) == Some("0"));
    empty.filter_map(|(_, reset)| instant(header(reset)?, now)).max()
}

/// An instant as RFC 3339 has it, or a length of time such as `6m0s`.
fn instant(text: &str, now: UnixMs) -> Option<UnixMs> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(UnixMs::from_millis(at.as_millisecond()));
    }
    let wait: SignedDuration = text.parse().ok()?;
    Some(now.plus(Duration::try_from(wait).ok()?.min(2 * LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_445_412_479_000);

    fn read(headers: &[(&'static str, &'static str)]) -> Option<i64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let at = retry_at(&headers.collect(), &Complaint::default(), NOW)?;
        Some(at.as_millis() - NOW.as_millis())
    }

    #[test]
    fn every_way_of_saying_when_is_understood() {
        assert_eq!(read(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(read(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(read(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(1_000));
        assert_eq!(read(&[("retry-after-ms", "1500"), ("retry-after", "2")]), Some(1_500));
        let openai = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")];
        assert_eq!(read(&openai), Some(360_000));
        let anthropic = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2015-10-21T07:28:30Z"),
        ];
        assert_eq!(read(&anthropic), Some(31_000));
        let google = serde_json::json!({ "code": 429, "details": [{ "retryDelay": "34s" }] });
        let complaint = Complaint::of_error(&google);
        let at = retry_at(&HeaderMap::new(), &complaint, NOW).unwrap();
        assert_eq!(at, NOW.plus(Duration::from_secs(34)));
    }

    #[test]
    fn what_is_past_is_now_and_what_is_nonsense_or_far_is_nothing() {
        assert_eq!(read(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")]), Some(0));
        for text in ["-1", "soon", "NaN", "1e300", "864000", ""] {
            assert_eq!(read(&[("retry-after", text)]), None, "{text}");
        }
        assert_eq!(read(&[("x-ratelimit-remaining-tokens", "5"), ("x-ratelimit-reset-tokens", "1s")]), None);
    }
}
