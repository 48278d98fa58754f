//! Where the gateway is, and with which token it is asked.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::failure::Failure;
use crate::state_dir::{StateDirArgs, WHICH};

/// Which gateway, and with which token.
#[derive(Args)]
#[group(skip)]
pub(crate) struct ConnectionArgs {
    /// The gateway's address [default: the one that the gateway wrote to its state directory]
    #[arg(long, global = true, help_heading = WHICH, value_name = "URL", env = "CLAWHOOK_URL", hide_env_values = true)]
    url: Option<String>,
    /// The gateway's token; others on this machine can see a command line, so prefer the variable
    #[arg(long, global = true, help_heading = WHICH, value_name = "TOKEN", env = "CLAWHOOK_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
}

/// A gateway that can be asked.
pub(crate) struct Connection {
    /// Its address.
    pub(crate) url: Url,
    /// The token, or why there is none.
    pub(crate) token: Result<SecretString, NoToken>,
    /// The command that starts a gateway in the state directory in question.
    pub(crate) start_command: String,
}

/// Why a request carries no token.
#[derive(Debug)]
pub(crate) enum NoToken {
    /// The file that the gateway makes is not there.
    NoFile(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The address is not this machine's gateway, so this machine's token is not for it.
    Stranger,
}

impl NoToken {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoFile(path) => format!(
                "there is no token: `{}` does not exist. Where the token is set in the gateway's configuration, no \
                 such file is written; give that token in the variable CLAWHOOK_TOKEN",
                path.display()
            ),
            Self::Unreadable(path, error) => {
                format!("the token in `{}` cannot be read: {error}", path.display())
            }
            Self::Stranger => {
                "the token of this machine's gateway is not sent to another address; give the token of \
                               the gateway you mean in the variable CLAWHOOK_TOKEN"
                    .to_owned()
            }
        }
    }
}

/// What the gateway writes to its state directory when it is ready.
#[derive(Deserialize)]
struct GatewayFile {
    url: String,
}

impl ConnectionArgs {
    /// Finds the gateway: what was typed, then the environment, then the state directory.
    pub(crate) fn resolve(self, state_dir: &StateDirArgs) -> Result<Connection, Failure> {
        let start_command = start_command(state_dir.named());
        let named = self.url.filter(|url| !url.trim().is_empty());
        let token = self.token.filter(|token| !token.expose_secret().trim().is_empty());
        let (url, is_stranger) = match named {
            Some(url) => {
                let url = parse_url(&url, "the gateway's address")?;
                let is_stranger = !is_this_machine(&url);
                (url, is_stranger)
            }
            None => (read_gateway_file(&state_dir.resolve()?, &start_command)?, false),
        };
        let token = match (token, is_stranger) {
            (Some(token), _) => Ok(token),
            (None, true) => Err(NoToken::Stranger),
            (None, false) => read_token(state_dir.resolve()?.join("gateway-token")),
        };
        Ok(Connection { url, token, start_command })
    }
}

fn start_command(state_dir: Option<&Path>) -> String {
    match state_dir {
        Some(dir) => format!("clawhook gateway --state-dir {}", dir.display()),
        None => "clawhook gateway".to_owned(),
    }
}

fn parse_url(text: &str, what: &str) -> Result<Url, Failure> {
    let url: Url =
        text.trim().parse().map_err(|error| Failure::error(format!("{what} `{text}` is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::error(format!("{what} `{text}` begins with neither http:// nor https://")));
    }
    Ok(url)
}

/// Whether only processes of this machine can hear what is sent there.
fn is_this_machine(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn read_gateway_file(state_dir: &Path, start_command: &str) -> Result<Url, Failure> {
    let path = state_dir.join("gateway.json");
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::with_hint(
            format!("no gateway is running with the state directory `{}`", state_dir.display()),
            format!("start one with `{start_command}`, or name its address with --url or CLAWHOOK_URL"),
        ),
        _ => Failure::error(format!("cannot read `{}`: {error}", path.display())),
    })?;
    let file: GatewayFile = serde_json::from_str(&text)
        .map_err(|error| Failure::error(format!("`{}` is damaged: {error}", path.display())))?;
    parse_url(&file.url, &format!("the address in `{}`,", path.display()))
}

fn read_token(path: PathBuf) -> Result<SecretString, NoToken> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(SecretString::from(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NoToken::NoFile(path)),
        Err(error) => Err(NoToken::Unreadable(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_file_is_for_this_machine_alone() {
        for (url, this_machine) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://192.168.1.1", false),
            ("http://127.0.0.1.example.com", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), this_machine, "{url}");
        }
    }
}
