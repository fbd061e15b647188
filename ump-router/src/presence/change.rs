//! The message that announces a change.

use std::fmt;

use crate::protocol::Message;

/// Announces that a subscription or a server came or went.
///
/// The router publishes it on the full name of the topic or pattern concerned, which begins with
/// the prefix of its type.
///
/// - Changes of one topic are received in the order in which they happen.
/// - If you first subscribe to changes and then [list](crate::Router::servers) what is there, you
///   miss nothing; you may receive a change that is in the list already.
/// - The router never waits for a subscriber of changes: a subscription with
///   [`WhenFull::Block`](crate::WhenFull::Block) misses changes that it has no room for, and learns
///   how many.
/// - Subscriptions to changes are not announced.
///
/// ```
/// # use ump_router::{Bytes, Change, ChangeKind, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut changes = router.subscribe::<Change>("sensor/**")?;
///
/// let server = router.serve::<Bytes>("sensor/1")?;
/// let change = changes.recv().wait()?;
/// assert_eq!((change.topic().as_str(), change.kind()), ("sensor/1", ChangeKind::Served));
/// drop(server);
/// assert_eq!(changes.recv().wait()?.kind(), ChangeKind::Unserved);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Change {
    kind: ChangeKind,
    type_name: &'static str,
}

/// The kinds of [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ChangeKind {
    /// A subscription began.
    Subscribed,
    /// A subscription ended.
    Unsubscribed,
    /// A topic got a server: its first one, or a standby that took over.
    Served,
    /// The server of a topic left.
    Unserved,
    /// A standby came, to serve once all servers before it have left.
    StandsBy,
    /// A standby left before it served.
    StandsDown,
}

impl Change {
    pub(super) fn new(kind: ChangeKind, type_name: &'static str) -> Self {
        Self { kind, type_name }
    }

    /// Returns what happened.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// Returns the Rust name of the type of messages or requests, as [`std::any::type_name`] gives
    /// it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl Message for Change {
    const PREFIX: &'static str = "";
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.type_name)
    }
}
