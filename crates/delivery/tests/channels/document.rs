//! docs/channels.md says what the code does.

use clawhook_delivery::channels::ChannelKind;

use super::{channel, message, service};

const DOCUMENT: &str = include_str!("../../../../docs/channels.md");

/// The rows that begin with the kind, without their first cell.
fn rows(kind: ChannelKind) -> Vec<Vec<&'static str>> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix(&format!("| `{kind}` |")));
    rows.map(|row| row.trim_end_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_document_tells_of_every_kind_its_server_its_credential_and_its_pace() {
    for kind in ChannelKind::ALL {
        let rows = rows(kind);
        let [setup, limits] = rows.as_slice() else { panic!("{kind} needs a row in each table: {rows:?}") };
        if let Some(url) = kind.default_url() {
            assert_eq!(setup[0], format!("`{url}`"), "{kind}");
        }
        assert_eq!(kind.needs_credential(), !setup[1].contains("or none"), "{kind}: {}", setup[1]);
        let pace = match kind.pace().as_secs() {
            0 => "as it asks".to_owned(),
            seconds => format!("{seconds} s"),
        };
        assert_eq!(limits[2], pace, "{kind}");
    }
}

#[tokio::test]
async fn the_document_tells_how_many_messages_a_text_takes_at_most() {
    let receiver = service(&[""]).await;
    for kind in ChannelKind::ALL {
        if kind == ChannelKind::Email {
            continue;
        }
        let pieces = channel(kind, &receiver).pieces(&message(&"word & word\n".repeat(60_000)));
        let most: usize = rows(kind)[1][1].parse().unwrap();
        let is_cut = pieces.last().unwrap().text.contains("the whole text is in the run");
        assert!(pieces.len() == most && (is_cut || kind == ChannelKind::Webhook), "{kind}: {}", pieces.len());
    }
}
