//! Waiting until no client is left and no request is queued, without taking requests.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    channel::Channel,
    coop::Coop,
    sync::Arc,
    time::sleep::Sleep,
    wait::wait_queue::WaiterKey,
    wait::waiter::{Waiter, request_repoll},
};

/// A future that resolves when no client is left and no request is queued. From
/// [`Server::drained`](crate::Server::drained).
///
/// The future does not keep the server alive, and resolves for a server that is closed or gone as
/// well. A drained channel stays drained.
///
/// An expired request is turned down by the poll that finds it first in its lane. If the request is
/// a post, that poll drops its message. If the system refuses to start the timer thread, an expired
/// request counts as queued until something else leaves the queue.
///
/// # Cancel safety
/// The future can be dropped at any time, and leaves no waker behind. Different tasks may poll it
/// in turn; the latest is woken. If it is polled again after it was ready, it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Drained<S, R, E> {
    channel: Arc<Channel<S, R, E>>,
    key: WaiterKey,
    /// The sleep until the first deadline of the queued requests.
    sleep: Option<Sleep>,
    coop: Coop,
}

impl<S, R, E> Drained<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self {
            channel,
            key: WaiterKey::default(),
            sleep: None,
            coop: Coop::new(),
        }
    }

    /// Blocks until no client is left and no request is queued.
    ///
    /// No loop [watches](crate::hooks) this wait: a handler that waits here while a value of its
    /// own keeps a client waits for ever.
    pub fn wait(self) {
        let channel = Arc::clone(&self.channel);
        channel.clock().block_on(self, None);
    }

    /// Returns when a queued request expires, as far as the last poll found out. `None` means that
    /// clients were left at that poll, or that no queued request has a deadline.
    #[must_use]
    pub fn expiry(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }
}

impl<S, R, E> Unpin for Drained<S, R, E> {}

impl<S, R, E> Future for Drained<S, R, E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            channel,
            key,
            sleep,
            coop,
        } = &mut *self;
        coop.poll(cx, |cx| {
            let Err(expiry) = channel.await_drain(key, Waiter::task(cx.waker())) else {
                *sleep = None;
                return Poll::Ready(());
            };
            if sleep.as_ref().map(Sleep::deadline) != expiry {
                *sleep = expiry.map(|at| channel.clock().sleep_until(at));
            }
            let slept = sleep.as_mut().map(|sleep| Pin::new(sleep).poll(cx));
            if let Some(Poll::Ready(Ok(()))) = slept {
                *sleep = None;
                request_repoll(cx.waker());
            }
            Poll::Pending
        })
    }
}

impl<S, R, E> Drop for Drained<S, R, E> {
    fn drop(&mut self) {
        if self.key.is_taken() {
            self.channel.stop_awaiting_desertion(&mut self.key);
        }
    }
}

impl<S, R, E> fmt::Debug for Drained<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").finish_non_exhaustive()
    }
}
