//! Starting and stopping.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use clawhook_clock::SystemClock;
use clawhook_gateway::{Gateway, GatewayOptions, StartError};
use serde_json::Value;

use crate::harness::{TestGateway, config, echo, start_in};

fn refused(started: Result<Gateway, StartError>) -> String {
    match started {
        Ok(_) => panic!("the gateway started"),
        Err(error) => format!("{error}: {}", error.hint()),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn i02_a_second_gateway_on_one_state_directory_is_refused_and_told_who_holds_it() {
    let first = TestGateway::with_model().await;
    let second = refused(start_in(first.state_dir.path(), "{}").await);
    assert!(second.contains("in use by another gateway"), "{second}");
    assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
    // It took nothing from the first one.
    first.get("/api/v1/status").await.ok(200);
    assert!(first.state_dir.path().join("gateway.json").exists());

    let state_dir = first.stop().await;
    let next = start_in(state_dir.path(), "{}").await.unwrap();
    TestGateway::run(next, state_dir).stop().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_a_token_of_the_operators_choice() {
    let state_dir = tempfile::tempdir().unwrap();
    let start = |text: &str| {
        let options = GatewayOptions {
            config: config(text),
            state_dir: state_dir.path().to_owned(),
            bind: Some(Ipv4Addr::UNSPECIFIED.into()),
            port: Some(0),
        };
        Gateway::start(options, Arc::new(SystemClock))
    };
    let error = refused(start("{}").await);
    assert!(error.contains("0.0.0.0") && error.contains("gateway.auth.token"), "{error}");

    let gateway = start(r#"{ gateway: { auth: { token: "chosen-by-the-operator" } } }"#).await.unwrap();
    assert!(gateway.url().starts_with("http://127.0.0.1:"), "{}", gateway.url());
    assert!(!state_dir.path().join("gateway-token").exists());
    drop(gateway);
    assert!(!state_dir.path().join("gateway.json").exists());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let state_dir = tempfile::tempdir().unwrap();
    let options = GatewayOptions {
        config: config("{}"),
        state_dir: state_dir.path().to_owned(),
        bind: None,
        port: Some(port),
    };
    let error = refused(Gateway::start(options, Arc::new(SystemClock)).await);
    assert!(error.contains(&format!("127.0.0.1:{port} is in use")), "{error}");
}

#[tokio::test]
async fn a_signing_secret_that_is_none_is_refused_without_being_shown() {
    let state_dir = tempfile::tempdir().unwrap();
    let error = refused(start_in(state_dir.path(), r#"{ delivery: { signingSecret: "s3cret" } }"#).await);
    assert!(error.contains("delivery.signingSecret") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn what_the_gateway_keeps_is_private_and_found_by_clients_while_it_runs() {
    let gateway = TestGateway::with_model().await;
    let dir = gateway.state_dir.path();
    assert_eq!(mode(dir), 0o700);
    for file in ["gateway-token", "signing-secret", "signing-key", "gateway.json"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    let discovery: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("gateway.json")).unwrap()).unwrap();
    assert_eq!(discovery["url"], gateway.url.as_str());
    assert_eq!(discovery["pid"], std::process::id());
    assert!(discovery["startedAtMs"].is_i64());

    let (url, token) = (gateway.url.clone(), gateway.token.clone());
    let id = gateway.job(&echo("x")).await;
    let state_dir = gateway.stop().await;
    assert!(!state_dir.path().join("gateway.json").exists());

    // Token and jobs are still there; only the port is another.
    let again = start_in(state_dir.path(), "{}").await.unwrap();
    let again = TestGateway::run(again, state_dir);
    assert_eq!(again.token, token);
    assert_ne!(again.url, "");
    assert!(again.url.starts_with("http://127.0.0.1:") && url.starts_with("http://127.0.0.1:"));
    again.get(&format!("/api/v1/jobs/{id}")).await.ok(200);
    again.stop().await;
}
