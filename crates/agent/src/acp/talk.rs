//! One turn with an agent: what is asked of it, in which order, and what it is answered.

use std::path::Path;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    AGENT_METHOD_NAMES, AgentCapabilities, AuthenticateRequest, CLIENT_METHOD_NAMES, CancelNotification,
    ContentBlock, EnvVariable, Error as RpcError, ErrorCode, HttpHeader, Implementation, InitializeRequest,
    InitializeResponse, McpServer, McpServerHttp, McpServerStdio, NewSessionRequest, PermissionOptionKind,
    PromptRequest, PromptResponse, RequestId, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SelectedPermissionOutcome, SessionNotification, StopReason,
};
use serde_json::Value;
use tokio::io::AsyncRead;

use super::choices::{Choice, Choices};
use super::error::AcpError;
use super::leave::Leave;
use super::record::Record;
use super::wire::{Incoming, Wire};
use crate::toolbox::ServerAddress;

/// How often an agent may ask for leave in one turn.
const PERMISSION_LIMIT: usize = 1000;

/// The modes in which the agents of today ask before they act, by their ids.
const ASKING_MODES: [&str; 3] = ["default", "ask", "read-only"];

/// What is wanted of the agent.
pub(super) struct Wanted<'a> {
    pub(super) cwd: &'a Path,
    pub(super) servers: Vec<ServerAddress>,
    pub(super) auth_method: Option<&'a str>,
    /// Which model; none is the agent's own.
    pub(super) model: Option<&'a str>,
    pub(super) mode: Option<&'a str>,
    pub(super) thinking: Option<&'a str>,
    pub(super) prompt: String,
}

/// The conversation with an agent.
pub(super) struct Talk<'a, R> {
    wire: Wire<R>,
    record: Record<'a>,
    leave: Leave<'a>,
    tool_calls: u32,
    /// The session, once there is one.
    session: Option<String>,
    /// The prompt that is not answered yet.
    prompt: Option<RequestId>,
    is_cancelled: bool,
    permissions: usize,
}

impl<'a, R: AsyncRead + Unpin> Talk<'a, R> {
    pub(super) fn new(wire: Wire<R>, record: Record<'a>, leave: Leave<'a>, tool_calls: u32) -> Self {
        Self {
            wire,
            record,
            leave,
            tool_calls,
            session: None,
            prompt: None,
            is_cancelled: false,
            permissions: 0,
        }
    }

    /// Has one turn, from the first word to the last.
    pub(super) async fn run(&mut self, wanted: Wanted<'_>) -> Result<(), AcpError> {
        let hello = self.greet().await?;
        let session = self.open_session(&wanted, &hello).await?;
        self.choose(&wanted, &session).await?;
        let stop_reason = self.prompt(&wanted.prompt).await?;
        match stop_reason {
            StopReason::EndTurn => Ok(()),
            StopReason::MaxTokens => {
                self.record.note("the answer ends early: the model reached its limit of tokens".to_owned());
                Ok(())
            }
            StopReason::MaxTurnRequests => Err(AcpError::Requests),
            StopReason::Refusal => Err(AcpError::Refusal),
            _ => Err(AcpError::BrokenOff),
        }
    }

    /// Asks the agent to break its turn off, and waits until it has. What it says meanwhile is kept.
    pub(super) async fn cancel(&mut self) -> Result<(), AcpError> {
        let (Some(session), Some(prompt)) = (self.session.clone(), self.prompt.clone()) else {
            return Ok(());
        };
        self.is_cancelled = true;
        self.wire.notify(AGENT_METHOD_NAMES.session_cancel, CancelNotification::new(session)).await?;
        loop {
            match self.wire.next().await? {
                Incoming::Answer { id, .. } if id == prompt => return Ok(()),
                incoming => self.hear(incoming).await?,
            }
        }
    }

    /// What became of the turn is put where it is kept.
    pub(super) fn finish(self) {
        self.record.finish();
    }

