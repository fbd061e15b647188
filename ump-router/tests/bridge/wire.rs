//! A transport between two routers, which carries all that there is when it is asked to.

use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};
use ump_router::{
    Message, RequestMessage, Router,
    bridge::{
        Announced, Announcements, Bridge, LocalRequest, Outbox, Outgoing, RemoteRequest,
        RemoteServers,
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price(pub(crate) u64);

impl Message for Price {
    const PREFIX: &str = "price";
}

/// Has the prefix of [`Price`] and another form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OtherPrice {
    pub(crate) text: String,
}

impl Message for OtherPrice {
    const PREFIX: &str = "price";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Double(pub(crate) u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = String;
    const PREFIX: &str = "double";
}

pub(crate) fn carrying() -> Router {
    let router = Router::new();
    router.carry::<Price>().unwrap();
    router.carry_requests::<Double>().unwrap();
    router
}

/// One end of the wire.
pub(crate) struct End {
    pub(crate) router: Router,
    pub(crate) bridge: Bridge,
    pub(crate) announcements: Announcements,
    pub(crate) outbox: Outbox,
    pub(crate) servers: RemoteServers,
    /// Requests of this end at the other one.
    pub(crate) calls: Vec<(RemoteRequest, LocalRequest)>,
}

impl End {
    pub(crate) fn new(router: Router) -> Self {
        let bridge = router.bridge("wire").unwrap();
        Self {
            announcements: bridge.announcements().unwrap(),
            outbox: bridge.outbox(),
            servers: bridge.remote_servers(),
            calls: Vec::new(),
            router,
            bridge,
        }
    }

    /// Returns all changes that wait.
    pub(crate) fn announced(&mut self) -> Vec<Announced> {
        let mut all = Vec::new();
        while let Poll::Ready(Some(one)) = self.announcements.poll_next(&mut context()) {
            all.push(one);
        }
        all
    }

    /// Returns all messages that wait.
    pub(crate) fn outgoing(&mut self) -> Vec<Outgoing> {
        let mut all = Vec::new();
        while let Poll::Ready(one) = self.outbox.poll_next(&mut context()) {
            all.push(one);
        }
        all
    }

    /// Does with all that waits at the other end what a transport does.
    fn take_from(&mut self, other: &mut Self) {
        for one in other.announced() {
            match one {
                Announced::Subscribed(pattern) => assert!(self.outbox.add(pattern)),
                Announced::Unsubscribed(pattern) => assert!(self.outbox.remove(&pattern)),
                Announced::Claimed(topic) => assert!(self.servers.add(topic)),
                Announced::Released(topic) => assert!(self.servers.remove(&topic)),
            }
        }
        for one in other.outgoing() {
            match one {
                Outgoing::Message {
                    topic,
                    codec,
                    payload,
                } => self.bridge.publish(&topic, codec, &payload),
                Outgoing::Missed { within, count } => self.bridge.miss(&within, Some(count)),
            }
        }
        while let Poll::Ready(call) = other.servers.poll_next(&mut context()) {
            let (codec, deadline) = (call.codec(), call.deadline());
            let local = self
                .bridge
                .request(call.topic(), codec, call.payload(), deadline);
            other.calls.push((call, local));
        }
        let mut waiting = Vec::new();
        for (mut call, mut local) in other.calls.drain(..) {
            match local.poll(&mut context()) {
                Poll::Ready(outcome) => call.finish(outcome),
                Poll::Pending if call.poll_cancelled(&mut context()).is_ready() => drop(local),
                Poll::Pending => waiting.push((call, local)),
            }
        }
        other.calls = waiting;
    }
}

pub(crate) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Two routers and the wire between them.
pub(crate) struct Wire {
    pub(crate) here: End,
    pub(crate) there: End,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            here: End::new(carrying()),
            there: End::new(carrying()),
        }
    }

    /// Carries all that there is, in both directions.
    pub(crate) fn carry(&mut self) {
        for _ in 0..3 {
            self.here.take_from(&mut self.there);
            self.there.take_from(&mut self.here);
        }
    }
}
