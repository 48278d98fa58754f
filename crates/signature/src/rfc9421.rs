//! HTTP Message Signatures (RFC 9421) with a digest of the body (RFC 9530): the signature covers the method and the
//! address too, so that a request which was overheard cannot be sent to another path.
//!
//! The headers have room for several: while a key is being changed, the new one signs as `sig1` and the retiring one
//! as `sig2`. Each names its key by `keyid` and its part by `tag`, so that receivers can choose before they verify.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, FieldType as _, InnerList, ListEntry, Parser, StringRef};
use sha2::{Digest as _, Sha256};

use crate::key_pair::{PublicKey, SigningKeyPair};
use crate::mac::{MacKey, push_hex};
use crate::secret::{SecretError, SharedSecret};
use crate::signer::{SigningInput, header_value};
use crate::verify_error::{VerifyError, shortened};
use crate::{BASE64, freshness};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

const HMAC_SHA256: &str = "hmac-sha256";
const ED25519: &str = "ed25519";
/// The parts that the signatures play, by their place: the key that stays comes first.
const TAGS: [&str; 2] = ["clawhook", "clawhook-retiring"];
/// The fields that are always covered, in their order in the signature.
const COVERED: &str = r#""@method" "@target-uri" "content-digest" "content-type" "webhook-id""#;
/// What the attributes of `CloudEvents` begin with in HTTP's binary mode.
const CLOUD_EVENT: &str = "ce-";
/// What a signature must cover to speak for a request at all.
const REQUIRED: [&str; 3] = ["@method", "@target-uri", "content-digest"];
/// How many signatures of one request are looked at.
const MOST_SIGNATURES: usize = 8;

/// A key with the name that receivers know it by.
#[derive(Clone)]
pub(crate) struct Key {
    id: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Secret(MacKey),
    Pair(SigningKeyPair),
}

impl Key {
    pub(crate) fn of_pair(pair: &SigningKeyPair) -> Self {
        Self { id: pair.public().key_id(), kind: Kind::Pair(pair.clone()) }
    }

    pub(crate) fn of_secret(secret: &SharedSecret) -> Result<Self, SecretError> {
        let key = secret.bytes_key()?;
        let mut id = String::new();
        push_hex(&mut id, &key.hash(&[b"clawhook key id"])[..8]);
        Ok(Self { id, kind: Kind::Secret(key) })
    }

    fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Secret(_) => HMAC_SHA256,
            Kind::Pair(_) => ED25519,
        }
    }

    fn push_signature(&self, message: &[&[u8]], out: &mut String) {
        match &self.kind {
            Kind::Secret(key) => BASE64.encode_string(key.hash(message), out),
            Kind::Pair(key) => BASE64.encode_string(key.sign(message), out),
        }
    }
}

/// The `keyid` by which signatures made with this secret name it.
pub fn key_id(secret: &SharedSecret) -> Result<String, SecretError> {
    Ok(Key::of_secret(secret)?.id)
}

/// Sets `Content-Digest`, `Signature-Input` and `Signature`.
pub(crate) fn sign<'a>(
    keys: impl Iterator<Item = &'a Key>,
    input: &SigningInput<'_>,
    id: &str,
    headers: &mut HeaderMap,
) {
    let digest = content_digest(input.body);
    let (components, mut base) = cover(input, id, &digest, headers);
    base.push_str("\"@signature-params\": ");

    let mut inputs = String::with_capacity(2 * (components.len() + 140));
    let mut signatures = String::with_capacity(2 * 104);
    for ((number, tag), key) in (1..).zip(TAGS).zip(keys) {
        if number > 1 {
            inputs.push_str(", ");
            signatures.push_str(", ");
        }
        write_label(&mut inputs, number);
        let begin = inputs.len();
        let (created, key_id, algorithm) = (input.timestamp_secs, &key.id, key.algorithm());
        // Writing to a text never fails.
        let _ = write!(
            inputs,
            r#"({components});created={created};keyid="{key_id}";alg="{algorithm}";tag="{tag}""#
        );
        write_label(&mut signatures, number);
        signatures.push(':');
        key.push_signature(&[base.as_bytes(), &inputs.as_bytes()[begin..]], &mut signatures);
        signatures.push(':');
    }
    headers.insert(CONTENT_DIGEST, header_value(digest));
    headers.insert(SIGNATURE_INPUT, header_value(inputs));
    headers.insert(SIGNATURE, header_value(signatures));
}

