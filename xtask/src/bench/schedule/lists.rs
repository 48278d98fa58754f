//! How long pages of so many jobs take.

use std::time::Duration;

use super::Bench;
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::Instant;
use crate::bench::report::{Figure, Times};

const ASKED: usize = 11;
/// What is found through an index.
const INDEXED_MS: f64 = 10.0;

/// A page that is asked for: the figure's name, the query, and what it is.
type Asked = (&'static str, String, String);

pub(super) async fn measure(bench: &Bench<'_>, gateway: &Gateway) -> Result<Vec<Figure>, BenchError> {
    let middle = bench.sizes.jobs / 2;
    let mut figures = Vec::new();
    for (key, query, what) in indexed(gateway, middle).await? {
        let median = time(gateway, &query, ASKED).await?;
        figures.push(Figure::ms(key, median).at_most(INDEXED_MS, what));
    }
    for (key, query, what) in walked(middle) {
        let median = time(gateway, &query, 3).await?;
        figures.push(Figure::ms(key, median).noted(what));
    }
    Ok(figures)
}

/// Pages whose cost does not grow with the jobs.
async fn indexed(gateway: &Gateway, middle: usize) -> Result<Vec<Asked>, BenchError> {
    let mut asked = vec![
        ("schedule.list_first", "sortBy=nextRunAtMs".to_owned(), "the first page, by next run".to_owned()),
        ("schedule.list_name", "sortBy=name&sortDir=desc".to_owned(), "by name, backwards".to_owned()),
        ("schedule.list_all", "includeDisabled=true".to_owned(), "disabled jobs too".to_owned()),
    ];
    for (key, sort) in [("schedule.list_middle", "nextRunAtMs"), ("schedule.list_name_middle", "name")] {
        let before = gateway.get(&format!("/api/v1/jobs?sortBy={sort}&offset={middle}")).await?;
        let cursor = before["nextCursor"].as_str().unwrap_or_default();
        asked.push((key, format!("after={cursor}"), format!("after a cursor in the middle, by {sort}")));
    }
    Ok(asked)
}

/// Pages that somebody has to walk to.
fn walked(middle: usize) -> Vec<Asked> {
    vec![
        ("schedule.list_offset", format!("offset={middle}"), format!("{middle} jobs passed over by offset")),
        (
            "schedule.list_updated",
            "sortBy=updatedAtMs&sortDir=desc".to_owned(),
            "by the last change: no index".to_owned(),
        ),
        (
            "schedule.search",
            "query=no-such-job".to_owned(),
            "a search that looks at as many as one page may".to_owned(),
        ),
    ]
}

async fn time(gateway: &Gateway, query: &str, times: usize) -> Result<Duration, BenchError> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        gateway.get(&format!("/api/v1/jobs?limit=50&{query}")).await?;
        taken.push(Instant::now().since(began));
    }
    Ok(Times::new(taken).median())
}