    async fn greet(&mut self) -> Result<InitializeResponse, AcpError> {
        // No file system and no terminal of ours are offered: the agent works on its own.
        let ours = Implementation::new("clawhook", env!("CARGO_PKG_VERSION"));
        let request = InitializeRequest::new(ProtocolVersion::V1).client_info(ours);
        let method = AGENT_METHOD_NAMES.initialize;
        let answer = self.ask(method, request).await?;
        let version = answer["protocolVersion"].clone();
        if version != 1 {
            return Err(AcpError::Version(version.to_string()));
        }
        serde_json::from_value(answer).map_err(|_| AcpError::Unreadable(method))
    }

    /// Opens a session, signing in where that is wanted and a way to do so is configured.
    async fn open_session(
        &mut self,
        wanted: &Wanted<'_>,
        hello: &InitializeResponse,
    ) -> Result<Value, AcpError> {
        let servers = tool_servers(&wanted.servers, &hello.agent_capabilities)?;
        let request = NewSessionRequest::new(wanted.cwd).mcp_servers(servers);
        let method = AGENT_METHOD_NAMES.session_new;
        let mut opened = self.ask(method, request.clone()).await;
        if let Err(AcpError::Refused { error, .. }) = &opened
            && error.code == ErrorCode::AuthRequired
        {
            let Some(way) = wanted.auth_method else {
                let methods = hello.auth_methods.iter().map(|method| method.id().to_string()).collect();
                return Err(AcpError::SignIn { methods });
            };
            self.ask(AGENT_METHOD_NAMES.authenticate, AuthenticateRequest::new(way.to_owned())).await?;
            opened = self.ask(method, request).await;
        }
        let session = opened?;
        let id = session["sessionId"].as_str().ok_or(AcpError::Unreadable(method))?;
        self.session = Some(id.to_owned());
        Ok(session)
    }

    async fn choose(&mut self, wanted: &Wanted<'_>, session: &Value) -> Result<(), AcpError> {
        let Choices { model, mode, thinking } = Choices::of(session);
        if let Some(wanted) = wanted.model {
            let missing = |offered| AcpError::NoSuchModel { wanted: wanted.to_owned(), offered };
            let model = model.ok_or_else(|| missing("no choice of models".to_owned()))?;
            let id = model.find(wanted).ok_or_else(|| missing(model.names()))?;
            self.set(&model, id).await?;
        }
        if let Some(level) = wanted.thinking
            && let Some(thinking) = thinking
            && let Some(id) = thinking.find(level)
        {
            self.set(&thinking, id).await?;
        }
        self.choose_mode(wanted.mode, mode).await
    }

    /// Without a mode of the operator's choice, an agent that may not do everything must ask: some start in a mode in which
    /// they do not.
    async fn choose_mode(&mut self, wanted: Option<&str>, mode: Option<Choice>) -> Result<(), AcpError> {
        match (wanted, mode) {
            (Some(wanted), mode) => {
                let missing = |offered| AcpError::NoSuchMode { wanted: wanted.to_owned(), offered };
                let mode = mode.ok_or_else(|| missing("no choice of modes".to_owned()))?;
                let id = mode.find(wanted).ok_or_else(|| missing(mode.names()))?;
                self.set(&mode, id).await
            }
            (None, Some(mode)) if !self.leave.is_for_everything() => {
                match ASKING_MODES.iter().find_map(|asking| mode.find(asking)) {
                    Some(id) => self.set(&mode, id).await,
                    None => Ok(()),
                }
            }
            (None, _) => Ok(()),
        }
    }

    async fn set(&mut self, choice: &Choice, id: &str) -> Result<(), AcpError> {
        let Some(session) = self.session.clone().filter(|_| !choice.is(id)) else { return Ok(()) };
        let (method, params) = choice.request(&session, id);
        self.ask(method, params).await.map(|_| ())
    }

    async fn prompt(&mut self, text: &str) -> Result<StopReason, AcpError> {
        let method = AGENT_METHOD_NAMES.session_prompt;
        let session = self.session.clone().unwrap_or_default();
        let request = PromptRequest::new(session, vec![ContentBlock::from(text)]);
        let id = self.wire.request(method, request).await?;
        self.prompt = Some(id.clone());
        let answer = self.answer_to(&id, method).await?;
        self.prompt = None;
        self.record.used_in_all(answer.get("usage"));
        let answer: PromptResponse =
            serde_json::from_value(answer).map_err(|_| AcpError::Unreadable(method))?;
        Ok(answer.stop_reason)
    }

