//! `clawhook channels`: by whom people are told, and trying it out.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::{output, table, view};

/// The longest that a message to a channel can be given.
const LONGEST_MESSAGE: Duration = Duration::from_mins(5);

/// The flags of `clawhook channels`.
#[derive(Args)]
pub(crate) struct ChannelsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: ChannelsCommand,
}

#[derive(Subcommand)]
enum ChannelsCommand {
    /// List the accounts by which can be announced
    List(ListArgs),
    /// Send a test message, and show what came of it
    Test(TestArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct TestArgs {
    /// The channel, and the account where it is not the default one
    #[arg(value_name = "CHANNEL[:ACCOUNT]", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    channel: String,
    /// The recipient; the account's default where it is left out
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Option<String>,
    /// The thread
    #[arg(long, value_name = "ID")]
    thread_id: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountView {
    channel: String,
    account_id: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    to: Option<String>,
}

#[derive(Deserialize)]
struct ListView {
    accounts: Vec<AccountView>,
}

#[derive(Deserialize)]
struct TestView {
    ok: bool,
    route: Value,
    attempt: Value,
}

/// Runs the command that was typed.
pub(crate) async fn run(args: ChannelsArgs, state_dir: &StateDirArgs) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        ChannelsCommand::List(args) => list(&client, &args).await.map(|()| ExitCode::SUCCESS),
        ChannelsCommand::Test(args) => test(&client, args).await,
    }
}

async fn list(client: &Client, args: &ListArgs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["channels"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let ListView { accounts } = view::read(&answer)?;
    if accounts.is_empty() {
        output::message(
            "note",
            "no channel is configured; `channels.<channel>` of the configuration adds one",
        );
        return Ok(());
    }
    let columns = [
        Column::whole("Channel"),
        Column::whole("Account"),
        Column::whole("Default"),
        Column::whole("Server"),
        Column::whole("To"),
    ];
    let row = |account: AccountView| {
        vec![
            account.channel,
            account.account_id,
            if account.is_default { "yes" } else { "no" }.to_owned(),
            account.server.unwrap_or_else(|| NONE.to_owned()),
            account.to.unwrap_or_else(|| NONE.to_owned()),
        ]
    };
    Ok(output::data(&table::render(&columns, accounts.into_iter().map(row).collect()))?)
}

/// Sends the message and shows how it went. The exit code is 1 where the service did not take it.
async fn test(client: &Client, args: TestArgs) -> Result<ExitCode, Failure> {
    let (channel, account) = match args.channel.split_once(':') {
        Some((channel, account)) => (channel.to_owned(), Some(account.to_owned())),
        None => (args.channel, None),
    };
    let mut body = Map::from_iter([("channel".to_owned(), json!(channel))]);
    for (key, value) in [("accountId", account), ("to", args.to), ("threadId", args.thread_id)] {
        if let Some(value) = value {
            body.insert(key.to_owned(), json!(value));
        }
    }
    let call = Call::post(["channels", "test"]).json(Value::Object(body)).allowing(LONGEST_MESSAGE);
    let answer = client.call(call).await?;
    let tested: TestView = view::read(&answer)?;
    if args.json {
        output::json(&answer)?;
    } else {
        output::data(&story(&tested))?;
    }
    if tested.ok {
        return Ok(ExitCode::SUCCESS);
    }
    output::message("error", "the service did not take the message");
    Ok(ExitCode::FAILURE)
}

fn story(tested: &TestView) -> String {
    let text = |value: &Value| output::printable(value.as_str().unwrap_or_default());
    let route = &tested.route;
    let place =
        format!("{}:{} (account {})", text(&route["channel"]), text(&route["to"]), text(&route["accountId"]));
    let status =
        tested.attempt["status"].as_u64().map(|status| format!("HTTP {status} ")).unwrap_or_default();
    let error = tested.attempt["error"].as_str().map(|error| format!(": {}", output::printable(error)));
    let ids: Vec<String> =
        tested.attempt["announced"]["messageIds"].as_array().into_iter().flatten().map(text).collect();
    let mut facts = vec![
        ("place", place),
        ("result", format!("{status}{}{}", text(&tested.attempt["class"]), error.unwrap_or_default())),
    ];
    if !ids.is_empty() {
        facts.push(("message", ids.join(", ")));
    }
    table::known_facts(facts)
}
