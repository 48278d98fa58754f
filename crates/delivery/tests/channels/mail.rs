//! E-mail against a mail server on raw TCP that says what a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;

use clawhook_delivery::channels::{Account, Channel, ChannelKind, Message, Sent, Urgency};
use clawhook_delivery::{Guard, GuardPolicy, Transport, TransportOptions};
use clawhook_model::SecretSource;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{KEY, message, place, profile_with, send, transport};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// What a mail server says to the commands that begin so; to others that it is well.
#[derive(Clone)]
struct Manners {
    offers: &'static str,
    replies: &'static [(&'static str, &'static str)],
    tls: Option<TlsAcceptor>,
    implicit: bool,
}

const PLAIN: Manners =
    Manners { offers: "250-here\r\n250 8BITMIME\r\n", replies: &[], tls: None, implicit: false };

struct MailServer {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<String>,
    listening: JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl MailServer {
    async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (manners, tell) = (manners.clone(), tell.clone());
                tokio::spawn(async move {
                    let Some(tls) = manners.tls.clone() else {
                        converse(stream, &manners, &tell, true).await;
                        return;
                    };
                    if manners.implicit {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream, &manners, &tell, true).await;
                        }
                        return;
                    }
                    if let Some(stream) = converse(stream, &manners, &tell, true).await
                        && let Ok(stream) = tls.accept(stream).await
                    {
                        tell.send("[tls]".to_owned()).ok();
                        converse(stream, &manners, &tell, false).await;
                    }
                });
            }
        });
        Self { address, heard, listening }
    }

    /// All that was heard so far.
    fn heard(&mut self) -> String {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect::<Vec<_>>().join("\n")
    }
}

/// Talks until the other side goes, or wants TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    manners: &Manners,
    tell: &mpsc::UnboundedSender<String>,
    greet: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greet {
        let greeting = manners.replies.iter().find(|(command, _)| command.is_empty());
        stream.write_all(greeting.map_or("220 here\r\n", |(_, reply)| reply).as_bytes()).await.ok()?;
    }
    loop {
        let line = line(&mut stream).await?;
        tell.send(line.clone()).ok();
        let scripted =
            manners.replies.iter().find(|(command, _)| !command.is_empty() && line.starts_with(command));
        let reply = match (scripted, line.split(' ').next().unwrap_or_default()) {
            (Some((_, reply)), _) => reply,
            (None, "EHLO") => manners.offers,
            (None, "STARTTLS") => {
                stream.write_all(b"220 go ahead\r\n").await.ok()?;
                return Some(stream.into_inner());
            }
            (None, "AUTH") => "235 welcome\r\n",
            (None, "DATA") => "354 go on\r\n",
            (None, _) => "250 well\r\n",
        };
        stream.write_all(reply.as_bytes()).await.ok()?;
        if reply.starts_with("354") {
            loop {
                let line = self::line(&mut stream).await?;
                if line == "." {
                    break;
                }
                tell.send(line).ok();
            }
            let end = manners.replies.iter().find(|(command, _)| *command == ".");
            stream.write_all(end.map_or("250 queued as 7\r\n", |(_, reply)| reply).as_bytes()).await.ok()?;
        }
    }
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A channel to the server at `url`.
async fn channel(transport: &Transport, url: String, user: Option<&str>, roots: Option<String>) -> Channel {
    let mut account = Account::new(ChannelKind::Email, None);
    account.url = Some(url.parse().unwrap());
    account.from = Some("Clawhook <clawhook@example.com>".to_owned());
    account.user = user.map(str::to_owned);
    let password = SecretString::from("s3cret-password");
    account.credential = user.map(|_| SecretSource::Env("PASSWORD".to_owned()));
    let profile = profile_with(transport, roots).await;
    Channel::open(&account, user.map(|_| &password), profile).unwrap()
}

async fn sent_to(server: &MailServer, scheme: &str, user: Option<&str>, message: &Message) -> Sent {
    let channel = channel(&transport(), format!("{scheme}://{}", server.address), user, None).await;
    send(&channel, &place(ChannelKind::Email), message, 0).await.0
}

