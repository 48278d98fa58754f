//! Destinations, from the command line to the receiver and back.

use serde_json::json;

use crate::gateway::{CONFIG, House};
use crate::processes::Home;

impl House {
    fn destinations(&self, args: &[&str]) -> crate::processes::Ended {
        self.home.run(&[&["destinations"], args].concat())
    }
}

#[test]
fn a_destination_is_added_looked_at_changed_and_removed() {
    let house = House::open();
    let added = house.destinations(&[
        "add",
        "ops",
        "--webhook",
        "https://example.com/hook?token=s3cret",
        "--max-concurrent",
        "2",
        "--per-second",
        "0.5",
        "--timeout",
        "5s",
        "--order",
        "job",
        "--send-empty",
    ]);
    let added = added.ok();
    for line in [
        "added: ops\n",
        "url: https://example.com/hook?token=***\n",
        "limits: maxConcurrent 2, perSecond 0.5, timeout 5s\n",
        "order: job\n",
        "sendEmpty: true\n",
        "standing: active\n",
    ] {
        assert!(added.contains(line), "no `{line}` in {added}");
    }
    let edit = |flags: &[&str]| house.destinations(&[&["edit", "ops", "--json"], flags].concat());
    let edited =
        edit(&["--clear-per-second", "--clear-timeout", "--no-send-empty", "--order", "none"]).json();
    assert_eq!(
        edited["definition"],
        json!({ "url": "https://example.com/hook?token=***", "limits": { "maxConcurrent": 2 } })
    );
    edit(&["--revision", "1", "--order", "job"]).failed(1, "its revision is 2, not 1");
    edit(&[]).failed(2, "there is nothing to change");
    edit(&["--webhook", "http://10.0.0.1/"]).failed(1, "error: ");

    let list = house.destinations(&["list"]).ok();
    assert!(list.starts_with("Name  Standing  Waiting  Oldest due  URL\nops "), "{list}");
    assert!(!list.contains("s3cret"), "{list}");
    let got = house.destinations(&["get", "ops"]).ok();
    assert!(got.contains("waiting: nothing\n") && got.contains("jobs: -\n"), "{got}");
    assert_eq!(house.destinations(&["get", "ops", "--json"]).json()["name"], "ops");

    assert_eq!(house.destinations(&["rm", "ops"]).ok(), "removed: ops\n");
    for command in ["get", "rm", "test", "pause", "resume"] {
        let ended = house.destinations(&[command, "ops"]);
        ended.failed(1, "error: Destination not found: ops\n");
        ended.failed(1, "hint: see those there are: `clawhook destinations list --all`");
    }
    assert!(house.destinations(&["list"]).stderr.contains("no named destinations"));
}

