//! A request by name, awaited.
//!
//! ```text
//!        a server was found
//!   New ────────────────────► Asked ────────────────────► the outcome
//!    │                          │ it left before it took the request, and another one is to be asked
//!    │ otherwise                ▼
//!    └───────────────────────► About ───────────────────► the outcome
//! ```
//!
//! What is asked at once is in this future itself: nothing is allocated for it. A request that goes about, from one server to the next or
//! waiting for one, is in a box.

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
    call::Call,
};
use crate::protocol::RequestMessage;

/// Makes a request by name. From awaiting a [`Request`](crate::Request).
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<P: RequestMessage> {
    step: Step<P>,
    /// Until it goes about, or has an outcome.
    attempt: Option<Attempt<P>>,
    /// For what ends without a request to a server, which has a budget itself.
    coop: Coop,
}

enum Step<P: RequestMessage> {
    New,
    Sent(ump::RequestFuture<'static, Call<P>, P::Reply, P::Error>),
    Retrying(Pin<Box<dyn Future<Output = RequestResult<P>> + Send>>),
}

// What it pins is in a box.
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
        let attempt = self.attempt.take().expect("it has not gone about yet");
        self.step = Step::Retrying(Box::pin(attempt.run()));
    }

    fn end(&mut self, outcome: RequestResult<P>) -> Poll<RequestResult<P>> {
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
            let attempt = this.attempt.as_mut().expect("polled after it was ready");
            match attempt.request_owned() {
                Some(request) => this.step = Step::Sent(request.into_future()),
                None => this.retry(),
            }
        }
        if let (Step::Sent(request), Some(attempt)) = (&mut this.step, &mut this.attempt) {
            let outcome = ready!(Pin::new(request).poll(cx));
            match attempt.handle_result(outcome) {
                ControlFlow::Break(outcome) => return this.end(outcome),
                ControlFlow::Continue(()) => this.retry(),
            }
        }
        if let Step::Retrying(about) = &mut this.step {
            let outcome = ready!(this.coop.poll(cx, |cx| about.as_mut().poll(cx)));
            return this.end(outcome);
        }
        unreachable!("it is asked or goes about")
    }
}

impl<P: RequestMessage> fmt::Debug for RequestFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestFuture(..)")
    }
}
