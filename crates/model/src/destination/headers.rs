//! Headers that a destination's requests carry beside the gateway's own: names that may be set, values that are secrets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::format::unfit_header_name;
use super::keys::ReadSecret;
use crate::definition_error::DefinitionError;
use crate::fields::kind_of;
use crate::secret::SecretSource;

/// How many headers a destination may set.
const MOST_HEADERS: usize = 32;

/// Headers by their names, in lower case.
pub(super) type Headers = BTreeMap<String, SecretSource>;

pub(super) fn read(value: Value, secret: ReadSecret) -> Result<Headers, DefinitionError> {
    let Value::Object(given) = value else {
        let field = "headers".to_owned();
        return Err(DefinitionError::Type { field, expected: "an object", got: kind_of(&value) });
    };
    if given.len() > MOST_HEADERS {
        let why = format!("has {} members, and at most {MOST_HEADERS} are sent", given.len());
        return Err(DefinitionError::invalid("headers", why));
    }
    let mut headers = Headers::new();
    for (name, value) in given {
        let lower = name.to_ascii_lowercase();
        // Who the gateway is to a destination is the destination's to say; templates may not.
        let unfit = unfit_header_name(&name).filter(|_| lower != "authorization");
        if let Some(why) = unfit {
            let shown: String = name.chars().take(80).collect();
            return Err(DefinitionError::invalid("headers", format!("`{shown}` {why}")));
        }
        let field = field(&lower);
        if let Value::String(text) = &value
            && text.contains(['\r', '\n'])
        {
            return Err(DefinitionError::invalid(field, "holds a line break, which no header may have"));
        }
        let source = secret(&field, &value)?;
        if headers.insert(lower, source).is_some() {
            return Err(DefinitionError::invalid(
                field,
                "is given twice; names of headers are the same in either case",
            ));
        }
    }
    Ok(headers)
}

/// The full name of a header's field, which is also what its seal is bound to.
pub(super) fn field(name: &str) -> String {
    format!("headers.{name}")
}

pub(super) fn to_json(headers: &Headers, shown: fn(&SecretSource) -> Value) -> Value {
    Value::Object(headers.iter().map(|(name, source)| (name.clone(), shown(source))).collect::<Map<_, _>>())
}
