//! Bridges: a router without its types, for transports that are not [links](crate::link). Requires
//! the feature `bridge`, and unix.
//!
//! A [`Bridge`] is for the writer of a transport, such as the mesh of `ump-mesh`: it sees the types
//! that [travel](Router::carry) as full names (with the prefix of the type) and encoded payloads.
//! Programs do not need it.
//!
//! | | from this process to others | from others into this process |
//! |---|---|---|
//! | what there is | [`Announcements`]: subscriptions, and topics with a server or a standby | [`Outbox::add`] a subscription, [`RemoteServers::add`] a topic |
//! | messages | [`Outbox::poll_next`] | [`Bridge::publish`], and [`Bridge::miss`] for a gap |
//! | requests | [`RemoteServers::poll_next`] | [`Bridge::request`] |
//!
//! What a bridge brings goes to the subscriptions and servers of this process, and never into an
//! outbox or to a remote server. So nothing comes back, and nothing goes on to links.
//!
//! Nothing here waits or has a thread: whatever is polled registers the waker of its context. All
//! queues are bounded; what has no room is a gap ([`Outgoing::Missed`]).
//!
//! ```
//! use std::task::{Context, Poll, Waker};
//! use serde::{Deserialize, Serialize};
//! use ump_router::{Message, Router, bridge::{Announced, Outgoing}};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Price(f64);
//! impl Message for Price {
//!     const PREFIX: &str = "price";
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = (Router::new(), Router::new());
//! here.carry::<Price>()?;
//! there.carry::<Price>()?;
//! let mut prices = there.subscribe::<Price>("eth/*")?;
//!
//! // A transport tells one router what the other one has,
//! let mut cx = Context::from_waker(Waker::noop());
//! let (from, to) = (here.bridge("wire")?, there.bridge("wire")?);
//! let mut announcements = to.announcements()?;
//! let mut outbox = from.outbox();
//! while let Poll::Ready(Some(Announced::Subscribed(pattern))) = announcements.poll_next(&mut cx) {
//!     outbox.add(pattern);
//! }
//! assert!(outbox.poll_next(&mut cx).is_pending());
//!
//! // and carries messages.
//! here.publish("eth/eur", Price(3000.0)).wait()?;
//! while let Poll::Ready(Outgoing::Message { topic, codec, payload }) = outbox.poll_next(&mut cx) {
//!     to.publish(&topic, codec, &payload);
//! }
//! assert_eq!(prices.recv().wait()?.0, 3000.0);
//! # Ok(())
//! # }
//! ```

mod announcements;
mod local_request;
mod outbox;
mod outcome;
mod remote_servers;
mod types;

use std::{fmt, sync::Arc, time::Instant};

use ump::{Clock, Executed};

pub use self::{
    announcements::{Announced, Announcements},
    local_request::LocalRequest,
    outbox::{Outbox, Outgoing},
    outcome::Outcome,
    remote_servers::{RemoteRequest, RemoteServers},
};
use crate::{
    error::Error,
    link::{
        sockets::{
            carried::Carried,
            names::{of_type, own, without_prefix},
        },
        wire::{Codec, Failure},
    },
    router::Router,
    topic::{Pattern, Topic, TopicError},
};

/// A router for a transport that is not a link: see the [module](self). Clones are the same bridge.
///
/// It keeps the router open, as a clone of the router does.
#[derive(Clone)]
pub struct Bridge {
    router: Router,
    name: Arc<str>,
}

/// Bridges to other transports: see [`bridge`](crate::bridge). With the feature `bridge`.
impl Router {
    /// Makes a bridge with a name, which stands for the link in the lists of the router and in
    /// errors.
    ///
    /// # Errors
    /// [`Error::Closed`]: the router was closed.
    pub fn bridge(&self, name: impl Into<Arc<str>>) -> Result<Bridge, Error> {
        if self.parts().1.is_closed() {
            return Err(Error::Closed);
        }
        Ok(Bridge {
            router: self.clone(),
            name: name.into(),
        })
    }
}

