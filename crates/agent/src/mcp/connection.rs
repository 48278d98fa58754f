//! One tool server, for as long as a turn goes on.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::ServiceError;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use url::Url;

use super::answer;
use super::begin::{Begin, Session};
use super::failure::{self, StartError, ToolsError};
use super::line_watch::LineWatch;
use super::listing::Listing;
use crate::ToolAnswer;
use crate::child::{Child, Launch};
use crate::secrets::Secrets;

/// How long a server has to take leave once its turn is over: half to let go of the connection, and then a program is ended.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How many bytes one message of a server may have.
pub(super) const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// A server that has told its tools.
pub(super) struct Connection {
    /// Its name in the configuration.
    server: String,
    session: Session,
    /// The program, where the server is one.
    child: Option<Mutex<Child>>,
    /// Tells that something came which was too long to be read.
    too_long: Arc<Notify>,
    /// What its failures must not tell.
    secrets: Secrets,
}

impl Connection {
    /// Starts a program and has it tell its tools.
    pub(super) async fn to_program(
        server: &str,
        argv: &[String],
        cwd: &Path,
        env: &BTreeMap<String, SecretString>,
        begin: Begin<'_>,
    ) -> Result<(Self, Listing), StartError> {
        let secrets = Secrets::of(env.values().map(ExposeSecret::expose_secret));
        let env = env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let (mut child, pipes) = Child::start(&Launch { argv, cwd, env: &env })
            .map_err(|error| ToolsError::Launch { server: server.to_owned(), problem: error.to_string() })?;
        let too_long = Arc::new(Notify::new());
        let output = LineWatch::new(pipes.stdout, MESSAGE_LIMIT, Arc::clone(&too_long));
        let transport = AsyncRwTransport::new_client(output, pipes.stdin).with_max_line_length(MESSAGE_LIMIT);
        match begin.over(transport).await {
            Ok((session, listing)) => {
                let child = Some(Mutex::new(child));
                Ok((Self { server: server.to_owned(), session, child, too_long, secrets }, listing))
            }
            Err(failure) => {
                let last_words = format!("; it {}", child.last_words().await);
                Err(failure.of_server(server, &secrets, last_words))
            }
        }
    }

    /// Opens a session at an endpoint and has it tell its tools.
    pub(super) async fn to_endpoint(
        server: &str,
        url: &Url,
        headers: &BTreeMap<String, SecretString>,
        client: reqwest::Client,
        begin: Begin<'_>,
    ) -> Result<(Self, Listing), StartError> {
        let in_url = url.query().into_iter().flat_map(|query| query.split(['&', '='])).chain(url.password());
        let secrets = Secrets::of(headers.values().map(ExposeSecret::expose_secret).chain(in_url));
        let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
            .custom_headers(header_map(server, headers)?)
            .max_sse_event_size(MESSAGE_LIMIT)
            .max_json_response_size(MESSAGE_LIMIT)
            // A session that is gone took its state with it; to go on in another would hide that.
            .reinit_on_expired_session(false);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        match begin.over(transport).await {
            Ok((session, listing)) => {
                let too_long = Arc::default();
                Ok((Self { server: server.to_owned(), session, child: None, too_long, secrets }, listing))
            }
            Err(failure) => Err(failure.of_server(server, &secrets, String::new())),
        }
    }

    /// Calls a tool by the name that the server gives it.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        limit: Duration,
    ) -> ToolAnswer {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let too_long = self.too_long.notified();
        let called = tokio::select! {
            // Where the time is over the server is told so by the drop of the call.
            called = timeout(limit, Box::pin(self.session.call_tool(request))) => called,
            () = too_long => {
                let text = format!("the tool's answer is longer than {MESSAGE_LIMIT} bytes and was not read");
                return answer::failed(text);
            }
        };
        match called {
            Ok(Ok(result)) => answer::of(&result),
            Ok(Err(error)) => answer::failed(self.secrets.mask(&self.tell(&error).await)),
            Err(_) => answer::failed(format!("the tool did not answer within {limit:?} and was given up")),
        }
    }

    async fn tell(&self, error: &ServiceError) -> String {
        let server = &self.server;
        // The server's own words are for the model: it may do better with the next call.
        if let ServiceError::McpError(error) = error {
            return format!("the tool server `{server}` refused the call: {}", error.message);
        }
        let lost = matches!(error, ServiceError::TransportClosed | ServiceError::TransportSend(_));
        let end = match &self.child {
            Some(child) if lost => format!("; it {}", child.lock().await.last_words().await),
            _ => String::new(),
        };
        format!("the tool server `{server}` did not answer: {}{end}", failure::of_request(error))
    }

    /// Takes leave: a session is ended, a program's input closed, and what is left of a program ended.
    pub(super) async fn close(mut self) {
        self.session.close_with_timeout(GRACE / 2).await.ok();
        if let Some(child) = self.child {
            child.into_inner().stop(GRACE / 2).await;
        }
    }
}

fn header_map(
    server: &str,
    headers: &BTreeMap<String, SecretString>,
) -> Result<HashMap<HeaderName, HeaderValue>, ToolsError> {
    let parse = |(name, value): (&String, &SecretString)| {
        let header = HeaderName::try_from(name.as_str()).ok();
        let value = HeaderValue::try_from(value.expose_secret()).ok();
        let Some((header, mut value)) = header.zip(value) else {
            return Err(ToolsError::Header { server: server.to_owned(), header: name.clone() });
        };
        value.set_sensitive(true);
        Ok((header, value))
    };
    headers.iter().map(parse).collect()
}
