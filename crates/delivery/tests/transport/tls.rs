//! Certificates: whose are believed.

use std::sync::Arc;

use clawhook_delivery::{TlsRoots, TransportOptions};
use clawhook_model::AttemptClass;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsAcceptor;

use crate::receiver::Receiver;
use crate::{post, transport};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A certificate authority and its certificate.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A receiver whose certificate is for `name`.
pub(crate) async fn https_receiver(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Receiver {
    https_receiver_that_asks(authority, name, WebPkiClientVerifier::no_client_auth()).await
}

/// A receiver that asks its clients for certificates as `verifier` says.
pub(crate) async fn https_receiver_that_asks(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Receiver {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |conversation| {
        let acceptor = acceptor.clone();
        async move {
            let (stream, conversation) = conversation.split();
            let stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                // Closing with something unread would drown the alert.
                Err((_, stream)) => return conversation.over(stream).stall().await,
            };
            let mut conversation = conversation.over(stream);
            while conversation.hear().await {
                conversation.say(OK).await;
            }
        }
    })
    .await
}

pub(crate) fn believing(roots: Vec<CertificateDer<'static>>) -> TransportOptions {
    TransportOptions { tls_roots: TlsRoots::Only(roots), ..TransportOptions::default() }
}

#[tokio::test]
async fn a_certificate_from_a_believed_authority_is_accepted() {
    let authority = authority();
    let receiver = https_receiver(&authority, "localhost").await;
    let transport = transport(believing(vec![authority.der().clone()]), &["localhost"]);
    for reused in [false, true] {
        let report = post(&transport, &receiver.url_on("https", "localhost")).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
        assert_eq!(report.connection_reused, reused);
        assert_eq!(report.timings.tls_us.is_some(), !reused);
    }
}

#[tokio::test]
async fn a_certificate_from_an_unknown_authority_is_refused() {
    let receiver = https_receiver(&authority(), "localhost").await;
    for options in [believing(vec![authority().der().clone()]), TransportOptions::default()] {
        let report = post(&transport(options, &["localhost"]), &receiver.url_on("https", "localhost")).await;
        assert_eq!(report.class, AttemptClass::TlsFailed, "{:?}", report.error);
        assert!(report.error.unwrap().starts_with("the TLS handshake with `localhost` failed: "));
    }
}

#[tokio::test]
async fn without_any_authority_an_https_call_says_what_is_missing() {
    let receiver = https_receiver(&authority(), "localhost").await;
    let transport = transport(believing(Vec::new()), &["localhost"]);
    let report = post(&transport, &receiver.url_on("https", "localhost")).await;
    assert_eq!(report.class, AttemptClass::TlsFailed);
    assert!(report.error.unwrap().contains("no certificate authority is known"));
}
