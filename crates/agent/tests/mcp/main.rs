//! Tools of real MCP servers, as programs and over HTTP, and of some that mean no good.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod http;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clawhook_agent::{
    AgentProfile, McpOptions, McpServer, McpServers, McpTransport, ServerAddress, ToolAnswer, ToolPolicy,
    Toolbox, ToolsError,
};
use clawhook_model::ErrorReason;
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::server::{SCRIPT, Scripted};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

const SECRET: &str = "s3cret-value";

#[tokio::test]
#[ignore = "it is the server that the other tests start"]
async fn be_a_server() {
    let script = std::env::var(SCRIPT).expect("the script");
    let session = Scripted::new(&script).serve(rmcp::transport::stdio()).await.unwrap();
    session.waiting().await.unwrap();
}

#[tokio::test]
#[ignore = "it is the gateway that another test kills"]
async fn be_a_gateway() {
    let tools = toolbox(scripted("good"), &["*"]).await;
    println!("grandchild {}", said(&*tools, "spawn", json!({})).await);
    std::future::pending::<()>().await;
}

/// This program once more, as the test of that name.
fn again(test: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    vec![program, test.to_owned(), "--exact".to_owned(), "--ignored".to_owned(), "--nocapture".to_owned()]
}

fn program(argv: Vec<String>, env: &[(&str, &str)]) -> McpTransport {
    let env = env.iter().map(|(name, value)| (name.to_string(), (*value).into())).collect();
    McpTransport::Program { argv, cwd: None, env }
}

/// The scripted server. Its test harness prints a few lines on stdout that are no messages, as some servers do.
fn scripted(script: &str) -> McpTransport {
    program(again("be_a_server"), &[(SCRIPT, script), ("KEY", SECRET)])
}

fn shell(script: &str) -> McpTransport {
    program(["sh", "-c", script].map(str::to_owned).to_vec(), &[("KEY", SECRET)])
}

fn servers<const N: usize>(servers: [(&str, McpTransport); N], startup_timeout: Duration) -> McpServers {
    let servers = servers
        .into_iter()
        .map(|(name, transport)| (name.to_owned(), McpServer { transport, startup_timeout }))
        .collect();
    McpServers::new(McpOptions { servers, cwd: "/".into() })
}

fn agent(allow: &[&str]) -> AgentProfile {
    let allow = allow.iter().map(ToString::to_string).collect();
    AgentProfile { tools: ToolPolicy { allow, deny: Vec::new() }, ..AgentProfile::default() }
}

async fn open(servers: &McpServers, profile: &AgentProfile) -> Result<Box<dyn Toolbox>, ToolsError> {
    servers.toolbox(profile, None, &CancellationToken::new()).await
}

/// The tools of `server`, which is called `s`.
async fn toolbox(server: McpTransport, allow: &[&str]) -> Box<dyn Toolbox> {
    open(&servers([("s", server)], LONG), &agent(allow)).await.unwrap()
}

async fn error_of(server: McpTransport, startup_timeout: Duration) -> ToolsError {
    match open(&servers([("s", server)], startup_timeout), &agent(&["*"])).await {
        Ok(_) => panic!("the server came up"),
        Err(error) => error,
    }
}

async fn call(tools: &dyn Toolbox, name: &str, arguments: Value) -> ToolAnswer {
    let Value::Object(arguments) = arguments else { panic!("{arguments} is no object") };
    tools.call(&format!("s__{name}"), arguments).await
}

async fn said(tools: &dyn Toolbox, name: &str, arguments: Value) -> String {
    let answer = call(tools, name, arguments).await;
    assert!(!answer.is_error, "{}", answer.text);
    answer.text
}

fn names(tools: &dyn Toolbox) -> Vec<&str> {
    tools.tools().iter().map(|tool| tool.name.as_str()).collect()
}

/// Whether a process does anything still; a zombie does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

