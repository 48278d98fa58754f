//! An agent's folder: where its commands start, and what they may not start outside of.

use std::path::{Component, Path, PathBuf};

use crate::AgentError;

/// Where a command that names `cwd` starts, where its agent has the folder `workspace`. What is there is looked at, so a link
/// that leads out does not help; of what is not there yet the name alone is judged.
pub(crate) fn start_in(workspace: &Path, cwd: Option<&Path>) -> Result<PathBuf, AgentError> {
    let Some(cwd) = cwd else { return Ok(workspace.to_owned()) };
    let wanted = workspace.join(cwd);
    let inside = match (wanted.canonicalize(), workspace.canonicalize()) {
        (Ok(wanted), Ok(workspace)) => wanted.starts_with(workspace),
        _ => plain(&wanted).starts_with(plain(workspace)),
    };
    if inside {
        return Ok(wanted);
    }
    Err(AgentError::OutsideWorkspace { cwd: wanted, workspace: workspace.to_owned() })
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_starts_in_its_agents_folder_and_never_outside() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("work");
        std::fs::create_dir_all(workspace.join("sub")).unwrap();
        std::os::unix::fs::symlink(folder.path(), workspace.join("out")).unwrap();
        let start = |cwd: Option<&str>| start_in(&workspace, cwd.map(Path::new));
        assert_eq!(start(None), Ok(workspace.clone()));
        for inside in ["sub", ".", "sub/../sub", "not/there/yet", workspace.to_str().unwrap()] {
            assert!(start(Some(inside)).is_ok(), "{inside}");
        }
        for outside in ["..", "out", "sub/../..", "not/../../there", "/", folder.path().to_str().unwrap()] {
            assert!(matches!(start(Some(outside)), Err(AgentError::OutsideWorkspace { .. })), "{outside}");
        }
        let beside = format!("{}-2", workspace.display());
        assert!(start(Some(&beside)).is_err());
    }
}
