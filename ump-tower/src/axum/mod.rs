//! Servers behind the handlers of [axum](https://docs.rs/axum): a client by extraction, and a
//! response for each outcome.
//!
//! ```
//! use axum::{Router, extract::Path, http::StatusCode, response::{IntoResponse, Response}, routing::get};
//! use std::{thread, time::Duration};
//! use ump_tower::axum::{Caller, ErrorResponse};
//!
//! /// The application's own error, and its response.
//! #[derive(Debug)]
//! struct NoSuchKey;
//!
//! impl IntoResponse for NoSuchKey {
//!     fn into_response(self) -> Response {
//!         (StatusCode::NOT_FOUND, "no such key").into_response()
//!     }
//! }
//!
//! type Store = Caller<String, String, NoSuchKey>;
//!
//! async fn read(store: Store, Path(key): Path<String>) -> Result<String, ErrorResponse<NoSuchKey>> {
//!     store.request(key).await
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (server, client) = ump::bounded(64)?;
//! # thread::spawn(move || {
//! #     let server: ump::Server<String, String, NoSuchKey> = server;
//! #     for (_, reply) in &server { let _ = reply.fail(NoSuchKey); }
//! # });
//! let store: Store = Caller::new(client).timeout(Duration::from_secs(5));
//! let app: Router = Router::new().route("/kv/{key}", get(read)).with_state(store);
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! # Statuses
//!
//! | outcome | status | `Retry-After` | `executed` |
//! |---|---|---|---|
//! | [`App`](ump::RequestError::App) | that of the application's error | | |
//! | [`Full`](ump::RequestError::Full), [`ServerDisappeared`](ump::RequestError::ServerDisappeared), [`NoTimer`](ump::RequestError::NoTimer) | 503 | yes | `no` |
//! | [`TimeoutQueued`](ump::RequestError::TimeoutQueued) | 504 | | `no` |
//! | [`TimeoutTaken`](ump::RequestError::TimeoutTaken) | 504 | | `perhaps` |
//! | [`NoReply`](ump::RequestError::NoReply): [`TimedOut`](ump::NoReply::TimedOut) | 504 | | `perhaps` |
//! | [`NoReply`](ump::RequestError::NoReply): the handler panicked, dropped the request, was aborted, or answered another message | 500 | | `perhaps` |
//! | [`WouldDeadlock`](ump::RequestError::WouldDeadlock) | 500 | | `no` |
//! | [`WouldDeadlockTaken`](ump::RequestError::WouldDeadlockTaken) | 500 | | `perhaps` |
//! | the HTTP client disconnects | none: axum drops the handler, which cancels the request | | |
//!
//! So 503 means that nothing was executed, and that the same request may succeed later: proxies and
//! clients may repeat it, whatever its method is. A server that restarts after a panic keeps its
//! queue: the request in hand gets 500, those in the queue wait for the next handler, or for their
//! deadline.
//!
//! # Bodies
//!
//! The body is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)):
//!
//! ```json
//! {"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the service is busy","executed":"no"}
//! ```
//!
//! It is made of fixed texts. Panic messages, names of servers and errors of the system are not in
//! it. A layer can log them: each such response has the error as an
//! [extension](http::Extensions) of the type `RequestError<(), Refused>`.
//!
//! ```
//! use axum::response::Response;
//! use ump::{Refused, RequestError};
//!
//! async fn log(response: Response) -> Response {
//!     if let Some(error) = response.extensions().get::<RequestError<(), Refused>>() {
//!         eprintln!("{error}");
//!     }
//!     response
//! }
//!
//! let app: axum::Router = axum::Router::new().layer(axum::middleware::map_response(log));
//! ```

mod caller;
mod error_response;

pub use self::{
    caller::Caller,
    error_response::{ErrorResponse, status},
};
