//! The chat channels against fakes that answer as the services' published documents say.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod answers;
mod document;
mod mail;
mod pieces;
#[path = "../transport/receiver.rs"]
#[allow(dead_code, reason = "the transport's suite uses more of it")]
mod receiver;
mod requests;
mod secrets;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::SystemClock;
use clawhook_delivery::channels::{
    Account, Arrived, Channel, ChannelKind, Message, PieceLog, Place, Sending, Sent, Urgency,
};
use clawhook_delivery::{ConnectionProfile, Guard, GuardPolicy, ProfileOptions, Transport, TransportOptions};
use clawhook_model::{EventId, UnixMs};
use secrecy::SecretString;
use serde_json::Value;

use receiver::{Received, Receiver};

const TOKEN: &str = "123456:AA-s3cret_token";
const KEY: &str = "0199c6f3-0000-7000-8000-000000000001";
const BUDGET: Duration = Duration::from_secs(60);

/// A service that gives its answers one after the other, and the last one for ever.
async fn service(answers: &[&str]) -> Receiver {
    let answers: Arc<Mutex<VecDeque<String>>> =
        Arc::new(Mutex::new(answers.iter().map(|answer| (*answer).to_owned()).collect()));
    Receiver::start(move |mut conversation| {
        let answers = answers.clone();
        async move {
            while conversation.hear().await {
                let answer = {
                    let mut answers = answers.lock().unwrap();
                    if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
                };
                conversation.say(answer.unwrap_or_default()).await;
            }
        }
    })
    .await
}

/// An answer with a JSON body.
fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn transport() -> Transport {
    let allowed_hosts = vec!["127.0.0.1".to_owned()];
    Transport::new(
        TransportOptions::default(),
        Guard::new(GuardPolicy { allowed_hosts, ..GuardPolicy::default() }),
    )
}

fn account(kind: ChannelKind, url: &str) -> Account {
    let mut account = Account::new(kind, None);
    account.url = Some(url.parse().unwrap());
    account
}

/// A channel of this kind whose service is at `receiver`.
fn channel(kind: ChannelKind, receiver: &Receiver) -> Channel {
    let path = if kind == ChannelKind::Webhook { "/say/{to}?in={thread}" } else { "/base" };
    let account = account(kind, &format!("http://{}{path}", receiver.address));
    Channel::open(&account, Some(&SecretString::from(TOKEN)), ConnectionProfile::default()).unwrap()
}

/// A place that this kind of channel knows.
fn place(kind: ChannelKind) -> Place {
    let (to, thread) = match kind {
        ChannelKind::Slack => ("C0123456789", "1503435956.000247"),
        ChannelKind::Discord => ("1234567890123456789", "2234567890123456789"),
        ChannelKind::Telegram => ("-1001234567890", "42"),
        ChannelKind::Mattermost => ("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba"),
        ChannelKind::Matrix => ("!room:example.com", "$event"),
        ChannelKind::Email => ("ops@example.com", "<before@example.com>"),
        ChannelKind::Ntfy => return Place::new("alerts"),
        ChannelKind::Webhook => ("room 1/x", "t&1"),
        ChannelKind::Openclaw => ("telegram:-100123", "5"),
    };
    Place::new(to).in_thread(thread)
}

fn message(text: &str) -> Message {
    Message {
        event_id: EventId::from_bytes([7; 16]),
        occurred_at: UnixMs::from_millis(1_771_405_200_000),
        title: "daily: ok".to_owned(),
        headed: false,
        text: text.to_owned(),
        ack_url: None,
        urgency: Urgency::Normal,
    }
}

/// Keeps what has arrived.
#[derive(Default)]
struct Log(Mutex<Vec<Arrived>>);

#[async_trait]
impl PieceLog for Log {
    async fn arrived(&self, piece: Arrived) -> bool {
        self.0.lock().unwrap().push(piece);
        true
    }
}

/// Sends what is left of a message.
async fn send(channel: &Channel, place: &Place, message: &Message, arrived: u32) -> (Sent, Vec<Arrived>) {
    let log = Log::default();
    let sending = Sending { message, place, key: KEY, arrived, budget: BUDGET };
    let sent = channel.send(&transport(), &SystemClock, sending, &log).await;
    (sent, log.0.into_inner().unwrap())
}

fn json(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

async fn profile_with(transport: &Transport, extra_roots: Option<String>) -> ConnectionProfile {
    let options = ProfileOptions { allow_private: true, extra_roots, ..ProfileOptions::default() };
    transport.profile(options).await.unwrap()
}
