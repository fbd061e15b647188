//! Waiting until a server is gone or closed, without sending a request.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    api::channel_event::{ChannelEvent, Event},
    channel::Channel,
    sync::Arc,
    wait::wait_queue::WaiterKey,
    wait::waiter::Waiter,
};

/// A future that resolves when the server is gone or [closed](crate::Server::close). From then on,
/// the channel accepts no request. From [`Client::closed`](crate::Client::closed).
///
/// The future does not keep the channel alive, and does not depend on whether clients are left. Its
/// waiters are woken before the callers of the requests that are turned down.
///
/// # Cancel safety
/// The future can be dropped at any time. Different tasks may poll it in turn; the latest is woken.
/// If it is polled again after it was ready, it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<S, R, E>(ChannelEvent<ServerClosed, S, R, E>);

/// The event that the server is gone or closed.
struct ServerClosed;

impl Event for ServerClosed {
    fn register<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey, waiter: Waiter) -> bool {
        channel.await_close(key, waiter)
    }

    fn remove<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey) {
        channel.stop_awaiting_close(key);
    }
}

impl<S, R, E> Closed<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self(ChannelEvent::new(channel))
    }

    /// Blocks until the server is gone or closed.
    ///
    /// No loop [watches](crate::hooks) this wait: a handler that waits here for its own server does
    /// so until another thread or task closes that server, or for ever.
    pub fn wait(self) {
        self.0.wait();
    }
}

impl<S, R, E> Future for Closed<S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<S, R, E> fmt::Debug for Closed<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}
