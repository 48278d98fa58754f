//! Turns with an agent that is another process.

mod agent;

use std::path::Path;
use std::sync::Mutex;

use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, EntryDetail, ErrorReason, Role, SessionRef, UnixMs, Usage};
use serde_json::{Map, Value, json};

use super::*;
use crate::live::{LiveOutput, LivePiece};
use crate::profile::AgentProfile;
use crate::toolbox::{NoTools, ServerAddress, ToolAnswer, ToolSpec, Toolbox};

const KEY: &str = "sk-0123456789";

/// A turn that can be looked at from all sides.
struct Case {
    options: AcpOptions,
    profile: AgentProfile,
    workspace: tempfile::TempDir,
    model: &'static str,
    tools_allow: Option<Vec<String>>,
    servers: Vec<ServerAddress>,
    live: Arc<Mutex<Vec<LivePiece>>>,
    stop: CancellationToken,
}

impl Case {
    fn of(script: &str) -> Self {
        let env = [(agent::SCRIPT, script), ("ACP_KEY", KEY)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned().into())).into();
        let workspace = tempfile::tempdir().unwrap();
        let profile =
            AgentProfile { workspace: Some(workspace.path().to_owned()), ..AgentProfile::default() };
        Self {
            options: AcpOptions { argv: agent::argv(), env, ..AcpOptions::default() },
            profile,
            workspace,
            model: "default",
            tools_allow: None,
            servers: Vec::new(),
            live: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    fn allowing(mut self, rule: AcpRule) -> Self {
        self.options.permissions.rule = rule;
        self
    }

    async fn run(&self) -> (Said, Result<(), TryError>) {
        let heard = Arc::clone(&self.live);
        let live = LiveOutput::to(move |piece| heard.lock().unwrap().push(piece));
        self.run_telling(&live).await
    }

    async fn run_telling(&self, live: &LiveOutput) -> (Said, Result<(), TryError>) {
        let clock = Arc::new(ManualClock::at(UnixMs::from_millis(1)));
        let backend = AcpBackend::new(self.options.clone(), "/nowhere".into(), clock);
        let tools = Servers(self.servers.clone());
        let ask = Ask {
            profile: &self.profile,
            provider: "coder",
            model: self.model,
            session: &SessionRef::main(&AgentId::main()),
            system: Some("Be brief."),
            history: &[],
            text: "Do it.",
            thinking: None,
            tools: &tools,
            tools_allow: self.tools_allow.as_deref(),
            may_be_silent: true,
            output_schema: None,
            unfenced: false,
            time_left: None,
            live,
        };
        let mut said = Said::default();
        let end = backend.answer(&ask, &mut said, &self.stop).await;
        (said, end)
    }

    async fn fail(&self) -> TryError {
        self.run().await.1.unwrap_err()
    }
}

/// No tools of ours, but servers to connect to.
struct Servers(Vec<ServerAddress>);

#[async_trait]
impl Toolbox for Servers {
    fn tools(&self) -> &[ToolSpec] {
        &[]
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>) -> ToolAnswer {
        NoTools.call(name, arguments).await
    }

    fn servers(&self) -> Vec<ServerAddress> {
        self.0.clone()
    }

