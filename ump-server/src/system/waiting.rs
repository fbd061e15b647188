//! What takes its time: blocking or async, the same.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use ump::Clock;

use crate::blocking::blocking;

/// Something that takes its time: [`wait`](Self::wait) for it where blocking is right, and `.await` it where it is not.
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "nothing happens before it is waited for or awaited"]
pub struct Waiting<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Waiting<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// Blocks the thread until it is done. Not for code that runs on an async executor, and least of all on the one that it waits for: a current-thread
    /// runtime does not run its tasks meanwhile, so what waits for them waits until its deadline. Its error or report says so then
    /// ([`NotUp::Blocked`](super::NotUp::Blocked), [`Report::executor_was_blocked`](super::Report::executor_was_blocked)).
    #[expect(clippy::must_use_candidate, reason = "that depends on what it is")]
    pub fn wait(self) -> T {
        match blocking(|| Clock::system().block_on(self.0, None)) {
            Some(done) => done,
            None => unreachable!("there is no deadline"),
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// What comes of the future by this time; nothing if it is not ready by then. Without a deadline it waits for ever.
pub(super) async fn by<F: Future>(
    clock: &Clock,
    deadline: Option<Instant>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut late = deadline.map(|deadline| clock.sleep_until(deadline));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        // Should the system refuse the thread that would wake us, it is late already: better than to wait for ever.
        match &mut late {
            Some(late) => Pin::new(late).poll(cx).map(|_| None),
            None => Poll::Pending,
        }
    })
    .await
}
