//! Signed requests: each scheme as its service publishes it.

use std::sync::Arc;
use std::time::Duration;

use clawhook_inbound::{HookDefinition, HookSet, Reading, Refusal, Scheme, SignatureCheck, Unproven};
use clawhook_model::UnixMs;
use clawhook_signature::generic::{HmacAlgorithm, HmacEncoding, HmacScheme, SignedMessage};
use clawhook_signature::{SigningKeyPair, SigningSecret, v1, v1a};
use http::HeaderName;
use serde_json::json;

use crate::world::{NOW, Post, TOKEN, is_unsigned, mapping, signed, with_hooks};

const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn hook(id: &str, scheme: Scheme, keys: &[&str]) -> HookDefinition {
    HookDefinition { signature: signed(scheme, keys), ..mapping(id, "It came.") }
}

fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn githubs_published_example_is_genuine_and_is_then_no_json() {
    let set = with_hooks(vec![hook("gh", Scheme::Github, &[GITHUB_SECRET])]);
    let post = Post::bare("/hooks/gh", "Hello, World!").with("x-hub-signature-256", GITHUB_SIGNATURE);
    let refusal = post.refused(&set);
    assert!(matches!(refusal, Refusal::Json(_)), "it is let in, and read: {refusal:?}");
    let other = Post::bare("/hooks/gh", "Hello, World?").with("x-hub-signature-256", GITHUB_SIGNATURE);
    assert!(is_unsigned(&other.refused(&set)), "it is not even looked into");
}

