//! An agent that does what its script says, made with the protocol's own library: this test binary, started once more.
//!
//! The test runner prints on stdout, so a shell gives the agent another way to its client: descriptor 3.

use std::io::Write;
use std::sync::{Arc, Mutex};

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema::{
    AgentCapabilities, AuthMethod, AuthMethodAgent, AuthenticateRequest, AuthenticateResponse,
    CancelNotification, ContentBlock, ContentChunk, InitializeRequest, InitializeResponse, NewSessionRequest,
    NewSessionResponse, PermissionOption, PermissionOptionKind, Plan, PlanEntry, PlanEntryPriority,
    PlanEntryStatus, PromptRequest, PromptResponse, RequestPermissionOutcome, RequestPermissionRequest,
    SessionMode, SessionModeState, SessionNotification, SessionUpdate, SetSessionModeRequest,
    SetSessionModeResponse, StopReason, ToolCall, ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields,
    ToolKind,
};
use agent_client_protocol::v1::{ConnectionTo, Responder};
use agent_client_protocol::{Agent, ByteStreams, Client, Error, on_receive_notification, on_receive_request};
use serde_json::json;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

/// The variable that names the script.
pub(super) const SCRIPT: &str = "ACP_SCRIPT";

/// How the agent is started.
pub(super) fn argv() -> Vec<String> {
    let this = std::env::current_exe().unwrap().display().to_string();
    let shell = ["/bin/sh", "-c", r#"exec 3>&1 >/dev/null; exec "$0" "$@""#];
    let test = ["--exact", "acp::tests::agent::plays_its_part", "--nocapture"];
    shell.map(str::to_owned).into_iter().chain([this]).chain(test.map(str::to_owned)).collect()
}

#[test]
fn plays_its_part() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(&script));
    if script == "hangs for ever" {
        loop {
            std::thread::park();
        }
    }
    // The runner's own last words would come too late for anybody.
    std::process::exit(0);
}

/// What the agent knows of its session.
#[derive(Default)]
struct State {
    script: String,
    signed_in: bool,
    mode: String,
    cwd: String,
    /// The prompt that waits for being cancelled.
    waiting: Option<Responder<PromptResponse>>,
}

type Shared = Arc<Mutex<State>>;

