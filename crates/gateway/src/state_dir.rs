//! What the gateway keeps in its state directory beside the store: its name, the token, the signing secret, the signing
//! key, the key of sealed secrets, and where it is found.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clawhook_delivery::{KeyError, NoRandomness, SecretError, SigningKeyPair, SigningSecret};
use clawhook_model::{InstanceId, NoInstanceId, UnixMs};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use thiserror::Error;

use crate::private_file;
use crate::secrets::Sealer;

/// How many random bytes a token is made of.
const TOKEN_BYTES: usize = 32;

/// The state directory of a gateway.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// Why something in the state directory cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StateDirError {
    /// The directory or a file in it.
    #[error("`{path}` cannot be used: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds no signing secret.
    #[error("`{path}`: {error}")]
    SigningSecret {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SecretError,
    },
    /// The file holds no private key.
    #[error("`{path}`: {error}")]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
    /// The file holds no name.
    #[error("`{path}`: it {error}")]
    Instance {
        /// The file.
        path: PathBuf,
        /// Why.
        error: NoInstanceId,
    },
    /// The file holds no key of sealed secrets.
    #[error("`{0}` holds no key that secrets could have been sealed with")]
    SecretKey(PathBuf),
    /// Others may read the file, and so open every secret in a copy of the store.
    #[error("`{0}` can be read by others, and it opens every sealed secret")]
    OpenToOthers(PathBuf),
    /// There is no randomness to make a key from.
    #[error("the operating system gave no random bytes for a key: {0}")]
    NoKey(getrandom::Error),
    /// The file is there and holds nothing.
    #[error("`{0}` is empty")]
    Empty(PathBuf),
    /// There is no randomness to make a secret from.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// There is no randomness to make a token from.
    #[error("the operating system gave no random bytes for a token: {0}")]
    NoToken(getrandom::Error),
}

/// What clients read to find the gateway.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovery<'a> {
    url: &'a str,
    pid: u32,
    started_at_ms: UnixMs,
}

impl StateDir {
    /// The directory at `path`: made where there is none, and closed to others.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StateDirError> {
        private_file::make_dir(&path).map_err(|error| StateDirError::File { path: path.clone(), error })?;
        // An absolute path stays right in answers and messages, wherever their reader is.
        let path = std::path::absolute(&path).map_err(|error| StateDirError::File { path, error })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the token is kept that the gateway makes itself.
    pub(crate) fn token_path(&self) -> PathBuf {
        self.path.join("gateway-token")
    }

    /// The gateway's name in the trails of events: random, made once, and kept.
    pub(crate) fn instance(&self) -> Result<InstanceId, StateDirError> {
        let path = self.path.join("instance-id");
        let text = self.keep(path.clone(), || Ok(SecretString::from(InstanceId::random().to_string())))?;
        text.expose_secret().parse().map_err(|error| StateDirError::Instance { path, error })
    }

    /// The gateway's own token: made once, and kept.
    pub(crate) fn token(&self) -> Result<SecretString, StateDirError> {
        self.keep(self.token_path(), || {
            let mut bytes = [0; TOKEN_BYTES];
            getrandom::fill(&mut bytes).map_err(StateDirError::NoToken)?;
            Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
        })
    }

    /// The secret that deliveries are signed with: made once, and kept.
    pub(crate) fn signing_secret(&self) -> Result<SigningSecret, StateDirError> {
        let path = self.path.join("signing-secret");
        let text = self.keep(path.clone(), || Ok(SigningSecret::generate()?.to_file_text()))?;
        SigningSecret::parse(text.expose_secret())
            .map_err(|error| StateDirError::SigningSecret { path, error })
    }

    /// The key pair that deliveries are signed with where receivers are to hold a public key alone: made once, and kept.
    pub(crate) fn signing_key(&self) -> Result<SigningKeyPair, StateDirError> {
        let path = self.path.join("signing-key");
        let text = self.keep(path.clone(), || Ok(SigningKeyPair::generate()?.to_file_text()))?;
        SigningKeyPair::parse(text.expose_secret()).map_err(|error| StateDirError::SigningKey { path, error })
    }

    /// The key of the links that acknowledge: made once, and kept.
    pub(crate) fn ack_key(&self) -> Result<SecretString, StateDirError> {
        self.keep(self.path.join("ack-key"), || {
            let mut bytes = [0; TOKEN_BYTES];
            getrandom::fill(&mut bytes).map_err(StateDirError::NoKey)?;
            Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
        })
    }

    /// What secrets are sealed with before they are stored: its key is made once, and kept.
    pub(crate) fn sealer(&self) -> Result<Sealer, StateDirError> {
        let path = self.path.join("secret-key");
        // The other files here are closed to others and go on to be used. This one's worth is in what it has opened
        // already, so its owner must decide.
        match private_file::others_may_read(&path) {
            Ok(false) => {}
            Ok(true) => return Err(StateDirError::OpenToOthers(path)),
            Err(error) => return Err(StateDirError::File { path, error }),
        }
        let text = self.keep(path.clone(), || Sealer::generate_key().map_err(StateDirError::NoKey))?;
        Sealer::from_file_text(&text, path.clone()).ok_or(StateDirError::SecretKey(path))
    }

