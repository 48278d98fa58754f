//! The operator's proxy: what it is asked for, and what becomes of an attempt when it is as bad as they come.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use clawhook_delivery::{Guard, GuardPolicy, Proxy, Transport, TransportOptions};
use clawhook_model::AttemptClass;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::name_server::{Answer, NameServer};
use crate::receiver::Receiver;
use crate::tls::{OK, authority, believing, https_receiver};
use crate::{hasty, post, transport};

/// What a proxy does with a `CONNECT` that has come in whole.
#[derive(Clone)]
enum Manner {
    /// Opens the tunnel.
    Good,
    /// Opens the tunnel and closes it when the first bytes come.
    Dies,
    /// Says this and closes.
    Says(&'static str),
    /// Says this and stays.
    SaysAndStays(String),
}

/// A listening proxy; it ends with its value.
struct ProxyServer {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<String>,
    listening: JoinHandle<()>,
}

impl ProxyServer {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tunnels.spawn(serve(stream, manner.clone(), sender.clone()));
            }
        });
        Self { address, asked, listening }
    }

    fn options(&self) -> TransportOptions {
        TransportOptions { proxy: Some(self.proxy()), ..TransportOptions::default() }
    }

    fn proxy(&self) -> Proxy {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// The heads of the requests so far, each as one text.
    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut client: TcpStream, manner: Manner, asked: mpsc::UnboundedSender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    asked.send(head).unwrap();
    match manner {
        Manner::Good => {
            #[expect(clippy::disallowed_methods, reason = "the test's own proxy, to the test's own receiver")]
            let mut server = TcpStream::connect(target).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
        }
        Manner::Dies => {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            client.read_buf(&mut Vec::with_capacity(1)).await.ok();
        }
        Manner::Says(answer) => client.write_all(answer.as_bytes()).await.unwrap(),
        Manner::SaysAndStays(answer) => {
            client.write_all(answer.as_bytes()).await.ok();
            while client.read_buf(&mut Vec::with_capacity(64)).await.is_ok_and(|read| read > 0) {}
        }
    }
}

#[tokio::test]
async fn i11_the_proxy_is_asked_for_the_vetted_address_and_the_receiver_hears_its_own_name() {
    let mut receiver = Receiver::answering(OK).await;
    let mut proxy = ProxyServer::start(Manner::Good).await;
    let names = NameServer::start(|_| Answer::Addresses(vec![IpAddr::from([127, 0, 0, 1])])).await;
    let proxy_with_credentials = proxy.proxy().with_credentials(&"user:pass".into()).unwrap();
    let options = TransportOptions {
        dns_servers: vec![names.address],
        proxy: Some(proxy_with_credentials),
        ..TransportOptions::default()
    };
    let transport = transport(options, &["hooks.example.com"]);
    let url = receiver.url_on("http", "hooks.example.com");
    for reused in [false, true] {
        let report = post(&transport, &url).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
        assert_eq!(report.connection_reused, reused);
        let head = receiver.received().await.head;
        assert!(head.contains(&format!("\r\nhost: hooks.example.com:{}\r\n", receiver.address.port())));
        assert!(!head.contains("proxy-authorization"));
    }
    let target = receiver.address;
    let expected = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    assert_eq!(proxy.asked(), [expected]);
}

#[tokio::test]
async fn the_certificate_behind_a_proxy_must_bear_the_receivers_name() {
    let authority = authority();
    let proxy = ProxyServer::start(Manner::Good).await;
    for (name, class) in [("localhost", AttemptClass::Delivered), ("other", AttemptClass::TlsFailed)] {
        let receiver = https_receiver(&authority, name).await;
        let options =
            TransportOptions { proxy: Some(proxy.proxy()), ..believing(vec![authority.der().clone()]) };
        let transport = transport(options, &["localhost"]);
        let report = post(&transport, &receiver.url_on("https", "localhost")).await;
        assert_eq!(report.class, class, "{:?}", report.error);
    }
}