fn write_label(out: &mut String, number: u8) {
    out.push_str("sig");
    out.push(char::from(b'0' + number));
    out.push('=');
}

fn content_digest(body: &[u8]) -> String {
    let mut digest = String::with_capacity(9 + 44 + 1);
    digest.push_str("sha-256=:");
    BASE64.encode_string(Sha256::digest(body), &mut digest);
    digest.push(':');
    digest
}

/// The names of what is covered, and the lines of the signature base that hold their values.
fn cover(input: &SigningInput<'_>, id: &str, digest: &str, headers: &HeaderMap) -> (String, String) {
    let url = input.url.url().as_str();
    let mut components = COVERED.to_owned();
    let mut base = String::with_capacity(256 + url.len());
    push_line(&mut base, "@method", "POST");
    push_line(&mut base, "@target-uri", url);
    push_line(&mut base, "content-digest", digest);
    push_line(&mut base, "content-type", input.content_type.trim());
    push_line(&mut base, "webhook-id", id);
    for name in headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with(CLOUD_EVENT)) {
        // An attribute that is not ASCII is none: CloudEvents percent-encode everything else.
        let Some(value) = field(headers, name) else { continue };
        components.push_str(" \"");
        components.push_str(name);
        components.push('"');
        push_line(&mut base, name, &value);
    }
    (components, base)
}

fn push_line(base: &mut String, name: &str, value: &str) {
    base.push('"');
    base.push_str(name);
    base.push_str("\": ");
    base.push_str(value);
    base.push('\n');
}

/// The value of a field as the signature covers it: every line of it, without the blanks around.
fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Option<Vec<&str>> =
        headers.get_all(name).iter().map(|line| line.to_str().ok().map(str::trim)).collect();
    lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join(", "))
}

