//! The JSON of a body.

use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// The payload: an object. Nothing at all, and JSON that is no object, count as an empty one (contract §5.2). JSON that
/// is nested deeper than 127 levels is refused.
pub(crate) fn payload(body: &[u8]) -> Result<Value, Refusal> {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_str(&text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Ok(Value::Object(Map::new())),
        Err(error) if error.classify() == Category::Eof => {
            Err(Refusal::Json("Unexpected end of JSON input".to_owned()))
        }
        Err(error) => Err(Refusal::Json(format!("the body is not JSON: {error}"))),
    }
}
