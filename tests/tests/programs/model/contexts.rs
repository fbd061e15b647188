//! Handlers: replies, dropped contexts, and watching the caller.

use std::task::Poll;

use super::{Completion, Model, Request, State};
use crate::program::Deadline;

impl Model {
    pub(crate) fn is_cancelled(&self, r: usize) -> bool {
        let request = &self.requests[r];
        !request.post && (request.abandoned || self.is_late(r))
    }

    /// Replies by a handler. Returns whether the reply is accepted.
    pub(crate) fn answer(&mut self, r: usize, value: usize, ok: bool) -> bool {
        let (completion, column) = if ok {
            (Completion::Reply(value), &mut self.stats.replied)
        } else {
            (Completion::App(value), &mut self.stats.failed)
        };
        let request = &mut self.requests[r];
        if request.post || !request.abandoned {
            *column += 1;
        }
        if request.post || request.abandoned {
            let post = request.post;
            request.state = State::Over;
            self.record_drop(value);
            return post;
        }
        self.publish(r, completion);
        true
    }

    /// Drops the context of a handler.
    pub(crate) fn drop_context(&mut self, r: usize, panics: bool) {
        let late = self.is_late(r);
        let Request {
            post, abandoned, ..
        } = self.requests[r];
        if abandoned {
            self.requests[r].state = State::Over;
            return;
        }
        let (completion, column) = if panics {
            (Completion::Panicked, &mut self.stats.panicked)
        } else if post {
            (Completion::Dropped, &mut self.stats.replied)
        } else if late {
            (Completion::Overdue, &mut self.stats.timeout_taken)
        } else {
            (Completion::Dropped, &mut self.stats.no_reply)
        };
        *column += 1;
        if post {
            self.requests[r].state = State::Over;
        } else {
            self.publish(r, completion);
        }
    }

    /// Polls a future that waits for the caller to leave.
    pub(crate) fn poll_watching(&mut self, r: usize, counter: usize) -> Poll<()> {
        let gone = self.is_cancelled(r);
        let request = &mut self.requests[r];
        if gone {
            self.stop_watching(r);
            return Poll::Ready(());
        }
        request.watcher = Some(counter);
        if !request.post && request.deadline != Deadline::None {
            request.watch_timer = Some(counter);
        }
        Poll::Pending
    }

    pub(crate) fn stop_watching(&mut self, r: usize) {
        self.requests[r].watcher = None;
        self.requests[r].watch_timer = None;
    }
}
