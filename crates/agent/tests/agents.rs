//! Agents behind one door: which there are, what they may do, and what of a job could never run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clawhook_agent::{
    AcpOptions, AgentError, AgentOptions, AgentProfile, Agents, ChatApi, ChatEndpoint, Command,
    CommandOptions, Environment, LiveOutput, McpOptions, ModelInfo, NoSuchModel, Provider, ProviderApi,
    Runtime, Turn, TurnResult, Work,
};
use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, ErrorReason, JobDefinition, RunStatus, SessionRef, UnixMs};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn agents(main: AgentProfile) -> Agents {
    let provider = |models: &[&str]| Provider {
        api: ProviderApi::Chat(ChatEndpoint::new(ChatApi::OpenAiCompletions, None)),
        models: models.iter().map(|model| ((*model).to_owned(), ModelInfo::default())).collect(),
    };
    let providers = [("fake".to_owned(), provider(&[])), ("listed".to_owned(), provider(&["one", "two"]))];
    let options = AgentOptions {
        agents: BTreeMap::from([(AgentId::main(), main)]),
        providers: providers.into(),
        tools: McpOptions::default(),
        commands: CommandOptions { cwd: "/".into(), environment: Environment::inherited() },
    };
    Agents::new(options, Arc::new(ManualClock::at(UnixMs::EPOCH)))
}

fn with_model() -> AgentProfile {
    AgentProfile { model: Some("fake/one".parse().expect("a model")), ..AgentProfile::default() }
}

fn command(argv: &[&str], cwd: Option<&Path>) -> Command {
    Command {
        argv: argv.iter().map(ToString::to_string).collect(),
        cwd: cwd.map(Path::to_owned),
        env: BTreeMap::new(),
        input: None,
        no_output_timeout: None,
        output_max_bytes: None,
        output_schema: None,
    }
}

async fn run(agents: &Agents, agent: &str, work: Work) -> TurnResult {
    let agent = AgentId::normalise(agent);
    let session = SessionRef::main(&agent);
    let turn = Turn { agent, session, work, timeout: None, live: LiveOutput::default() };
    agents.run_turn(turn, CancellationToken::new()).await
}

fn job(payload: &Value, more: &Value) -> JobDefinition {
    let mut job = json!({ "schedule": { "kind": "every", "everyMs": 60_000 }, "payload": payload });
    job.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    JobDefinition::parse(job, UnixMs::EPOCH).expect("a job")
}

fn check(profile: AgentProfile, payload: &Value, more: &Value) -> Result<(), AgentError> {
    agents(profile).check(&AgentId::main(), &job(payload, more))
}

#[tokio::test]
async fn messages_go_to_models_and_commands_to_the_system() {
    let agents = agents(AgentProfile::default());
    let echoed = run(&agents, "main", Work::Command(command(&["echo", "hi"], None))).await;
    assert_eq!(echoed.outcome.summary.as_deref(), Some("hi"));
    let asked = run(&agents, "main", Work::Message(Box::default())).await;
    assert_eq!(asked.outcome.error.unwrap().reason, ErrorReason::ModelNotFound);
}

#[tokio::test]
async fn an_unknown_agent_is_an_error_and_never_another_one() {
    let agents = agents(with_model());
    let unknown = AgentId::normalise("sales");
    let refused = agents.check_known(&unknown).unwrap_err();
    assert_eq!(refused.to_string(), "there is no agent `sales`");
    assert_eq!(refused.hint(), "use one of main, or add `agents.entries.sales` to the configuration");
    assert_eq!(refused.field(), "agentId");
    for work in [Work::Command(command(&["echo", "hi"], None)), Work::Message(Box::default())] {
        let outcome = run(&agents, "sales", work).await.outcome;
        assert_eq!((outcome.status, outcome.summary), (RunStatus::Error, None));
        let error = outcome.error.unwrap();
        assert_eq!(error.reason, ErrorReason::Unknown);
        assert!(error.message.starts_with("there is no agent `sales`: use one of main"), "{}", error.message);
    }
}

#[test]
fn work_that_could_never_run_is_known_before() {
    let message = json!({ "kind": "agentTurn", "message": "hello" });
    let none = json!({});
    assert_eq!(check(with_model(), &message, &none), Ok(()));
    let no_model = check(AgentProfile::default(), &message, &none).unwrap_err();
    assert_eq!(no_model, AgentError::Model { field: "payload.model", error: NoSuchModel::NoneConfigured });
    let with = |key: &str, value: Value| {
        let mut message = message.clone();
        message[key] = value;
        check(with_model(), &message, &none).map_err(|error| (error.field(), error.to_string()))
    };
    assert_eq!(with("model", json!("listed/two")), Ok(()));
    assert_eq!(with("model", json!("two")), Ok(()));
    let (field, why) = with("model", json!("openai/gpt")).unwrap_err();
    assert_eq!(field, "payload.model");
    assert!(why.contains("no provider `openai`") && why.contains("fake, listed"), "{why}");
    let (_, why) = with("model", json!("listed/three")).unwrap_err();
    assert_eq!(why, "`listed` has no model `three`: its models are one, two");
    let (field, why) = with("fallbacks", json!(["fake/a", "/b"])).unwrap_err();
    assert_eq!(
        (field, why.as_str()),
        ("payload.fallbacks", "`/b` does not name a model: expected `provider/model`")
    );
}

