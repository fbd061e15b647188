//! A call of a handler on a task: each poll is a turn.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use crate::{desk::Clerk, observe::Outcome};

/// Calls the handler for something that is no request: [`Clerk::call`] for what is awaited.
pub(super) async fn attend<F: Future>(
    clerk: &mut Clerk,
    kind: &'static str,
    call: impl FnOnce() -> F,
) -> F::Output {
    clerk.begin_other(kind);
    let call = pin!(call());
    let result = Attend { clerk, call }.await;
    clerk.end(Outcome::NoReply);
    result
}

/// Awaits a call that has begun.
pub(super) struct Attend<'a, F> {
    pub(super) clerk: &'a mut Clerk,
    pub(super) call: Pin<&'a mut F>,
}

impl<F: Future> Future for Attend<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { clerk, call } = &mut *self;
        let polled = clerk.run(|| call.as_mut().poll(cx));
        clerk.pause();
        polled
    }
}
