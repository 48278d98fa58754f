//! Defining, halting, trying out and reading destinations.

use clawhook_delivery::{GuardRefusal, NoRandomness, RenderRefused, TestRefused, TestReport, Unready};
use clawhook_model::{
    DefinitionError, Destination, DestinationDefinition, DestinationId, DestinationName,
    DestinationNameError, Halt, HaltReason, JobId, MASK, RunId, Standing, Target,
};
use clawhook_store::{
    Decider, DestinationFilter, DestinationPage, DestinationRemoved, DestinationUpdated,
    DestinationWithQueue, NewDestination, OrderHead, QueueState, StoreError,
};
use serde_json::{Map, Value};
use thiserror::Error;

use super::destination_secrets::sealed;
use super::jobs::{EDIT_ATTEMPTS, definition_error_field};
use super::{Verbs, shown, store_code};
use crate::secrets::NoNonce;

/// How many of the jobs that name a destination are told.
const JOBS_TOLD: usize = 100;
/// How many of the deliveries that hold an order up are told.
const HEADS_TOLD: usize = 20;
/// How many jobs a sentence names.
const JOBS_NAMED: usize = 3;
/// How long the reason of a pause may be, in characters.
const LONGEST_REASON: usize = 500;

/// A destination with everything there is to know of it.
#[derive(Debug, Clone)]
pub(crate) struct DestinationDetail {
    /// The destination and what waits for it.
    pub(crate) found: DestinationWithQueue,
    /// The jobs that name it.
    pub(crate) jobs: Vec<JobId>,
    /// The deliveries that hold its order up.
    pub(crate) heads: Vec<OrderHead>,
}

/// What came of trying a destination out.
#[derive(Debug, Clone)]
pub(crate) struct DestinationTested {
    /// The destination.
    pub(crate) destination: Destination,
    /// The attempt.
    pub(crate) report: TestReport,
}

