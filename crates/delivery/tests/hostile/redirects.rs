//! Redirects: recorded, and never followed (invariant 10).

use bytes::Bytes;
use clawhook_model::AttemptClass;

use crate::case::{patient, post, transport};
use crate::receiver::Receiver;

const WELCOME: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nwelcome";

/// A receiver that answers every request with this status and this target; `None` is the receiver itself.
async fn redirecting(status: u16, target: Option<String>) -> Receiver {
    Receiver::start(move |mut conversation| {
        let target = target.clone();
        async move {
            let own = format!("http://{}/hooks/cron", conversation.stream.local_addr().unwrap());
            let target = target.unwrap_or(own);
            while conversation.hear().await {
                let head =
                    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
                conversation.say(head).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn i10_no_redirect_is_followed_wherever_it_leads() {
    let mut elsewhere = Receiver::answering(WELCOME).await;
    let targets = [
        None,
        Some(elsewhere.url().expose().to_owned()),
        Some("/login".to_owned()),
        Some("//127.0.0.1/".to_owned()),
        Some("http://169.254.169.254/latest/meta-data/".to_owned()),
        Some("file:///etc/passwd".to_owned()),
        Some(String::new()),
    ];
    let transport = transport(patient(), &["127.0.0.1"]);
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for target in &targets {
            let mut receiver = redirecting(status, target.clone()).await;
            let report = post(&transport, &receiver.url(), Bytes::new()).await;
            assert_eq!((report.class, report.status), (AttemptClass::Redirect, Some(status)), "{target:?}");
            let own = receiver.url_on("http", "127.0.0.1").expose().to_owned();
            assert_eq!(report.location.as_deref(), Some(target.as_ref().unwrap_or(&own).as_str()));
            assert!(report.error.unwrap().ends_with("redirects are not followed"));
            assert_eq!(receiver.unseen(), 1, "{target:?}");
        }
    }
    assert_eq!(elsewhere.unseen(), 0);
}

#[tokio::test]
async fn of_a_target_without_end_the_start_is_recorded() {
    let receiver = redirecting(302, Some(format!("https://example.com/{}", "a".repeat(60_000)))).await;
    let report = post(&transport(patient(), &["127.0.0.1"]), &receiver.url(), Bytes::new()).await;
    assert_eq!(report.class, AttemptClass::Redirect);
    assert_eq!(report.location.unwrap().len(), 2_048);
    assert_eq!(report.response_headers.get("location").unwrap().chars().count(), 1_025);
}
