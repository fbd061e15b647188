//! A request by name, awaited.
//!
//! ```text
//!              the server that was found has an unbounded queue           it left, and another one follows
//!   New ───────────────────────────────────────────────────► Asked ───────────────────────────────────────┐
//!    │                                                         │                                           ▼
//!    └──────── otherwise ────────────────────────────────────────────────────────────────────────────► Roundabout
//! ```
//!
//! What is asked at once is in this future itself; nothing is allocated for it.

use std::{
    fmt,
    future::{Future, IntoFuture},
    mem,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll},
};

use ump::WaitReply;

use super::{
    attempt::{Attempt, Outcome},
    call::Call,
    request::RequestBuilder,
    serving::Serving,
};
use crate::{protocol::Request, sync::Shared};

/// Makes a request by name. From awaiting a [`RequestBuilder`].
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<P: Request>(Progress<P>);

enum Progress<P: Request> {
    New(RequestBuilder<P>),
    Asked(Attempt<P>, Shared<Serving<P>>, Reply<P>),
    Roundabout(Pin<Box<dyn Future<Output = Outcome<P>> + Send>>),
    Ended,
}

type Reply<P> = WaitReply<
    <P as Request>::Reply,
    <P as Request>::Error,
    ump::RequestError<Call<P>, <P as Request>::Error>,
>;

// What it pins is in a box.
impl<P: Request> Unpin for RequestFuture<P> {}

impl<P: Request> RequestFuture<P> {
    pub(super) fn new(request: RequestBuilder<P>) -> Self {
        Self(Progress::New(request))
    }
}

impl<P: Request> Progress<P> {
    /// Begins; what comes of it is to be polled.
    fn begin(request: RequestBuilder<P>, cx: &mut Context<'_>) -> ControlFlow<Outcome<P>, Self> {
        let mut attempt = match request.begin() {
            Ok(attempt) => attempt,
            Err(error) => return ControlFlow::Break(Err(error)),
        };
        let Some(serving) = attempt.take_unbounded() else {
            return ControlFlow::Continue(Self::roundabout(attempt));
        };
        match submit(attempt.request(&serving), cx) {
            Ok(reply) => ControlFlow::Continue(Self::Asked(attempt, serving, reply)),
            Err(refused) => attempt
                .settle(&serving, Err(refused.into()))
                .map_continue(|()| Self::roundabout(attempt)),
        }
    }

    fn roundabout(attempt: Attempt<P>) -> Self {
        Self::Roundabout(Box::pin(attempt.ask()))
    }
}

impl<P: Request> Future for RequestFuture<P> {
    type Output = Outcome<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let step = match mem::replace(&mut self.0, Progress::Ended) {
                Progress::New(request) => Progress::begin(request, cx),
                Progress::Asked(mut attempt, serving, mut reply) => {
                    match Pin::new(&mut reply).poll(cx) {
                        Poll::Ready(outcome) => attempt
                            .settle(&serving, outcome)
                            .map_continue(|()| Progress::roundabout(attempt)),
                        Poll::Pending => {
                            self.0 = Progress::Asked(attempt, serving, reply);
                            return Poll::Pending;
                        }
                    }
                }
                Progress::Roundabout(mut ask) => match ask.as_mut().poll(cx) {
                    Poll::Ready(outcome) => ControlFlow::Break(outcome),
                    Poll::Pending => {
                        self.0 = Progress::Roundabout(ask);
                        return Poll::Pending;
                    }
                },
                Progress::Ended => panic!("polled after it was ready"),
            };
            match step {
                ControlFlow::Continue(next) => self.0 = next,
                ControlFlow::Break(outcome) => return Poll::Ready(outcome),
            }
        }
    }
}

/// Puts a request into a queue without bounds.
fn submit<P: Request>(
    request: ump::Request<'_, Call<P>, P::Reply, P::Error>,
    cx: &mut Context<'_>,
) -> Result<Reply<P>, ump::SendError<Call<P>>> {
    let mut submit = request.submit().into_future();
    match Pin::new(&mut submit).poll(cx) {
        Poll::Ready(sent) => sent,
        Poll::Pending => unreachable!("there is always room in it"),
    }
}

impl<P: Request> fmt::Debug for RequestFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestFuture(..)")
    }
}
