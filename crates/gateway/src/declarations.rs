//! Destinations that the configuration declares: brought into the store when the gateway starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use clawhook_model::{DestinationDefinition, DestinationName, Target, UnixMs};
use clawhook_store::{
    DestinationFilter, DestinationRemoved, DestinationUpdated, NewDestination, Store, StoreError,
};

/// How many destinations are looked through at a time.
const PAGE: usize = 200;

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
    destinations: BTreeMap<DestinationName, DestinationDefinition>,
    file: Option<&Path>,
    now: UnixMs,
) -> Result<Declarations, StoreError> {
    let declared = destinations.keys().cloned().collect();
    let file = file.map(shown).unwrap_or_default();
    for (name, definition) in destinations {
        declare_one(store, name, definition, &file, now).await?;
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
    name: DestinationName,
    definition: DestinationDefinition,
    file: &str,
    now: UnixMs,
) -> Result<(), StoreError> {
    let declared_in = Some(file.to_owned());
    let Some(found) = store.destination_named(&name).await?.map(|found| found.destination) else {
        tracing::info!(%name, file, "a destination is declared");
        store.insert_destination(NewDestination { name, definition, declared_in, now }).await?;
        return Ok(());
    };
    if found.definition.as_ref() == Some(&definition) && found.declared_in == declared_in {
        return Ok(());
    }
    if found.declared_in.is_none() {
        tracing::warn!(%name, file, "the declaration takes over a destination that was added by hand");
    } else {
        tracing::info!(%name, file, "the declaration of a destination has changed");
    }
    match store.update_destination(found.id, found.revision, definition, declared_in, now).await? {
        DestinationUpdated::Done(_) => Ok(()),
        // The doors are not open yet, so nobody else writes.
        DestinationUpdated::Changed | DestinationUpdated::NotFound => {
            Err(StoreError::Engine(format!("the destination `{name}` changed while it was declared")))
        }
    }
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
