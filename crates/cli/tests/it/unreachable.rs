//! Without a gateway, the client says what it tried and how to start one.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use crate::processes::Home;

#[test]
fn without_a_gateway_the_hint_says_how_to_start_one() {
    let home = Home::new();
    let state = home.path("state");
    let ended = home.run(&["cron", "list", "--state-dir", state.to_str().unwrap()]);
    ended.failed(1, &format!("no gateway is running with the state directory `{}`", state.display()));
    ended.failed(1, &format!("hint: start one with `clawhook gateway --state-dir {}`", state.display()));
    home.run(&["status"]).failed(1, "/.clawhook`");
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let home = Home::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let ended = home.run(&["status", "--url", &url]);
    ended.failed(1, &format!("cannot reach the gateway at {url}: Connection refused"));
    ended.failed(1, "hint: is it running? Start one with `clawhook gateway`");
    Home::end(home.command(&["cron", "list"]).env("CLAWHOOK_URL", &url)).failed(1, &url);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let home = Home::new();
    home.run(&["status", "--url", "gateway"]).failed(1, "`gateway` is no URL");
    home.run(&["status", "--url", "ws://127.0.0.1:1"]).failed(1, "neither http:// nor https://");
    home.write(".clawhook/gateway.json", "{");
    home.run(&["status"]).failed(1, "gateway.json` is damaged");
}

#[test]
fn what_is_no_gateway_is_told_from_one() {
    let home = Home::new();
    let (url, server) = answer_once("200 OK", "hello");
    home.run(&["status", "--url", &url]).failed(1, "is not a clawhook gateway");
    server.join().unwrap();
    let (url, server) = answer_once("302 Found\r\nlocation: http://127.0.0.1:1/", "");
    home.run(&["status", "--url", &url]).failed(1, "HTTP 302 Found");
    server.join().unwrap();
}

#[test]
fn without_a_token_file_the_error_says_where_the_token_may_be() {
    let home = Home::new();
    let refusal = r#"{"error":{"code":"unauthorized","message":"no"}}"#;
    let (url, server) = answer_once("401 Unauthorized", refusal);
    let ended = home.run(&["status", "--url", &url]);
    ended.failed(1, "gateway-token` does not exist");
    ended.failed(1, "CLAWHOOK_TOKEN");
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /api/v1/status HTTP/1.1"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
}

#[test]
fn a_token_is_sent_as_a_bearer_token_and_the_flag_goes_before_the_variable() {
    let home = Home::new();
    let ok = r#"{"version":"9","healthy":true}"#;
    for (flag, sent) in [(None, "from-variable"), (Some("from-flag"), "from-flag")] {
        let (url, server) = answer_once("200 OK", ok);
        let mut command = home.command(&["status", "--json", "--url", &url]);
        command.env("CLAWHOOK_TOKEN", "from-variable");
        if let Some(flag) = flag {
            command.args(["--token", flag]);
        }
        assert_eq!(Home::end(&mut command).json()["version"], "9");
        let request = server.join().unwrap();
        assert!(request.contains(&format!("authorization: Bearer {sent}\r\n")), "{request}");
    }
}

#[test]
fn a_gateway_that_is_not_healthy_shows_in_the_exit_code() {
    let home = Home::new();
    let body = r#"{"version":"9","healthy":false,"problems":["the disk is full"]}"#;
    let (url, server) = answer_once("200 OK", body);
    let ended = home.run(&["status", "--url", &url]);
    server.join().unwrap();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("healthy: no"), "{ended:?}");
    assert!(ended.stderr.contains("problem: the disk is full"), "{ended:?}");
}

/// A server that gives this answer to one request, and the request.
fn answer_once(status: &str, body: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_head(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    });
    (url, server)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
