//! Waiting for the end of a server, without asking it anything.

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

/// Ready when the server is gone or [closed](crate::Server::close): from then on no request is let
/// in. From [`Client::closed`](crate::Client::closed).
///
/// It does not keep the channel going, and does not care whether clients are left. Who waits is
/// told before the requests that are turned down are.
///
/// # Cancel safety
/// It can be dropped at any time, and be polled by different tasks in turn; the latest is woken.
/// Polled again when it was ready it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<S, R, E>(ChannelEvent<ServerClosed, S, R, E>);

/// The server is gone or closed.
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

    /// Blocks until then. No loop [watches](crate::hooks) this: a handler that waits here for its
    /// own server does so until somebody else closes that, or for ever.
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
