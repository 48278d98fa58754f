//! What the signer promises to receivers, checked from their side of the wire.
#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use clawhook_model::{EventId, SignatureScheme, SignatureSchemes, UnixMs, WebhookUrl};
use clawhook_signature::rfc9421::{self, SignedRequest, VerifyingKey};
use clawhook_signature::{
    LiveKeys, PublicKey, Retiring, SharedSecret, SignedHeaders, Signer, SignerError, SigningInput,
    SigningKeyPair, SigningKeys, SigningSecret, VerifyError,
};
use clawhook_signature::{github, stripe, v1, v1a};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;
const TOLERANCE: Duration = Duration::from_secs(300);
const URL: &str = "https://example.com/hooks/a?tenant=7";
const JSON: &str = "application/json";
const BODY: &[u8] = br#"{"action":"finished","status":"ok"}"#;

fn schemes(names: &[SignatureScheme]) -> SignatureSchemes {
    SignatureSchemes::new(names.iter().copied()).unwrap()
}

fn all() -> SignatureSchemes {
    schemes(&SignatureScheme::ALL)
}

fn new_secret() -> SharedSecret {
    SharedSecret::from(&SigningSecret::generate().unwrap())
}

fn new_pair() -> SigningKeyPair {
    SigningKeyPair::generate().unwrap()
}

/// A request as it arrives, and what its receiver knows.
struct Received {
    headers: HeaderMap,
    url: String,
    body: Vec<u8>,
}

/// Signs a request at `at_secs` and sends it to nobody.
fn signed(signer: &Signer, at_secs: i64, body: &[u8]) -> Received {
    let url: WebhookUrl = URL.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(JSON));
    let event_id = EventId::new(UnixMs::from_millis(NOW * 1000));
    let input = SigningInput { event_id, timestamp_secs: at_secs, url: &url, content_type: JSON, body };
    signer.sign(&input, &mut headers);
    Received { headers, url: URL.to_owned(), body: body.to_vec() }
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn standard(&self) -> SignedHeaders<'_> {
        SignedHeaders {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
        }
    }

    fn v1(&self, secret: &SharedSecret) -> Result<(), VerifyError> {
        v1::verify(&secret.to_signing_secret().unwrap(), &self.standard(), &self.body, NOW, TOLERANCE)
    }

    fn v1a(&self, key: &PublicKey) -> Result<(), VerifyError> {
        v1a::verify(key, &self.standard(), &self.body, NOW, TOLERANCE)
    }

    fn github(&self, secret: &SharedSecret) -> Result<(), VerifyError> {
        github::verify(secret, self.header(github::HEADER), &self.body)
    }

    fn stripe(&self, secret: &SharedSecret) -> Result<(), VerifyError> {
        stripe::verify(secret, self.header(stripe::HEADER), &self.body, NOW, TOLERANCE)
    }

    fn rfc9421(&self, key: VerifyingKey<'_>) -> Result<(), VerifyError> {
        let Self { headers, url, body } = self;
        rfc9421::verify(key, &SignedRequest { method: "POST", url, headers, body }, NOW, TOLERANCE)
    }
}

/// A destination with a key of each kind, and nothing retiring.
struct Parties {
    secret: SharedSecret,
    pair: SigningKeyPair,
}

impl Parties {
    fn new() -> Self {
        Self { secret: new_secret(), pair: new_pair() }
    }

    fn keys(&self) -> SigningKeys {
        SigningKeys {
            secret: Some(LiveKeys::only(self.secret.clone())),
            private_key: Some(LiveKeys::only(self.pair.clone())),
        }
    }

    fn secret_alone(&self) -> SigningKeys {
        SigningKeys { private_key: None, ..self.keys() }
    }

    fn signer(&self) -> Signer {
        Signer::new(&all(), &self.keys()).unwrap()
    }

    /// What each scheme's receiver says.
    fn verdicts(&self, request: &Received) -> [Result<(), VerifyError>; 5] {
        let public = self.pair.public();
        [
            request.v1(&self.secret),
            request.v1a(&public),
            request.github(&self.secret),
            request.stripe(&self.secret),
            request.rfc9421(VerifyingKey::Public(&public)),
        ]
    }
}

