//! Results are announced: from the configuration to the message, as a person does it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use crate::processes::{Home, PATIENCE};

/// A service that takes every message, and tells the path and the body of each.
fn service() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut text = String::new();
            let mut bytes = [0; 4096];
            // Each message is short, and comes with its length before it.
            while !is_whole(&text) {
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => text.push_str(&String::from_utf8_lossy(&bytes[..read])),
                }
            }
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer.as_bytes()).ok();
            if tell.send(text).is_err() {
                return;
            }
        }
    });
    (url, told)
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

#[test]
fn a_person_configures_a_channel_tries_it_and_has_a_result_announced() {
    let home = Home::new();
    let (url, messages) = service();
    let config = format!(
        "{{ channels: {{ webhook: {{ url: '{url}/say/{{to}}', allowPrivate: true, to: 'team' }} }} }}"
    );
    home.write(".clawhook/clawhook.json5", &config);
    let running = home.start(&["gateway", "--port", "0"]);
    let listed = home.run(&["channels", "list"]).ok();
    assert!(listed.contains("webhook") && listed.contains("team"), "{listed}");
    let tested = home.run(&["channels", "test", "webhook", "--to", "me"]).ok();
    assert!(tested.contains("webhook:me (account default)") && tested.contains("delivered"), "{tested}");
    assert!(messages.recv_timeout(PATIENCE).unwrap().starts_with("POST /say/me"));
    home.run(&["channels", "test", "slack", "--to", "C1"]).failed(1, "there is no channel `slack`");
    let args =
        ["cron", "add", "--every", "24h", "--name", "report", "--command", "echo all quiet", "--announce"];
    let added = home.run(&args).ok();
    assert!(added.contains("announce:webhook:team (account default; the account's default)"), "{added}");
    let jobs = home.run(&["cron", "list", "--json"]).json();
    home.run(&["cron", "run", jobs["jobs"][0]["id"].as_str().unwrap(), "--wait"]).ok();
    let message = messages.recv_timeout(PATIENCE).unwrap();
    assert!(message.starts_with("POST /say/team") && message.contains("all quiet"), "{message}");
    running.stop();
}
