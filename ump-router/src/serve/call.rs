//! A request on its way to the server of its topic.

use std::fmt;

use crate::{
    core::claims::ClaimId,
    protocol::Request,
    sync::{AtomicBool, Ordering},
    topic::Topic,
};

/// What the server of a topic receives: a request, and the topic on which it was made.
///
/// A handler of `ump-server` that serves topics is one of `Call<P>`, for a request `P`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call<P> {
    /// The topic, without the prefix of its type.
    pub topic: Topic,
    /// What is asked.
    pub message: P,
}

impl<P> Call<P> {
    /// What is asked, without the topic.
    pub fn into_message(self) -> P {
        self.message
    }
}

/// The channel to the server of a topic.
pub(crate) type Client<P> = ump::Client<Call<P>, <P as Request>::Reply, <P as Request>::Error>;

/// The other end of it.
pub(crate) type Requests<P> = ump::Server<Call<P>, <P as Request>::Reply, <P as Request>::Error>;

/// Who serves a topic, or stands by.
pub(crate) struct Serving<P: Request> {
    pub(crate) id: ClaimId,
    pub(crate) topic: Topic,
    pub(crate) client: Client<P>,
    has_left: AtomicBool,
}

impl<P: Request> Serving<P> {
    pub(crate) fn new(id: ClaimId, topic: Topic, client: Client<P>) -> Self {
        Self {
            id,
            topic,
            client,
            has_left: AtomicBool::new(false),
        }
    }

    /// Its claim is over.
    pub(crate) fn leave(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }

    /// For those who found it before. Nothing else is read because of it, so that it may be relaxed.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }
}

impl<P: Request> fmt::Debug for Serving<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
