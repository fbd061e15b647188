//! Waiting for the last client to leave, without taking requests.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    channel::Channel, coop::Coop, sync::Arc, wait::wait_queue::WaiterKey, wait::waiter::Waiter,
};

/// Ready when the last client has left: from then on no request is sent. From [`Server::deserted`](crate::Server::deserted).
///
/// It does not keep the server going, and does not care whether that is closed or gone. A channel without clients stays so: a
/// [`WeakClient`](crate::WeakClient) cannot be upgraded any more.
///
/// All that the clients did before they left happens before this is ready: a request that one of them sent is found in the queue, unless it was taken.
///
/// # Cancel safety
/// It can be dropped at any time, and leaves no waker behind. Different tasks may poll it in turn; the latest is woken. Polled again when it was ready it is
/// ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Deserted<S, R, E> {
    channel: Arc<Channel<S, R, E>>,
    key: WaiterKey,
    coop: Coop,
}

impl<S, R, E> Deserted<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self {
            channel,
            key: WaiterKey::default(),
            coop: Coop::new(),
        }
    }

    /// Blocks until it is ready. No loop [watches](crate::hooks) this: a handler that waits here while something of its own keeps a client waits for ever.
    pub fn wait(self) {
        let channel = Arc::clone(&self.channel);
        channel.clock().block_on(self, None);
    }
}

impl<S, R, E> Unpin for Deserted<S, R, E> {}

impl<S, R, E> Future for Deserted<S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { channel, key, coop } = &mut *self;
        coop.poll(cx, |cx| {
            if channel.await_desertion(key, Waiter::task(cx.waker())) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl<S, R, E> Drop for Deserted<S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.channel.stop_awaiting_desertion(&mut self.key);
        }
    }
}

impl<S, R, E> fmt::Debug for Deserted<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deserted").finish_non_exhaustive()
    }
}
