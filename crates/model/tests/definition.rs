//! What is taken for a job, what is refused and how, and what an edit does: through the public door.

use clawhook_model::{
    ChainOn, DefinitionError, DeliveryMode, DstRule, HookCallState, HookStage, Job, JobDefinition, JobState,
    Payload, Schedule, SessionTarget, UnixMs, WebhookTarget,
};
use serde_json::{Value, json};

const NOW: UnixMs = UnixMs::from_millis(1_771_372_800_000);

fn parse(value: Value) -> Result<JobDefinition, DefinitionError> {
    JobDefinition::parse(value, NOW)
}

fn daily_summary() -> Value {
    json!({
        "name": "daily-summary",
        "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "America/New_York" },
        "payload": { "kind": "agentTurn", "message": "整理今日重點與待辦，輸出精簡摘要。", "timeoutSeconds": 120 },
        "delivery": { "mode": "webhook", "to": "https://example.com/openclaw/webhook" },
        "sessionTarget": "isolated",
        "enabled": true
    })
}

fn minimal() -> Value {
    json!({ "schedule": { "kind": "every", "everyMs": 60000 }, "payload": { "kind": "agentTurn", "message": "hi" } })
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value), message: &str, hint: Option<&str>) {
    let mut job = daily_summary();
    change(&mut job);
    let error = parse(job).expect_err("the job is refused");
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint().as_deref(), hint);
}

#[test]
fn the_source_documents_job_is_taken_as_it_stands() {
    let job = parse(daily_summary()).unwrap();
    assert_eq!(job.name, "daily-summary");
    assert!(matches!(&job.payload, Payload::AgentTurn(turn) if turn.timeout_ms == Some(120_000)));
    assert!(matches!(&job.delivery.mode, DeliveryMode::Webhook(targets)
            if matches!(targets.as_slice(), [WebhookTarget::Url(url)] if url.origin() == "https://example.com")));
}

#[test]
fn what_is_stored_reads_back_the_same() {
    let command = json!({
        "schedule": { "kind": "at", "at": "2026-03-01" },
        "payload": { "kind": "command", "argv": ["sh", "-c", "true"], "env": { "KEY": "s3cret" }, "timeoutSeconds": 1.5 },
        "delivery": { "mode": "webhook", "to": "https://example.com/?token=s3cret", "bestEffort": true }
    });
    for given in [daily_summary(), minimal(), command] {
        let job = parse(given).unwrap();
        assert_eq!(JobDefinition::from_stored_json(job.to_stored_json()).unwrap(), job);
    }
}

#[test]
fn an_unknown_field_is_named_with_the_near_one() {
    let near = |field: &str| Some(format!("did you mean `{field}`?"));
    refused(
        |job| job["payload"]["mesage"] = json!("x"),
        "unknown field `payload.mesage`",
        near("payload.message").as_deref(),
    );
    refused(|job| job["Schedul"] = json!({}), "unknown field `Schedul`", near("schedule").as_deref());
    refused(|job| job["colour"] = json!("red"), "unknown field `colour`", None);
}

#[test]
fn a_field_of_openclaw_that_does_nothing_here_is_refused_as_such() {
    refused(
        |job| job["pacing"] = json!({}),
        "`pacing` is a field of OpenClaw that this version of clawhook does not act on",
        Some("leave `pacing` out; the job runs without it"),
    );
}

#[test]
fn target_and_payload_must_pair() {
    let hint = Some("use main with systemEvent, and isolated with agentTurn or command");
    refused(
        |job| job["sessionTarget"] = json!("main"),
        "sessionTarget `main` cannot run payload.kind `agentTurn`: main cron jobs require payload.kind=\"systemEvent\"",
        hint,
    );
    refused(
        |job| job["payload"] = json!({ "kind": "systemEvent", "text": "x" }),
        "sessionTarget `isolated` cannot run payload.kind `systemEvent`: isolated/current/session cron jobs require payload.kind=\"agentTurn\" or \"command\"",
        hint,
    );
}

#[test]
fn a_webhook_needs_a_url_that_can_be_posted_to() {
    refused(
        |job| job["delivery"] = json!({ "mode": "webhook" }),
        "`delivery.to` is required",
        Some("give the URL that the event is to be posted to"),
    );
    refused(
        |job| job["delivery"]["to"] = json!("ftp://example.com"),
        "`delivery.to`: the scheme of `ftp://example.com/` is `ftp`, and a webhook needs https (or http)",
        None,
    );
}

