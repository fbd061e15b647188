//! What takes its time: blocking or async, the same.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Clock, coop::Coop};

use crate::wait::executor::blocking;

/// Something that takes its time: [`wait`](Self::wait) for it where blocking is right, and `.await`
/// it where it is not.
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "nothing happens before it is waited for or awaited"]
pub struct Operation<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    coop: Coop,
}

impl<T> Operation<T> {
    pub(in crate::system) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            future: Box::pin(future),
            coop: Coop::new(),
        }
    }

    /// Blocks the thread until it is done. Not for code that runs on an async executor, and least
    /// of all on the one that it waits for: a current-thread runtime does not run its tasks
    /// meanwhile, so what waits for them waits until its deadline. Its error or report says so then
    /// ([`StartFailure::Blocked`](crate::system::StartFailure::Blocked),
    /// [`Report::executor_was_blocked`](crate::system::Report::executor_was_blocked)).
    #[expect(clippy::must_use_candidate, reason = "that depends on what it is")]
    pub fn wait(self) -> T {
        match blocking(|| Clock::system().block_on(self.future, None)) {
            Some(done) => done,
            None => unreachable!("there is no deadline"),
        }
    }
}

impl<T> Future for Operation<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { future, coop } = &mut *self;
        coop.poll(cx, |cx| future.as_mut().poll(cx))
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}
