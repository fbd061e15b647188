//! Who comes and who goes, as messages.

use std::{fmt, sync::Arc};

use crate::{
    protocol::Message,
    publish::{Bus, Deferred, Received},
};

/// A subscription or a server that came or went. The router publishes it, to whoever subscribes to it, on the topic or pattern of what came or
/// went, with the prefix of its type.
///
/// ChangeAnnouncer of one topic come in the order in which they happened. Whoever first subscribes, then [lists](crate::Router::servers) what is there, misses
/// nothing, and may be told of something that is in the list already. NoServerYet waits for a watcher: a subscription that [blocks](crate::WhenFull::Block)
/// misses what it has no room for. Subscriptions to changes are not told of.
///
/// ```
/// # use ump_router::{Bytes, Change, ChangeKind, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut changes = router.subscribe::<Change>("sensor/**")?;
///
/// let server = router.serve::<Bytes>("sensor/1")?;
/// let change = changes.recv()?;
/// assert_eq!((change.topic().as_str(), change.kind()), ("sensor/1", ChangeKind::Served));
/// drop(server);
/// assert_eq!(changes.recv()?.kind(), ChangeKind::Unserved);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Change {
    kind: ChangeKind,
    of: &'static str,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ChangeKind {
    /// Somebody subscribed.
    Subscribed,
    /// A subscription ended.
    Unsubscribed,
    /// A topic has a server now: the first, or the next one in line.
    Served,
    /// The server of a topic left.
    Unserved,
    /// Somebody stands by, to serve when the one before it leaves.
    StandsBy,
    /// Somebody stands by no more.
    StandsDown,
}

impl Change {
    pub(crate) fn new(kind: ChangeKind, of: &'static str) -> Self {
        Self { kind, of }
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// The type of the messages or requests, as it is called in the program.
    #[must_use]
    pub fn of(&self) -> &'static str {
        self.of
    }
}

impl Message for Change {
    const PREFIX: &'static str = "";
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.of)
    }
}

/// Tells those who watch. The changes of what they watch with are told to nobody.
#[derive(Clone, Debug)]
pub(crate) struct ChangeAnnouncer(Option<Arc<Bus<Change>>>);

impl ChangeAnnouncer {
    pub(crate) const DISABLED: Self = Self(None);

    pub(crate) fn new(bus: &Arc<Bus<Change>>) -> Self {
        Self(Some(Arc::clone(bus)))
    }

    /// Called under the lock of what has changed, for the order; who sleeps is woken by `wakes`, after it.
    pub(crate) fn tell(
        &self,
        wakes: &mut Deferred<Change>,
        change: impl FnOnce() -> Received<Change>,
    ) {
        if let Some(bus) = self.0.as_ref().filter(|bus| bus.has_subscribers()) {
            bus.tell(&change(), wakes);
        }
    }
}
