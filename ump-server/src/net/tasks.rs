//! The sockets of a loop on a task: a runtime waits for the descriptor of the loop's selector, and
//! the task then asks the selector, without waiting.
//!
//! A selector is itself a descriptor that can be read when it has something to report. So these
//! loops have the same sockets, events and turns as those on threads, and their task is woken by
//! the thread that drives the runtime: on a runtime with one thread nothing crosses threads. The
//! price is one system call for each wake-up beside that of the runtime.
//!
//! # Invariants
//!
//! 1. tokio reports the descriptor once for each change. The task takes all reports of the selector
//!    before it clears that readiness, and tokio does not clear it if the descriptor was reported
//!    again meanwhile. So no report is lost.
//! 2. The task registers its waker, and announces its sleep, before it looks at what others have
//!    passed to the loop. So whoever passes something later wakes the task: see `wake`.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use super::{poller::Poller, selector::Selector};

impl Poller {
    /// The task runs: those who pass something to the loop need not wake it.
    #[inline]
    pub(crate) fn begin_poll(&self) {
        self.reactor.wake.woke_up();
    }

    /// Asks the selector, without waiting and without the runtime.
    pub(crate) fn look_at_once(&mut self) {
        self.wait_in_selector(Some(Duration::ZERO));
    }

    /// Returns whether there is an event to report. If not, the task is woken when there is: it
    /// sleeps, unless it has other things to do.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_due() {
            // They go on, and those that the selector has meanwhile come with them.
            self.look_at_once();
            return true;
        }
        loop {
            if self.is_due() || self.has_deadline_passed() {
                return true;
            }
            let Selector::Watched(selector) = &mut self.selector else {
                unreachable!("a loop on a task has the selector for a task");
            };
            match selector.poll_reports(cx, &mut self.reports) {
                Poll::Ready(Ok(())) => self.queue_reported(),
                // It is shut down, and drops this task.
                Poll::Ready(Err(_)) => return false,
                Poll::Pending if self.reactor.wake.announce_sleep() => return false,
                Poll::Pending => {}
            }
        }
    }

    fn has_deadline_passed(&self) -> bool {
        let next = self.next_deadline();
        next.is_some_and(|next| next <= self.reactor.clock.now())
    }
}
