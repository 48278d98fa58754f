//! Destinations that the configuration declares. What a destination is, the model says: it reads the same JSON here as
//! at the other doors, and its complaints are led back to the place in the file.

use clawhook_model::{DefinitionError, DestinationDefinition, DestinationName};
use jsonc_parser::ast::{Object, ObjectProp, Value as Ast};
use jsonc_parser::common::Range;
use serde_json::{Map, Number, Value};

use super::block::{name_range, shorten};
use super::document::{Node, range};
use super::setting::{Complaint, Setting, unexpected, whole};

/// The destinations that are declared.
#[derive(Debug, Clone)]
pub(super) struct Declarations(pub(super) Vec<Declaration>);

/// One destination that is declared.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    pub(super) name: DestinationName,
    pub(super) definition: DestinationDefinition,
    /// Where its URL stands.
    pub(super) url_at: Range,
}

impl Setting for Declarations {
    type Form = ();

    // A definition holds secrets.
    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let object = node.as_object().ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        let (mut read, mut complaints) = (Vec::<Declaration>::new(), Vec::new());
        for property in &object.properties {
            let part = format!(".{}", shorten(property.name.as_str()));
            match declaration(property) {
                Ok(twin) if read.iter().any(|known| known.name == twin.name) => {
                    let at = name_range(&property.name);
                    complaints.push(Complaint::new(at, "is written twice".to_owned()).in_part(&part));
                }
                Ok(declaration) => read.push(declaration),
                Err(complaint) => complaints.push(complaint.in_part(&part)),
            }
        }
        if complaints.is_empty() { Ok(Self(read)) } else { Err(complaints) }
    }

    fn expected((): &()) -> String {
        "an object of destinations by their names".to_owned()
    }

    fn documented((): &()) -> String {
        "an object of [destinations](destinations.md) by their names".to_owned()
    }
}

fn declaration(property: &ObjectProp<'_>) -> Result<Declaration, Complaint> {
    let name: DestinationName = property.name.as_str().parse().map_err(|_| {
        let hint = "a name has 1 to 63 lower-case letters, digits, `-`, `_` or `.`, and begins with a letter or a digit";
        let message = "cannot be the name of a destination".to_owned();
        Complaint::new(name_range(&property.name), message).with_hint(hint)
    })?;
    let definition =
        DestinationDefinition::parse(json(&property.value)?).map_err(|error| complaint(&error, property))?;
    let url_at = find(&property.value, "url").map_or_else(|| range(&property.value), |url| range(&url.value));
    Ok(Declaration { name, definition, url_at })
}

/// What the model says of a definition, at the place it is about.
fn complaint(error: &DefinitionError, declared: &ObjectProp<'_>) -> Complaint {
    let (field, message) = match error {
        DefinitionError::UnknownField { field, .. } => {
            (field.as_str(), "is not a field of a destination".to_owned())
        }
        DefinitionError::NotServed { field } => {
            (field.as_str(), "is a field that is not acted on".to_owned())
        }
        DefinitionError::Missing { field } => (field.as_str(), "is missing".to_owned()),
        DefinitionError::Type { field, expected, got } => {
            (field.as_str(), format!("must be {expected}, not {got}"))
        }
        DefinitionError::Invalid { field, why } => (field.as_str(), format!("is wrong: {why}")),
        DefinitionError::Url { field, error } => (field.as_str(), format!("is wrong: {error}")),
        DefinitionError::Pairing { .. } => ("", error.to_string()),
    };
    let at = place(declared, field, matches!(error, DefinitionError::UnknownField { .. }));
    let part = if field.is_empty() { String::new() } else { format!(".{}", shorten(field)) };
    let complaint = Complaint::new(at, message).in_part(&part);
    match error.hint() {
        Some(hint) => complaint.with_hint(hint),
        None => complaint,
    }
}

/// Where a field stands, or the innermost part of the declaration that would hold it. Of an unknown one it is the name.
fn place(declared: &ObjectProp<'_>, field: &str, of_the_name: bool) -> Range {
    let (mut at, mut value) = (name_range(&declared.name), &declared.value);
    for step in field.split('.').filter(|step| !step.is_empty()) {
        let Some(property) = find(value, step) else { return at };
        at = if of_the_name { name_range(&property.name) } else { range(&property.value) };
        value = &property.value;
    }
    at
}

fn find<'n>(value: &'n Node<'n>, name: &str) -> Option<&'n ObjectProp<'n>> {
    value.as_object()?.properties.iter().find(|property| property.name.as_str() == name)
}

/// The node as plain JSON.
pub(super) fn json(node: &Node<'_>) -> Result<Value, Complaint> {
    Ok(match node {
        Ast::StringLit(text) => Value::String(text.value.clone().into_owned()),
        Ast::NumberLit(literal) => number(literal.value).map(Value::Number).ok_or_else(|| {
            Complaint::new(literal.range, "holds a number that JSON does not have".to_owned())
        })?,
        Ast::BooleanLit(flag) => Value::Bool(flag.value),
        Ast::NullKeyword(_) => Value::Null,
        Ast::Array(list) => Value::Array(list.elements.iter().map(json).collect::<Result<_, _>>()?),
        Ast::Object(object) => Value::Object(members(object)?),
    })
}

fn members(object: &Object<'_>) -> Result<Map<String, Value>, Complaint> {
    let mut members = Map::new();
    for property in &object.properties {
        let name = property.name.as_str();
        if members.insert(name.to_owned(), json(&property.value)?).is_some() {
            let message = format!("has `{}` twice", shorten(name));
            return Err(Complaint::new(name_range(&property.name), message));
        }
    }
    Ok(members)
}

fn number(literal: &str) -> Option<Number> {
    match whole(literal) {
        Some(whole) => Some(whole.into()),
        None => literal.strip_prefix('+').unwrap_or(literal).parse().ok().and_then(Number::from_f64),
    }
}
