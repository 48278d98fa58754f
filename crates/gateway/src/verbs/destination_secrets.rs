//! The secrets of destinations: sealed before they are stored, and changed with an overlap.

use std::time::Duration;

use clawhook_delivery::{NoRandomness, Rendered, SigningKeyPair, SigningSecret};
use clawhook_model::{DestinationDefinition, DestinationName, RunId, SecretSource, SecretText, UnixMs};
use clawhook_store::DestinationUpdated;
use secrecy::ExposeSecret as _;

use super::Verbs;
use super::destinations::{DestinationVerbError, defined, not_found};
use super::jobs::EDIT_ATTEMPTS;
use crate::secrets::{NoNonce, Sealer};

/// How long the key before goes on signing, where nobody says how long.
pub(crate) const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
/// How long it may at most.
pub(crate) const LONGEST_OVERLAP: Duration = Duration::from_hours(24 * 30);

/// Which key of a destination is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RotatedKey {
    /// The secret that is shared with the receiver.
    Secret,
    /// The ed25519 private key.
    PrivateKey,
}

/// What came of changing a key.
#[derive(Debug)]
pub(crate) struct Rotated {
    /// The new secret, where it was made here: it is told this once, and never again.
    pub(crate) secret: Option<SecretText>,
    /// The public half of the new private key.
    pub(crate) public_key: Option<String>,
    /// Until when the key before signs too.
    pub(crate) until: UnixMs,
}

/// The definition as it may be stored: every secret that a user wrote is sealed, and bound to its destination and field.
pub(crate) fn sealed(
    sealer: &Sealer,
    name: &DestinationName,
    definition: DestinationDefinition,
) -> Result<DestinationDefinition, NoNonce> {
    definition.try_map_secrets(|field, source| sealer.at_rest(source, &name.secret_context(field)))
}

impl Verbs {
    /// Gives a destination another key, made here or brought along. The one before signs beside it for `overlap`.
    pub(crate) async fn rotate_destination_key(
        &self,
        handle: &str,
        key: RotatedKey,
        brought: Option<SecretSource>,
        overlap: Duration,
    ) -> Result<Rotated, DestinationVerbError> {
        for _ in 0..EDIT_ATTEMPTS {
            let found = self.find_destination(handle).await?.destination;
            let (name, definition) = defined(&found)?;
            self.refuse_declared(name, &found)?;
            let now = self.with.clock.now();
            let until = whole_second(now.plus(overlap));
            let (source, mut rotated) = match &brought {
                Some(source) => (source.clone(), Rotated { secret: None, public_key: None, until }),
                None => made(key, until)?,
            };
            let mut definition = definition.clone();
            // What has ended must not begin again with this overlap.
            definition.signing.retiring.take_if(|retiring| retiring.until <= now);
            definition.signing = match key {
                RotatedKey::Secret => {
                    let before = definition.signing.secret.clone();
                    let before = before.unwrap_or_else(|| written(self.with.signing_secret.to_file_text()));
                    definition.signing.with_secret(source, Some(before), until)
                }
                RotatedKey::PrivateKey => {
                    let before = definition.signing.private_key.clone();
                    let before = before.unwrap_or_else(|| written(self.with.signing_key.to_file_text()));
                    definition.signing.with_private_key(source, Some(before), until)
                }
            };
            self.check_ready(name, &definition).await?;
            if key == RotatedKey::PrivateKey && rotated.public_key.is_none() {
                rotated.public_key = self.with.delivery.public_key(name, &definition).await;
            }
            let stored = sealed(&self.with.sealer, name, definition)?;
            let (id, revision) = (found.id, found.revision);
            match self.with.store.update_destination(id, revision, stored, None, now).await? {
                DestinationUpdated::Done(_) => return Ok(rotated),
                DestinationUpdated::Changed => {}
                DestinationUpdated::NotFound => return Err(not_found(handle)),
            }
        }
        let found = self.find_destination(handle).await?.destination;
        Err(DestinationVerbError::Contended(defined(&found)?.0.clone()))
    }

    /// The body that a run's event takes at a destination; that of a sample where no run is named. Nothing is sent.
    pub(crate) async fn render_for_destination(
        &self,
        handle: &str,
        run: Option<RunId>,
    ) -> Result<Rendered, DestinationVerbError> {
        let destination = self.find_destination(handle).await?.destination;
        let event = match run {
            None => None,
            Some(run) => {
                let stored = self.with.store.run_event(run).await?;
                Some(stored.ok_or(DestinationVerbError::NoEvent(run))?)
            }
        };
        self.with.delivery.render(&destination, event).map_err(DestinationVerbError::Render)
    }

    /// Refuses a definition that nothing could be sent by, while somebody is looking.
    pub(super) async fn check_ready(
        &self,
        name: &DestinationName,
        definition: &DestinationDefinition,
    ) -> Result<(), DestinationVerbError> {
        Ok(self.with.delivery.check(name, definition).await?)
    }
}

/// The second that `instant` lies in. Signatures tell the time in whole seconds, so a key that ends within one would
/// sign to that second's end; one that is to end at once must not.
fn whole_second(instant: UnixMs) -> UnixMs {
    UnixMs::from_millis(instant.as_secs().saturating_mul(1000))
}

fn made(key: RotatedKey, until: UnixMs) -> Result<(SecretSource, Rotated), NoRandomness> {
    Ok(match key {
        RotatedKey::Secret => {
            let text = SecretText::from(SigningSecret::generate()?.to_file_text());
            let rotated = Rotated { secret: Some(text.clone()), public_key: None, until };
            (SecretSource::Written(text), rotated)
        }
        RotatedKey::PrivateKey => {
            let pair = SigningKeyPair::generate()?;
            let rotated = Rotated { secret: None, public_key: Some(pair.public_text()), until };
            (written(pair.to_file_text()), rotated)
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "a secret's text is handed over")]
fn written(text: secrecy::SecretString) -> SecretSource {
    SecretSource::Written(SecretText::from(text.expose_secret().to_owned()))
}
