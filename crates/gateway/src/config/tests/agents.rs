//! What the configuration promises of agents.

use std::path::Path;
use std::time::Duration;

use clawhook_agent::TurnLimits;
use clawhook_model::{AgentId, Thinking};

use super::{only_problem, parse};
use crate::config::{AgentConfig, Config};

/// A text with two providers and what `agents` holds.
fn with_agents(agents: &str) -> String {
    format!(
        "{{ agents: {{ {agents} }}, mcp: {{ servers: {{ files: {{ command: 'f' }} }} }}, models: {{ providers: {{ \
           a: {{ baseUrl: 'http://h/v1' }}, b: {{ baseUrl: 'http://h/v1', models: [{{ id: 'large' }}] }} }} }} }}"
    )
}

fn agents(text: &str) -> Config {
    parse(&with_agents(text))
}

fn agent(config: &Config, id: &str) -> AgentConfig {
    config.agents.entries[&AgentId::normalise(id)].clone()
}

fn names(models: &[clawhook_agent::ModelRef]) -> Vec<String> {
    models.iter().map(ToString::to_string).collect()
}

#[test]
fn an_entry_wins_over_the_defaults_key_by_key() {
    let config = agents(
        "defaults: { model: 'a/m', fallbacks: ['b/large'], systemPrompt: 'Be brief.', thinkingDefault: 'high',
           userTimezone: 'Europe/Berlin', timeoutSeconds: 0, limits: { rounds: 3, toolTimeout: '5s' },
           tools: { allow: ['files'], deny: ['files__rm'] }, heartbeat: { every: '30m', model: 'a/h' } },
         entries: { x: { model: 'b/large', limits: { toolCalls: 0 }, tools: { allow: [] }, timeoutSeconds: 60,
           heartbeat: { prompt: 'Look.' } } }",
    );
    let (main, x) = (agent(&config, "main"), agent(&config, "X"));
    assert_eq!(main.profile.model.as_ref().unwrap().to_string(), "a/m");
    assert_eq!(x.profile.model.as_ref().unwrap().to_string(), "b/large");
    assert_eq!(names(&x.profile.fallbacks), ["b/large"]);
    assert_eq!(x.profile.system_prompt.as_deref(), Some("Be brief."));
    assert_eq!(x.profile.thinking, Some(Thinking::High));
    assert_eq!(x.profile.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!((main.time_limit, x.time_limit), (None, Some(Duration::from_mins(1))));
    let limits = TurnLimits { rounds: 3, tool_timeout: Duration::from_secs(5), ..TurnLimits::default() };
    assert_eq!(main.profile.limits, limits);
    assert_eq!(x.profile.limits, TurnLimits { tool_calls: 0, ..limits });
    assert_eq!(main.profile.tools.allow, ["files"]);
    assert!(x.profile.tools.allow.is_empty());
    assert_eq!(x.profile.tools.deny, ["files__rm"]);
    let heartbeat = x.heartbeat.unwrap();
    assert_eq!(heartbeat.every, Duration::from_mins(30));
    assert_eq!(heartbeat.prompt.as_deref(), Some("Look."));
    assert_eq!(heartbeat.model.unwrap().to_string(), "a/h");
}

#[test]
fn an_agent_of_which_nothing_is_said_has_no_tools_no_heartbeat_and_an_hour() {
    let main = agent(&parse("{}"), "main");
    assert!(main.profile.tools.allow.is_empty() && main.heartbeat.is_none());
    assert_eq!(main.time_limit, Some(Duration::from_hours(1)));
    assert_eq!(main.profile.limits, TurnLimits::default());
}

#[test]
fn fallbacks_are_written_beside_the_model_or_within_it_and_an_empty_list_is_none() {
    for text in [
        "defaults: { model: { primary: 'a/m', fallbacks: ['b/large', 'a/n'] } }",
        "defaults: { model: 'a/m', fallbacks: ['b/large', 'a/n'] }",
        "defaults: { model: 'a/m' }, entries: { main: { model: { fallbacks: ['b/large', 'a/n'] } } }",
    ] {
        let main = agent(&agents(text), "main");
        assert_eq!(main.profile.model.unwrap().to_string(), "a/m", "{text}");
        assert_eq!(names(&main.profile.fallbacks), ["b/large", "a/n"], "{text}");
    }
    let none = agents("defaults: { model: 'a/m', fallbacks: ['a/n'] }, entries: { x: { fallbacks: [] } }");
    assert!(agent(&none, "x").profile.fallbacks.is_empty());
}

