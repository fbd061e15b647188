//! A request of another process at a server of this one.

use std::{
    fmt,
    task::{Context, Poll},
};

use super::Outcome;
use crate::link::sockets::carried::LocalCall;

/// A request of another process at a server of this one. From
/// [`Bridge::request`](super::Bridge::request). If it is dropped, it is cancelled.
#[must_use = "the request is cancelled when this is dropped"]
pub struct LocalRequest(State);

enum State {
    Running(Box<dyn LocalCall>),
    Ended(Option<Outcome>),
}

impl LocalRequest {
    pub(super) fn running(call: Box<dyn LocalCall>) -> Self {
        Self(State::Running(call))
    }

    pub(super) fn ended(outcome: Outcome) -> Self {
        Self(State::Ended(Some(outcome)))
    }

    /// Returns the outcome, once. A reply, or an error of the server, is in the codec of the
    /// request.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Running(call) => {
                let polled = call.poll(cx).map(Outcome::from);
                if polled.is_ready() {
                    self.0 = State::Ended(None);
                }
                polled
            }
            State::Ended(outcome) => outcome.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl fmt::Debug for LocalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRequest")
            .field("has_ended", &matches!(self.0, State::Ended(_)))
            .finish()
    }
}
