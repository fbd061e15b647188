//! Posts by a client as a `tower::Service`.

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
use ump::{Client, SendError};

use crate::admission::Admission;

/// A [`Client`] as a [`tower::Service`](Service) of [posts](Client::post): the response is `()` as
/// soon as the queue has accepted the message. The replies are dropped.
///
/// Readiness, clones, cancel safety and the location are those of
/// [`ClientService`](crate::ClientService). The error is a [`SendError`] without the message: the
/// message was not executed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower::{Service, ServiceExt};
/// use ump_tower::PostService;
///
/// let (server, client) = ump::bounded::<&str, (), ()>(64)?;
/// let mut log = PostService::new(client);
/// log.ready().await?.call("hello").await?;
/// assert_eq!(server.wait().unwrap().0, "hello");
/// # Ok(())
/// # }
/// ```
pub struct PostService<S: 'static, R: 'static, E: 'static>(Admission<S, R, E>);

impl<S: 'static, R: 'static, E: 'static> PostService<S, R, E> {
    /// Creates a service that posts by `client`. Clones of the service share the client.
    #[must_use]
    #[track_caller]
    pub fn new(client: impl Into<Arc<Client<S, R, E>>>) -> Self {
        Self(Admission::new(client.into(), true))
    }

    /// Bounds the time from the `call` within which a handler has to take the post; if none does,
    /// the post is not executed, and nobody is told. The default is no limit: the client's default
    /// time-out does not apply to posts.
    ///
    /// The wait for room in `poll_ready` is bounded by the same time-out: see
    /// [`ClientService::timeout`](crate::ClientService::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.release();
        self.0.options.timeout = Some(timeout);
        self
    }

    /// Makes all posts [urgent](ump::Post::urgent).
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.0.release();
        self.0.options.urgent = true;
        self
    }

    /// Sheds load: see [`ClientService::shed`](crate::ClientService::shed).
    #[must_use]
    pub fn shed(mut self) -> Self {
        self.0.release();
        self.0.options.shed = true;
        self
    }

    /// Gives reserved room back: see [`ClientService::release`](crate::ClientService::release).
    pub fn release(&mut self) {
        self.0.release();
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client<S, R, E> {
        self.0.client()
    }
}

impl<S: 'static, R: 'static, E: 'static> Service<S> for PostService<S, R, E> {
    type Response = ();
    type Error = SendError<()>;
    type Future = PostFuture<S, R, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, message: S) -> Self::Future {
        PostFuture(match self.0.request(message) {
            Ok(request) => State::Sending(request.post().into_future()),
            Err((_, error)) => State::Failed(error),
        })
    }
}

/// The clone is not ready.
impl<S: 'static, R: 'static, E: 'static> Clone for PostService<S, R, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for PostService<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostService").field(&self.0).finish()
    }
}

/// The future of a call of a [`PostService`].
///
/// # Panics
/// Panics if it is polled after it was ready.
///
/// # Cancel safety
/// If it is dropped before it is ready, nothing was sent.
#[must_use = "futures do nothing unless awaited"]
pub struct PostFuture<S: 'static, R: 'static, E: 'static>(State<S, R, E>);

enum State<S: 'static, R: 'static, E: 'static> {
    Sending(ump::PostFuture<'static, S, R, E>),
    Failed(SendError<()>),
    Done,
}

impl<S: 'static, R: 'static, E: 'static> Unpin for PostFuture<S, R, E> {}

impl<S: 'static, R: 'static, E: 'static> Future for PostFuture<S, R, E> {
    type Output = Result<(), SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Sending(sending) = &mut self.0 {
            let sent = ready!(Pin::new(sending).poll(cx));
            self.0 = State::Done;
            return Poll::Ready(sent.map_err(SendError::without_message));
        }
        match mem::replace(&mut self.0, State::Done) {
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Sending(_) | State::Done => panic!("polled after it was ready"),
        }
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for PostFuture<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Sending(_) => "PostFuture(sending)",
            State::Failed(_) => "PostFuture(failed)",
            State::Done => "PostFuture(done)",
        })
    }
}
