//! `clawhook listen`: a receiver to try things out with. It verifies, answers, deduplicates, logs and shows.
//!
//! What it answers is decided in `receiver`; what has arrived goes through a bounded queue to `report`, which shows
//! it. A slow terminal therefore slows the answers down at last, but nothing is dropped.

mod receiver;
mod report;
mod seen;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_delivery::SigningSecret;
use clawhook_model::parse_duration;
use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::receiver::{Answers, Receiver};
use self::report::Printer;
use crate::failure::Failure;
use crate::output;
use crate::signals::StopSignals;
use crate::state_dir::StateDirArgs;

/// How many connections are served at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// How many requests wait to be shown.
const MOST_REPORTS: usize = 1_024;
/// How long a client may take for a request's head.
const HEAD: Duration = Duration::from_secs(30);

/// The flags of `clawhook listen`.
#[derive(Args)]
pub(crate) struct ListenArgs {
    /// The port on 127.0.0.1; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 3000)]
    port: u16,
    /// The signing secret, `whsec_…`; others on this machine can see a command line, so prefer --secret-file
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<SecretString>,
    /// A file with the signing secret [default: signing-secret in the state directory]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Answer 500 to the first N genuine requests, to watch the sender try again
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u64,
    /// Answer genuine requests with this status
    #[arg(long, value_name = "CODE", default_value = "200", value_parser = answer_status)]
    status: StatusCode,
    /// Wait this many milliseconds, or a duration such as `2s`, before each answer
    #[arg(long, value_name = "MS", default_value = "0", value_parser = delay)]
    delay: Duration,
    /// Print each request as a line of JSON
    #[arg(long)]
    json: bool,
    /// Append time, status and SHA-256 of each request to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

fn answer_status(text: &str) -> Result<StatusCode, &'static str> {
    match text.parse::<u16>().map(StatusCode::from_u16) {
        Ok(Ok(status)) if (200..600).contains(&status.as_u16()) => Ok(status),
        _ => Err("expected an HTTP status of 200 to 599"),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Receives until it is told to stop.
pub(crate) async fn run(
    args: ListenArgs,
    state_dir: &StateDirArgs,
    clock: Arc<dyn Clock>,
) -> Result<ExitCode, Failure> {
    let secret = find_secret(args.secret.as_ref(), args.secret_file.as_deref(), state_dir)?;
    let printer = Printer::open(args.json, args.log.as_deref())?;
    let listener = bind(args.port).await?;
    // Said before the address is, so that nobody sends anything believing it to be verified.
    if secret.is_none() {
        output::message(
            "warning",
            "NOTHING IS VERIFIED: there is no signing secret; give one with --secret-file, or name the gateway's \
             state directory with --state-dir",
        );
    }
    let mut signals = StopSignals::catch()?;
    announce(&listener, args.json)?;

    let (reports, to_print) = mpsc::channel(MOST_REPORTS);
    let mut printing = tokio::task::spawn_blocking(move || printer.run(to_print));
    let answers = Answers { fail_first: args.fail_first, status: args.status, delay: args.delay };
    let receiver = Arc::new(Receiver::new(secret, answers, clock, reports));
    tokio::select! {
        () = accept(&listener, &receiver) => {}
        () = signals.next() => {}
        // Nobody reads what is shown any more, or the log's disk is full.
        printed = &mut printing => return printed_to_the_end(printed),
    }
    drop(receiver);
    printed_to_the_end(printing.await)
}

fn printed_to_the_end(
    printed: Result<Result<(), Failure>, tokio::task::JoinError>,
) -> Result<ExitCode, Failure> {
    match printed {
        Ok(result) => result.map(|()| ExitCode::SUCCESS),
        Err(error) => Err(Failure::error(format!("the printer ended: {error}"))),
    }
}

fn find_secret(
    given: Option<&SecretString>,
    file: Option<&Path>,
    state_dir: &StateDirArgs,
) -> Result<Option<SigningSecret>, Failure> {
    let parse = |text: &str, source: &str| {
        SigningSecret::parse(text).map(Some).map_err(|error| Failure::error(format!("{source}: {error}")))
    };
    if let Some(given) = given {
        return parse(given.expose_secret(), "--secret");
    }
    let (path, is_named) = match file {
        Some(path) => (path.to_owned(), true),
        None => (state_dir.resolve()?.join("signing-secret"), false),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let text = SecretString::from(text);
            parse(text.expose_secret(), &format!("`{}`", path.display()))
        }
        Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::error(format!("cannot read `{}`: {error}", path.display()))),
    }
}

async fn bind(port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        Failure::with_hint(format!("cannot listen on {address}: {error}"), "`--port 0` takes any free port")
    })
}

fn announce(listener: &TcpListener, json: bool) -> Result<(), Failure> {
    let address = listener
        .local_addr()
        .map_err(|error| Failure::error(format!("the listening socket has no address: {error}")))?;
    if json {
        // Standard output is for the JSON lines alone.
        output::message("listening on", &format!("http://{address}"));
        return Ok(());
    }
    Ok(output::data(&format!("listening on http://{address}"))?)
}

/// Serves connections for ever; when it is dropped, so are they.
async fn accept(listener: &TcpListener, receiver: &Arc<Receiver>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, receiver.clone()));
                }
                // Out of descriptors, most likely: those that are open must end first.
                Err(error) => {
                    output::message("warning", &format!("cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, receiver: Arc<Receiver>) {
    // Answers are small, and waiting for more to send with them helps nobody.
    stream.set_nodelay(true).ok();
    let service = service_fn(|request| {
        let receiver = receiver.clone();
        async move { Ok::<_, std::convert::Infallible>(receiver.receive(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    // A client that goes away is its own business.
    builder.serve_connection(TokioIo::new(stream), service).await.ok();
}
