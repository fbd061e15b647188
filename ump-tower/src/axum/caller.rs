//! The client of a handler.

use std::{convert::Infallible, fmt, panic::Location, sync::Arc, time::Duration};

use axum_core::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use ump::{Client, RequestError, WeakClient};

use crate::axum::ErrorResponse;

/// A client for handlers of axum: it is in the state, and each handler extracts it.
///
/// It has the options of a server behind HTTP. A full queue is an error at once, unless the caller
/// [waits for room](Self::wait_for_room): an HTTP client should learn of an overload early. A
/// deadline bounds each request if the caller has a [time-out](Self::timeout) or the client has
/// one. Errors are [responses](ErrorResponse).
///
/// A state of several parts implements `FromRef` for it, as for `State`:
///
/// ```
/// use axum::{Router, extract::FromRef, routing::get};
/// use std::convert::Infallible;
/// use ump_tower::axum::{Caller, ErrorResponse};
///
/// type Clock = Caller<(), u64, Infallible>;
///
/// #[derive(Clone)]
/// struct App {
///     clock: Clock,
///     greeting: &'static str,
/// }
///
/// impl FromRef<App> for Clock {
///     fn from_ref(app: &App) -> Self {
///         app.clock.clone()
///     }
/// }
///
/// async fn now(clock: Clock) -> Result<String, ErrorResponse<Infallible>> {
///     Ok(clock.request(()).await?.to_string())
/// }
///
/// # let (server, client) = ump::channel();
/// let app = App { clock: Caller::new(client), greeting: "hello" };
/// let router: Router = Router::new().route("/", get(now)).with_state(app);
/// # drop((router, server));
/// ```
///
/// # Cancel safety
/// If the HTTP client disconnects, axum drops the handler. That cancels the request: if it is still
/// queued, it is never executed; otherwise, its handler can see it.
pub struct Caller<S: 'static, R: 'static, E: 'static> {
    client: Handle<S, R, E>,
    timeout: Option<Duration>,
    waits_for_room: bool,
    retry_after: Duration,
}

enum Handle<S: 'static, R: 'static, E: 'static> {
    Strong(Arc<Client<S, R, E>>),
    Weak(WeakClient<S, R, E>),
}

impl<S: 'static, R: 'static, E: 'static> Caller<S, R, E> {
    /// Creates a caller. Clones of it share the client.
    ///
    /// The server learns that no client is left when the router, its connections and all clones are
    /// gone. See [`weak`](Self::weak).
    #[must_use]
    pub fn new(client: impl Into<Arc<Client<S, R, E>>>) -> Self {
        Self::of(Handle::Strong(client.into()))
    }

    /// Creates a caller that does not keep the server alive: when all other clients are gone, the
    /// server serves what is queued and ends, although connections are still open. Later requests
    /// end in [`ServerDisappeared`](RequestError::ServerDisappeared). A request in flight is a
    /// client meanwhile.
    ///
    /// Each request makes a client, which takes one or two allocations.
    #[must_use]
    pub fn weak(client: WeakClient<S, R, E>) -> Self {
        Self::of(Handle::Weak(client))
    }

    fn of(client: Handle<S, R, E>) -> Self {
        Self {
            client,
            timeout: None,
            waits_for_room: false,
            retry_after: Duration::from_secs(1),
        }
    }

    /// Bounds each request by `timeout`, from the call of [`request`](Self::request). The default
    /// is that of the [client](Client::with_timeout).
    ///
    /// A handler can set another one: `store.timeout(LONG).request(..)`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits for room if the queue is full, until the deadline. The default is to end in
    /// [`Full`](RequestError::Full) at once.
    #[must_use]
    pub fn wait_for_room(mut self) -> Self {
        self.waits_for_room = true;
        self
    }

    /// Sets the time after which HTTP clients should try again: see
    /// [`ErrorResponse::retry_after`].
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = pause;
        self
    }

    /// Returns the client, for requests with other options. `None` if this caller is
    /// [weak](Self::weak) and no client is left.
    #[must_use]
    pub fn client(&self) -> Option<Arc<Client<S, R, E>>> {
        match &self.client {
            Handle::Strong(client) => Some(Arc::clone(client)),
            Handle::Weak(client) => client.upgrade().map(Arc::new),
        }
    }

    /// Sends a message and awaits the reply. Nothing is sent before the first poll.
    ///
    /// The server's handler sees the location of this call as
    /// [the caller](ump::ReplyContext::caller).
    ///
    /// # Errors
    /// Returns the response for the [`RequestError`]. The message is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    #[track_caller]
    pub fn request(
        &self,
        message: S,
    ) -> impl Future<Output = Result<R, ErrorResponse<E>>> + use<S, R, E> {
        let caller = Location::caller();
        let request = self.client().map(|client| {
            let mut request = Client::request_owned(client, message).on_behalf_of(caller);
            if let Some(timeout) = self.timeout {
                request = request.timeout(timeout);
            }
            if !self.waits_for_room {
                request = request.if_room();
            }
            request
        });
        let retry_after = self.retry_after;
        async move {
            let reply = match request {
                Some(request) => request.await.map_err(ErrorResponse::from),
                None => Err(RequestError::ServerDisappeared(()).into()),
            };
            reply.map_err(|response| response.retry_after(retry_after))
        }
    }
}

impl<S, R, E, App> FromRequestParts<App> for Caller<S, R, E>
where
    Self: FromRef<App>,
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    App: Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::from_ref(app))
    }
}

impl<S: 'static, R: 'static, E: 'static> Clone for Caller<S, R, E> {
    fn clone(&self) -> Self {
        Self {
            client: match &self.client {
                Handle::Strong(client) => Handle::Strong(Arc::clone(client)),
                Handle::Weak(client) => Handle::Weak(client.clone()),
            },
            ..*self
        }
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for Caller<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("timeout", &self.timeout)
            .field("waits_for_room", &self.waits_for_room)
            .finish_non_exhaustive()
    }
}
