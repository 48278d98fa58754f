//! E-mail, to aiosmtpd, which keeps what it takes; Python's own library says what it is.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clawhook_delivery::channels::{Account, ChannelKind, Place};
use clawhook_model::AttemptClass;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::sending::{Sender, counts, message, report};
use super::servers::free_port;
use super::{ChannelsError, ensure};
use crate::process::{self, Server};
use crate::progress::Progress;
use crate::workspace;

const BUDGET: Duration = Duration::from_secs(60);
const READY_WITHIN: Duration = Duration::from_secs(30);
const LINES: usize = 2_500;

fn launch(programs: &Path, folder: &Path, port: u16) -> Result<Server, ChannelsError> {
    let mut command = Command::new(programs.join("python"));
    command.args(["-u", "-m", "aiosmtpd", "--nosetuid", "--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(folder.join("mail"));
    let mut server = Server::start("aiosmtpd", &mut command, folder)?;
    let deadline = Instant::now() + READY_WITHIN;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            // It says nothing when it is ready; this tells how it ended.
            server.wait_for_line("listening", Duration::ZERO)?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

pub(super) fn check(
    runtime: &Runtime,
    programs: &Path,
    folder: &Path,
    progress: Progress,
) -> Result<(), ChannelsError> {
    let port = free_port()?;
    let mut account = Account::new(ChannelKind::Email, None);
    account.url = Some(
        format!("smtp://127.0.0.1:{port}")
            .parse()
            .map_err(|error| ChannelsError::Account(format!("{error}")))?,
    );
    account.from = Some("Clawhook <clawhook@example.com>".to_owned());
    account.allow_private = true;
    let sender = Sender::open(runtime, &account, None)?;
    let place = Place::new("Ops <ops@example.com>, boss@example.com").in_thread("<before@example.com>");
    let report = message(&report(LINES));

    let server = launch(programs, folder, port)?;
    let sent = sender.send(&report, &place, "delivery-1", 0, BUDGET);
    ensure(sent.sent.is_whole(), "a mail does not arrive", &sent)?;
    server.stop();
    let away = sender.send(&report, &place, "delivery-2", 0, BUDGET);
    ensure(away.sent.report.class == AttemptClass::ConnectFailed, "nobody was there, and yet", &away)?;
    let server = launch(programs, folder, port)?;
    let sent = sender.send(&report, &place, "delivery-2", 0, BUDGET);
    ensure(sent.sent.is_whole(), "a mail does not arrive after a restart", &sent)?;
    server.stop();

    let mut reading = Command::new(programs.join("python"));
    reading.arg(workspace::root().join("xtask/channels/read_mail.py")).arg(folder.join("mail"));
    let mails: Value = serde_json::from_str(&process::capture(&mut reading)?).unwrap_or_default();
    let mails = mails.as_array().cloned().unwrap_or_default();
    ensure(mails.len() == 2, "there are not two mails", mails.len())?;
    for mail in &mails {
        let headers = &mail["headers"];
        let id = headers["message-id"].as_str().unwrap_or_default();
        ensure(id.starts_with("<delivery-") && id.ends_with(".1@example.com>"), "the id is another", id)?;
        for (name, value) in [
            ("subject", "daily-summary: größer & \"besser\""),
            ("from", "Clawhook <clawhook@example.com>"),
            ("to", "Ops <ops@example.com>, boss@example.com"),
            ("in-reply-to", "<before@example.com>"),
            ("auto-submitted", "auto-generated"),
        ] {
            ensure(headers[name] == value, "a header is another", (name, &headers[name]))?;
        }
        let plain = mail["parts"]["text/plain"].as_str().unwrap_or_default();
        let counted = counts(LINES, &[plain.replace("\r\n", "\n")]);
        ensure(counted.iter().all(|count| *count == 1), "lines are missing or doubled", counted.len())?;
        ensure(plain.contains("žluťoučký 🐎 & <kůň> says @room"), "the text is another", plain.len())?;
        let html = mail["parts"]["text/html"].as_str().unwrap_or_default();
        ensure(
            html.contains("žluťoučký 🐎 &amp; &lt;kůň&gt; says @room"),
            "the HTML is another",
            html.len(),
        )?;
    }
    progress.note(format_args!("{LINES} lines in each of two mails, one of them after a restart"));
    Ok(())
}
