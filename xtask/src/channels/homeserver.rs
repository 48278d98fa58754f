//! Matrix, to a Synapse with a database of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clawhook_delivery::channels::{Account, ChannelKind, Place};
use clawhook_model::{AttemptClass, SecretSource};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::sending::{Sender, counts, message, report};
use super::servers::free_port;
use super::{ChannelsError, ensure};
use crate::loopback;
use crate::process::{self, Server};
use crate::progress::Progress;

const SECRET: &str = "shared-secret";
/// How long the homeserver may take to be there, on a machine that does other things as well.
const READY_WITHIN: Duration = Duration::from_secs(60);
const BUDGET: Duration = Duration::from_secs(60);
/// Lines of a text that takes several events.
const LINES: usize = 2_500;

struct Homeserver {
    programs: PathBuf,
    folder: PathBuf,
    base: String,
    server: Server,
}

struct User {
    id: String,
    token: String,
}

impl Homeserver {
    fn start(programs: &Path, folder: &Path) -> Result<Self, ChannelsError> {
        let port = free_port()?;
        let config = folder.join("homeserver.json");
        // JSON is YAML.
        std::fs::write(&config, configuration(folder, port).to_string())
            .map_err(ChannelsError::on_file(&config))?;
        let (programs, folder) = (programs.to_owned(), folder.to_owned());
        // The key by which it would sign for others.
        process::capture(homeserver(&programs, &folder).arg("--generate-missing-configs"))?;
        let server = launch(&programs, &folder)?;
        Ok(Self { programs, folder, base: format!("http://127.0.0.1:{port}"), server })
    }

    /// Somebody who is known there.
    fn register(&self, name: &str) -> Result<User, ChannelsError> {
        let mut command = Command::new(self.programs.join("register_new_matrix_user"));
        command.args([
            "--user",
            name,
            "--password",
            name,
            "--no-admin",
            "--shared-secret",
            SECRET,
            &self.base,
        ]);
        process::capture(&mut command)?;
        let login = json!({
            "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": name,
        });
        let answer = self.post("/_matrix/client/v3/login", &login)?;
        Ok(User { id: text(&answer, "user_id"), token: text(&answer, "access_token") })
    }

    /// A room of `owner`'s in which `guest` is.
    fn room(&self, owner: &User, guest: &User) -> Result<String, ChannelsError> {
        let path = format!("/_matrix/client/v3/createRoom?access_token={}", owner.token);
        let room = text(&self.post(&path, &json!({ "invite": [guest.id] }))?, "room_id");
        let path = format!("/_matrix/client/v3/join/{room}?access_token={}", guest.token);
        self.post(&path, &json!({}))?;
        Ok(room)
    }

    /// The messages of a room as `reader` sees them, the oldest first.
    fn messages(&self, room: &str, reader: &User) -> Result<Vec<Value>, ChannelsError> {
        let path =
            format!("/_matrix/client/v3/rooms/{room}/messages?dir=f&limit=200&access_token={}", reader.token);
        let answer: Value = serde_json::from_str(&loopback::get(&self.base, &path)?).unwrap_or_default();
        let events = answer["chunk"].as_array().cloned().unwrap_or_default();
        Ok(events.into_iter().filter(|event| event["type"] == "m.room.message").collect())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ChannelsError> {
        Ok(serde_json::from_str(&loopback::post_json(&self.base, path, body)?).unwrap_or_default())
    }

    /// The homeserver as it is after an interruption, in which `meanwhile` is done.
    fn interrupted<T>(self, meanwhile: impl FnOnce() -> T) -> Result<(Self, T), ChannelsError> {
        let Self { programs, folder, base, server } = self;
        server.stop();
        let done = meanwhile();
        let server = launch(&programs, &folder)?;
        Ok((Self { programs, folder, base, server }, done))
    }
}

fn homeserver(programs: &Path, folder: &Path) -> Command {
    let mut command = Command::new(programs.join("python"));
    command.args(["-m", "synapse.app.homeserver", "--config-path"]).arg(folder.join("homeserver.json"));
    command.current_dir(folder);
    command
}

fn launch(programs: &Path, folder: &Path) -> Result<Server, ChannelsError> {
    let mut server = Server::start("synapse", &mut homeserver(programs, folder), folder)?;
    server.wait_for_line("Synapse now listening on TCP port", READY_WITHIN)?;
    Ok(server)
}

fn configuration(folder: &Path, port: u16) -> Value {
    json!({
        "server_name": "localhost",
        "report_stats": false,
        "listeners": [{
            "bind_addresses": ["127.0.0.1"], "port": port, "type": "http", "tls": false,
            "resources": [{ "names": ["client"] }],
        }],
        "database": { "name": "sqlite3", "args": { "database": folder.join("homeserver.db") } },
        "log_config": write_logging(folder),
        "media_store_path": folder.join("media"),
        "signing_key_path": folder.join("signing.key"),
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": "macaroons",
        "form_secret": "forms",
        "trusted_key_servers": [],
        // So that a text of several events meets it.
        "rc_message": { "per_second": 0.5, "burst_count": 2 },
    })
}

fn write_logging(folder: &Path) -> PathBuf {
    let path = folder.join("logging.json");
    let logging = json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": { "plain": { "format": "%(message)s" } },
        "handlers": {
            "console": { "class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout" },
        },
        "root": { "level": "INFO", "handlers": ["console"] },
    });
    // Where it cannot be written the homeserver says so.
    std::fs::write(&path, logging.to_string()).ok();
    path
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_default().to_owned()
}

