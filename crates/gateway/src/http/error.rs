//! The one shape of a refusal, and which status each refusal has.

use axum::response::{IntoResponse, Response};
use clawhook_delivery::TestRefused;
use clawhook_store::StoreError;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::verbs::{
    ChannelVerbError, DeliveryVerbError, DestinationRefVerbError, DestinationVerbError, EventVerbError,
    JobVerbError, LedgerVerbError, ReplayVerbError, RunVerbError, SessionVerbError, store_code,
};

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is wrong.
    error: ErrorView,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorView {
    /// A word for programs.
    #[schema(example = "unknown_field")]
    code: &'static str,
    /// A sentence for people, with the offending value in it.
    #[schema(example = "unknown field `schedul`")]
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "did you mean `schedule`?")]
    hint: Option<String>,
    /// The field that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "schedul")]
    field: Option<String>,
}

/// A refusal with its status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    view: Box<ErrorView>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let view = ErrorView { code, message: message.into(), hint: None, field: None };
        Self { status, view: Box::new(view) }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong and what to do about it, for people.
    pub(super) fn to_sentence(&self) -> String {
        match &self.view.hint {
            Some(hint) => format!("{}; {hint}.", self.view.message),
            None => format!("{}.", self.view.message),
        }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.view.hint = hint.into();
        self
    }

    #[must_use]
    pub(super) fn field(mut self, field: impl Into<Option<String>>) -> Self {
        self.view.field = field.into();
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let asks_for_token = self.status == StatusCode::UNAUTHORIZED;
        let mut response = (self.status, axum::Json(ErrorBody { error: *self.view })).into_response();
        if asks_for_token {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<JobVerbError> for ApiError {
    fn from(error: JobVerbError) -> Self {
        let status = match &error {
            JobVerbError::NotFound(_) => StatusCode::NOT_FOUND,
            JobVerbError::Job(_)
            | JobVerbError::Schedule(_)
            | JobVerbError::UsedUp { .. }
            | JobVerbError::NoDestination(_)
            | JobVerbError::NoUpstream(_)
            | JobVerbError::ManyUpstreams { .. }
            | JobVerbError::Circle(_)
            | JobVerbError::Creation(_)
            | JobVerbError::Webhook(_)
            | JobVerbError::Route { .. }
            | JobVerbError::Announce(ChannelVerbError::Route(_) | ChannelVerbError::Place(_))
            | JobVerbError::Agent(_) => StatusCode::UNPROCESSABLE_ENTITY,
            JobVerbError::Changed { .. }
            | JobVerbError::Contended(_)
            | JobVerbError::Awaited { .. }
            | JobVerbError::SystemOwned(_)
            | JobVerbError::OfHook(_) => StatusCode::CONFLICT,
            JobVerbError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            JobVerbError::Announce(ChannelVerbError::Refused(_)) => StatusCode::CONFLICT,
            JobVerbError::Announce(ChannelVerbError::Store(fault)) | JobVerbError::Store(fault) => {
                store_status(fault)
            }
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint()).field(error.field())
    }
}

impl From<ChannelVerbError> for ApiError {
    fn from(error: ChannelVerbError) -> Self {
        let status = match &error {
            ChannelVerbError::Route(_) | ChannelVerbError::Place(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ChannelVerbError::Refused(TestRefused::Store(fault)) | ChannelVerbError::Store(fault) => {
                store_status(fault)
            }
            ChannelVerbError::Refused(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<LedgerVerbError> for ApiError {
    fn from(error: LedgerVerbError) -> Self {
        let status = match &error {
            LedgerVerbError::NotFound(_) => StatusCode::NOT_FOUND,
            LedgerVerbError::Request(_)
            | LedgerVerbError::Schedule(_)
            | LedgerVerbError::ToCome { .. }
            | LedgerVerbError::TooLong { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            LedgerVerbError::TooManyOpen { .. } => StatusCode::CONFLICT,
            LedgerVerbError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            LedgerVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint()).field(error.field())
    }
}

impl From<RunVerbError> for ApiError {
    fn from(error: RunVerbError) -> Self {
        let status = match &error {
            RunVerbError::NotFound(_) | RunVerbError::NoSuchJob(_) => StatusCode::NOT_FOUND,
            RunVerbError::Over { .. } => StatusCode::CONFLICT,
            RunVerbError::TooManyFollowers => StatusCode::TOO_MANY_REQUESTS,
            RunVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<EventVerbError> for ApiError {
    fn from(error: EventVerbError) -> Self {
        let status = match &error {
            EventVerbError::Ahead { .. } => StatusCode::BAD_REQUEST,
            EventVerbError::TooManyFollowers => StatusCode::TOO_MANY_REQUESTS,
            EventVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<SessionVerbError> for ApiError {
    fn from(error: SessionVerbError) -> Self {
        let status = match &error {
            SessionVerbError::NotFound(_) => StatusCode::NOT_FOUND,
            SessionVerbError::Busy { .. } => StatusCode::CONFLICT,
            SessionVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<DeliveryVerbError> for ApiError {
    fn from(error: DeliveryVerbError) -> Self {
        let status = match &error {
            DeliveryVerbError::NotFound(_) => StatusCode::NOT_FOUND,
            DeliveryVerbError::UnderWay(_)
            | DeliveryVerbError::AlreadyDelivered(_)
            | DeliveryVerbError::Suppressed(_)
            | DeliveryVerbError::NoSender(_)
            | DeliveryVerbError::NoDestination(_)
            | DeliveryVerbError::Settled(..) => StatusCode::CONFLICT,
            DeliveryVerbError::Destination(error) => destination_status(error),
            DeliveryVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<DestinationVerbError> for ApiError {
    fn from(error: DestinationVerbError) -> Self {
        let status = match &error {
            DestinationVerbError::NoEvent(_)
            | DestinationVerbError::NotFound(_)
            | DestinationVerbError::Test(TestRefused::Gone) => StatusCode::NOT_FOUND,
            DestinationVerbError::Nameless
            | DestinationVerbError::Name(_)
            | DestinationVerbError::Renamed
            | DestinationVerbError::Definition(_)
            | DestinationVerbError::NothingMasked(_)
            | DestinationVerbError::LongReason
            | DestinationVerbError::Unready(_)
            | DestinationVerbError::Render(_)
            | DestinationVerbError::Webhook(_) => StatusCode::UNPROCESSABLE_ENTITY,
            DestinationVerbError::Taken(_)
            | DestinationVerbError::Implicit(_)
            | DestinationVerbError::Declared { .. }
            | DestinationVerbError::LeftOver { .. }
            | DestinationVerbError::Changed { .. }
            | DestinationVerbError::Contended(_)
            | DestinationVerbError::InUse { .. }
            | DestinationVerbError::Disabled { .. }
            | DestinationVerbError::Test(TestRefused::Busy | TestRefused::Unready { .. }) => {
                StatusCode::CONFLICT
            }
            DestinationVerbError::NoRandomness(_) | DestinationVerbError::Seal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            DestinationVerbError::Test(TestRefused::Store(fault)) | DestinationVerbError::Store(fault) => {
                store_status(fault)
            }
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint()).field(error.field())
    }
}

impl From<ReplayVerbError> for ApiError {
    fn from(error: ReplayVerbError) -> Self {
        let status = match &error {
            ReplayVerbError::NoSuchDelivery(_)
            | ReplayVerbError::NoSuchRun(_)
            | ReplayVerbError::NotFound(_) => StatusCode::NOT_FOUND,
            ReplayVerbError::Request(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReplayVerbError::Destination(error) => destination_status(error),
            ReplayVerbError::Refused(..)
            | ReplayVerbError::NothingToSend(_)
            | ReplayVerbError::NotOver(_)
            | ReplayVerbError::Over(..) => StatusCode::CONFLICT,
            ReplayVerbError::Store(fault) => store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint()).field(error.field())
    }
}

fn destination_status(error: &DestinationRefVerbError) -> StatusCode {
    match error {
        DestinationRefVerbError::Unknown(_) => StatusCode::NOT_FOUND,
        DestinationRefVerbError::Webhook(_)
        | DestinationRefVerbError::NoSender(_)
        | DestinationRefVerbError::Route(_) => StatusCode::UNPROCESSABLE_ENTITY,
        DestinationRefVerbError::Store(fault) => store_status(fault),
    }
}

impl From<StoreError> for ApiError {
    fn from(fault: StoreError) -> Self {
        Self::new(store_status(&fault), store_code(&fault), fault.to_string()).hint(fault.hint().to_owned())
    }
}

pub(super) fn store_status(fault: &StoreError) -> StatusCode {
    match fault {
        StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::ReadOnly(_) | StoreError::Corrupt(_) | StoreError::Closed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        StoreError::InUse { .. }
        | StoreError::TooNew { .. }
        | StoreError::Open { .. }
        | StoreError::BadRow(_)
        | StoreError::Engine(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
