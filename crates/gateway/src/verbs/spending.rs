//! What runs cost: what was spent, what is left of budgets, and what is to be expected.

use std::time::Duration;

use clawhook_model::{AgentId, Budget, Job, JobId, Payload, Spent, UnixMs, Usd};
use clawhook_schedule::Timetable;
use clawhook_store::{RecentUsage, StoreError, UsageBy, UsageFilter, UsageReport};
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::Verbs;

/// How many of a job's last runs are a measure for those to come.
const MEASURED_RUNS: usize = 20;
/// How many instants are counted one by one; a job that is due more often is reckoned from these.
const COUNTED: u32 = 1500;
const DAY: Duration = Duration::from_hours(24);

/// Which spending is asked for.
#[derive(Debug, Clone)]
pub(crate) struct UsageQuestion {
    /// What there is a row for.
    pub(crate) by: UsageBy,
    /// The first day; where it is left out, as many as `days` says.
    pub(crate) from: Option<Date>,
    /// The last day; today where it is left out.
    pub(crate) to: Option<Date>,
    /// How many days, where the first one is left out.
    pub(crate) days: u32,
    /// Only of this job.
    pub(crate) job_id: Option<JobId>,
    /// Only of this agent.
    pub(crate) agent_id: Option<AgentId>,
    /// How many rows at most.
    pub(crate) limit: usize,
}

/// What was spent in a stretch of days.
#[derive(Debug, Clone)]
pub(crate) struct UsageAnswer {
    /// The first day.
    pub(crate) from: Date,
    /// The last day.
    pub(crate) to: Date,
    /// What there is a row for.
    pub(crate) by: UsageBy,
    /// The rows and their total.
    pub(crate) report: UsageReport,
}

/// What of a job's budget is spent today.
#[derive(Debug, Clone)]
pub(crate) struct BudgetToday {
    /// What its runs spent.
    pub(crate) spent: Spent,
    /// Why nothing is left, where that is so.
    pub(crate) used_up: Option<String>,
}

/// What the runs of a job may be expected to use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forecast {
    /// What its last runs used.
    pub(crate) recent: RecentUsage,
    /// How often it is due in the next 24 hours, as far as it is enabled.
    pub(crate) runs_per_day: u64,
}

impl Forecast {
    /// The tokens of a run; none where no run has used any.
    pub(crate) fn tokens_per_run(&self) -> Option<u64> {
        self.recent.tokens.checked_div(self.recent.runs)
    }

    /// The price of a run; none where no run has one.
    pub(crate) fn usd_per_run(&self) -> Option<Usd> {
        self.recent.usd.as_micros().checked_div(self.recent.priced).map(Usd::from_micros)
    }
}

/// What a job costs.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobSpending {
    /// Of its budget, where it has one.
    pub(crate) budget: Option<BudgetToday>,
    /// What is to be expected; none of a job that asks no model.
    pub(crate) forecast: Option<Forecast>,
}

impl Verbs {
    /// What was spent, and by whom.
    pub(crate) async fn usage(&self, asked: UsageQuestion) -> Result<UsageAnswer, StoreError> {
        let today = self.with.engine.day(self.with.clock.now());
        let to = asked.to.map_or(today, day_of);
        let days = i32::try_from(asked.days.max(1)).unwrap_or(i32::MAX);
        let from = asked.from.map_or_else(|| to.saturating_sub(days - 1), day_of);
        let UsageQuestion { by, job_id, agent_id, limit, .. } = asked;
        let report = self.with.store.usage(UsageFilter { from, to, by, job_id, agent_id, limit }).await?;
        Ok(UsageAnswer { from: date_of(from), to: date_of(to), by, report })
    }

    /// What of its budget a job has spent today; none where it has none.
    pub(crate) async fn budget_today(&self, job: &Job) -> Result<Option<BudgetToday>, StoreError> {
        let budget: Budget = job.definition.budget;
        if !budget.is_limited() {
            return Ok(None);
        }
        let today = self.with.engine.day(self.with.clock.now());
        let spent = self.with.store.spent(today, Some(&job.id)).await?;
        Ok(Some(BudgetToday { spent, used_up: budget.used_up(&spent) }))
    }

    /// What a job costs.
    pub(super) async fn job_spending(
        &self,
        job: &Job,
        timetable: Option<&Timetable>,
    ) -> Result<JobSpending, StoreError> {
        let budget = self.budget_today(job).await?;
        if matches!(job.definition.payload, Payload::Command(_)) {
            return Ok(JobSpending { budget, forecast: None });
        }
        let recent = self.with.store.recent_usage(&job.id, MEASURED_RUNS).await?;
        let now = self.with.clock.now();
        let runs_per_day =
            timetable.filter(|_| job.is_enabled()).map_or(0, |timetable| due_in_a_day(timetable, now));
        Ok(JobSpending { budget, forecast: Some(Forecast { recent, runs_per_day }) })
    }
}

/// How often a job is due in the 24 hours after `now`.
fn due_in_a_day(timetable: &Timetable, now: UnixMs) -> u64 {
    let end = now.plus(DAY);
    let (mut last, mut count) = (now, 0u32);
    while let Some(next) = timetable.next_after(last).filter(|next| *next <= end) {
        (last, count) = (next, count + 1);
        if count == COUNTED {
            let counted = last.since(now).as_millis().max(1);
            let reckoned = u128::from(count) * DAY.as_millis() / counted;
            return u64::try_from(reckoned).unwrap_or(u64::MAX);
        }
    }
    u64::from(count)
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// A day by its number since 1970-01-01.
pub(crate) fn date_of(day: i32) -> Date {
    EPOCH.saturating_add(i64::from(day).days())
}

fn day_of(date: Date) -> i32 {
    date.since(EPOCH).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use clawhook_model::Schedule;
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn days_are_numbered_from_1970_on() {
        for (day, date) in [(0, "1970-01-01"), (20_501, "2026-02-17"), (-1, "1969-12-31")] {
            assert_eq!((date_of(day).to_string().as_str(), day_of(date.parse().unwrap())), (date, day));
        }
    }

    #[test]
    fn a_job_that_is_due_often_is_reckoned_and_one_that_is_not_is_counted() {
        let job = "job".parse().unwrap();
        let per_day = |seconds: u64| {
            let schedule = Schedule::Every { every_ms: seconds * 1000, anchor_ms: UnixMs::EPOCH };
            let timetable = Timetable::new(&schedule, &job, &TimeZone::UTC).unwrap();
            due_in_a_day(&timetable, UnixMs::from_millis(500))
        };
        assert_eq!((per_day(3600), per_day(60), per_day(7 * 86_400)), (24, 1440, 0));
        assert!((86_400..86_450).contains(&per_day(1)), "{}", per_day(1));
    }
}
