//! The hooks that the configuration describes (contract §5.5).

use clawhook_model::{AgentId, AnnounceTarget, DeliveryMode, DeliverySettings};
use serde_json::Value;

use crate::builtin::{DEFAULT_NAME, short_name, thinking};
use crate::call::Call;
use crate::definition::{Action, Delivery, HookDefinition};
use crate::identity;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::scheme::Scheme;
use crate::sessions::agent_of;
use crate::template::{Context, Rendered, Template, TooMuchText};
use crate::work::{AgentWork, Asked, DeliverOnly, Reading, Unwanted, Wake, Work};

/// The most elements of a `forEach` that one request may ask for.
const MOST_ITEMS: usize = 200;
/// The most that the texts of one request may have together, in bytes.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// What a request to the hook comes to.
pub(crate) fn read(
    mut call: Call<'_>,
    hook: &HookDefinition,
    request: &Request<'_>,
) -> Result<Reading, Refusal> {
    let scheme = hook.signature.as_ref().map(|check| check.scheme());
    if let (Some(Scheme::Slack), Some("url_verification")) = (scheme, text_at(&call.payload, "type")) {
        let challenge = text_at(&call.payload, "challenge").unwrap_or_default();
        return Ok(Reading::Challenge(challenge.chars().take(1024).collect()));
    }
    let context = call.context(request);
    if !hook.filters.iter().all(|filter| filter.lets_through(&context)) {
        return Ok(Reading::Ignored(Unwanted::Filtered));
    }
    let identity = identity_of(&call, scheme, request);
    if let Some(program) = &hook.transform.jq {
        match program.run(&call.context(request)).map_err(Refusal::Mapping)? {
            Some(payload) => call.payload = payload,
            None => return Ok(Reading::Ignored(Unwanted::Transformed)),
        }
    }
    let Some(list) = &hook.for_each else {
        return Ok(match call.work(hook, request)? {
            Some(work) => Reading::Asks(Asked { work: vec![work], dropped: 0, identity }),
            None => Reading::Ignored(Unwanted::Transformed),
        });
    };
    let items = match call.payload.get_mut(list).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    if items.is_empty() {
        return Ok(Reading::Ignored(Unwanted::Empty));
    }
    let dropped = items.len().saturating_sub(MOST_ITEMS);
    let mut work = Vec::new();
    let mut left = MOST_TEXT;
    for item in items.into_iter().take(MOST_ITEMS) {
        if let Some(place) = call.payload.get_mut(list) {
            *place = Value::Array(vec![item]);
        }
        if let Some(piece) = call.work(hook, request)? {
            left = left.checked_sub(length(&piece)).ok_or_else(too_much)?;
            work.push(piece);
        }
    }
    if work.is_empty() {
        return Ok(Reading::Ignored(Unwanted::Transformed));
    }
    Ok(Reading::Asks(Asked { work, dropped, identity }))
}

fn identity_of(
    call: &Call<'_>,
    scheme: Option<&Scheme>,
    request: &Request<'_>,
) -> Option<crate::RequestIdentity> {
    let id = scheme.and_then(|scheme| identity::delivery_id(scheme, &request.head, &call.payload));
    if let Some(id) = id {
        return Some(identity::of_delivery(call.hook.id(), &id));
    }
    let key = identity::given_key(&request.head, &call.payload)?;
    Some(identity::of_request(call.caller, call.hook.id(), request, &key))
}