#[test]
fn the_list_of_older_files_makes_the_same_agents() {
    let listed = agents("list: [{ id: 'Sales Team', model: 'a/m' }, { id: 'plain' }]");
    let entered = agents("entries: { 'Sales Team': { model: 'a/m' }, plain: {} }");
    assert_eq!(format!("{:?}", listed.agents), format!("{:?}", entered.agents));
    assert!(listed.agents.entries.contains_key(&AgentId::normalise("sales-team")));
}

#[test]
fn a_workspace_is_where_the_file_says_or_in_the_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("work")).unwrap();
    let name = directory.path().join("clawhook.json5").display().to_string();
    let text = "{ agents: { entries: { a: { workspace: 'work' }, b: {} } } }";
    let env = |name: &str| (name == "CLAWHOOK_STATE_DIR").then(|| "/s".to_owned());
    let config = Config::parse(text, &name, &env).unwrap();
    assert_eq!(agent(&config, "a").workspace, directory.path().join("work"));
    assert!(agent(&config, "a").workspace_is_named());
    assert_eq!(agent(&config, "b").workspace, Path::new("/s/workspace-b"));
    assert_eq!(agent(&config, "main").workspace, Path::new("/s/workspace"));
    assert!(!agent(&config, "main").workspace_is_named());
}

#[test]
fn a_workspace_that_holds_the_gateways_secrets_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().display().to_string();
    let state = directory.path().join(".clawhook");
    std::fs::create_dir(&state).unwrap();
    let env = |name: &str| (name == "HOME").then(|| home.clone());
    for workspace in ["~", "~/.clawhook", "/"] {
        let text = format!("{{ agents: {{ defaults: {{ workspace: '{workspace}' }} }} }}");
        let told = Config::parse(&text, "clawhook.json5", &env).unwrap_err().to_string();
        assert!(told.contains("holds the state directory"), "{told}");
    }
}

#[test]
fn active_hours_are_those_of_the_agent_of_the_host_or_of_a_place() {
    let hours = |given: &str| {
        let config = agents(&format!(
            "defaults: {{ userTimezone: 'Asia/Tokyo', heartbeat: {{ every: '1h', activeHours: {given} }} }}"
        ));
        agent(&config, "main").heartbeat.unwrap().active_hours
    };
    let zone = |given: &str| {
        let zone = hours(given).unwrap().zone;
        zone.map(|zone| zone.iana_name().unwrap().to_owned())
    };
    assert_eq!(zone("{ start: '08:00', end: '22:30' }").as_deref(), Some("Asia/Tokyo"));
    assert_eq!(zone("{ start: '08:00', end: '22:30', timezone: 'user' }").as_deref(), Some("Asia/Tokyo"));
    assert_eq!(zone("{ start: '08:00', end: '22:30', timezone: 'local' }"), None);
    let lisbon = "{ start: '22:30', end: '08:00', timezone: 'Europe/Lisbon' }";
    assert_eq!(zone(lisbon).as_deref(), Some("Europe/Lisbon"));
    let over_midnight = hours(lisbon).unwrap();
    assert_eq!((over_midnight.start.hour(), over_midnight.start.minute()), (22, 30));
    assert_eq!(hours("{ start: '06:00', end: '24:00' }").unwrap().end.hour(), 0);
    assert!(hours("{ start: '00:00', end: '24:00' }").is_none(), "the whole day is no limit");
}

#[test]
fn a_heartbeat_is_switched_off_by_false_and_by_a_length_of_nothing() {
    for off in ["false", "'0m'", "'0s'"] {
        let config = agents(&format!(
            "defaults: {{ heartbeat: {{ every: '30m' }} }}, entries: {{ x: {{ heartbeat: {{ every: {off} }} }} }}"
        ));
        assert!(agent(&config, "x").heartbeat.is_none(), "{off}");
        assert!(agent(&config, "main").heartbeat.is_some(), "{off}");
    }
}

