//! What must be installed, and what a task installs by itself.

use std::fmt;

use crate::process::{self, ProcessError};
use crate::progress::Progress;
use crate::workspace;

/// The version that is installed where there is none. Any other works as well.
const NEXTEST_VERSION: &str = "0.9.143";

/// Why a tool can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{tool} is needed; {advice}")]
    Missing { tool: &'static str, advice: &'static str, source: ProcessError },
    #[error("{tool} {found} is too old: {least} or newer is needed; {advice}")]
    TooOld { tool: &'static str, found: Version, least: Version, advice: &'static str },
    #[error("`{command}` says '{said}', in which no version can be seen")]
    Unreadable { command: &'static str, said: String },
    #[error("cargo-nextest could not be installed")]
    Install(#[source] ProcessError),
}

/// The first two numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    /// The first thing in `text` that looks like a version: `git version 2.39.5` is 2.39.
    fn find_in(text: &str) -> Option<Self> {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
            let mut numbers = word.split('.');
            Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[derive(Debug)]
struct Tool {
    name: &'static str,
    command: &'static str,
    least: Version,
    advice: &'static str,
}

const TOOLS: [Tool; 7] = [
    Tool {
        name: "git",
        command: "git --version",
        least: Version(2, 0),
        advice: "install it with your system's packages",
    },
    Tool {
        name: "cargo",
        command: "cargo --version",
        least: Version(1, 95),
        advice: "`rustup update stable`",
    },
    Tool {
        name: "rustfmt",
        command: "cargo fmt --version",
        least: Version(1, 0),
        advice: "`rustup component add rustfmt`",
    },
    Tool {
        name: "clippy",
        command: "cargo clippy --version",
        least: Version(0, 1),
        advice: "`rustup component add clippy`",
    },
    Tool {
        name: "Python",
        command: "python3 --version",
        least: Version(3, 10),
        advice: "install Python with your system's packages",
    },
    Tool {
        name: "Node.js",
        command: "node --version",
        least: Version(20, 0),
        advice: "install Node.js 20 or newer",
    },
    Tool { name: "npm", command: "npm --version", least: Version(9, 0), advice: "it comes with Node.js" },
];

/// Makes sure that everything is there which a task can't bring along.
pub(crate) fn check(progress: Progress) -> Result<(), ToolError> {
    let mut found = Vec::new();
    for tool in &TOOLS {
        found.push(format!("{} {}", tool.name, version_of(tool)?));
    }
    progress.note(found.join(", "));
    Ok(())
}

/// Makes sure that the test runner is there.
pub(crate) fn install_nextest(progress: Progress) -> Result<(), ToolError> {
    if process::capture(workspace::cargo().args(["nextest", "--version"])).is_ok() {
        return Ok(());
    }
    progress.note(format_args!("installing cargo-nextest {NEXTEST_VERSION}, which takes some minutes, once"));
    process::run(workspace::cargo().args([
        "install",
        "--locked",
        "cargo-nextest",
        "--version",
        NEXTEST_VERSION,
    ]))
    .map_err(ToolError::Install)
}

fn version_of(tool: &Tool) -> Result<Version, ToolError> {
    let Tool { name, command, least, advice } = *tool;
    let mut words = command.split(' ');
    let program = words.next().unwrap_or(command);
    let mut asked = if program == "cargo" { workspace::cargo() } else { workspace::command(program) };
    let said = process::capture(asked.args(words)).map_err(|source| ToolError::Missing {
        tool: name,
        advice,
        source,
    })?;
    let found = Version::find_in(&said)
        .ok_or_else(|| ToolError::Unreadable { command, said: said.trim().to_owned() })?;
    if found < least {
        return Err(ToolError::TooOld { tool: name, found, least, advice });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_wherever_a_tool_puts_it() {
        let cases = [
            ("git version 2.39.5 (Apple Git-154)", Version(2, 39)),
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Version(1, 95)),
            ("v20.20.2", Version(20, 20)),
            ("Python 3.11.7", Version(3, 11)),
        ];
        for (text, version) in cases {
            assert_eq!(Version::find_in(text), Some(version), "{text}");
        }
        assert_eq!(Version::find_in("no version. At all."), None);
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_letter() {
        assert!(Version(3, 9) < Version(3, 10));
    }
}
