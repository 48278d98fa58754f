//! Requests as they would arrive: genuine ones, and ones that a receiver must refuse.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clawhook_clock::{Clock as _, SystemClock};
use clawhook_delivery::signature::rfc9421;
use clawhook_delivery::{
    KeyError, LiveKeys, Retiring, SecretError, SharedSecret, SharedSecretError, Signer, SignerError,
    SigningInput, SigningKeyPair, SigningKeys,
};
use clawhook_model::{
    EventId, SchemesError, SignatureScheme, SignatureSchemes, UnixMs, WebhookUrl, WebhookUrlError,
};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

const URL: &str = "https://receiver.example/hooks/a?tenant=7";
const CONTENT_TYPE: &str = "application/json";
const BODY: &str = r#"{"action":"finished","status":"ok","text":"grüß Gott 👋"}"#;
const HOUR_MS: i64 = 3_600_000;

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error(transparent)]
    Secret(#[from] SharedSecretError),
    #[error(transparent)]
    SecretForm(#[from] SecretError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Schemes(#[from] SchemesError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Url(#[from] WebhookUrlError),
}

/// A scheme, and the kind of key that it is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Shared(SignatureScheme),
    Asymmetric(SignatureScheme),
}

const WAYS: [Way; 6] = [
    Way::Shared(SignatureScheme::V1),
    Way::Asymmetric(SignatureScheme::V1a),
    Way::Shared(SignatureScheme::Github),
    Way::Shared(SignatureScheme::Stripe),
    Way::Shared(SignatureScheme::Rfc9421),
    Way::Asymmetric(SignatureScheme::Rfc9421),
];

impl Way {
    fn scheme(self) -> SignatureScheme {
        match self {
            Self::Shared(scheme) | Self::Asymmetric(scheme) => scheme,
        }
    }

    /// GitHub's scheme covers no time, and its header has room for one signature.
    fn is_github(self) -> bool {
        self.scheme() == SignatureScheme::Github
    }

    fn keys(self, secret: LiveKeys<SharedSecret>, pair: LiveKeys<SigningKeyPair>) -> SigningKeys {
        match self {
            Self::Shared(_) => SigningKeys { secret: Some(secret), private_key: None },
            Self::Asymmetric(_) => SigningKeys { secret: None, private_key: Some(pair) },
        }
    }
}

/// The keys that a sender and a receiver have agreed on. They are made of a number, so that nothing here is secret.
struct Agreement {
    secret_text: String,
    secret: SharedSecret,
    pair: SigningKeyPair,
}

impl Agreement {
    fn new(number: u8, way: Way) -> Result<Self, SigningError> {
        let bytes = BASE64_STANDARD.encode([number; 32]);
        let secret_text = match way.scheme() {
            SignatureScheme::Github => format!("a secret of plain text, number {number}"),
            SignatureScheme::Stripe => format!("whsec_as_stripe_writes_it_no_base64_{number}"),
            _ => format!("whsec_{bytes}"),
        };
        let secret = SharedSecret::parse(&secret_text)?;
        Ok(Self { secret_text, secret, pair: SigningKeyPair::parse(&format!("whsk_{bytes}"))? })
    }
}

/// What a receiver has: a key, and the agreement whose name it goes by.
#[derive(Clone, Copy)]
struct Receiver<'a> {
    knows: &'a Agreement,
    by: &'a Agreement,
}

/// A request on its way, which may be tampered with.
#[derive(Clone)]
struct Request {
    method: &'static str,
    url: &'static str,
    headers: HeaderMap,
    body: String,
}

impl Request {
    fn signed(signer: &Signer, at: UnixMs) -> Result<Self, SigningError> {
        let url: WebhookUrl = URL.parse()?;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(CONTENT_TYPE));
        let input = SigningInput {
            event_id: EventId::new(at),
            timestamp_secs: at.as_secs(),
            url: &url,
            content_type: CONTENT_TYPE,
            body: BODY.as_bytes(),
        };
        signer.sign(&input, &mut headers);
        Ok(Self { method: "POST", url: URL, headers, body: BODY.to_owned() })
    }
}

/// Requests of every scheme, each with what its receiver knows and whether the receiver must accept it.
pub(super) fn signed_requests() -> Result<Value, SigningError> {
    let now = SystemClock.now();
    let mut requests = Vec::new();
    for way in WAYS {
        requests.extend(requests_of(way, now)?);
    }
    Ok(json!({ "requests": requests }))
}

