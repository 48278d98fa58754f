use std::fs;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn start(script: &str, env: &[(&str, &str)]) -> (Child, Pipes) {
    let argv = ["sh", "-c", script].map(str::to_owned);
    let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Child::start(&Launch { argv: &argv, cwd: Path::new("/"), env: &env }).unwrap()
}

async fn line(pipes: &mut Pipes) -> String {
    let mut line = String::new();
    BufReader::new(&mut pipes.stdout).read_line(&mut line).await.unwrap();
    line.trim().to_owned()
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
        sleep(GLANCE).await;
    }
}

#[tokio::test]
async fn a_child_reads_and_speaks_and_sees_its_variables_and_its_folder() {
    let (_child, mut pipes) = start("read word; echo \"$word $NAME $PWD\"", &[("NAME", "value")]);
    pipes.stdin.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut pipes).await, "hello value /");
}

#[tokio::test]
async fn a_child_that_ended_is_told_with_its_last_words_and_without_its_secrets() {
    let (mut child, _pipes) = start("echo \"bad key $KEY\" >&2; exit 3", &[("KEY", "s3cret-key")]);
    assert_eq!(child.last_words().await, "exited with code 3 (stderr: bad key ***)");
    assert!(!format!("{child:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_child_ends_by_itself_when_its_input_is_closed() {
    let (child, Pipes { stdin, mut stdout }) = start("cat; echo bye", &[]);
    drop(stdin);
    let begin = Instant::now();
    child.stop(LONG).await;
    assert!(begin.elapsed() < LONG / 2, "it was not waited for in vain");
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut said).await.unwrap();
    assert_eq!(said, "bye\n");
}

#[tokio::test]
async fn a_child_that_will_not_end_is_ended_with_all_it_started() {
    let (child, mut pipes) = start("trap '' TERM; sleep 300 & echo $!; wait; sleep 300", &[]);
    let grandchild = line(&mut pipes).await;
    let itself = child.process.id().unwrap().to_string();
    child.stop(Duration::from_millis(200)).await;
    eventually_gone(&grandchild).await;
    eventually_gone(&itself).await;
}

#[tokio::test]
async fn what_a_dropped_child_started_is_ended_and_so_is_what_a_dead_one_left() {
    let (child, mut pipes) = start("sleep 300 & echo $!; wait", &[]);
    let grandchild = line(&mut pipes).await;
    drop(child);
    eventually_gone(&grandchild).await;

    let (mut child, mut pipes) = start("sleep 300 2>/dev/null & echo $!", &[]);
    let left = line(&mut pipes).await;
    assert_eq!(child.last_words().await, "exited with code 0");
    eventually_gone(&left).await;
}

#[test]
fn what_cannot_be_started_says_why() {
    let env = BTreeMap::new();
    let argv = ["no-such-program".to_owned()];
    let error = Child::start(&Launch { argv: &argv, cwd: Path::new("/"), env: &env }).unwrap_err();
    assert_eq!(error.to_string(), r#"(ENOENT): there is no program "no-such-program""#);
    let error = Child::start(&Launch { argv: &argv, cwd: Path::new("/nowhere"), env: &env }).unwrap_err();
    assert_eq!(error.to_string(), "(ENOENT): the working directory /nowhere is not there");
}
