//! What a server tells of its tools, as far as it is wanted and there is room for it.

use rmcp::ServiceError;
use rmcp::model::{ClientConfig, PaginatedRequestParams, Tool};
use rmcp::service::{ClientCacheConfig, RoleClient, RunningService};
use serde_json::{Map, Value};

use super::names;
use super::policy::{Allowed, ServerNames};
use crate::ToolSpec;

/// How many tools a model is told of, and how many bytes all that it is told of them may have.
pub(super) const MOST_TOOLS: usize = 512;
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// How many of a server's tools are looked at, and in how many pieces of its list.
const MOST_LISTED: usize = 10_000;
const MOST_PAGES: usize = 200;

/// Which of a server's tools are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) server: ServerNames<'a>,
    pub(super) allowed: Allowed<'a>,
}

/// The wanted tools of a server.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) tools: Vec<Listed>,
    /// How many of them there was no room for.
    pub(super) left_out: usize,
    /// Whether its list goes on beyond what was looked at.
    pub(super) goes_on: bool,
    room: Room,
}

/// A tool that may be used. Another may bear the same name.
#[derive(Debug)]
pub(super) struct Listed {
    /// What the server calls it.
    pub(super) tool: String,
    pub(super) spec: ToolSpec,
}

/// What is left of the limits on what a model is told.
#[derive(Debug)]
pub(super) struct Room {
    tools: usize,
    bytes: usize,
}

impl Listing {
    /// Asks for the list, page by page. No more than one page is held beside what is wanted of it.
    pub(super) async fn read(
        session: &RunningService<RoleClient, ClientConfig>,
        choice: Choice<'_>,
    ) -> Result<Self, ServiceError> {
        session.set_response_cache_config(ClientCacheConfig::disabled()).await;
        let mut listing = Self::default();
        let mut cursor = None;
        let mut to_look_at = MOST_LISTED;
        for _ in 0..MOST_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page = Box::pin(session.list_tools(Some(page))).await?;
            listing.goes_on = page.next_cursor.is_some() || page.tools.len() > to_look_at;
            for tool in page.tools.into_iter().take(to_look_at) {
                to_look_at -= 1;
                listing.add(tool, choice);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || to_look_at == 0 {
                break;
            }
        }
        Ok(listing)
    }

    fn add(&mut self, tool: Tool, choice: Choice<'_>) {
        let name = names::of_tool(choice.server.tools, &tool.name);
        if !choice.allowed.tool(choice.server, &name) {
            return;
        }
        let listed = Listed { spec: spec_of(name, &tool), tool: tool.name.into_owned() };
        match self.room.take(&listed.spec) {
            true => self.tools.push(listed),
            false => self.left_out += 1,
        }
    }
}

fn spec_of(name: String, tool: &Tool) -> ToolSpec {
    let mut schema = Map::clone(&tool.input_schema);
    // Providers insist on it, and servers leave it out where a tool takes nothing.
    schema.entry("type").or_insert_with(|| "object".into());
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    ToolSpec { name, description: description.to_owned(), input_schema: Value::Object(schema) }
}

impl Room {
    /// Whether the tool finds room; then there is so much less.
    pub(super) fn take(&mut self, spec: &ToolSpec) -> bool {
        let bytes = spec.description.len() + spec.input_schema.to_string().len();
        let fits = self.tools > 0 && bytes <= self.bytes;
        if fits {
            self.tools -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { tools: MOST_TOOLS, bytes: MOST_BYTES }
    }
}
