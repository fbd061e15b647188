//! Publish and subscribe: from the publisher's thread straight into the queues of the subscribers.

mod bus;
mod leftovers;
mod line;
mod options;
mod publication;
mod queue;
mod received;
mod retained;
mod subscription;
mod waiting;

pub(crate) use self::{bus::Bus, leftovers::Leftovers};
pub use self::{
    options::{SubscribeOptions, WhenFull},
    publication::{Publish, PublishFuture, Published},
    received::Received,
    subscription::{RecvError, Subscription},
};
