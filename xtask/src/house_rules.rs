//! Rules of the house that no lint knows.

use std::path::Path;

use crate::process::{self, ProcessError};
use crate::progress::Progress;
use crate::workspace;

/// Above this, a file wants to be two.
const LONGEST_FILE: usize = 800;
/// Names that say nothing about what is inside, and so attract everything.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "shared"];

/// Why the files are not as agreed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("the files can't be listed")]
    List(#[from] ProcessError),
    #[error("{path} can't be read")]
    Read { path: String, source: std::io::Error },
    #[error("the rules of the house are broken:\n  {}", .0.join("\n  "))]
    Broken(Vec<String>),
}

/// Looks at every Rust file of the checkout that is not ignored.
pub(crate) fn check(progress: Progress) -> Result<(), RuleError> {
    let files = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.rs"];
    let files = process::capture(workspace::command("git").args(files))?;
    let mut broken = Vec::new();
    let mut longest = 0;
    for path in files.lines().filter(|path| workspace::root().join(path).exists()) {
        let lines = count_lines(path)?;
        longest = longest.max(lines);
        if lines > LONGEST_FILE {
            broken.push(format!("{path} has {lines} lines, more than {LONGEST_FILE}"));
        }
        if let Some(name) = empty_name_in(path) {
            broken.push(format!("{path} is called '{name}', which says nothing about what is inside"));
        }
    }
    if !broken.is_empty() {
        return Err(RuleError::Broken(broken));
    }
    progress.note(format_args!("{} Rust files, the longest of {longest} lines", files.lines().count()));
    Ok(())
}

fn count_lines(path: &str) -> Result<usize, RuleError> {
    let text = std::fs::read_to_string(workspace::root().join(path))
        .map_err(|source| RuleError::Read { path: path.to_owned(), source })?;
    Ok(text.lines().count())
}

fn empty_name_in(path: &str) -> Option<&str> {
    Path::new(path)
        .iter()
        .filter_map(|part| part.to_str())
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .find(|name| EMPTY_NAMES.contains(&name.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_a_folder_or_a_file_with_an_empty_name_is_found() {
        for path in
            ["crates/common/src/lib.rs", "crates/store/src/utils.rs", "crates/store/src/helpers/sql.rs"]
        {
            assert!(empty_name_in(path).is_some(), "{path}");
        }
        assert_eq!(empty_name_in("crates/store/src/sqlite/writer.rs"), None);
    }
}
