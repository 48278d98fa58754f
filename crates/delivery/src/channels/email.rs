//! E-mail: one message with the text as it is and as HTML, handed to the operator's SMTP server.
//!
//! The `Message-ID` is the same on each attempt, so that a server or a reader who looks at it tells a repeat. A thread is
//! the `Message-ID` that the message answers to.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::account::{AccountError, Settled, mailbox};
use super::answer::Answer;
use super::markdown;
use super::message::{Message, Urgency};
use super::place::{Place, PlaceError};
use super::request::ChannelRequest;
use super::{Judged, Piece, Service};
use crate::transport::MailRequest;

/// How many people one message goes to at most.
const MAX_RECIPIENTS: usize = 20;

const WANTED: &str = "e-mail wants an address, or several with commas between them";

/// The mail server, as the operator named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its address as one of HTTPS, which is how hosts are read.
    url: Url,
    /// Whether TLS begins at once, and not with `STARTTLS`.
    implicit_tls: bool,
}

impl MailServer {
    pub(super) fn parse(text: &str) -> Result<Self, AccountError> {
        let wrong = |error: &str| AccountError::Url(error.to_owned());
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let (implicit_tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => (true, 465),
            "smtp" => (false, 587),
            _ => {
                return Err(AccountError::Scheme {
                    scheme: scheme.to_owned(),
                    kind: super::ChannelKind::Email,
                    wanted: "smtps:// (TLS from the start) or smtp:// (STARTTLS)",
                });
            }
        };
        let mut url = Url::parse(&format!("https://{rest}")).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("there is more than host and port"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AccountError::UrlCredentials);
        }
        // 443 is nobody's port for mail, and is what is not written down in HTTPS.
        if url.port().is_none() {
            url.set_port(Some(port)).map_err(|()| wrong("it has no port"))?;
        }
        Ok(Self { url, implicit_tls })
    }

    /// Its host and port, in an address of HTTPS.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    pub(crate) fn host(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }

    /// Whether TLS begins at once.
    pub(crate) fn implicit_tls(&self) -> bool {
        self.implicit_tls
    }
}

#[derive(Debug)]
pub(super) struct Email {
    server: MailServer,
    credentials: Option<(String, SecretString)>,
    from: Mailbox,
}

impl Email {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let kind = account.account.kind;
        let server = MailServer::parse(account.url)?;
        let from = account.account.from.as_deref().ok_or(AccountError::Missing { kind, field: "from" })?;
        let credentials = match (&account.account.user, &account.credential) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, Some(_)) => return Err(AccountError::Missing { kind, field: "user" }),
            (Some(_), None) => return Err(AccountError::Missing { kind, field: "credential" }),
        };
        Ok(Self { server, credentials, from: mailbox(from)? })
    }

    fn message_id(&self, key: &str, piece: &Piece) -> String {
        format!("<{key}.{}@{}>", piece.number, self.from.email.domain())
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    recipients(place)?;
    let is_id = |thread: &str| {
        thread.len() > 4
            && thread.starts_with('<')
            && thread.ends_with('>')
            && thread.contains('@')
            && thread.chars().all(|c| c.is_ascii_graphic())
    };
    place.thread_of(
        is_id,
        "e-mail wants the `Message-ID` that the message answers to, such as <a@example.com>",
    )?;
    Ok(())
}

fn recipients(place: &Place) -> Result<Mailboxes, PlaceError> {
    let form = || PlaceError::Form { field: "to", given: place.to.clone(), wanted: WANTED };
    let mailboxes: Mailboxes = place.to.trim().parse().map_err(|_| form())?;
    let count = mailboxes.iter().count();
    if (1..=MAX_RECIPIENTS).contains(&count) { Ok(mailboxes) } else { Err(form()) }
}

/// A header without a type of its own.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Says that somebody should look now.
#[derive(Debug, Clone)]
struct Importance;

impl Header for Importance {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Importance")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "high".to_owned())
    }
}

impl Service for Email {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        let text = Message { headed: false, ..message.clone() }.markdown();
        let html = Some(markdown::html(&text));
        vec![Piece { number: 1, of: 1, text, html }]
    }

    fn request(
        &self,
        piece: &Piece,
        message: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let wrong = || PlaceError::Form { field: "to", given: place.to.clone(), wanted: WANTED };
        let mailboxes = recipients(place)?;
        let to = mailboxes.iter().map(|mailbox| mailbox.email.clone()).collect();
        let envelope = Envelope::new(Some(self.from.email.clone()), to).map_err(|_| wrong())?;
        let message_id = self.message_id(key, piece);
        let millis = u64::try_from(message.occurred_at.as_millis()).unwrap_or_default();
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .mailbox(lettre::message::header::To::from(mailboxes))
            .subject(message.title.clone())
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(message_id.clone()))
            .header(AutoSubmitted);
        if message.urgency == Urgency::High {
            builder = builder.header(Importance);
        }
        if let Some(thread) = place.thread.as_deref().map(str::trim) {
            builder = builder.in_reply_to(thread.to_owned()).references(thread.to_owned());
        }
        let html = format!(
            "<!doctype html>\n<meta charset=\"utf-8\">\n{}\n",
            piece.html.as_deref().unwrap_or_default()
        );
        // By itself it would be another one on each attempt.
        let digest = Sha256::digest(&message_id);
        let boundary: String = digest.iter().take(15).map(|byte| format!("{byte:02x}")).collect();
        let body = MultiPart::alternative()
            .boundary(format!("={boundary}"))
            .singlepart(SinglePart::plain(format!("{}\n", piece.text)))
            .singlepart(SinglePart::html(html));
        let built = builder.multipart(body).map_err(|_| wrong())?;
        Ok(ChannelRequest::Mail(Box::new(MailRequest {
            server: self.server.clone(),
            credentials: self.credentials.clone(),
            hello: self.from.email.domain().to_owned(),
            envelope,
            message_id,
            message: Bytes::from(built.formatted()),
        })))
    }

    /// What a mail server says has been judged as it was said.
    fn judge(&self, answer: &Answer<'_>) -> Judged {
        answer.as_reported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_host_and_port_and_how_tls_begins() {
        for (text, host, port, implicit) in [
            ("smtps://mail.example.com", "mail.example.com", 465, true),
            ("smtp://mail.example.com", "mail.example.com", 587, false),
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, false),
            ("SMTPS://[::1]:4650/", "[::1]", 4650, true),
        ] {
            let server = MailServer::parse(text).unwrap();
            assert_eq!(
                (server.host().to_string().as_str(), server.port(), server.implicit_tls()),
                (host, port, implicit)
            );
        }
        for wrong in [
            "https://mail.example.com",
            "mail.example.com",
            "smtp://",
            "smtp://u:p@h",
            "smtp://h/path",
            "smtp://h?x",
        ] {
            assert!(MailServer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_one_address_or_a_few() {
        for (to, fits) in [
            ("ops@example.com", true),
            ("Ops <ops@example.com>, b@example.com", true),
            ("nobody", false),
            ("a@example.com\r\nBcc: b@example.com", false),
        ] {
            let place = Place::new(to);
            assert_eq!(super::super::ChannelKind::Email.check_place(&place).is_ok(), fits, "{to}");
        }
        assert!(recipients(&Place::new(vec!["a@example.com"; 21].join(", "))).is_err());
    }
}
