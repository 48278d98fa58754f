//! How long one result takes when nothing else goes on.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::BenchError;
use super::gateway::{Gateway, command, system_event};
use super::instant::Instant;
use super::receiver::Receiver;
use super::report::{Figure, Times};
use super::wire::{Connection, run_in};

const RUNS: usize = 200;
/// Between two runs, so that the gateway is idle again.
const PAUSE: Duration = Duration::from_millis(10);
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn measure(folder: &Path, receiver: &Receiver) -> Result<Vec<Figure>, BenchError> {
    let gateway = Gateway::start(folder, "latency").await?;
    let hook = receiver.hook_url();
    let event = one_after_another(&gateway, receiver, system_event("alone", &hook)).await?;
    let echo = one_after_another(&gateway, receiver, command("echo", &hook)).await?;
    let note = |times: &Times| format!("request to arrival, {} runs one after another", times.len());
    Ok(vec![
        Figure::ms("latency.event_p50", event.median()).noted(note(&event)),
        Figure::ms("latency.event_p99", event.percentile(99)),
        Figure::ms("latency.command_p50", echo.median()).noted(note(&echo) + " of `echo x`"),
        Figure::ms("latency.command_p99", echo.percentile(99)),
    ])
}

async fn one_after_another(gateway: &Gateway, receiver: &Receiver, job: Value) -> Result<Times, BenchError> {
    let job = gateway.make_jobs(vec![job]).await?.concat();
    let request = gateway.run_request(&job);
    receiver.forget().await?;
    let mut connection = Connection::open(gateway.address).await?;
    let mut asked = Vec::with_capacity(RUNS);
    for count in 1..=RUNS {
        tokio::time::sleep(PAUSE).await;
        let at = Instant::now();
        let answer = connection.exchange(&request).await?;
        let Some(run) = run_in(answer.body).filter(|_| answer.status == 202) else {
            let text = String::from_utf8_lossy(answer.body).into_owned();
            return Err(BenchError::Refused { status: answer.status, text });
        };
        asked.push((run, at));
        if receiver.wait_for(count, ARRIVE_WITHIN).await?.first.len() < count {
            return Err(BenchError::Lost { run });
        }
    }
    let arrivals = receiver.wait_for(RUNS, ARRIVE_WITHIN).await?;
    Ok(Times::new(asked.iter().filter_map(|(run, at)| Some(arrivals.first.get(run)?.since(*at)))))
}
