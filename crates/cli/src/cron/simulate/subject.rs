//! The jobs that are imagined: one of the gateway's, or those of a file.

use std::io::Read as _;
use std::path::Path;

use clawhook_model::{DefinitionError, JobDefinition, JobId, UnixMs};
use clawhook_schedule::{ScheduleError, Timetable, check_new, describe_for, zone_named};
use jiff::tz::TimeZone;
use serde::Deserialize as _;
use serde_json::Value;

use super::forecast::Costs;
use crate::client::{Call, Client};
use crate::cron::next::{this_machines_zone, without_stagger};
use crate::failure::Failure;
use crate::view::{BudgetTodayView, ForecastView};

/// The most that is read of a file.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Where the jobs come from.
pub(super) enum Source<'a> {
    /// A job of the gateway.
    Job(&'a str),
    /// A file.
    File(&'a Path),
    /// Standard input.
    Input,
}

/// A job made ready to be imagined.
pub(super) struct Subject {
    /// Its identity; none where its file gives none.
    pub(super) id: Option<JobId>,
    /// What its owner wants.
    pub(super) definition: JobDefinition,
    /// When it is due.
    pub(super) timetable: Timetable,
    /// The zone in which instants are shown.
    pub(super) zone: TimeZone,
    /// Its schedule in words.
    pub(super) text: String,
    /// What is known of its costs; none where it asks no model, or comes from a file.
    pub(super) costs: Option<Costs>,
    staggered: bool,
}

impl<'a> Source<'a> {
    /// A path or `-` is read; anything else is a job's id.
    pub(super) fn of(what: &'a str) -> Self {
        let path = Path::new(what);
        if what == "-" {
            Self::Input
        } else if path.exists() || what.contains(['/', '\\']) || what.ends_with(".json") {
            Self::File(path)
        } else {
            Self::Job(what)
        }
    }

    /// Reads the jobs.
    pub(super) async fn read(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
    ) -> Result<Vec<Subject>, Failure> {
        let (place, value) = match self {
            Self::Job(id) => {
                let job = client()?.call(Call::get(["jobs", id])).await?;
                return Ok(vec![Subject::read("the job", with_effective(job))?]);
            }
            Self::File(path) => {
                let name = format!("`{}`", path.display());
                let file = std::fs::File::open(path)
                    .map_err(|error| Failure::error(format!("{name} cannot be read: {error}")))?;
                let value = parse(&name, file)?;
                (name, value)
            }
            Self::Input => {
                let name = "standard input".to_owned();
                let value = parse(&name, std::io::stdin().lock())?;
                (name, value)
            }
        };
        let jobs = jobs_of(value);
        if jobs.is_empty() {
            return Err(Failure::error(format!("{place} holds no jobs")));
        }
        let numbered = |(number, job): (usize, Value)| Subject::read(&title(&place, number, &job), job);
        jobs.into_iter().enumerate().map(numbered).collect()
    }
}

/// The job with what holds for it by the gateway's configuration.
fn with_effective(mut job: Value) -> Value {
    for policy in ["misfire", "overlap"] {
        let effective = job["effective"][policy].clone();
        if !effective.is_null() {
            job[policy] = effective;
        }
    }
    job
}

fn parse(name: &str, from: impl std::io::Read) -> Result<Value, Failure> {
    let mut text = String::new();
    from.take(LARGEST_FILE)
        .read_to_string(&mut text)
        .map_err(|error| Failure::error(format!("{name} cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        let hint = "it should hold a job, a list of jobs, or `{\"jobs\": […]}`, as JSON";
        Failure::with_hint(format!("{name} is not JSON: {error}"), hint)
    })
}

/// The jobs in a document: one, a list, or the list at `jobs`.
fn jobs_of(value: Value) -> Vec<Value> {
    match value {
        Value::Array(jobs) => jobs,
        Value::Object(mut outer) => match outer.remove("jobs") {
            Some(Value::Array(jobs)) => jobs,
            Some(other) => vec![other],
            None => vec![Value::Object(outer)],
        },
        other => vec![other],
    }
}

/// How a job of a file is named in errors.
fn title(place: &str, number: usize, job: &Value) -> String {
    match job["name"].as_str().or(job["id"].as_str()) {
        Some(name) => format!("the job `{name}` of {place}"),
        None => format!("job {} of {place}", number + 1),
    }
}

impl Subject {
    fn read(title: &str, job: Value) -> Result<Self, Failure> {
        let id = job["id"].as_str().map(str::to_owned);
        let host_zone = job["hostTimeZone"].as_str().map(str::to_owned);
        let forecast = ForecastView::deserialize(&job["forecast"]).ok();
        let today = BudgetTodayView::deserialize(&job["budgetToday"]).ok();
        let created_at = job["createdAtMs"].as_i64().map_or(UnixMs::EPOCH, UnixMs::from_millis);
        let definition = JobDefinition::parse(job, created_at).map_err(|error| refused(title, &error))?;
        let id = id
            .map(|id| id.parse::<JobId>())
            .transpose()
            .map_err(|error| Failure::error(format!("{title} has no good id: {error}")))?;
        let host_zone = match host_zone {
            Some(name) => zone_named(&name).map_err(|error| unreadable(title, &error))?,
            None => this_machines_zone(),
        };
        let text = describe_for(&definition.schedule, id.as_ref(), host_zone.iana_name());
        let (schedule, window) = match &id {
            Some(_) => (definition.schedule.clone(), 0),
            None => without_stagger(definition.schedule.clone()),
        };
        let nobody = JobId::random();
        let timetable = Timetable::new(&schedule, id.as_ref().unwrap_or(&nobody), &host_zone)
            .map_err(|error| unreadable(title, &error))?;
        if !schedule.is_one_shot() {
            check_new(&schedule, &nobody, &host_zone, UnixMs::EPOCH)
                .map_err(|error| unreadable(title, &error))?;
        }
        let budget = definition.budget;
        let costs = forecast.map(|forecast| Costs { forecast, today, budget, zone: host_zone.clone() });
        let zone = timetable.zone().cloned().unwrap_or(host_zone);
        Ok(Self { id, definition, timetable, zone, text, costs, staggered: window > 1 })
    }

    /// How it is named.
    pub(super) fn shown(&self) -> &str {
        &self.definition.name
    }

    /// What a person should know.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let name = self.shown();
        let disabled =
            (!self.definition.enabled).then(|| format!("{name}: the job is disabled, so nothing happens"));
        let base = self.staggered.then(|| {
            format!("{name}: the job has no id yet, so its times are shown without the offset of its stagger")
        });
        disabled.into_iter().chain(base)
    }
}

fn refused(title: &str, error: &DefinitionError) -> Failure {
    let message = format!("{title} would be refused: {error}");
    match error.hint() {
        Some(hint) => Failure::with_hint(message, hint),
        None => Failure::error(message),
    }
}

fn unreadable(title: &str, error: &ScheduleError) -> Failure {
    let message = format!("{title} would be refused: {error}");
    match error.hint() {
        Some(hint) => Failure::with_hint(message, hint),
        None => Failure::error(message),
    }
}
