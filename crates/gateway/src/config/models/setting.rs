//! The kinds of value that the keys of a provider can have.

use std::collections::BTreeMap;

use clawhook_model::Price;
use jsonc_parser::ast::Object;

use super::{ChatApi, ModelConfig, PermissionRule, PermissionRules};
use crate::config::block::{name_range, shorten};
use crate::config::document::{Node, range};
use crate::config::setting::{Complaint, Setting, TextForm, decimal, in_part, members, text, unexpected};

/// What is spoken with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum ApiName {
    Chat(ChatApi),
    Acp,
    OpenClawHooks,
}

impl ApiName {
    fn all() -> impl Iterator<Item = Self> {
        ChatApi::ALL.into_iter().map(Self::Chat).chain([Self::Acp, Self::OpenClawHooks])
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Chat(api) => api.as_str(),
            Self::Acp => "acp",
            Self::OpenClawHooks => "openclaw-hooks",
        }
    }
}

impl Setting for ApiName {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let named = Self::all().find(|api| text(node) == Some(api.as_str()));
        named.ok_or_else(|| vec![unexpected::<Self>(node, form)])
    }

    fn expected((): &()) -> String {
        let names: Vec<String> = Self::all().map(|api| format!("\"{}\"", api.as_str())).collect();
        format!("one of {}", names.join(", "))
    }

    fn written(&self) -> String {
        format!("\"{}\"", self.as_str())
    }
}

/// The kinds of tools, by the names that the Agent Client Protocol gives them.
const KINDS: [&str; 10] =
    ["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"];

impl Setting for PermissionRules {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let wrong = || vec![unexpected::<Self>(node, form)];
        let Some(object) = node.as_object() else {
            let rule = match text(node) {
                Some("deny") => PermissionRule::Deny,
                Some("allowReads") => PermissionRule::AllowReads,
                Some("allowAll") => PermissionRule::AllowAll,
                _ => return Err(wrong()),
            };
            return Ok(Self { rule, ..Self::default() });
        };
        let [allow, deny] = members(object, ["allow", "deny"])?;
        let kinds_of = |node: Option<&Node<'_>>, part| {
            node.map(kinds).transpose().map(Option::unwrap_or_default).map_err(|wrong| in_part(wrong, part))
        };
        Ok(Self {
            rule: PermissionRule::Deny,
            allow: kinds_of(allow, ".allow")?,
            deny: kinds_of(deny, ".deny")?,
        })
    }

    fn expected((): &()) -> String {
        "\"deny\", \"allowReads\", \"allowAll\" or { allow: [\"read\"], deny: [\"execute\"] }".to_owned()
    }
}

fn kinds(node: &Node<'_>) -> Result<Vec<&'static str>, Vec<Complaint>> {
    let wrong = |node| {
        let message = format!("must be a list of kinds of tools: {}", KINDS.join(", "));
        vec![Complaint::new(range(node), message)]
    };
    let list = node.as_array().ok_or_else(|| wrong(node))?;
    let kind = |node| {
        let named = KINDS.into_iter().find(|kind| text(node) == Some(kind));
        named.ok_or_else(|| wrong(node))
    };
    list.elements.iter().map(kind).collect()
}

/// The models of a provider by their ids.
#[derive(Debug, Clone)]
pub(in crate::config) struct ModelList(pub(super) BTreeMap<String, ModelConfig>);

const LONGEST_ID: usize = 200;

impl Setting for ModelList {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let mut models = BTreeMap::new();
        let mut add = |id: String, at, model| {
            let message = format!("has the model `{}` twice", shorten(&id));
            match models.insert(id, model) {
                None => Ok(()),
                Some(_) => Err(vec![Complaint::new(at, message)]),
            }
        };
        if let Some(list) = node.as_array() {
            for (place, element) in list.elements.iter().enumerate() {
                let part = format!("[{place}]");
                let (id, model) = listed(element).map_err(|wrong| in_part(wrong, &part))?;
                add(id, range(element), model)?;
            }
        } else if let Some(object) = node.as_object() {
            for property in &object.properties {
                let id = property.name.as_str().to_owned();
                let part = format!(".{}", shorten(&id));
                let model = named(&property.value).map_err(|wrong| in_part(wrong, &part))?;
                add(id, name_range(&property.name), model)?;
            }
        } else {
            return Err(vec![unexpected::<Self>(node, form)]);
        }
        Ok(Self(models))
    }

    fn expected((): &()) -> String {
        "a list of models, `[{ id: \"…\", … }]`, or an object of them by their ids".to_owned()
    }

    fn documented((): &()) -> String {
        "a list of [models](#models), or an object of them by their ids".to_owned()
    }
}

