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
use ump_tower::axum::status;

use crate::{op::StoreError, slow_client::TooSlow, store::MAX_VALUE, ttl::TtlError};

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

    pub(crate) fn no_such_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such key")
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
impl<M> From<RequestError<M, StoreError>> for ApiError {
    fn from(error: RequestError<M, StoreError>) -> Self {
        let (status, executed) = (status(&error), error.executed());
        let text = match error {
            RequestError::App(error) => return error.into(),
            RequestError::NoReply(why) => format!("{why}: a write may or may not have happened"),
            RequestError::TimeoutTaken => {
                "the deadline passed while the store had the request: a write may have happened"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        let status = status.expect("only the store's own error has none");
        Self::new(status, text).with("executed", executed.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, executed) = match error {
            StoreError::Late => (StatusCode::GATEWAY_TIMEOUT, Executed::No),
            StoreError::OutOfMemory => (StatusCode::SERVICE_UNAVAILABLE, Executed::No),
            StoreError::NotANumber(_) => (StatusCode::BAD_REQUEST, Executed::No),
            StoreError::Unreadable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Executed::No),
            // The write was rolled back, but its state on a failing disk is unknown.
            StoreError::Database(_) | StoreError::ReadOnly(_) | StoreError::UnknownVersion(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, Executed::Perhaps)
            }
        };
        let text = match executed {
            Executed::Perhaps => format!("the store failed and rolled back: {error}"),
            _ => error.to_string(),
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
