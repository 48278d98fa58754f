//! What was typed and cannot be meant ends with exit code 2, before anything is asked of a gateway.

use crate::processes::Home;

#[test]
fn mistakes_in_what_was_typed_end_with_exit_code_2_and_a_message() {
    let home = Home::new();
    for (line, message) in [
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("cron", "Usage: clawhook cron"),
        ("cron add", "a job needs a schedule"),
        ("cron add --cron '0 9 * * *' --every 1h --message hi", "cannot be used with"),
        ("cron add '0 9 * * *' --at 1h --message hi", "the schedule is given twice"),
        ("cron add --every 1h", "a job needs something to do"),
        ("cron add --every 1h --message hi --command ls", "cannot be used with"),
        ("cron add 'every 1h' hi --command ls", "what to do is given twice"),
        ("cron add --every 1h --tz UTC --message hi", "cannot be used with"),
        ("cron add --every 1h --exact --message hi", "cannot be used with"),
        ("cron add --every soon --message hi", "`soon` is not a duration"),
        ("cron add tomorrow hi", "`tomorrow` is no schedule"),
        ("cron add --every 1h --command ls --model m/x", "cannot be used with"),
        ("cron add --every 1h --message hi --command-cwd /", "cannot be used with"),
        ("cron add --every 1h --command ls --fallbacks ''", "cannot be used with"),
        ("cron add --every 1h --message hi --thinking deep", "expected one of off, minimal, low"),
        ("cron add --every 1h --message hi --output-schema nowhere.json", "cannot read `nowhere.json`"),
        ("cron add --every 1h --message hi --output-schema '{'", "it is not JSON"),
        ("cron add --every 1h --message hi --budget-usd=-1", "expected an amount such as 2.50"),
        ("cron add --every 1h --message hi --cleanup never", "[possible values: keep, delete]"),
        ("cron add --every 1h --system-event hi --session session:notes", "needs --session main"),
        ("cron edit id --thinking low --clear-thinking", "cannot be used with"),
        ("cron edit id --budget-usd 1 --clear-budget", "cannot be used with"),
        ("cron add --every 1h --command-argv 'ls -l'", "not a JSON array of texts"),
        ("cron add --every 1h --command-argv '[]'", "must begin with a program"),
        ("cron add --every 1h --command ls --command-env A", "expected NAME=VALUE"),
        ("cron add --every 1h --message hi --webhook http://h --announce", "cannot be used with"),
        ("cron add --every 1h --message hi --webhook http://h --channel x", "cannot be used with"),
        ("cron add --every 1h --message hi --no-deliver --announce", "cannot be used with"),
        (
            "cron add --every 1h --message hi --best-effort-deliver",
            "needs --webhook, --destination or --announce",
        ),
        ("cron add --every 1h --message hi --session main", "--session main needs --system-event"),
        ("cron add --every 1h --system-event hi --session isolated", "needs --session main"),
        ("cron add --every 1h --message hi --timeout-seconds -1", "unexpected argument"),
        ("cron add --every 1h --message hi --timeout-seconds x", "a number of seconds"),
        ("cron add --every 1h --message hi --late-results", "--late-results needs --webhook"),
        ("cron add --every 1h --message hi --misfire never", "invalid value 'never'"),
        ("cron add --every 1h --message hi --overlap replace", "invalid value 'replace'"),
        ("cron add --every 1h --message hi --max-lateness soon", "`soon` is not a duration"),
        ("cron add --file job.json --overlap skip", "cannot be used with"),
        ("cron add --file job.json --every 1h", "cannot be used with"),
        ("cron add --file job.json --disabled", "cannot be used with"),
        ("cron add --delete-after-run --keep-after-run 20m hi", "cannot be used with"),
        ("cron edit", "required arguments were not provided"),
        ("cron edit id", "there is nothing to change"),
        ("cron edit id --agent a --clear-agent", "cannot be used with"),
        ("cron edit id --enable --disable", "cannot be used with"),
        ("cron edit id --cron '0 9 * * *' --every 1h", "cannot be used with"),
        ("cron add '0 9 * * *' hi --dst twice", "[possible values: openclaw, skip, once]"),
        ("cron add --every 1h --message hi --dst once", "cannot be used with"),
        ("cron next", "say whose times"),
        ("cron next --tz UTC", "say whose times"),
        ("cron next id --every 1h", "cannot be used with"),
        ("cron next --cron '0 9 * * *' --anchor 2026-01-01", "cannot be used with"),
        ("cron next id --anchor 2026-01-01", "cannot be used with"),
        ("cron next --anchor 2026-01-01", "say whose times"),
        ("cron next --every 1h --from soon", "`soon` is neither"),
        ("cron next --every 1h -n 0", "0 is not in 1..=1000"),
        ("cron next --every 1h -n 1001", "1001 is not in 1..=1000"),
        ("cron edit id --misfire skip --clear-misfire", "cannot be used with"),
        ("cron edit id --overlap-max 3 --clear-overlap", "cannot be used with"),
        ("cron edit id --late-results --no-late-results", "cannot be used with"),
        ("cron ledger id --outcome lost", "invalid value 'lost'"),
        ("cron ledger id --before noon", "`noon` is neither a time"),
        ("cron backfill id --from 2h", "required arguments were not provided"),
        ("cron backfill id --from noon --to 1h", "`noon` is neither a time"),
        ("cron show ''", "a value is required"),
        ("cron run id --wait-timeout 1h", "--wait"),
        ("cron runs id --id id", "cannot be used with"),
        ("cron runs --limit 201", "201 is not in 1..=200"),
        ("deliveries show", "required arguments were not provided"),
        ("deliveries cancel", "required arguments were not provided"),
        ("deliveries list --since yesterday", "`yesterday` is neither a time"),
        ("deliveries replay", "say which: a delivery's ID, --run, or a range"),
        ("deliveries replay --to ops --wait", "say which: a delivery's ID, --run, or a range"),
        ("deliveries replay dlv_1 --run run_1", "cannot be used with"),
        ("deliveries replay dlv_1 --since 2h", "cannot be used with"),
        ("deliveries replay --run run_1 --per-second 5", "cannot be used with"),
        ("deliveries replay --state dead --dry-run --wait", "cannot be used with"),
        ("replays show", "required arguments were not provided"),
        ("destinations add ops", "a destination needs an address"),
        ("destinations add ops --webhook http://h --format salck", "invalid value 'salck'"),
        ("destinations add ops --webhook http://h --sign v2", "invalid value 'v2'"),
        ("destinations add ops --webhook http://h --retry 5s,soon", "`soon` is not a duration"),
        ("destinations add ops --file ops.json --header 'A: b'", "cannot be used with"),
        ("destinations add ops --webhook http://h --header s3cret", "expected `Name: value`"),
        ("destinations edit ops --allow-private --no-allow-private", "cannot be used with"),
        ("destinations rotate-secret ops --private-key --secret-file f", "cannot be used with"),
        ("destinations rotate-secret ops --overlap soon", "`soon` is not a duration"),
        ("listen --secret a --secret-file b", "cannot be used with"),
        ("listen --status 99", "expected an HTTP status"),
        ("listen --delay soon", "`soon` is not a duration"),
        ("conformance", "required arguments were not provided"),
        ("conformance ftp://example.com", "the scheme of"),
        ("conformance https://example.com", "there is no signing secret"),
        ("conformance https://example.com --secret hunter2", "a signing secret begins with"),
        ("conformance https://example.com --secret a --secret-file b", "cannot be used with"),
        ("conformance https://example.com --timeout 0s", "an answer takes some time"),
        ("gateway --port 65536", "65536 is not in 0..=65535"),
    ] {
        let args = words(line);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        home.run(&args).failed(2, message);
    }
}

#[test]
fn the_version_and_the_help_are_data() {
    let home = Home::new();
    assert_eq!(home.run(&["--version"]).ok(), format!("clawhook {}\n", env!("CARGO_PKG_VERSION")));
    let help = home.run(&["help"]).ok();
    for command in ["gateway", "cron", "deliveries", "replays", "status", "schema", "listen", "conformance"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn the_events_schema_is_printed_without_a_gateway() {
    let printed = Home::new().run(&["schema", "event"]).ok();
    assert_eq!(printed, clawhook_model::RUN_FINISHED_SCHEMA);
}

#[test]
fn the_token_of_the_environment_is_not_in_the_help() {
    let home = Home::new();
    let ended = Home::end(home.command(&["cron", "list", "--help"]).env("CLAWHOOK_TOKEN", "s3cret"));
    assert!(!ended.ok().contains("s3cret"));
}

/// The words of a line, where `'…'` is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
