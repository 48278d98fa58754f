//! What an agent lets its client choose for a session: the model, the mode, how hard to think.
//!
//! The protocol has a list of options for that; before it there were fields of their own, which agents still send.

use agent_client_protocol_schema::v1::AGENT_METHOD_NAMES;
use serde_json::{Value, json};

/// Something that can be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    how: How,
    current: String,
    offered: Vec<Offered>,
}

/// How a choice is told.
#[derive(Debug, PartialEq, Eq)]
enum How {
    /// By the option with this id.
    Option(String),
    /// By a method of its own, whose parameter has this name.
    Method { method: &'static str, parameter: &'static str },
}

/// One of the values.
#[derive(Debug, PartialEq, Eq)]
struct Offered {
    id: String,
    name: String,
}

/// What can be chosen in a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choices {
    pub(super) model: Option<Choice>,
    pub(super) mode: Option<Choice>,
    pub(super) thinking: Option<Choice>,
}

impl Choices {
    /// Reads the answer to a new session. What cannot be read is not offered.
    pub(super) fn of(session: &Value) -> Self {
        let option = |category| Choice::of_options(session, category);
        Self {
            model: option("model").or_else(|| {
                let how = How::Method { method: "session/set_model", parameter: "modelId" };
                Choice::of_field(&session["models"], "currentModelId", "availableModels", "modelId", how)
            }),
            mode: option("mode").or_else(|| {
                let how = How::Method { method: AGENT_METHOD_NAMES.session_set_mode, parameter: "modeId" };
                Choice::of_field(&session["modes"], "currentModeId", "availableModes", "id", how)
            }),
            thinking: option("thought_level"),
        }
    }
}

impl Choice {
    fn of_options(session: &Value, category: &str) -> Option<Self> {
        let options = session["configOptions"].as_array()?;
        let option =
            options.iter().find(|option| option["category"] == category && option["type"] == "select")?;
        let values = option["options"].as_array()?.iter();
        let offered = values.flat_map(|value| match value["options"].as_array() {
            Some(group) => group.iter().collect::<Vec<_>>(),
            None => vec![value],
        });
        Some(Self {
            how: How::Option(option["id"].as_str()?.to_owned()),
            current: option["currentValue"].as_str()?.to_owned(),
            offered: offered.filter_map(|value| Offered::of(value, "value")).collect(),
        })
    }

    fn of_field(field: &Value, current: &str, offered: &str, id: &str, how: How) -> Option<Self> {
        Some(Self {
            how,
            current: field[current].as_str()?.to_owned(),
            offered: field[offered].as_array()?.iter().filter_map(|value| Offered::of(value, id)).collect(),
        })
    }

    /// The id of the value that is called `wanted`, by its id or by its name.
    pub(super) fn find(&self, wanted: &str) -> Option<&str> {
        let by = |field: fn(&Offered) -> &str| {
            self.offered.iter().find(move |offered| field(offered).eq_ignore_ascii_case(wanted))
        };
        let offered = by(|offered| &offered.id).or_else(|| by(|offered| &offered.name))?;
        Some(&offered.id)
    }

    /// Whether this value is chosen already.
    pub(super) fn is(&self, id: &str) -> bool {
        self.current == id
    }

    /// The method that chooses the value `id`, and its parameters.
    pub(super) fn request(&self, session: &str, id: &str) -> (&'static str, Value) {
        match &self.how {
            How::Option(option) => (
                AGENT_METHOD_NAMES.session_set_config_option,
                json!({ "sessionId": session, "configId": option, "value": id }),
            ),
            How::Method { method, parameter } => (method, json!({ "sessionId": session, *parameter: id })),
        }
    }

    /// The values by name, for people; of many the first few.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.offered.iter().take(12).map(|offered| offered.name.as_str()).collect();
        let more = if self.offered.len() > names.len() { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

impl Offered {
    fn of(value: &Value, id: &str) -> Option<Self> {
        let id = value[id].as_str()?.to_owned();
        let name = value["name"].as_str().unwrap_or(&id).to_owned();
        Some(Self { id, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_by_its_category_also_in_groups_and_chosen_by_name_or_id() {
        let session = json!({ "configOptions": [
            { "id": "m", "category": "model", "type": "select", "currentValue": "$a|b", "options": [
                { "group": "g", "name": "Group", "options": [{ "value": "$a|b", "name": "Small" }] },
                { "group": "h", "name": "Other", "options": [{ "value": "$c", "name": "Large" }] },
            ]},
            { "id": "on", "category": "mode", "type": "boolean", "currentValue": true },
        ]});
        let choices = Choices::of(&session);
        let model = choices.model.unwrap();
        assert_eq!(model.find("large"), Some("$c"));
        assert_eq!(model.find("$a|b"), Some("$a|b"));
        assert!(model.is("$a|b"));
        assert_eq!(model.find("huge"), None);
        assert_eq!(model.names(), "Small, Large");
        assert_eq!(
            model.request("s", "$c"),
            ("session/set_config_option", json!({ "sessionId": "s", "configId": "m", "value": "$c" }))
        );
        assert_eq!((choices.mode, choices.thinking), (None, None));
    }

    #[test]
    fn fields_of_their_own_do_where_there_is_no_option() {
        let session = json!({
            "models": { "currentModelId": "a", "availableModels": [{ "modelId": "a", "name": "A" }] },
            "modes": { "currentModeId": "auto", "availableModes": [{ "id": "default", "name": "Default" }] },
        });
        let choices = Choices::of(&session);
        let (model, mode) = (choices.model.unwrap(), choices.mode.unwrap());
        assert_eq!(model.request("s", "a").0, "session/set_model");
        assert_eq!(mode.find("Default"), Some("default"));
        assert_eq!(
            mode.request("s", "default"),
            ("session/set_mode", json!({ "sessionId": "s", "modeId": "default" }))
        );
        assert_eq!(Choices::of(&json!("nonsense")), Choices { model: None, mode: None, thinking: None });
    }
}
