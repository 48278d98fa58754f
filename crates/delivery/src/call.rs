//! A call of a webhook whose answer somebody waits for: signed and guarded as a delivery is, and recorded nowhere here.

use bytes::Bytes;
use clawhook_model::{AttemptReport, Destination, EventId, Provenance, Standing, Target, WebhookTarget};
use clawhook_store::StoreError;
use http::{HeaderValue, header};
use thiserror::Error;

use crate::destination::{Ready, Unready, Way};
use crate::handle::DeliveryHandle;
use crate::posting::tell_provenance;

/// Why nothing was called.
#[derive(Debug, Error)]
pub enum CallRefused {
    /// There is no such destination.
    #[error("there is no destination `{0}`")]
    NoDestination(String),
    /// Somebody switched it off.
    #[error("the destination `{0}` is disabled")]
    Disabled(String),
    /// It cannot be made ready to be sent to.
    #[error("nothing can be sent to it: {0}")]
    Unready(#[from] Unready),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeliveryHandle {
    /// Posts `body`, which is JSON, as it is: a destination's format is for events. Its headers, keys and limits hold. Nothing
    /// follows from how it ends: it counts for no circuit and no standing.
    pub async fn call(&self, to: &WebhookTarget, body: Bytes) -> Result<AttemptReport, CallRefused> {
        let ready = self.ready(to).await?;
        let Way::Post(post) = &ready.way else { unreachable!("a webhook is made ready to be posted to") };
        let core = self.core();
        let (event_id, now) = (EventId::new(core.clock.now()), core.clock.now());
        let content_type = HeaderValue::from_static("application/json");
        let mut headers = post.headers.clone();
        headers.remove(header::CONTENT_TYPE);
        if let Some(provenance) = Provenance::of_event(&body) {
            tell_provenance(&provenance, &mut headers);
        }
        Ok(core.post((post.as_ref(), &ready.profile), event_id, (body, content_type, headers), 1, now).await)
    }

    async fn ready(&self, to: &WebhookTarget) -> Result<Ready, CallRefused> {
        let core = self.core();
        match to {
            WebhookTarget::Url(url) => Ok(core.prepare_url(url)?),
            WebhookTarget::Destination(name) => {
                let found = core.store.destination_named(name).await?;
                let found: Destination =
                    found.ok_or_else(|| CallRefused::NoDestination(name.to_string()))?.destination;
                if matches!(found.standing, Standing::Disabled(_)) {
                    let shown = Target::Destination(name.clone()).shown();
                    return Err(CallRefused::Disabled(shown));
                }
                Ok(core.prepare(&found).await?)
            }
        }
    }
}
