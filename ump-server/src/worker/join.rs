//! The end of a loop, and the handle that waits for it.
//!
//! The end of a loop is the reply to a request, and the handle waits for the reply, from blocking
//! or async code. If a loop disappears without reporting its end, that request ends without a
//! reply.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ump::{
    Clock, RequestError,
    coop::consume_budget,
    hooks::{self, ChannelId, Cycle, Wait},
};

use crate::{
    sync::{ThreadHandle, join_thread},
    wait::executor::{EXECUTOR, blocks_an_executor},
    worker::{
        join_error::{JoinError, JoinErrorKind},
        question::Reply,
        stop::Stopper,
    },
};

/// Waits for the end of a loop: call [`join`](Self::join), or await the handle. If the handle is
/// dropped, the loop goes on.
///
/// A handler that waits for the end of its own loop, or of a loop whose handler waits for it, would
/// wait for itself. If that is [certain](crate#which-deadlocks-end-in-an-error), the handler gets
/// [`JoinErrorKind::WouldDeadlock`].
///
/// # Panics
/// Panics if it is polled or joined after a poll was ready.
///
/// # Cancel safety
/// The handle can be awaited by reference (`(&mut handle).await`). If that future is dropped, the
/// handle can be awaited again.
#[must_use = "join the loop to learn how it ended"]
pub struct JoinHandle<RV> {
    stopper: Stopper,
    /// `None` if the loop is known to have started.
    started: Option<Reply<(), ()>>,
    ended: Reply<Option<RV>, JoinError>,
    /// The threads of the loop's workers. Empty if the workers are tasks.
    threads: Vec<ThreadHandle<()>>,
    /// The channel of the loop.
    channel: ChannelId,
    /// Whether a task has been registered to be woken at the end.
    has_left_word: bool,
}

impl<RV> JoinHandle<RV> {
    pub(crate) fn new(
        stopper: Stopper,
        started: Reply<(), ()>,
        ended: Reply<Option<RV>, JoinError>,
        channel: ChannelId,
    ) -> Self {
        Self {
            stopper,
            started: Some(started),
            ended,
            threads: Vec::new(),
            channel,
            has_left_word: false,
        }
    }

    /// Blocks until the loop has ended and its clean-up is done. Returns the value of the handler's
    /// `Break` (or what `term` made of it), or `None` if no client was left or the loop was
    /// stopped.
    ///
    /// A loop on threads has ended when its threads have ended, with the destructors of their
    /// thread-locals, as with [`std::thread::JoinHandle::join`]. This holds for this method only.
    /// If the handle is awaited, it is ready when the clean-up is done, and these destructors may
    /// still run. They may also still run at the end of
    /// [`System::stop`](crate::system::System::stop).
    ///
    /// As long as there is a client, the loop goes on and this method waits. A client that the
    /// handler itself has kept counts as well, for instance that of its build closure.
    ///
    /// On the thread of a current-thread runtime that runs the loop, this method never returns,
    /// because the loop does not run meanwhile. Await the handle instead.
    ///
    /// # Errors
    /// See [`JoinErrorKind`].
    pub fn join(self) -> Result<Option<RV>, JoinError> {
        let Self {
            stopper,
            ended,
            channel,
            threads,
            ..
        } = self;
        let announced = if ended.is_ready() {
            None
        } else {
            let announced = hooks::announce(&Wait::for_end(channel, ended.id()));
            Some(announced.map_err(|cycle| would_deadlock(&stopper, cycle))?)
        };
        let unwatched = hooks::unwatched();
        let outcome = ended.wait();
        drop((unwatched, announced));
        // All threads are past the end of their loop.
        threads.into_iter().for_each(join_thread);
        outcome.map_err(|error| explain(&stopper, error))
    }

    /// Blocks until the loop has ended and its clean-up is done, at most for `timeout`. Returns the
    /// handle if the loop has not ended in time.
    ///
    /// Unlike [`join`](Self::join), this method does not wait for the destructors of thread-locals,
    /// which have no time limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump_server::thread;
    ///
    /// let (client, handle) = thread::serve(thread::reply(|n: u32| n + 1));
    /// let handle = handle.join_timeout(Duration::from_millis(1)).unwrap_err();
    /// drop(client);
    /// assert_eq!(handle.join_timeout(Duration::from_secs(60)).unwrap(), Ok(None));
    /// ```
    ///
    /// # Errors
    /// The outer error is the handle, if the loop has not ended in time. For the inner error see
    /// [`JoinErrorKind`]: it may be [`WouldDeadlock`](JoinErrorKind::WouldDeadlock), as with
    /// `join`.
    #[expect(clippy::result_large_err, reason = "it gives the handle back")]
    pub fn join_timeout(
        mut self,
        timeout: Duration,
    ) -> Result<Result<Option<RV>, JoinError>, Self> {
        let clock = Clock::system();
        // A deadline that the clock cannot represent is none.
        let deadline = clock.now().checked_add(timeout);
        let announced = if self.ended.is_ready() {
            None
        } else {
            let wait = Wait::for_end(self.channel, self.ended.id());
            match hooks::announce(&wait.until(deadline, &clock)) {
                Ok(announced) => Some(announced),
                Err(cycle) => return Ok(Err(would_deadlock(&self.stopper, cycle))),
            }
        };
        let unwatched = hooks::unwatched();
        let waited = self.ended.wait_timeout(timeout);
        drop((unwatched, announced));
        match waited {
            Ok(outcome) => Ok(outcome.map_err(|error| explain(&self.stopper, error))),
            Err(pending) => {
                self.ended = pending;
                Err(self)
            }
        }
    }