#[test]
fn a_destination_is_taken_from_a_document() {
    let house = House::open();
    let document = r#"{ "name": "ops", "url": "https://example.com/hook", "order": "job" }"#;
    let path = house.home.write("ops.json", document);
    let path = path.to_str().unwrap();
    let added = house.destinations(&["add", "--file", path, "--json"]).json();
    assert_eq!((&added["name"], &added["definition"]["order"]), (&"ops".into(), &"job".into()));
    house.destinations(&["add", "--file", path]).failed(1, "there is a destination `ops` already");
    house.destinations(&["add", "other", "--file", path]).failed(2, "another name");
    house.destinations(&["add", "other"]).failed(2, "a destination needs an address");
    house.destinations(&["add", "other", "--file", path, "--order", "job"]).failed(2, "cannot be used with");
    let patch = house.home.write("patch.json", r#"{ "order": null }"#);
    house.destinations(&["edit", "ops", "--file", patch.to_str().unwrap()]).ok();
    let typo = house.home.write("typo.json", r#"{ "ordre": "job" }"#);
    let ended = house.destinations(&["edit", "ops", "--file", typo.to_str().unwrap()]);
    ended.failed(1, "hint: did you mean `order`?");
}

#[test]
fn i07_a_job_with_two_receivers_of_which_one_is_paused_is_green_only_when_both_have_it() {
    let house = House::open();
    let (first, second) =
        (house.home.start(&["listen", "--port", "0"]), house.home.start(&["listen", "--port", "0"]));
    house.destinations(&["add", "ops", "--webhook", &format!("{}/hook?token=s3cret", second.url)]).ok();
    let job = house.home.run(&[
        "cron",
        "add",
        "every 1h",
        "--name",
        "both",
        "--command",
        "echo hello",
        "--webhook",
        &format!("{}/hook", first.url),
        "--destination",
        "ops",
        "--json",
    ]);
    let job = job.json();
    assert_eq!(
        job["delivery"]["targets"],
        json!([{ "to": format!("{}/hook", first.url) }, { "destination": "ops" }])
    );
    let id = job["id"].as_str().unwrap();

    let paused = house.destinations(&["pause", "ops", "--reason", "moving house"]).ok();
    assert!(paused.contains("standing: paused (moving house)\n"), "{paused}");
    house.home.run(&["cron", "run", id]).ok();
    assert!(first.next_line().contains("both: ok"));
    assert!(house.home.run(&["cron", "list"]).ok().contains("ok (delivering)"));
    let list = house.destinations(&["list", "--halted"]).ok();
    assert!(list.contains("paused (moving house)  1 ") && list.contains("ago"), "{list}");
    let status = house.home.run(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.stdout.contains("healthy: yes, with warnings\n"), "{status:?}");
    assert!(status.stdout.contains(" open (1 of them for halted destinations), 0 dead"));
    assert!(
        status.stderr.contains("warning: the destination `ops` is paused (moving house), and 1 delivery")
    );
    house.destinations(&["rm", "ops"]).failed(1, "1 delivery waits for it");

    let deliveries =
        house.home.run(&["deliveries", "list", "--job", id, "--state", "pending", "--json"]).json();
    let delivery = deliveries["deliveries"][0]["id"].as_str().unwrap();
    let shown = house.home.run(&["deliveries", "show", delivery]).ok();
    assert!(shown.contains("target: ops\ndestination: dst_"), "{shown}");

    assert!(house.destinations(&["resume", "ops"]).ok().contains("standing: active\n"));
    assert!(second.next_line().contains("both: ok"));
    house.home.run(&["cron", "run", id, "--wait"]).ok();
    house.home.run(&["status"]).ok();
}

#[test]
fn i07_a_job_of_whose_receivers_one_fails_is_shown_as_not_delivered() {
    let house = House::open();
    let receiver = house.home.start(&["listen", "--port", "0"]);
    house.destinations(&["add", "broken", "--webhook", "http://127.0.0.1:1/hook"]).ok();
    let job = house.home.run(&[
        "cron",
        "add",
        "every 1h",
        "--command",
        "echo hello",
        "--webhook",
        &receiver.url,
        "--destination",
        "broken",
        "--json",
    ]);
    let id = job.json()["id"].as_str().unwrap().to_owned();
    let ended = house.home.run(&["cron", "run", &id, "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("error: the run is ok, but its delivery dlv_"), "{ended:?}");
    assert!(house.home.run(&["cron", "list"]).ok().contains("ok (not delivered)"));
    // Other receivers take the place of all there were.
    let edited = house.home.run(&["cron", "edit", &id, "--destination", "broken", "--json"]).json();
    assert_eq!(edited["delivery"], json!({ "mode": "webhook", "destination": "broken" }));
    house
        .home
        .run(&["cron", "edit", &id, "--destination", "nope"])
        .failed(1, "there is no destination `nope`");
}

#[test]
fn a_test_shows_what_the_receiver_said_and_fails_where_it_refused() {
    let house = House::open();
    let receiver = house.home.start(&["listen", "--port", "0", "--fail-first", "1"]);
    house.destinations(&["add", "ops", "--webhook", &receiver.url]).ok();
    let refused = house.destinations(&["test", "ops"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("result: HTTP 500 server_error"), "{refused:?}");
    assert!(refused.stderr.contains("error: `ops` did not take the test event"), "{refused:?}");
    assert!(receiver.next_line().contains("clawhook-test: ok"));
    let taken = house.destinations(&["test", "ops"]).ok();
    assert!(taken.contains("result: HTTP 200 delivered") && taken.contains("took: "), "{taken}");
    assert_eq!(house.destinations(&["test", "ops", "--json"]).json()["delivered"], true);
}

#[test]
fn a_declared_destination_is_there_and_a_wrong_one_keeps_the_gateway_from_starting() {
    let declared =
        CONFIG.replace("delivery: {", "delivery: { destinations: { ops: { url: 'https://example.com/' } },");
    let house = House::with(&declared);
    let shown = house.destinations(&["get", "ops"]).ok();
    assert!(shown.contains("declared in: /") && shown.contains("clawhook.json5\n"), "{shown}");
    house.destinations(&["edit", "ops", "--order", "job"]).failed(1, "clawhook.json5`, and is changed there");

    let home = Home::new();
    let bad = "{ delivery: { destinations: {\n  ops: { url: 'https://example.com/', ordre: 'job' },\n} } }";
    let bad = home.write("bad.json5", bad);
    let ended = home.run(&["gateway", "--port", "0", "--config", bad.to_str().unwrap()]);
    ended.failed(1, "bad.json5:2:39: `delivery.destinations.ops.ordre` is not a field of a destination");
    ended.failed(1, "did you mean `order`?");
}

#[test]
fn a_destination_is_said_with_flags_shown_and_given_another_secret() {
    let house = House::open();
    let receiver = house.home.start(&["listen", "--port", "0"]);
    let old = house.home.write("old", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let old = old.to_str().unwrap();
    let added = house.destinations(&[
        "add",
        "ops",
        "--webhook",
        &receiver.url,
        "--allow-private",
        "--header",
        "X-Home: env:HOME",
        "--header",
        "X-Team: ops",
        "--format",
        "cloudevents-binary",
        "--sign",
        "v1",
        "--sign",
        "github",
        "--secret-file",
        old,
        "--retry",
        "50ms,1m",
        "--client-error-tries",
        "2",
        "--json",
    ]);
    assert_eq!(
        added.json()["definition"],
        json!({
            "url": format!("{}/", receiver.url.trim_end_matches('/')),
            "headers": { "x-home": { "env": "HOME" }, "x-team": "***" },
            "signing": { "schemes": ["v1", "github"], "secret": "***" },
            "format": "cloudevents-binary",
            "retry": { "schedule": ["50ms", "1m"], "clientErrorTries": 2 },
            "network": { "allowPrivate": true },
        })
    );

    let rendered = house.destinations(&["render", "ops"]).ok();
    let (head, body) = rendered.split_once("\n\n").unwrap();
    assert!(head.starts_with("content-type: application/json\n") && head.contains("\nce-id: "), "{head}");
    assert!(body.contains(r#""action":"finished""#), "{body}");
    let id = house.add("greeter", "echo hello", &receiver.url);
    let ran = house.home.run(&["cron", "run", &id, "--wait", "--json"]).json();
    let run = ran["runId"].as_str().unwrap();
    let rendered = house.destinations(&["render", "ops", "--run", run, "--json"]).json();
    assert!(rendered["body"].as_str().unwrap().contains(run), "{rendered}");

    let rotated = house.destinations(&["rotate-secret", "ops", "--overlap", "1h"]);
    assert!(rotated.stderr.contains("note: the secret is shown this once"), "{rotated:?}");
    let rotated = rotated.ok();
    assert!(rotated.starts_with("rotated: ops\nsecret: whsec_"), "{rotated}");
    assert!(rotated.contains("\nold key signs until: in 1h ("), "{rotated}");
    let brought = house.destinations(&["rotate-secret", "ops", "--secret-file", old]).ok();
    assert!(!brought.contains("whsec_"), "{brought}");
    let pair = house.destinations(&["rotate-secret", "ops", "--private-key", "--json"]).json();
    assert!(pair["publicKey"].as_str().unwrap().starts_with("whpk_"), "{pair}");

    let edited = house.destinations(&[
        "edit",
        "ops",
        "--clear-header",
        "X-Team",
        "--header",
        "X-More: 1",
        "--clear-retry",
        "--format",
        "event",
        "--json",
    ]);
    let edited = edited.json()["definition"].clone();
    assert_eq!(edited["headers"], json!({ "x-home": { "env": "HOME" }, "x-more": "***" }));
    assert_eq!((&edited["retry"], edited.get("format")), (&json!({ "clientErrorTries": 2 }), None));
    house.destinations(&["edit", "ops", "--no-allow-private", "--json"]).ok();
    let unset = ["edit", "ops", "--header", "X-Key: env:NOT_SET_AT_ALL"];
    house.destinations(&unset).failed(1, "the environment variable `NOT_SET_AT_ALL` is not set");
    house
        .destinations(&["rotate-secret", "ops", "--secret-file", "/nowhere"])
        .failed(1, "cannot read `/nowhere`");
}
