//! Operations that a caller can block on or await.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Clock, coop::Coop};

use crate::wait::executor::blocking;

/// An operation of a system that takes time. Call [`wait`](Self::wait) where blocking is right, and
/// `.await` the operation where it is not.
///
/// # Panics
/// If the operation is polled after it was ready.
#[must_use = "an operation does nothing until `wait` or `.await`"]
pub struct Operation<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    coop: Coop,
}

impl<T> Operation<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            future: Box::pin(future),
            coop: Coop::new(),
        }
    }

    /// Blocks the thread until the operation has finished.
    ///
    /// Do not call this on an async executor, above all not on the executor that the operation
    /// waits for. A current-thread runtime does not run its tasks while its thread is blocked, so
    /// an operation that waits for these tasks waits until its deadline. Then its error or report
    /// says so ([`StartFailure::Blocked`](crate::system::StartFailure::Blocked),
    /// [`Report::executor_was_blocked`](crate::system::Report::executor_was_blocked)).
    #[expect(
        clippy::must_use_candidate,
        reason = "some operations return a report, others nothing"
    )]
    pub fn wait(self) -> T {
        match blocking(|| Clock::system().block_on(self.future, None)) {
            Some(done) => done,
            None => unreachable!("a wait without a deadline returns the output"),
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