impl Bridge {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the clock of the router, by which deadlines are.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.router.parts().0.clock()
    }

    /// Returns what the program subscribes to and serves, and then what changes.
    ///
    /// # Errors
    /// [`Error::Closed`]: the router was closed.
    pub fn announcements(&self) -> Result<Announcements, Error> {
        Announcements::open(&self.router)
    }

    /// Returns the queue of messages of this process for others, without subscriptions.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(&self.router, &self.name)
    }

    /// Returns the servers of other processes, without topics.
    #[must_use]
    pub fn remote_servers(&self) -> RemoteServers {
        RemoteServers::new(&self.router, &self.name)
    }

    /// Publishes an encoded message of another process to the subscriptions of this one. The topic
    /// is a full name; it is a pattern if the message was published on one.
    ///
    /// It does not wait: a subscription without room misses the message. If the payload cannot be
    /// decoded, all subscriptions that match [miss](Self::miss) one message. A message of a type
    /// that does not travel is ignored.
    pub fn publish(&self, topic: &Pattern, codec: Codec, payload: &[u8]) {
        let found = self.router.parts().1.find_carried(|carried| match carried {
            Carried::Messages(messages) => {
                let own = without_prefix(messages.prefix(), topic)?;
                Some((Arc::clone(messages), own))
            }
            Carried::Requests(_) => None,
        });
        let Some((messages, own)) = found else {
            return;
        };
        if !messages.publish(&own, (codec, payload), &|_| true) {
            messages.miss(1, false, &|pattern| pattern.intersects(&own));
        }
    }

    /// Tells the subscriptions of this process that could have received messages on a topic, or on
    /// a topic of a pattern, that they miss so many; `None` if the number is not known
    /// ([`Interrupted`](crate::RecvError::Interrupted)). They learn of it in its place: after the
    /// messages that were published before.
    pub fn miss(&self, name: &Pattern, count: Option<u64>) {
        for carried in self.router.parts().1.carried_after(0) {
            let Carried::Messages(messages) = carried else {
                continue;
            };
            if let Some(own) = of_type(messages.prefix(), name) {
                let is_meant = |pattern: &Pattern| pattern.intersects(&own);
                messages.miss(count.unwrap_or(0), count.is_none(), &is_meant);
            }
        }
    }

    /// Makes an encoded request of another process to the server of a topic in this one. The topic
    /// is a full name.
    ///
    /// The request is in the queue of the server when this returns, or [has
    /// ended](LocalRequest::poll): without such a server with [`Failure::NoServer`], and with
    /// [`Failure::Malformed`] if the payload cannot be decoded.
    pub fn request(
        &self,
        topic: &Topic,
        codec: Codec,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> LocalRequest {
        let found = self.router.parts().1.find_carried(|carried| match carried {
            Carried::Requests(requests) => {
                let own = own(requests.prefix(), topic)?;
                Some((Arc::clone(requests), own))
            }
            Carried::Messages(_) => None,
        });
        let Some((requests, own)) = found else {
            let none = Outcome::Failed(Failure::NoServer, Executed::No, String::new());
            return LocalRequest::ended(none);
        };
        match requests.request(own, (codec, payload), deadline) {
            Ok(call) => LocalRequest::running(call),
            Err((failure, text)) => {
                LocalRequest::ended(Outcome::Failed(failure, Executed::No, text))
            }
        }
    }
}

/// Reads a pattern that is a full name, which may be longer than [`Pattern::MAX_LENGTH`].
///
/// # Errors
/// The text is not one.
pub fn full_pattern(text: &str) -> Result<Pattern, TopicError> {
    Pattern::from_full_name(text)
}

/// Reads a topic that is a full name, which may be longer than what a program may write.
///
/// # Errors
/// The text is not one.
pub fn full_topic(text: &str) -> Result<Topic, TopicError> {
    Topic::from_full_name(text)
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
