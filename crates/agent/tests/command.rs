//! Real commands: what they print, how they end, and that nothing of them is left.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawhook_agent::{Command, CommandOptions, CommandRuntime, Environment, LiveOutput, TurnResult};
use clawhook_clock::ManualClock;
use clawhook_model::{Diagnostic, Diagnostics, ErrorReason, Role, RunOutcome, RunStatus, Severity, UnixMs};
use tokio_util::sync::CancellationToken;

const NOW: UnixMs = UnixMs::from_millis(1_000);

/// Long enough that a command which runs so long was not ended.
const LONG: Duration = Duration::from_secs(60);

fn runtime() -> CommandRuntime {
    let vars = [("PATH", "/usr/bin:/bin"), ("INHERITED", "yes"), ("CLAWHOOK_TOKEN", "s3cret")];
    let environment: Environment =
        vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let options = CommandOptions { cwd: "/".into(), environment };
    CommandRuntime::new(options, Arc::new(ManualClock::at(NOW)))
}

fn argv<const N: usize>(argv: [&str; N]) -> Command {
    Command {
        argv: argv.map(str::to_owned).to_vec(),
        cwd: None,
        env: BTreeMap::new(),
        input: None,
        no_output_timeout: None,
        output_max_bytes: None,
        output_schema: None,
    }
}

fn shell(script: &str) -> Command {
    argv(["sh", "-c", script])
}

async fn run_within(command: Command, timeout: Duration) -> TurnResult {
    runtime().run(&command, Some(timeout), &LiveOutput::default(), &CancellationToken::new()).await
}

async fn run(command: Command) -> RunOutcome {
    run_within(command, LONG).await.outcome
}

async fn text_of(command: Command) -> String {
    let outcome = run(command).await;
    assert_eq!(outcome.error, None);
    outcome.summary.expect("some output")
}

fn error_of(outcome: &RunOutcome) -> (ErrorReason, &str) {
    assert_eq!(outcome.status, RunStatus::Error);
    let error = outcome.error.as_ref().expect("an error");
    (error.reason, &error.message)
}

fn note(outcome: &RunOutcome) -> &Diagnostic {
    &outcome.diagnostics.as_ref().expect("diagnostics").entries[0]
}

/// Whether a process does anything still; a zombie does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "still not so after {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn eventually_gone(pid: &str) {
    assert!(pid.parse::<u32>().is_ok(), "{pid:?} is not a process id");
    eventually(&format!("process {pid} has ended"), || !is_running(pid)).await;
}

async fn written(path: &Path) -> String {
    let read = || fs::read_to_string(path).unwrap_or_default();
    eventually("the file is written", || read().ends_with('\n')).await;
    read().trim().to_owned()
}

#[tokio::test]
async fn the_output_of_a_good_end_is_the_result() {
    let result = run_within(argv(["sh", "-lc", "echo hello-stdout"]), LONG).await;
    let note = Diagnostic {
        ts: NOW,
        source: "exec".into(),
        severity: Severity::Info,
        message: r#"command ok: "sh" "-lc" "echo hello-stdout""#.into(),
        exit_code: Some(0),
        truncated: Some(false),
    };
    let mut expected = RunOutcome::ok("hello-stdout");
    expected.diagnostics = Some(Diagnostics { summary: Some("hello-stdout".into()), entries: vec![note] });
    assert_eq!(result.outcome, expected);
    assert_eq!(result.transcript.len(), 1);
    assert_eq!((result.transcript[0].role, result.transcript[0].text.as_str()), (Role::Tool, "hello-stdout"));
}

#[tokio::test]
async fn both_streams_stand_one_after_the_other_and_a_single_one_stands_alone() {
    let both = text_of(shell("echo out-line; echo err-line >&2")).await;
    assert_eq!(both, "stdout:\nout-line\n\nstderr:\nerr-line");
    assert_eq!(text_of(shell("echo err-line >&2")).await, "err-line");
}

#[tokio::test]
async fn a_command_that_prints_nothing_has_no_summary() {
    let outcome = run(argv(["true"])).await;
    assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, None));
    assert_eq!(note(&outcome).message, r#"command ok with no output: "true""#);
}

#[tokio::test]
async fn a_failed_command_keeps_its_output() {
    let outcome = run(shell("echo partial; echo bad >&2; exit 3")).await;
    assert_eq!(error_of(&outcome), (ErrorReason::Exit, "command exited with code 3"));
    assert_eq!(outcome.summary.as_deref(), Some("stdout:\npartial\n\nstderr:\nbad"));
    assert_eq!((note(&outcome).severity, note(&outcome).exit_code), (Severity::Error, Some(3)));
}

