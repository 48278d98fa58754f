//! A model behind OpenAI's chat completions that does what its message says: it answers, or asks for a tool.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// The model's name.
pub(super) const MODEL: &str = "scripted";

/// What it says where it is asked for nothing else.
pub(super) const GREETING: &str = "All is well.";

/// What it says of a tool's answer, before it repeats that.
pub(super) const REPORT: &str = "The tool answered: ";

/// A line of a message that begins so wants a file of this path to be written.
pub(super) const WRITE: &str = "please-write ";

/// A line of a message that begins so wants this command to be run.
pub(super) const RUN: &str = "please-run ";

/// The longest request that is read.
const REQUEST_LIMIT: u64 = 8 << 20;

/// Serves the model on a free port of this machine for as long as this program runs.
pub(super) fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up has got what they wanted.
            thread::spawn(move || answer(&stream).ok());
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.take(REQUEST_LIMIT));
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = serde_json::from_slice(&body).unwrap_or_default();
    let (kind, body) = response(&request);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The answer's type and body, in one piece or in several, as it is asked for.
fn response(request: &Value) -> (&'static str, String) {
    let (said, finish) = turn(request);
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107 });
    let chunk = |choices: Value, usage: &Value| {
        let object = if request["stream"] == true { "chat.completion.chunk" } else { "chat.completion" };
        json!({
            "id": "c", "object": object, "created": 1, "model": MODEL, "choices": choices, "usage": usage,
        })
    };
    if request["stream"] != true {
        let choices = json!([{ "index": 0, "message": said, "finish_reason": finish }]);
        return ("application/json", chunk(choices, &usage).to_string());
    }
    let none = Value::Null;
    let pieces = [
        chunk(json!([{ "index": 0, "delta": said, "finish_reason": none }]), &none),
        chunk(json!([{ "index": 0, "delta": {}, "finish_reason": finish }]), &none),
        chunk(json!([]), &usage),
    ];
    let events: String = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
    ("text/event-stream", format!("{events}data: [DONE]\n\n"))
}

/// What the model says to the last message, and why it ends its turn.
fn turn(request: &Value) -> (Value, &'static str) {
    let last = request["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&Value::Null);
    let text = text_of(&last["content"]);
    if last["role"] == "tool" {
        return (json!({ "role": "assistant", "content": format!("{REPORT}{text}") }), "stop");
    }
    let wanted = |sign| text.lines().find_map(|line| line.trim().strip_prefix(sign));
    let call = wanted(WRITE)
        .and_then(|path| {
            // The agents call the same things by different names.
            let content = "made by the agent\n";
            let write = json!({ "file_path": path, "filePath": path, "content": content });
            tool(request, &["write_file", "write"], &write)
        })
        .or_else(|| {
            let run = json!({ "command": wanted(RUN)?, "description": "runs it", "is_background": false });
            tool(request, &["run_shell_command", "bash"], &run)
        });
    match call {
        Some(call) => (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls"),
        None => (json!({ "role": "assistant", "content": GREETING }), "stop"),
    }
}

/// A call of the first of these tools that the request offers, with those of the arguments that it knows.
fn tool(request: &Value, names: &[&str], arguments: &Value) -> Option<Value> {
    let mut offered = request["tools"].as_array()?.iter().map(|tool| &tool["function"]);
    let tool = offered.find(|tool| names.iter().any(|name| tool["name"] == *name))?;
    let known = &tool["parameters"]["properties"];
    let arguments: serde_json::Map<_, _> =
        arguments.as_object()?.clone().into_iter().filter(|(name, _)| !known[name].is_null()).collect();
    let function = json!({ "name": tool["name"], "arguments": Value::Object(arguments).to_string() });
    Some(json!({ "index": 0, "id": "call_1", "type": "function", "function": function }))
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_the_tool_by_the_name_and_the_arguments_that_are_offered() {
        let properties = json!({ "filePath": {}, "content": {} });
        let request = json!({
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "x\nplease-write /a/b\n" }] }],
            "tools": [{ "function": { "name": "write", "parameters": { "properties": properties } } }],
        });
        let (said, finish) = turn(&request);
        let function = &said["tool_calls"][0]["function"];
        assert_eq!((finish, &function["name"]), ("tool_calls", &json!("write")));
        let arguments: Value =
            serde_json::from_str(function["arguments"].as_str().unwrap_or_default()).unwrap();
        assert_eq!(arguments, json!({ "filePath": "/a/b", "content": "made by the agent\n" }));

        let request = json!({ "messages": [{ "role": "tool", "content": "done" }] });
        assert_eq!(
            turn(&request),
            (json!({ "role": "assistant", "content": "The tool answered: done" }), "stop")
        );
        assert_eq!(turn(&json!({})).0["content"], GREETING);
    }
}
