//! A client as a `tower::Service`.

use std::{
    fmt,
    future::{Future, IntoFuture},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tower_service::Service;
use ump::{Client, RequestError, RequestFuture, SendError};

use crate::admission::Admission;

/// A [`Client`] as a [`tower::Service`](Service): a message is the request, the reply is the
/// response.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// use std::{convert::Infallible, time::Duration};
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use ump_tower::ClientService;
///
/// let (server, client) = ump::bounded::<u32, u32, Infallible>(64)?;
/// # let server = std::thread::spawn(move || for (n, reply) in &server { let _ = reply.reply(n * n); });
/// let mut squares = ServiceBuilder::new()
///     .concurrency_limit(8)
///     .service(ClientService::new(client).timeout(Duration::from_secs(5)));
/// assert_eq!(squares.ready().await?.call(12).await?, 144);
/// # drop(squares);
/// # server.join().unwrap();
/// # Ok(())
/// # }
/// ```
///
/// # Readiness
/// `poll_ready` reserves room in a bounded queue, so a `call` that follows never waits for room.
/// The room is kept until the call, [`release`](Self::release) or the drop of the service:
/// meanwhile it is missing to all others. On an unbounded channel the service is always ready.
///
/// | | the queue is full |
/// |---|---|
/// | by default | `poll_ready` is pending until there is room: back-pressure |
/// | [`shed`](Self::shed) | `poll_ready` is ready, and the response is the error [`Full`](RequestError::Full) |
///
/// A clone is not ready, as with all services of tower. To move a ready service into a future, take
/// it by [`mem::replace`] and leave a clone. If a service is called without being ready (tower
/// allows a panic there), the request waits for room in its future, like a plain request.
///
/// Some servers poll a service for readiness before there is a request, once for each connection. A
/// bounded queue with fewer places than idle connections then has no room left: use
/// [`shed`](Self::shed) there.
///
/// A service whose `poll_ready` was pending stands in line for room. If it is then neither polled
/// nor dropped, it can receive a wake-up that another sender in line needs. This is so for all
/// services that reserve, and happens below `tower::load_shed::LoadShed` (which also takes a yield
/// of the [cooperative budget](ump::coop) for an overload): use [`shed`](Self::shed) instead, or
/// release the service.
///
/// # Errors
/// The error is a [`RequestError`] without the message, so that it converts into
/// `tower::BoxError` whatever the message is, if `E` is an error. (`E = ()` is none: see
/// [`Refused`](ump::Refused).) A layer can look for it:
/// `error.downcast_ref::<RequestError<(), E>>()`.
///
/// `poll_ready` fails only if the server is gone or closed: then all later requests fail as well,
/// and tower discards the service. All other causes that end a wait for room (a deadline, a
/// deadlock) make the service ready, and are the error of the next call.
///
/// # Cancel safety
/// Nothing is sent before the future of a call is polled. Dropping the future cancels the request:
/// if it is still queued, it is never executed; otherwise, its handler can see it. An unused
/// reservation is given back.
///
/// # Location
/// The handler sees the call of [`new`](Self::new) as [the caller](ump::ReplyContext::caller).
pub struct ClientService<S: 'static, R: 'static, E: 'static>(Admission<S, R, E>);

impl<S: 'static, R: 'static, E: 'static> ClientService<S, R, E> {
    /// Creates a service that sends by `client`. Clones of the service share the client.
    ///
    /// The service keeps the client, and so does each future of a call: the server learns that no
    /// client is left when all of them are gone.
    #[must_use]
    #[track_caller]
    pub fn new(client: impl Into<Arc<Client<S, R, E>>>) -> Self {
        Self(Admission::new(client.into(), false))
    }

    /// Bounds each request by `timeout`, from its `call`. The default is that of the
    /// [client](Client::with_timeout).
    ///
    /// The wait for room in `poll_ready` is bounded by the same time-out, from its beginning. If it
    /// passes there, the service is ready, and the next call ends at once in
    /// [`TimeoutQueued`](RequestError::TimeoutQueued).
    ///
    /// Unlike with `tower::timeout`, the error says whether the request was
    /// [executed](RequestError::executed), and the handler sees the deadline.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.release();
        self.0.options.timeout = Some(timeout);
        self
    }

    /// Makes all requests [urgent](ump::Request::urgent).
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.0.release();
        self.0.options.urgent = true;
        self
    }

    /// Sheds load: if the queue is full, the response is [`Full`](RequestError::Full) at once, and
    /// nothing was executed. The service never stands in line, and reserves no room.
    #[must_use]
    pub fn shed(mut self) -> Self {
        self.0.release();
        self.0.options.shed = true;
        self
    }

    /// Gives room back that `poll_ready` has reserved, or leaves the line for it. The service is
    /// not ready then.
    ///
    /// For a service that is kept, although it is not going to be called soon.
    pub fn release(&mut self) {
        self.0.release();
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client<S, R, E> {
        self.0.client()
    }
}

impl<S: 'static, R: 'static, E: 'static> Service<S> for ClientService<S, R, E> {
    type Response = R;
    type Error = RequestError<(), E>;
    type Future = ResponseFuture<S, R, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(RequestError::from)
    }

    fn call(&mut self, message: S) -> Self::Future {
        ResponseFuture(match self.0.request(message) {
            Ok(request) => State::Asking(request.into_future()),
            Err((_, error)) => State::Failed(error),
        })
    }
}

/// The clone is not ready.
impl<S: 'static, R: 'static, E: 'static> Clone for ClientService<S, R, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static, R: 'static, E: 'static> From<Client<S, R, E>> for ClientService<S, R, E> {
    #[track_caller]
    fn from(client: Client<S, R, E>) -> Self {
        Self::new(client)
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for ClientService<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientService").field(&self.0).finish()
    }
}

/// The future of a call of a [`ClientService`].
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// Dropping it cancels the request: see [`ClientService`].
#[must_use = "futures do nothing unless awaited"]
pub struct ResponseFuture<S: 'static, R: 'static, E: 'static>(State<S, R, E>);

enum State<S: 'static, R: 'static, E: 'static> {
    Asking(RequestFuture<'static, S, R, E>),
    Failed(SendError<()>),
    /// The outcome was returned. The client is released, although the future still exists.
    Done,
}

impl<S: 'static, R: 'static, E: 'static> Unpin for ResponseFuture<S, R, E> {}

impl<S: 'static, R: 'static, E: 'static> Future for ResponseFuture<S, R, E> {
    type Output = Result<R, RequestError<(), E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Asking(asking) = &mut self.0 {
            let outcome = ready!(Pin::new(asking).poll(cx));
            self.0 = State::Done;
            return Poll::Ready(outcome.map_err(RequestError::without_message));
        }
        match mem::replace(&mut self.0, State::Done) {
            State::Failed(error) => Poll::Ready(Err(error.into())),
            State::Asking(_) | State::Done => panic!("polled after it was ready"),
        }
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for ResponseFuture<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Asking(asking) => f.debug_tuple("ResponseFuture").field(asking).finish(),
            State::Failed(error) => f.debug_tuple("ResponseFuture").field(error).finish(),
            State::Done => f.write_str("ResponseFuture(done)"),
        }
    }
}
