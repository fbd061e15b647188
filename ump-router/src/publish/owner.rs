//! Whose a subscription is.

use std::sync::Arc;

use crate::topic::Topic;

/// Whose a subscription is. From [`SubscriptionStatus`](crate::SubscriptionStatus).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SubscriptionOwner {
    /// The program's own: a [`Subscription`](crate::Subscription).
    Program,
    /// The router at the other end of the link with this name. All its subscriptions to a type are
    /// one here.
    Link(Arc<str>),
    /// The links of the router together: they look for what they have to tell.
    Links,
}

/// Whose a queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueueOwner {
    One(SubscriptionOwner),
    /// The members of a group share it.
    Group(Topic),
}

impl QueueOwner {
    pub(crate) const PROGRAM: Self = Self::One(SubscriptionOwner::Program);

    pub(super) fn group(&self) -> Option<&Topic> {
        match self {
            Self::Group(group) => Some(group),
            Self::One(_) => None,
        }
    }

    pub(super) fn of_subscription(&self) -> SubscriptionOwner {
        match self {
            Self::Group(_) => SubscriptionOwner::Program,
            Self::One(owner) => owner.clone(),
        }
    }
}