/// A request as its receiver has it.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The whole address that was asked for, as the sender wrote it.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// What a receiver verifies with.
#[derive(Debug, Clone, Copy)]
pub enum VerifyingKey<'a> {
    /// The shared secret, by hmac-sha256.
    Secret(&'a SharedSecret),
    /// The sender's public key, by ed25519.
    Public(&'a PublicKey),
}

/// Checks a request as a receiver should: that the body is the one whose digest was signed, that a signature covers
/// the method, the address and that digest, that it is fresh, and, in constant time, that it is genuine.
pub fn verify(
    key: VerifyingKey<'_>,
    request: &SignedRequest<'_>,
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let verifier = Verifier::of(key)?;
    check_digest(request)?;
    let inputs = dictionary(request.headers, &SIGNATURE_INPUT)?;
    let signatures = dictionary(request.headers, &SIGNATURE)?;
    let mut refusal = VerifyError::NoSignature { header: "signature-input", scheme: verifier.algorithm() };
    for (label, entry) in inputs.iter().take(MOST_SIGNATURES) {
        let (ListEntry::InnerList(input), Some(ListEntry::Item(signature))) =
            (entry, signatures.get(label.as_str()))
        else {
            continue;
        };
        let Some(signature) = signature.bare_item.as_byte_sequence() else { continue };
        if text_of(input, "alg").is_some_and(|algorithm| algorithm != verifier.algorithm()) {
            continue;
        }
        match check(&verifier, input, signature, request, now_secs, tolerance) {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// A key that is ready to verify.
enum Verifier<'a> {
    Secret(MacKey),
    Public(&'a PublicKey),
}

impl<'a> Verifier<'a> {
    fn of(key: VerifyingKey<'a>) -> Result<Self, VerifyError> {
        match key {
            VerifyingKey::Public(key) => Ok(Self::Public(key)),
            // A secret that is no key matches nothing.
            VerifyingKey::Secret(secret) => {
                secret.bytes_key().map(Self::Secret).map_err(|_| VerifyError::Mismatch)
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => HMAC_SHA256,
            Self::Public(_) => ED25519,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => key.verifies(&[message], signature),
            Self::Public(key) => key.verifies(&[message], signature),
        }
    }
}

/// Checks one of the request's signatures.
fn check(
    verifier: &Verifier<'_>,
    input: &InnerList,
    signature: &[u8],
    request: &SignedRequest<'_>,
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let components = components(input)?;
    if let Some(missing) = REQUIRED.into_iter().find(|required| !components.contains(required)) {
        return Err(VerifyError::NotCovered(missing));
    }
    let created = integer_of(input, "created")
        .ok_or_else(|| unreadable(&SIGNATURE_INPUT, "does not say when the signature was created"))?;
    freshness::check(created, now_secs, tolerance)?;
    if let Some(expired) = integer_of(input, "expires").filter(|expires| *expires < now_secs) {
        return Err(VerifyError::TooOld { age_secs: now_secs.abs_diff(expired), tolerance_secs: 0 });
    }
    let base = signature_base(&components, input, request)?;
    if verifier.verifies(base.as_bytes(), signature) { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// The names of what the signature covers. One that carries parameters means something else than the plain name, and
/// is not understood here.
fn components(input: &InnerList) -> Result<Vec<&str>, VerifyError> {
    let mut names: Vec<&str> = Vec::with_capacity(input.items.len());
    for item in &input.items {
        let name = item.bare_item.as_string().filter(|_| item.params.is_empty()).map(StringRef::as_str);
        match name {
            Some(name) if !names.contains(&name) => names.push(name),
            Some(_) => return Err(unreadable(&SIGNATURE_INPUT, "covers something twice")),
            None => return Err(unreadable(&SIGNATURE_INPUT, "covers something that is no plain field")),
        }
    }
    Ok(names)
}

/// The text that was signed, made anew from the request.
fn signature_base(
    components: &[&str],
    input: &InnerList,
    request: &SignedRequest<'_>,
) -> Result<String, VerifyError> {
    let mut base = String::new();
    for name in components {
        match *name {
            "@method" => push_line(&mut base, name, request.method),
            "@target-uri" => push_line(&mut base, name, request.url),
            name => {
                let value = field(request.headers, name).ok_or_else(|| VerifyError::Unreadable {
                    header: shortened(name),
                    problem: "is covered by the signature, and is not in the request or not understood",
                })?;
                push_line(&mut base, name, &value);
            }
        }
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(&vec![ListEntry::InnerList(input.clone())].serialize().unwrap_or_default());
    Ok(base)
}

fn check_digest(request: &SignedRequest<'_>) -> Result<(), VerifyError> {
    let digests = dictionary(request.headers, &CONTENT_DIGEST)?;
    let Some(ListEntry::Item(digest)) = digests.get("sha-256") else {
        return Err(unreadable(&CONTENT_DIGEST, "holds no sha-256 digest"));
    };
    match digest.bare_item.as_byte_sequence() {
        Some(digest) if digest == Sha256::digest(request.body).as_slice() => Ok(()),
        _ => Err(VerifyError::Digest),
    }
}

fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Result<Dictionary, VerifyError> {
    let text = field(headers, name.as_str()).ok_or_else(|| unreadable(name, "is missing"))?;
    Parser::new(&text).parse().map_err(|_| unreadable(name, "is no structured dictionary"))
}

fn text_of<'a>(input: &'a InnerList, name: &str) -> Option<&'a str> {
    input.params.get(name).and_then(BareItem::as_string).map(StringRef::as_str)
}

fn integer_of(input: &InnerList, name: &str) -> Option<i64> {
    input.params.get(name).and_then(BareItem::as_integer).map(i64::from)
}

fn unreadable(header: &HeaderName, problem: &'static str) -> VerifyError {
    VerifyError::Unreadable { header: header.to_string(), problem }
}
