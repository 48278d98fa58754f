//! Messages to people on their way: one attempt sends what is left of a message, and each part that arrives is noted before
//! the next is sent.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{
    Announced, AttemptClass, AttemptReport, EventId, PhaseTimings, UnixMs, format_duration,
};
use clawhook_store::{LeasedDelivery, PieceArrived, Settled, Spends, Verdict};

use crate::channels::{Arrived, Message, MessageFor, PieceLog, Sending, Sent, Urgency, message_of};
use crate::destination::Say;
use crate::format::RenderInput;
use crate::service::Core;
use crate::verdict::Judgement;

/// For how long the parts of a message are sent in one attempt; what is left goes on in the next.
pub(crate) const PARTS_BUDGET: Duration = Duration::from_secs(30);
/// How long a message rests of which only some parts have arrived.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// What an attempt has brought.
pub(crate) struct Attempted {
    pub(crate) report: AttemptReport,
    /// How long the message rests before it goes on, where parts of it have arrived and others are still to be sent.
    pub(crate) goes_on_after: Option<Duration>,
}

impl Attempted {
    /// An attempt at something that is sent in one piece.
    pub(crate) fn whole(report: AttemptReport) -> Self {
        Self { report, goes_on_after: None }
    }

    fn of(say: &Say, sent: Sent, message_ids: Vec<String>) -> Self {
        let goes_on = sent.report.class.is_delivered() && !sent.is_whole();
        let announced = Announced {
            channel: say.channel.kind().as_str().to_owned(),
            account_id: say.account_id.clone(),
            parts_arrived: sent.arrived,
            parts: sent.of,
            message_ids,
        };
        Self {
            goes_on_after: goes_on.then(|| sent.hold.unwrap_or_default().max(BETWEEN_ATTEMPTS)),
            report: AttemptReport { announced: Some(announced), ..sent.report },
        }
    }

    /// What follows where the message goes on: no retry is used up.
    pub(crate) fn goes_on(&self, now: UnixMs) -> Option<Judgement> {
        let wait = self.goes_on_after?;
        let (arrived, of) = self.report.announced.as_ref().map_or((0, 0), |it| (it.parts_arrived, it.parts));
        let verdict = Verdict::RetryAt { at: now.plus(wait), spends: Spends::Nothing };
        let decision = format!("goes on in {} with part {} of {of}", format_duration(wait), arrived + 1);
        let reason = Some(format!("{arrived} of {of} parts have arrived"));
        Some(Judgement { verdict, pause: None, decision, reason })
    }
}

/// Notes in the store what has arrived, under the lease of its delivery.
struct Noted<'a> {
    core: &'a Core,
    delivery: &'a LeasedDelivery,
    message_ids: Mutex<Vec<String>>,
}

#[async_trait]
impl PieceLog for Noted<'_> {
    async fn arrived(&self, piece: Arrived) -> bool {
        self.message_ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(piece.message_id);
        if piece.of == 1 {
            // Whether it has arrived is said by the record of the attempt.
            return true;
        }
        let LeasedDelivery { id, lease, .. } = *self.delivery;
        let noted =
            self.core.store.note_piece(PieceArrived { delivery_id: id, lease, piece: piece.piece }).await;
        match noted {
            Ok(Settled::Done) => true,
            Ok(Settled::LeaseLost) => {
                tracing::warn!(delivery = %id, "the lease was lost while a message was being sent");
                false
            }
            Err(error) => {
                tracing::error!(delivery = %id, %error, "it cannot be noted which part of a message has arrived");
                false
            }
        }
    }
}

/// Notes nothing: a test message has no record.
struct Unnoted(Mutex<Vec<String>>);

#[async_trait]
impl PieceLog for Unnoted {
    async fn arrived(&self, piece: Arrived) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(piece.message_id);
        true
    }
}

impl Core {
    /// Sends what is left of a message.
    pub(crate) async fn say(&self, say: &Say, delivery: &LeasedDelivery) -> Attempted {
        let event = RenderInput {
            event_id: delivery.event_id,
            kind: delivery.kind.as_str(),
            occurred_at: delivery.occurred_at,
            body: &delivery.body,
            ack_url: None,
        };
        let link = delivery.asks.then(|| self.ack_link(delivery.id, delivery.armed_at));
        let message = match message_of(&event, MessageFor::Readers, link) {
            Ok(message) => message,
            Err(error) => {
                let error = format!("the message cannot be made: {error}");
                let report =
                    AttemptReport::failed(AttemptClass::RenderFailed, error, PhaseTimings::default());
                return Attempted::whole(report);
            }
        };
        let log = Noted { core: self, delivery, message_ids: Mutex::default() };
        let key = delivery.id.to_string();
        let sending = Sending {
            message: &message,
            place: &say.place,
            key: &key,
            arrived: delivery.pieces_sent,
            budget: PARTS_BUDGET,
        };
        let sent = say.channel.send(self.carrier(), self.clock.as_ref(), sending, &log).await;
        let message_ids = log.message_ids.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Attempted::of(say, sent, message_ids)
    }

    /// Sends a test message, once.
    pub(crate) async fn say_test(&self, say: &Say, event_id: EventId, now: UnixMs) -> AttemptReport {
        let text = "This is a test message from clawhook. If you can read it, results can be announced here.";
        let message = Message {
            event_id,
            occurred_at: now,
            title: "Clawhook test".to_owned(),
            headed: false,
            text: text.to_owned(),
            ack_url: None,
            urgency: Urgency::Normal,
        };
        let log = Unnoted(Mutex::default());
        let key = event_id.to_string();
        let sending =
            Sending { message: &message, place: &say.place, key: &key, arrived: 0, budget: PARTS_BUDGET };
        let sent = say.channel.send(self.carrier(), self.clock.as_ref(), sending, &log).await;
        let message_ids = log.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Attempted::of(say, sent, message_ids).report
    }
}
