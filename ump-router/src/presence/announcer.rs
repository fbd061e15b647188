//! How subscriptions and servers announce that they come and go.

use std::sync::Arc;

use super::change::{Change, ChangeKind};
use crate::{
    deferred::DeferredWakes,
    topic::{Pattern, full_name::full_name},
};

/// Publishes changes to their subscribers.
pub(crate) trait ChangeSink: Send + Sync {
    fn has_subscribers(&self) -> bool;

    /// Publishes a change without waiting for room. The subscribers' wakers go to `wakes`.
    fn publish_change(&self, name: Pattern, change: Change, wakes: &mut DeferredWakes);
}

/// Announces changes, unless it is disabled.
#[derive(Clone)]
pub(crate) struct ChangeAnnouncer(Option<Arc<dyn ChangeSink>>);

impl ChangeAnnouncer {
    /// Announces nothing: for the bus of changes itself.
    pub(crate) const DISABLED: Self = Self(None);

    pub(crate) fn new(sink: Arc<dyn ChangeSink>) -> Self {
        Self(Some(sink))
    }

    /// Announces a change of a topic or pattern, which was checked before.
    ///
    /// It is called under the lock of what has changed, so that changes are announced in the order
    /// in which they happen. `wakes` is for after that lock is released.
    pub(crate) fn announce(
        &self,
        kind: ChangeKind,
        type_name: &'static str,
        prefix: &str,
        pattern: &Pattern,
        wakes: &mut DeferredWakes,
    ) {
        if let Some(sink) = self.0.as_ref().filter(|sink| sink.has_subscribers()) {
            let name = full_name(prefix, pattern);
            sink.publish_change(name, Change::new(kind, type_name), wakes);
        }
    }
}