pub(super) fn check(
    runtime: &Runtime,
    programs: &Path,
    folder: &Path,
    progress: Progress,
) -> Result<(), ChannelsError> {
    let homeserver = Homeserver::start(programs, folder)?;
    let (bot, reader) = (homeserver.register("bot")?, homeserver.register("reader")?);
    let room = homeserver.room(&bot, &reader)?;
    let mut account = Account::new(ChannelKind::Matrix, Some(SecretSource::Env("MATRIX".to_owned())));
    account.url = Some(homeserver.base.parse().map_err(|error| ChannelsError::Account(format!("{error}")))?);
    account.allow_private = true;
    let sender = Sender::open(runtime, &account, Some(&SecretString::from(bot.token.clone())))?;
    let place = Place::new(room.clone());

    let (root, _) =
        sender.send_patiently(&message("**The report** for @room"), &place, "delivery-0", 0, BUDGET);
    ensure(root.sent.is_whole() && root.ids.len() == 1, "a message does not arrive", &root)?;
    let (again, _) =
        sender.send_patiently(&message("**The report** for @room"), &place, "delivery-0", 0, BUDGET);
    ensure(again.ids == root.ids, "a repeat is another message", &again)?;
    progress.note("a repeat of a message is no second one");

    let (refusals, homeserver) = long_text(&sender, homeserver, &place, &root.ids[0])?;
    progress.note(format_args!("{refusals} times the homeserver asked to wait, and once it was away"));

    let seen = homeserver.messages(&room, &reader)?;
    let first = &seen.first().cloned().unwrap_or_default()["content"];
    let html = "<p><strong>The report</strong> for @room</p>";
    ensure(
        first["formatted_body"] == html && first["m.mentions"] == json!({}),
        "it is not what was sent",
        first,
    )?;
    let thread: Vec<&Value> = seen
        .iter()
        .filter(|event| event["content"]["m.relates_to"]["event_id"] == root.ids[0].as_str())
        .collect();
    ensure(
        thread.len() == seen.len() - 1 && thread.len() > 2,
        "the report is not all in the thread",
        thread.len(),
    )?;
    let texts: Vec<String> = thread.iter().map(|event| text(&event["content"], "body")).collect();
    let counted = counts(LINES, &texts);
    let odd: Vec<_> = counted.iter().enumerate().filter(|(_, count)| **count != 1).collect();
    ensure(odd.is_empty(), "lines are missing or doubled (number, count)", odd)?;
    progress.note(format_args!("{LINES} lines in {} events of a thread, each of them once", thread.len()));

    refusals_are_told(runtime, &account, &sender, &bot)?;
    homeserver.server.stop();
    Ok(())
}

/// Sends a text of several events, through the rate limit and through a restart.
fn long_text(
    sender: &Sender<'_>,
    homeserver: Homeserver,
    place: &Place,
    root: &str,
) -> Result<(usize, Homeserver), ChannelsError> {
    let place = place.clone().in_thread(root);
    let report = message(&report(LINES));
    // So little time is enough for one piece alone.
    let (attempt, waits) = sender.send_patiently(&report, &place, "delivery-1", 0, Duration::from_secs(1));
    ensure(attempt.sent.arrived == 1 && attempt.sent.of > 2, "the first piece does not arrive", &attempt)?;
    let (homeserver, away) =
        homeserver.interrupted(|| sender.send(&report, &place, "delivery-1", 1, BUDGET))?;
    ensure(away.sent.report.class == AttemptClass::ConnectFailed, "nobody was there, and yet", &away)?;
    ensure(away.sent.arrived == 1, "what had arrived is forgotten", &away)?;
    let (attempt, more_waits) =
        sender.send_patiently(&report, &place, "delivery-1", away.sent.arrived, BUDGET);
    let refusals = waits + more_waits;
    ensure(attempt.sent.is_whole() && refusals > 0, "the text did not arrive, or met no limit", &attempt)?;
    Ok((refusals, homeserver))
}

/// What the homeserver refuses is refused, and says why, and no token is in it.
fn refusals_are_told(
    runtime: &Runtime,
    account: &Account,
    sender: &Sender<'_>,
    bot: &User,
) -> Result<(), ChannelsError> {
    let elsewhere = Place::new("!nowhere:localhost");
    let (refused, _) = sender.send_patiently(&message("a"), &elsewhere, "delivery-2", 0, BUDGET);
    let report = format!("{:?}", refused.sent.report);
    ensure(refused.sent.report.class == AttemptClass::Refused, "a room where it is not takes it", &report)?;
    ensure(report.contains("M_FORBIDDEN") && !report.contains(&bot.token), "it does not say why", &report)?;

    let wrong = SecretString::from("syt_wrong".to_owned());
    let stranger = Sender::open(runtime, account, Some(&wrong))?;
    let (refused, _) = stranger.send_patiently(&message("a"), &elsewhere, "delivery-3", 0, BUDGET);
    let report = format!("{:?}", refused.sent.report);
    ensure(refused.sent.report.class == AttemptClass::Unauthorized, "a wrong token is taken", &report)?;
    ensure(
        report.contains("M_UNKNOWN_TOKEN") && !report.contains("syt_wrong"),
        "it does not say why",
        &report,
    )
}