/// Why a verb on destinations was not done.
#[derive(Debug, Error)]
pub(crate) enum DestinationVerbError {
    /// There is no such destination.
    #[error("Destination not found: {0}.")]
    NotFound(String),
    /// A new destination without a name.
    #[error("`name` is required")]
    Nameless,
    /// No name of a destination.
    #[error("`name`: {0}")]
    Name(#[from] DestinationNameError),
    /// A name that is no text, or another than the destination has.
    #[error("`name` cannot be changed: jobs and deliveries know the destination by it")]
    Renamed,
    /// It is no destination.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The mask, where nothing is kept that it could stand for.
    #[error("`{0}` holds `{MASK}`, which stands for what is kept and not shown, and nothing is kept there")]
    NothingMasked(String),
    /// It lies where no webhook may go.
    #[error(transparent)]
    Webhook(#[from] GuardRefusal),
    /// There is one of this name.
    #[error("there is a destination `{0}` already")]
    Taken(DestinationName),
    /// It came about by its URL and has no definition.
    #[error("`{0}` is an implicit destination: a job names its URL, and there is no definition to change")]
    Implicit(DestinationId),
    /// It is changed where it is declared, and nowhere else.
    #[error("`{name}` is declared in `{file}`, and is changed there")]
    Declared {
        /// The destination.
        name: DestinationName,
        /// The configuration file.
        file: String,
    },
    /// It was declared once, and goes when nothing depends on it any more.
    #[error("`{name}` was declared in `{file}` and is no more; it stays only for what depends on it")]
    LeftOver {
        /// The destination.
        name: DestinationName,
        /// The configuration file.
        file: String,
    },
    /// It is not what the caller has read.
    #[error("the destination was changed in the meantime: its revision is {actual}, not {expected}")]
    Changed {
        /// The revision that the caller has read.
        expected: u64,
        /// The revision it has.
        actual: u64,
    },
    /// Others edit it too fast.
    #[error("others are editing `{0}` at this moment, and the edit found no gap")]
    Contended(DestinationName),
    /// Something depends on it.
    #[error("`{name}` is in use: {}", uses(*.waiting, .jobs))]
    InUse {
        /// The destination.
        name: DestinationName,
        /// How many deliveries wait for it.
        waiting: u64,
        /// The jobs that name it.
        jobs: Vec<JobId>,
    },
    /// It is disabled, and a pause would be less.
    #[error("`{name}` is disabled already: {detail}")]
    Disabled {
        /// The destination.
        name: String,
        /// Why.
        detail: String,
    },
    /// A reason that nobody would read.
    #[error("`reason` has more than {LONGEST_REASON} characters")]
    LongReason,
    /// Nothing could be sent by it as it is defined.
    #[error("nothing could be sent to it: {0}")]
    Unready(#[from] Unready),
    /// There is no event of this run: there is no such run, or it goes on.
    #[error("there is no event of the run `{0}`")]
    NoEvent(RunId),
    /// The body cannot be made.
    #[error("the body cannot be made: {0}")]
    Render(RenderRefused),
    /// A key could not be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] NoNonce),
    /// Nothing could be tried out.
    #[error(transparent)]
    Test(TestRefused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What depends on a destination, in words.
pub(super) fn uses(waiting: u64, jobs: &[JobId]) -> String {
    let deliveries = match waiting {
        0 => None,
        1 => Some("1 delivery waits for it".to_owned()),
        many => Some(format!("{many} deliveries wait for it")),
    };
    let named: Vec<&str> = jobs.iter().take(JOBS_NAMED).map(JobId::as_str).collect();
    let more = if jobs.len() > JOBS_NAMED { " and others" } else { "" };
    let jobs = match named.as_slice() {
        [] => None,
        [only] => Some(format!("the job {only} names it")),
        several => Some(format!("the jobs {}{more} name it", several.join(", "))),
    };
    deliveries.into_iter().chain(jobs).collect::<Vec<_>>().join(", and ")
}

impl DestinationVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Test(TestRefused::Gone) => "not_found",
            Self::Definition(DefinitionError::UnknownField { .. }) => "unknown_field",
            Self::Nameless
            | Self::Name(_)
            | Self::Renamed
            | Self::Definition(_)
            | Self::NothingMasked(_)
            | Self::LongReason => "invalid_destination",
            Self::Webhook(_) => "webhook_refused",
            Self::Taken(_) => "name_taken",
            Self::Implicit(_) => "implicit_destination",
            Self::Declared { .. } | Self::LeftOver { .. } => "declared_destination",
            Self::Changed { .. } => "destination_changed",
            Self::Contended(_) | Self::Test(TestRefused::Busy) => "busy",
            Self::InUse { .. } => "in_use",
            Self::Disabled { .. } => "disabled",
            Self::Test(TestRefused::Unready { .. }) | Self::Unready(_) => "unready",
            Self::NoRandomness(_) | Self::Seal(_) => "no_randomness",
            Self::NoEvent(_) => "not_found",
            Self::Render(_) => "unrenderable",
            Self::Test(TestRefused::Store(error)) | Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound(_) | Self::Test(TestRefused::Gone) => {
                "see those there are: `clawhook destinations list --all`"
            }
            Self::Nameless => "give the name that jobs are to call it by",
            Self::Renamed => "add another destination, and have the jobs name that one",
            Self::Definition(error) => return error.hint(),
            Self::NothingMasked(_) => "give the value itself",
            Self::Webhook(refusal) => return Some(refusal.hint()),
            Self::Taken(_) => "edit that one, or choose another name",
            Self::Implicit(_) => "add a destination with this URL, and have the jobs name it",
            Self::LeftOver { .. } => "declare it again to change it, or remove it once it is not needed",
            Self::Declared { .. } => "edit the file and start the gateway again",
            Self::Changed { .. } => "read the destination again and repeat the edit on what it is now",
            Self::Contended(_) | Self::Test(TestRefused::Busy) => "try again",
            Self::InUse { waiting: 1.., .. } => {
                "have what waits delivered or cancelled, and the jobs changed or removed, first"
            }
            Self::InUse { .. } => "have the jobs deliver elsewhere, or remove them, first",
            Self::Disabled { .. } => "nothing is sent to it until it is resumed",
            Self::Name(_) | Self::LongReason => return None,
            Self::Test(TestRefused::Unready { .. }) | Self::Unready(_) => "mend that, and try again",
            Self::NoRandomness(_) | Self::Seal(_) => "this machine is not fit to make secrets",
            Self::NoEvent(_) => "name a run that is over: `clawhook cron runs`",
            Self::Render(_) => "mend the destination's `format`",
            Self::Test(TestRefused::Store(error)) | Self::Store(error) => error.hint(),
        };
        Some(hint.to_owned())
    }

    /// The field that it is about.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Nameless | Self::Name(_) | Self::Renamed => Some("name".to_owned()),
            Self::Definition(error) => definition_error_field(error),
            Self::NothingMasked(field) => Some(field.clone()),
            Self::Webhook(_) => Some("url".to_owned()),
            Self::LongReason => Some("reason".to_owned()),
            _ => None,
        }
    }
}

