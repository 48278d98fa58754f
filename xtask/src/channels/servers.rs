//! The servers, set up below the target folder.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use super::ChannelsError;
use crate::process;
use crate::progress::Progress;
use crate::workspace;

/// The servers and all that they need, each in exactly one version.
const PACKAGES: &str = include_str!("../../channels/servers.txt");

/// The virtual environment's programs; it is made where it is not there.
pub(super) fn find_or_install(progress: Progress) -> Result<PathBuf, ChannelsError> {
    let folder = workspace::target().join("channels/venv");
    let (programs, marker) = (folder.join("bin"), folder.join("installed-from"));
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGES) {
        progress.note("already installed");
        return Ok(programs);
    }
    let mut environment = workspace::command("python3");
    process::run(environment.args(["-m", "venv", "--clear"]).arg(&folder)).map_err(ChannelsError::Install)?;
    let requirements = workspace::root().join("xtask/channels/servers.txt");
    let mut pip = Command::new(programs.join("python"));
    pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]).arg(requirements);
    process::run(&mut pip).map_err(ChannelsError::Install)?;
    std::fs::write(&marker, PACKAGES).map_err(ChannelsError::on_file(&marker))?;
    Ok(programs)
}

/// A port of this machine on which nobody listens.
pub(super) fn free_port() -> Result<u16, ChannelsError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(ChannelsError::on_file("a port of 127.0.0.1"))?.port())
}
