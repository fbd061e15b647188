//! The sleep until the next timer, kept from one wait to the next.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use ump::Clock;

/// Nothing to sleep for, or the sleep until an instant.
#[derive(Debug, Default)]
pub(super) struct NextSleep(Option<ump::Sleep>);

impl NextSleep {
    /// Ready when that instant has come. The sleep of before is used if it is the same instant,
    /// since to begin one costs more than all else here.
    pub(super) fn poll(
        &mut self,
        clock: &Clock,
        until: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(until) = until else {
            self.0 = None;
            return Poll::Pending;
        };
        let sleep = match &mut self.0 {
            Some(sleep) if sleep.deadline() == until => sleep,
            other => other.insert(clock.sleep_until(until)),
        };
        let poll = Pin::new(sleep).poll(cx);
        if poll.is_ready() {
            self.0 = None;
        }
        poll.map_err(io::Error::from)
    }
}
