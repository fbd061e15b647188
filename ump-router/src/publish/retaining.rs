//! Retained messages are read, removed and expire.
//!
//! The router has no thread of its own. So a message whose time to live is over is not seen any
//! more, but it stays until somebody changes the retained messages, or until a subscription that
//! receives removals wakes for it (see `expiry.rs`).

use std::time::{Duration, Instant};

use super::{
    bus::Bus,
    deferred::Deferred,
    received::{Received, ReceivedAs},
    routes::Routes,
};
use crate::{
    error::Error,
    protocol::Message,
    topic::{Pattern, Topic, full_name::check_written},
};

/// How many messages a reader looks at under the lock.
const LOOKS: usize = 512;

impl<M: Message> Bus<M> {
    /// Removes the retained message of a topic.
    pub(crate) fn remove_retained(&self, topic: &Topic) -> Result<Option<Received<M>>, Error> {
        let removed =
            self.take_retained(|routes| routes.retained.remove(topic).into_iter().collect())?;
        Ok(removed.into_iter().next())
    }

    /// Removes the retained messages that match a pattern.
    pub(crate) fn remove_all_retained(&self, pattern: &Pattern) -> Result<Vec<Received<M>>, Error> {
        check_written(M::PREFIX, pattern)?;
        self.take_retained(|routes| routes.retained.remove_matching(pattern))
    }

    fn take_retained(
        &self,
        take: impl FnOnce(&mut Routes<M>) -> Vec<Received<M>>,
    ) -> Result<Vec<Received<M>>, Error> {
        let mut deferred = Deferred::default();
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        routes.remove_expired(&self.clock, &mut deferred);
        let mut removed = take(&mut routes);
        for message in &mut removed {
            *message = message.with_received_as(ReceivedAs::Removed);
            let changes = &mut routes.changes;
            changes.removed(message.topic(), &mut deferred.wakers);
            routes.tell_removed(message, &self.clock, &mut deferred);
        }
        drop(routes);
        if !deferred.run_checked() {
            self.wake_other_members();
        }
        Ok(removed)
    }

    /// Returns when the next message expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.routes.read().retained.next_expiry()
    }

    /// Removes the messages whose time to live is over.
    pub(super) fn remove_expired(&self) {
        let next_expiry = self.next_expiry();
        if next_expiry.is_none_or(|at| self.clock.now() < at) {
            return;
        }
        let mut deferred = Deferred::default();
        let mut routes = self.routes.write();
        routes.remove_expired(&self.clock, &mut deferred);
        drop(routes);
        if !deferred.run_checked() {
            self.wake_other_members();
        }
    }

    /// Reads retained messages that match a pattern, with their numbers, from the first whose
    /// number is above `after`. Returns where to go on, or `None` at the end.
    pub(super) fn read_retained(
        &self,
        pattern: &Pattern,
        after: u64,
        page: &mut impl Extend<(u64, Received<M>)>,
    ) -> Option<u64> {
        let routes = self.routes.read();
        let now = routes.time_of_expiry(&self.clock);
        routes.retained.read(pattern, after, LOOKS, now, page)
    }

    /// Returns an error if retained messages cannot be read by this pattern.
    pub(super) fn check_read(&self, pattern: &Pattern) -> Result<(), Error> {
        check_written(M::PREFIX, pattern)?;
        if self.routes.read().is_closed {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Calls `f` with the topic of each retained message, and the rest of its time to live.
    pub(super) fn for_each_retained(&self, mut f: impl FnMut(&Pattern, Option<Duration>)) {
        let routes = self.routes.read();
        let now = routes.time_of_expiry(&self.clock);
        for (message, expires_at) in routes.retained.iter(now) {
            let left = expires_at.zip(now);
            f(
                message.topic(),
                left.map(|(at, now)| at.saturating_duration_since(now)),
            );
        }
    }
}
