//! Certificates that prove nothing.

use std::sync::Arc;

use bytes::Bytes;
use clawhook_delivery::{TlsRoots, TransportOptions};
use clawhook_model::{AttemptClass, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::case::{patient, post, transport};
use crate::receiver::Receiver;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a receiver shows, and the key to it.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn signed(params: &CertificateParams, authority: &Authority) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap().der().clone();
    Identity { certificate, key }
}

fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Identity { certificate, key }
}

/// A receiver that takes every request it is given, and shows `identity`.
async fn https_receiver(
    identity: Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Receiver {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |conversation| {
        let acceptor = acceptor.clone();
        async move {
            let (stream, conversation) = conversation.split();
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut conversation = conversation.over(stream);
            while conversation.hear().await {
                conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await
}

fn believing(authority: &Authority) -> TransportOptions {
    TransportOptions { tls_roots: TlsRoots::Only(vec![authority.der().clone()]), ..patient() }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_gets_no_request() {
    let (believed, unknown) = (authority(), authority());
    let mut expired = params("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let mut not_yet_valid = params("localhost");
    (not_yet_valid.not_before, not_yet_valid.not_after) =
        (date_time_ymd(4000, 1, 1), date_time_ymd(4001, 1, 1));
    let mut own_authority = params("localhost");
    own_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (shows, identity, says) in [
        ("an expired one", signed(&expired, &believed), "expired"),
        ("one of the future", signed(&not_yet_valid, &believed), "not valid yet"),
        ("one for another name", signed(&params("hooks.example.com"), &believed), "not valid for"),
        ("one for a name above", signed(&params("*.localhost"), &believed), "not valid for"),
        ("one that it signed itself", self_signed(&params("localhost")), "UnknownIssuer"),
        ("an authority of its own", self_signed(&own_authority), "invalid peer certificate"),
        ("one of an unknown authority", signed(&params("localhost"), &unknown), "invalid peer certificate"),
    ] {
        let mut receiver = https_receiver(identity, rustls::ALL_VERSIONS).await;
        let transport = transport(believing(&believed), &["localhost"]);
        let report = post(&transport, &receiver.url_on("https", "localhost"), Bytes::new()).await;
        assert_eq!(
            (report.class, report.status),
            (AttemptClass::TlsFailed, None),
            "{shows}: {:?}",
            report.error
        );
        let error = report.error.unwrap();
        assert!(error.contains(says), "{shows}: {error}");
        assert_eq!(report.peer, Some(receiver.address), "{shows}");
        assert!(report.request_headers.is_empty(), "{shows}");
        receiver.all_hung_up().await;
        assert_eq!(receiver.unseen(), 0, "{shows}");
    }
}

#[tokio::test]
async fn the_record_says_by_which_tls_an_event_went() {
    let believed = authority();
    for (version, expected) in
        [(&rustls::version::TLS12, TlsVersion::V1_2), (&rustls::version::TLS13, TlsVersion::V1_3)]
    {
        let receiver = https_receiver(signed(&params("localhost"), &believed), &[version]).await;
        let transport = transport(believing(&believed), &["localhost"]);
        for reused in [false, true] {
            let report = post(&transport, &receiver.url_on("https", "localhost"), Bytes::new()).await;
            assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
            assert_eq!((report.tls_version, report.connection_reused), (Some(expected), reused));
            assert_eq!(report.peer, Some(receiver.address));
        }
    }
}
