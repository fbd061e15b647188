//! The stamps of the retained messages, and which topics have changed since links were told.
//!
//! A bus whose messages do not travel has no log. With one, each change of a retained message by
//! this process gets a stamp under the lock of the bus. So stamps are in the order of the changes.

use std::{
    collections::HashMap,
    sync::Arc,
    task::Waker,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    received::{LinkRetention, Received},
    tombstones::Tombstones,
};
use crate::{
    deferred::DeferredWakes,
    stamp::Stamp,
    sync::Mutex,
    topic::{Pattern, Topic},
};

/// Makes the stamps of a router: the time of the system's clock, or just after the last stamp that
/// the router has made or seen.
#[derive(Debug)]
pub(crate) struct StampClock {
    router: u128,
    last: Mutex<u64>,
}

impl StampClock {
    pub(crate) fn new(router: u128) -> Self {
        Self {
            router,
            last: Mutex::new(0),
        }
    }

    /// Returns a stamp that is newer than all others that were made or seen.
    pub(crate) fn next(&self) -> Stamp {
        let mut last = self.last.lock();
        *last = Self::now().max(last.saturating_add(1));
        Stamp {
            time: *last,
            router: self.router,
        }
    }

    /// Returns the time of the last stamp that was made or seen.
    pub(crate) fn last(&self) -> u64 {
        *self.last.lock()
    }

    /// Notes a stamp of another router.
    pub(crate) fn observe(&self, stamp: Stamp) {
        let mut last = self.last.lock();
        *last = stamp.time.max(*last);
    }

    /// Returns the microseconds since 1970. A clock before that is at its beginning.
    pub(crate) fn now() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX))
    }
}

/// What links need to know of the retained messages of a bus.
#[derive(Debug, Default)]
pub(super) struct ChangeLog(Option<Box<State>>);

#[derive(Debug)]
struct State {
    clock: Arc<StampClock>,
    /// Is woken by changes.
    waker: Waker,
    /// The stamps of the retained messages.
    stamps: HashMap<Topic, Stamp>,
    /// Those of the messages that were removed, or have expired.
    gone: Tombstones,
    /// The last change by this process of each topic that links were not told.
    untold: HashMap<Topic, Stamp>,
}

impl ChangeLog {
    /// Begins the log, with the messages that are retained already.
    pub(super) fn begin(
        &mut self,
        clock: Arc<StampClock>,
        waker: Waker,
        retained: impl Iterator<Item = Topic>,
    ) {
        let stamps: HashMap<_, _> = retained.map(|topic| (topic, clock.next())).collect();
        self.0 = Some(Box::new(State {
            clock,
            waker,
            gone: Tombstones::default(),
            untold: stamps.clone(),
            stamps,
        }));
    }

    /// A message of this process is retained. Returns it with its stamp.
    #[inline]
    pub(super) fn retained<M>(
        &mut self,
        topic: Topic,
        message: Received<M>,
        expires_at: Option<Instant>,
        wakers: &mut DeferredWakes,
    ) -> Received<M> {
        let Some(state) = &mut self.0 else {
            return message;
        };
        let stamp = state.clock.next();
        state.gone.remove(&topic);
        state.stamps.insert(topic.clone(), stamp);
        state.untold.insert(topic, stamp);
        wakers.extend([state.waker.clone()]);
        message.stamped(LinkRetention { stamp, expires_at })
    }

    /// This process removes the retained message of a topic.
    #[inline]
    pub(super) fn removed(&mut self, topic: &Pattern, wakers: &mut DeferredWakes) {
        if let (Some(state), Some(topic)) = (&mut self.0, topic.as_topic()) {
            let stamp = state.clock.next();
            state.stamps.remove(topic);
            state.gone.insert(topic.clone(), stamp);
            state.untold.insert(topic.clone(), stamp);
            wakers.extend([state.waker.clone()]);
        }
    }

    /// The time to live of a message is over. All routers know when.
    #[inline]
    pub(super) fn expired(&mut self, topic: &Pattern) {
        if let (Some(state), Some(topic)) = (&mut self.0, topic.as_topic()) {
            if let Some(stamp) = state.stamps.remove(topic) {
                state.gone.insert(topic.clone(), stamp);
            }
        }
    }

    /// Notes a change by another router. Returns false if it is older than what is known here.
    pub(super) fn admit(&mut self, topic: &Topic, stamp: Stamp, is_removal: bool) -> bool {
        let Some(state) = &mut self.0 else {
            return false;
        };
        let State {
            stamps,
            gone,
            untold,
            ..
        } = &mut **state;
        let known = [stamps.get(topic), gone.get(topic), untold.get(topic)];
        if known.into_iter().flatten().any(|known| *known >= stamp) {
            return false;
        }
        untold.remove(topic);
        if is_removal {
            stamps.remove(topic);
            gone.insert(topic.clone(), stamp);
        } else {
            gone.remove(topic);
            stamps.insert(topic.clone(), stamp);
        }
        true
    }

    /// Takes the topics that links are to be told, in the order of their last changes.
    pub(super) fn take(&mut self) -> Vec<(Topic, Stamp)> {
        let untold = self
            .0
            .as_mut()
            .map(|state| std::mem::take(&mut state.untold));
        let mut changes: Vec<_> = untold.into_iter().flatten().collect();
        changes.sort_unstable_by_key(|(_, stamp)| *stamp);
        changes
    }
}
