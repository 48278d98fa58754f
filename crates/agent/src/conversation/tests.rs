//! Conversations with a scripted server and scripted tools.

use std::sync::Mutex;

use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, SessionRef, Thinking, UnixMs};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::live::LiveOutput;
use crate::profile::{AgentProfile, TurnLimits};
use crate::providers::{ChatApi, ChatEndpoint, SharedClient};
use crate::toolbox::{ServerAddress, Toolbox};

/// Tools that answer what they were given.
struct Echo {
    tools: Vec<ToolSpec>,
    called: Mutex<Vec<String>>,
}

impl Echo {
    fn new() -> Self {
        let spec = |name: &str| ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema: json!({ "type": "object" }),
        };
        Self { tools: vec![spec("echo__say"), spec("echo__fail")], called: Mutex::default() }
    }
}

#[async_trait]
impl Toolbox for Echo {
    fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>) -> ToolAnswer {
        self.called.lock().unwrap().push(format!("{name} {}", Value::Object(arguments.clone())));
        ToolAnswer { text: format!("said {}", Value::Object(arguments)), is_error: name == "echo__fail" }
    }

    fn servers(&self) -> Vec<ServerAddress> {
        Vec::new()
    }

    async fn close(self: Box<Self>) {}
}

/// A server that gives each request the next answer, and the bodies that it was sent.
async fn server(answers: Vec<Value>) -> (ChatEndpoint, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                let body = loop {
                    connection.read_buf(&mut bytes).await.unwrap();
                    let text = String::from_utf8_lossy(&bytes);
                    if let Some((_, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break body;
                    }
                };
                seen.lock().unwrap().push(body);
                let body = answer.to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                let response = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                connection.write_all(response.as_bytes()).await.unwrap();
            }
        }
    });
    (ChatEndpoint::new(ChatApi::AnthropicMessages, Some(base.parse().unwrap())), seen)
}

fn calls(blocks: &Value) -> Value {
    json!({
        "type": "message", "stop_reason": "tool_use", "content": blocks,
        "usage": { "input_tokens": 10, "output_tokens": 5 },
    })
}

fn call(id: &str, name: &str, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
}

fn ends(text: &str) -> Value {
    json!({
        "type": "message", "stop_reason": "end_turn", "content": [{ "type": "text", "text": text }],
        "usage": { "input_tokens": 10, "output_tokens": 5 },
    })
}

/// What one conversation brings, and what the model was sent.
async fn hold(
    answers: Vec<Value>,
    tools: &Echo,
    limits: TurnLimits,
    unfenced: bool,
) -> (Result<(), TryError>, Said, Vec<Value>) {
    let (endpoint, seen) = server(answers).await;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(UnixMs::EPOCH));
    let models = ChatModels::new("fake", endpoint, SharedClient::default(), Arc::clone(&clock));
    let conversations = Conversations::new(models, BTreeMap::new(), clock);
    let profile = AgentProfile { limits, ..AgentProfile::default() };
    let session = SessionRef::main(&AgentId::main());
    let ask = Ask {
        profile: &profile,
        provider: "fake",
        model: "claude-x",
        session: &session,
        system: None,
        history: &[],
        text: "go",
        thinking: Some(Thinking::Off),
        tools,
        tools_allow: None,
        may_be_silent: true,
        output_schema: None,
        unfenced,
        time_left: None,
        live: &LiveOutput::default(),
    };
    let mut said = Said::default();
    let ended = conversations.answer(&ask, &mut said, &CancellationToken::new()).await;
    let seen = seen.lock().unwrap().clone();
    (ended, said, seen)
}

