//! Secrets: by reference, found or not, and never shown.

use super::{exposed, parse, refused};
use crate::config::Config;

#[test]
fn secrets_are_found_by_each_form() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "from-file\r\n").unwrap();
    let name = directory.path().join("clawhook.json5").display().to_string();
    let home = directory.path().display().to_string();
    let env = |name: &str| match name {
        "TOKEN" => Some("from-env".to_owned()),
        "HOME" => Some(home.clone()),
        _ => None,
    };
    let absolute = format!("{{ file: {:?} }}", directory.path().join("token"));
    for (form, expected) in [
        ("'plain'", "plain"),
        ("'cost: 5$'", "cost: 5$"),
        ("'${TOKEN}'", "from-env"),
        ("{ env: 'TOKEN' }", "from-env"),
        ("{ source: 'env', id: 'TOKEN' }", "from-env"),
        ("{ file: 'token' }", "from-file"),
        ("{ file: '~/token' }", "from-file"),
        ("{ exec: ['/bin/sh', '-c', 'echo from-program'] }", "from-program"),
        ("{ source: 'file', id: 'token' }", "from-file"),
        (absolute.as_str(), "from-file"),
    ] {
        let config = Config::parse(&format!("{{ cron: {{ webhookToken: {form} }} }}"), &name, &env)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(exposed(config.cron.webhook_token.as_ref()), Some(expected), "{form}");
    }
}

#[test]
fn a_reference_that_leads_nowhere_is_told_by_its_name_and_its_key() {
    let directory = tempfile::tempdir().unwrap();
    for (file, content) in [("empty", "\n"), ("lines", "a\nb"), ("large", &"x".repeat(70_000))] {
        std::fs::write(directory.path().join(file), content).unwrap();
    }
    std::fs::write(directory.path().join("bytes"), [0xff, 0xfe]).unwrap();
    let name = directory.path().join("clawhook.json5").display().to_string();
    let env = |name: &str| (name == "BLANK").then(String::new);
    for (form, told) in [
        ("'${NOPE}'", "`delivery.signingSecret` cannot be read: the environment variable `NOPE` is not set"),
        ("{ env: 'BLANK' }", "the environment variable `BLANK` is empty"),
        ("{ file: 'nope' }", "nope` cannot be read"),
        ("{ file: 'empty' }", "is empty"),
        ("{ file: 'lines' }", "holds a line break"),
        ("{ file: 'large' }", "gives more than 65536 bytes"),
        ("{ file: 'bytes' }", "gives no UTF-8 text"),
        ("{ exec: ['/bin/sh', '-c', 'exit 7'] }", "the program `/bin/sh` failed with exit status: 7"),
        ("{ exec: [] }", "`delivery.signingSecret.exec` must be a list of texts that begins with a program"),
        ("{ exec: ['pass', 5] }", "`delivery.signingSecret.exec` must be a list of texts"),
        ("{ sealed: 'v1.x.y' }", "has the unknown member `sealed`"),
        ("''", "`delivery.signingSecret` is empty"),
        ("'a${NOPE}'", "is not exactly `${NAME}`"),
        ("{ source: 'exec', id: 'x' }", "`delivery.signingSecret.source` must be \"env\" or \"file\""),
        ("{ source: 'env', id: 'X', provider: 'default' }", "has the unknown member `provider`"),
        ("{ source: 'env' }", "`delivery.signingSecret` must be"),
        ("{ env: 'A', file: 'B' }", "`delivery.signingSecret` must be"),
    ] {
        let text = format!("{{ delivery: {{ signingSecret: {form} }} }}");
        let error = Config::parse(&text, &name, &env).expect_err(form);
        let [problem] = error.problems() else { panic!("{error}") };
        assert!(problem.message().contains(told), "{form}: {}", problem.message());
        assert!(problem.message().contains("`delivery.signingSecret"), "{}", problem.message());
    }
}

#[test]
fn i12_no_secret_is_shown_by_debug_or_by_an_error() {
    let config = parse(
        "{ gateway: { auth: { token: 's3cret' } }, cron: { webhookToken: 's3cret' }, delivery: { signingSecret: 's3cret' },
           models: { providers: { x: { baseUrl: 'http://h', apiKey: 's3cret' } } } }",
    );
    assert!(!format!("{config:?}").contains("s3cret"));
    for text in [
        "{ gateway: { auth: { token: 's3cret', mode: 'none' } } }",
        "{ gateway: { auth: { token: ['s3cret'] } } }",
        "{ gateway: { auth: { token: 's3cret\\u0007' } } }",
        "{ gateway: { auth: { tokn: 's3cret' } } }",
        "{ gateway: { auth: 's3cret' } }",
        "{ cron: { webhookToken: '${s3cret' } }",
        "{ cron: { webhookToken: { env: 's3cret-x' } } }",
        "{ cron: { webhookToken: { exec: 's3cret' } } }",
        "{ delivery: { proxy: 'http://u:s3cret@h' } }",
        "{ delivery: { proxy: 'http://h', proxyCredentials: 's3cret' } }",
        "{ cron: { webhookToken: { value: 's3cret' } } }",
        "{ cron: { webhookToken: 's3cret' \n enabled: true } }",
        "{ cron: { webhookToken: s3cret } }",
        "{ cron: { webhookToken: \"s3cret } }",
        "{ cron: { webhookToken: 's3cret\\uZZ' } }",
        "{ cron: { webhookToken: 's3cret' enabled: true } }",
        "{ cron: { enabled: 5 /* webhookToken: 's3cret' */ } } // s3cret",
        "{ cron: { webhookToken: 'a\\\n s3cret', enabled: 5 } }",
        "{ hooks: { token: 's3cret', nothing: 1 } }",
        "{ hooks: { tokens: { x: 's3cret' } } }",
        "{ hooks: { mappings: [{ signature: { scheme: 'github', secret: 's3cret' } }] } }",
        "{ hooks: { callback: 'ftp://h/?key=s3cret' } }",
        "{ models: { providers: { x: { baseUrl: 'http://u:s3cret@h' } } } }",
        "{ models: { providers: { x: { baseUrl: 'http://h/?key=s3cret' } } } }",
        "{ models: { providers: { x: { baseUrl: 's3cret' } } } }",
        "{ models: { providers: { x: { apiKey: 's3cret' } } } }",
    ] {
        let error = refused(text);
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
