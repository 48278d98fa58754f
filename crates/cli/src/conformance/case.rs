//! What is tried one message at a time.

use std::time::Duration;

use clawhook_model::UnixMs;

use super::judge::Expectation;
use super::message::{Message, Messages, STALE};

/// One message, and what should become of it.
pub(super) struct Case {
    /// By this it is called, in reports and by programs that read them.
    pub(super) name: &'static str,
    /// What is sent, in words.
    pub(super) sent: &'static str,
    pub(super) expectation: Expectation,
    /// What to do where the opposite happens.
    pub(super) advice: &'static str,
    /// Makes the message, at the instant at which it is sent.
    pub(super) make: fn(&Messages, UnixMs) -> Message,
}

/// How old the event is that comes late.
const LATE: Duration = Duration::from_secs(3 * 86_400);

/// The first: while this is not accepted, nothing else can be judged.
pub(super) const GOOD: Case = Case {
    name: "good-event",
    sent: "a signed event",
    expectation: Expectation::Accepted,
    advice: "A good event must be answered with 2xx. After 401 or 403, check that the endpoint has this very secret \
             and verifies the raw bytes of the body; after 404 or 405, check the path and that it takes POST.",
    make: |messages, now| messages.signed_at(&messages.samples().good(now), now),
};

/// The others of one message each.
pub(super) const CASES: [Case; 17] = [
    Case {
        name: "failed-run",
        sent: "the event of a run that failed",
        expectation: Expectation::Accepted,
        advice: "Failures are sent too: `status` is `error`, and `summary` may be absent. Answer 2xx, and look at \
                 `status` afterwards.",
        make: |messages, now| messages.signed_at(&messages.samples().failed(now), now),
    },
    Case {
        name: "late",
        sent: "an event of three days ago, signed now",
        expectation: Expectation::Accepted,
        advice: "An event that waited through an outage is old, and its signature fresh. Check the age of \
                 `webhook-timestamp`, never that of the event.",
        make: |messages, now| {
            let then = now.plus_millis(-millis(LATE));
            messages.signed_at(&messages.samples().good(then), now).with_attempt(9)
        },
    },
    Case {
        name: "exact-bytes",
        sent: "JSON written unusually, signed as it is",
        expectation: Expectation::Accepted,
        advice: "The signature covers the bytes that were sent. Verify the raw body, before anything parses it; JSON \
                 that was parsed and written again is not the same text.",
        make: |messages, now| messages.signed_at(&messages.samples().spaced(now), now),
    },
    Case {
        name: "added-fields",
        sent: "an event with fields that are not known yet",
        expectation: Expectation::Accepted,
        advice: "The event's schema grows by addition. Ignore the fields that you do not know.",
        make: |messages, now| messages.signed_at(&messages.samples().extended(now), now),
    },
    Case {
        name: "large",
        sent: "an event with a summary of 1 MiB",
        expectation: Expectation::Accepted,
        advice: "Results can be long. Raise the limit for bodies to 2 MiB, in the receiver and in the proxy before it.",
        make: |messages, now| messages.signed_at(&messages.samples().large(now), now),
    },
    Case {
        name: "content-type",
        sent: "a signed event as text/plain",
        expectation: Expectation::Answered,
        advice: "Accept it, or answer 415: an unexpected type of content must not end in a fault of the server.",
        make: |messages, now| {
            messages.signed_at(&messages.samples().good(now), now).with_content_type("text/plain")
        },
    },
    Case {
        name: "rotation",
        sent: "two signatures, the second of them right",
        expectation: Expectation::Accepted,
        advice: "While a secret is being changed, `webhook-signature` holds several signatures, parted by spaces. \
                 Accept the request if any one of them is right.",
        make: |messages, now| {
            let event = messages.samples().good(now);
            messages.signed_at(&event, now).with_signature_of(&messages.forged_at(&event, now))
        },
    },
    Case {
        name: "unknown-version",
        sent: "a signature `v9,…` before the right one",
        expectation: Expectation::Accepted,
        advice: "Pass over signatures of versions that you do not know, such as `v1a`, and look at the others.",
        make: |messages, now| {
            let unknown = "v9,bm90aGluZyB0aGF0IGlzIGtub3duIHlldA==";
            let message = messages.signed_at(&messages.samples().good(now), now);
            message.with_signature(|own| format!("{unknown} {own}"))
        },
    },
    Case {
        name: "wrong-key",
        sent: "a signature of another secret",
        expectation: Expectation::Refused,
        advice: FORGED,
        make: |messages, now| messages.forged_at(&messages.samples().good(now), now),
    },
    Case {
        name: "missing-signature",
        sent: "no signature",
        expectation: Expectation::Refused,
        advice: FORGED,
        make: |messages, now| messages.signed_at(&messages.samples().good(now), now).without_signature(),
    },
    Case {
        name: "malformed-signature",
        sent: "a signature that is not base64",
        expectation: Expectation::Refused,
        advice: FORGED,
        make: |messages, now| {
            let message = messages.signed_at(&messages.samples().good(now), now);
            message.with_signature(|_| "v1,%%% v1 ,, no=base64".to_owned())
        },
    },
    Case {
        name: "empty-signature",
        sent: "a signature of no bytes",
        expectation: Expectation::Refused,
        advice: FORGED,
        make: |messages, now| {
            messages.signed_at(&messages.samples().good(now), now).with_signature(|_| "v1,".to_owned())
        },
    },
    Case {
        name: "changed-body",
        sent: "one byte of the body changed after signing",
        expectation: Expectation::Refused,
        advice: FORGED,
        make: |messages, now| messages.signed_at(&messages.samples().good(now), now).with_a_changed_byte(),
    },
    Case {
        name: "changed-id",
        sent: "another webhook-id than was signed",
        expectation: Expectation::Refused,
        advice: "The id is part of what is signed: `id.timestamp.body`. Who can change it can have one event processed \
                 any number of times.",
        make: |messages, now| {
            let other = messages.samples().good(now).id.to_string();
            messages.signed_at(&messages.samples().good(now), now).with_id(other)
        },
    },
    Case {
        name: "changed-timestamp",
        sent: "another webhook-timestamp than was signed",
        expectation: Expectation::Refused,
        advice: "The timestamp is part of what is signed: `id.timestamp.body`. Who can change it can send an old \
                 request again.",
        make: |messages, now| {
            let event = messages.samples().good(now);
            messages
                .signed_at(&event, now)
                .with_timestamp_of(&messages.signed_at(&event, now.plus_millis(1_000)))
        },
    },
    Case {
        name: "old-timestamp",
        sent: "a request signed ten minutes ago",
        expectation: Expectation::Refused,
        advice: "Refuse a `webhook-timestamp` that is more than five minutes off, or whoever once saw a request can \
                 send it again for ever.",
        make: |messages, now| {
            messages.signed_at(&messages.samples().good(now), now.plus_millis(-millis(STALE)))
        },
    },
    Case {
        name: "future-timestamp",
        sent: "a request signed ten minutes from now",
        expectation: Expectation::Refused,
        advice: "Refuse a `webhook-timestamp` that is more than five minutes off in either direction.",
        make: |messages, now| {
            messages.signed_at(&messages.samples().good(now), now.plus_millis(millis(STALE)))
        },
    },
];

const FORGED: &str = "Anybody can make the endpoint believe anything. Verify `webhook-signature` over the raw body, with \
                      a Standard Webhooks library, before you use a word of it.";

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