#[tokio::test]
async fn a_command_that_somebody_killed_names_the_signal() {
    let outcome = run(shell("kill -KILL $$")).await;
    assert_eq!(error_of(&outcome), (ErrorReason::Exit, "command was ended by signal SIGKILL (9)"));
}

#[tokio::test]
async fn what_cannot_be_started_says_what_is_wrong() {
    let there_is_no = run(argv(["/no/such/bin"])).await;
    assert_eq!(
        error_of(&there_is_no),
        (ErrorReason::Launch, r#"Command failed during launch (ENOENT): there is no program "/no/such/bin""#)
    );
    assert!(
        note(&there_is_no).message.starts_with(r#"command failed to start: "/no/such/bin": Command failed"#)
    );

    let mut elsewhere = argv(["true"]);
    elsewhere.cwd = Some("/no/such/dir".into());
    assert!(error_of(&run(elsewhere).await).1.contains("working directory /no/such/dir is not there"));

    let mut misnamed = argv(["true"]);
    misnamed.env.insert("A=B".into(), "s3cret".into());
    let outcome = run(misnamed).await;
    assert!(error_of(&outcome).1.contains("`A=B` is not a name"));
    assert!(!format!("{outcome:?}").contains("s3cret"));

    assert!(error_of(&run(argv(["/etc/passwd"])).await).1.contains("(EACCES)"));
    assert_eq!(error_of(&run(argv([])).await).0, ErrorReason::Launch);
    assert_eq!(error_of(&run(argv(["a\0b"])).await).0, ErrorReason::Launch);
}

#[tokio::test]
async fn a_timeout_ends_the_grandchildren_too_and_keeps_the_output() {
    let result = run_within(shell("sleep 300 & echo $!; wait"), Duration::from_secs(2)).await;
    assert_eq!(error_of(&result.outcome), (ErrorReason::Timeout, "cron: job execution timed out after 2s"));
    eventually_gone(&result.outcome.summary.unwrap()).await;
}

#[tokio::test]
async fn processes_that_left_the_group_are_ended_too_and_killed_where_they_ignore_it() {
    for script in [
        "timeout 300 sleep 300 & echo $!; wait",
        "setsid sh -c 'sleep 300 & echo $!; wait' & wait",
        "setsid sh -c 'trap \"\" TERM; sleep 300 & echo $!; wait' & wait",
        "exec 2>/dev/null; setsid sh -c 'trap \"sleep 300 & echo \\$!\" TERM; while :; do sleep 0.05; done' & wait",
    ] {
        let result = run_within(shell(script), Duration::from_secs(2)).await;
        assert_eq!(error_of(&result.outcome).0, ErrorReason::Timeout);
        eventually_gone(&result.outcome.summary.unwrap()).await;
    }
}

#[tokio::test]
async fn processes_that_ignore_the_request_to_end_are_killed() {
    let result = run_within(shell("trap '' TERM; sleep 300 & echo $!; wait"), Duration::from_secs(2)).await;
    assert_eq!(error_of(&result.outcome).0, ErrorReason::Timeout);
    eventually_gone(&result.outcome.summary.unwrap()).await;
}

#[tokio::test]
async fn what_a_command_prints_while_it_is_being_ended_is_kept() {
    let script =
        "exec 2>/dev/null; trap 'echo cleaned up; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    let result = run_within(shell(script), Duration::from_secs(2)).await;
    assert_eq!(result.outcome.summary.as_deref(), Some("begun\ncleaned up"));
}

#[tokio::test]
async fn a_child_in_the_background_neither_delays_the_result_nor_outlives_it() {
    let begin = Instant::now();
    let pid = text_of(shell("sleep 300 & echo $!")).await;
    assert!(begin.elapsed() < LONG);
    eventually_gone(&pid).await;
}

#[tokio::test]
async fn a_silent_command_is_ended_and_keeps_what_it_printed_before() {
    let mut command = shell("echo before; exec sleep 300");
    command.no_output_timeout = Some(Duration::from_secs(2));
    let outcome = run(command).await;
    let (reason, message) = error_of(&outcome);
    assert_eq!(reason, ErrorReason::Timeout);
    assert_eq!(message, "command timed out: it printed nothing for 2s (noOutputTimeoutSeconds)");
    assert_eq!(outcome.summary.as_deref(), Some("before"));
}

#[tokio::test]
async fn a_command_reads_its_input_and_need_not() {
    let mut cat = argv(["cat"]);
    let input = "你好 ".repeat(100_000);
    cat.input = Some(input.clone());
    assert_eq!(text_of(cat).await, input.trim());

    let mut deaf = argv(["echo", "done"]);
    deaf.input = Some(input);
    assert_eq!(text_of(deaf).await, "done");

    assert_eq!(text_of(shell("cat; echo end")).await, "end");
}

#[tokio::test]
async fn output_within_the_default_limit_is_whole_and_beyond_a_limit_keeps_its_start() {
    assert_eq!(text_of(shell("head -c 300000 /dev/zero | tr '\\0' x")).await.len(), 300_000);

    let mut chatty = shell("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end >&2");
    chatty.output_max_bytes = Some(10);
    let outcome = run(chatty).await;
    assert_eq!(
        outcome.summary.as_deref(),
        Some("stdout:\nxxxxxxxxxx\n[truncated: stdout is longer than 10 bytes]\n\nstderr:\nend")
    );
    assert_eq!(note(&outcome).truncated, Some(true));
}

#[tokio::test]
async fn output_that_is_not_utf8_is_made_so() {
    assert_eq!(text_of(argv(["printf", r"a\377b"])).await, "a\u{fffd}b");
}

#[tokio::test]
async fn a_cancelled_command_is_ended_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let command = shell(&format!("sleep 300 & echo $! > {}; wait", file.display()));
    let cancel = CancellationToken::new();
    let turn = tokio::spawn({
        let cancel = cancel.clone();
        async move { runtime().run(&command, None, &LiveOutput::default(), &cancel).await }
    });
    let pid = written(&file).await;
    cancel.cancel();
    assert_eq!(error_of(&turn.await.unwrap().outcome).0, ErrorReason::Interrupted);
    eventually_gone(&pid).await;
}

#[tokio::test]
async fn a_command_that_is_cancelled_before_it_begins_is_not_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let command = argv(["touch", file.to_str().unwrap()]);
    let outcome = runtime().run(&command, None, &LiveOutput::default(), &cancel).await.outcome;
    assert_eq!(
        error_of(&outcome),
        (ErrorReason::Interrupted, "cron: job interrupted, the command was not started")
    );
    assert!(!file.exists());
}