async fn eventually_gone(pid: &str) {
    assert!(pid.parse::<u32>().is_ok(), "{pid:?} is not a process id");
    let begin = Instant::now();
    while is_running(pid) {
        assert!(begin.elapsed() < LONG, "process {pid} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_model_is_told_of_what_its_agent_may_use_and_can_call_that_and_nothing_else() {
    let tools = toolbox(scripted("good"), &["s__sum", "s__e*"]).await;
    assert_eq!(names(&*tools), ["s__env", "s__sum"]);
    assert_eq!(tools.tools()[1].description, r#"The tool "sum"."#);
    assert_eq!(tools.tools()[1].input_schema, json!({"type": "object"}));
    assert_eq!(said(&*tools, "sum", json!({"a": 1, "b": 2})).await, r#"{"sum":3}"#);
    let refused = call(&*tools, "pid", json!({})).await;
    assert_eq!(refused, ToolAnswer { text: "there is no tool `s__pid`".into(), is_error: true });
}

#[tokio::test]
async fn an_agent_that_is_allowed_nothing_starts_nothing() {
    let never = servers([("s", shell("exit 1"))], LONG);
    let mut denied = agent(&["*"]);
    denied.tools.deny = vec!["s".into()];
    let everything: &[String] = &["*".into()];
    let stop = CancellationToken::new();
    for (profile, job) in [
        (agent(&[]), None),
        (agent(&[]), Some(everything)),
        (agent(&["other__*"]), None),
        (agent(&["*"]), Some(&[][..])),
        (denied, None),
    ] {
        let tools = never.toolbox(&profile, job, &stop).await.unwrap();
        assert!(tools.tools().is_empty());
    }
}

#[tokio::test]
async fn a_job_narrows_what_its_agent_may_use() {
    let servers = servers([("s", scripted("good"))], LONG);
    let job = ["*__pid".to_owned(), "s__sum".to_owned()];
    let profile = agent(&["s__s*"]);
    let tools = servers.toolbox(&profile, Some(&job), &CancellationToken::new()).await.unwrap();
    assert_eq!(names(&*tools), ["s__sum"]);
}

#[tokio::test]
async fn a_server_that_knows_only_the_newest_protocol_is_understood() {
    let tools = toolbox(scripted("newest"), &["*"]).await;
    assert_eq!(said(&*tools, "times", json!({})).await, "1");
    assert_eq!(said(&*tools, "times", json!({})).await, "2");
}

#[tokio::test]
async fn each_turn_has_servers_of_its_own_which_end_with_it() {
    let servers = servers([("s", scripted("good"))], LONG);
    let first = open(&servers, &agent(&["s"])).await.unwrap();
    assert_eq!(said(&*first, "times", json!({})).await, "1");
    assert_eq!(said(&*first, "times", json!({})).await, "2");
    let second = open(&servers, &agent(&["s"])).await.unwrap();
    assert_eq!(said(&*second, "times", json!({})).await, "1");

    let pid = said(&*first, "pid", json!({})).await;
    let grandchild = said(&*first, "spawn", json!({})).await;
    let begin = Instant::now();
    first.close().await;
    assert!(begin.elapsed() < LONG / 10, "a turn does not wait long for its servers");
    assert!(!is_running(&pid));
    eventually_gone(&grandchild).await;

    let dropped = said(&*second, "pid", json!({})).await;
    drop(second);
    eventually_gone(&dropped).await;
}

#[tokio::test]
async fn a_killed_gateway_takes_the_servers_of_its_turns_with_it() {
    let mut gateway = std::process::Command::new(&again("be_a_gateway")[0])
        .args(&again("be_a_gateway")[1..])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines().map(Result::unwrap);
    let grandchild = lines.find_map(|line| line.split("grandchild ").nth(1).map(str::to_owned)).unwrap();
    assert!(is_running(&grandchild));
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    eventually_gone(&grandchild).await;
}

#[tokio::test]
async fn a_program_starts_in_the_workspace_of_its_agent_and_sees_its_variables() {
    let workspace = tempfile::tempdir().unwrap();
    let root = workspace.path().canonicalize().unwrap();
    fs::create_dir(root.join("inner")).unwrap();
    let mut profile = agent(&["*"]);
    profile.workspace = Some(root.clone());
    for (cwd, expected) in [(None, root.clone()), (Some(PathBuf::from("inner")), root.join("inner"))] {
        let McpTransport::Program { argv, env, .. } = scripted("good") else { unreachable!() };
        let servers = servers([("s", McpTransport::Program { argv, cwd, env })], LONG);
        let tools = open(&servers, &profile).await.unwrap();
        assert_eq!(said(&*tools, "cwd", json!({})).await, expected.display().to_string());
        assert_eq!(said(&*tools, "env", json!({"name": "KEY"})).await, SECRET);
    }
}

#[tokio::test]
async fn a_tool_that_fails_says_so_and_the_turn_goes_on() {
    let tools = toolbox(scripted("good"), &["*"]).await;
    let failed = |text: &str| ToolAnswer { text: text.to_owned(), is_error: true };
    assert_eq!(call(&*tools, "fail", json!({})).await, failed("it did not work"));
    let refused = failed("the tool server `s` refused the call: `path` is missing");
    assert_eq!(call(&*tools, "strict", json!({})).await, refused);
    assert_eq!(said(&*tools, "times", json!({})).await, "1");
}

#[tokio::test]
async fn a_tool_that_is_too_slow_is_given_up() {
    let mut profile = agent(&["*"]);
    profile.limits.tool_timeout = Duration::from_millis(100);
    let tools = open(&servers([("s", scripted("good"))], LONG), &profile).await.unwrap();
    let answer = call(&*tools, "hang", json!({})).await;
    let text = "the tool did not answer within 100ms and was given up".to_owned();
    assert_eq!(answer, ToolAnswer { text, is_error: true });
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_cut_and_says_so() {
    let tools = toolbox(scripted("good"), &["*"]).await;
    let answer = said(&*tools, "big", json!({})).await;
    assert!(answer.len() < 257 * 1024, "{} bytes", answer.len());
    assert!(answer.ends_with("x\n[truncated: the answer is longer than 262144 bytes]"));
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_read_is_not_waited_for() {
    let mut profile = agent(&["*"]);
    profile.limits.tool_timeout = LONG;
    let tools = open(&servers([("s", scripted("good"))], LONG), &profile).await.unwrap();
    let answer = call(&*tools, "huge", json!({})).await;
    let text = "the tool's answer is longer than 16777216 bytes and was not read".to_owned();
    assert_eq!(answer, ToolAnswer { text, is_error: true });
    assert_eq!(said(&*tools, "times", json!({})).await, "1");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_answers_with_its_end_from_then_on() {
    let tools = toolbox(scripted("good"), &["*"]).await;
    for tool in ["die", "sum"] {
        let answer = call(&*tools, tool, json!({})).await;
        let expected = "the tool server `s` did not answer: it closed the connection; it exited with code 7 (stderr: out of luck with ***)";
        assert_eq!(answer, ToolAnswer { text: expected.into(), is_error: true });
    }
    tools.close().await;
}

#[tokio::test]
async fn of_ten_thousand_tools_those_that_are_chosen_are_told_and_a_note_says_how_many_are_not() {
    let tools = toolbox(scripted("many"), &["*"]).await;
    assert_eq!(tools.tools().len(), 512);
    assert_eq!(tools.notes().len(), 1);
    assert!(
        tools.notes()[0].starts_with("9488 tools of the server `s` were left out"),
        "{:?}",
        tools.notes()
    );

    let endless = toolbox(scripted("endless"), &["s__tool_0999*"]).await;
    assert_eq!(endless.tools().len(), 10);
    assert_eq!(endless.notes(), ["the list of the server `s` is too long to be read to its end"]);

    let chosen = toolbox(scripted("many"), &["s__tool_0999*"]).await;
    assert_eq!(chosen.tools().len(), 10);
    assert!(chosen.notes().is_empty());
    assert_eq!(said(&*chosen, "tool_09999", json!({})).await, r#"called "tool_09999""#);
}

#[tokio::test]
async fn what_is_told_of_tools_has_a_limit_in_bytes() {
    let tools = toolbox(scripted("heavy"), &["*"]).await;
    let bytes: usize = tools.tools().iter().map(|tool| tool.description.len()).sum();
    assert_eq!(tools.tools().len(), 15);
    assert!(bytes <= 1024 * 1024, "{bytes} bytes");
    assert!(tools.notes()[0].starts_with("25 tools"), "{:?}", tools.notes());
}

#[tokio::test]
async fn odd_names_become_plain_ones_and_reach_the_tools_they_stand_for() {
    let tools = toolbox(scripted("odd"), &["*"]).await;
    let long = format!("s__{}", "x".repeat(61));
    assert_eq!(names(&*tools), ["s__tool", "s__read-file", "s__read-file-2", long.as_str(), "s__--"]);
    assert_eq!(said(&*tools, "read-file", json!({})).await, r#"called "read\nfile""#);
    assert_eq!(said(&*tools, "read-file-2", json!({})).await, r#"called "read file""#);
    assert_eq!(said(&*tools, "--", json!({})).await, r#"called "文件""#);
}

#[tokio::test]
async fn a_server_that_does_not_come_up_is_named_with_its_last_words_and_without_its_secrets() {
    let silent =
        error_of(shell("echo \"waking with $KEY\" >&2; sleep 600"), Duration::from_millis(500)).await;
    let expected = "the tool server `s` has not told its tools within 500ms; it is still running (stderr: waking with ***)";
    assert_eq!(silent.to_string(), expected);
    assert_eq!(silent.reason(), ErrorReason::Unavailable);

    let dead = error_of(shell("echo \"no such option $KEY\" >&2; exit 2"), LONG).await;
    let expected = "the tool server `s` cannot be used: it closed the connection; it exited with code 2 (stderr: no such option ***)";
    assert_eq!(dead.to_string(), expected);

    let missing = error_of(program(vec!["no-such-server".into()], &[]), LONG).await;
    let expected =
        r#"the tool server `s` could not be started (ENOENT): there is no program "no-such-server""#;
    assert_eq!(missing.to_string(), expected);
    assert!(missing.hint().unwrap().contains("mcp.servers.s"));
}

#[tokio::test]
async fn garbage_without_end_is_no_server() {
    for garbage in ["yes garbage", "yes '{\"jsonrpc\":\"2.0\"}'", "tr '\\0' x </dev/zero"] {
        let error = error_of(shell(garbage), Duration::from_millis(300)).await;
        assert_eq!(error.reason(), ErrorReason::Unavailable, "{garbage}: {error}");
    }
}

#[tokio::test]
async fn one_server_that_does_not_come_up_ends_the_others_with_the_try() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let alive = shell(&format!("echo $$ >{}; exec sleep 600", file.display()));
    let wait_for_it = shell(&format!("while [ ! -s {} ]; do sleep 0.01; done; exit 1", file.display()));
    let servers = servers([("alive", alive), ("dead", wait_for_it)], LONG);
    let error = open(&servers, &agent(&["*"])).await.err().unwrap();
    assert!(error.to_string().contains("`dead`"), "{error}");
    eventually_gone(fs::read_to_string(file).unwrap().trim()).await;
}

#[tokio::test]
async fn a_turn_that_is_cancelled_does_not_wait_for_its_servers() {
    let servers = servers([("s", shell("sleep 600"))], LONG);
    let stop = CancellationToken::new();
    stop.cancel();
    let error = servers.toolbox(&agent(&["*"]), None, &stop).await.err().unwrap();
    assert_eq!((error.reason(), &error), (ErrorReason::Interrupted, &ToolsError::Cancelled));
}

#[tokio::test]
async fn an_agent_that_connects_itself_is_told_only_of_servers_it_may_use_as_a_whole() {
    let own_folder =
        McpTransport::Program { argv: vec!["x".into()], cwd: Some("y".into()), env: BTreeMap::new() };
    let all = [("a", shell("exit 1")), ("b", shell("exit 1")), ("own", own_folder)];
    let servers = servers(all, LONG);
    let given = |allow: &[&str], deny: &[&str], job: Option<&[String]>| {
        let mut profile = agent(allow);
        profile.tools.deny = deny.iter().map(ToString::to_string).collect();
        let tools = servers.handover(&profile, job);
        assert!(tools.tools().is_empty());
        let name = |address| match address {
            ServerAddress::Program { name, env, .. } => {
                assert_eq!(env, [("KEY".to_owned(), SECRET.to_owned())]);
                name
            }
            ServerAddress::Http { name, .. } => name,
        };
        tools.servers().into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(given(&["*"], &[], None), ["a", "b"]);
    assert_eq!(given(&["a", "b__read"], &[], None), ["a"]);
    assert_eq!(given(&["*"], &["b__write"], None), ["a"]);
    assert_eq!(given(&["*"], &[], Some(&["b__*".to_owned()])), ["b"]);
    assert!(given(&["*"], &[], Some(&[])).is_empty());
}

#[test]
fn nothing_shows_a_secret() {
    let http = McpTransport::Http {
        url: format!("https://user:{SECRET}@tools.example/mcp?key={SECRET}").parse().unwrap(),
        headers: BTreeMap::from([("authorization".to_owned(), SECRET.into())]),
    };
    let with_argument = program(vec!["server".into(), format!("--key={SECRET}")], &[("KEY", SECRET)]);
    let options = McpOptions {
        servers: BTreeMap::from([
            ("http".to_owned(), http.into()),
            ("program".to_owned(), with_argument.into()),
        ]),
        ..McpOptions::default()
    };
    let shown = format!("{options:?} {:?}", McpServers::new(options.clone()));
    assert!(
        shown.contains("tools.example") && shown.contains("KEY") && shown.contains("authorization"),
        "{shown}"
    );
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_pattern_that_no_server_can_fit_is_known() {
    let servers = servers([("my.files", shell("exit 1"))], LONG);
    for known in ["my.files", "my-files", "my-files__read", "*", "*__read"] {
        assert!(servers.know(known), "{known}");
    }
    for unknown in ["files", "my-files__", "yours__*"] {
        assert!(!servers.know(unknown), "{unknown}");
    }
    assert_eq!(servers.names().collect::<Vec<_>>(), ["my.files"]);
}
