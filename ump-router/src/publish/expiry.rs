//! Wakes a subscriber that receives removals when a retained message expires.
//!
//! The subscriber sleeps until the next message of its type expires, or until something is in its
//! queue. A message that would expire earlier, and is of its patterns, comes to its queue and wakes
//! it. It wakes all members of a group, because the one that receives it may be busy when it
//! expires.

use std::{
    future::Future,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll},
    time::Instant,
};

use ump::{Sleep, coop};

use super::bus::Bus;
use crate::protocol::Message;

/// The timer of a subscriber. Boxed, so that other subscriptions stay small.
#[derive(Debug, Default)]
pub(super) struct ExpiryTimer(Option<Box<Sleep>>);

impl ExpiryTimer {
    /// Removes the messages that have expired. Is ready if there were some; otherwise the task is
    /// woken when there are.
    pub(super) fn poll_expired<M: Message>(
        &mut self,
        bus: &Weak<Bus<M>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(bus) = bus.upgrade() else {
            return Poll::Pending;
        };
        let Some(next_expiry) = bus.next_expiry() else {
            self.cancel();
            return Poll::Pending;
        };
        let sleep = self.sleep_until(next_expiry, bus.clock());
        // It has a budget of its own, because it is part of receiving.
        match coop::with_budget(coop::BUDGET, || Pin::new(sleep).poll(cx)) {
            Poll::Ready(Ok(())) => {
                self.cancel();
                bus.remove_expired();
                Poll::Ready(())
            }
            // Without a timer the expiry is told with the next change.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    fn sleep_until(&mut self, at: Instant, clock: &ump::Clock) -> &mut Sleep {
        if self.0.as_ref().is_none_or(|sleep| sleep.deadline() != at) {
            self.0 = Some(Box::new(clock.sleep_until(at)));
        }
        self.0.as_mut().expect("it was set above")
    }

    pub(super) fn cancel(&mut self) {
        self.0 = None;
    }
}
