//! Waiting for the end of a server, without asking it anything.

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

/// Ready when the server is gone or [closed](crate::Server::close): from then on no request is let in. From
/// [`Client::closed`](crate::Client::closed).
///
/// It does not keep the channel going, and does not care whether clients are left. Who waits is told before the requests that are turned down are.
///
/// # Cancel safety
/// It can be dropped at any time, and be polled by different tasks in turn; the latest is woken. Polled again when it was ready it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<S, R, E> {
    channel: Arc<Channel<S, R, E>>,
    key: WaiterKey,
    coop: Coop,
}

impl<S, R, E> Closed<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self {
            channel,
            key: WaiterKey::default(),
            coop: Coop::new(),
        }
    }

    /// Blocks until it is ready. No loop [watches](crate::hooks) this: a handler that waits here for its own server does so until somebody else closes that, or for ever.
    pub fn wait(self) {
        let channel = Arc::clone(&self.channel);
        channel.clock().block_on(self, None);
    }
}

impl<S, R, E> Unpin for Closed<S, R, E> {}

impl<S, R, E> Future for Closed<S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { channel, key, coop } = &mut *self;
        coop.poll(cx, |cx| {
            if channel.await_close(key, Waiter::task(cx.waker())) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl<S, R, E> Drop for Closed<S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.channel.stop_awaiting_close(&mut self.key);
        }
    }
}

impl<S, R, E> fmt::Debug for Closed<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}
