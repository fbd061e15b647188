//! A sink of posts.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_sink::Sink;
use ump::{Client, SendError};

use crate::admission::Admission;

/// A [`Client`] as a [`Sink`] of [posts](Client::post).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::{StreamExt, stream};
/// use ump::SendError;
/// use ump_tower::PostSink;
///
/// let (server, client) = ump::bounded::<u32, (), ()>(64)?;
/// stream::iter(1..=3).map(Ok).forward(PostSink::new(client)).await.map_err(SendError::without_message)?;
/// let received: Vec<u32> = server.stream().map(|(n, _reply)| n).collect().await;
/// assert_eq!(received, [1, 2, 3]); // and no client is left
/// # Ok(())
/// # }
/// ```
///
/// - `poll_ready` reserves room in a bounded queue: back-pressure. On an unbounded channel the sink
///   is always ready. A clone is not ready.
/// - `start_send` sends at once, and never waits. The queue keeps the order.
/// - `poll_flush` has nothing to do: what was sent is in the queue. It does not wait until a
///   handler has taken it.
/// - `poll_close` releases the client: if it is the last one, the server serves what is queued, and
///   ends.
///
/// # Errors
/// The error holds the item that was not sent, if there was one: `sink_map_err` with
/// [`SendError::without_message`] drops it.
/// - [`ServerDisappeared`](SendError::ServerDisappeared): the server is gone or closed, or the sink
///   was closed. All later items fail as well.
/// - [`TimeoutQueued`](SendError::TimeoutQueued), [`WouldDeadlock`](SendError::WouldDeadlock),
///   [`NoTimer`](SendError::NoTimer): `poll_ready` could not wait for room any longer. It is then
///   ready, and `start_send` returns the error with its item. The sink can still be used.
/// - [`Full`](SendError::Full): `start_send` was called although the sink was not ready.
///
/// # Cancel safety
/// A future of the next item (`SinkExt::send`, `feed`) that is dropped before it is ready has sent
/// nothing, or all: but the item is dropped with it. Reserved room stays reserved until the next
/// item, or until the sink is dropped, closed or [released](Self::release).
///
/// # Location
/// The handler sees the call of [`new`](Self::new) as [the caller](ump::ReplyContext::caller).
#[must_use = "sinks do nothing unless polled"]
pub struct PostSink<S: 'static, R: 'static, E: 'static>(
    /// `None` once the sink is closed.
    Option<Admission<S, R, E>>,
);

impl<S: 'static, R: 'static, E: 'static> PostSink<S, R, E> {
    /// Creates a sink that posts by `client`.
    #[track_caller]
    pub fn new(client: impl Into<Arc<Client<S, R, E>>>) -> Self {
        Self(Some(Admission::new(client.into(), true)))
    }

    /// Bounds the time within which a handler has to take an item; if none does, the item is not
    /// executed, and nobody is told. The wait for room is bounded by the same time-out. The default
    /// is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Some(admission) = &mut self.0 {
            admission.release();
            admission.options.timeout = Some(timeout);
        }
        self
    }

    /// Makes all posts [urgent](ump::Post::urgent).
    pub fn urgent(mut self) -> Self {
        if let Some(admission) = &mut self.0 {
            admission.release();
            admission.options.urgent = true;
        }
        self
    }

    /// Gives room back that `poll_ready` has reserved, or leaves the line for it. The sink is not
    /// ready then.
    pub fn release(&mut self) {
        if let Some(admission) = &mut self.0 {
            admission.release();
        }
    }
}

impl<S: 'static, R: 'static, E: 'static> Unpin for PostSink<S, R, E> {}

impl<S: 'static, R: 'static, E: 'static> Sink<S> for PostSink<S, R, E> {
    type Error = SendError<Option<S>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Some(admission) = &mut self.0 else {
            return Poll::Ready(Err(SendError::ServerDisappeared(None)));
        };
        let ready = admission.poll_ready(cx);
        ready.map_err(|error| error.map_message(|()| None))
    }

    fn start_send(mut self: Pin<&mut Self>, item: S) -> Result<(), Self::Error> {
        let Some(admission) = &mut self.0 else {
            return Err(SendError::ServerDisappeared(Some(item)));
        };
        match admission.request(item) {
            // With reserved room or without, this does not block.
            Ok(request) => {
                let sent = request.post().if_room().wait();
                sent.map_err(|error| error.map_message(Some))
            }
            Err((item, error)) => Err(error.map_message(|()| Some(item))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// The clone is not ready.
impl<S: 'static, R: 'static, E: 'static> Clone for PostSink<S, R, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for PostSink<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(admission) => f.debug_tuple("PostSink").field(admission).finish(),
            None => f.write_str("PostSink(closed)"),
        }
    }
}
