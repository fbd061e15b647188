//! The right to serve a topic.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use crate::{
    claims::{ClaimId, Role},
    close_handle::{Close, CloseHandle},
    topic::Topic,
};

/// The options for serving a topic.
///
/// ```
/// # use ump_router::ServeOptions;
/// ServeOptions::new().capacity(64).standby();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "to be given to `Router::serve_with` or `Router::serve_by`"]
pub struct ServeOptions {
    pub(super) capacity: Option<usize>,
    pub(super) is_standby: bool,
}

impl ServeOptions {
    /// Creates the default options: an unbounded queue, and an error if the topic has a server
    /// already.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds the queue to this number of requests in each of its two lanes; see [`ump::bounded`].
    /// [`Router::serve_by`](crate::Router::serve_by) ignores it, because its channel exists
    /// already.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = Some(requests);
        self
    }

    /// If the topic has a server already, stands by: serves once the server and all standbys that
    /// came before have left.
    pub fn standby(mut self) -> Self {
        self.is_standby = true;
        self
    }
}

/// The right to serve a topic. From [`Router::serve_by`](crate::Router::serve_by); a
/// [`Server`](crate::Server) has one, too.
///
/// It ends when it is dropped, by its [handle](Self::close_handle) from outside, when its server
/// ends, or when the router is closed. Then the first
/// standby serves the topic, if there is one. The server keeps the requests that are in its queue.
#[must_use = "the topic is not served any more when this is dropped"]
pub struct Claim {
    table: Weak<dyn ClaimTable>,
    topic: Topic,
    id: ClaimId,
}

/// The table that a claim is in.
pub(super) trait ClaimTable: Send + Sync {
    fn release(&self, topic: &Topic, id: ClaimId);
    fn role(&self, topic: &Topic, id: ClaimId) -> Option<Role>;
}

impl Claim {
    pub(super) fn new(table: &Arc<impl ClaimTable + 'static>, topic: Topic, id: ClaimId) -> Self {
        let table = Arc::downgrade(table) as Weak<dyn ClaimTable>;
        Self { table, topic, id }
    }

    /// Returns the topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns whether requests on the topic come to this server now.
    ///
    /// If not, it stands by, or the claim has ended: the router was closed, or the server ended or
    /// was [closed](ump::Server::close).
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.role() == Some(Role::Serving)
    }

    /// Returns whether the server stands by, until those before it leave.
    #[must_use]
    pub fn is_standing_by(&self) -> bool {
        self.role() == Some(Role::Standby)
    }

    /// Returns a handle that ends the claim from outside.
    #[must_use]
    pub fn close_handle(&self) -> CloseHandle {
        CloseHandle::new(CloseClaim {
            table: Weak::clone(&self.table),
            topic: self.topic.clone(),
            id: self.id,
        })
    }

    fn role(&self) -> Option<Role> {
        self.table.upgrade()?.role(&self.topic, self.id)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.release(&self.topic, self.id);
        }
    }
}

/// Ends a claim from outside.
struct CloseClaim {
    table: Weak<dyn ClaimTable>,
    topic: Topic,
    id: ClaimId,
}

impl Close for CloseClaim {
    fn close(&self) {
        if let Some(table) = self.table.upgrade() {
            table.release(&self.topic, self.id);
        }
    }

    fn is_closed(&self) -> bool {
        let table = self.table.upgrade();
        table.is_none_or(|table| table.role(&self.topic, self.id).is_none())
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
