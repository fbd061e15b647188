//! A timer in a loom model.

#![forbid(unsafe_code)]

use std::{
    io,
    task::{Context, Poll},
    time::Instant,
};

/// A timer that fires at the second poll, whatever its instant.
#[derive(Debug)]
pub(crate) struct SystemTimer {
    polled: bool,
}

impl SystemTimer {
    #[expect(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(crate) fn new(_: Instant) -> io::Result<Self> {
        Ok(Self { polled: false })
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
