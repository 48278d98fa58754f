//! Sending once more: one delivery, a run's, or a range of them.

use clawhook_model::{
    DefinitionError, Delivery, DeliveryId, Replay, ReplayId, ReplayRequest, ReplayState, RunId,
};
use clawhook_store::{
    DeliveryReplayed, NewReplay, NotSentAgain, ReplayCancelled, ReplayListFilter, ReplayPage,
    ReplayWithOutcomes, RunReplayed, SentAgain, StoreError,
};
use serde_json::Value;
use thiserror::Error;

use super::destination_ref::DestinationRefVerbError;
use super::{Verbs, shown, store_code};

/// What came of asking for a range.
#[derive(Debug)]
pub(crate) enum RangeReplayed {
    /// It was only counted.
    Counted(u64),
    /// It is durable, and goes on by itself.
    Begun(Box<Replay>),
}

/// What came of asking for a run's result once more.
#[derive(Debug)]
pub(crate) struct RunSentAgain {
    /// What is due, each with whether it is a delivery that was made for it.
    pub(crate) sent: Vec<(Delivery, bool)>,
    /// What is not sent, each with the reason.
    pub(crate) refused: Vec<(DeliveryId, NotSentAgain)>,
}

/// Why a verb on replays was not done.
#[derive(Debug, Error)]
pub(crate) enum ReplayVerbError {
    /// There is no such delivery.
    #[error("Delivery not found: {0}.")]
    NoSuchDelivery(String),
    /// There is no such run.
    #[error("Run not found: {0}.")]
    NoSuchRun(String),
    /// There is no such replay.
    #[error("Replay not found: {0}.")]
    NotFound(String),
    /// It is no request.
    #[error(transparent)]
    Request(#[from] DefinitionError),
    /// The destination that was named cannot be used.
    #[error(transparent)]
    Destination(#[from] DestinationRefVerbError),
    /// The delivery is not sent once more.
    #[error("`{0}` is not sent again: {why}", why = why_not(*.1))]
    Refused(DeliveryId, NotSentAgain),
    /// The run asked for no delivery.
    #[error("the run `{0}` asked for no delivery, so there is none to send again")]
    NothingToSend(RunId),
    /// The run has no result yet.
    #[error("the run `{0}` is not over, so there is no result to send")]
    NotOver(RunId),
    /// The replay is over.
    #[error("`{0}` is {state} already", state = .1.as_str())]
    Over(ReplayId, ReplayState),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a delivery is not sent once more, in words.
pub(crate) fn why_not(why: NotSentAgain) -> String {
    match why {
        NotSentAgain::Open(state) => format!("it is {}, so it is on its way", state.as_str()),
        NotSentAgain::Suppressed => "it was not to be sent: the run said nothing to deliver".to_owned(),
        NotSentAgain::NoSender => "its target is none that this version of clawhook can send to".to_owned(),
        NotSentAgain::NoDestination => "its destination is not there any more".to_owned(),
        NotSentAgain::SentByThisReplay => "the same replay has sent its event there already".to_owned(),
    }
}

impl ReplayVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoSuchDelivery(_) | Self::NoSuchRun(_) | Self::NotFound(_) => "not_found",
            Self::Request(DefinitionError::UnknownField { .. }) => "unknown_field",
            Self::Request(_) => "invalid_replay",
            Self::Destination(error) => error.code(),
            Self::Refused(_, NotSentAgain::Open(_)) => "under_way",
            Self::Refused(_, NotSentAgain::Suppressed) => "suppressed",
            Self::Refused(_, NotSentAgain::NoSender) => "no_sender",
            Self::Refused(_, NotSentAgain::NoDestination) => "no_destination",
            Self::Refused(_, NotSentAgain::SentByThisReplay) => "already_sent",
            Self::NothingToSend(_) => "nothing_to_send",
            Self::NotOver(_) => "run_not_over",
            Self::Over(..) => "replay_over",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchDelivery(id) => id.parse::<DeliveryId>().err().map(|error| error.to_string()),
            Self::NoSuchRun(id) => id.parse::<RunId>().err().map(|error| error.to_string()),
            Self::NotFound(id) => id.parse::<ReplayId>().err().map(|error| error.to_string()),
            Self::Request(DefinitionError::Missing { .. }) => {
                Some("say which deliveries: `{\"filter\": {}}` is all that are dead".to_owned())
            }
            Self::Request(error) => error.hint(),
            Self::Destination(error) => error.hint(),
            Self::Refused(id, NotSentAgain::Open(_)) => {
                Some(format!("to have it tried now: `clawhook deliveries retry {id}`"))
            }
            Self::Refused(_, NotSentAgain::Suppressed) => {
                Some("to send something new, run the job again".to_owned())
            }
            Self::Refused(..) | Self::NothingToSend(_) => {
                Some("say where to: a destination's name, or a URL".to_owned())
            }
            Self::NotOver(_) => Some("wait until it has ended".to_owned()),
            Self::Over(..) => Some("only a replay that is running can be cancelled".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }

    /// The field of the request that it is about.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Request(
                DefinitionError::UnknownField { field, .. }
                | DefinitionError::Missing { field }
                | DefinitionError::Type { field, .. }
                | DefinitionError::Invalid { field, .. },
            ) => Some(field.clone()),
            _ => None,
        }
    }
}