/// A model in a list.
fn listed(node: &Node<'_>) -> Result<(String, ModelConfig), Vec<Complaint>> {
    let (id, model) = model(node)?;
    match id {
        Some(id) => Ok((id, model)),
        None => Err(vec![Complaint::new(
            range(node),
            "must have an `id`, the model's name at the provider".to_owned(),
        )]),
    }
}

/// A model whose id stands before it.
fn named(node: &Node<'_>) -> Result<ModelConfig, Vec<Complaint>> {
    match model(node)? {
        (None, model) => Ok(model),
        (Some(_), _) => {
            Err(vec![Complaint::new(range(node), "has an `id`, which stands before it already".to_owned())])
        }
    }
}

/// A model. Its `name`, `reasoning` and `input` are OpenClaw's descriptions of it, which nothing depends on here.
fn model(node: &Node<'_>) -> Result<(Option<String>, ModelConfig), Vec<Complaint>> {
    let names = ["id", "name", "reasoning", "input", "contextWindow", "maxTokens", "cost", "compat"];
    let [id, name, reasoning, input, context_window, max_tokens, cost, compat] =
        members(object(node)?, names)?;
    let short = TextForm { most: LONGEST_ID };
    part::<String>(name, &short, ".name")?;
    part::<bool>(reasoning, &(), ".reasoning")?;
    if let Some(input) = input.filter(|input| input.as_array().is_none()) {
        return Err(vec![Complaint::new(range(input), "must be a list".to_owned()).in_part(".input")]);
    }
    let model = ModelConfig {
        context_window: part(context_window, &(1..=u32::MAX), ".contextWindow")?,
        max_tokens: part(max_tokens, &(1..=u32::MAX), ".maxTokens")?,
        price: cost.map(price).transpose().map_err(|wrong| in_part(wrong, ".cost"))?,
        calls_tools: compat
            .map(supports_tools)
            .transpose()
            .map_err(|wrong| in_part(wrong, ".compat"))?
            .unwrap_or(true),
    };
    Ok((part(id, &short, ".id")?, model))
}

fn object<'n>(node: &'n Node<'n>) -> Result<&'n Object<'n>, Vec<Complaint>> {
    node.as_object().ok_or_else(|| vec![Complaint::new(range(node), "must be an object, `{ … }`".to_owned())])
}

fn part<S: Setting>(
    node: Option<&Node<'_>>,
    form: &S::Form,
    name: &str,
) -> Result<Option<S>, Vec<Complaint>> {
    node.map(|node| S::read(node, form)).transpose().map_err(|wrong| in_part(wrong, name))
}

/// What a model's tokens cost, in dollars for a million of them.
fn price(node: &Node<'_>) -> Result<Price, Vec<Complaint>> {
    const MOST: f64 = 1e6;
    let names = ["input", "output", "cacheRead", "cacheWrite"];
    let given = members(object(node)?, names)?;
    let mut rates = [None; 4];
    for ((name, node), rate) in names.into_iter().zip(given).zip(&mut rates) {
        let Some(node) = node else { continue };
        let read = decimal(node).filter(|rate| (0.0..=MOST).contains(rate));
        *rate = Some(read.ok_or_else(|| {
            let message = format!("must be dollars for a million tokens, from 0 to {MOST}");
            vec![Complaint::new(range(node), message).in_part(&format!(".{name}"))]
        })?);
    }
    let [input, output, cache_read, cache_write] = rates;
    let (Some(input), Some(output)) = (input, output) else {
        return Err(vec![Complaint::new(range(node), "must have `input` and `output`".to_owned())]);
    };
    // Where nothing is said of the cache, its tokens cost what others do.
    Ok(Price {
        input,
        output,
        cache_read: cache_read.unwrap_or(input),
        cache_write: cache_write.unwrap_or(input),
    })
}

fn supports_tools(node: &Node<'_>) -> Result<bool, Vec<Complaint>> {
    let [supports_tools] = members(object(node)?, ["supportsTools"])?;
    Ok(part(supports_tools, &(), ".supportsTools")?.unwrap_or(true))
}