#[test]
fn what_github_delivers_is_the_same_by_its_id_whatever_comes_with_it() {
    let set = with_hooks(vec![hook("gh", Scheme::Github, &[GITHUB_SECRET])]);
    let deliver = |id: &str, body: &str| {
        Post::bare("/hooks/gh", body)
            .with("x-hub-signature-256", &format!("sha256={}", hmac_hex(GITHUB_SECRET, &[body.as_bytes()])))
            .with("x-github-delivery", id)
            .asked(&set)
            .identity
            .unwrap()
    };
    assert_eq!(deliver("72d3162e", "{}"), deliver("72d3162e", r#"{"a":1}"#));
    assert_ne!(deliver("72d3162e", "{}"), deliver("72d3162f", "{}"));
}

#[test]
fn slacks_published_example_is_genuine() {
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let set = with_hooks(vec![hook("slack", Scheme::Slack, &["8f742231b10e8888abcd99yyyzzz85a5"])]);
    let mut post = Post::bare("/hooks/slack", BODY)
        .with("x-slack-request-timestamp", "1531420618")
        .with("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
    post.at = UnixMs::from_millis(1_531_420_618_000);
    assert!(matches!(post.refused(&set), Refusal::Json(_)), "it is let in; a form is no JSON");
    post.at = post.at.plus(Duration::from_secs(301));
    assert!(is_unsigned(&post.refused(&set)));
}

#[test]
fn slacks_question_whether_anybody_is_here_is_answered_when_it_is_signed() {
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let set = with_hooks(vec![hook("slack", Scheme::Slack, &[secret])]);
    let body =
        r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let timestamp = NOW.as_secs().to_string();
    let signature =
        format!("v0={}", hmac_hex(secret, &[b"v0:", timestamp.as_bytes(), b":", body.as_bytes()]));
    let post = Post::bare("/hooks/slack", body).with("x-slack-request-timestamp", &timestamp);
    let challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P".to_owned();
    assert_eq!(
        post.clone().with("x-slack-signature", &signature).to(&set).unwrap(),
        Reading::Challenge(challenge)
    );
    assert!(is_unsigned(&post.with("x-slack-signature", "v0=00").refused(&set)));
}

#[test]
fn stripes_events_are_genuine_for_five_minutes_and_known_by_their_id() {
    let secret = "whsec_stripes own secret";
    let set = with_hooks(vec![hook("pay", Scheme::Stripe, &["an older secret of Stripe's", secret])]);
    let event = |id: &str, at: i64| {
        let body = json!({ "id": id, "type": "invoice.paid" }).to_string();
        let time = NOW.as_secs().to_string();
        let signature = hmac_hex(secret, &[time.as_bytes(), b".", body.as_bytes()]);
        let mut post = Post::bare("/hooks/pay", body)
            .with("stripe-signature", &format!("t={time},v1=00,v1={signature},v0=1"));
        post.at = NOW.plus(Duration::from_secs(at.unsigned_abs()));
        post
    };
    let first = event("evt_1", 0).asked(&set).identity;
    assert_eq!(first, event("evt_1", 300).asked(&set).identity);
    assert_ne!(first, event("evt_2", 0).asked(&set).identity);
    assert!(is_unsigned(&event("evt_1", 301).refused(&set)));
}

#[test]
fn gitlabs_token_is_compared_whole() {
    let set =
        with_hooks(vec![hook("gl", Scheme::Gitlab, &["the old token of GitLab", "the new token of GitLab"])]);
    let deliver = |token: &str| Post::bare("/hooks/gl", "{}").with("x-gitlab-token", token);
    for token in ["the old token of GitLab", "the new token of GitLab"] {
        let uuid = deliver(token).with("x-gitlab-event-uuid", "e1").asked(&set).identity;
        assert!(uuid.is_some());
        let retried = deliver(token).with("x-gitlab-event-uuid", "e1").with("idempotency-key", "i1");
        assert_ne!(uuid, retried.asked(&set).identity, "the key of its tries says more");
    }
    for wrong in ["", "the old token of GitLa", "the old token of GitLab!"] {
        assert!(is_unsigned(&deliver(wrong).refused(&set)), "{wrong}");
    }
    assert!(is_unsigned(&Post::bare("/hooks/gl", "{}").refused(&set)));
    let twice = deliver("the old token of GitLab").with("x-gitlab-token", "the new token of GitLab");
    assert!(is_unsigned(&twice.refused(&set)), "a header that came twice proves nothing");
}

#[test]
fn standard_webhooks_are_signed_by_a_secret_or_by_a_private_key() {
    let pair = SigningKeyPair::generate().unwrap();
    let public = pair.public().to_string();
    let set = with_hooks(vec![hook("std", Scheme::Standard, &[WHSEC, &public])]);
    let now = NOW.as_secs();
    let body = b"{\"a\":1}";
    let post = |signature: &str, timestamp: i64| {
        Post::bare("/hooks/std", &body[..])
            .with("webhook-id", "msg_1")
            .with("webhook-timestamp", &timestamp.to_string())
            .with("webhook-signature", signature)
    };
    let secret = SigningSecret::parse(WHSEC).unwrap();
    let by_secret = v1::sign(&secret, "msg_1", now, body);
    let by_key = v1a::sign(&pair, "msg_1", now, body);
    let identity = post(&by_secret, now).asked(&set).identity;
    assert!(identity.is_some());
    assert_eq!(identity, post(&by_key, now).asked(&set).identity);
    assert_eq!(identity, post(&format!("v1,AAAA {by_key}"), now).asked(&set).identity);
    let old = v1::sign(&secret, "msg_1", now - 301, body);
    assert!(is_unsigned(&post(&old, now - 301).refused(&set)));
    for wrong in ["", "v1,AAAA", "v1a,AAAA", &by_secret.replace("v1,", "v1a,")] {
        let refusal = post(wrong, now).refused(&set);
        assert!(is_unsigned(&refusal), "{wrong}");
        assert_eq!(refusal.to_string(), "Unauthorized", "the caller is not told why");
    }
}

#[test]
fn an_hmac_of_any_service_is_described_by_its_header() {
    let scheme = HmacScheme {
        header: HeaderName::from_static("linear-signature"),
        algorithm: HmacAlgorithm::Sha256,
        encoding: HmacEncoding::Hex,
        prefix: String::new(),
        timestamp: None,
        message: SignedMessage::body(),
    };
    let secret = "the secret of a service";
    let set = with_hooks(vec![hook("any", Scheme::Hmac(Box::new(scheme)), &[secret])]);
    let body = br#"{"action":"create"}"#;
    let post = Post::bare("/hooks/any", &body[..]).with("linear-signature", &hmac_hex(secret, &[body]));
    assert_eq!(post.asked(&set).identity, None, "it has no id of its own");
    assert!(post.with("idempotency-key", "k").asked(&set).identity.is_some());
}

#[test]
fn a_token_is_no_signature_and_a_signature_no_token() {
    let set = with_hooks(vec![hook("gh", Scheme::Github, &[GITHUB_SECRET]), mapping("open", "x")]);
    let with_token = Post::bare("/hooks/gh", "{}").with("x-openclaw-token", TOKEN);
    assert!(is_unsigned(&with_token.refused(&set)));
    let signature = format!("sha256={}", hmac_hex(GITHUB_SECRET, &[b"{}"]));
    let elsewhere = Post::bare("/hooks/open", "{}").with("x-hub-signature-256", &signature);
    assert_eq!(elsewhere.refused(&set), Refusal::Unauthorized(Unproven::Token));
    Post::bare("/hooks/gh", "{}").with("x-hub-signature-256", &signature).asked(&set);
}

#[test]
fn two_hooks_at_one_path_each_want_their_own_signature() {
    let mut first = hook("a", Scheme::Github, &["the first secret of GitHub"]);
    first.matching.path = Some("gh".to_owned());
    first.matching.source = Some("a".to_owned());
    let mut second = hook("b", Scheme::Github, &["the second secret of GitHub"]);
    second.matching.path = Some("gh".to_owned());
    let set = with_hooks(vec![first, second]);
    let send = |body: &str, secret: &str| {
        let signature = format!("sha256={}", hmac_hex(secret, &[body.as_bytes()]));
        Post::bare("/hooks/gh", body).with("x-hub-signature-256", &signature).to(&set)
    };
    assert!(send(r#"{"source":"a"}"#, "the first secret of GitHub").is_ok());
    assert!(send(r#"{"source":"b"}"#, "the second secret of GitHub").is_ok());
    let foreign = send(r#"{"source":"a"}"#, "the second secret of GitHub").unwrap_err();
    assert!(is_unsigned(&foreign), "the secret of one hook opens no other: {foreign:?}");
}

#[test]
fn a_signature_without_a_path_or_without_a_secret_is_refused_when_the_set_is_made() {
    let mut anywhere = hook("gh", Scheme::Github, &[GITHUB_SECRET]);
    anywhere.matching.path = None;
    let definition =
        clawhook_inbound::HooksDefinition { hooks: vec![anywhere], ..crate::world::definition() };
    let problems = HookSet::new(definition).unwrap_err();
    assert!(problems[0].message.contains("takes every path"), "{problems:?}");

    let check = |keys: &[&str]| SignatureCheck::new(Scheme::Github, keys.iter().copied(), Duration::ZERO);
    assert!(check(&[]).unwrap_err().to_string().contains("take every request for a genuine one"));
    let short = check(&["too short"]).unwrap_err().to_string();
    assert!(short.contains("9 characters") && !short.contains("too short"), "{short}");
    let standard = SignatureCheck::new(Scheme::Standard, ["not a standard secret"], Duration::ZERO);
    assert!(standard.is_err());
    let shown = format!("{:?}", Arc::new(check(&[GITHUB_SECRET]).unwrap()));
    assert!(!shown.contains("Everybody"), "{shown}");
}