    /// Reports to the watcher of this thread that a task waits for the end, until `deadline`.
    /// Returns the waker to wait with, if it is not the given one.
    pub(crate) fn announce(
        &mut self,
        waker: &Waker,
        deadline: Option<Instant>,
        clock: &Clock,
    ) -> Result<Option<Waker>, Cycle> {
        let wait = Wait::for_end(self.channel, self.ended.id());
        let wait = wait.until(deadline, clock).again(self.has_left_word);
        let exchanged = hooks::announce_poll(&wait, waker)?;
        self.has_left_word = true;
        Ok(exchanged)
    }

    /// Blocks until `init` is done in all workers of the loop, at most for `timeout`.
    ///
    /// # Errors
    /// - [`LoopStartError::Late`] if the loop has not started in time;
    /// - [`LoopStartError::Blocked`] if, in addition, this call blocks the thread of a
    ///   current-thread runtime;
    /// - [`LoopStartError::Ended`] if the loop ended before it had started.
    pub fn wait_started(&mut self, timeout: Duration) -> Result<(), LoopStartError> {
        let Some(started) = self.started.take() else {
            return Ok(());
        };
        match started.wait_timeout(timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(LoopStartError::Ended),
            Err(pending) => {
                self.started = Some(pending);
                Err(if blocks_an_executor() {
                    LoopStartError::Blocked
                } else {
                    LoopStartError::Late
                })
            }
        }
    }

    /// Waits until `init` is done in all workers of the loop.
    ///
    /// # Errors
    /// [`LoopStartError::Ended`] if the loop ended before it had started.
    ///
    /// # Cancel safety
    /// If the future is dropped, the method can be called again.
    pub async fn started(&mut self) -> Result<(), LoopStartError> {
        let Some(started) = &mut self.started else {
            consume_budget().await;
            return Ok(());
        };
        let up = started.await.is_ok();
        self.started = None;
        if up {
            Ok(())
        } else {
            Err(LoopStartError::Ended)
        }
    }

    /// Returns the name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stopper.name()
    }

    /// Adds a thread of the loop, for which [`join`](Self::join) waits.
    pub(crate) fn add_thread(&mut self, thread: ThreadHandle<()>) {
        self.threads.push(thread);
    }

    /// Returns whether the loop has ended and its clean-up is done. Joining it then blocks only for
    /// the destructors of thread-locals.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ended.is_ready()
    }

    /// Returns the handle that stops the loop, from anywhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

/// Waits for the end of the loop without blocking. See [`join`](Self::join).
impl<RV> Future for JoinHandle<RV> {
    type Output = Result<Option<RV>, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let exchanged = if this.ended.is_ready() {
            None
        } else {
            let announced = this.announce(cx.waker(), None, &Clock::system());
            match announced {
                Ok(exchanged) => exchanged,
                Err(cycle) => return Poll::Ready(Err(would_deadlock(&this.stopper, cycle))),
            }
        };
        let _unwatched = hooks::unwatched();
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        Pin::new(&mut this.ended)
            .poll(&mut Context::from_waker(waker))
            .map_err(|error| explain(&this.stopper, error))
    }
}

impl<RV> fmt::Debug for JoinHandle<RV> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Returns the error of a loop. If the loop did not report its end, it was not allowed to finish.
fn explain(stopper: &Stopper, error: RequestError<(), JoinError>) -> JoinError {
    error
        .into_apperr()
        .unwrap_or_else(|| JoinError::new(stopper.shared_name(), JoinErrorKind::Aborted))
}

fn would_deadlock(stopper: &Stopper, cycle: Cycle) -> JoinError {
    JoinError::new(stopper.shared_name(), JoinErrorKind::WouldDeadlock(cycle))
}

/// The reason why a loop is not known to have started.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LoopStartError {
    /// The loop is still starting.
    #[error("the server did not start in time, and is still starting")]
    Late,
    /// The loop is still starting, and the caller blocks the thread of a current-thread runtime.
    /// The tasks of that runtime do not run meanwhile: await [`started`](JoinHandle::started)
    /// instead.
    #[error("the server did not start in time, and {EXECUTOR}")]
    Blocked,
    /// The loop has ended without having started. Joining it returns the reason.
    #[error("the server ended before it had started: join it for the reason")]
    Ended,
}
