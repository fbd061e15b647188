//! A timer in a shuttle model.

#![forbid(unsafe_code)]

use std::{
    io,
    task::{Context, Poll},
    time::Instant,
};

use crate::sync::{one_in, yield_now};

/// One in this many polls of a timer finds that its instant has passed.
const RINGS: u32 = 3;

/// A timer that fires at a random poll, whatever its instant. Other threads may run before the next
/// poll.
#[derive(Debug)]
pub(crate) struct SystemTimer;

impl SystemTimer {
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn new(_: Instant) -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "the real one has an instant")]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if one_in(RINGS) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        yield_now();
        Poll::Pending
    }
}
