//! The servers of other processes, as servers of this router.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ump::Executed;

use super::{Outcome, types::Types};
use crate::{
    link::{
        sockets::{
            carried::{Calls, Carried, CarriedRequests, Pending},
            names::{full, own},
        },
        wire::{Codec, Failure},
    },
    protocol::Bytes,
    router::Router,
    serve::Claim,
    topic::Topic,
};

/// The topics that servers of other processes serve here, and the requests of this process for
/// them. From [`Bridge::remote_servers`](super::Bridge::remote_servers).
pub struct RemoteServers {
    name: Arc<str>,
    types: Types,
    /// The topics, with their claims as soon as their types travel.
    topics: HashMap<Topic, Option<Claim>>,
    /// One for each type.
    queues: Vec<Queue>,
    /// The queue that is polled first.
    first: usize,
}

struct Queue {
    requests: Arc<dyn CarriedRequests>,
    calls: Option<Box<dyn Calls>>,
}

/// A request of this process for a server of another one. If it is dropped, it ends as not
/// answered.
#[must_use = "the request ends without a reply when this is dropped"]
pub struct RemoteRequest {
    topic: Topic,
    deadline: Option<Instant>,
    codec: Codec,
    payload: Bytes,
    pending: Box<dyn Pending>,
}

impl RemoteServers {
    pub(super) fn new(router: &Router, name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            types: Types::new(router),
            topics: HashMap::new(),
            queues: Vec::new(),
            first: 0,
        }
    }

    /// Lets a server of another process have a topic, by its full name, before all servers of this
    /// one: a server that has the topic stands by until it is [removed](Self::remove), and is not
    /// asked meanwhile. (The requests in its queue stay there.) Returns whether it is new.
    ///
    /// [Poll](Self::poll_next) afterwards: it may be the first topic of its type. If the type does
    /// not travel yet, the topic is claimed when it does.
    pub fn add(&mut self, topic: Topic) -> bool {
        if self.topics.contains_key(&topic) {
            return false;
        }
        let claim = claim(&mut self.queues, &self.name, &topic);
        self.topics.insert(topic, claim);
        true
    }

    /// Gives up a topic. Then the first standby serves. Returns whether it was there.
    pub fn remove(&mut self, topic: &Topic) -> bool {
        self.topics.remove(topic).is_some()
    }

    /// Returns the next request.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<RemoteRequest> {
        self.carry(cx);
        for nth in 0..self.queues.len() {
            let at = (self.first + nth) % self.queues.len();
            let Queue { requests, calls } = &mut self.queues[at];
            let Some(calls) = calls else {
                continue;
            };
            while let Poll::Ready(Some(call)) = calls.poll_next(cx) {
                let topic = full(requests.prefix(), &call.topic);
                let (Some(payload), Some(topic)) = (call.payload, topic) else {
                    let text = "the request could not be encoded".to_owned();
                    let failed = Outcome::Failed(Failure::Malformed, Executed::No, text);
                    call.pending.finish(failed.into());
                    continue;
                };
                // Each type has its turn.
                self.first = at + 1;
                return Poll::Ready(RemoteRequest {
                    topic,
                    deadline: call.deadline,
                    codec: call.codec,
                    payload,
                    pending: call.pending,
                });
            }
        }
        Poll::Pending
    }

    fn carry(&mut self, cx: &mut Context<'_>) {
        let mut has_more = false;
        for carried in self.types.poll_new(cx) {
            if let Carried::Requests(requests) = carried {
                let calls = None;
                self.queues.push(Queue { requests, calls });
                has_more = true;
            }
        }
        if !has_more {
            return;
        }
        for (topic, unclaimed) in &mut self.topics {
            if unclaimed.is_none() {
                *unclaimed = claim(&mut self.queues, &self.name, topic);
            }
        }
    }
}

/// Claims a topic. `None` if its type does not travel, or the router was closed.
fn claim(queues: &mut [Queue], name: &Arc<str>, topic: &Topic) -> Option<Claim> {
    let mut queues = queues.iter_mut();
    queues.find_map(|Queue { requests, calls }| {
        let own = own(requests.prefix(), topic)?;
        let calls = calls.get_or_insert_with(|| requests.calls(name));
        calls.claim_first(own).ok()
    })
}

impl RemoteRequest {
    /// Returns the topic, which is a full name.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns when the caller leaves, if it does.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the codec of the payload.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Returns the encoded message.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Is ready when the caller is gone, or its deadline has passed: drop the request then. The
    /// waker is woken when the caller leaves. It does so at its deadline, but not before it runs.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pending.poll_cancelled(cx)
    }

    /// Ends the request. A message that was not executed goes back to the caller.
    pub fn finish(self, outcome: Outcome) {
        self.pending.finish(outcome.into());
    }
}

impl fmt::Debug for RemoteServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteServers")
            .field("topics", &self.topics.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteRequest")
            .field("topic", &self.topic)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
