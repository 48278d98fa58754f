//! Hooks and chains of a job, as their schema. The model reads and writes their JSON.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What else happens around the runs of a job.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobHooks)]
pub(crate) struct JobHooksView {
    /// Gates, asked before each run; the first that does not say `proceed` has the last word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    pre: Option<Vec<JobHookView>>,
    /// Told after a run that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    post: Option<Vec<JobHookView>>,
    /// Told after a run that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    on_error: Option<Vec<JobHookView>>,
    /// Told after every run, also where a gate refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    always: Option<Vec<JobHookView>>,
    /// Whether the hooks of the configuration hold for the job; true where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    inherit_global: Option<bool>,
}

/// One hook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobHook)]
pub(crate) struct JobHookView {
    /// What people call it; by its stage and place where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it does.
    kind: HookKindView,
    /// `command`: the program and its arguments; it reads the context as JSON on its standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    /// `command`: the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    /// `command`: variables. Their values are shown as `***`, which, written back, keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    env: Option<Value>,
    /// `webhook`: the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// `webhook`: the destination, in place of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    /// `agentTurn`: what the agent is told before the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// `agentTurn`: the agent; the job's where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// `agentTurn`: the model, `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// `systemEvent`: the text for the main session of the job's agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The higher, the earlier; 0 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -1000, maximum = 1000)]
    priority: Option<i32>,
    /// How long it may take; 30 for gates (at most 600) and 60 for others (at most 3600) where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<f64>,
    /// `pre`: what it means where the gate fails: `error`, `skip` or `proceed`; `error` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<String>,
    /// `pre`: whether what it puts out is added to the run's prompt, as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    append_output: Option<bool>,
}

/// What a hook does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookKind)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum HookKindView {
    /// Runs a program.
    Command,
    /// Posts the context; after a run, the run's event.
    Webhook,
    /// Has an agent take a turn.
    AgentTurn,
    /// Leaves a text for the main session.
    SystemEvent,
}

/// A job whose end begins this one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = After)]
pub(crate) struct AfterView {
    /// Its id. A name is taken too, and its id is what is kept.
    job: String,
    /// How it must end: `success`, `failure` or `always`; `success` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "success")]
    on: Option<String>,
    /// Whether the run is told what the other one brought; true where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_result: Option<bool>,
}