#[test]
fn wrong_types_are_named_with_what_was_given() {
    refused(
        |job| job["payload"]["timeoutSeconds"] = json!(-1),
        "`payload.timeoutSeconds` must be a number of seconds of at least 0, not -1",
        None,
    );
    refused(
        |job| job["enabled"] = json!("maybe"),
        "`enabled` must be true or false, not the text `maybe`",
        None,
    );
    refused(
        |job| job["schedule"] = json!({ "kind": "every", "everyMs": 0 }),
        "`schedule.everyMs`: `0` is not an interval: expected 1 to 8640000000000000 milliseconds",
        Some("give a whole number of milliseconds, at least 1: 900000 is a quarter of an hour"),
    );
    refused(
        |job| job["schedule"] = json!({ "kind": "every", "everyMs": -5 }),
        "`schedule.everyMs` must be a whole number of at least 0, not -5",
        Some("give a whole number of milliseconds, at least 1: 900000 is a quarter of an hour"),
    );
}

#[test]
fn a_schedule_that_cannot_be_is_refused_with_the_reason_and_a_way_out() {
    for schedule in [
        json!({ "kind": "every", "everyMs": 0 }),
        json!({ "kind": "every", "everyMs": -1 }),
        json!({ "kind": "every", "everyMs": 1.5 }),
        json!({ "kind": "every", "everyMs": "1h" }),
        json!({ "kind": "every", "everyMs": u64::MAX }),
        json!({ "kind": "every" }),
        json!({ "kind": "every", "everyMs": 1000, "anchorMs": -1 }),
        json!({ "kind": "every", "everyMs": 1000, "anchorMs": u64::MAX }),
        json!({ "kind": "at" }),
        json!({ "kind": "at", "at": "tomorrow" }),
        json!({ "kind": "at", "at": -1 }),
        json!({ "kind": "at", "at": "10000-01-01T00:00:00Z" }),
        json!({ "kind": "at", "at": "+010000-01-01T00:00:00Z" }),
        json!({ "kind": "at", "at": "1969-12-31T23:59:59Z" }),
        json!({ "kind": "at", "at": u64::MAX }),
        json!({ "kind": "at", "at": true }),
        json!({ "kind": "cron" }),
        json!({ "kind": "cron", "expr": "0 9 * * *", "staggerMs": "much" }),
        json!({ "kind": "cron", "expr": "0 9 * * *", "dst": "twice" }),
        json!({ "kind": "cron", "expr": "0 9 * * *", "dst": true }),
        json!({ "kind": "weekly" }),
    ] {
        let mut job = daily_summary();
        job["schedule"] = schedule.clone();
        let error = parse(job).expect_err(&schedule.to_string());
        assert!(error.to_string().contains("schedule."), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_rule_for_changes_of_clocks_is_one_of_three_words_and_for_cron_alone() {
    let rule = |schedule: Value| match Schedule::parse(schedule, NOW) {
        Ok(Schedule::Cron { dst, .. }) => dst,
        other => panic!("{other:?}"),
    };
    assert_eq!(rule(json!({ "kind": "cron", "expr": "0 9 * * *" })), DstRule::OpenClaw);
    assert_eq!(rule(json!({ "kind": "cron", "expr": "0 9 * * *", "dst": null })), DstRule::OpenClaw);
    for dst in DstRule::ALL {
        assert_eq!(rule(json!({ "kind": "cron", "expr": "0 9 * * *", "dst": dst.as_str() })), dst);
    }
    refused(
        |job| job["schedule"]["dst"] = json!("twice"),
        "`schedule.dst`: `twice` is not openclaw, skip or once",
        Some("`openclaw` is the default; docs/schedules.md shows what each of them does"),
    );
    for schedule in [
        json!({ "kind": "every", "everyMs": 1000, "dst": "once" }),
        json!({ "kind": "at", "at": "2030-01-01", "dst": "once" }),
    ] {
        refused(|job| job["schedule"] = schedule, "unknown field `schedule.dst`", None);
    }
}

#[test]
fn a_rule_for_changes_of_clocks_is_written_only_where_it_is_not_the_usual_one_and_read_back() {
    for (dst, written) in [(json!("openclaw"), None), (json!("once"), Some(&json!("once")))] {
        let mut job = daily_summary();
        job["schedule"]["dst"] = dst.clone();
        let stored = parse(job).unwrap().to_stored_json();
        assert_eq!(stored["schedule"].get("dst"), written);
        let read = JobDefinition::from_stored_json(stored.clone()).unwrap();
        assert_eq!(read.to_stored_json(), stored);
    }
}

#[test]
fn a_cron_expression_that_replaces_another_keeps_its_stagger_and_its_rule_for_changes_of_clocks() {
    let mut job = daily_summary();
    job["schedule"]["staggerMs"] = json!(5000);
    job["schedule"]["dst"] = json!("once");
    let job = parse(job).unwrap();
    let edited = |schedule: Value| {
        job.patched(json!({ "schedule": schedule }), NOW).unwrap().to_stored_json()["schedule"].take()
    };
    let kept = json!({ "kind": "cron", "expr": "30 2 * * *", "staggerMs": 5000, "dst": "once" });
    assert_eq!(edited(json!({ "kind": "cron", "expr": "30 2 * * *" })), kept);
    assert_eq!(edited(json!({ "expr": "30 2 * * *" })), kept);
    assert_eq!(edited(json!({ "kind": " CRON ", "cron": "30 2 * * *" })), kept);
    let chosen = json!({ "kind": "cron", "expr": "30 2 * * *", "staggerMs": 0, "dst": "skip" });
    assert_eq!(edited(chosen.clone()), chosen);
    let back = edited(json!({ "kind": "cron", "expr": "30 2 * * *", "dst": "openclaw" }));
    assert_eq!(back, json!({ "kind": "cron", "expr": "30 2 * * *", "staggerMs": 5000 }));
    assert_eq!(edited(json!({ "kind": "every", "everyMs": 1000 })).get("dst"), None);
}

#[test]
fn older_clients_shapes_are_brought_to_the_new_one() {
    let job = parse(json!({ "job": {
        "schedule": { "cron": "0 9 * * *" },
        "message": "  first line\nsecond",
        "deliver": true, "channel": "Slack", "to": "C1"
    }}))
    .unwrap();
    assert_eq!(job.name, "first line");
    assert!(matches!(&job.schedule, Schedule::Cron { expr, .. } if expr == "0 9 * * *"));
    assert_eq!(job.session_target, SessionTarget::Isolated);
    assert!(
        matches!(&job.delivery.mode, DeliveryMode::Announce(to) if to.channel.as_deref() == Some("slack"))
    );
}

#[test]
fn an_interval_is_anchored_at_its_creation_and_a_one_shot_goes_after_its_run() {
    assert_eq!(parse(minimal()).unwrap().schedule, Schedule::Every { every_ms: 60_000, anchor_ms: NOW });
    let mut at = minimal();
    at["schedule"] = json!({ "atMs": 1_771_372_900_000_i64 });
    assert!(parse(at.clone()).unwrap().delete_after_run);
    at["deleteAfterRun"] = json!(false);
    assert!(!parse(at).unwrap().delete_after_run);
}

#[test]
fn an_edit_keeps_what_it_omits_and_clears_what_is_null() {
    let job = parse(daily_summary()).unwrap();
    let edited =
        job.patched(json!({ "payload": { "timeoutSeconds": null }, "description": "d" }), NOW).unwrap();
    let Payload::AgentTurn(turn) = &edited.payload else { panic!("another kind") };
    assert_eq!((turn.message.as_str(), turn.timeout_ms), ("整理今日重點與待辦，輸出精簡摘要。", None));
    assert_eq!(edited.description.as_deref(), Some("d"));
    let cleared = edited.patched(json!({ "description": null }), NOW).unwrap();
    assert_eq!(cleared.description, None);
    assert_eq!(cleared.delivery, job.delivery);
}

#[test]
fn an_edit_is_all_or_nothing_and_names_what_is_unknown() {
    let job = parse(daily_summary()).unwrap();
    let error = job.patched(json!({ "name": "x", "delivry": {} }), NOW).unwrap_err();
    assert_eq!(error.to_string(), "unknown field `delivry`");
    assert_eq!(error.hint().as_deref(), Some("did you mean `delivery`?"));
    let error = job.patched(json!({ "payload": { "kind": "systemEvent" } }), NOW).unwrap_err();
    assert_eq!(error.to_string(), "`payload.text` is required");
}

#[test]
fn i12_masked_values_written_back_keep_the_stored_ones() {
    let job = parse(json!({
        "schedule": { "kind": "every", "everyMs": 1000 },
        "payload": { "kind": "command", "argv": ["true"], "env": { "A": "s3cret", "B": "b" } },
        "delivery": { "mode": "webhook", "to": "https://example.com/x?token=s3cret" }
    }))
    .unwrap();
    let patch = json!({
        "payload": { "env": { "A": "***", "C": "c" } },
        "delivery": { "to": "https://example.com/x?token=***" }
    });
    let edited = job.patched(patch, NOW).unwrap();
    assert_eq!(edited.delivery, job.delivery);
    let Payload::Command(command) = &edited.payload else { panic!("another kind") };
    assert_eq!(command.env.get("A").map(String::as_str), Some("s3cret"));
    assert_eq!(command.env.get("C").map(String::as_str), Some("c"));
    assert_eq!(command.env.len(), 2, "the variables are replaced as a whole");
}

#[test]
fn another_delivery_mode_starts_afresh() {
    let job = parse(daily_summary()).unwrap();
    let edited = job.patched(json!({ "delivery": { "mode": "none" } }), NOW).unwrap();
    assert_eq!(edited.delivery.mode, DeliveryMode::None);
}

#[test]
fn a_job_that_requests_begin_is_the_gateways_own_and_nobody_elses_to_make() {
    let hook = JobDefinition::hook("deploys", None);
    assert!(hook.is_system_owned());
    assert_eq!(JobDefinition::from_stored_json(hook.to_stored_json()), Ok(hook.clone()));
    assert_eq!(hook.lane(), clawhook_model::Lane::Hook);
    let refused = "`schedule.kind`: `event` is a kind of OpenClaw that this version of clawhook does not run";
    let given = json!({ "name": "x", "schedule": { "kind": " Event", "source": "hook.x", "options": {} },
        "payload": { "kind": "agentTurn", "message": "hello" } });
    assert_eq!(JobDefinition::parse(given.clone(), UnixMs::EPOCH).unwrap_err().to_string(), refused);
    let ordinary = json!({ "name": "x", "schedule": { "kind": "every", "everyMs": 1000 },
        "payload": { "kind": "agentTurn", "message": "hello" } });
    let ordinary = JobDefinition::parse(ordinary, UnixMs::EPOCH).unwrap();
    let patch = json!({ "schedule": given["schedule"] });
    assert_eq!(ordinary.patched(patch, UnixMs::EPOCH).unwrap_err().to_string(), refused);
    assert_eq!(Schedule::parse(given["schedule"].clone(), UnixMs::EPOCH).unwrap_err().to_string(), refused);
    let off = hook.patched(json!({ "enabled": false }), UnixMs::EPOCH).unwrap();
    assert!(!off.enabled && off.is_system_owned());
}

/// The first block of JSON of a page.
fn example(page: &str) -> Value {
    let start = page.find("```json\n").expect("the page has an example") + "```json\n".len();
    let end = page[start..].find("```").expect("the example ends");
    serde_json::from_str(&page[start..start + end]).expect("the example is JSON")
}

#[test]
fn the_examples_of_the_pages_on_hooks_and_chains_are_jobs_that_come_back_from_the_store_as_they_are() {
    for page in [include_str!("../../../docs/job-hooks.md"), include_str!("../../../docs/chains.md")] {
        let job = JobDefinition::parse(example(page), UnixMs::EPOCH).unwrap();
        assert_eq!(JobDefinition::from_stored_json(job.to_stored_json()).unwrap(), job);
    }
}

#[test]
fn the_page_on_hooks_names_every_stage_kind_and_state_of_the_code() {
    let page = include_str!("../../../docs/job-hooks.md");
    let stages = HookStage::ALL.map(HookStage::as_str);
    let states = HookCallState::ALL.map(HookCallState::as_str);
    for word in stages.iter().chain(&states).chain(&["command", "webhook", "agentTurn", "systemEvent"]) {
        assert!(page.contains(&format!("`{word}`")), "docs/job-hooks.md lacks `{word}`");
    }
    for on in ChainOn::ALL {
        assert!(include_str!("../../../docs/chains.md").contains(&format!("`{}`", on.as_str())));
    }
}

fn with_hooks(hooks: &Value) -> Result<JobDefinition, String> {
    let job = json!({
        "schedule": { "everyMs": 1000 }, "payload": { "kind": "agentTurn", "message": "go" }, "hooks": hooks,
    });
    JobDefinition::parse(job, UnixMs::EPOCH).map_err(|error| error.to_string())
}

#[test]
fn hooks_that_could_do_nothing_or_mean_two_things_are_refused_by_name() {
    let command = json!({ "kind": "command", "argv": ["x"] });
    for (hooks, told) in [
        (json!({ "before": [] }), "hooks.before"),
        (json!({ "pre": [{ "argv": ["x"] }] }), "hooks.pre.kind"),
        (json!({ "pre": [{ "kind": "shell", "argv": ["x"] }] }), "`shell` is not command"),
        (json!({ "pre": [{ "kind": "command", "argv": [] }] }), "hooks.pre.argv"),
        (json!({ "pre": [{ "kind": "systemEvent", "text": "x" }] }), "gives no answer"),
        (json!({ "pre": [{ "kind": "command", "argv": ["x"], "text": "y" }] }), "hooks.pre.text"),
        (json!({ "post": [{ "kind": "command", "argv": ["x"], "onFailure": "skip" }] }), "only a gate"),
        (json!({ "post": [{ "kind": "webhook" }] }), "either `to` or `destination`"),
        (json!({ "post": [{ "kind": "webhook", "to": "ftp://example.com/" }] }), "hooks.post.to"),
        (json!({ "pre": [{ "kind": "command", "argv": ["x"], "timeoutSeconds": 0 }] }), "is no limit"),
        (json!({ "pre": [{ "kind": "command", "argv": ["x"], "timeoutSeconds": 601 }] }), "at most 600 s"),
        (json!({ "pre": [{ "kind": "command", "argv": ["x"], "priority": 1001 }] }), "hooks.pre.priority"),
        (
            json!({ "pre": [{ "name": "a", "kind": "command", "argv": ["x"] }, { "name": "a", "kind": "command", "argv": ["x"] }] }),
            "two hooks are called `a`",
        ),
        (json!({ "always": vec![command.clone(); 17] }), "at most 16"),
    ] {
        let error = with_hooks(&hooks).expect_err(&hooks.to_string());
        assert!(error.contains(told), "{error}");
    }
    let job = json!({
        "schedule": { "everyMs": 1000 }, "payload": { "kind": "command", "argv": ["x"] },
        "hooks": { "pre": [{ "kind": "command", "argv": ["x"], "appendOutput": true }] },
    });
    let error = JobDefinition::parse(job, UnixMs::EPOCH).unwrap_err().to_string();
    assert!(error.contains("no prompt"), "{error}");
}

#[test]
fn i12_secrets_of_hooks_are_masked_and_what_is_written_back_masked_keeps_them() {
    let hooks = json!({
        "pre": [{ "name": "a", "kind": "command", "argv": ["x"], "env": { "KEY": "s3cret" } }],
        "post": [{ "name": "b", "kind": "webhook", "to": "https://example.com/?token=s3cret" }],
    });
    let definition = with_hooks(&hooks).unwrap();
    let job = Job {
        id: "j".parse().unwrap(),
        definition: definition.clone(),
        created_at: UnixMs::EPOCH,
        updated_at: UnixMs::EPOCH,
        state: JobState::default(),
    };
    let shown = job.to_json();
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    assert!(!format!("{definition:?}").contains("s3cret"));
    let again = definition.patched(json!({ "hooks": shown["hooks"].clone() }), UnixMs::EPOCH).unwrap();
    assert_eq!(again, definition);
    let cleared = definition.patched(json!({ "hooks": { "post": null } }), UnixMs::EPOCH).unwrap();
    assert_eq!((cleared.hooks.pre.len(), cleared.hooks.post.len()), (1, 0));
}

#[test]
fn only_jobs_may_begin_what_a_client_has_without_a_clock() {
    let job = |source: &str| {
        json!({
            "schedule": { "kind": "event", "source": source }, "after": ["first"],
            "payload": { "kind": "agentTurn", "message": "go" },
        })
    };
    let chained = JobDefinition::parse(job("job"), UnixMs::EPOCH).unwrap();
    assert!(!chained.is_system_owned());
    assert_eq!(chained.after[0].on, ChainOn::Success);
    JobDefinition::parse(job("hook.x"), UnixMs::EPOCH).unwrap_err();
    for bad in
        [json!([{ "on": "success" }]), json!([{ "job": "a", "on": "end" }]), json!(["a", "a"]), json!("a")]
    {
        let mut wrong = job("job");
        wrong["after"] = bad;
        JobDefinition::parse(wrong.clone(), UnixMs::EPOCH).expect_err(&wrong.to_string());
    }
}
