//! Editing a job (contract §1.8): omitted keeps, `null` clears, an unknown field is an error, and the result is read
//! by the very rules that a new job is read by.

use serde_json::{Map, Value, json};

use crate::definition::refuse_event;
use crate::definition_error::DefinitionError;
use crate::job::JobDefinition;
use crate::job_hooks;
use crate::schedule::Schedule;
use crate::secret::keep_masked_members;
use crate::target::keep_shown;
use crate::time::UnixMs;

/// The ways to name a webhook's receivers.
const RECEIVERS: [&str; 3] = ["to", "destination", "targets"];
/// What another mode takes over from the one before; the mode `none` has no use for the last two.
const POLICY: [&str; 4] = ["bestEffort", "failureDestination", "acknowledge", "lateResults"];

impl JobDefinition {
    /// The definition with `patch` applied, or why it cannot be. `now` is the anchor of a new interval that
    /// names none.
    pub fn patched(&self, patch: Value, now: UnixMs) -> Result<Self, DefinitionError> {
        let Value::Object(patch) = patch else {
            return Err(DefinitionError::Type {
                field: "the patch".to_owned(),
                expected: "an object",
                got: "something else".to_owned(),
            });
        };
        let Value::Object(mut merged) = self.to_stored_json() else {
            unreachable!("a definition is an object")
        };
        refuse_event(patch.get("schedule"))?;
        for (key, value) in patch {
            let old = merged.remove(&key);
            let new = match key.as_str() {
                "schedule" => self.keep_cron_choices(value),
                "payload" => merge_payload(old, value),
                "delivery" => self.merge_delivery(old, value),
                "misfire" | "overlap" => merge_policy(old, value),
                "budget" => merge_members(old, value),
                "failureAlert" => self.merge_alert(old, value),
                "hooks" => job_hooks::merge(old, &self.hooks, value),
                _ => value,
            };
            merged.insert(key, new);
        }
        let after = Self::read(Value::Object(merged), now)?;
        if after.is_system_owned() && !self.is_system_owned() {
            return Err(DefinitionError::system_owned(&after));
        }
        Ok(after)
    }

    /// A cron expression that replaces another keeps its stagger and its rule for changes of clocks.
    fn keep_cron_choices(&self, mut new: Value) -> Value {
        let Schedule::Cron { stagger_ms, dst, .. } = self.schedule else { return new };
        let Some(schedule) = new.as_object_mut() else { return new };
        let is_cron = match schedule.get("kind").and_then(Value::as_str) {
            Some(kind) => kind.trim().eq_ignore_ascii_case("cron"),
            None => schedule.contains_key("expr") || schedule.contains_key("cron"),
        };
        if !is_cron {
            return new;
        }
        if let Some(old) = stagger_ms {
            schedule.entry("staggerMs").or_insert(json!(old));
        }
        if !dst.is_default() {
            schedule.entry("dst").or_insert(json!(dst));
        }
        new
    }

    /// Another mode starts afresh but for `bestEffort` and `lateResults`; the same mode merges. The masked URL, written back as it was
    /// read, keeps the stored one.
    fn merge_delivery(&self, old: Option<Value>, new: Value) -> Value {
        let Value::Object(mut new) = new else { return new };
        let (mut masked, mut stored) = (self.delivery.to_json(true), self.delivery.to_json(false));
        for key in ["to", "targets"] {
            if new.get(key).is_some_and(|given| !given.is_null() && *given == masked[key].take()) {
                new.insert(key.to_owned(), stored[key].take());
            }
        }
        for key in ["failureDestination", "acknowledge"] {
            if let Some(given) = new.get_mut(key) {
                keep_shown(given, &masked[key], &stored[key]);
            }
        }
        let Some(Value::Object(mut merged)) = old else { return Value::Object(new) };
        if let Some(given) = new.remove("failureDestination") {
            let merged_route = merge_route(merged.remove("failureDestination"), given);
            new.insert("failureDestination".to_owned(), merged_route);
        }
        if let Some(given) = new.remove("acknowledge") {
            new.insert("acknowledge".to_owned(), merge_members(merged.remove("acknowledge"), given));
        }
        // Another way to name the receivers takes the place of the one before.
        if RECEIVERS.iter().any(|key| new.contains_key(*key)) {
            merged.retain(|key, _| !RECEIVERS.contains(&key.as_str()));
        }
        let changes_mode = new.get("mode").is_some_and(|mode| Some(mode) != merged.get("mode"));
        if changes_mode {
            let stays = if new.get("mode") == Some(&json!("none")) { 2 } else { 4 };
            merged.retain(|key, _| POLICY[..stays].contains(&key.as_str()));
        }
        merged.append(&mut new);
        Value::Object(merged)
    }
}

impl JobDefinition {
    /// Rules of alerts merge field by field; `false` and `null` stand for themselves. What is written back as it was
    /// shown keeps its secrets.
    fn merge_alert(&self, old: Option<Value>, mut new: Value) -> Value {
        let shown = self.failure_alert.to_json(true).unwrap_or_default();
        let stored = self.failure_alert.to_json(false).unwrap_or_default();
        keep_shown(&mut new, &shown, &stored);
        merge_route(old, new)
    }
}

/// A route merges field by field. Another mode drops what was said for the one before, and another receiver of a webhook
/// takes the place of the other.
fn merge_route(old: Option<Value>, new: Value) -> Value {
    const PLACE: [&str; 5] = ["to", "destination", "channel", "accountId", "threadId"];
    let (Some(Value::Object(mut merged)), Value::Object(mut new)) = (old, new.clone()) else { return new };
    let given = |new: &Map<String, Value>, key: &str| new.get(key).is_some_and(|value| !value.is_null());
    if new.get("mode").is_some_and(|mode| Some(mode) != merged.get("mode")) {
        merged.retain(|key, _| !PLACE.contains(&key.as_str()));
    }
    for (one, other) in [("to", "destination"), ("destination", "to")] {
        if given(&new, one) {
            merged.remove(other);
        }
    }
    merged.append(&mut new);
    Value::Object(merged)
}

/// An object merges field by field, and a maximum goes with the policy it belongs to; a mere name stands for itself.
fn merge_policy(old: Option<Value>, new: Value) -> Value {
    let (Some(Value::Object(mut merged)), Value::Object(mut new)) = (old, new.clone()) else { return new };
    if new.contains_key("policy") {
        merged.remove("max");
    }
    merged.append(&mut new);
    Value::Object(merged)
}

/// An object merges field by field.
fn merge_members(old: Option<Value>, new: Value) -> Value {
    let (Some(Value::Object(mut merged)), Value::Object(mut new)) = (old, new.clone()) else { return new };
    merged.append(&mut new);
    Value::Object(merged)
}

/// The same kind merges field by field; another kind must be complete. A variable that is written back masked keeps
/// its stored value.
fn merge_payload(old: Option<Value>, new: Value) -> Value {
    let (Some(Value::Object(old)), Value::Object(mut new)) = (old, new.clone()) else { return new };
    let same_kind = match (new.get("kind").and_then(Value::as_str), old.get("kind").and_then(Value::as_str)) {
        (Some(new), Some(old)) => new.trim().eq_ignore_ascii_case(old),
        _ => true,
    };
    if !same_kind {
        return Value::Object(new);
    }
    if let (Some(Value::Object(env)), Some(Value::Object(stored))) = (new.get_mut("env"), old.get("env")) {
        keep_masked_members(env, stored);
    }
    let mut merged = old;
    new.remove("kind");
    merged.append(&mut new);
    Value::Object(merged)
}
