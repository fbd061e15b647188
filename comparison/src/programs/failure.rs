//! How requests fail in the programs of the peers, and the responses. `ump-tower` has that for
//! this family.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::store::StoreError;

/// The reason why a request has no reply.
pub(crate) enum Failure {
    App(StoreError),
    Full,
    TimedOut,
    Panicked,
    /// The owner of the store is gone.
    Gone,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, executed) = match self {
            Self::App(error) => return error.into_response(),
            Self::Full | Self::Gone => (StatusCode::SERVICE_UNAVAILABLE, "no"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "perhaps"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "perhaps"),
        };
        let mut response = (status, format!(r#"{{"executed":"{executed}"}}"#)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let second = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}
