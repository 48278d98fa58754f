//! Where work comes from: how many hops there were since somebody or the clock began it, and through which jobs.
//!
//! A run that a schedule or a person asked for begins at hop 0. Whoever makes work out of an event is one hop further: a
//! job that waits for another's end, a hook that an event of a gateway called. Events carry their run's provenance out, in
//! their body and in two headers, so that a circle that goes through several systems is seen as one and broken.
//!
//! It guards against accidents, not against an adversary: a system in between that passes on neither the headers nor the
//! body begins a new count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{JobId, uuid_v4};

/// How many steps of a trail are kept; the oldest go first.
const LONGEST_TRAIL: usize = 16;
/// The longest step that is kept: an instance and a job.
const LONGEST_STEP: usize = 300;
/// How much of a trail a header holds, in bytes; the oldest steps are left out first.
const HEADER_BYTES: usize = 2_048;
/// More hops than anything has; what claims to have more is taken for this many.
const MOST_HOPS: u32 = 1_000;

/// The header of an event that tells how many hops there were.
pub const HOPS_HEADER: &str = "clawhook-hops";
/// The header of an event that tells through which jobs.
pub const TRAIL_HEADER: &str = "clawhook-trail";
/// How many hops work may be away from its beginning, where the configuration does not say.
pub const DEFAULT_MAX_HOPS: u32 = 8;

/// A gateway, as trails name it: random, made once, and kept in its state directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(String);

impl InstanceId {
    /// A fresh one.
    pub fn random() -> Self {
        let mut name = uuid_v4().simple().to_string();
        name.truncate(16);
        Self(name)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for InstanceId {
    /// A gateway that nobody has named.
    fn default() -> Self {
        Self("gateway".to_owned())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that names no gateway.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("is not the name of a gateway: expected 1 to 64 letters, digits, `-` and `_`")]
pub struct NoInstanceId;

impl FromStr for InstanceId {
    type Err = NoInstanceId;

    fn from_str(text: &str) -> Result<Self, NoInstanceId> {
        let fits = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if fits { Ok(Self(text.to_owned())) } else { Err(NoInstanceId) }
    }
}

/// Where work comes from. The default is its beginning: somebody or the clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// How many hops there were since somebody or the clock began it.
    #[serde(default)]
    pub hops: u32,
    /// The jobs that led to it, `<instance>/<job>`, the last one last. Of a long way only the end is kept.
    #[serde(default)]
    pub trail: Vec<String>,
}

/// Work that is too many hops away from its beginning, so that it is taken for a circle. It is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it would be {hops} hops away from its beginning, and {most} are allowed; it came by {}", by(trail))]
pub struct LoopBroken {
    /// How many hops it would be away.
    pub hops: u32,
    /// How many are allowed.
    pub most: u32,
    /// The jobs that led to it, the last one last.
    pub trail: Vec<String>,
}

impl LoopBroken {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "find the job that calls itself in the end; where so long a way is meant, raise `cron.maxHops`"
    }
}

fn by(trail: &[String]) -> String {
    if trail.is_empty() { "an unknown way".to_owned() } else { trail.join(" -> ") }
}

impl Provenance {
    /// What the events of a job's run tell: the way that led to the run, and the job itself.
    #[must_use]
    pub fn through(&self, instance: &InstanceId, job: &JobId) -> Self {
        let mut trail = self.trail.clone();
        trail.push(format!("{instance}/{job}"));
        Self { hops: self.hops, trail }.bounded()
    }

    /// What comes of work that an event with this provenance causes: it is one hop further, which may be one too many.
    pub fn caused(&self, most: u32) -> Result<Self, LoopBroken> {
        let hops = self.hops.saturating_add(1);
        if hops > most {
            return Err(LoopBroken { hops, most, trail: self.trail.clone() });
        }
        Ok(Self { hops, trail: self.trail.clone() })
    }

    /// What a request from outside tells of where it comes from: by the two headers of events, and by its body where that is
    /// an event. None where it tells nothing, so that it is itself a beginning. Where both tell, the longer way is believed.
    pub fn of_request(hops: Option<&str>, trail: Option<&str>, body: &[u8]) -> Option<Self> {
        let by_headers = hops.and_then(|hops| hops.trim().parse::<u64>().ok()).map(|hops| Self {
            hops: u32::try_from(hops).unwrap_or(u32::MAX),
            trail: trail.map(read_trail).unwrap_or_default(),
        });
        let by_body = Self::of_event(body);
        let longer = match (by_headers, by_body) {
            (Some(headers), Some(body)) if body.hops >= headers.hops => Some(body),
            (headers, body) => headers.or(body),
        };
        longer.map(Self::bounded)
    }

    /// What the bytes of an event tell; none where they are no event that tells of it.
    pub fn of_event(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Event {
            provenance: Option<Provenance>,
        }
        let told = serde_json::from_slice::<Event>(body).ok()?.provenance?;
        Some(told.bounded())
    }

