//! The sleep until the next timer, kept from one wait to the next.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use ump::Clock;

/// The sleep until an instant, if there is one to sleep until.
#[derive(Debug, Default)]
pub(super) struct NextSleep(Option<ump::Sleep>);

impl NextSleep {
    /// Polls the sleep until `until`. It keeps the previous sleep if that has the same instant,
    /// since beginning a sleep costs more than everything else here.
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