#[tokio::test]
async fn a_turn_that_is_given_up_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let command = shell(&format!("sleep 300 & echo $! > {}; wait", file.display()));
    let turn = tokio::spawn(async move {
        runtime().run(&command, None, &LiveOutput::default(), &CancellationToken::new()).await
    });
    let pid = written(&file).await;
    turn.abort();
    eventually_gone(&pid).await;
}

#[tokio::test]
async fn a_command_sees_the_environment_and_its_own_variables_but_not_the_gateways_settings() {
    let mut command = shell("echo $INHERITED $OWN ${CLAWHOOK_TOKEN-hidden}; pwd");
    command.env.insert("OWN".into(), "mine".into());
    command.cwd = Some("usr".into());
    assert_eq!(text_of(command).await, "yes mine hidden\n/usr");
}

const PID_FILE: &str = "CLAWHOOK_TEST_PID_FILE";

/// Not a test by itself: the gateway that the next test kills.
#[tokio::test]
#[ignore = "runs as a child of the test below"]
async fn gateway_that_will_be_killed() {
    let Some(file) = std::env::var_os(PID_FILE) else { return };
    let file = Path::new(&file).display();
    let runtime = runtime();
    let cancel = CancellationToken::new();
    let command =
        shell(&format!("sleep 300 & echo $! > {file}.part; setsid sleep 300 & echo $! >> {file}.part; wait"));
    // Commands begin one after the other: when the second shows the file, the first is known to the lifeline.
    let show = shell(&format!(
        "until [ $(wc -l < {file}.part) = 2 ]; do sleep 0.01; done; mv {file}.part {file}; sleep 300"
    ));
    let live = LiveOutput::default();
    tokio::join!(
        runtime.run(&command, Some(LONG), &live, &cancel),
        runtime.run(&show, Some(LONG), &live, &cancel)
    );
}

#[tokio::test]
async fn commands_do_not_outlive_a_gateway_that_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let mut gateway = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "gateway_that_will_be_killed"])
        .env(PID_FILE, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pids = written(&file).await;
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    for pid in pids.lines() {
        eventually_gone(pid).await;
    }
}