impl Verbs {
    /// Sends the event of a delivery once more. Gives the delivery that is due, and whether it was made for it.
    pub(crate) async fn replay_delivery(
        &self,
        text: &str,
        body: Value,
    ) -> Result<(Delivery, bool), ReplayVerbError> {
        let not_found = || ReplayVerbError::NoSuchDelivery(shown(text));
        let id: DeliveryId = text.parse().map_err(|_| not_found())?;
        let to = match ReplayRequest::parse_to(body)? {
            Some(named) => Some(self.find_target(named).await?),
            None => None,
        };
        match self.with.store.replay_delivery(id, to, self.with.clock.now()).await? {
            DeliveryReplayed::Sent(again) => self.due(again).await,
            DeliveryReplayed::Refused(why) => Err(ReplayVerbError::Refused(id, why)),
            DeliveryReplayed::NotFound => Err(not_found()),
        }
    }

    /// Sends the result of a run once more, without running it again.
    pub(crate) async fn replay_run(&self, text: &str, body: Value) -> Result<RunSentAgain, ReplayVerbError> {
        let not_found = || ReplayVerbError::NoSuchRun(shown(text));
        let run: RunId = text.parse().map_err(|_| not_found())?;
        let to = match ReplayRequest::parse_to(body)? {
            Some(named) => Some(self.find_target(named).await?),
            None => None,
        };
        let (sent, refused) = match self.with.store.replay_run(run, to, self.with.clock.now()).await? {
            RunReplayed::Done { sent, refused } => (sent, refused),
            RunReplayed::NotOver => return Err(ReplayVerbError::NotOver(run)),
            RunReplayed::NotFound => return Err(not_found()),
        };
        match (sent.as_slice(), refused.first()) {
            ([], Some((id, why))) => return Err(ReplayVerbError::Refused(*id, *why)),
            ([], None) => return Err(ReplayVerbError::NothingToSend(run)),
            _ => {}
        }
        let mut due = Vec::with_capacity(sent.len());
        for again in sent {
            due.push(self.due(again).await?);
        }
        Ok(RunSentAgain { sent: due, refused })
    }

    async fn due(&self, again: SentAgain) -> Result<(Delivery, bool), ReplayVerbError> {
        let id = again.delivery();
        let found = self.with.store.delivery(id).await?;
        let found = found.ok_or_else(|| ReplayVerbError::NoSuchDelivery(id.to_string()))?;
        Ok((found.delivery, matches!(again, SentAgain::Added(_))))
    }

    /// Begins to send a range once more, or only counts it.
    pub(crate) async fn replay_range(&self, body: Value) -> Result<RangeReplayed, ReplayVerbError> {
        let ReplayRequest { mut filter, to, per_second, dry_run } = ReplayRequest::parse(body)?;
        let destination = match filter.destination.take() {
            Some(named) => Some(self.destination_id_of(named).await?),
            None => None,
        };
        let filter = filter.with_destination(destination);
        let target = match &to {
            Some(named) => Some(self.find_target(named.clone()).await?),
            None => None,
        };
        let now = self.with.clock.now();
        if dry_run {
            return Ok(RangeReplayed::Counted(self.with.store.count_replayable(filter, now).await?));
        }
        let new = NewReplay { id: ReplayId::new(now), filter, to: target, per_second, now };
        match (self.with.store.start_replay(new).await?, to) {
            (Some(replay), _) => Ok(RangeReplayed::Begun(Box::new(replay))),
            // It was removed between two readings.
            (None, Some(named)) => Err(DestinationRefVerbError::Unknown(named).into()),
            (None, None) => Err(StoreError::Engine("a replay was not begun".to_owned()).into()),
        }
    }

    /// A page of replays.
    pub(crate) async fn replays(&self, filter: ReplayListFilter) -> Result<ReplayPage, ReplayVerbError> {
        Ok(self.with.store.replays(filter).await?)
    }

    /// One replay, and what became of what it queued.
    pub(crate) async fn replay(&self, text: &str) -> Result<ReplayWithOutcomes, ReplayVerbError> {
        let found = self.with.store.replay(replay_id(text)?).await?;
        found.ok_or_else(|| ReplayVerbError::NotFound(shown(text)))
    }

    /// Ends a replay; what it has queued is still sent.
    pub(crate) async fn cancel_replay(&self, text: &str) -> Result<Replay, ReplayVerbError> {
        let id = replay_id(text)?;
        match self.with.store.cancel_replay(id, self.with.clock.now()).await? {
            ReplayCancelled::Done(replay) => Ok(*replay),
            ReplayCancelled::Over(state) => Err(ReplayVerbError::Over(id, state)),
            ReplayCancelled::NotFound => Err(ReplayVerbError::NotFound(shown(text))),
        }
    }
}

fn replay_id(text: &str) -> Result<ReplayId, ReplayVerbError> {
    text.parse().map_err(|_| ReplayVerbError::NotFound(shown(text)))
}
