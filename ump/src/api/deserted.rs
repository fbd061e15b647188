//! Waiting until the last client is dropped, without taking requests.

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

/// A future that resolves when the last client is dropped. From then on, no request is sent. From
/// [`Server::deserted`](crate::Server::deserted).
///
/// The future does not keep the server alive, and does not depend on whether the server is closed
/// or gone. A channel without clients stays so: a [`WeakClient`](crate::WeakClient) cannot be
/// upgraded any more.
///
/// Everything that the clients did before they were dropped happens before the future is ready: a
/// request that a client has sent is in the queue, unless it was taken.
///
/// # Cancel safety
/// The future can be dropped at any time, and leaves no waker behind. Different tasks may poll it
/// in turn; the latest is woken. If it is polled again after it was ready, it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Deserted<S, R, E>(ChannelEvent<ClientsLeft, S, R, E>);

/// The event that the last client is dropped.
struct ClientsLeft;

impl Event for ClientsLeft {
    fn register<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey, waiter: Waiter) -> bool {
        channel.await_desertion(key, waiter)
    }

    fn remove<S, R, E>(channel: &Channel<S, R, E>, key: &mut WaiterKey) {
        channel.stop_awaiting_desertion(key);
    }
}

impl<S, R, E> Deserted<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self(ChannelEvent::new(channel))
    }

    /// Blocks until the last client is dropped.
    ///
    /// No loop [watches](crate::hooks) this wait: a handler that waits here while a value of its
    /// own keeps a client waits for ever.
    pub fn wait(self) {
        self.0.wait();
    }
}

impl<S, R, E> Future for Deserted<S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<S, R, E> fmt::Debug for Deserted<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deserted").finish_non_exhaustive()
    }
}