impl Verbs {
    /// Reads, checks and stores a new destination: its name beside its definition.
    pub(crate) async fn add_destination(
        &self,
        given: Value,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        let (name, given) = split_name(given)?;
        let name = name.ok_or(DestinationVerbError::Nameless)?;
        refuse_lone_mask(&given)?;
        let definition = self.storable(&name, DestinationDefinition::parse(given)?).await?;
        let new =
            NewDestination { name: name.clone(), definition, declared_in: None, now: self.with.clock.now() };
        match self.with.store.insert_destination(new).await? {
            Some(added) => self.detail(added.id).await,
            None => Err(DestinationVerbError::Taken(name)),
        }
    }

    /// Edits a destination: what is left out stays, `null` clears, and a mask keeps what it stands for.
    pub(crate) async fn edit_destination(
        &self,
        handle: &str,
        patch: Value,
        expected_revision: Option<u64>,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        let (new_name, patch) = split_name(patch)?;
        for _ in 0..EDIT_ATTEMPTS {
            let found = self.find_destination(handle).await?.destination;
            check_revision(&found, expected_revision)?;
            let (name, definition) = defined(&found)?;
            if new_name.as_ref().is_some_and(|new_name| new_name != name) {
                return Err(DestinationVerbError::Renamed);
            }
            self.refuse_declared(name, &found)?;
            if let Some(file) = &found.declared_in {
                let (name, file) = (name.clone(), file.clone());
                return Err(DestinationVerbError::LeftOver { name, file });
            }
            let edited = patched(definition, &patch);
            refuse_lone_mask(&edited)?;
            let definition = self.storable(name, DestinationDefinition::parse_stored(edited)?).await?;
            let now = self.with.clock.now();
            let (id, revision) = (found.id, found.revision);
            match self.with.store.update_destination(id, revision, definition, None, now).await? {
                DestinationUpdated::Done(_) => return self.detail(id).await,
                DestinationUpdated::Changed => {}
                DestinationUpdated::NotFound => return Err(not_found(handle)),
            }
        }
        let found = self.find_destination(handle).await?.destination;
        Err(DestinationVerbError::Contended(defined(&found)?.0.clone()))
    }

    /// Removes a destination for which nothing waits and that no job names; its history stays.
    pub(crate) async fn remove_destination(&self, handle: &str) -> Result<(), DestinationVerbError> {
        let found = self.find_destination(handle).await?.destination;
        let (name, _) = defined(&found)?;
        self.refuse_declared(name, &found)?;
        match self.with.store.remove_destination(found.id, self.with.clock.now()).await? {
            DestinationRemoved::Done => Ok(()),
            DestinationRemoved::NotFound => Err(not_found(handle)),
            DestinationRemoved::InUse(waiting) => Err(self.in_use(name, waiting).await?),
            DestinationRemoved::Named => Err(self.in_use(name, 0).await?),
        }
    }