#[tokio::test]
async fn a_message_is_text_and_html_and_the_same_on_each_attempt() {
    let alert = Message {
        title: "daily: größer".to_owned(),
        urgency: Urgency::High,
        ..message("**Three** mails\n\n.\n<script>")
    };
    let mut server = MailServer::start(PLAIN).await;
    let channel = channel(&transport(), format!("smtp://{}", server.address), None, None).await;
    let (sent, arrived) = send(&channel, &place(ChannelKind::Email), &alert, 0).await;
    assert!(sent.is_whole() && sent.report.class.is_delivered(), "{sent:?}");
    assert_eq!(arrived[0].message_id, Some(format!("<{KEY}.1@example.com>")));
    assert_eq!(sent.report.response_body.as_deref(), Some("250 queued as 7"));
    let heard = server.heard();
    for line in [
        "MAIL FROM:<clawhook@example.com>",
        "RCPT TO:<ops@example.com>",
        "From: Clawhook <clawhook@example.com>",
        "To: ops@example.com",
        "Subject: daily: =?utf-8?b?",
        "Date: Wed, 18 Feb 2026 09:00:00 +0000",
        &format!("Message-ID: <{KEY}.1@example.com>"),
        "In-Reply-To: <before@example.com>",
        "References: <before@example.com>",
        "Auto-Submitted: auto-generated",
        "Importance: high",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text/html; charset=utf-8",
        "**Three** mails",
        "..",
        "<p><strong>Three</strong> mails</p>",
    ] {
        assert!(heard.contains(line), "{line} is missing in {heard}");
    }
    assert!(heard.contains("&lt;script&gt;"), "{heard}");
    send(&channel, &place(ChannelKind::Email), &alert, 0).await;
    let again = server.heard();
    let data = |heard: &str| heard.split("DATA\n").nth(1).unwrap().split("\nQUIT").next().unwrap().to_owned();
    assert_eq!(data(&heard), data(&again));
}

#[tokio::test]
async fn starttls_comes_before_everything_that_is_secret() {
    let authority = authority();
    let manners = Manners {
        offers: "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
        tls: Some(acceptor(&authority)),
        ..PLAIN
    };
    let mut server = MailServer::start(manners).await;
    let transport = transport();
    let trusting =
        channel(&transport, format!("smtp://{}", server.address), Some("me"), Some(authority.pem())).await;
    let (sent, _) = send(&trusting, &place(ChannelKind::Email), &message("a"), 0).await;
    assert!(sent.report.class.is_delivered() && sent.report.tls_version.is_some(), "{sent:?}");
    let heard = server.heard();
    let (before, after) = heard.split_once("[tls]").unwrap();
    assert_eq!(before, "EHLO example.com\nSTARTTLS\n");
    assert!(after.contains("AUTH PLAIN ") && after.contains("MAIL FROM"), "{after}");

    let sent = sent_to(&server, "smtp", Some("me"), &message("a")).await;
    assert_eq!(sent.report.class.as_str(), "tls_failed", "nobody vouches for the certificate: {sent:?}");
    assert!(!server.heard().contains("AUTH"));
}

#[tokio::test]
async fn tls_from_the_start_where_the_address_says_so() {
    let authority = authority();
    let manners =
        Manners { offers: "250 here\r\n", tls: Some(acceptor(&authority)), implicit: true, ..PLAIN };
    let server = MailServer::start(manners).await;
    let transport = transport();
    let channel =
        channel(&transport, format!("smtps://{}", server.address), None, Some(authority.pem())).await;
    let (sent, _) = send(&channel, &place(ChannelKind::Email), &message("a"), 0).await;
    assert!(sent.report.class.is_delivered() && sent.report.tls_version.is_some(), "{sent:?}");
}

