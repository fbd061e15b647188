//! Publish and subscribe: the publisher's thread puts each message straight into the queues of the
//! subscribers.

mod bus;
mod deferred;
mod delivery;
mod options;
mod publication;
mod published;
mod queue;
mod received;
mod recv_error;
mod retained;
mod status;
mod subscription;

pub(crate) use self::bus::Bus;
pub use self::{
    options::{SubscribeOptions, WhenFull},
    publication::{Publish, PublishFuture},
    published::Published,
    received::Received,
    recv_error::RecvError,
    status::{RetainedStatus, SubscriptionStatus},
    subscription::{Iter, Messages, Recv, Subscription},
};