    /// Tells clients where the gateway is, for as long as the announcement is kept.
    pub(crate) fn announce(&self, url: &str, started_at: UnixMs) -> Result<Announcement, StateDirError> {
        let path = self.path.join("gateway.json");
        let discovery = Discovery { url, pid: std::process::id(), started_at_ms: started_at };
        serde_json::to_string(&discovery)
            .map_err(io::Error::from)
            .and_then(|text| private_file::write(&path, &(text + "\n")))
            .map_err(|error| StateDirError::File { path: path.clone(), error })?;
        Ok(Announcement { path })
    }

    /// The secret in the file at `path`, or else a new one, which is then in that file.
    fn keep(
        &self,
        path: PathBuf,
        make: impl FnOnce() -> Result<SecretString, StateDirError>,
    ) -> Result<SecretString, StateDirError> {
        match private_file::read(&path) {
            Ok(Some(text)) if text.is_empty() => Err(StateDirError::Empty(path)),
            Ok(Some(text)) => Ok(SecretString::from(text)),
            Ok(None) => {
                let secret = make()?;
                private_file::write(&path, &format!("{}\n", secret.expose_secret()))
                    .map_err(|error| StateDirError::File { path, error })?;
                Ok(secret)
            }
            Err(error) => Err(StateDirError::File { path, error }),
        }
    }
}

/// The file that tells clients where the gateway is; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Announcement {
    path: PathBuf,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = private_file::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a file that tells of a gateway which has ended stays");
        }
    }
}

impl StateDirError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::File { .. } => {
                "give the directory to the user that the gateway runs as, or name another with --state-dir"
                    .to_owned()
            }
            Self::Empty(path) => {
                format!("remove `{}` to have a new one made, or restore it from a backup", path.display())
            }
            Self::SigningSecret { path, .. } => format!(
                "restore `{}` from a backup, or remove it to have a new secret made, which the receivers must learn",
                path.display()
            ),
            Self::SigningKey { path, .. } => format!(
                "restore `{}` from a backup, or remove it to have a new key made, whose public half the receivers must learn",
                path.display()
            ),
            Self::Instance { path, .. } => {
                format!(
                    "remove `{}` to have a new name made: only the trails of events show it",
                    path.display()
                )
            }
            Self::SecretKey(path) => format!(
                "restore `{}` from a backup, or remove it to have a new key made; secrets that were sealed with the old \
                 one must then be written again",
                path.display()
            ),
            Self::OpenToOthers(path) => format!(
                "close it with `chmod 600 {0}`; if somebody may have read it, remove it as well and write the secrets again",
                path.display()
            ),
            Self::NoRandomness(_) | Self::NoToken(_) | Self::NoKey(_) => {
                "this machine is not fit to make secrets".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn name_token_signing_secret_and_signing_key_are_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("state")).unwrap();
        assert_eq!(state.instance().unwrap(), state.instance().unwrap());
        let token = state.token().unwrap();
        assert_eq!(token.expose_secret().len(), 43);
        assert_eq!(state.token().unwrap().expose_secret(), token.expose_secret());
        let secret = state.signing_secret().unwrap().to_file_text();
        assert!(secret.expose_secret().starts_with("whsec_"));
        assert_eq!(state.signing_secret().unwrap().to_file_text().expose_secret(), secret.expose_secret());
        let key = state.signing_key().unwrap();
        assert!(key.to_file_text().expose_secret().starts_with("whsk_"));
        assert_eq!(state.signing_key().unwrap().public(), key.public());
    }

    #[test]
    fn i12_a_signing_key_that_is_none_is_named_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().to_owned()).unwrap();
        std::fs::write(dir.path().join("signing-key"), "whsk_c2VjcmV0\n").unwrap();
        let error = state.signing_key().unwrap_err();
        let said = format!("{error}: {}", error.hint());
        assert!(
            said.contains("signing-key") && said.contains("6 bytes") && !said.contains("c2VjcmV0"),
            "{said}"
        );
    }

    #[test]
    fn the_key_of_secrets_is_made_once_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().to_owned()).unwrap();
        let sealed = state.sealer().unwrap().seal(&"s3cret".to_owned().into(), "a").unwrap();
        assert_eq!(state.sealer().unwrap().open(&sealed, "a").unwrap().expose_secret(), "s3cret");
        let mode = std::fs::metadata(dir.path().join("secret-key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().to_owned()).unwrap();
        let path = dir.path().join("secret-key");
        state.sealer().unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = state.sealer().unwrap_err();
        assert!(matches!(&error, StateDirError::OpenToOthers(file) if *file == path));
        assert!(error.hint().contains("chmod 600"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        state.sealer().unwrap();
        std::fs::write(&path, "c2hvcnQ").unwrap();
        assert!(matches!(state.sealer(), Err(StateDirError::SecretKey(file)) if file == path));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(state.sealer(), Err(StateDirError::Empty(_))));
    }

    #[test]
    fn an_empty_token_file_is_refused_and_not_taken_for_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().to_owned()).unwrap();
        std::fs::write(state.token_path(), "\n").unwrap();
        assert!(matches!(state.token(), Err(StateDirError::Empty(_))));
    }
}
