//! What operators see of a router, and what they may remove.

use crate::{
    error::Error,
    publish::{RetainedStatus, SubscriptionStatus},
    router::Router,
    serve::ServerStatus,
};

impl Router {
    /// Returns the status of all subscriptions, in no particular order: those of the program, and
    /// those of [links](crate::link), with the [owner](SubscriptionStatus::owner) of each.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.registry().subscriptions()
    }

    /// Returns all topics with a retained message, of all types, in no particular order. To read
    /// the messages of a type, see [`read_retained`](Self::read_retained).
    #[must_use]
    pub fn retained(&self) -> Vec<RetainedStatus> {
        self.registry().retained()
    }

    /// Removes the retained message that a status of [`retained`](Self::retained) stands for, of
    /// whatever type, as [`remove_retained`](Self::remove_retained) does. Returns whether there was
    /// one. For operators.
    ///
    /// # Errors
    /// [`Error::Closed`]: the router was closed.
    pub fn remove_listed(&self, status: &RetainedStatus) -> Result<bool, Error> {
        self.registry().remove_retained(status)
    }

    /// Returns the status of all servers and standbys, in no particular order; those of one topic
    /// in the order in which they serve.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.registry().servers()
    }
}