impl Call<'_> {
    fn context<'a>(&'a self, request: &'a Request<'a>) -> Context<'a> {
        Context {
            head: &request.head,
            sub_path: &self.sub_path,
            now: request.received_at,
            payload: &self.payload,
        }
    }

    /// The work for the payload as it is now; none where the transform makes nothing of it.
    fn work(&self, hook: &HookDefinition, request: &Request<'_>) -> Result<Option<Work>, Refusal> {
        let context = self.context(request);
        let text = match &hook.transform.template {
            Some(template) => {
                let text = template.render(&context).map_err(Refusal::Mapping)?;
                if text.is_blank() {
                    return Ok(None);
                }
                text
            }
            None => match &hook.text {
                Some(template) => rendered(template, &context)?,
                None => Rendered::default(),
            },
        };
        let told = if hook.allow_unsafe_external_content { text.plain() } else { text.fenced() };
        let name = match &hook.name {
            Some(template) => short_name(&rendered(template, &context)?.plain()),
            None => DEFAULT_NAME.to_owned(),
        };
        if hook.action == Action::DeliverOnly {
            return Ok(Some(Work::DeliverOnly(DeliverOnly {
                name,
                text: text.plain(),
                data: self.payload.clone(),
                delivery: delivery(&hook.delivery, &context)?,
            })));
        }
        if text.is_blank() {
            return Err(match hook.action {
                Action::Wake => Refusal::MappingWithoutText,
                Action::Agent | Action::DeliverOnly => Refusal::MappingWithoutMessage,
            });
        }
        let sessions = &self.set.sessions;
        let session_key = match plain(hook.session_key.as_ref(), &context)? {
            Some(key) => sessions.templated(&key)?,
            None => None,
        };
        let session_key = session_key.or_else(|| sessions.default_key.clone());
        let named = plain(hook.agent_id.as_ref(), &context)?;
        let owner = agent_of(session_key.as_ref(), named.as_deref())?;
        let named = named.as_deref().or(owner.as_ref().map(AgentId::as_str));
        let agent_id = self.set.agents.choose(named, self.caller)?;
        if hook.action == Action::Wake {
            let mode = hook.wake_mode;
            return Ok(Some(Work::Wake(Wake { text: told, mode, agent_id, session_key })));
        }
        let no_tools = || (!hook.allow_unsafe_external_content).then(Vec::new);
        Ok(Some(Work::Agent(Box::new(AgentWork {
            message: told,
            name,
            agent_id,
            session_key,
            session_mode: hook.session_mode,
            model: plain(hook.model.as_ref(), &context)?,
            thinking: plain(hook.thinking.as_ref(), &context)?.map(|level| thinking(&level)).transpose()?,
            timeout: hook.timeout,
            delivery: delivery(&hook.delivery, &context)?,
            wake_mode: hook.wake_mode,
            allow_unsafe: hook.allow_unsafe_external_content,
            tools_allow: hook.tools_allow.clone().or_else(no_tools),
            wait: false,
        }))))
    }
}

/// What a template comes to as it is; nothing is none.
fn plain(template: Option<&Template>, context: &Context<'_>) -> Result<Option<String>, Refusal> {
    let Some(template) = template else { return Ok(None) };
    let text = rendered(template, context)?.plain().trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

fn rendered(template: &Template, context: &Context<'_>) -> Result<Rendered, Refusal> {
    template.render(context).map_err(|error: TooMuchText| Refusal::Field(error.to_string()))
}

fn delivery(delivery: &Delivery, context: &Context<'_>) -> Result<DeliverySettings, Refusal> {
    let mode = match delivery {
        Delivery::None => DeliveryMode::None,
        Delivery::Webhook(targets) => DeliveryMode::Webhook(targets.clone()),
        Delivery::Announce { channel, to, account_id } => DeliveryMode::Announce(AnnounceTarget {
            channel: Some(channel.clone()),
            to: plain(to.as_ref(), context)?,
            account_id: account_id.clone(),
            thread_id: None,
        }),
    };
    Ok(DeliverySettings { mode, ..DeliverySettings::default() })
}

fn length(work: &Work) -> usize {
    match work {
        Work::Wake(wake) => wake.text.len(),
        Work::Agent(turn) => turn.message.len(),
        Work::DeliverOnly(event) => event.text.len() + event.data.to_string().len(),
    }
}

fn too_much() -> Refusal {
    Refusal::Field(format!("the texts of the hook would be larger than {MOST_TEXT} bytes together"))
}

fn text_at<'p>(payload: &'p Value, name: &str) -> Option<&'p str> {
    payload.get(name).and_then(Value::as_str)
}
