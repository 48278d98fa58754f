//! The seam between deciding what is sent and sending it.

use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{AttemptClass, AttemptReport, PhaseTimings};

use super::{ConnectionProfile, MailRequest, PostRequest, ProfileError, ProfileOptions, Transport};

/// Whoever takes requests to their receivers. The [`Transport`] does; a simulation has a network of its own.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// The time for everything, where a destination has none of its own.
    fn total_timeout(&self) -> Duration;

    /// The time for everything with `profile`; no request takes longer, so a lease must outlive it.
    fn timeout_for(&self, profile: &ConnectionProfile) -> Duration;

    /// Makes a destination's connections ready, once.
    async fn profile(&self, options: ProfileOptions) -> Result<ConnectionProfile, ProfileError>;

    /// Sends one request and tells what came of it.
    async fn send(&self, request: PostRequest<'_>) -> AttemptReport;

    /// Hands one message to a mail server and tells what came of it. Not every network has mail.
    async fn send_mail(&self, request: &MailRequest, _profile: &ConnectionProfile) -> AttemptReport {
        let error = format!("there is no way to a mail server for {}", request.message_id);
        AttemptReport::failed(AttemptClass::Blocked, error, PhaseTimings::default())
    }
}

#[async_trait]
impl Carrier for Transport {
    fn total_timeout(&self) -> Duration {
        self.total_timeout()
    }

    fn timeout_for(&self, profile: &ConnectionProfile) -> Duration {
        self.timeout_for(profile)
    }

    async fn profile(&self, options: ProfileOptions) -> Result<ConnectionProfile, ProfileError> {
        self.profile(options).await
    }

    async fn send(&self, request: PostRequest<'_>) -> AttemptReport {
        self.send(request).await
    }

    async fn send_mail(&self, request: &MailRequest, profile: &ConnectionProfile) -> AttemptReport {
        self.send_mail(request, profile).await
    }
}
