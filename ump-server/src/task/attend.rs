//! A call of a handler on a task: each poll is a turn.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use crate::{
    deadlock::awaits::{Awaits, Progress},
    desk::Clerk,
    observe::Outcome,
    panics::shielded,
};

/// Calls the handler for something that is no request: [`Clerk::call`] for what is awaited.
pub(super) async fn attend<F: Future>(
    clerk: &mut Clerk,
    awaits: &Awaits,
    kind: &'static str,
    call: impl FnOnce() -> F,
) -> F::Output {
    clerk.begin_other(kind);
    let call = pin!(Some(call()));
    let result = Attend::new(clerk, awaits, call).await;
    clerk.end(Outcome::NoReply);
    result
}

/// Awaits a call that has begun.
pub(super) struct Attend<'a, F> {
    clerk: &'a mut Clerk,
    awaits: &'a Awaits,
    /// Dropped with this, where its panic is caught.
    call: Pin<&'a mut Option<F>>,
    progress: Progress,
}

impl<'a, F> Attend<'a, F> {
    pub(super) fn new(
        clerk: &'a mut Clerk,
        awaits: &'a Awaits,
        call: Pin<&'a mut Option<F>>,
    ) -> Self {
        Self {
            clerk,
            awaits,
            call,
            progress: Progress::default(),
        }
    }
}

/// It waits no more, before what it waits for is dropped.
impl<F> Drop for Attend<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.awaits.end(&mut self.progress);
        shielded(|| self.call.set(None));
    }
}

impl<F: Future> Future for Attend<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self {
            clerk,
            awaits,
            call,
            progress,
        } = &mut *self;
        awaits.polls();
        let Some(waker) = awaits.begin_poll(progress, cx.waker()) else {
            awaits.polled_call(true);
            return Poll::Pending;
        };
        let call = call
            .as_mut()
            .as_pin_mut()
            .expect("it is there until this is dropped");
        let polled = clerk.run(|| call.poll(&mut Context::from_waker(waker)));
        clerk.pause();
        if polled.is_pending() {
            awaits.waits(progress);
        }
        awaits.polled_call(polled.is_pending());
        polled
    }
}
