//! `clawhook cron simulate`: what jobs would do over a stretch of time. It is worked out here, by the very decision that
//! the gateway acts on; only the definition of a job that is named by its id is asked for.

mod forecast;
mod report;
mod subject;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clawhook_model::{ErrorReason, FailureRules, Misfire, UnixMs, parse_duration};
use clawhook_schedule::{Simulation, World};
use serde_json::json;

use self::forecast::Expected;
use self::report::{Line, lines};
use self::subject::{Source, Subject};
use super::Misuse;
use super::schedule_flags::read_instant;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// How many lines are shown at most, unless more are asked for.
const LINES: u32 = 1000;

/// The flags of `clawhook cron simulate`.
#[derive(Args)]
pub(super) struct SimulateArgs {
    /// The job's id, or a file of jobs; `-` is standard input
    #[arg(value_name = "ID|FILE", value_parser = NonEmptyStringValueParser::new())]
    what: String,
    /// Begin there: an ISO 8601 time, milliseconds since the epoch, or a duration from now; now where it is left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// End there; a day after the beginning where it is left out
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Assume that each run takes so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    takes: Duration,
    /// Assume that the gateway is down in between; may be given several times
    #[arg(long, value_name = "FROM..TO")]
    down: Vec<String>,
    /// Assume that every run fails with an error of this class
    #[arg(long, value_name = "CLASS", value_parser = classes())]
    fails: Option<ErrorReason>,
    /// Fail (exit code 1) if any of these happens
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = PossibleValuesParser::new(report::EVENTS))]
    deny: Vec<String>,
    /// Show at most so many lines for each job
    #[arg(long, value_name = "N", default_value_t = LINES, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is to be imagined.
pub(super) struct Plan {
    now: UnixMs,
    from: UnixMs,
    until: UnixMs,
    world: World,
}

fn classes() -> impl TypedValueParser<Value = ErrorReason> {
    let names = ErrorReason::ALL.map(ErrorReason::as_str);
    PossibleValuesParser::new(names).map(|name| {
        let named = ErrorReason::ALL.into_iter().find(|reason| reason.as_str() == name);
        named.unwrap_or_else(|| unreachable!("`{name}` is one of the classes"))
    })
}

impl SimulateArgs {
    /// Turns what was typed into what is meant.
    pub(super) fn plan(&self, now: UnixMs) -> Result<Plan, Misuse> {
        let instant = |text: &str| read_instant(text, now, || Ok(None));
        let from = self.from.as_deref().map(instant).transpose()?.unwrap_or(now);
        let until = match &self.to {
            Some(text) => instant(text)?,
            None => from.plus(Duration::from_hours(24)),
        };
        if until <= from {
            return Err(Misuse::new(format!("--to is {until}, which is not after --from, {from}")));
        }
        let mut outages = Vec::with_capacity(self.down.len());
        for text in &self.down {
            let (begin, end) = text
                .split_once("..")
                .ok_or_else(|| Misuse::new(format!("`{text}` is no outage: write it as FROM..TO")))?;
            let (begin, end) = (instant(begin)?, instant(end)?);
            if end <= begin {
                return Err(Misuse::new(format!("the outage `{text}` ends before it begins")));
            }
            outages.push((begin, end));
        }
        outages.sort_unstable();
        if let Some(pair) = outages.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
            return Err(Misuse::new(format!(
                "the outages that begin at {} and {} overlap",
                pair[0].0, pair[1].0
            )));
        }
        Ok(Plan { now, from, until, world: World { takes: self.takes, outages, fails: self.fails } })
    }
}

/// Imagines each job, and shows what would happen. The exit code is 1 where something happens that was denied.
pub(super) async fn run(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &SimulateArgs,
    plan: &Plan,
) -> Result<ExitCode, Failure> {
    let subjects = Source::of(&args.what).read(client).await?;
    let mut denied = Vec::new();
    let mut shown = Vec::new();
    let several = subjects.len() > 1;
    for (place, subject) in subjects.iter().enumerate() {
        let lines = imagine(subject, args, plan);
        let cut = lines.len() > limit(args);
        let expected = subject.costs.as_ref().map(|costs| costs.expected(&lines, plan.now));
        let lines = &lines[..lines.len().min(limit(args))];
        denied.extend(lines.iter().filter(|line| args.deny.iter().any(|word| word == line.event)).map(
            |line| format!("{}: {} of {} at {}", subject.shown(), line.event, line.due_at(), line.at()),
        ));
        if args.json {
            shown.push(report::json(subject, lines, expected.as_ref(), cut));
        } else {
            if several && place > 0 {
                output::data("\n")?;
            }
            output::data(&report::text(subject, lines, plan.from, plan.until))?;
            if let Some(expected) = &expected {
                output::data(&expected.text())?;
            }
        }
        for note in expected.iter().filter_map(Expected::note) {
            output::message("note", &format!("{}: {note}", subject.shown()));
        }
        for remark in subject.remarks().chain(cut.then(|| {
            format!("{}: only the first {} lines are shown; --limit shows more", subject.shown(), args.limit)
        })) {
            output::message("note", &remark);
        }
    }
    if args.json {
        output::json(
            &json!({ "from": plan.from.to_rfc3339(), "to": plan.until.to_rfc3339(), "jobs": shown }),
        )?;
    }
    Ok(verdict(&denied))
}

fn limit(args: &SimulateArgs) -> usize {
    usize::try_from(args.limit).unwrap_or(usize::MAX)
}

/// One line more than may be shown, so that it is known whether there are more.
fn imagine(subject: &Subject, args: &SimulateArgs, plan: &Plan) -> Vec<Line> {
    let simulation = Simulation {
        timetable: &subject.timetable,
        one_shot: subject.definition.schedule.is_one_shot(),
        misfire: subject.definition.misfire.over(Misfire::default()),
        overlap: subject.definition.overlap.unwrap_or_default(),
        failure: FailureRules::default(),
        world: plan.world.clone(),
    };
    let most = limit(args).saturating_add(1);
    let entries =
        if subject.definition.enabled { simulation.run(plan.from, plan.until, most) } else { Vec::new() };
    let mut lines = lines(&entries, &subject.timetable.transitions_between(plan.from, plan.until));
    lines.truncate(most);
    lines
}

fn verdict(denied: &[String]) -> ExitCode {
    for what in denied.iter().take(20) {
        output::message("denied", what);
    }
    if denied.len() > 20 {
        output::message("denied", &format!("and {} more", denied.len() - 20));
    }
    if denied.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
