use agent_client_protocol_schema::v1::ToolCallUpdateFields;
use clawhook_clock::ManualClock;
use clawhook_model::UnixMs;

use super::*;

fn record(updates: impl IntoIterator<Item = SessionUpdate>) -> Said {
    let clock = ManualClock::at(UnixMs::from_millis(1));
    let mut said = Said::default();
    let live = LiveOutput::default();
    let mut record = Record::new(&mut said, &live, &clock);
    updates.into_iter().for_each(|update| record.update(update));
    record.finish();
    said
}

fn words(text: &str) -> SessionUpdate {
    SessionUpdate::AgentMessageChunk(ContentChunk::new(text.into()))
}

#[test]
fn where_nothing_was_said_after_the_last_tool_the_result_is_all_that_was_said() {
    let said = record([words("First."), SessionUpdate::ToolCall(ToolCall::new("a", "t")), words(" ")]);
    assert_eq!(said.text, "First.");
}

#[test]
fn an_empty_piece_begins_no_new_entry() {
    let said = record([words("a"), words(""), words("b")]);
    assert_eq!(said.transcript.len(), 1);
    assert_eq!(said.text, "ab");
}

#[test]
fn what_a_tool_was_given_and_answered_is_bounded_however_often_it_is_told() {
    let large = "x".repeat(2 * RESULT_LIMIT);
    let call = ToolCall::new("a", "t").raw_input(json!({ "large": large }));
    let again =
        ToolCallUpdateFields::new().content(vec![large.clone().into()]).status(ToolCallStatus::Completed);
    let update = || SessionUpdate::ToolCallUpdate(ToolCallUpdate::new("a", again.clone()));
    let said = record([SessionUpdate::ToolCall(call), update(), update()]);
    assert_eq!(said.transcript.len(), 2);
    assert!(said.transcript[1].text.len() <= RESULT_LIMIT + 100);
    let Some(EntryDetail::ToolCall { arguments, .. }) = &said.transcript[0].detail else { panic!() };
    assert!(arguments["leftOut"].is_string());
}

#[test]
fn thoughts_end_where_there_is_no_room_for_them_and_entries_where_there_are_too_many() {
    let thought = |text: &str| SessionUpdate::AgentThoughtChunk(ContentChunk::new(text.into()));
    let piece = "y".repeat(ASIDE_LIMIT / 2);
    let said = record([thought(&piece), thought(&piece), thought(&piece), words("done")]);
    assert!(said.transcript[0].text.len() <= ASIDE_LIMIT + 100);
    assert_eq!(said.text, "done");

    let said = record((0..ENTRY_LIMIT).flat_map(|_| [thought("."), words(".")]));
    assert!(said.transcript.len() <= ENTRY_LIMIT);
}

#[test]
fn tokens_are_counted_whichever_way_the_cache_is() {
    let usage = |value| usage_of(&value).unwrap();
    let among =
        usage(json!({ "inputTokens": 100, "outputTokens": 5, "totalTokens": 105, "cachedReadTokens": 60 }));
    let beside =
        usage(json!({ "inputTokens": 40, "outputTokens": 5, "totalTokens": 105, "cachedReadTokens": 60 }));
    assert_eq!(among, beside);
    assert_eq!(usage_of(&json!({})), None);
    assert_eq!(usage_of(&json!("many")), None);
}
