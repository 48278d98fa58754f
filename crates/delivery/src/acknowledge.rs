//! How a receiver acknowledges an event: by the signed link that it is given with it, or by its very answer.

use clawhook_model::AttemptReport;
use http::{HeaderName, HeaderValue};

/// The header that carries the link.
pub(crate) const ACK_URL: HeaderName = HeaderName::from_static("clawhook-ack-url");
/// The header and the member by which an answer acknowledges.
const ACK: &str = "clawhook-ack";

/// A link as a header.
pub(crate) fn header(link: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(link).ok()?;
    // Whoever has it can acknowledge.
    value.set_sensitive(true);
    Some(value)
}

/// Whether the answer that took an event acknowledges it, by its header or by a member of its body.
pub(crate) fn acknowledges(report: &AttemptReport) -> bool {
    let is_yes = |value: &str| value.trim().eq_ignore_ascii_case("true");
    let by_header = report.response_headers.get(ACK).is_some_and(is_yes);
    let body = report.response_body.as_deref().filter(|_| !report.response_truncated);
    let by_body = body
        .and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok())
        .is_some_and(|body| body.get(ACK) == Some(&serde_json::Value::Bool(true)));
    report.class.is_delivered() && (by_header || by_body)
}