    async fn close(self: Box<Self>) {}
}

#[tokio::test]
async fn what_an_agent_says_thinks_and_does_is_kept_in_order_and_its_last_message_is_the_result() {
    let case = Case::of("good");
    let (said, end) = case.run().await;
    end.unwrap();
    assert_eq!(said.text, "All well.");
    assert_eq!(said.notes, ["the agent's plan: [done] look"]);
    let usage = Usage { cache_read_tokens: 60, total_tokens: 107, ..Usage::new(100, 7) };
    assert_eq!(said.usage, Some(usage));

    let call_id = || "c1".to_owned();
    let name = || "read_file".to_owned();
    let kept: Vec<_> =
        said.transcript.into_iter().map(|entry| (entry.role, entry.text, entry.detail)).collect();
    assert_eq!(
        kept,
        [
            (Role::Assistant, "Let me see.".to_owned(), Some(EntryDetail::Thinking)),
            (Role::Assistant, "I look.".to_owned(), None),
            (
                Role::Assistant,
                "Read notes.txt".to_owned(),
                Some(EntryDetail::ToolCall {
                    call_id: call_id(),
                    name: name(),
                    arguments: json!({ "path": "notes.txt" })
                })
            ),
            (
                Role::Tool,
                "three notes".to_owned(),
                Some(EntryDetail::ToolResult { call_id: call_id(), name: name(), is_error: false })
            ),
            (Role::Assistant, "All well.".to_owned(), None),
        ]
    );
    let live = case.live.lock().unwrap();
    assert!(live.contains(&LivePiece::Thinking { text: "see.".to_owned() }));
    assert!(live.contains(&LivePiece::ToolCall { name: name(), arguments: json!({ "path": "notes.txt" }) }));
    assert!(live.contains(&LivePiece::ToolResult { name: name(), is_error: false }));
    assert_eq!(live.last(), Some(&LivePiece::Text { text: "well.".to_owned() }));
}

#[tokio::test]
async fn what_is_not_permitted_is_refused_and_recorded_and_not_done() {
    for case in [
        Case::of("asks"),
        Case::of("asks").allowing(AcpRule::AllowReads),
        Case { tools_allow: Some(vec![]), ..Case::of("asks").allowing(AcpRule::AllowAll) },
    ] {
        let (said, end) = case.run().await;
        end.unwrap();
        assert_eq!(said.text, "never");
        assert!(!case.workspace.path().join("made.txt").exists());
        assert_eq!(permission(&said), Some(("Write made.txt (edit)", false)));
        let note = LivePiece::Note { text: "not permitted: Write made.txt (edit)".to_owned() };
        assert!(case.live.lock().unwrap().contains(&note));
    }
}

#[tokio::test]
async fn what_is_permitted_is_done_by_the_narrowest_leave_there_is_and_recorded() {
    let mut by_kind = Case::of("asks");
    by_kind.options.permissions.allow = vec![AcpToolKind::Edit];
    for case in [by_kind, Case::of("asks").allowing(AcpRule::AllowAll)] {
        let (said, end) = case.run().await;
        end.unwrap();
        assert_eq!(said.text, "once");
        assert!(case.workspace.path().join("made.txt").exists());
        assert_eq!(permission(&said), Some(("Write made.txt (edit)", true)));
    }
}

fn permission(said: &Said) -> Option<(&str, bool)> {
    said.transcript.iter().find_map(|entry| match entry.detail {
        Some(EntryDetail::Permission { granted }) => Some((entry.text.as_str(), granted)),
        _ => None,
    })
}

#[tokio::test]
async fn an_agent_works_in_its_workspace_with_its_variables_and_is_told_everything() {
    let case = Case::of("echo").allowing(AcpRule::AllowAll);
    let (said, end) = case.run().await;
    end.unwrap();
    let workspace = case.workspace.path().canonicalize().unwrap();
    assert_eq!(said.text, format!("cwd={} mode=auto key=true\nBe brief.\n\nDo it.", workspace.display()));
}

#[tokio::test]
async fn an_agent_that_may_not_do_everything_is_put_into_a_mode_in_which_it_asks() {
    let mode = |said: Said| said.text.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(mode(Case::of("echo").run().await.0), "mode=default");
    let mut chosen = Case::of("echo");
    chosen.options.mode = Some("AUTO".to_owned());
    assert_eq!(mode(chosen.run().await.0), "mode=auto");
    chosen.options.mode = Some("yolo".to_owned());
    let error = chosen.fail().await;
    assert_eq!(error.reason, ErrorReason::Unavailable);
    assert_eq!(
        error.message,
        "coder/default has no mode `yolo`: it offers AUTO, DEFAULT. Check models.providers.coder.mode."
    );
}

#[tokio::test]
async fn a_model_that_an_agent_does_not_offer_is_not_taken_for_its_own() {
    let error = Case { model: "gpt", ..Case::of("good") }.fail().await;
    assert_eq!(error.reason, ErrorReason::ModelNotFound);
    assert!(
        error.message.starts_with("coder/gpt has no model `gpt`: it offers no choice of models."),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_agent_signs_in_only_where_it_asks_for_it_and_only_as_configured() {
    let mut case = Case::of("auth");
    let error = case.fail().await;
    assert_eq!(error.reason, ErrorReason::Auth);
    assert!(
        error.message.contains("wants to be signed in (it offers by-key). Sign in once by hand"),
        "{error:?}"
    );
    case.options.auth_method = Some("by-key".to_owned());
    let (said, end) = case.run().await;
    end.unwrap();
    assert_eq!(said.text, "Signed in.");
}

#[tokio::test]
async fn every_end_of_a_turn_has_its_class() {
    for (script, reason, words) in [
        ("refusal", ErrorReason::Refusal, "declined to answer"),
        ("too many requests", ErrorReason::TurnLimit, "asked its model more often than it may"),
        ("speechless", ErrorReason::EmptyResponse, "ended its turn without a word"),
        ("key in error", ErrorReason::Auth, "refused `session/prompt`: \"Internal error: 401 ***\""),
    ] {
        let error = Case::of(script).fail().await;
        assert_eq!(error.reason, reason, "{script}");
        assert!(error.message.contains(words), "{script}: {}", error.message);
        assert!(!error.message.contains(KEY), "{script}: {}", error.message);
    }
    let mut newer = Case::of("");
    let hello = r#"read hello; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":2}}'; cat"#;
    newer.options.argv = ["/bin/sh", "-c", hello].map(str::to_owned).to_vec();
    let error = newer.fail().await;
    assert_eq!(error.reason, ErrorReason::Format);
    assert!(error.message.contains("speaks version 2 of the Agent Client Protocol"), "{error:?}");

    let (said, end) = Case::of("too long").run().await;
    end.unwrap();
    assert_eq!(said.text, "Half an ans");
    assert_eq!(said.notes, ["the answer ends early: the model reached its limit of tokens"]);
}

#[tokio::test]
async fn what_an_agent_asks_of_us_that_there_is_not_is_answered_so() {
    let (said, end) = Case::of("wants a file").run().await;
    end.unwrap();
    assert!(said.text.contains("Method not found"), "{}", said.text);
}

#[tokio::test]
async fn i12_garbage_is_quoted_in_one_clean_line_and_without_secrets() {
    let error = Case::of("garbage").fail().await;
    assert_eq!(error.reason, ErrorReason::ServerError);
    assert_eq!(
        error.message,
        "coder/default printed something that is no message of the protocol: \"[1mWelcome [0m to ***\". Check that \
         models.providers.coder.command starts it as an ACP agent."
    );
}

#[tokio::test]
async fn an_agent_that_dies_is_told_by_its_exit_and_its_last_words_and_what_it_said_is_kept() {
    let (said, end) = Case::of("dies").run().await;
    let error = end.unwrap_err();
    assert_eq!(error.reason, ErrorReason::ServerError);
    assert!(
        error.message.contains("exited with code 3 (stderr: out of memory) before its turn was over"),
        "{error:?}"
    );
    assert_eq!(said.text, "I begin.");
}

#[tokio::test]
async fn a_program_that_is_not_there_or_has_nowhere_to_work_is_told_so() {
    let mut case = Case::of("good");
    case.options.cwd = Some("..".into());
    let error = case.fail().await;
    assert!(error.message.contains("lies outside the agent's workspace"), "{error:?}");
    case.options.cwd = Some("no-such-folder".into());
    assert!(case.fail().await.message.contains("has no folder to work in"));
    case.options.cwd = None;
    case.options.argv = vec!["no-such-agent".to_owned()];
    let error = case.fail().await;
    assert_eq!(error.reason, ErrorReason::Launch);
    assert_eq!(
        error.message,
        "coder/default could not be started (ENOENT): there is no program \"no-such-agent\". Check \
         models.providers.coder.command, and that it is installed."
    );
}

#[tokio::test]
async fn a_tool_server_that_an_agent_cannot_use_is_not_left_out_in_silence() {
    let mut case = Case::of("good");
    let url = "http://127.0.0.1:9/mcp".to_owned();
    case.servers = vec![ServerAddress::Http { name: "files".to_owned(), url, headers: Vec::new() }];
    let error = case.fail().await;
    assert_eq!(error.reason, ErrorReason::Unavailable);
    assert!(error.message.contains("cannot use the tool server `files`"), "{error:?}");
}

#[tokio::test]
async fn an_agent_that_calls_too_many_tools_or_talks_too_long_is_stopped() {
    let mut case = Case::of("busy");
    case.profile.limits.tool_calls = 3;
    let error = case.fail().await;
    assert_eq!((error.reason, error.is_final), (ErrorReason::TurnLimit, true));
    assert!(error.message.contains("called more than 3 tools"), "{error:?}");

    let (said, end) = Case::of("endless").run().await;
    end.unwrap();
    assert!(said.cut && said.text.ends_with("[the answer was cut here: it is longer than 4 MiB]"));
}

#[tokio::test]
async fn a_silent_agent_is_ended_with_all_that_it_started() {
    let mut case = Case::of("hangs for ever");
    case.profile.limits.model_timeout = Duration::from_secs(2);
    let (said, end) = case.run().await;
    let error = end.unwrap_err();
    assert_eq!(error.reason, ErrorReason::Timeout);
    assert!(error.message.contains("was silent for 2s, and was ended"), "{error:?}");
    assert_all_gone(&said.text);
}

#[tokio::test]
async fn a_cancelled_agent_is_asked_to_stop_heard_out_and_ended_with_all_that_it_started() {
    let case = Case::of("hangs");
    let stop = case.stop.clone();
    let live = LiveOutput::to(move |_| stop.cancel());
    let (said, end) = case.run_telling(&live).await;
    assert_eq!(end.unwrap_err().reason, ErrorReason::Interrupted);
    let (processes, rest) = said.text.split_once("I was told to stop.").unwrap_or((&said.text, "unheard"));
    assert_eq!(rest, "");
    assert_all_gone(processes);
}

fn assert_all_gone(processes: &str) {
    let processes: Vec<_> = processes.split_whitespace().collect();
    assert_eq!(processes.len(), 2, "{processes:?}");
    for process in processes {
        let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).unwrap_or_default();
        let is_zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        assert!(stat.is_empty() || is_zombie, "{process} is still there: {stat}");
    }
}

#[tokio::test]
async fn a_preflight_says_whether_the_program_is_there() {
    let clock = Arc::new(ManualClock::at(UnixMs::from_millis(1)));
    for (program, expected) in [
        ("sh", Ok(())),
        (
            "no-such-agent",
            Err("there is no program \"no-such-agent\" that the gateway may run. Install it, or check \
                 models.providers.coder.command"
                .to_owned()),
        ),
    ] {
        let options = AcpOptions { argv: vec![program.to_owned()], ..AcpOptions::default() };
        let backend = AcpBackend::new(options, "/".into(), Arc::clone(&clock) as Arc<dyn Clock>);
        let ask = Ask {
            profile: &AgentProfile::default(),
            provider: "coder",
            model: "default",
            session: &SessionRef::main(&AgentId::main()),
            system: None,
            history: &[],
            text: "",
            thinking: None,
            tools: &NoTools,
            tools_allow: None,
            may_be_silent: true,
            output_schema: None,
            unfenced: false,
            time_left: None,
            live: &LiveOutput::default(),
        };
        assert_eq!(backend.preflight(&ask).await, expected);
    }
}