#[tokio::test]
async fn i11_what_the_guard_refuses_is_not_asked_of_the_proxy_either() {
    let mut proxy = ProxyServer::start(Manner::Good).await;
    let names = NameServer::start(|_| Answer::Addresses(vec![IpAddr::from([10, 0, 0, 1])])).await;
    let options = TransportOptions { dns_servers: vec![names.address], ..proxy.options() };
    let transport = Transport::new(options, Guard::new(GuardPolicy::default()));
    for url in ["https://hooks.example.com/", "https://127.0.0.1/", "http://93.184.215.14/"] {
        let report = post(&transport, &url.parse().unwrap()).await;
        assert_eq!(report.class, AttemptClass::Blocked, "{:?}", report.error);
    }
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_fails_is_our_own_fault_and_is_told_as_such() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(64 * 1024));
    for (manner, told) in [
        (Manner::Says("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"), "it refuses with HTTP 403"),
        (Manner::Says("HTTP/1.0 407 Auth\r\n\r\n"), "it refuses with HTTP 407"),
        (Manner::Says("HTTP/1.1 302 Found\r\nlocation: http://other\r\n\r\n"), "it refuses with HTTP 302"),
        (Manner::Says("HTTP/1.1 200 OK\r\nX: y"), "closed the connection before it had answered"),
        (Manner::Says(""), "closed the connection before it had answered"),
        (Manner::Says("SSH-2.0-OpenSSH_9\r\n"), "its answer is not HTTP"),
        (Manner::Says("HTTP/2 200\r\n\r\n"), "its answer is not HTTP"),
        (Manner::Says("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "its answer is not HTTP"),
        (Manner::SaysAndStays(endless), "its answer is not HTTP"),
        (Manner::SaysAndStays(String::new()), "it did not answer in time"),
        (Manner::SaysAndStays("HTTP/1.1 200 OK\r\n".to_owned()), "it did not answer in time"),
    ] {
        let receiver = Receiver::answering(OK).await;
        let mut proxy = ProxyServer::start(manner).await;
        let options = TransportOptions { proxy: Some(proxy.proxy()), ..hasty() };
        let report = post(&transport(options, &["127.0.0.1"]), &receiver.url()).await;
        assert_eq!(report.class, AttemptClass::ProxyFailed, "{:?}", report.error);
        assert!(report.class.is_own_fault());
        let error = report.error.unwrap();
        assert!(error.contains(told), "{told}: {error}");
        assert!(!error.contains(&proxy.address.to_string()), "{error}");
        assert_eq!(proxy.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_our_own_fault_too() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = NameServer::start(|_| Answer::NoSuchName).await;
    for proxy in [format!("http://{gone}"), "http://proxy.example.com:3128".to_owned()] {
        let options = TransportOptions {
            proxy: Some(proxy.parse().unwrap()),
            dns_servers: vec![names.address],
            ..TransportOptions::default()
        };
        let report = post(&transport(options, &["127.0.0.1"]), &"http://127.0.0.1:9/".parse().unwrap()).await;
        assert_eq!(report.class, AttemptClass::ProxyFailed, "{:?}", report.error);
    }
}

#[tokio::test]
async fn what_the_proxy_says_of_the_receiver_is_the_receivers_failure() {
    for (answer, class) in [
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", AttemptClass::ConnectFailed),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", AttemptClass::ConnectFailed),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", AttemptClass::ConnectTimeout),
    ] {
        let proxy = ProxyServer::start(Manner::Says(answer)).await;
        let transport = transport(proxy.options(), &["127.0.0.1"]);
        let report = post(&transport, &"http://127.0.0.1:9/".parse().unwrap()).await;
        assert_eq!(report.class, class, "{:?}", report.error);
        assert!(!report.class.is_own_fault());
    }
}

#[tokio::test]
async fn a_tunnel_that_breaks_once_the_request_is_on_its_way_may_have_delivered() {
    let proxy = ProxyServer::start(Manner::Dies).await;
    let transport = transport(proxy.options(), &["127.0.0.1"]);
    let report = post(&transport, &"http://127.0.0.1:9/".parse().unwrap()).await;
    assert_eq!(report.class, AttemptClass::AnswerLost, "{:?}", report.error);
}

/// The variables can only be set for another process, so the test runs itself once more in one.
#[tokio::test]
async fn i11_the_environments_proxies_are_never_asked() {
    const VARIABLES: [&str; 5] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
    let name = "proxy::i11_the_environments_proxies_are_never_asked";
    let nowhere = "http://127.0.0.1:9/";
    if std::env::var("ALL_PROXY").is_ok_and(|set| set == nowhere) {
        let receiver = Receiver::answering(OK).await;
        let report = post(&transport(TransportOptions::default(), &["127.0.0.1"]), &receiver.url()).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .envs(VARIABLES.map(|variable| (variable, nowhere)))
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
