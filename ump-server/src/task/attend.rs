//! A call of a handler on a task: each poll is a turn.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::desk::Clerk;

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
