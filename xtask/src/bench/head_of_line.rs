//! Whether a receiver that hangs keeps others waiting.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::BenchError;
use super::gateway::{Gateway, command, due_at};
use super::instant::{Instant, unix_ms};
use super::receiver::Receiver;
use super::report::{Figure, Times, number};

const HANGING: usize = 8;
const HEALTHY: usize = 4;
const PREPARATION_MS: i64 = 2_000;
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn measure(folder: &Path, receiver: &Receiver) -> Result<Vec<Figure>, BenchError> {
    // The kernel takes the connections and the requests, and nobody ever answers. Dropped before the gateway, it
    // ends them.
    let gateway = Gateway::start(folder, "head-of-line").await?;
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|hung| Ok((hung.local_addr()?, hung)));
    let (hung_address, hung) =
        bound.map_err(|source| BenchError::Connection { address: gateway.address, source })?;
    receiver.forget().await?;

    let due_ms = unix_ms() + PREPARATION_MS;
    let due = Instant::of_unix_ms(due_ms);
    let (hung_hook, hook) = (format!("http://{hung_address}/hang"), receiver.hook_url());
    let hanging = (0..HANGING).map(|n| command(&format!("hanging-{n}"), &hung_hook));
    let healthy = (0..HEALTHY).map(|n| command(&format!("healthy-{n}"), &hook));
    gateway.make_jobs(hanging.chain(healthy).map(|job| due_at(job, due_ms)).collect()).await?;

    let arrivals = receiver.wait_for(HEALTHY, ARRIVE_WITHIN).await?;
    drop(hung);
    let late = Times::new(arrivals.first.values().map(|at| at.since(due)));
    Ok(vec![
        Figure::new("head_of_line.healthy", number(late.len()), "arrived")
            .noted(format!("of {HEALTHY}, beside {HANGING} whose receiver never answers, all due at once")),
        Figure::ms("head_of_line.lateness_max", late.max()).noted("due to received"),
    ])
}
