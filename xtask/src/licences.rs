//! Whether every package that is built into Clawhook may be: its licence and its origin.
//!
//! `cargo deny` does this and more, and takes many minutes to build. The two checks that must never be left out are
//! done here; what needs the database of known faults is left to it where it is installed.

use serde_json::Value;

use crate::process::{self, ProcessError};
use crate::progress::Progress;
use crate::workspace;

/// Why a dependency is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LicenceError {
    #[error("the dependencies can't be listed")]
    Metadata(#[from] ProcessError),
    #[error("cargo's list of dependencies can't be read")]
    Json(#[from] serde_json::Error),
    #[error("deny.toml can't be read")]
    AllowList(#[from] std::io::Error),
    #[error("deny.toml allows no licence: `allow = [ … ]` is not there or is empty")]
    NothingAllowed,
    #[error("dependencies that are not accepted:\n  {}", .0.join("\n  "))]
    NotAccepted(Vec<String>),
}

/// What is known about the packages' known faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advisories {
    Checked,
    NotChecked,
}

/// Holds every package of the lock file against the list in `deny.toml`.
pub(crate) fn check(progress: Progress) -> Result<(), LicenceError> {
    let allowed = allow_list(&std::fs::read_to_string(workspace::root().join("deny.toml"))?);
    if allowed.is_empty() {
        return Err(LicenceError::NothingAllowed);
    }
    let metadata =
        process::capture(workspace::cargo().args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let complaints: Vec<String> =
        packages.iter().filter_map(|package| complaint_about(package, &allowed)).collect();
    if !complaints.is_empty() {
        return Err(LicenceError::NotAccepted(complaints));
    }
    progress.note(format_args!("{} packages, all under licences that deny.toml allows", packages.len()));
    Ok(())
}

/// Asks `cargo deny` for known faults, if it is there.
pub(crate) fn check_advisories() -> Result<Advisories, LicenceError> {
    if process::capture(workspace::cargo().args(["deny", "--version"])).is_err() {
        return Ok(Advisories::NotChecked);
    }
    process::run(workspace::cargo().args(["deny", "check", "advisories"]))?;
    Ok(Advisories::Checked)
}

fn complaint_about(package: &Value, allowed: &[String]) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    // A package of this workspace has no source.
    let source = package["source"].as_str()?;
    if !source.starts_with("registry+") {
        return Some(format!("{name} comes from {source}, which is no registry of released versions"));
    }
    match package["license"].as_str() {
        None => Some(format!("{name} names no licence")),
        Some(licence) if is_allowed(licence, allowed) => None,
        Some(licence) => Some(format!("{name} is under '{licence}', which deny.toml does not allow")),
    }
}

/// The quoted names between the brackets of `allow = [ … ]` under `[licenses]`.
fn allow_list(deny_toml: &str) -> Vec<String> {
    deny_toml
        .lines()
        .skip_while(|line| line.trim() != "[licenses]")
        .skip_while(|line| line.trim() != "allow = [")
        .skip(1)
        .take_while(|line| line.trim() != "]")
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next().map(str::to_owned))
        .collect()
}

/// Whether an SPDX expression can be satisfied with what is allowed. One that can't be read is not allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // Old packages write `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = Words { words: spaced.split_whitespace().collect(), next: 0, allowed };
    words.choice() == Some(true) && words.peek().is_none()
}

/// Reads an SPDX expression from left to right; `AND` binds more tightly than `OR`.
struct Words<'a> {
    words: Vec<&'a str>,
    next: usize,
    allowed: &'a [String],
}

impl<'a> Words<'a> {
    fn choice(&mut self) -> Option<bool> {
        let mut allowed = self.all()?;
        while self.skip("OR") {
            allowed |= self.all()?;
        }
        Some(allowed)
    }

    fn all(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.skip("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("(") {
            let allowed = self.choice()?;
            return self.skip(")").then_some(allowed);
        }
        let mut licence = self.take()?.to_owned();
        if self.skip("WITH") {
            licence = format!("{licence} WITH {}", self.take()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        self.next += usize::from(is_next);
        is_next
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowed() -> Vec<String> {
        ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_sum_needs_all_of_them() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "MIT AND ISC",
            "(MIT OR GPL-3.0) AND ISC",
            "GPL-3.0 AND X OR MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(good, &allowed()), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "MIT WITH some-exception",
            "",
            "MIT OR",
            "(MIT",
            "MIT ISC",
        ] {
            assert!(!is_allowed(bad, &allowed()), "{bad}");
        }
    }

    #[test]
    fn the_allow_list_is_read_from_deny_toml_as_it_stands() {
        let allowed = allow_list(include_str!("../../deny.toml"));
        assert!(
            allowed.contains(&"MIT".to_owned()) && allowed.contains(&"Unicode-3.0".to_owned()),
            "{allowed:?}"
        );
        assert!(!allowed.iter().any(|licence| licence.contains("GPL")));
    }

    #[test]
    fn a_package_without_a_licence_or_from_a_repository_is_not_accepted() {
        let from = |source: Value, licence: Value| json!({ "name": "some", "version": "1.0.0", "source": source, "license": licence });
        let released = json!("registry+https://example.com/index");
        assert_eq!(complaint_about(&from(released.clone(), json!("MIT")), &allowed()), None);
        assert!(complaint_about(&from(released.clone(), Value::Null), &allowed()).is_some());
        assert!(complaint_about(&from(released, json!("GPL-3.0")), &allowed()).is_some());
        assert!(
            complaint_about(&from(json!("git+https://example.com/some"), json!("MIT")), &allowed()).is_some()
        );
        assert_eq!(complaint_about(&from(Value::Null, Value::Null), &allowed()), None, "it is one of ours");
    }
}
