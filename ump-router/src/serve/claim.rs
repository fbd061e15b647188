//! The right to serve a topic.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use crate::{
    claims::{ClaimId, Role},
    topic::Topic,
};

/// How a topic is served.
///
/// ```
/// # use ump_router::ServeOptions;
/// ServeOptions::new().capacity(64).standby();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "it is to be given to serve_with or serve_by"]
pub struct ServeOptions {
    pub(crate) capacity: Option<usize>,
    pub(crate) is_standby: bool,
}

impl ServeOptions {
    /// An unbounded queue, and an error if the topic has a server already.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many requests can be queued, in each of its two lanes; see [`ump::bounded`]. Not for a channel that there is already.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = Some(requests);
        self
    }

    /// If the topic has a server already, stands by: gets in line, and serves when all who came before have left.
    pub fn standby(mut self) -> Self {
        self.is_standby = true;
        self
    }
}

/// The right to serve a topic; it ends when this is dropped, or with its server. From [`Router::serve_by`](crate::Router::serve_by); a
/// [`Server`](crate::Server) has its own.
///
/// Then the next in line serves, or nobody. Requests that the server has in its queue it keeps.
#[must_use = "the topic is not served any more when this is dropped"]
pub struct Claim {
    pub(super) table: Weak<dyn ClaimTable>,
    pub(super) topic: Topic,
    pub(super) id: ClaimId,
}

/// Where claims are held.
pub(super) trait ClaimTable: Send + Sync {
    fn leave(&self, topic: &Topic, id: ClaimId);
    fn role(&self, topic: &Topic, id: ClaimId) -> Option<Role>;
}

impl Claim {
    pub(super) fn new(table: &Arc<impl ClaimTable + 'static>, topic: Topic, id: ClaimId) -> Self {
        let table = Arc::downgrade(table) as Weak<dyn ClaimTable>;
        Self { table, topic, id }
    }

    /// The topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Whether requests come here now; otherwise it stands by, or is over: the router was closed, or the server that it is for
    /// is gone or [closed](ump::Server::close).
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.role() == Some(Role::Serving)
    }

    /// Whether it waits for those before it to leave.
    #[must_use]
    pub fn is_standing_by(&self) -> bool {
        self.role() == Some(Role::Standby)
    }

    fn role(&self) -> Option<Role> {
        self.table.upgrade()?.role(&self.topic, self.id)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.leave(&self.topic, self.id);
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("topic", &self.topic)
            .field("is_serving", &self.is_serving())
            .finish_non_exhaustive()
    }
}
