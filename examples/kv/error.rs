//! Errors of the HTTP interface: a status, and JSON with what is known.

use axum::{
    Json,
    extract::rejection::{PathRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};
use ump::{Executed, RequestError};

use crate::{
    op::{Op, StoreError},
    slow_client::TooSlow,
    store::MAX_VALUE,
    ttl::TtlError,
};

#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Map<String, Value>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            body: Map::new(),
        }
        .with("error", text.into())
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn value_too_long() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the value has more than {MAX_VALUE} bytes"),
        )
    }

    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping").with("executed", "no")
    }

    /// Adds a field for programs to read.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn text(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Maps each outcome without a reply to a status and a text.
impl From<RequestError<Op, StoreError>> for ApiError {
    fn from(error: RequestError<Op, StoreError>) -> Self {
        let executed = match &error {
            RequestError::App(
                StoreError::Late | StoreError::OutOfMemory | StoreError::Unreadable { .. },
            ) => Executed::No,
            // The write was rolled back, but its state on a failing disk is unknown.
            RequestError::App(
                StoreError::Database(_) | StoreError::ReadOnly(_) | StoreError::UnknownVersion(_),
            ) => Executed::Perhaps,
            other => other.executed(),
        };
        let (status, text) = match error {
            RequestError::App(StoreError::Late) => (
                StatusCode::GATEWAY_TIMEOUT,
                "the deadline passed before the store executed the request: it never will"
                    .to_owned(),
            ),
            RequestError::App(error @ StoreError::OutOfMemory) => {
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            RequestError::App(error @ StoreError::Unreadable { .. }) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the store {error}"),
            ),
            RequestError::App(error) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the store failed and rolled back: {error}"),
            ),
            RequestError::NoReply(why) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{why}: a write may or may not have happened"),
            ),
            RequestError::ServerDisappeared(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store has ended".to_owned(),
            ),
            RequestError::TimeoutQueued(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "the deadline passed while the request was queued: it will not be executed"
                    .to_owned(),
            ),
            RequestError::TimeoutTaken => (
                StatusCode::GATEWAY_TIMEOUT,
                "the deadline passed while the store had the request: a write may have happened"
                    .to_owned(),
            ),
            RequestError::WouldDeadlock(_, cycle) | RequestError::WouldDeadlockTaken(cycle) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("a deadlock: {cycle}"),
            ),
            RequestError::Full(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the queue is full".to_owned(),
            ),
            RequestError::NoTimer(_, why) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the deadline cannot be watched: {why}"),
            ),
        };
        Self::new(status, text).with("executed", executed.to_string())
    }
}

impl From<TtlError> for ApiError {
    fn from(error: TtlError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

/// Makes the error of a body that broke off.
impl From<axum::Error> for ApiError {
    fn from(error: axum::Error) -> Self {
        if TooSlow::is_cause_of(&error) {
            let text = "the body was sent too slowly";
            return Self::new(StatusCode::REQUEST_TIMEOUT, text).with("executed", "no");
        }
        let inner = error.into_inner();
        if inner.is::<LengthLimitError>() {
            return Self::value_too_long();
        }
        Self::bad_request(format!("the body broke off: {inner}"))
    }
}
