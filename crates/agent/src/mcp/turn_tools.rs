//! The tools of one turn.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use rmcp::model::Tool;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::connection::Connection;
use super::names::{self, Names};
use super::policy::{Allowed, ServerNames};
use crate::{ServerAddress, ToolAnswer, ToolSpec, Toolbox};

/// How many tools a model is told of, and how many bytes all that it is told of them may have.
pub(super) const MOST_TOOLS: usize = 512;
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// The tools that a turn may use, and the servers that have them.
#[derive(Default)]
pub(super) struct TurnTools {
    specs: Vec<ToolSpec>,
    routes: BTreeMap<String, Route>,
    connections: Connections,
    addresses: Vec<ServerAddress>,
    notes: Vec<String>,
    names: Names,
    bytes: usize,
    call_limit: Duration,
}

/// Where a tool is.
struct Route {
    connection: usize,
    /// Its name there.
    tool: String,
}

/// The servers of a turn, which take leave with it.
#[derive(Default)]
struct Connections(Vec<Connection>);

impl TurnTools {
    /// No tools yet, of which each may take so long.
    pub(super) fn new(addresses: Vec<ServerAddress>, call_limit: Duration) -> Self {
        Self { addresses, call_limit, ..Self::default() }
    }

    /// Adds those of the server's tools that are allowed, as far as there is room.
    pub(super) fn add(
        &mut self,
        connection: Connection,
        server: ServerNames<'_>,
        mut tools: Vec<Tool>,
        allowed: &Allowed<'_>,
    ) {
        let index = self.connections.0.len();
        self.connections.0.push(connection);
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        let mut left_out = 0;
        for tool in tools {
            let name = names::of_tool(server.tools, &tool.name);
            if allowed.tool(server, &name) && !self.add_tool(index, &name, tool) {
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.notes.push(format!(
                "{left_out} tools of the server `{}` were left out: a model is told of at most {MOST_TOOLS} tools in {MOST_BYTES} bytes; a narrower `tools.allow` chooses among them",
                server.configured
            ));
        }
    }

    fn add_tool(&mut self, connection: usize, name: &str, tool: Tool) -> bool {
        let spec = spec_of(name, &tool);
        let bytes = spec.description.len() + spec.input_schema.to_string().len();
        if self.specs.len() >= MOST_TOOLS || self.bytes + bytes > MOST_BYTES {
            return false;
        }
        self.bytes += bytes;
        let name = self.names.add(name);
        self.routes.insert(name.clone(), Route { connection, tool: tool.name.into_owned() });
        self.specs.push(ToolSpec { name, ..spec });
        true
    }
}

impl Connections {
    async fn close(mut self) {
        Self::close_all(mem::take(&mut self.0)).await;
    }

    async fn close_all(connections: Vec<Connection>) {
        join_all(connections.into_iter().map(Connection::close)).await;
    }
}

impl Drop for Connections {
    /// Where the turn could not wait, the servers still get their time to take leave. Without a runtime they are killed.
    fn drop(&mut self) {
        let connections = mem::take(&mut self.0);
        if let (false, Ok(runtime)) = (connections.is_empty(), Handle::try_current()) {
            runtime.spawn(Self::close_all(connections));
        }
    }
}

fn spec_of(name: &str, tool: &Tool) -> ToolSpec {
    let mut schema = Map::clone(&tool.input_schema);
    // Providers insist on it, and servers leave it out where a tool takes nothing.
    schema.entry("type").or_insert_with(|| "object".into());
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: Value::Object(schema),
    }
}

#[async_trait]
impl Toolbox for TurnTools {
    fn tools(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    async fn call(&self, name: &str, arguments: Map<String, Value>) -> ToolAnswer {
        let route = self.routes.get(name);
        let Some((route, connection)) = route.and_then(|r| Some((r, self.connections.0.get(r.connection)?)))
        else {
            return ToolAnswer::no_such_tool(name);
        };
        connection.call(&route.tool, arguments, self.call_limit).await
    }

    fn servers(&self) -> Vec<ServerAddress> {
        self.addresses.clone()
    }

    async fn close(self: Box<Self>) {
        self.connections.close().await;
    }
}