    /// Sends nothing more to a destination until a person resumes it. What waits is kept.
    pub(crate) async fn pause_destination(
        &self,
        handle: &str,
        reason: Option<String>,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
            return Err(DestinationVerbError::LongReason);
        }
        let found = self.find_destination(handle).await?.destination;
        if let Standing::Disabled(halt) = &found.standing {
            let (name, detail) = (found.target.shown(), halt.detail.clone());
            return Err(DestinationVerbError::Disabled { name, detail });
        }
        let detail = reason.unwrap_or_else(|| "paused by hand".to_owned());
        let halt = Halt { reason: HaltReason::ByHand, detail, since: self.with.clock.now() };
        self.set_standing(handle, found.id, Standing::Paused(halt)).await
    }

    /// Sends to a destination again, whatever halted it.
    pub(crate) async fn resume_destination(
        &self,
        handle: &str,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        let found = self.find_destination(handle).await?.destination;
        self.set_standing(handle, found.id, Standing::Active).await
    }

    /// Sends a test event, once, by the very way of a real delivery.
    pub(crate) async fn test_destination(
        &self,
        handle: &str,
    ) -> Result<DestinationTested, DestinationVerbError> {
        let destination = self.find_destination(handle).await?.destination;
        let report = self.with.delivery.test(destination.id).await.map_err(DestinationVerbError::Test)?;
        Ok(DestinationTested { destination, report })
    }

    /// One destination, by its name or its handle.
    pub(crate) async fn destination(&self, handle: &str) -> Result<DestinationDetail, DestinationVerbError> {
        let found = self.find_destination(handle).await?;
        self.with_detail(found).await
    }

    /// A page of destinations, the named ones first.
    pub(crate) async fn destinations(
        &self,
        filter: DestinationFilter,
    ) -> Result<DestinationPage, DestinationVerbError> {
        Ok(self.with.store.destinations(filter).await?)
    }

    pub(super) async fn find_destination(
        &self,
        handle: &str,
    ) -> Result<DestinationWithQueue, DestinationVerbError> {
        let found = if let Ok(id) = handle.parse::<DestinationId>() {
            self.with.store.destination(id).await?
        } else if let Ok(name) = handle.parse::<DestinationName>() {
            self.with.store.destination_named(&name).await?
        } else {
            None
        };
        found.ok_or_else(|| not_found(handle))
    }

    async fn detail(&self, id: DestinationId) -> Result<DestinationDetail, DestinationVerbError> {
        let found = self.with.store.destination(id).await?;
        self.with_detail(found.ok_or_else(|| not_found(&id.to_string()))?).await
    }

    async fn with_detail(
        &self,
        found: DestinationWithQueue,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        let jobs = match &found.destination.target {
            Target::Destination(name) => self.with.store.jobs_naming(name, JOBS_TOLD).await?,
            Target::Webhook(_) | Target::Announce(_) => Vec::new(),
        };
        let heads = if found.queue.blocked > 0 {
            self.with.store.order_heads(found.destination.id, HEADS_TOLD).await?
        } else {
            Vec::new()
        };
        Ok(DestinationDetail { found, jobs, heads })
    }

    /// Reads a definition and checks what can be checked while somebody is looking.
    /// Checks a definition, and gives it as it may be stored.
    async fn storable(
        &self,
        name: &DestinationName,
        definition: DestinationDefinition,
    ) -> Result<DestinationDefinition, DestinationVerbError> {
        self.with.guard.check_destination(&definition)?;
        self.check_ready(name, &definition).await?;
        Ok(sealed(&self.with.sealer, name, definition)?)
    }

    async fn set_standing(
        &self,
        handle: &str,
        id: DestinationId,
        standing: Standing,
    ) -> Result<DestinationDetail, DestinationVerbError> {
        let set = self.with.store.set_standing(id, standing, Decider::Person, self.with.clock.now()).await?;
        self.detail(set.ok_or_else(|| not_found(handle))?.id).await
    }

    /// Refuses to change by hand what the configuration says.
    pub(super) fn refuse_declared(
        &self,
        name: &DestinationName,
        destination: &Destination,
    ) -> Result<(), DestinationVerbError> {
        match &destination.declared_in {
            Some(file) if self.with.declarations.declares(name) => {
                Err(DestinationVerbError::Declared { name: name.clone(), file: file.clone() })
            }
            _ => Ok(()),
        }
    }

    async fn in_use(&self, name: &DestinationName, waiting: u64) -> Result<DestinationVerbError, StoreError> {
        let jobs = self.with.store.jobs_naming(name, JOBS_NAMED + 1).await?;
        Ok(DestinationVerbError::InUse { name: name.clone(), waiting, jobs })
    }
}

