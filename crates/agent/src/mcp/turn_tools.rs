//! The tools of one turn.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::connection::Connection;
use super::listing::{Listed, Listing, MOST_BYTES, MOST_TOOLS, Room};
use super::names::Names;
use crate::{ServerAddress, ToolAnswer, ToolSpec, Toolbox};

/// The tools that a turn may use, and the servers that have them.
#[derive(Default)]
pub(super) struct TurnTools {
    specs: Vec<ToolSpec>,
    routes: BTreeMap<String, Route>,
    connections: Connections,
    addresses: Vec<ServerAddress>,
    notes: Vec<String>,
    names: Names,
    room: Room,
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

    /// Adds a server and its tools, as far as there is room.
    pub(super) fn add(&mut self, server: &str, connection: Connection, mut listing: Listing) {
        let index = self.connections.0.len();
        self.connections.0.push(connection);
        listing.tools.sort_by(|a, b| a.tool.cmp(&b.tool));
        let mut left_out = listing.left_out;
        for Listed { tool, mut spec } in listing.tools {
            if self.room.take(&spec) {
                spec.name = self.names.add(&spec.name);
                self.routes.insert(spec.name.clone(), Route { connection: index, tool });
                self.specs.push(spec);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.notes.push(format!(
                "{left_out} tools of the server `{server}` were left out: a model is told of at most {MOST_TOOLS} tools \
                 in {MOST_BYTES} bytes; a narrower `tools.allow` chooses among them"
            ));
        }
        if listing.goes_on {
            self.notes.push(format!("the list of the server `{server}` is too long to be read to its end"));
        }
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
