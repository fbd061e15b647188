//! Publish and subscribe: from the publisher's thread straight into the queues of the subscribers.

mod bus;
mod deferred;
mod delivery;
mod options;
mod publication;
mod queue;
mod received;
mod retained;
mod subscription;

pub(crate) use self::{bus::Bus, deferred::Deferred};
pub use self::{
    options::{SubscribeOptions, WhenFull},
    publication::{Publish, PublishFuture, Published},
    received::Received,
    subscription::{RecvError, Subscription},
};
