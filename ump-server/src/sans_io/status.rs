//! The status of an engine, as other threads see it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use ump::PanicMessage;

use super::{GroupStats, TaskId};
use crate::sync::{Arc, Mutex};

/// The counters of an [`Engine`](super::Engine).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EngineStats {
    /// The counters of its group.
    pub group: GroupStats,
    /// The number of packets that were received.
    pub received: u64,
    /// The number of received packets that were dropped: no task wanted them, or the task's inbox
    /// was full.
    pub receive_dropped: u64,
    /// The number of packets that were sent.
    pub transmitted: u64,
    /// The number of packets that could not be sent, and were dropped.
    pub transmit_dropped: u64,
    /// The number of messages between tasks that have come and not been delivered, because their
    /// receivers are busy.
    pub bus_queued: usize,
    /// The number of messages between tasks that were dropped: the receiver had ended, or its inbox
    /// or the mailbox of its worker was full.
    pub bus_dropped: u64,
    /// The number of tasks that were spawned by tasks and dropped, because the group was full or
    /// its driver shut down.
    pub spawn_dropped: u64,
    /// The number of turns.
    pub turns: u64,
    /// The time that turns have taken, by the clock of the driver.
    pub busy: Duration,
}

/// The state that an engine shows to other threads. It is written at the end of each turn.
#[derive(Default)]
pub(super) struct StatusCell {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    stats: EngineStats,
    names: BTreeMap<TaskId, Cow<'static, str>>,
    /// The latest task.
    last: Option<TaskId>,
    /// Tasks that are on their way to the engine.
    expected: usize,
    last_panic: Option<PanicMessage>,
    /// The beginning of the present turn or call, if there is one.
    busy_since: Option<Instant>,
}

impl StatusCell {
    pub(super) fn spawned(&self, id: TaskId, name: Cow<'static, str>) {
        let mut inner = self.inner.lock();
        inner.names.insert(id, name);
        inner.last = Some(id);
    }

    /// Removes a task, and returns its name.
    pub(super) fn ended(&self, id: TaskId) -> Option<Cow<'static, str>> {
        self.inner.lock().names.remove(&id)
    }

    /// Returns the latest task, also of an engine that had this status before.
    pub(super) fn last(&self) -> Option<TaskId> {
        self.inner.lock().last
    }

    pub(super) fn name(&self, id: TaskId) -> Option<Cow<'static, str>> {
        self.inner.lock().names.get(&id).cloned()
    }

    pub(super) fn names(&self) -> Vec<(TaskId, Cow<'static, str>)> {
        let inner = self.inner.lock();
        inner
            .names
            .iter()
            .map(|(id, name)| (*id, name.clone()))
            .collect()
    }

    /// Removes and returns the names of all tasks.
    pub(super) fn take_names(&self) -> Vec<(TaskId, Cow<'static, str>)> {
        let names = std::mem::take(&mut self.inner.lock().names);
        names.into_iter().collect()
    }

    pub(super) fn begin(&self, now: Instant) {
        self.inner.lock().busy_since = Some(now);
    }

    pub(super) fn write(&self, stats: EngineStats) {
        let mut inner = self.inner.lock();
        inner.stats = stats;
        inner.busy_since = None;
    }

    pub(super) fn stats(&self) -> EngineStats {
        self.inner.lock().stats
    }

    /// Returns for how long the present turn has lasted.
    pub(super) fn in_turn_for(&self, now: Instant) -> Option<Duration> {
        let since = self.inner.lock().busy_since?;
        Some(now.saturating_duration_since(since))
    }

    /// Returns the number of tasks, those on their way included.
    pub(super) fn load(&self) -> usize {
        let inner = self.inner.lock();
        inner.names.len() + inner.expected
    }

    /// Counts a task that is on its way, until the value is dropped.
    pub(super) fn expect(status: &Arc<Self>) -> Expected {
        status.inner.lock().expected += 1;
        Expected(Arc::clone(status))
    }

    pub(super) fn set_panic(&self, message: PanicMessage) {
        self.inner.lock().last_panic = Some(message);
    }

    pub(super) fn take_panic(&self) -> Option<PanicMessage> {
        self.inner.lock().last_panic.take()
    }
}

/// A task that is on its way to an engine.
pub(super) struct Expected(Arc<StatusCell>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.inner.lock().expected -= 1;
    }
}

impl fmt::Debug for StatusCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusCell").finish_non_exhaustive()
    }
}
