//! No secret of an account is told to anybody but its service.

use clawhook_delivery::channels::{Account, Channel, ChannelKind};
use clawhook_delivery::{ConnectionProfile, Guard, GuardPolicy};
use clawhook_model::SecretSource;
use secrecy::SecretString;

use super::{KEY, TOKEN, account, answer, channel, message, place, send, service};

#[tokio::test]
async fn i12_a_service_that_repeats_the_token_tells_it_to_nobody() {
    for kind in ChannelKind::ALL {
        if kind == ChannelKind::Email {
            continue;
        }
        let body = format!(
            r#"{{"ok":false,"error":"bad {TOKEN}","description":"bad {TOKEN}","message":"bad {TOKEN}"}}"#
        );
        let echo = format!("/bot{TOKEN}/sendMessage");
        let receiver = service(&[&answer(400, &[("x-echo", &echo), ("location", &echo)], &body)]).await;
        let channel = channel(kind, &receiver);
        let (sent, _) = send(&channel, &place(kind), &message("a"), 0).await;
        let written = serde_json::to_string(&sent.report).unwrap() + &format!("{sent:?} {channel:?}");
        assert!(!written.contains("s3cret") && written.contains("***"), "{kind}: {written}");
        let request =
            channel.request(&channel.pieces(&message("a"))[0], &message("a"), &place(kind), KEY).unwrap();
        assert!(!format!("{request:?}").contains("s3cret"), "{kind}");
    }
}

#[test]
fn i12_an_account_shows_no_secret_and_says_what_it_lacks() {
    let mut webhook = account(ChannelKind::Webhook, "https://chat.example.com/T0/s3cret/{to}?key=s3cret");
    webhook.credential = Some(SecretSource::Written("s3cret".to_owned().into()));
    let shown = format!("{webhook:?} {}", webhook.url.as_ref().unwrap());
    assert!(!shown.contains("s3cret") && shown.contains("https://chat.example.com/***"), "{shown}");
    let guard = Guard::new(GuardPolicy::default());
    assert_eq!(webhook.check(&guard), Ok(()));

    for (account, complaint) in [
        (Account::new(ChannelKind::Slack, None), "slack needs `credential`"),
        (Account::new(ChannelKind::Matrix, Some(SecretSource::Env("T".to_owned()))), "matrix needs `url`"),
        (account(ChannelKind::Email, "smtps://mail.example.com"), "email needs `from`"),
        (account(ChannelKind::Ntfy, "http://ntfy.example.com"), "not encrypted"),
        (account(ChannelKind::Ntfy, "https://127.0.0.1/"), "127.0.0.1"),
        (
            Account { user: Some("me".to_owned()), ..Account::new(ChannelKind::Ntfy, None) },
            "ntfy has no `user`",
        ),
        (
            Account {
                from: Some("me@example.com".to_owned()),
                ..account(ChannelKind::Email, "smtp://10.0.0.1")
            },
            "10.0.0.1",
        ),
        (
            Account {
                from: Some("me@example.com".to_owned()),
                ..account(ChannelKind::Email, "smtp://mail.example.com:22")
            },
            "port 22",
        ),
    ] {
        let error = account.check(&guard).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
    let private = Account { allow_private: true, ..account(ChannelKind::Ntfy, "http://127.0.0.1:8080/") };
    assert_eq!(private.check(&guard), Ok(()));
}

#[test]
fn i12_a_token_that_would_change_the_address_is_refused() {
    for token in ["123/../x", "1 2", "", "a?b"] {
        let account = Account::new(ChannelKind::Telegram, None);
        let error = Channel::open(&account, Some(&SecretString::from(token)), ConnectionProfile::default())
            .unwrap_err();
        assert!(!error.to_string().contains("123"), "{error}");
    }
}
