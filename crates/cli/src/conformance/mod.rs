//! `clawhook conformance`: sends an endpoint what a webhook's receiver must be able to cope with, and reports what it
//! does with it.
//!
//! - `sample` makes the events: of real shape, and marked as tests.
//! - `message` is one signed request; what is wrong with it, where something is, is done to it after signing.
//! - `case` is the list of what is tried one by one; `judge` says what an answer is worth.
//! - `examiner` sends everything in order, the cases of more than one request too; `effects` asks the endpoint how
//!   many events it has processed, where it says so.
//! - `report` shows the findings to people and to programs.
//!
//! Everything goes through the delivery crate's guard and transport, with the limits that the gateway has. What is not
//! guaranteed: that an endpoint which passes does its work. Its answers are all that can be seen from outside.

mod case;
mod effects;
mod examiner;
mod judge;
mod message;
mod report;
mod sample;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_delivery::{Guard, GuardPolicy, SigningSecret, Transport, TransportOptions};
use clawhook_model::{WebhookUrl, parse_duration};
use secrecy::{ExposeSecret as _, SecretString};

use self::effects::{Effects, EffectsError};
use self::examiner::Examiner;
use self::judge::Verdict;
use self::message::Messages;
use crate::args::usage_error;
use crate::failure::Failure;
use crate::output;
use crate::state_dir::StateDirArgs;

/// The exit code where nothing could be found out.
const UNREACHABLE: u8 = 2;
/// How long a connection may take to be made, as in the gateway.
const CONNECT: Duration = Duration::from_secs(5);
/// Read by hand, because clap would have it conflict with --secret-file, which is nearer and wins.
const SECRET_VARIABLE: &str = "CLAWHOOK_WEBHOOK_SECRET";

/// The flags of `clawhook conformance`.
#[derive(Args)]
pub(crate) struct ConformanceArgs {
    /// The endpoint to try
    #[arg(value_name = "URL")]
    url: WebhookUrl,
    /// The endpoint's signing secret, `whsec_…`; others on this machine can see a command line, so prefer
    /// --secret-file or the variable `CLAWHOOK_WEBHOOK_SECRET`
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<SecretString>,
    /// A file with the signing secret [default: signing-secret in the state directory]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The bearer token that the endpoint wants; others on this machine can see a command line, so prefer the variable
    #[arg(long, value_name = "TOKEN", env = "CLAWHOOK_WEBHOOK_TOKEN", hide_env_values = true)]
    bearer: Option<SecretString>,
    /// Let the endpoint be on this machine or in a private network, and without https
    #[arg(long)]
    allow_private: bool,
    /// How long each answer may take
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = limit)]
    timeout: Duration,
    /// Where the endpoint says how many events it has processed: a number, or JSON with `processed`
    #[arg(long, value_name = "URL")]
    effects_url: Option<WebhookUrl>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(limit) if limit.is_zero() => Err("an answer takes some time".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends everything and reports.
pub(crate) async fn run(
    args: ConformanceArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let secret = find_secret(&args, state_dir)?;
    let guard = Guard::new(GuardPolicy { allowed_hosts: allowed_hosts(&args), ports: ports(&args) });
    if let Err(refusal) = guard.check_url(&args.url) {
        return Ok(unreachable(&refusal.to_string(), PRIVATE));
    }
    let effects = match &args.effects_url {
        None => None,
        Some(url) => match Effects::open(url, &guard, args.timeout).await {
            Ok(effects) => Some(effects),
            Err(error @ EffectsError::Refused(_)) => return Ok(unreachable(&error.to_string(), PRIVATE)),
            Err(error) => return Ok(unreachable(&error.to_string(), EFFECTS)),
        },
    };
    let messages = Messages::new(&args.url, &secret, args.bearer.as_ref())?;
    let transport = Transport::new(transport_options(args.timeout), guard);
    let mut examiner = Examiner::new(args.url, messages, transport, effects, clock);
    let findings = match examiner.examine().await {
        Ok(findings) => findings,
        Err(unreached) => return Ok(unreachable(&unreached.to_string(), REACH)),
    };
    if args.json {
        output::json(&findings.to_json())?;
    } else {
        output::data(&findings.to_text())?;
    }
    Ok(if findings.verdict() == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const PRIVATE: &str =
    "--allow-private tries an endpoint on this machine or in a private network, and plain http";
const EFFECTS: &str =
    "--effects-url is read with a GET; it answers a number, or JSON such as {\"processed\": 7}";
const REACH: &str = "check the address and that the endpoint runs; nothing was tried";

fn unreachable(message: &str, hint: &str) -> ExitCode {
    output::message("error", message);
    output::message("hint", hint);
    ExitCode::from(UNREACHABLE)
}

/// The hosts that were typed, where private ones are allowed; the guard takes them by name.
/// The ports of what was given by hand: whoever names one means it.
fn ports(args: &ConformanceArgs) -> Vec<u16> {
    let urls = std::iter::once(&args.url).chain(&args.effects_url);
    urls.filter_map(|url| url.url().port_or_known_default()).collect()
}

fn allowed_hosts(args: &ConformanceArgs) -> Vec<String> {
    let urls = [Some(&args.url), args.effects_url.as_ref()];
    let hosts = urls.into_iter().flatten().filter_map(|url| url.url().host().map(|host| host.to_string()));
    if args.allow_private { hosts.map(unbracketed).collect() } else { Vec::new() }
}

fn unbracketed(host: String) -> String {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.to_owned(),
        None => host,
    }
}

fn transport_options(timeout: Duration) -> TransportOptions {
    TransportOptions {
        connect_timeout: CONNECT.min(timeout),
        total_timeout: timeout,
        ..TransportOptions::default()
    }
}

fn find_secret(args: &ConformanceArgs, state_dir: &StateDirArgs) -> Result<SigningSecret, Failure> {
    if let Some(given) = &args.secret {
        return parse_secret(given, "--secret");
    }
    let path = match (&args.secret_file, std::env::var(SECRET_VARIABLE)) {
        (Some(path), _) => path.clone(),
        (None, Ok(given)) if !given.is_empty() => {
            return parse_secret(&SecretString::from(given), SECRET_VARIABLE);
        }
        (None, _) => state_dir.resolve()?.join("signing-secret"),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_secret(&SecretString::from(text), &format!("`{}`", path.display())),
        Err(error) => Err(no_secret(&path, &error)),
    }
}

fn parse_secret(text: &SecretString, source: &str) -> Result<SigningSecret, Failure> {
    SigningSecret::parse(text.expose_secret()).map_err(|error| usage(format!("{source}: {error}")))
}

fn no_secret(path: &Path, error: &std::io::Error) -> Failure {
    usage(format!(
        "there is no signing secret: cannot read `{}`: {error}; give the endpoint's secret with --secret-file or \
         {SECRET_VARIABLE}",
        path.display()
    ))
}

fn usage(message: String) -> Failure {
    usage_error(&["conformance"], message).into()
}
