//! A call of a handler on a task. Each poll of the call is a turn.
//!
//! A call can be *cut*: its future is dropped where it waits, because the loop is aborted or
//! because the call has taken too long. A caller to whom the call owed a reply then gets the
//! reason.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use ump::{Clock, NoReply};

use super::sleep::NextSleep;
use crate::{
    catch::catch_user_panic,
    deadlock::awaits::{Awaits, Progress},
    observe::CallOutcome,
    worker::recorder::WorkerRecorder,
    worker::stop::Aborts,
};

/// The state that the calls of a worker share.
pub(super) struct CallContext {
    pub(super) awaits: Arc<Awaits>,
    aborts: Arc<Aborts>,
    /// The number of aborts that do not cut the calls of this worker: 0 while it serves; 1 in its
    /// clean-up, if the loop was aborted before that.
    ///
    /// ORDERING: Relaxed, since only the worker's own task accesses it.
    known: AtomicU64,
}

impl CallContext {
    /// Creates the state for the task with this waker.
    pub(super) fn new(awaits: Awaits, aborts: &Arc<Aborts>, task: Waker) -> Self {
        aborts.add(task);
        Self {
            awaits: Arc::new(awaits),
            aborts: Arc::clone(aborts),
            known: AtomicU64::new(0),
        }
    }

    /// Begins the clean-up: only a further abort cuts the calls that follow. A second abort that
    /// came before the first one was noticed is a further one.
    pub(super) fn begin_clean_up(&self) {
        let known = self.aborts.count().min(1);
        self.known.store(known, Ordering::Relaxed);
    }

    #[inline]
    fn is_to_abort(&self) -> bool {
        self.aborts.count() > self.known.load(Ordering::Relaxed)
    }
}

/// The reason why a call was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    Aborted,
    TimedOut,
}

impl CallError {
    /// Returns the error for a caller to whom the call owed a reply.
    pub(super) fn reason(self) -> NoReply {
        match self {
            Self::Aborted => NoReply::Aborted,
            Self::TimedOut => NoReply::TimedOut,
        }
    }

    /// Returns how the call ended: `settled`, or the reason of the cut if the call had left its
    /// request open.
    pub(super) fn outcome(self, settled: CallOutcome) -> CallOutcome {
        match (settled, self) {
            (CallOutcome::NoReply, Self::Aborted) => CallOutcome::Aborted,
            (CallOutcome::NoReply, Self::TimedOut) => CallOutcome::TimedOut,
            (settled, _) => settled,
        }
    }
}

/// The time limit of a call, and the sleep that wakes the task then.
pub(super) struct Limit<'a> {
    pub(super) clock: &'a Clock,
    pub(super) until: Instant,
    pub(super) sleep: &'a mut NextSleep,
}

/// Calls the handler for something other than a request: the async counterpart of
/// [`WorkerRecorder::call`].
pub(super) async fn call_handler<F: Future>(
    recorder: &mut WorkerRecorder,
    calls: &CallContext,
    kind: &'static str,
    call: impl FnOnce() -> F,
) -> Result<F::Output, CallError> {
    recorder.begin_other(kind);
    let call = pin!(Some(call()));
    let result = HandlerCall::new(recorder, calls, call, None).await;
    let left_open = CallOutcome::NoReply;
    recorder.end(
        result
            .as_ref()
            .map_or_else(|cut| cut.outcome(left_open), |_| left_open),
    );
    result
}

/// The future of a call that has begun.
pub(super) struct HandlerCall<'a, F> {
    recorder: &'a mut WorkerRecorder,
    calls: &'a CallContext,
    /// The handler's future. It is dropped with this one, and a panic of its drop is caught.
    call: Pin<&'a mut Option<F>>,
    limit: Option<Limit<'a>>,
    progress: Progress,
    /// The error for a caller to whom the call owes a reply when it is dropped. `None` if the call
    /// has returned.
    reason: Option<NoReply>,
}

impl<'a, F> HandlerCall<'a, F> {
    pub(super) fn new(
        recorder: &'a mut WorkerRecorder,
        calls: &'a CallContext,
        call: Pin<&'a mut Option<F>>,
        limit: Option<Limit<'a>>,
    ) -> Self {
        Self {
            recorder,
            calls,
            call,
            limit,
            progress: Progress::default(),
            // For an abort, and for a runtime that is shut down and drops the call.
            reason: Some(NoReply::Aborted),
        }
    }
}

/// Reports the end of the wait before it drops the handler's future.
impl<F> Drop for HandlerCall<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.calls.awaits.end(&mut self.progress);
        match self.reason.take() {
            None => catch_user_panic(|| self.call.set(None)),
            Some(reason) => reason.scope(|| catch_user_panic(|| self.call.set(None))),
        }
    }
}

impl<F: Future> Future for HandlerCall<'_, F> {
    type Output = Result<F::Output, CallError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            recorder,
            calls,
            call,
            limit,
            progress,
            reason,
        } = &mut *self;
        if calls.is_to_abort() {
            calls.aborts.note(recorder.in_hand());
            return Poll::Ready(Err(CallError::Aborted));
        }
        let awaits = &calls.awaits;
        awaits.polls();
        if let Some(waker) = awaits.begin_poll(progress, cx.waker()) {
            let call = call
                .as_mut()
                .as_pin_mut()
                .expect("the handler's future is there until the drop");
            let polled = recorder.run(|| call.poll(&mut Context::from_waker(waker)));
            recorder.pause();
            if let Poll::Ready(output) = polled {
                awaits.polled_call(false);
                *reason = None;
                return Poll::Ready(Ok(output));
            }
            awaits.waits(progress);
        }
        awaits.polled_call(true);
        let Some(Limit {
            clock,
            until,
            sleep,
        }) = limit
        else {
            return Poll::Pending;
        };
        sleep.poll(clock, Some(*until), cx).map(|slept| {
            assert_timer(clock, slept);
            *reason = Some(NoReply::TimedOut);
            Err(CallError::TimedOut)
        })
    }
}

/// Checks the result of a timer's sleep.
///
/// # Panics
/// Panics if the sleep failed. On the system's clock the operating system has refused the timer
/// thread; any other clock has failed by itself, as a `runtime_clock` does when its runtime is shut
/// down.
pub(super) fn assert_timer(clock: &Clock, slept: io::Result<()>) {
    let Err(error) = slept else {
        return;
    };
    let what = if *clock == Clock::system() {
        "the operating system refused the timer thread"
    } else {
        "its clock failed"
    };
    panic!("the loop has no timers: {what}: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(11))
    }

    #[test]
    #[should_panic(expected = "the operating system refused the timer thread: ")]
    fn system_clock_has_no_thread() {
        assert_timer(&Clock::system(), refusal());
    }

    #[test]
    #[should_panic(expected = "its clock failed: ")]
    fn other_clock_fails_by_itself() {
        assert_timer(&ump::ManualClock::new().clock(), refusal());
    }
}
