//! The future of a request by topic.
//!
//! ```text
//!        a server was found
//!   New ────────────────────► Sent ─────────────────────► the outcome
//!    │                          │ the server left before it took the request, and another one is to have it
//!    │ otherwise                ▼
//!    └───────────────────────► Retrying ────────────────► the outcome
//! ```
//!
//! A request that is sent at once is stored in this future: nothing is allocated for it. A request
//! that retries, or waits for a server, is in a box.

use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ump::coop::Coop;

use super::{
    attempt::{Attempt, RequestResult},
    channel::ChannelFuture,
};
use crate::protocol::RequestMessage;

/// The future of a [`Request`](crate::Request), which makes the request.
///
/// # Panics
/// Panics if the future is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<P: RequestMessage> {
    step: Step<P>,
    /// Present until the request retries or has an outcome.
    attempt: Option<Attempt<P>>,
    /// The budget of a request that retries. One that was sent has the budget of the channel.
    coop: Coop,
}

enum Step<P: RequestMessage> {
    New,
    Sent(ChannelFuture<'static, P>),
    Retrying(Pin<Box<dyn Future<Output = RequestResult<P>> + Send>>),
}

// The only pinned future is in a box.
impl<P: RequestMessage> Unpin for RequestFuture<P> {}

impl<P: RequestMessage> RequestFuture<P> {
    pub(super) fn new(attempt: Attempt<P>) -> Self {
        Self {
            step: Step::New,
            attempt: Some(attempt),
            coop: Coop::new(),
        }
    }

    fn retry(&mut self) {
        let attempt = self
            .attempt
            .take()
            .expect("a request retries once, and has its attempt until then");
        self.step = Step::Retrying(Box::pin(attempt.run()));
    }

    fn finish(&mut self, outcome: RequestResult<P>) -> Poll<RequestResult<P>> {
        self.step = Step::New;
        self.attempt = None;
        Poll::Ready(outcome)
    }
}

impl<P: RequestMessage> Future for RequestFuture<P> {
    type Output = RequestResult<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Step::New = this.step {
            let attempt = this.attempt.as_mut();
            let attempt = attempt.expect("`RequestFuture` polled after it was ready");
            match attempt.request_owned() {
                Some(request) => this.step = Step::Sent(request.into_future()),
                None => this.retry(),
            }
        }
        if let (Step::Sent(request), Some(attempt)) = (&mut this.step, &mut this.attempt) {
            let outcome = ready!(Pin::new(request).poll(cx));
            match attempt.handle_outcome(outcome) {
                ControlFlow::Break(outcome) => return this.finish(outcome),
                ControlFlow::Continue(()) => this.retry(),
            }
        }
        if let Step::Retrying(run) = &mut this.step {
            let outcome = ready!(this.coop.poll(cx, |cx| run.as_mut().poll(cx)));
            return this.finish(outcome);
        }
        unreachable!("a request that has begun was sent or retries")
    }
}

impl<P: RequestMessage> fmt::Debug for RequestFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestFuture(..)")
    }
}
