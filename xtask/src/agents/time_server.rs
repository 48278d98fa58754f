//! A real MCP server, by others: it tells the time in any zone. It comes as a Python package, and is set up below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::AgentsError;
use crate::process;
use crate::progress::Progress;
use crate::workspace;

/// The server and all that it needs, each in exactly one version.
const PACKAGES: &str = include_str!("../../agents/time-server.txt");

/// Finds the server that was set up earlier, or sets it up; where its program is.
pub(super) fn find_or_install(progress: Progress) -> Result<PathBuf, AgentsError> {
    let folder = workspace::target().join("time-server");
    let (program, marker) = (folder.join("bin/mcp-server-time"), folder.join("installed-from"));
    if program.exists() && std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGES) {
        progress.note("already installed");
        return Ok(program);
    }
    let mut environment = workspace::command("python3");
    environment.args(["-m", "venv", "--clear"]).arg(&folder);
    process::run(&mut environment).map_err(AgentsError::Install)?;
    let requirements = workspace::root().join("xtask/agents/time-server.txt");
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]).arg(requirements);
    process::run(&mut pip).map_err(AgentsError::Install)?;
    std::fs::write(&marker, PACKAGES).map_err(on_file(&marker))?;
    Ok(program)
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> AgentsError + use<> {
    let path = path.to_owned();
    |source| AgentsError::File { path, source }
}
