//! Profiles: a destination's own authorities, certificate, reach and time.

use std::sync::Arc;
use std::time::Duration;

use clawhook_delivery::{
    ClientIdentity, ConnectionProfile, ProfileError, ProfileOptions, TlsRoots, Transport, TransportOptions,
};
use clawhook_model::AttemptClass;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::receiver::Receiver;
use crate::tls::{OK, authority, believing, https_receiver, https_receiver_that_asks};
use crate::{post, post_as, transport};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn asking_for_certificates_of(authority: &Authority, demanding: bool) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if demanding { builder.build().unwrap() } else { builder.allow_unauthenticated().build().unwrap() }
}

fn identity(authority: &Authority) -> ClientIdentity {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["clawhook".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    ClientIdentity { certificate: certificate.pem(), key: key.serialize_pem().into() }
}

async fn presenting(transport: &Transport, client: ClientIdentity) -> ConnectionProfile {
    let options = ProfileOptions { client: Some(client), ..ProfileOptions::default() };
    transport.profile(options).await.unwrap()
}

#[tokio::test]
async fn a_receiver_that_demands_a_certificate_is_reached_with_the_right_one_alone() {
    let (ours, theirs) = (authority(), authority());
    let verifier = asking_for_certificates_of(&ours, true);
    let mut receiver = https_receiver_that_asks(&theirs, "localhost", verifier).await;
    let url = receiver.url_on("https", "localhost");
    let transport = transport(believing(vec![theirs.der().clone()]), &["localhost"]);

    for profile in [ConnectionProfile::default(), presenting(&transport, identity(&authority())).await] {
        let report = post_as(&transport, &url, &profile).await;
        assert_eq!(report.class, AttemptClass::TlsFailed, "{:?}", report.error);
        assert!(report.error.unwrap().contains("alert"));
    }
    assert_eq!(receiver.unseen(), 0);
    let report = post_as(&transport, &url, &presenting(&transport, identity(&ours)).await).await;
    assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
}

#[tokio::test]
async fn an_extra_authority_is_believed_by_the_profile_that_names_it_and_beside_the_others() {
    let (known, extra) = (authority(), authority());
    let receivers = [https_receiver(&known, "localhost").await, https_receiver(&extra, "localhost").await];
    let transport = transport(believing(vec![known.der().clone()]), &["localhost"]);
    let options = ProfileOptions { extra_roots: Some(extra.pem()), ..ProfileOptions::default() };
    let profile = transport.profile(options).await.unwrap();
    for receiver in &receivers {
        let report = post_as(&transport, &receiver.url_on("https", "localhost"), &profile).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
    }
    let report = post(&transport, &receivers[1].url_on("https", "localhost")).await;
    assert_eq!(report.class, AttemptClass::TlsFailed, "{:?}", report.error);
}

#[tokio::test]
async fn an_extra_authority_suffices_where_the_system_has_none() {
    let authority = authority();
    let receiver = https_receiver(&authority, "localhost").await;
    let transport = transport(believing(Vec::new()), &["localhost"]);
    let options = ProfileOptions { extra_roots: Some(authority.pem()), ..ProfileOptions::default() };
    let profile = transport.profile(options).await.unwrap();
    let report = post_as(&transport, &receiver.url_on("https", "localhost"), &profile).await;
    assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
}

#[tokio::test]
async fn i12_a_connection_made_with_one_profiles_credentials_serves_no_other() {
    let (ours, theirs) = (authority(), authority());
    let verifier = asking_for_certificates_of(&ours, false);
    let mut receiver = https_receiver_that_asks(&theirs, "localhost", verifier).await;
    let url = receiver.url_on("https", "localhost");
    let transport = transport(believing(vec![theirs.der().clone()]), &["localhost"]);
    let one = presenting(&transport, identity(&ours)).await;
    let other = presenting(&transport, identity(&ours)).await;
    assert!(one == one.clone() && one != other && one != ConnectionProfile::default());

    let mut connections = Vec::new();
    for profile in [&one, &ConnectionProfile::default(), &other, &one.clone(), &ConnectionProfile::default()]
    {
        assert_eq!(post_as(&transport, &url, profile).await.class, AttemptClass::Delivered);
        connections.push(receiver.received().await.connection);
    }
    assert_eq!(connections, [0, 1, 2, 0, 1]);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_when_the_profile_is_made_and_never_shown() {
    let (authority, transport) = (authority(), transport(TransportOptions::default(), &[]));
    let good = identity(&authority);
    let bad_pem = "-----BEGIN CERTIFICATE-----\ns3cret\n-----END CERTIFICATE-----\n";
    let with = |certificate: &str, key: &str| ProfileOptions {
        client: Some(ClientIdentity { certificate: certificate.to_owned(), key: key.into() }),
        ..ProfileOptions::default()
    };
    let roots = |pem: &str| ProfileOptions { extra_roots: Some(pem.to_owned()), ..ProfileOptions::default() };
    let stranger = KeyPair::generate().unwrap().serialize_pem();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nczNjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (options, told) in [
        (roots("none"), "`network.ca` cannot be used: it holds no certificate in PEM"),
        (roots(bad_pem), "`network.ca` cannot be used"),
        (roots(&format!("{}{bad_pem}", authority.pem())), "`network.ca` cannot be used"),
        (with("none", &stranger), "`network.clientCertificate` cannot be used"),
        (with(&good.certificate, &stranger), "is not the key of `network.clientCertificate`"),
        (with(&good.certificate, "s3cret"), "`network.clientKey` is no private key"),
        (with(&good.certificate, "-----BEGIN s3cret"), "`network.clientKey` is no private key"),
        (with(&good.certificate, encrypted), "`network.clientKey` is no private key"),
    ] {
        let error = transport.profile(options).await.unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    let options = TransportOptions { tls_roots: TlsRoots::Only(Vec::new()), ..TransportOptions::default() };
    let transport = crate::transport(options, &[]);
    let options = ProfileOptions { client: Some(good), ..ProfileOptions::default() };
    assert!(matches!(transport.profile(options).await, Err(ProfileError::NoRoots(_))));
}

#[tokio::test]
async fn i11_only_a_profile_that_may_be_private_reaches_loopback_and_no_profile_the_metadata_service() {
    let mut receiver = Receiver::answering(OK).await;
    let transport = transport(TransportOptions::default(), &[]);
    let options = ProfileOptions { allow_private: true, ..ProfileOptions::default() };
    let private = transport.profile(options).await.unwrap();
    assert_eq!(post(&transport, &receiver.url()).await.class, AttemptClass::Blocked);
    assert_eq!(receiver.unseen(), 0);
    for url in [receiver.url(), receiver.url_on("http", "localhost")] {
        let report = post_as(&transport, &url, &private).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
        // What the one profile may do opens no door for the others.
        assert_eq!(post(&transport, &url).await.class, AttemptClass::Blocked);
    }
    for url in ["http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/"] {
        let report = post_as(&transport, &url.parse().unwrap(), &private).await;
        assert_eq!(report.class, AttemptClass::Blocked, "{:?}", report.error);
    }
}

#[tokio::test]
async fn a_profiles_own_time_is_kept() {
    let receiver = Receiver::start(|mut conversation| async move { conversation.stall().await }).await;
    let transport = transport(TransportOptions::default(), &["127.0.0.1"]);
    let total_timeout = Some(Duration::from_millis(200));
    let profile =
        transport.profile(ProfileOptions { total_timeout, ..ProfileOptions::default() }).await.unwrap();
    let report = post_as(&transport, &receiver.url(), &profile).await;
    assert_eq!(report.class, AttemptClass::AnswerTimeout);
    assert_eq!(report.error.as_deref(), Some("no complete answer came within 200 ms"));
    assert_eq!(transport.timeout_for(&profile), Duration::from_millis(200));
    assert_eq!(transport.timeout_for(&ConnectionProfile::default()), transport.total_timeout());
}
