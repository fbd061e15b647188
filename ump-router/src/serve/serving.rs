//! Who serves a topic, as those see it who ask.

use std::{fmt, sync::Weak};

use super::{call::Call, servers::Servers};
use crate::{
    claims::ClaimId,
    protocol::RequestMessage,
    sync::{AtomicBool, Ordering, Shared},
    topic::Topic,
};

/// The channel to the server of a topic.
pub(crate) type Client<P> =
    ump::Client<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// The end of it.
pub(super) type Closed<P> =
    ump::Closed<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// The other end of it.
pub(crate) type Requests<P> =
    ump::Server<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// Who serves a topic, or stands by.
pub(crate) struct Serving<P: RequestMessage> {
    pub(crate) id: ClaimId,
    pub(crate) topic: Topic,
    pub(crate) client: Shared<Client<P>>,
    /// Rings when the server ends, as long as this is here.
    _closed: Closed<P>,
    /// Among which it is one.
    pub(crate) servers: Weak<Servers<P>>,
    has_left: AtomicBool,
}

impl<P: RequestMessage> Serving<P> {
    pub(crate) fn new(
        id: ClaimId,
        topic: Topic,
        client: Client<P>,
        closed: Closed<P>,
        servers: Weak<Servers<P>>,
    ) -> Self {
        Self {
            id,
            topic,
            client: Shared::new(client),
            _closed: closed,
            servers,
            has_left: AtomicBool::new(false),
        }
    }

    /// What it receives.
    pub(super) fn call(&self, message: P) -> Call<P> {
        let topic = self.topic.clone();
        Call { topic, message }
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

impl<P: RequestMessage> fmt::Debug for Serving<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
