//! Our own side: a channel, and messages through it.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::SystemClock;
use clawhook_delivery::channels::{
    Account, Arrived, Channel, Message, PieceLog, Place, Sending, Sent, Urgency,
};
use clawhook_delivery::{Guard, GuardPolicy, ProfileOptions, Transport, TransportOptions};
use clawhook_model::{AttemptClass, EventId, RetryAfter, UnixMs};
use secrecy::SecretString;
use tokio::runtime::Runtime;

use super::ChannelsError;

/// A channel with what it is sent through.
pub(super) struct Sender<'a> {
    runtime: &'a Runtime,
    transport: Transport,
    channel: Channel,
}

/// Keeps what has arrived.
#[derive(Default)]
struct Log(Mutex<Vec<Arrived>>);

#[async_trait]
impl PieceLog for Log {
    async fn arrived(&self, piece: Arrived) -> bool {
        self.0.lock().map(|mut pieces| pieces.push(piece)).is_ok()
    }
}

/// One attempt: what came of it, and what arrived with it.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) sent: Sent,
    pub(super) ids: Vec<String>,
}

impl<'a> Sender<'a> {
    /// The account made ready. The guard lets nobody but this account to this machine.
    pub(super) fn open(
        runtime: &'a Runtime,
        account: &Account,
        credential: Option<&SecretString>,
    ) -> Result<Self, ChannelsError> {
        let wrong = |error: String| ChannelsError::Account(error);
        let guard = Guard::new(GuardPolicy::default());
        account.check(&guard).map_err(|error| wrong(error.to_string()))?;
        let transport = Transport::new(TransportOptions::default(), guard);
        let options = ProfileOptions { allow_private: account.allow_private, ..ProfileOptions::default() };
        let profile =
            runtime.block_on(transport.profile(options)).map_err(|error| wrong(error.to_string()))?;
        let channel =
            Channel::open(account, credential, profile).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { runtime, transport, channel })
    }

    /// Sends what is left of a message, within `budget`.
    pub(super) fn send(
        &self,
        message: &Message,
        place: &Place,
        key: &str,
        arrived: u32,
        budget: Duration,
    ) -> Attempted {
        let log = Log::default();
        let sending = Sending { message, place, key, arrived, budget };
        let sent = self.runtime.block_on(self.channel.send(&self.transport, &SystemClock, sending, &log));
        let pieces = log.0.into_inner().unwrap_or_default();
        Attempted { sent, ids: pieces.into_iter().filter_map(|piece| piece.message_id).collect() }
    }
}

/// How often it is waited for a server that asks for it.
const MOST_WAITS: usize = 20;

impl Sender<'_> {
    /// The same, and whenever the server asks to wait, that is done; how often it was.
    pub(super) fn send_patiently(
        &self,
        message: &Message,
        place: &Place,
        key: &str,
        arrived: u32,
        budget: Duration,
    ) -> (Attempted, usize) {
        let mut attempt = self.send(message, place, key, arrived, budget);
        for waits in 0..MOST_WAITS {
            let limited = attempt.sent.report.class == AttemptClass::RateLimited;
            let Some(RetryAfter::Seconds(seconds)) = attempt.sent.report.retry_after.filter(|_| limited)
            else {
                return (attempt, waits);
            };
            std::thread::sleep(Duration::from_secs(seconds));
            attempt = self.send(message, place, key, attempt.sent.arrived, budget);
        }
        (attempt, MOST_WAITS)
    }
}

/// A message with this text.
pub(super) fn message(text: &str) -> Message {
    Message {
        event_id: EventId::from_bytes([7; 16]),
        occurred_at: UnixMs::from_millis(1_771_405_200_000),
        title: "daily-summary: größer & \"besser\"".to_owned(),
        headed: false,
        text: text.to_owned(),
        ack_url: None,
        urgency: Urgency::Normal,
    }
}

/// A text of so many lines, each of which can be told from the others, partly code.
pub(super) fn report(lines: usize) -> String {
    let mut text = String::new();
    for number in 0..lines {
        match number % 400 {
            100 => text.push_str("```text\n"),
            200 => text.push_str("```\n"),
            _ => {}
        }
        text.push_str(&format!("line-{number}: žluťoučký 🐎 & <kůň> says @room\n"));
    }
    text
}

/// How often each of the lines is in `texts`.
pub(super) fn counts(lines: usize, texts: &[String]) -> Vec<usize> {
    let whole = texts.join("\n");
    let mut counts = vec![0; lines];
    for line in whole.lines() {
        let number = line.strip_prefix("line-").and_then(|rest| rest.split_once(':'));
        if let Some(count) = number.and_then(|(number, _)| counts.get_mut(number.parse::<usize>().ok()?)) {
            *count += 1;
        }
    }
    counts
}
