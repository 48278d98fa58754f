//! What is promised of secrets, shown through what the gateway calls.

use std::path::Path;
use std::time::{Duration, Instant};

use clawhook_delivery::{SecretReader as _, UnreadableSecret};
use clawhook_model::{MAX_SECRET_BYTES, SecretSource, SecretText};
use secrecy::ExposeSecret as _;

use super::*;

const CONTEXT: &str = "destination/ops/signing.secret";

fn open(dir: &Path) -> Secrets {
    let state = StateDir::open(dir.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    Secrets::of(&state).unwrap_or_else(|error| panic!("{error}"))
}

fn text(text: &str) -> SecretText {
    text.to_owned().into()
}

fn follow(source: &SecretSource) -> Result<String, UnreadableSecret> {
    let variable = |name: &str| match name {
        "PATH" | "HOME" => std::env::var(name).ok(),
        "TOKEN" => Some("from-env".to_owned()),
        "BLANK" => Some(" ".to_owned()),
        _ => None,
    };
    follow_now(source, &Environment::of("", &variable), CONTEXT)
        .map(|secret| secret.expose_secret().to_owned())
}

/// A program that the shell is.
fn shell(script: &str) -> SecretSource {
    SecretSource::Exec(["sh", "-c", script].map(str::to_owned).into())
}

#[tokio::test]
async fn what_is_sealed_opens_in_its_own_context_alone() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = open(dir.path());
    let sealed = secrets.sealer().at_rest(SecretSource::Written(text("s3cret")), CONTEXT).unwrap();
    assert!(!sealed.to_stored_json().to_string().contains("s3cret"));
    // Another gateway on the same directory, such as this one after a restart.
    let secrets = open(dir.path());
    assert_eq!(secrets.read(&sealed, CONTEXT).await.unwrap().expose_secret(), "s3cret");
    for elsewhere in ["destination/evil/signing.secret", "destination/ops/headers.authorization", ""] {
        let error = secrets.read(&sealed, elsewhere).await.unwrap_err();
        assert!(matches!(error, UnreadableSecret::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("secret-key"), "{error}");
    }
}

#[test]
fn no_two_sealings_are_alike() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = open(dir.path());
    let seal = || secrets.sealer().seal(&text("s3cret"), CONTEXT).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn what_was_changed_in_any_place_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = open(dir.path());
    let sealed = secrets.sealer().seal(&text("s3cret"), CONTEXT).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let error = secrets.sealer().open(&changed, CONTEXT).unwrap_err();
        assert!(
            matches!(error, UnreadableSecret::Damaged { .. } | UnreadableSecret::OtherKey { .. }),
            "{error}"
        );
    }
    for cut in ["", "v1", "v1.", "v1..", "v2.a.b", "v1.a.b.c", &sealed[..sealed.len() - 1], &sealed[..30]] {
        assert!(secrets.sealer().open(cut, CONTEXT).is_err(), "{cut}");
    }
}

#[test]
fn a_lost_key_is_told_from_a_damaged_secret_and_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = open(dir.path()).sealer().seal(&text("s3cret"), CONTEXT).unwrap();
    std::fs::remove_file(dir.path().join("secret-key")).unwrap();
    let error = open(dir.path()).sealer().open(&sealed, CONTEXT).unwrap_err();
    let told = format!("another key than the one in `{}`", dir.path().join("secret-key").display());
    assert!(matches!(error, UnreadableSecret::OtherKey { .. }));
    assert!(error.to_string().contains(&told) && error.to_string().contains(CONTEXT), "{error}");
}

#[test]
fn i12_neither_key_nor_secret_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = open(dir.path());
    let key = std::fs::read_to_string(dir.path().join("secret-key")).unwrap();
    assert!(!format!("{secrets:?}").contains(key.trim()));
}

#[test]
fn each_source_gives_its_secret_without_the_last_line_break() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let file = SecretSource::File(path.clone());
    // It is read anew each time.
    for (content, expected) in
        [("one\n", "one"), ("two\r\n", "two"), ("a\nb\n\n", "a\nb\n"), (" three ", " three ")]
    {
        std::fs::write(&path, content).unwrap();
        assert_eq!(follow(&file).unwrap(), expected);
    }
    assert_eq!(follow(&SecretSource::Env("TOKEN".to_owned())).unwrap(), "from-env");
    assert_eq!(follow(&shell("echo from-program")).unwrap(), "from-program");
    assert_eq!(follow(&SecretSource::Written(text("s3cret"))).unwrap(), "s3cret");
}

#[test]
fn what_gives_no_secret_is_told_by_its_source_and_never_by_what_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path)
    };
    let program = |name: &str| SecretSource::Exec(vec![name.to_owned()]);
    let too_large = "yes s3cret";
    for (source, told) in [
        (SecretSource::Env("NOPE".to_owned()), "the environment variable `NOPE` is not set"),
        (SecretSource::Env("BLANK".to_owned()), "the environment variable `BLANK` is empty"),
        (SecretSource::File(dir.path().join("nope")), "nope` cannot be read"),
        (SecretSource::File(dir.path().to_owned()), "it is no regular file"),
        (write("empty", b"\n"), "empty` is empty"),
        (write("bytes", b"s3cret\xff"), "gives no UTF-8 text"),
        (write("control", b"s3cret\0"), "gives a control character"),
        (write("large", &[b'x'; MAX_SECRET_BYTES + 1]), "gives more than 65536 bytes"),
        (program("no-such-program-here"), "`no-such-program-here` cannot be started"),
        (shell("echo s3cret; echo s3cret >&2; exit 3"), "the program `sh` failed with exit status: 3"),
        (shell("kill -9 $$"), "the program `sh` failed with signal: 9"),
        (shell("true"), "the program `sh` is empty"),
        (shell(too_large), "the program `sh` gives more than 65536 bytes"),
        (SecretSource::Sealed("v1.s3cret".to_owned()), "is sealed, and there is no key here"),
    ] {
        let error = follow(&source).unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn a_program_hears_no_variables_but_three_and_has_no_input() {
    let told = follow(&shell("env | cut -d= -f1 | sort; cat")).unwrap();
    // The shell sets the last two by itself.
    let allowed = ["PATH", "HOME", "LANG", "PWD", "SHLVL", "_", "OLDPWD"];
    assert!(told.lines().all(|name| allowed.contains(&name)), "{told}");
    assert!(told.contains("PATH"));
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let variables = vec![("PATH", std::env::var("PATH").unwrap())];
    // It closes its output or keeps it, itself or by a child: each time the limit holds.
    for script in
        ["echo $$ > $0; exec sleep 60", "sleep 60 & echo $! > $0", "echo $$ > $0; exec >&-; sleep 60"]
    {
        let argv: Vec<String> =
            ["sh", "-c", script, &pid_file.display().to_string()].map(str::to_owned).into();
        let error = program::output_within(Duration::from_secs(1), &argv, variables.clone()).unwrap_err();
        assert!(matches!(error, UnreadableSecret::TimedOut { .. }), "{error}");
        // A machine under load may not even have begun.
        let pid = std::fs::read_to_string(&pid_file).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_running(pid.trim()) {
            assert!(Instant::now() < deadline, "{script}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether the process does anything yet; one that was killed may stay in the list until its parent has looked.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
