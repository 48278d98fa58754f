//! What the gateway takes when it has nothing to do, and how soon it is ready, against the project's budgets.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::BenchError;
use super::gateway::{self, Gateway};
use super::instant::Instant;
use super::report::{Figure, Times, megabytes};
use super::usage::{Cpu, Memory};
use super::wire::{Connection, request};
use crate::process::Server;

const STARTS: usize = 10;
/// How long after its start a gateway counts as idle.
const AT_REST: Duration = Duration::from_secs(3);
/// How long an idle gateway's processor time is watched.
const WATCHED: Duration = Duration::from_secs(2);
const BINARY_MB: f64 = 30.0;
const MEMORY_MB: f64 = 25.0;
const READY_MS: f64 = 100.0;

pub(super) async fn measure(folder: &Path) -> Result<Vec<Figure>, BenchError> {
    let (mut listening, mut ready) = (Vec::new(), Vec::new());
    for n in 0..STARTS {
        let (mut command, _) = gateway::prepare(folder, &format!("start-{n}"))?;
        let began = Instant::now();
        let mut server = Server::start(&format!("start-{n}"), &mut command, folder)?;
        let address = gateway::wait_for_address(&mut server)?;
        listening.push(Instant::now().since(began));
        let mut connection = Connection::open(address).await?;
        while connection.exchange(&request("GET", "/readyz", None, "")).await?.status != 200 {}
        ready.push(Instant::now().since(began));
    }
    let gateway = Gateway::start(folder, "idle").await?;
    tokio::time::sleep(AT_REST).await;
    let before = Cpu::of(gateway.pid);
    tokio::time::sleep(WATCHED).await;
    let used = Cpu::of(gateway.pid).since(&before).total();
    let memory = Memory::of(gateway.pid);

    let binary = gateway::binary();
    let size = fs::metadata(&binary).map_err(|source| BenchError::File { path: binary, source })?.len();
    Ok(vec![
        Figure::new("idle.resident", megabytes(memory.resident_kib), "MB").against(MEMORY_MB),
        Figure::new("idle.proportional", megabytes(memory.proportional_kib), "MB").noted("Pss"),
        Figure::new("idle.cpu", used.as_secs_f64() / WATCHED.as_secs_f64() * 100.0, "%")
            .noted("of one processor, with no job and nothing to deliver"),
        Figure::ms("idle.listening", Times::new(listening).median())
            .noted(format!("spawn to `listening on`, median of {STARTS}, empty store")),
        Figure::ms("idle.ready", Times::new(ready).median()).against(READY_MS),
        Figure::new("idle.binary", megabytes(size / 1024), "MB").against(BINARY_MB),
    ])
}
