//! `clawhook cron list`.

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::Value;

use super::show;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, JobView, JobsPage};
use crate::{moment, output, table};

/// The flags of `clawhook cron list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// The disabled ones too
    #[arg(long)]
    all: bool,
    /// Only those whose name or description holds this text
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// At most so many; they are fetched in pages of 200
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Leave out so many first
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 10] = [
    Column::whole("ID"),
    Column::cut("Name", 12),
    Column::optional("Schedule", 14, 2),
    Column::cut("Next", 7),
    Column::optional("Last", 7, 3),
    Column::whole("Status"),
    Column::optional("Target", 8, 6),
    Column::optional("Delivery", 20, 4),
    Column::optional("Agent", 5, 5),
    Column::optional("Spent today", 12, 7),
];

/// How many jobs are told of at most that were switched off.
const MOST_WARNINGS: usize = 10;

/// How many jobs a page holds at most.
const PAGE: u32 = 200;

/// Lists the jobs, the one that is due next first.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = fetch(client, &args).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: JobsPage = view::read(&answer)?;
    if page.jobs.is_empty() {
        output::message(
            "note",
            if args.all { "no jobs" } else { "no enabled jobs; --all lists the others too" },
        );
        return Ok(());
    }
    let rows = page.jobs.iter().map(|job| row(job, now)).collect();
    output::data(&table::render_used(&COLUMNS, &["Spent today"], rows))?;
    warn_of_switched_off(&page.jobs);
    page.page.note_rest(page.jobs.len());
    Ok(())
}

/// As many pages as are asked for, as one.
async fn fetch(client: &Client, args: &ListArgs) -> Result<Value, Failure> {
    let mut whole = client.call(page(args, args.limit).maybe("offset", args.offset)).await?;
    while let Some(after) = whole["nextCursor"].as_str().map(str::to_owned)
        && let left @ 1.. = args.limit.saturating_sub(count(&whole))
    {
        let next = client.call(page(args, left).query("after", after)).await?;
        append(&mut whole, next, args);
    }
    Ok(whole)
}

/// Goes on with another page, as if both had been asked for at once.
fn append(whole: &mut Value, mut next: Value, args: &ListArgs) {
    if let (Some(jobs), Some(more)) = (whole["jobs"].as_array_mut(), next["jobs"].as_array_mut()) {
        jobs.append(more);
    }
    let end = args.offset.unwrap_or(0) + u64::from(count(whole));
    let ended = next["nextCursor"].is_null();
    whole["limit"] = args.limit.into();
    whole["nextOffset"] = if ended { Value::Null } else { end.into() };
    for place in ["hasMore", "nextCursor"] {
        whole[place] = next[place].take();
    }
    if ended && whole.as_object_mut().is_some_and(|whole| whole.remove("totalIsMinimum").is_some()) {
        whole["total"] = end.into();
    }
}

fn count(page: &Value) -> u32 {
    page["jobs"].as_array().and_then(|jobs| u32::try_from(jobs.len()).ok()).unwrap_or(u32::MAX)
}

/// A page of so many of the jobs that are asked for.
fn page(args: &ListArgs, limit: u32) -> Call {
    Call::get(["jobs"])
        .query("includeDisabled", args.all)
        .query("sortBy", "nextRunAtMs".to_owned())
        .maybe("query", args.query.clone())
        .query("limit", limit.min(PAGE))
}

fn row(job: &JobView, now: UnixMs) -> Vec<String> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::relative(instant, now))
    };
    vec![
        job.id.clone(),
        name(job),
        job.schedule_text(),
        at(job.next_run_at_ms.filter(|_| job.enabled)),
        at(job.last_run_at_ms),
        status(job, now),
        job.session_target.clone(),
        job.delivery_text(),
        job.effective_agent_id.clone().unwrap_or_else(|| NONE.to_owned()),
        job.budget_today.as_ref().map_or_else(
            || NONE.to_owned(),
            |today| format!("{} / {}", view::dollars(today.spent_usd), today.spent_tokens),
        ),
    ]
}

/// The job's name; one of the gateway's own says so.
fn name(job: &JobView) -> String {
    let is_the_gateways = job.payload["kind"] == "heartbeat";
    if is_the_gateways { format!("{} (system)", job.title()) } else { job.title().to_owned() }
}

/// Says why some jobs are not run that their owners want run, and how to go on.
fn warn_of_switched_off(jobs: &[JobView]) {
    let switched_off = || jobs.iter().filter(|job| job.state.auto_disabled.is_some());
    switched_off().take(MOST_WARNINGS).for_each(show::warn_if_switched_off);
    let others = switched_off().count().saturating_sub(MOST_WARNINGS);
    if others > 0 {
        output::message(
            "note",
            &format!("{others} others are auto-disabled too; `clawhook cron show` says why"),
        );
    }
}

/// How the job is doing; one whose failures or whose budget hold it back at the moment says so.
fn status(job: &JobView, now: UnixMs) -> String {
    let backs_off = job.state.backoff_until_ms.is_some_and(|until| until > now);
    let over_budget = job.budget_today.as_ref().is_some_and(|today| today.used_up.is_some());
    let holds = [(backs_off, "backs off"), (over_budget, "over budget")];
    let words = holds.into_iter().filter_map(|(holds, word)| holds.then_some(word));
    std::iter::once(job.status.as_str()).chain(words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_that_are_put_together_read_as_one() {
        let args =
            ListArgs { all: true, query: Some("x".to_owned()), limit: 500, offset: Some(10), json: true };
        let mut whole = json!({
            "jobs": [1, 2], "total": 12, "totalIsMinimum": true, "offset": 10, "limit": 200,
            "hasMore": true, "nextOffset": 12, "nextCursor": "a",
        });
        append(&mut whole, json!({ "jobs": [], "limit": 200, "hasMore": true, "nextCursor": "b" }), &args);
        assert_eq!((&whole["nextOffset"], &whole["nextCursor"]), (&json!(12), &json!("b")));
        append(&mut whole, json!({ "jobs": [3], "hasMore": false, "nextCursor": null }), &args);
        assert_eq!(
            whole,
            json!({
                "jobs": [1, 2, 3], "total": 13, "offset": 10, "limit": 500,
                "hasMore": false, "nextOffset": null, "nextCursor": null,
            })
        );
    }
}