    async fn ask(&mut self, method: &'static str, params: impl serde::Serialize) -> Result<Value, AcpError> {
        let id = self.wire.request(method, params).await?;
        self.answer_to(&id, method).await
    }

    /// Waits for one answer, and meanwhile hears and answers whatever else comes.
    async fn answer_to(&mut self, wanted: &RequestId, method: &'static str) -> Result<Value, AcpError> {
        loop {
            match self.wire.next().await? {
                Incoming::Answer { id, result } if id == *wanted => {
                    return result.map_err(|error| AcpError::Refused { method, error });
                }
                Incoming::Answer { id: RequestId::Null, result: Err(error) } => {
                    return Err(AcpError::Refused { method, error });
                }
                incoming => self.hear(incoming).await?,
            }
            if self.record.is_full() {
                return Err(AcpError::Full);
            }
            if self.record.tool_calls() > self.tool_calls as usize {
                return Err(AcpError::ToolCalls(self.tool_calls));
            }
        }
    }

    /// Nothing that the agent asks stays without an answer.
    async fn hear(&mut self, incoming: Incoming) -> Result<(), AcpError> {
        match incoming {
            Incoming::Request { id, method, params }
                if method == CLIENT_METHOD_NAMES.session_request_permission =>
            {
                let answer = match serde_json::from_value(params) {
                    Ok(request) => Ok(self.permit(request)?),
                    Err(_) => Err(RpcError::invalid_params()),
                };
                self.wire.reply(id, answer).await?;
            }
            Incoming::Request { id, method, .. } => {
                tracing::debug!(method, "an agent asked its client for something that there is not");
                self.wire.reply(id, Err::<Value, _>(RpcError::method_not_found())).await?;
            }
            Incoming::Notification { method, params } if method == CLIENT_METHOD_NAMES.session_update => {
                // A kind of update that is not known yet says nothing to us.
                if let Ok(notification) = serde_json::from_value::<SessionNotification>(params)
                    && self.session.as_deref() == Some(&*notification.session_id.0)
                {
                    self.record.update(notification.update);
                }
            }
            Incoming::Notification { .. } | Incoming::Answer { .. } => {}
        }
        Ok(())
    }

    fn permit(&mut self, request: RequestPermissionRequest) -> Result<RequestPermissionResponse, AcpError> {
        self.permissions += 1;
        if self.permissions > PERMISSION_LIMIT {
            return Err(AcpError::Permissions(PERMISSION_LIMIT));
        }
        let (kind, what) = self.record.asked_about(request.tool_call);
        let allowed = !self.is_cancelled && self.leave.allows(kind);
        let kinds = match allowed {
            // The narrower leave is preferred: the next turn is asked again.
            true => [PermissionOptionKind::AllowOnce, PermissionOptionKind::AllowAlways],
            false => [PermissionOptionKind::RejectOnce, PermissionOptionKind::RejectAlways],
        };
        let option = kinds.iter().find_map(|kind| request.options.iter().find(|option| option.kind == *kind));
        self.record.permission(&what, allowed && option.is_some());
        let outcome = match option {
            Some(option) if !self.is_cancelled => {
                RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.option_id.clone()))
            }
            _ => RequestPermissionOutcome::Cancelled,
        };
        Ok(RequestPermissionResponse::new(outcome))
    }
}

fn tool_servers(servers: &[ServerAddress], agent: &AgentCapabilities) -> Result<Vec<McpServer>, AcpError> {
    let of = |server: &ServerAddress| match server {
        ServerAddress::Program { name, argv, env } => {
            let (program, arguments) =
                argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
            let env = env.iter().map(|(name, value)| EnvVariable::new(name, value)).collect();
            let server = McpServerStdio::new(name, super::program::absolute(program));
            Ok(McpServer::Stdio(server.args(arguments.to_vec()).env(env)))
        }
        ServerAddress::Http { name, .. } if !agent.mcp_capabilities.http => {
            Err(AcpError::ToolServer(name.clone()))
        }
        ServerAddress::Http { name, url, headers } => {
            let headers = headers.iter().map(|(name, value)| HttpHeader::new(name, value)).collect();
            Ok(McpServer::Http(McpServerHttp::new(name, url).headers(headers)))
        }
    };
    servers.iter().map(of).collect()
}
