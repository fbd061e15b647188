//! The response for a request without a reply.

use std::{error::Error as StdError, fmt, time::Duration};

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use ump::{NoReply, Refused, RequestError, SendError};

/// The response for a request without a reply: see the [table](crate::axum#statuses).
///
/// It is made of a [`RequestError`] or a [`SendError`], also by `?`. The message, if there is one,
/// is dropped.
///
/// ```
/// use axum::{http::StatusCode, response::IntoResponse};
/// use std::convert::Infallible;
/// use ump::Client;
/// use ump_tower::axum::ErrorResponse;
///
/// async fn ask(client: Client<u32, String, Infallible>) -> Result<String, ErrorResponse<Infallible>> {
///     Ok(client.request(1).if_room().await?)
/// }
/// # let (server, client) = ump::channel();
/// # drop(server);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let response = runtime.block_on(ask(client)).unwrap_err().into_response();
/// # assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
/// ```
///
/// # The application's own error
/// Its response is that of its [`IntoResponse`], but it cannot claim success: if the status is
/// informational or a success, as for `()` and `String`, the response is a plain 500 instead. For
/// an error without `IntoResponse`, convert it: see [`map_app`](Self::map_app).
///
/// # The plain calls
/// There is no conversion from [`ump::Error`], the error of `areq`: it does not tell a time-out
/// from a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is the response"]
pub struct ErrorResponse<E> {
    error: RequestError<(), E>,
    /// In seconds.
    retry_after: u64,
}

impl<E> ErrorResponse<E> {
    /// Creates the response for `error`.
    pub fn new<S>(error: RequestError<S, E>) -> Self {
        Self {
            error: error.without_message(),
            retry_after: 1,
        }
    }

    /// Sets the time after which the HTTP client should try again, if the status is 503. It is
    /// rounded up to whole seconds. The default is one second.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = seconds(pause);
        self
    }

    /// Converts the application's own error, for example into a type with a response:
    /// `response.map_app(|Refused| StatusCode::CONFLICT)`.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> ErrorResponse<F> {
        ErrorResponse {
            error: self.error.map_app(f),
            retry_after: self.retry_after,
        }
    }

    /// Returns the error.
    #[must_use]
    pub fn error(&self) -> &RequestError<(), E> {
        &self.error
    }

    /// Returns the error.
    #[must_use]
    pub fn into_error(self) -> RequestError<(), E> {
        self.error
    }

    /// Returns the status, unless it is up to the application's own error.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        status(&self.error)
    }
}

impl<E: 'static> ErrorResponse<E> {
    /// Creates the response for the error of a stack of tower with a
    /// [`ClientService`](crate::ClientService) or a [`PostService`](crate::PostService) at its end.
    /// For axum's `HandleErrorLayer`.
    ///
    /// ```
    /// use axum::{BoxError, http::StatusCode, response::{IntoResponse, Response}};
    /// use ump::Refused;
    /// use ump_tower::axum::ErrorResponse;
    ///
    /// async fn respond(error: BoxError) -> Response {
    ///     match ErrorResponse::<Refused>::downcast(error) {
    ///         Ok(response) => response.map_app(|Refused| StatusCode::CONFLICT).into_response(),
    ///         Err(_other) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    ///     }
    /// }
    /// # let error = ump::RequestError::<(), _>::App(Refused);
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # assert_eq!(runtime.block_on(respond(error.into())).status(), StatusCode::CONFLICT);
    /// # assert_eq!(runtime.block_on(respond("other".into())).status(), StatusCode::INTERNAL_SERVER_ERROR);
    /// ```
    ///
    /// # Errors
    /// Returns the error itself if it comes from another layer. So it does if the server behind a
    /// `tower::buffer` has gone: that layer puts the error into one of its own, as its source.
    pub fn downcast(
        error: Box<dyn StdError + Send + Sync>,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>>
    where
        E: StdError,
    {
        let error = match error.downcast::<RequestError<(), E>>() {
            Ok(error) => return Ok(Self::new(*error)),
            Err(other) => other,
        };
        let error = error.downcast::<SendError<()>>();
        error.map(|error| Self::from(*error))
    }
}

impl<S, E> From<RequestError<S, E>> for ErrorResponse<E> {
    fn from(error: RequestError<S, E>) -> Self {
        Self::new(error)
    }
}

impl<S, E> From<SendError<S>> for ErrorResponse<E> {
    fn from(error: SendError<S>) -> Self {
        Self::new(RequestError::from(error))
    }
}

impl<E: IntoResponse> IntoResponse for ErrorResponse<E> {
    fn into_response(self) -> Response {
        let Self { error, retry_after } = self;
        let Some((status, detail)) = describe(&error) else {
            return of_application(error);
        };
        let error = error.map_app(|_| Refused);
        let executed = error.executed();
        let mut response = problem(
            status,
            &format!(r#","detail":"{detail}","executed":"{executed}""#),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
        }
        response.extensions_mut().insert(error);
        response
    }
}

impl<E: fmt::Display> fmt::Display for ErrorResponse<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: StdError> StdError for ErrorResponse<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// Returns the HTTP status of an outcome: see the [table](crate::axum#statuses). Returns `None` for
/// the application's own error.
///
/// For programs that have bodies of their own.
#[must_use]
pub fn status<S, E>(error: &RequestError<S, E>) -> Option<StatusCode> {
    describe(error).map(|(status, _)| status)
}

/// Returns the status, and a text for it that does not say more than a stranger may know.
fn describe<S, E>(error: &RequestError<S, E>) -> Option<(StatusCode, &'static str)> {
    Some(match error {
        RequestError::App(_) => return None,
        RequestError::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "the service is busy"),
        RequestError::ServerDisappeared(_) | RequestError::NoTimer(..) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the service is not available",
        ),
        RequestError::TimeoutQueued(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "the deadline passed before the request was executed; it will not be executed",
        ),
        RequestError::TimeoutTaken | RequestError::NoReply(NoReply::TimedOut) => (
            StatusCode::GATEWAY_TIMEOUT,
            "the deadline passed while the request was executed",
        ),
        RequestError::NoReply(_)
        | RequestError::WouldDeadlock(..)
        | RequestError::WouldDeadlockTaken(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the request failed")
        }
    })
}

/// Makes the response of the application's own error.
fn of_application<E: IntoResponse>(error: RequestError<(), E>) -> Response {
    let response = error.into_apperr().map(E::into_response);
    match response {
        Some(response) if !claims_success(response.status()) => response,
        _ => problem(StatusCode::INTERNAL_SERVER_ERROR, ""),
    }
}

fn claims_success(status: StatusCode) -> bool {
    status.is_informational() || status.is_success()
}

/// Makes a response of fixed texts, none of which needs to be escaped.
fn problem(status: StatusCode, members: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{code}{members}}}"#);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/problem+json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Rounds up to whole seconds.
fn seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}