fn requests_of(way: Way, now: UnixMs) -> Result<Vec<Value>, SigningError> {
    let [current, former, other] = [1, 2, 3].map(|number| Agreement::new(number, way));
    let (current, former, other) = (current?, former?, other?);
    let schemes = SignatureSchemes::new([way.scheme()])?;
    let only = way.keys(LiveKeys::only(current.secret.clone()), LiveKeys::only(current.pair.clone()));
    let signer = Signer::new(&schemes, &only)?;
    let rotating = |until| {
        let secret = rotation(&current.secret, &former.secret, until);
        Signer::new(&schemes, &way.keys(secret, rotation(&current.pair, &former.pair, until)))
    };

    let request = Request::signed(&signer, now)?;
    let of_an_hour_ago = Request::signed(&signer, now.plus_millis(-HOUR_MS))?;
    let during_rotation = Request::signed(&rotating(now.plus_millis(HOUR_MS))?, now)?;
    let after_rotation = Request::signed(&rotating(now.plus_millis(-HOUR_MS))?, now)?;

    // Another key comes under the right key's name: the receiver has taken it for the sender's.
    let (ours, formers) =
        (Receiver { knows: &current, by: &current }, Receiver { knows: &former, by: &former });
    let stranger = Receiver { knows: &other, by: &current };
    let mut cases = vec![
        ("a genuine request", true, request.clone(), ours),
        ("a request with another key", false, request.clone(), stranger),
        ("a request of an hour ago", way.is_github(), of_an_hour_ago, ours),
        ("the new key, while both are live", true, during_rotation.clone(), ours),
        ("the old key, while both are live", !way.is_github(), during_rotation, formers),
        ("the new key, once the old one has retired", true, after_rotation.clone(), ours),
        ("the old key, once it has retired", false, after_rotation, formers),
    ];
    let tampered = tampered_with(way, &request).into_iter();
    cases.extend(tampered.map(|(name, request)| (name, false, request, ours)));
    cases
        .into_iter()
        .map(|(name, genuine, request, receiver)| told(way, name, genuine, &request, receiver))
        .collect()
}

fn rotation<K: Clone>(current: &K, former: &K, until: UnixMs) -> LiveKeys<K> {
    LiveKeys { current: current.clone(), retiring: Some(Retiring { key: former.clone(), until }) }
}

/// The request with each thing changed that the scheme covers.
fn tampered_with(way: Way, request: &Request) -> Vec<(&'static str, Request)> {
    let another_body = Request { body: request.body.replace("ok", "no"), ..request.clone() };
    let another = |name: &'static str, value: &'static str| {
        let mut request = request.clone();
        request.headers.insert(name, HeaderValue::from_static(value));
        request
    };
    let mut tampered = vec![("a body of which a word was changed", another_body)];
    match way.scheme() {
        SignatureScheme::V1 | SignatureScheme::V1a => {
            tampered.push(("another event's id", another("webhook-id", "evt_another")));
            tampered.push(("no signature", another("webhook-signature", "v0,AAAA")));
        }
        SignatureScheme::Github => tampered.push(("no signature", another("x-hub-signature-256", "sha256="))),
        SignatureScheme::Stripe => tampered.push(("no signature", another("stripe-signature", "t=1,v0=00"))),
        SignatureScheme::Rfc9421 => {
            let elsewhere = Request { url: "https://receiver.example/hooks/b", ..request.clone() };
            tampered.push(("another address", elsewhere));
            tampered.push(("another method", Request { method: "PUT", ..request.clone() }));
            tampered.push(("another event's id", another("webhook-id", "evt_another")));
            tampered.push(("another type of content", another("content-type", "text/plain")));
            tampered.push(("no signature", another("signature", "sig1=:AAAA:")));
        }
    }
    tampered
}

/// The request and what its receiver knows, as the verifiers read it.
fn told(
    way: Way,
    name: &str,
    genuine: bool,
    request: &Request,
    receiver: Receiver<'_>,
) -> Result<Value, SigningError> {
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let mut told = json!({
        "scheme": way.scheme(),
        "name": name,
        "genuine": genuine,
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "body": BASE64_STANDARD.encode(&request.body),
    });
    match way {
        Way::Shared(_) => told["secret"] = json!(receiver.knows.secret_text),
        Way::Asymmetric(_) => told["publicKey"] = json!(receiver.knows.pair.public_text()),
    }
    if way.scheme() == SignatureScheme::Rfc9421 {
        let (algorithm, key_id) = match way {
            Way::Shared(_) => ("hmac-sha256", rfc9421::key_id(&receiver.by.secret)?),
            Way::Asymmetric(_) => ("ed25519", receiver.by.pair.public().key_id()),
        };
        told["algorithm"] = json!(algorithm);
        told["keyId"] = json!(key_id);
    }
    Ok(told)
}