#[test]
fn what_is_wrong_with_an_agent_is_told_with_what_to_do() {
    for (text, told, to_do) in [
        (
            "defaults: { model: 'nowhere/y' }",
            "the model names the provider `nowhere`, which `models.providers` lacks",
            "add",
        ),
        (
            "defaults: { fallbacks: ['nowhere/y'] }",
            "the model names the provider `nowhere`",
            "add `models.providers.nowhere`",
        ),
        (
            "entries: { z: { heartbeat: { model: 'nowhere/y' } } }",
            "the model names the provider `nowhere`",
            "add",
        ),
        (
            "defaults: { model: 'b/larg' }",
            "the provider `b` lists no model `larg`",
            "did you mean `b/large`?",
        ),
        (
            "defaults: { model: { primary: 'a/m', fallbacks: [] }, fallbacks: [] }",
            "stands beside `model`",
            "take one",
        ),
        (
            "defaults: { systemPromptFile: '../AGENTS.md' }",
            "must be a path within the workspace",
            "set `workspace`",
        ),
        (
            "defaults: { systemPromptFile: '/etc/passwd' }",
            "must be a path within the workspace",
            "set `workspace`",
        ),
        (
            "defaults: { systemPromptFile: '~/AGENTS.md' }",
            "must be a path within the workspace",
            "set `workspace`",
        ),
        (
            "defaults: { workspace: '/nowhere/at/all' }",
            "the workspace `/nowhere/at/all` is no folder",
            "make",
        ),
        ("defaults: { tools: { allow: ['file__read'] } }", "of the server `file`", "did you mean `files`?"),
        ("entries: { z: { tools: { deny: ['exec'] } } }", "of the server `exec`", "add `mcp.servers.exec`"),
        ("defaults: { userTimezone: 'Berlin' }", "must be an IANA zone", "did you mean `Europe/Berlin`?"),
        ("defaults: { heartbeat: { every: '10s' } }", "must be a duration from 1m to 30d, or false", ""),
        ("defaults: { heartbeat: { every: true } }", "must be a duration from 1m to 30d, or false", ""),
        (
            "defaults: { heartbeat: { activeHours: { start: '8', end: '22:00' } } }",
            "activeHours.start` must be",
            "",
        ),
        (
            "defaults: { heartbeat: { activeHours: { start: '08:00', end: '25:00' } } }",
            "activeHours.end` must",
            "",
        ),
        (
            "defaults: { heartbeat: { activeHours: { start: '08:00', end: '08:00' } } }",
            "it would never be",
            "",
        ),
        (
            "defaults: { heartbeat: { activeHours: { start: '08:00', end: '9:00' } } }",
            "activeHours.end` must be a time of day",
            "",
        ),
        ("defaults: { thinkingDefault: 'deep' }", "must be one of \"off\", \"minimal\", \"low\"", ""),
        ("defaults: { limits: { rounds: 0 } }", "a whole number from 1 to 1000, not `0`", ""),
        ("defaults: { systemPrompt: '' }", "must be a text of at most 65536 bytes", ""),
        ("entries: { z: { history: { entries: 5 } } }", "unknown key `history` in `agents.entries.z`", ""),
        ("list: [{ model: 'a/m' }]", "`agents.list[0].id` is missing", ""),
        ("list: ['z']", "`agents.list[0]` must be an object", ""),
        ("list: { id: 'z' }", "`agents.list` must be a list of agents", ""),
        ("list: [{ id: 'z' }], entries: { Z: {} }", "`z` is the agent `z`, which has an entry already", ""),
    ] {
        let (_, message, hint) = only_problem(&with_agents(text));
        assert!(message.contains(told), "{text}: {message}");
        assert!(hint.unwrap_or_default().contains(to_do), "{text}");
    }
}

#[test]
fn a_mistake_in_the_defaults_is_told_once_however_many_agents_there_are() {
    let (_, message, _) =
        only_problem(&with_agents("defaults: { model: 'nowhere/y' }, entries: { p: {}, q: {}, r: {} }"));
    assert!(message.contains("`nowhere`"), "{message}");
}

#[test]
fn the_example_of_the_tools_document_is_read_as_it_says() {
    let document = include_str!("../../../../../docs/tools.md");
    let example = document.split("```json5\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let env = |name: &str| (name == "HOME" || name == "TICKETS_TOKEN").then(|| "/value".to_owned());
    let config = Config::parse(example, "clawhook.json5", &env).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.mcp.servers.keys().collect::<Vec<_>>(), ["files", "tickets", "time"]);
    let tools = agent(&config, "reporter").profile.tools;
    assert_eq!(tools.allow, ["files", "time__get_current_time"]);
    assert_eq!(tools.deny, ["files__write_*"]);
}
