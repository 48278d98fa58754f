//! Runs the receiver on this machine: `cargo run`.

use std::error::Error;
use std::net::Ipv4Addr;

use clawhook_axum_receiver::{EVENTS, Receiver, WEBHOOK_PATH, work};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (queue, events) = mpsc::channel(EVENTS);
    let receiver = Receiver::new(&signing_secret()?, queue)?;
    let working = tokio::spawn(work(events, receiver.processed(), handle));

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned()).parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}{WEBHOOK_PATH}", listener.local_addr()?);
    axum::serve(listener, receiver.into_router()).with_graceful_shutdown(told_to_stop()).await?;
    // The queue is closed with the router; what it holds is handled first.
    working.await?;
    Ok(())
}

/// Your work goes here. It runs after the answer, once for each event.
async fn handle(event: Value) {
    println!("{}: {}: {}", event["jobName"], event["status"], event["summary"]);
}

async fn told_to_stop() {
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            _ => return std::future::pending().await,
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn signing_secret() -> Result<String, Box<dyn Error>> {
    if let Ok(secret) = std::env::var("CLAWHOOK_SIGNING_SECRET") {
        return Ok(secret.trim().to_owned());
    }
    let path = std::env::var("CLAWHOOK_SIGNING_SECRET_FILE").map_err(
        |_| "set CLAWHOOK_SIGNING_SECRET, or CLAWHOOK_SIGNING_SECRET_FILE to a file that holds it",
    )?;
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}