#[tokio::test]
async fn tools_are_called_recorded_and_answered_behind_a_fence_until_the_model_has_said_its_word() {
    let thought = json!({ "type": "thinking", "thinking": "Hm.", "signature": "EqQB" });
    let said_first = json!({ "type": "text", "text": "I look." });
    let blocks = json!([
        thought,
        said_first,
        call("t1", "echo__say", &json!({ "a": 1 })),
        call("t2", "echo__fail", &json!({})),
    ]);
    let tools = Echo::new();
    let (ended, said, seen) =
        hold(vec![calls(&blocks), ends("Done.")], &tools, TurnLimits::default(), false).await;
    assert_eq!(ended, Ok(()));
    assert_eq!((said.text.as_str(), said.silent), ("Done.", false));
    assert_eq!(said.usage, Some(clawhook_model::Usage::new(20, 10)));
    assert_eq!(*tools.called.lock().unwrap(), ["echo__say {\"a\":1}", "echo__fail {}"]);

    let kinds: Vec<String> = said
        .transcript
        .iter()
        .map(|entry| match &entry.detail {
            None => format!("{:?} {}", entry.role, entry.text),
            Some(EntryDetail::Thinking) => format!("thinks {}", entry.text),
            Some(EntryDetail::ToolCall { call_id, name, arguments }) => {
                format!("{call_id} {name} {arguments}")
            }
            Some(EntryDetail::ToolResult { call_id, is_error, .. }) => {
                format!("{call_id} {} {is_error}", entry.text)
            }
            Some(other) => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "thinks Hm.",
            "Assistant I look.",
            "t1 echo__say {\"a\":1}",
            "t1 said {\"a\":1} false",
            "t2 echo__fail {}",
            "t2 said {} true",
            "Assistant Done.",
        ]
    );

    let names: Vec<&str> =
        seen[0]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo__say", "echo__fail", "nothing_to_report"]);
    // What the model thought comes back to it unchanged, before its calls.
    assert_eq!(seen[1]["messages"][1], json!({ "role": "assistant", "content": blocks }));
    let results = &seen[1]["messages"][2]["content"];
    assert_eq!((&results[0]["tool_use_id"], &results[1]["is_error"]), (&json!("t1"), &json!(true)));
    let fenced = results[0]["content"].as_str().unwrap();
    assert!(fenced.starts_with("<<<external ") && fenced.contains("\nsaid {\"a\":1}\n"), "{fenced}");
}

#[tokio::test]
async fn a_job_may_have_what_comes_from_outside_without_a_fence() {
    let blocks = json!([call("t1", "echo__say", &json!({}))]);
    let (_, _, seen) =
        hold(vec![calls(&blocks), ends("Done.")], &Echo::new(), TurnLimits::default(), true).await;
    assert_eq!(seen[1]["messages"][2]["content"][0]["content"], "said {}");
}

#[tokio::test]
async fn a_tool_that_is_not_offered_is_never_called_and_the_model_is_told_which_are() {
    let blocks = json!([call("t1", "files__delete", &json!({}))]);
    let tools = Echo::new();
    let (ended, said, _) =
        hold(vec![calls(&blocks), ends("Sorry.")], &tools, TurnLimits::default(), false).await;
    assert_eq!((ended, said.text.as_str()), (Ok(()), "Sorry."));
    assert!(tools.called.lock().unwrap().is_empty());
    let told = said.transcript.iter().find(|entry| entry.role == Role::Tool).unwrap();
    assert!(told.text.starts_with("there is no tool `files__delete`; there are: echo__say"), "{}", told.text);
}

#[tokio::test]
async fn the_limit_of_calls_holds_within_one_round_too() {
    let blocks = json!([
        call("t1", "echo__say", &json!({})),
        call("t2", "echo__say", &json!({})),
        call("t3", "echo__say", &json!({})),
    ]);
    let tools = Echo::new();
    let limits = TurnLimits { tool_calls: 2, ..TurnLimits::default() };
    let (ended, said, _) = hold(vec![calls(&blocks)], &tools, limits, false).await;
    let error = ended.unwrap_err();
    assert_eq!((error.reason, error.is_final), (ErrorReason::TurnLimit, true));
    assert!(error.message.contains("the 2 that it may have (limits.toolCalls)"), "{}", error.message);
    assert_eq!(tools.called.lock().unwrap().len(), 2);
    assert_eq!(said.usage, Some(clawhook_model::Usage::new(10, 5)));
}

#[tokio::test]
async fn last_words_beside_a_last_call_are_the_result_where_nothing_follows_them() {
    let blocks = json!([{ "type": "text", "text": "All sent." }, call("t1", "echo__say", &json!({}))]);
    let nothing = json!({ "type": "message", "stop_reason": "end_turn", "content": [] });
    let (ended, said, _) =
        hold(vec![calls(&blocks), nothing], &Echo::new(), TurnLimits::default(), false).await;
    assert_eq!((ended, said.text.as_str()), (Ok(()), "All sent."));
}

#[test]
fn arguments_that_are_no_object_are_told_from_none_at_all() {
    let read = |arguments: &str| {
        Wanted::read(RawCall { id: "1".into(), name: "a".into(), arguments: arguments.into() })
    };
    assert_eq!(read("").unreadable, None);
    assert_eq!(read(" ").unreadable, None);
    assert_eq!(read("{\"x\":1}").call.arguments["x"], 1);
    for broken in ["{\"x\":", "[1]", "null", "x"] {
        assert_eq!(read(broken).unreadable.as_deref(), Some(broken));
    }
}
