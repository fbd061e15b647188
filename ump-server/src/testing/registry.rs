//! The loops under a test clock, and whether they are all quiet.
//!
//! Whether a request was accepted and not yet taken is known only to the channel, in its
//! statistics. These are read one after the other, so a count of changes tells whether anything
//! changed meanwhile; if so, they are read again.

use std::{
    fmt, mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::Waker,
    time::Instant,
};

use super::activity::Activity;
use crate::{
    sync::Mutex,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};
use ump::{Server, hooks::ChannelId};

/// The loops under a clock.
#[derive(Default)]
pub(super) struct LoopRegistry {
    /// The number of changes so far. If two reads return the same number, nothing changed in
    /// between.
    ///
    /// ORDERING: `SeqCst`. The increments of `change` pair with the two loads of `is_quiet`: a
    /// change between the loads shows in the second one.
    changes: AtomicU64,
    loops: Mutex<Vec<Weak<dyn Loop>>>,
    listeners: Mutex<Wakers>,
}

impl LoopRegistry {
    pub(super) fn join(&self, the_loop: Weak<dyn Loop>) {
        let mut loops = self.loops.lock();
        loops.retain(|the_loop| the_loop.strong_count() > 0);
        loops.push(the_loop);
    }

    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let changes = self.changes.load(SeqCst);
        self.busy(now).is_empty() && self.changes.load(SeqCst) == changes
    }

    /// Returns descriptions of the loops that are not quiet.
    pub(super) fn busy(&self, now: Instant) -> Vec<String> {
        let loops = self.loops.lock().clone();
        let loops: Vec<_> = loops.iter().filter_map(Weak::upgrade).collect();
        let channels: Vec<_> = loops.iter().map(|the_loop| the_loop.channel()).collect();
        let busy = loops
            .iter()
            .filter(|the_loop| !the_loop.is_quiet(now, &channels));
        busy.map(|the_loop| the_loop.describe()).collect()
    }

    /// Returns the earliest instant that a worker waits for.
    pub(super) fn next(&self) -> Option<Instant> {
        let loops = self.loops.lock().clone();
        loops
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|the_loop| the_loop.next())
            .min()
    }

    /// Returns a listener that has not registered a waker yet.
    pub(super) fn listener(&self) -> Listener<'_> {
        Listener {
            registry: self,
            own: Registration::default(),
        }
    }

    /// Counts a change, and wakes the listeners.
    pub(super) fn change(&self) {
        self.changes.fetch_add(1, SeqCst);
        let listeners = self.listeners.lock().take_all();
        wake_all(listeners);
    }
}

impl fmt::Debug for LoopRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopRegistry").finish_non_exhaustive()
    }
}

/// A future that waits until the loops are quiet. Its drop removes its waker.
pub(super) struct Listener<'a> {
    registry: &'a LoopRegistry,
    own: Registration,
}

impl Listener<'_> {
    /// Registers the waker, which every later change wakes.
    pub(super) fn listen(&mut self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self
            .registry
            .listeners
            .lock()
            .register(&mut self.own, waker);
        discard(replaced);
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let own = self.registry.listeners.lock().remove(&mut self.own);
        discard(own);
    }
}

/// The workers of a loop, as the clock sees them.
pub(super) trait Loop: Send + Sync {
    fn channel(&self) -> ChannelId;

    /// Returns the loop's name, and what it is known to be busy with.
    fn describe(&self) -> String;

    /// Returns whether all workers wait beyond `now`, and there is nothing for them to take.
    /// `channels` are those of the loops under the clock.
    fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool;

    /// Returns the earliest instant that a worker waits for.
    fn next(&self) -> Option<Instant>;

    fn set_activity(&self, number: usize, activity: Activity);

    /// Counts a request that a worker has taken.
    fn count(&self);
}

/// The workers of a loop, with the activity that they report.
pub(super) struct LoopWorkers<S, R, E> {
    name: Arc<str>,
    channel: ChannelId,
    server: Weak<Server<S, R, E>>,
    /// The number of requests that the workers have taken.
    ///
    /// ORDERING: `SeqCst`. The increment of `count` pairs with the load of `is_quiet`. A worker
    /// counts after it has reported itself as busy, and is busy until it waits again.
    taken: AtomicU64,
    /// The activity of each worker, by its number.
    activity: Mutex<Vec<Activity>>,
}

impl<S, R, E> LoopWorkers<S, R, E> {
    /// Creates the state of a loop with this number of workers. They are busy until they report
    /// otherwise.
    pub(super) fn new(name: &Arc<str>, server: &Arc<Server<S, R, E>>, workers: usize) -> Self {
        Self {
            name: Arc::clone(name),
            channel: server.id(),
            server: Arc::downgrade(server),
            taken: AtomicU64::new(0),
            activity: Mutex::new(vec![Activity::Busy; workers]),
        }
    }
}

impl<S: Send, R: Send, E: Send> Loop for LoopWorkers<S, R, E> {
    fn channel(&self) -> ChannelId {
        self.channel
    }

    fn describe(&self) -> String {
        let suspends = self.activity.lock().iter().any(Activity::is_suspended);
        let why = if suspends {
            " (its handler awaits something that this clock does not observe)"
        } else {
            ""
        };
        format!("{}{why}", self.name)
    }

    fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool {
        let activity = self.activity.lock().clone();
        let wait = activity
            .iter()
            .all(|activity| activity.is_quiet(now, channels));
        let take = activity
            .iter()
            .any(|activity| matches!(activity, Activity::Waiting(_)));
        let taken = self.taken.load(SeqCst);
        // Requests that were withdrawn from the queue are not counted: no worker will take them.
        let to_take = self.server.upgrade().map_or(taken, |server| {
            let stats = server.stats();
            stats.queued + stats.taken + stats.processed()
        });
        wait && (!take || to_take == taken)
    }

    fn next(&self) -> Option<Instant> {
        let activity = self.activity.lock();
        activity.iter().filter_map(Activity::until).min()
    }

    fn set_activity(&self, number: usize, activity: Activity) {
        // Dropped after the lock is released, because it refers to a call.
        let _before = mem::replace(&mut self.activity.lock()[number], activity);
    }

    fn count(&self) {
        self.taken.fetch_add(1, SeqCst);
    }
}