#[test]
fn i09_every_scheme_signs_the_exact_bytes_and_its_receiver_accepts_them() {
    let parties = Parties::new();
    for body in [BODY, b"", b"\xff\x00 not text", "{\"text\":\"grüß\"}".as_bytes()] {
        let request = signed(&parties.signer(), NOW, body);
        assert_eq!(parties.verdicts(&request), [Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]);
    }
    let hmac = Signer::new(&schemes(&[SignatureScheme::Rfc9421]), &parties.secret_alone()).unwrap();
    assert_eq!(signed(&hmac, NOW, BODY).rfc9421(VerifyingKey::Secret(&parties.secret)), Ok(()));
}

#[test]
fn i12_every_scheme_refuses_another_key() {
    let (parties, others) = (Parties::new(), Parties::new());
    let request = signed(&parties.signer(), NOW, BODY);
    for verdict in others.verdicts(&request) {
        assert_eq!(verdict, Err(VerifyError::Mismatch));
    }
    let hmac = Signer::new(&schemes(&[SignatureScheme::Rfc9421]), &parties.secret_alone()).unwrap();
    let request = signed(&hmac, NOW, BODY);
    assert_eq!(request.rfc9421(VerifyingKey::Secret(&others.secret)), Err(VerifyError::Mismatch));
    let no_signature = VerifyError::NoSignature { header: "signature-input", scheme: "ed25519" };
    assert_eq!(request.rfc9421(VerifyingKey::Public(&parties.pair.public())), Err(no_signature));
}

