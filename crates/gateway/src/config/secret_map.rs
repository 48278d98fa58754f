//! Names with secret values: headers, and the variables of a program.

use std::marker::PhantomData;

use clawhook_model::SecretSource;
use http::HeaderName;

use super::block::{Written, name_range, shorten};
use super::document::{Node, range};
use super::setting::{Complaint, Setting, in_part, unexpected};

/// What the names of a map are names of.
pub(super) trait Names: 'static {
    /// What the whole is.
    const EXPECTED: &'static str;
    /// The name as it is kept; none where it cannot be one.
    fn normalise(name: &str) -> Option<String>;
}

/// Headers of HTTP.
#[derive(Debug, Clone)]
pub(super) struct Headers;

/// Variables of an environment.
#[derive(Debug, Clone)]
pub(super) struct Variables;

impl Names for Headers {
    const EXPECTED: &'static str = "an object of headers";

    fn normalise(name: &str) -> Option<String> {
        name.parse::<HeaderName>().ok().map(|name| name.as_str().to_owned())
    }
}

impl Names for Variables {
    const EXPECTED: &'static str = "an object of variables";

    fn normalise(name: &str) -> Option<String> {
        (!name.is_empty() && !name.contains(['=', '\0'])).then(|| name.to_owned())
    }
}

/// Secrets by their names, in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct SecretMap<N> {
    pub(super) entries: Vec<(String, Written<SecretSource>)>,
    names: PhantomData<N>,
}

impl<N: Names> Setting for SecretMap<N> {
    type Form = ();

    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let object = node.as_object().ok_or_else(|| vec![unexpected::<Self>(node, form)])?;
        let (mut entries, mut complaints) = (Vec::<(String, _)>::new(), Vec::new());
        for property in &object.properties {
            let (name, at) = (property.name.as_str(), name_range(&property.name));
            let part = format!(".{}", shorten(name));
            let refuse = |what: &str| vec![Complaint::new(at, what.to_owned()).in_part(&part)];
            match N::normalise(name) {
                None => complaints.extend(refuse("is no name that can be used here")),
                Some(twin) if entries.iter().any(|(known, _)| *known == twin) => {
                    complaints.extend(refuse("is written twice"));
                }
                Some(name) => match SecretSource::read(&property.value, &()) {
                    Ok(value) => entries.push((name, Written { value, at: range(&property.value) })),
                    Err(wrong) => complaints.extend(in_part(wrong, &part)),
                },
            }
        }
        if complaints.is_empty() { Ok(Self { entries, names: PhantomData }) } else { Err(complaints) }
    }

    fn expected((): &()) -> String {
        N::EXPECTED.to_owned()
    }

    fn documented((): &()) -> String {
        format!("{}, each a [secret](#secrets)", N::EXPECTED)
    }
}