#[tokio::test]
async fn what_a_mail_server_says_is_what_follows() {
    const AUTH: &str = "250 AUTH PLAIN LOGIN\r\n";
    for (offers, replies, user, class, words) in [
        (PLAIN.offers, &[("RCPT", "550 5.1.1 no such user\r\n")][..], None, "refused", "no such user"),
        (PLAIN.offers, &[("RCPT", "450 4.2.1 greylisted\r\n")], None, "server_error", "greylisted"),
        (
            PLAIN.offers,
            &[("MAIL", "530 5.7.0 authentication required\r\n")],
            None,
            "unauthorized",
            "required",
        ),
        (PLAIN.offers, &[(".", "452 4.3.1 disk full\r\n")], None, "server_error", "disk full"),
        (PLAIN.offers, &[(".", "554 5.7.1 spam\r\n")], None, "refused", "spam"),
        (PLAIN.offers, &[("", "421 4.3.2 too busy\r\n")], None, "server_error", "too busy"),
        (PLAIN.offers, &[("", "HTTP/1.1 400 Bad Request\r\n")], None, "protocol_error", "HTTP"),
        (PLAIN.offers, &[("", "220 a\r\n250 b\r\n")], None, "protocol_error", "out of turn"),
        (
            AUTH,
            &[("AUTH", "535 5.7.8 wrong password s3cret-password\r\n")],
            Some("me"),
            "unauthorized",
            "***",
        ),
        (AUTH, &[("AUTH", "454 4.7.0 try later\r\n")], Some("me"), "server_error", "try later"),
        (PLAIN.offers, &[], Some("me"), "unauthorized", "authentication mechanism"),
    ] {
        let server = MailServer::start(Manners { offers, replies, ..PLAIN }).await;
        let sent = sent_to(&server, "smtp", user, &message("a")).await;
        let error = sent.report.error.clone().unwrap_or_default();
        assert_eq!(sent.report.class.as_str(), class, "{replies:?}: {error}");
        assert!(error.contains(words) && !error.contains("s3cret"), "{replies:?}: {error}");
        assert_eq!(sent.arrived, 0);
    }
}

#[tokio::test]
async fn a_mail_server_that_is_not_there_or_never_ends_is_no_harm() {
    let server = MailServer::start(PLAIN).await;
    let address = server.address;
    drop(server);
    let channel = channel(&transport(), format!("smtp://{address}"), None, None).await;
    let (sent, _) = send(&channel, &place(ChannelKind::Email), &message("a"), 0).await;
    assert!(matches!(sent.report.class.as_str(), "connect_failed" | "answer_lost"), "{sent:?}");

    let endless: &'static str = Box::leak("220-more\r\n".repeat(10_000).into_boxed_str());
    let replies: &'static [(&str, &str)] = Box::leak(Box::new([("", endless)]));
    let server = MailServer::start(Manners { replies, ..PLAIN }).await;
    let sent = sent_to(&server, "smtp", None, &message("a")).await;
    assert_eq!(sent.report.class.as_str(), "protocol_error", "{sent:?}");
}

#[tokio::test]
async fn nothing_is_said_in_the_open_to_a_server_that_is_not_on_this_machine() {
    // Behind a proxy nobody knows where the server is. This proxy is the server as well.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (tell, mut heard) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        while line(&mut stream).await.is_some_and(|line| !line.is_empty()) {}
        // The greeting comes with the proxy's own answer.
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n220 here\r\n").await.unwrap();
        let manners = Manners { offers: "250 AUTH PLAIN\r\n", ..PLAIN };
        converse(stream, &manners, &tell, false).await;
    });
    let guard = Guard::new(GuardPolicy::default());
    let transport =
        Transport::new(TransportOptions { proxy: Some(proxy), ..TransportOptions::default() }, guard);
    let channel = channel(&transport, "smtp://192.168.7.7:2525".to_owned(), Some("me"), None).await;
    let log = super::Log::default();
    let (message, place) = (message("a"), place(ChannelKind::Email));
    let sending =
        super::Sending { message: &message, place: &place, key: KEY, arrived: 0, budget: super::BUDGET };
    let sent = channel.send(&transport, &super::SystemClock, sending, &log).await;
    assert_eq!(sent.report.class.as_str(), "tls_failed", "{sent:?}");
    assert!(sent.report.error.as_ref().unwrap().contains("offers no STARTTLS"), "{sent:?}");
    serving.await.unwrap();
    assert_eq!(heard.recv().await.as_deref(), Some("EHLO example.com"));
    assert_eq!(heard.recv().await, None);
}
