//! The two runtimes behind one door.

use std::collections::BTreeMap;
use std::sync::Arc;

use clawhook_agent::{
    CheckError, Command, CommandOptions, CommandRuntime, Environment, ModelOptions, ModelRuntime,
    NoSuchModel, Runtime, Runtimes, Turn, Work,
};
use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, ErrorReason, SessionRef, UnixMs};
use tokio_util::sync::CancellationToken;

fn runtimes() -> Runtimes {
    let clock = Arc::new(ManualClock::at(UnixMs::EPOCH));
    let commands = CommandOptions { cwd: "/".into(), environment: Environment::inherited() };
    Runtimes::new(
        ModelRuntime::new(ModelOptions::default(), clock.clone()),
        CommandRuntime::new(commands, clock),
    )
}

fn command(argv: &[&str]) -> Work {
    Work::Command(Command {
        argv: argv.iter().map(ToString::to_string).collect(),
        cwd: None,
        env: BTreeMap::new(),
        input: None,
        no_output_timeout: None,
        output_max_bytes: None,
    })
}

fn message(model: Option<&str>) -> Work {
    Work::Message { text: "hello".into(), model: model.map(str::to_owned) }
}

#[tokio::test]
async fn messages_go_to_models_and_commands_to_the_system() {
    let run = async |work| {
        let agent = AgentId::main();
        let turn = Turn { session: SessionRef::main(&agent), agent, work, timeout: None };
        runtimes().run_turn(turn, CancellationToken::new()).await.outcome
    };
    assert_eq!(run(command(&["echo", "hi"])).await.summary.as_deref(), Some("hi"));
    assert_eq!(run(message(None)).await.error.unwrap().reason, ErrorReason::ModelNotFound);
}

#[test]
fn work_that_could_never_run_is_known_before() {
    let runtimes = runtimes();
    assert_eq!(runtimes.check(&command(&["echo"])), Ok(()));
    assert_eq!(runtimes.check(&command(&[])), Err(CheckError::NoProgram));
    assert_eq!(runtimes.check(&command(&["", "x"])), Err(CheckError::NoProgram));
    assert_eq!(runtimes.check(&message(None)), Err(CheckError::Model(NoSuchModel::NoneConfigured)));
    let unknown = runtimes.check(&message(Some("openai/gpt"))).unwrap_err();
    assert!(unknown.to_string().contains("no provider `openai`"), "{unknown}");
}
