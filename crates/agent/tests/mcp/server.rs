//! A scripted MCP server: the same one as a program and behind HTTP.

use std::borrow::Cow;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

/// What the server is like. The name of the variable that says it to a program, and its values.
pub(super) const SCRIPT: &str = "MCP_SCRIPT";

/// Pages of its list have so many tools.
const PAGE: usize = 100;

pub(super) struct Scripted {
    versions: &'static [ProtocolVersion],
    tools: Vec<Tool>,
    calls: AtomicU32,
}

impl Scripted {
    pub(super) fn new(script: &str) -> Self {
        let tools = match script {
            "many" => (0..10_000).map(|n| tool(&format!("tool_{n:05}"))).collect(),
            "endless" => (0..10_001).map(|n| tool(&format!("tool_{n:05}"))).collect(),
            "heavy" => (0..40).map(|n| heavy_tool(&format!("tool_{n:05}"))).collect(),
            "odd" => ["read\nfile", "read file", "", "文件", &"x".repeat(200)].map(tool).to_vec(),
            _ => {
                let names = [
                    "big", "cwd", "die", "env", "fail", "hang", "huge", "pid", "spawn", "strict", "sum",
                    "times",
                ];
                names.map(tool).to_vec()
            }
        };
        let versions = match script {
            "newest" => &[ProtocolVersion::V_2026_07_28][..],
            _ => ProtocolVersion::KNOWN_VERSIONS,
        };
        Self { versions, tools, calls: AtomicU32::new(0) }
    }
}

fn tool(name: &str) -> Tool {
    Tool::new(name.to_owned(), format!("The tool {name:?}."), Map::new())
}

fn heavy_tool(name: &str) -> Tool {
    Tool::new(name.to_owned(), "x".repeat(64 * 1024), Map::new())
}

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

impl ServerHandler for Scripted {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let begin = request.and_then(|page| page.cursor).map_or(0, |cursor| cursor.parse().unwrap());
        let end = self.tools.len().min(begin + PAGE);
        let mut page = ListToolsResult::with_all_items(self.tools[begin..end].to_vec());
        page.next_cursor = (end < self.tools.len()).then(|| end.to_string());
        Ok(page)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let result = match &*request.name {
            "big" => text("x".repeat(10 * 1024 * 1024)),
            "cwd" => text(std::env::current_dir().unwrap().display().to_string()),
            "die" => {
                let last_words = format!("out of luck with {}\n", std::env::var("KEY").unwrap_or_default());
                std::io::stderr().write_all(last_words.as_bytes()).unwrap();
                std::process::exit(7)
            }
            "env" => text(std::env::var(arguments["name"].as_str().unwrap()).unwrap_or_default()),
            "fail" => CallToolResult::error(vec![ContentBlock::text("it did not work")]),
            "hang" => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                text("late")
            }
            "huge" => text("x".repeat(17 * 1024 * 1024)),
            "pid" => text(std::process::id().to_string()),
            "spawn" => {
                let child = std::process::Command::new("sleep").arg("600").stdout(Stdio::null()).spawn();
                text(child.unwrap().id().to_string())
            }
            "strict" => {
                return Err(ErrorData::invalid_params("`path` is missing", Some(json!({"at": "path"}))));
            }
            "sum" => {
                let sum = arguments.values().filter_map(Value::as_i64).sum::<i64>();
                let mut result = CallToolResult::structured(json!({"sum": sum}));
                result.content.clear();
                result
            }
            "times" => text((self.calls.fetch_add(1, Ordering::Relaxed) + 1).to_string()),
            name => text(format!("called {name:?}")),
        };
        Ok(result.into())
    }
}
