//! What a tool answered, as text.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::ToolAnswer;

/// How many bytes of an answer are kept.
pub(super) const LIMIT: usize = 256 * 1024;

/// The answer in words: its texts, a note for each thing that is none, and where there is nothing else the structured result.
pub(super) fn of(result: &CallToolResult) -> ToolAnswer {
    let parts: Vec<_> = result.content.iter().map(in_words).collect();
    let text = match &result.structured_content {
        Some(value) if parts.is_empty() => value.to_string(),
        _ if parts.is_empty() => "[the tool answered without a word]".to_owned(),
        _ => parts.join("\n"),
    };
    ToolAnswer { text: bounded(text), is_error: result.is_error.unwrap_or(false) }
}

/// The answer of a tool that could not be asked, or did not answer.
pub(super) fn failed(text: String) -> ToolAnswer {
    ToolAnswer { text: bounded(text), is_error: true }
}

fn in_words(content: &ContentBlock) -> String {
    match content {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => binary(&image.mime_type, &image.data),
        ContentBlock::Audio(audio) => binary(&audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                format!("[{uri}] {}", binary(mime_type.as_deref().unwrap_or("binary"), blob))
            }
            _ => "[a resource of an unknown kind]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[{}]", link.uri),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

fn binary(mime_type: &str, base64: &str) -> String {
    let digits = base64.trim_end_matches('=').len();
    format!("[{mime_type}, {} bytes]", digits * 3 / 4)
}

fn bounded(mut text: String) -> String {
    if text.len() > LIMIT {
        text.truncate(text.floor_char_boundary(LIMIT));
        text.push_str(&format!("\n[truncated: the answer is longer than {LIMIT} bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use rmcp::model::Resource;
    use serde_json::json;

    use super::*;

    fn text_of(content: Vec<ContentBlock>) -> String {
        of(&CallToolResult::success(content)).text
    }

    #[test]
    fn texts_are_joined_and_what_is_no_text_is_noted() {
        let content = vec![
            ContentBlock::text("one"),
            ContentBlock::image("AAECAwQ=", "image/png"),
            ContentBlock::resource(ResourceContents::text("inside", "file:///a.txt")),
            ContentBlock::resource(ResourceContents::blob("AAEC", "file:///b")),
            ContentBlock::resource_link(Resource::new("file:///c", "c")),
        ];
        let expected =
            "one\n[image/png, 5 bytes]\n[file:///a.txt]\ninside\n[file:///b] [binary, 3 bytes]\n[file:///c]";
        assert_eq!(text_of(content), expected);
    }

    #[test]
    fn a_structured_result_stands_where_there_is_no_text() {
        let mut result = CallToolResult::structured(json!({"sum": 3}));
        result.content = vec![];
        assert_eq!(of(&result).text, r#"{"sum":3}"#);
        result.content = vec![ContentBlock::text("three")];
        assert_eq!(of(&result).text, "three");
        assert_eq!(text_of(vec![]), "[the tool answered without a word]");
    }

    #[test]
    fn a_long_answer_is_cut_between_characters_and_says_so() {
        let text = text_of(vec![ContentBlock::text("好".repeat(LIMIT))]);
        let (kept, mark) = text.split_once('\n').unwrap();
        assert_eq!(kept.len(), LIMIT - 1);
        assert_eq!(mark, "[truncated: the answer is longer than 262144 bytes]");
    }

    #[test]
    fn a_failure_stays_one() {
        assert!(of(&CallToolResult::error(vec![ContentBlock::text("no")])).is_error);
        assert!(!of(&CallToolResult::success(vec![])).is_error);
    }
}
