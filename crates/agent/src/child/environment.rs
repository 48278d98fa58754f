//! The environment variables of a program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Variables that begin so are the gateway's own settings, secrets among them, and no business of a program.
const OWN_PREFIX: &[u8] = b"CLAWHOOK_";

/// Environment variables. Their values can be secrets, so `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The gateway's own environment, as programs may see it: without the `CLAWHOOK_` variables.
    pub fn inherited() -> Self {
        std::env::vars_os().collect()
    }

    /// These variables, and over them `more`.
    pub(crate) fn with(&self, more: &BTreeMap<String, String>) -> Self {
        let more = more.iter().map(|(name, value)| (name.into(), value.into()));
        Self(self.0.clone().into_iter().chain(more).collect())
    }

    /// The variables by name.
    pub(crate) fn into_vars(self) -> BTreeMap<OsString, OsString> {
        self.0
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    /// Leaves the gateway's own variables out.
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(vars: I) -> Self {
        Self(vars.into_iter().filter(|(name, _)| !is_own(name)).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_own(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OWN_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_values_and_the_gateways_own_are_left_out() {
        let vars = [("TOKEN", "s3cret"), ("CLAWHOOK_API_TOKEN", "x")].map(|(k, v)| (k.into(), v.into()));
        let environment: Environment = vars.into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"{"TOKEN"}"#);
    }
}
