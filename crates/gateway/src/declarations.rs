//! Destinations that the configuration declares: brought into the store when the gateway starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use clawhook_delivery::UnreadableSecret;
use clawhook_model::{DestinationDefinition, DestinationName, SecretSource, Target, UnixMs};
use clawhook_store::{
    DestinationFilter, DestinationRemoved, DestinationUpdated, NewDestination, Store, StoreError,
};
use thiserror::Error;

use crate::secrets::{NoNonce, Sealer};
use crate::verbs::sealed;

/// How many destinations are looked through at a time.
const PAGE: usize = 200;

/// Why what is declared could not be stored.
#[derive(Debug, Error)]
pub(crate) enum NotDeclared {
    #[error(transparent)]
    Seal(#[from] NoNonce),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of the declarations.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    declared: BTreeSet<DestinationName>,
    left_over: Vec<DestinationName>,
}

impl Declarations {
    /// Whether the configuration declares this destination.
    pub(crate) fn declares(&self, name: &DestinationName) -> bool {
        self.declared.contains(name)
    }

    /// Those that were declared and are no more, and were kept because something depends on them.
    pub(crate) fn left_over(&self) -> &[DestinationName] {
        &self.left_over
    }
}

/// Makes the store hold what `file` declares, and takes away what is declared no more and not in use.
pub(crate) async fn declare(
    store: &Arc<dyn Store>,
    sealer: &Sealer,
    destinations: BTreeMap<DestinationName, DestinationDefinition>,
    file: Option<&Path>,
    now: UnixMs,
) -> Result<Declarations, NotDeclared> {
    let declared = destinations.keys().cloned().collect();
    let file = file.map(shown).unwrap_or_default();
    for (name, definition) in destinations {
        declare_one(store, sealer, name, definition, &file, now).await?;
    }
    let mut left_over = Vec::new();
    for name in no_more(store, &declared).await? {
        if !take_away(store, &name, now).await? {
            left_over.push(name);
        }
    }
    Ok(Declarations { declared, left_over })
}

async fn declare_one(
    store: &Arc<dyn Store>,
    sealer: &Sealer,
    name: DestinationName,
    definition: DestinationDefinition,
    file: &str,
    now: UnixMs,
) -> Result<(), NotDeclared> {
    let stored = sealed(sealer, &name, definition.clone())?;
    let declared_in = Some(file.to_owned());
    let Some(found) = store.destination_named(&name).await?.map(|found| found.destination) else {
        tracing::info!(%name, file, "a destination is declared");
        let new = NewDestination { name, definition: stored, declared_in, now };
        store.insert_destination(new).await?;
        return Ok(());
    };
    // What is stored is sealed anew each time, so it is compared as it was written.
    let before = found.definition.and_then(|before| opened(sealer, &name, before));
    if before.as_ref() == Some(&definition) && found.declared_in == declared_in {
        return Ok(());
    }
    if found.declared_in.is_none() {
        tracing::warn!(%name, file, "the declaration takes over a destination that was added by hand");
    } else {
        tracing::info!(%name, file, "the declaration of a destination has changed");
    }
    match store.update_destination(found.id, found.revision, stored, declared_in, now).await? {
        DestinationUpdated::Done(_) => Ok(()),
        // The doors are not open yet, so nobody else writes.
        DestinationUpdated::Changed | DestinationUpdated::NotFound => {
            let why = format!("the destination `{name}` changed while it was declared");
            Err(StoreError::Engine(why).into())
        }
    }
}

/// A stored definition as it was written; none where one of its secrets cannot be opened any more.
fn opened(
    sealer: &Sealer,
    name: &DestinationName,
    stored: DestinationDefinition,
) -> Option<DestinationDefinition> {
    let opened = stored.try_map_secrets(|field, source| match source {
        SecretSource::Sealed(sealed) => {
            let text = sealer.open(&sealed, &name.secret_context(field))?;
            Ok::<_, UnreadableSecret>(SecretSource::Written(text.into()))
        }
        other => Ok(other),
    });
    opened.ok()
}

/// The destinations that a configuration declared once, and this one does not.
async fn no_more(
    store: &Arc<dyn Store>,
    declared: &BTreeSet<DestinationName>,
) -> Result<Vec<DestinationName>, StoreError> {
    let mut names = Vec::new();
    for offset in (0..).step_by(PAGE) {
        let filter = DestinationFilter { offset, limit: PAGE, ..DestinationFilter::default() };
        let page = store.destinations(filter).await?.destinations;
        let last = page.len() < PAGE;
        for found in page {
            let Target::Destination(name) = found.destination.target else { continue };
            if found.destination.declared_in.is_some() && !declared.contains(&name) {
                names.push(name);
            }
        }
        if last {
            break;
        }
    }
    Ok(names)
}

/// Removes a destination that is declared no more; false where something depends on it.
async fn take_away(store: &Arc<dyn Store>, name: &DestinationName, now: UnixMs) -> Result<bool, StoreError> {
    let Some(found) = store.destination_named(name).await? else { return Ok(true) };
    match store.remove_destination(found.destination.id, now).await? {
        DestinationRemoved::Done | DestinationRemoved::NotFound => {
            tracing::info!(%name, "a destination that is declared no more is removed");
            Ok(true)
        }
        DestinationRemoved::InUse(_) | DestinationRemoved::Named => {
            tracing::warn!(%name, "a destination that is declared no more is kept, because it is in use");
            Ok(false)
        }
    }
}

fn shown(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
}
