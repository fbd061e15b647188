//! Publish and subscribe: the publisher's thread puts each message straight into the queues of the
//! subscribers.

mod bus;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
mod changes;
#[cfg(not(all(feature = "link", unix, not(any(loom, shuttle)))))]
#[path = "no_changes.rs"]
mod changes;
mod deferred;
mod delivery;
mod expiry;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
mod link;
mod options;
mod owner;
mod publication;
mod published;
mod queue;
mod received;
mod recv_error;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
mod replicas;
mod retained;
mod retained_messages;
mod retaining;
mod routes;
mod status;
mod subscription;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
mod tombstones;
mod watch;
mod watched;

#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::changes::StampClock;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::link::{MAX_IN_OUTBOX, Outbox, OutboxItem};
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::received::LinkRetention;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::replicas::LinkChange;
pub(crate) use self::{bus::Bus, owner::QueueOwner};
pub use self::{
    options::{SubscribeOptions, WhenFull},
    owner::SubscriptionOwner,
    publication::{Publish, PublishFuture},
    published::Published,
    received::{Received, ReceivedAs},
    recv_error::RecvError,
    retained_messages::RetainedMessages,
    status::{RetainedStatus, SubscriptionStatus},
    subscription::{Iter, Messages, Recv, Subscription},
    watch::{Changed, SubscriberWatch, WatchIter, WatchStream},
};