#[test]
fn every_scheme_that_covers_a_time_refuses_an_old_and_a_future_request() {
    let parties = Parties::new();
    let too_old = VerifyError::TooOld { age_secs: 301, tolerance_secs: 300 };
    let too_new = VerifyError::TooNew { ahead_secs: 301, tolerance_secs: 300 };
    for (at, error) in [(NOW - 301, too_old), (NOW + 301, too_new)] {
        let [v1, v1a, github, stripe, rfc9421] = parties.verdicts(&signed(&parties.signer(), at, BODY));
        assert_eq!([v1, v1a, stripe, rfc9421], [(); 4].map(|()| Err(error.clone())));
        assert_eq!(github, Ok(()), "it covers no time");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_body_of_which_one_bit_is_changed_is_refused_by_every_scheme(
        body in proptest::collection::vec(any::<u8>(), 1..2_000),
        place in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let parties = Parties::new();
        let mut request = signed(&parties.signer(), NOW, &body);
        prop_assert!(parties.verdicts(&request).iter().all(Result::is_ok));
        let place = place.index(body.len());
        request.body[place] ^= 1 << bit;
        prop_assert!(parties.verdicts(&request).iter().all(Result::is_err));
    }

    #[test]
    fn whatever_stands_in_the_headers_a_receiver_refuses_it_without_breaking(
        name in prop::sample::select(vec![
            "webhook-signature", "webhook-timestamp", "x-hub-signature-256", "stripe-signature",
            "content-digest", "signature-input", "signature",
        ]),
        value in "[ -~]{0,80}|sig1=\\(\"@method\" \"@target-uri\"\\);created=[0-9]{0,12}|sig1=:[A-Za-z0-9]{0,20}:|v1a?,[A-Za-z+/=]{0,90}",
    ) {
        let parties = Parties::new();
        let mut request = signed(&parties.signer(), NOW, BODY);
        request.headers.insert(name, value.parse().unwrap());
        prop_assert!(parties.verdicts(&request).iter().any(Result::is_err));
    }
}

#[test]
fn rfc_9421_covers_the_method_the_address_and_the_fields_that_are_part_of_the_event() {
    let parties = Parties::new();
    let public = parties.pair.public();
    let url: WebhookUrl = URL.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(JSON));
    headers.insert("ce-type", HeaderValue::from_static("ai.openclaw.cron.finished"));
    let event_id = EventId::new(UnixMs::from_millis(NOW * 1000));
    let input = SigningInput { event_id, timestamp_secs: NOW, url: &url, content_type: JSON, body: BODY };
    parties.signer().sign(&input, &mut headers);
    let check = |method: &str, url: &str, headers: &HeaderMap| {
        let request = SignedRequest { method, url, headers, body: BODY };
        rfc9421::verify(VerifyingKey::Public(&public), &request, NOW, TOLERANCE)
    };

    assert_eq!(check("POST", URL, &headers), Ok(()));
    assert_eq!(check("PUT", URL, &headers), Err(VerifyError::Mismatch));
    assert_eq!(check("POST", "https://example.com/hooks/b?tenant=7", &headers), Err(VerifyError::Mismatch));
    assert_eq!(check("POST", "https://example.com/hooks/a?tenant=8", &headers), Err(VerifyError::Mismatch));
    for name in ["content-type", "webhook-id", "ce-type"] {
        let mut changed = headers.clone();
        changed.insert(name, HeaderValue::from_static("another"));
        assert_eq!(check("POST", URL, &changed), Err(VerifyError::Mismatch), "{name}");
        changed.remove(name);
        assert!(check("POST", URL, &changed).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn an_rfc_9421_signature_that_covers_too_little_is_refused_however_genuine() {
    let parties = Parties::new();
    let mut request = signed(&parties.signer(), NOW, BODY);
    let full = request.header("signature-input").to_owned();
    let public = parties.pair.public();
    for (part, error) in [
        ("\"@method\" ", VerifyError::NotCovered("@method")),
        ("\"@target-uri\" ", VerifyError::NotCovered("@target-uri")),
        ("\"content-digest\" ", VerifyError::NotCovered("content-digest")),
        ("\"content-type\" ", VerifyError::Mismatch),
    ] {
        request.headers.insert("signature-input", full.replace(part, "").parse().unwrap());
        assert_eq!(request.rfc9421(VerifyingKey::Public(&public)), Err(error));
    }
    for (part, with) in [
        ("\"@method\" ", "\"@method\" \"@method\" "),
        ("\"@method\" ", "\"@method\";req "),
        ("\"@method\" ", "\"@method\" \"@authority\" "),
        (";created=1700000000", ""),
        (";created=1700000000", ";created=1700000000;expires=1699999999"),
    ] {
        request.headers.insert("signature-input", full.replacen(part, with, 1).parse().unwrap());
        assert!(request.rfc9421(VerifyingKey::Public(&public)).is_err(), "{with}");
    }
}

/// A destination whose keys are both being replaced, until a minute from now.
fn rotating(old: &Parties, new: &Parties) -> SigningKeys {
    let until = UnixMs::from_millis((NOW + 60) * 1000);
    SigningKeys {
        secret: Some(LiveKeys {
            current: new.secret.clone(),
            retiring: Some(Retiring { key: old.secret.clone(), until }),
        }),
        private_key: Some(LiveKeys {
            current: new.pair.clone(),
            retiring: Some(Retiring { key: old.pair.clone(), until }),
        }),
    }
}

#[test]
fn while_a_key_is_replaced_receivers_with_either_one_accept_and_later_only_those_with_the_new_one() {
    let (old, new) = (Parties::new(), Parties::new());
    let signer = Signer::new(&all(), &rotating(&old, &new)).unwrap();

    let during = signed(&signer, NOW + 59, BODY);
    assert_eq!(new.verdicts(&during), [Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]);
    let [v1, v1a, github, stripe, rfc9421] = old.verdicts(&during);
    assert_eq!([v1, v1a, stripe, rfc9421], [Ok(()), Ok(()), Ok(()), Ok(())]);
    assert_eq!(github, Err(VerifyError::Mismatch), "its header has room for one signature");

    let after = signed(&signer, NOW + 60, BODY);
    assert_eq!(new.verdicts(&after), [Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]);
    assert!(old.verdicts(&after).iter().all(|verdict| *verdict == Err(VerifyError::Mismatch)));
}

#[test]
fn each_signature_of_a_rotation_names_its_key_and_its_part() {
    let (old, new) = (Parties::new(), Parties::new());
    let signer = Signer::new(&all(), &rotating(&old, &new)).unwrap();
    let request = signed(&signer, NOW, BODY);

    let versions: Vec<&str> =
        request.header("webhook-signature").split(' ').map(|item| item.split_once(',').unwrap().0).collect();
    assert_eq!(versions, ["v1", "v1", "v1a", "v1a"]);
    assert_eq!(request.header("stripe-signature").matches(",v1=").count(), 2);
    let input = request.header("signature-input");
    let (first, second) = input.split_once(", sig2=").unwrap();
    for (input, pair, tag) in [(first, &new.pair, "clawhook"), (second, &old.pair, "clawhook-retiring")] {
        assert!(input.contains(&format!("keyid=\"{}\"", pair.public().key_id())), "{input}");
        assert!(input.ends_with(&format!(";alg=\"ed25519\";tag=\"{tag}\"")), "{input}");
    }
}

#[test]
fn only_the_chosen_schemes_leave_headers_beside_the_id_and_the_time() {
    let keys = Parties::new().keys();
    let always = ["content-type", "webhook-id", "webhook-timestamp"];
    for (scheme, own) in [
        (SignatureScheme::V1, &["webhook-signature"][..]),
        (SignatureScheme::V1a, &["webhook-signature"]),
        (SignatureScheme::Github, &["x-hub-signature-256"]),
        (SignatureScheme::Stripe, &["stripe-signature"]),
        (SignatureScheme::Rfc9421, &["content-digest", "signature", "signature-input"]),
    ] {
        let request = signed(&Signer::new(&schemes(&[scheme]), &keys).unwrap(), NOW, BODY);
        let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let mut expected = [&always, own].concat();
        expected.sort_unstable();
        assert_eq!(names, expected, "{scheme}");
    }
}

#[test]
fn a_body_is_signed_as_github_publishes_it() {
    let secret = SharedSecret::parse("It's a Secret to Everybody").unwrap();
    let keys = SigningKeys { secret: Some(LiveKeys::only(secret)), private_key: None };
    let signer = Signer::new(&schemes(&[SignatureScheme::Github]), &keys).unwrap();
    assert_eq!(
        signed(&signer, NOW, b"Hello, World!").header("x-hub-signature-256"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

#[test]
fn a_scheme_without_the_key_it_needs_is_refused_with_what_to_give_it() {
    let plain = SharedSecret::parse("a plain text of many letters").unwrap();
    let with_plain = SigningKeys { secret: Some(LiveKeys::only(plain)), private_key: None };
    let none = SigningKeys::default();
    for (scheme, keys, said) in [
        (SignatureScheme::V1, &none, "`signing.secret`"),
        (SignatureScheme::V1, &with_plain, "begins with `whsec_`"),
        (SignatureScheme::V1a, &with_plain, "`signing.privateKey`"),
        (SignatureScheme::Github, &none, "`signing.secret`"),
        (SignatureScheme::Stripe, &none, "`signing.secret`"),
        (SignatureScheme::Rfc9421, &none, "`signing.privateKey` (ed25519) or `signing.secret`"),
    ] {
        let error: SignerError = Signer::new(&schemes(&[scheme]), keys).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(said) && text.contains(scheme.as_str()), "{text}");
        assert!(!text.contains("many letters"), "{text}");
    }
    for scheme in [SignatureScheme::Github, SignatureScheme::Stripe, SignatureScheme::Rfc9421] {
        assert!(Signer::new(&schemes(&[scheme]), &with_plain).is_ok(), "{scheme}");
    }
}

/// `cargo nextest run -p clawhook-delivery --run-ignored only --no-capture what_a_signature_costs`
#[test]
#[ignore = "it measures and prints, and proves nothing"]
fn what_a_signature_costs() {
    use SignatureScheme::{Github, Rfc9421, Stripe, V1, V1a};
    const ROUNDS: u32 = 5_000;
    let parties = Parties::new();
    let url: WebhookUrl = URL.parse().unwrap();
    let event_id = EventId::new(UnixMs::from_millis(NOW * 1000));
    let body = vec![b'x'; 1_024];
    let choices: [(&str, &[SignatureScheme], SigningKeys); 8] = [
        ("v1", &[V1], parties.keys()),
        ("v1a", &[V1a], parties.keys()),
        ("v1 and v1a", &[V1, V1a], parties.keys()),
        ("github", &[Github], parties.keys()),
        ("stripe", &[Stripe], parties.keys()),
        ("rfc9421, hmac-sha256", &[Rfc9421], parties.secret_alone()),
        ("rfc9421, ed25519", &[Rfc9421], parties.keys()),
        ("all", &SignatureScheme::ALL, parties.keys()),
    ];
    for (name, chosen, keys) in choices {
        let signer = Signer::new(&schemes(chosen), &keys).unwrap();
        let began = Instant::now();
        for round in 0..ROUNDS {
            let timestamp_secs = NOW + i64::from(round);
            let input = SigningInput { event_id, timestamp_secs, url: &url, content_type: JSON, body: &body };
            let mut headers = HeaderMap::with_capacity(8);
            signer.sign(&input, &mut headers);
            black_box(headers);
        }
        println!(
            "{name:<22} {:>8} ns for a body of {} bytes",
            began.elapsed().as_nanos() / u128::from(ROUNDS),
            body.len()
        );
    }
}