#[test]
fn a_tool_that_no_server_could_have_is_refused() {
    let allowing = |tools: Value| {
        let message = json!({ "kind": "agentTurn", "message": "hello", "toolsAllow": tools });
        check(with_model(), &message, &json!({}))
    };
    assert_eq!(allowing(json!([])), Ok(()));
    assert_eq!(allowing(json!(["*"])), Ok(()));
    let refused = allowing(json!(["files__read"])).unwrap_err();
    assert_eq!(
        (refused.field(), refused.to_string().as_str()),
        ("payload.toolsAllow", "no tool can fit `files__read`")
    );
    assert!(refused.hint().contains("mcp.servers"), "{}", refused.hint());
}

#[test]
fn a_text_for_the_main_session_needs_a_model_only_where_it_is_told_at_once() {
    let event = json!({ "kind": "systemEvent", "text": "hello" });
    let later = json!({ "sessionTarget": "main", "wakeMode": "next-heartbeat" });
    let now = json!({ "sessionTarget": "main", "wakeMode": "now" });
    assert_eq!(check(AgentProfile::default(), &event, &later), Ok(()));
    assert_eq!(check(AgentProfile::default(), &event, &now).unwrap_err().field(), "wakeMode");
    assert_eq!(check(with_model(), &event, &now), Ok(()));
}

#[test]
fn a_schema_that_no_result_could_be_held_to_is_refused() {
    let message = json!({ "kind": "agentTurn", "message": "hello" });
    let refused =
        |schema: Value| check(with_model(), &message, &json!({ "outputSchema": schema })).unwrap_err();
    for schema in [json!({ "type": "objekt" }), json!({ "$ref": "file:///etc/hostname" })] {
        let error = refused(schema);
        assert_eq!(error.field(), "outputSchema");
        assert!(error.to_string().starts_with("the output schema cannot be used: "), "{error}");
    }
}

#[tokio::test]
async fn a_command_starts_in_its_agents_workspace_and_never_outside() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = folder.path().join("work");
    std::fs::create_dir(&workspace).unwrap();
    let profile =
        || AgentProfile { workspace: Some(workspace.clone()), is_confined: true, ..AgentProfile::default() };
    let agents = agents(profile());
    let here = run(&agents, "main", Work::Command(command(&["pwd", "-P"], None))).await;
    let real = workspace.canonicalize().unwrap();
    assert_eq!(here.outcome.summary.as_deref(), real.to_str());
    let outside = run(&agents, "main", Work::Command(command(&["pwd"], Some(Path::new(".."))))).await;
    let error = outside.outcome.error.unwrap();
    assert_eq!(error.reason, ErrorReason::Launch);
    assert!(error.message.contains("is outside the agent's workspace"), "{}", error.message);
    let saved = json!({ "kind": "command", "argv": ["pwd"], "cwd": "/" });
    let refused = check(profile(), &saved, &json!({})).unwrap_err();
    assert_eq!(refused.field(), "payload.cwd");
}

#[tokio::test]
async fn a_program_that_one_agents_workspace_lacks_is_there_for_another_agent() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str| {
        let workspace = folder.path().join(name);
        std::fs::create_dir(&workspace).unwrap();
        let model = Some("coder/default".parse().unwrap());
        (
            AgentId::normalise(name),
            AgentProfile { model, workspace: Some(workspace), ..AgentProfile::default() },
        )
    };
    let coder = AcpOptions { argv: vec!["./coder".to_owned()], ..AcpOptions::default() };
    let options = AgentOptions {
        agents: BTreeMap::from([with("without"), with("with")]),
        providers: [("coder".to_owned(), Provider { api: ProviderApi::Acp(coder), models: BTreeMap::new() })]
            .into(),
        tools: McpOptions::default(),
        commands: CommandOptions { cwd: "/".into(), environment: Environment::inherited() },
    };
    std::os::unix::fs::symlink("/bin/false", folder.path().join("with/coder")).unwrap();
    let agents = Agents::new(options, Arc::new(ManualClock::at(UnixMs::EPOCH)));
    for (agent, reason) in [
        ("without", ErrorReason::Unavailable),
        ("with", ErrorReason::ServerError),
        ("without", ErrorReason::Unavailable),
    ] {
        let result = run(&agents, agent, Work::Message(Box::default())).await;
        assert_eq!(result.outcome.error.unwrap().reason, reason, "{agent}");
    }
}

#[tokio::test]
async fn what_a_command_prints_is_held_to_its_schema() {
    let agents = agents(AgentProfile::default());
    let print = |text: &str| {
        let schema = json!({ "type": "object", "required": ["n"] });
        Work::Command(Command { output_schema: Some(schema), ..command(&["echo", text], None) })
    };
    let good = run(&agents, "main", print(r#"{"n":1}"#)).await.outcome;
    assert_eq!((good.status, good.output), (RunStatus::Ok, Some(json!({ "n": 1 }))));
    let bad = run(&agents, "main", print("hello")).await.outcome;
    assert_eq!((bad.status, bad.output), (RunStatus::Error, None));
    assert_eq!(bad.summary.as_deref(), Some("hello"));
    let error = bad.error.unwrap();
    assert_eq!(error.reason, ErrorReason::OutputSchema);
    assert!(error.message.contains("it is not JSON"), "{}", error.message);
}
