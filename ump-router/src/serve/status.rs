//! The served topics, as plain data.

use std::any::type_name;

use ump::Stats;

use super::servers::Servers;
use crate::{
    claims::Role,
    protocol::RequestMessage,
    topic::{Pattern, full_name::full_name},
};

/// The state of the server of a topic, or of a standby. From
/// [`Router::servers`](crate::Router::servers).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServerStatus {
    /// The topic, with the prefix of its type.
    pub topic: Pattern,
    /// The Rust name of the type of requests, as [`std::any::type_name`] gives it.
    pub type_name: &'static str,
    /// Whether it stands by, until those before it leave.
    pub is_standby: bool,
    /// How many requests each lane of its queue can hold; `None` if the queue is unbounded.
    pub capacity: Option<usize>,
    /// The counters of its channel, for the requests of all its clients.
    pub requests: Stats,
}

impl<P: RequestMessage> Servers<P> {
    /// Adds the status of each server and standby to a list.
    pub(crate) fn list(&self, list: &mut Vec<ServerStatus>) {
        self.for_each(|topic, channel, role| {
            let own = Pattern::from(topic);
            list.push(ServerStatus {
                topic: full_name(P::PREFIX, &own),
                type_name: type_name::<P>(),
                is_standby: role == Role::Standby,
                capacity: channel.capacity(),
                requests: channel.stats(),
            });
        });
    }
}