async fn play(script: &str) {
    let state: Shared = Arc::new(Mutex::new(State {
        script: script.to_owned(),
        mode: "auto".to_owned(),
        ..State::default()
    }));
    let shared = || Arc::clone(&state);
    let (to_open, to_sign_in, to_set, to_prompt, to_cancel) =
        (shared(), shared(), shared(), shared(), shared());
    let out = std::fs::OpenOptions::new().write(true).open("/dev/fd/3").unwrap();
    let out = tokio::fs::File::from_std(out).compat_write();
    let end = Agent
        .v1()
        .on_receive_request(
            async move |_: InitializeRequest, responder, _| {
                let methods = vec![AuthMethod::Agent(AuthMethodAgent::new("by-key", "By key"))];
                let hello = InitializeResponse::new(ProtocolVersion::V1).auth_methods(methods);
                responder.respond(hello.agent_capabilities(AgentCapabilities::new()))
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |_: AuthenticateRequest, responder, _| {
                to_sign_in.lock().unwrap().signed_in = true;
                responder.respond(AuthenticateResponse::new())
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |request: NewSessionRequest, responder, _| {
                let mut state = to_open.lock().unwrap();
                if state.script == "auth" && !state.signed_in {
                    return responder.respond_with_error(Error::auth_required());
                }
                state.cwd = request.cwd.display().to_string();
                let modes = ["auto", "default"].map(|mode| SessionMode::new(mode, mode.to_uppercase()));
                let modes = SessionModeState::new("auto", modes.to_vec());
                responder.respond(NewSessionResponse::new("s1").modes(modes))
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |request: SetSessionModeRequest, responder, _| {
                to_set.lock().unwrap().mode = request.mode_id.to_string();
                responder.respond(SetSessionModeResponse::new())
            },
            on_receive_request!(),
        )
        .on_receive_request(
            async move |request: PromptRequest, responder, client: ConnectionTo<Client>| {
                let state = Arc::clone(&to_prompt);
                let connection = client.clone();
                client.spawn(async move { prompt(request, responder, connection, &state).await })
            },
            on_receive_request!(),
        )
        .on_receive_notification(
            async move |_: CancelNotification, client: ConnectionTo<Client>| {
                let waiting = to_cancel.lock().unwrap().waiting.take();
                say(&client, "I was told to stop.")?;
                waiting.map_or(Ok(()), |prompt| prompt.respond(PromptResponse::new(StopReason::Cancelled)))
            },
            on_receive_notification!(),
        )
        .connect_to(ByteStreams::new(out, tokio::io::stdin().compat()))
        .await;
    if let Err(error) = end {
        eprintln!("{error}");
    }
}

async fn prompt(
    request: PromptRequest,
    responder: Responder<PromptResponse>,
    client: ConnectionTo<Client>,
    state: &Shared,
) -> Result<(), Error> {
    let (script, mode, cwd) = {
        let state = state.lock().unwrap();
        (state.script.clone(), state.mode.clone(), state.cwd.clone())
    };
    let mut stop_reason = StopReason::EndTurn;
    match script.as_str() {
        "good" => good(&client)?,
        "asks" => asks(&client, ToolKind::Edit).await?,
        "auth" => say(&client, "Signed in.")?,
        "echo" => {
            let Some(ContentBlock::Text(prompt)) = request.prompt.first() else { panic!("{request:?}") };
            let key = std::env::var("ACP_KEY").is_ok();
            say(&client, &format!("cwd={cwd} mode={mode} key={key}\n{}", prompt.text))?;
        }
        "speechless" => {}
        "refusal" => stop_reason = StopReason::Refusal,
        "too many requests" => stop_reason = StopReason::MaxTurnRequests,
        "too long" => {
            say(&client, "Half an ans")?;
            stop_reason = StopReason::MaxTokens;
        }
        "busy" => {
            for number in 0..20 {
                tell(&client, SessionUpdate::ToolCall(ToolCall::new(format!("c{number}"), "Again")))?;
            }
            state.lock().unwrap().waiting = Some(responder);
            return Ok(());
        }
        "endless" => {
            let piece = "字".repeat(400_000);
            for _ in 0..8 {
                say(&client, &piece)?;
            }
            state.lock().unwrap().waiting = Some(responder);
            return Ok(());
        }
        "key in error" => {
            let key = std::env::var("ACP_KEY").unwrap();
            return responder.respond_with_error(
                Error::internal_error().data(json!({ "details": format!("401 {key}") })),
            );
        }
        "wants a file" => {
            let read = agent_client_protocol::UntypedMessage::new(
                "fs/read_text_file",
                json!({ "path": "/etc/passwd" }),
            )?;
            let answer = client.send_request(read).block_task().await;
            say(&client, &format!("{answer:?}"))?;
        }
        "garbage" => {
            let mut out = std::fs::OpenOptions::new().write(true).open("/dev/fd/3").unwrap();
            writeln!(out, "\x1b[1mWelcome\x1b[0m to {}", std::env::var("ACP_KEY").unwrap()).unwrap();
        }
        "dies" => {
            say(&client, "I begin.")?;
            // Once this is answered, what was said before has been heard.
            let ping = agent_client_protocol::UntypedMessage::new("ping", json!({}))?;
            client.send_request(ping).block_task().await.unwrap_err();
            eprintln!("out of memory\n");
            std::process::exit(3);
        }
        "hangs" | "hangs for ever" => {
            // The grandchild must not outlive the turn either, though nobody here waits for it.
            #[expect(clippy::zombie_processes, reason = "the client ends the whole group")]
            let child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
            say(&client, &format!("{} {}", std::process::id(), child.id()))?;
            match script.as_str() {
                "hangs" => state.lock().unwrap().waiting = Some(responder),
                // A responder that is dropped answers.
                _ => std::mem::forget(responder),
            }
            return Ok(());
        }
        other => panic!("there is no script {other}"),
    }
    responder.respond(PromptResponse::new(stop_reason))
}

fn good(client: &ConnectionTo<Client>) -> Result<(), Error> {
    tell(client, SessionUpdate::AgentThoughtChunk(text("Let me ")))?;
    tell(client, SessionUpdate::AgentThoughtChunk(text("see.")))?;
    say(client, "I look.")?;
    let call = ToolCall::new("c1", "Read notes.txt").kind(ToolKind::Read).name("read_file".to_owned());
    tell(client, SessionUpdate::ToolCall(call.raw_input(json!({}))))?;
    let fields = ToolCallUpdateFields::new();
    let begun = fields.clone().status(ToolCallStatus::InProgress).raw_input(json!({ "path": "notes.txt" }));
    tell(client, SessionUpdate::ToolCallUpdate(ToolCallUpdate::new("c1", begun)))?;
    let done = fields.status(ToolCallStatus::Completed).content(vec!["three notes".into()]);
    tell(client, SessionUpdate::ToolCallUpdate(ToolCallUpdate::new("c1", done)))?;
    let step = PlanEntry::new("look", PlanEntryPriority::High, PlanEntryStatus::Completed);
    tell(client, SessionUpdate::Plan(Plan::new(vec![step])))?;
    say(client, "All ")?;
    let usage = json!({ "inputTokens": 100, "outputTokens": 7, "totalTokens": 107, "cachedReadTokens": 60 });
    let last = text("well.").meta(json!({ "usage": usage }).as_object().cloned());
    tell(client, SessionUpdate::AgentMessageChunk(last))
}

async fn asks(client: &ConnectionTo<Client>, kind: ToolKind) -> Result<(), Error> {
    say(client, "I am going to write.")?;
    let fields = ToolCallUpdateFields::new().title("Write made.txt".to_owned()).kind(kind);
    let options = [
        ("always", PermissionOptionKind::AllowAlways),
        ("once", PermissionOptionKind::AllowOnce),
        ("never", PermissionOptionKind::RejectOnce),
    ];
    let options = options.map(|(id, kind)| PermissionOption::new(id, id.to_owned(), kind)).to_vec();
    let request = RequestPermissionRequest::new("s1", ToolCallUpdate::new("c1", fields), options);
    let response = client.send_request(request).block_task().await?;
    let chosen = match response.outcome {
        RequestPermissionOutcome::Selected(selected) => selected.option_id.to_string(),
        _ => "cancelled".to_owned(),
    };
    let status = if chosen == "once" {
        std::fs::write("made.txt", "made").unwrap();
        ToolCallStatus::Completed
    } else {
        ToolCallStatus::Failed
    };
    let fields = ToolCallUpdateFields::new().status(status);
    tell(client, SessionUpdate::ToolCallUpdate(ToolCallUpdate::new("c1", fields)))?;
    say(client, &chosen)
}

fn say(client: &ConnectionTo<Client>, words: &str) -> Result<(), Error> {
    tell(client, SessionUpdate::AgentMessageChunk(text(words)))
}

fn text(words: &str) -> ContentChunk {
    ContentChunk::new(ContentBlock::from(words))
}

fn tell(client: &ConnectionTo<Client>, update: SessionUpdate) -> Result<(), Error> {
    client.send_notification(SessionNotification::new("s1", update))
}
