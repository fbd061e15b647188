//! The changes of keys, published to other processes: the bus is a router that listens for links.
//!
//! They are published on a router of their own. The one of the watchers has no link, so that no
//! other process can publish changes to them.
//!
//! The store never waits for the bus. A link has a queue; changes for which it has no room are
//! dropped, and subscribers learn how many. Without a link, and without subscribers in other
//! processes, publishing only looks for them.

use serde::{Deserialize, Serialize};
use ump_router::{Message, Router};

use super::{
    history::{Change, ChangeKind, Id},
    topic,
    ttl::WallTime,
};

/// A change as other processes receive it: the same fields as in an event of HTTP.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyChange {
    /// The id of the event. The number in it grows by one with each change of the service.
    id: String,
    event: EventName,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// In milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EventName {
    Put,
    Delete,
    Expire,
}

impl Message for KeyChange {
    const PREFIX: &'static str = topic::PREFIX;
}

impl KeyChange {
    fn new(change: &Change, id: Id) -> Self {
        let (event, bytes, expires) = match change.kind {
            ChangeKind::Put { bytes, expires } => (EventName::Put, Some(bytes), expires),
            ChangeKind::Deleted => (EventName::Delete, None, None),
            ChangeKind::Expired => (EventName::Expire, None, None),
        };
        Self {
            id: id.to_string(),
            event,
            key: change.key.as_str().to_owned(),
            bytes,
            expires: expires.map(WallTime::milliseconds),
        }
    }
}

/// Publishes changes to other processes. Clones share the router.
#[derive(Clone, Debug)]
pub(crate) struct Bus(Router);

impl Bus {
    /// Publishes on a router, which has links.
    pub(crate) fn new(router: Router) -> Self {
        Self(router)
    }

    pub(crate) fn publish(&self, change: &Change, id: Id) {
        let topic = topic::of(change.key.as_str());
        // It does not block: the queue of a link drops its oldest messages. An error means that the
        // router was closed.
        let _ = self.0.publish(topic, KeyChange::new(change, id)).wait();
    }
}