    /// The trail as a header holds it: steps with commas between them, everything unusual in a step percent-encoded.
    pub fn trail_header(&self) -> String {
        let mut steps: Vec<String> = Vec::new();
        let mut bytes = 0;
        for step in self.trail.iter().rev() {
            let step = encoded(step);
            bytes += step.len() + 1;
            if bytes > HEADER_BYTES {
                break;
            }
            steps.push(step);
        }
        steps.reverse();
        steps.join(",")
    }

    fn bounded(mut self) -> Self {
        self.hops = self.hops.min(MOST_HOPS);
        self.trail.retain(|step| !step.is_empty() && step.len() <= LONGEST_STEP);
        let beyond = self.trail.len().saturating_sub(LONGEST_TRAIL);
        self.trail.drain(..beyond);
        self
    }
}

fn read_trail(header: &str) -> Vec<String> {
    header.split(',').map(|step| decoded(step.trim())).filter(|step| !step.is_empty()).collect()
}

fn encoded(step: &str) -> String {
    let mut out = String::with_capacity(step.len());
    for byte in step.bytes() {
        if byte.is_ascii_graphic() && byte != b',' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|half| {
                    char::from_digit(u32::from(half), 16).unwrap_or_default().to_ascii_uppercase()
                }),
            );
        }
    }
    out
}

fn decoded(step: &str) -> String {
    let mut bytes = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> JobId {
        id.parse().unwrap()
    }

    #[test]
    fn what_an_event_causes_is_one_hop_further_until_that_is_one_too_many() {
        let instance: InstanceId = "a1".parse().unwrap();
        let mut at = Provenance::default();
        for hops in 1..=3 {
            at = at.through(&instance, &job("ping")).caused(3).unwrap();
            assert_eq!(at.hops, hops);
        }
        let broken = at.through(&instance, &job("pong")).caused(3).unwrap_err();
        assert_eq!((broken.hops, broken.most), (4, 3));
        let told = "it would be 4 hops away from its beginning, and 3 are allowed; it came by a1/ping -> a1/ping -> \
                    a1/ping -> a1/pong";
        assert_eq!(broken.to_string(), told);
        assert!(broken.hint().contains("cron.maxHops"));
    }

    #[test]
    fn a_request_tells_where_it_comes_from_by_its_headers_or_its_body_and_the_longer_way_is_believed() {
        let body = br#"{"eventId":"x","provenance":{"hops":2,"trail":["a/one","b/two"]}}"#;
        let told = Provenance { hops: 2, trail: vec!["a/one".to_owned(), "b/two".to_owned()] };
        assert_eq!(Provenance::of_request(None, None, body), Some(told.clone()));
        assert_eq!(Provenance::of_request(Some("1"), Some("a/one"), body), Some(told));
        let by_headers = Provenance { hops: 5, trail: vec!["a/x".to_owned()] };
        assert_eq!(Provenance::of_request(Some(" 5 "), Some("a/x"), body), Some(by_headers.clone()));
        assert_eq!(Provenance::of_request(Some("5"), Some("a/x"), b"no JSON"), Some(by_headers));
        for (hops, body) in
            [(None, &b"{}"[..]), (Some("-1"), b"[]"), (Some("many"), b""), (None, b"{\"provenance\":3}")]
        {
            assert_eq!(Provenance::of_request(hops, Some("a/x"), body), None, "{hops:?}");
        }
    }

    #[test]
    fn a_trail_comes_back_from_its_header_whatever_a_job_is_called() {
        let instance = InstanceId::default();
        let at = Provenance::default().through(&instance, &job("grüße,100%")).through(&instance, &job("b"));
        let header = at.trail_header();
        assert!(header.bytes().all(|byte| byte.is_ascii_graphic()), "{header}");
        assert_eq!(Provenance::of_request(Some("0"), Some(&header), b""), Some(at));
        assert_eq!(read_trail("a/100%,b/%zz, ,c/%e"), ["a/100%", "b/%zz", "c/%e"]);
    }

    #[test]
    fn what_comes_from_outside_is_bounded() {
        let trail: Vec<String> = (0..1_000).map(|step| format!("a/{step}")).collect();
        let at = Provenance::of_request(Some("18446744073709551615"), Some(&trail.join(",")), b"").unwrap();
        assert_eq!((at.hops, at.trail.len()), (MOST_HOPS, LONGEST_TRAIL));
        assert_eq!(at.trail.last().unwrap(), "a/999");
        let long = Provenance { hops: 0, trail: vec!["x".repeat(LONGEST_STEP); LONGEST_TRAIL] };
        assert!(long.trail_header().len() <= HEADER_BYTES);
    }

    #[test]
    fn a_gateways_name_is_random_and_comes_back_from_text() {
        let (one, other) = (InstanceId::random(), InstanceId::random());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse::<InstanceId>().unwrap(), one);
        for bad in ["", "a/b", "a b", &"x".repeat(65)] {
            assert_eq!(bad.parse::<InstanceId>(), Err(NoInstanceId), "{bad}");
        }
    }
}