/// How many deliveries are not settled.
pub(super) fn open(queue: &QueueState) -> u64 {
    queue.pending + queue.waiting + queue.leased
}

/// Takes the name out of what was given; the rest is the definition.
fn split_name(given: Value) -> Result<(Option<DestinationName>, Value), DestinationVerbError> {
    let Value::Object(mut members) = given else { return Ok((None, given)) };
    let name = match members.remove("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.trim().parse()?),
        Some(_) => {
            let (field, got) = ("name".to_owned(), "something else".to_owned());
            return Err(DefinitionError::Type { field, expected: "a text", got }.into());
        }
    };
    Ok((name, Value::Object(members)))
}

/// A named destination's name and definition.
pub(super) fn defined(
    destination: &Destination,
) -> Result<(&DestinationName, &DestinationDefinition), DestinationVerbError> {
    match (&destination.target, &destination.definition) {
        (Target::Destination(name), Some(definition)) => Ok((name, definition)),
        _ => Err(DestinationVerbError::Implicit(destination.id)),
    }
}

fn check_revision(destination: &Destination, expected: Option<u64>) -> Result<(), DestinationVerbError> {
    match expected {
        Some(expected) if expected != destination.revision => {
            Err(DestinationVerbError::Changed { expected, actual: destination.revision })
        }
        _ => Ok(()),
    }
}

pub(super) fn not_found(handle: &str) -> DestinationVerbError {
    DestinationVerbError::NotFound(shown(handle))
}

/// The stored definition with a patch applied. A section (`limits`, `headers`, …) is merged member by member, and what
/// lies deeper is one value, such as the reference to a secret. What is written back as it was shown keeps what is
/// stored.
fn patched(definition: &DestinationDefinition, patch: &Value) -> Value {
    let (stored, masked) = (definition.to_stored_json(), definition.to_json());
    let (Value::Object(stored), Value::Object(patch)) = (stored, patch) else { return patch.clone() };
    let mut merged = stored.clone();
    for (key, given) in patch {
        let value = match (stored.get(key), given) {
            (Some(Value::Object(section)), Value::Object(given)) => {
                Value::Object(merged_members(section, &masked[key], given))
            }
            (old, given) => kept_or_given(old, &masked[key], given),
        };
        merged.insert(key.clone(), value);
    }
    Value::Object(merged)
}

fn merged_members(
    stored: &Map<String, Value>,
    masked: &Value,
    given: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = stored.clone();
    for (key, given) in given {
        if given.is_null() {
            merged.remove(key);
        } else {
            merged.insert(key.clone(), kept_or_given(stored.get(key), &masked[key], given));
        }
    }
    merged
}

fn kept_or_given(stored: Option<&Value>, masked: &Value, given: &Value) -> Value {
    match stored {
        Some(stored) if given == masked => stored.clone(),
        _ => given.clone(),
    }
}

fn refuse_lone_mask(given: &Value) -> Result<(), DestinationVerbError> {
    lone_mask("", given).map_or(Ok(()), |field| Err(DestinationVerbError::NothingMasked(field)))
}

/// The first field that holds the mask, or a URL with the mask in the place of a query's value.
fn lone_mask(field: &str, value: &Value) -> Option<String> {
    let inner = |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
    match value {
        Value::String(text) => {
            let in_query = field == "url"
                && text.split_once('?').is_some_and(|(_, query)| {
                    query.split('&').any(|pair| pair == MASK || pair.ends_with(&format!("={MASK}")))
                });
            (text == MASK || in_query).then(|| field.to_owned())
        }
        Value::Object(members) => members.iter().find_map(|(key, value)| lone_mask(&inner(key), value)),
        Value::Array(items) => items.iter().find_map(|item| lone_mask(field, item)),
        _ => None,
    }
}
