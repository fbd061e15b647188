//! Requests in both directions.

use std::{
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use ump::Executed;
use ump_router::{
    Bytes, Pattern, Topic,
    bridge::{LocalRequest, Outcome, RemoteRequest},
    link::wire::Failure,
};
use zenoh::{Wait as _, bytes::ZBytes, query::Query};

use super::{
    Driver, LOOK, poll_with,
    wire::{self, codec, encoding},
};
use crate::{envelope::Tell, keys, participant::ParticipantId, shared::Key};

/// How many requests of others are executed at a time, those of one participant, and all queries.
const MAX_OF_ONE: usize = 1024;
const MAX_EXECUTING: usize = 1 << 14;

/// After what time a request that nobody has acknowledged ends. A participant that is lost is
/// noticed before: this is for requests that zenoh could not deliver.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(4);

/// A request of this process at another participant.
pub(super) struct Pending {
    request: RemoteRequest,
    to: ParticipantId,
    sent: Instant,
    is_taken: bool,
    waker: Waker,
}

/// A request of another participant at a server of this process.
pub(super) struct Executing {
    topic: Topic,
    local: LocalRequest,
    waker: Waker,
}

/// A query of a plain zenoh program at a server of this process.
pub(super) struct Queried {
    topic: Topic,
    local: LocalRequest,
    query: Query,
    waker: Waker,
}

fn failed(failure: Failure, executed: Executed, text: &str) -> Outcome {
    Outcome::Failed(failure, executed, text.to_owned())
}

/// The requests of this process.
impl Driver {
    pub(super) fn send_requests(&mut self) {
        for _ in 0..wire::TURN {
            let polled = poll_with(&self.wakers.servers, |cx| self.servers.poll_next(cx));
            let Poll::Ready(request) = polled else {
                return;
            };
            self.send_request(request);
        }
        self.shared.queue.wake(Key::Servers); // goes on after others
    }

    fn send_request(&mut self, request: RemoteRequest) {
        let Some((epoch, to)) = self.claims.remote(request.topic()) else {
            // It was lost, or this process serves the topic now: the request was not for it. Or
            // the standby that follows has not said yet that it serves.
            let text = "the topic changes its server";
            return request.finish(failed(Failure::ServerLost, Executed::No, text));
        };
        let (now, clock) = (Instant::now(), self.shared.bridge.clock().now());
        let number = self.next_number();
        let told = Tell::Request {
            number,
            epoch,
            codec: request.codec(),
            remaining: request
                .deadline()
                .map(|deadline| deadline.saturating_duration_since(clock)),
            topic: request.topic().clone(),
        };
        if !self.tell(to, &told, request.payload()) {
            return request.finish(failed(Failure::LinkLost, Executed::No, "zenoh is closed"));
        }
        let pending = Pending {
            request,
            to,
            sent: now,
            is_taken: false,
            waker: self.shared.queue.waker(Key::Pending(number)),
        };
        self.pending.insert(number, pending);
        self.look_at.get_or_insert(now + LOOK);
        self.poll_pending(number);
    }

    /// Looks whether the caller of a request is gone.
    pub(super) fn poll_pending(&mut self, number: u64) {
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        let request = &mut pending.request;
        if poll_with(&pending.waker, |cx| request.poll_cancelled(cx)).is_ready() {
            let to = pending.to;
            self.pending.remove(&number);
            self.tell(to, &Tell::Cancel { number }, &[]);
        }
    }

    /// Ends a request of this process, if it is one at this participant.
    fn finish(&mut self, from: ParticipantId, number: u64, outcome: Outcome) {
        if self.pending.get(&number).is_some_and(|it| it.to == from) {
            if let Some(pending) = self.pending.remove(&number) {
                pending.request.finish(outcome);
            }
        }
    }

    /// Ends requests that nobody has acknowledged, long after they were sent.
    pub(super) fn look_for_unacknowledged(&mut self, now: Instant) {
        let late =
            |pending: &Pending| !pending.is_taken && now - pending.sent > ACKNOWLEDGED_WITHIN;
        let all = self.pending.iter();
        let late: Vec<_> = all.filter(|(_, it)| late(it)).map(|(it, _)| *it).collect();
        for number in late {
            if let Some(pending) = self.pending.remove(&number) {
                let text = "its participant has not acknowledged it";
                let outcome = failed(Failure::LinkLost, Executed::Perhaps, text);
                pending.request.finish(outcome);
                self.tell(pending.to, &Tell::Cancel { number }, &[]);
            }
        }
        self.look_at = (!self.pending.is_empty()).then(|| now + LOOK);
    }
}

/// The requests of others.
impl Driver {
    pub(super) fn on_told(&mut self, from: ParticipantId, told: Tell, payload: &ZBytes) {
        let bytes = || Bytes::from(&*payload.to_bytes());
        match told {
            Tell::Request {
                number,
                epoch,
                codec,
                remaining,
                topic,
            } => {
                let refused = self.refusal(from, number, (&topic, epoch));
                if let Some((failure, text)) = refused {
                    return self.tell_outcome(from, number, failed(failure, Executed::No, text));
                }
                let deadline =
                    remaining.and_then(|left| self.shared.bridge.clock().now().checked_add(left));
                let payload = payload.to_bytes();
                let local = self
                    .shared
                    .bridge
                    .request(&topic, codec, &payload, deadline);
                let waker = self.shared.queue.waker(Key::Executing(from, number));
                let key = (from, number);
                let executing = Executing {
                    topic,
                    local,
                    waker,
                };
                self.executing.insert(key, executing);
                self.poll_executing(key);
                if self.executing.contains_key(&key) {
                    self.tell(from, &Tell::Taken { number }, &[]);
                }
            }
            Tell::Cancel { number } => drop(self.executing.remove(&(from, number))),
            Tell::Taken { number } => {
                let pending = self.pending.get_mut(&number);
                if let Some(pending) = pending.filter(|pending| pending.to == from) {
                    pending.is_taken = true;
                }
            }
            Tell::Reply { number, codec } => {
                self.finish(from, number, Outcome::Reply(codec, bytes()));
            }
            Tell::Refused { number, codec } => {
                self.finish(from, number, Outcome::Refused(codec, bytes()));
            }
            Tell::Failed {
                number,
                failure,
                executed,
                text,
            } => self.finish(from, number, Outcome::Failed(failure, executed, text)),
            // The callbacks have handled these.
            Tell::Gap { .. } | Tell::Seen { .. } => {}
        }
    }

    /// Why a request is not executed.
    fn refusal(
        &self,
        from: ParticipantId,
        number: u64,
        (topic, epoch): (&Topic, u64),
    ) -> Option<(Failure, &'static str)> {
        if !self.claims.serves(topic, epoch) {
            let text = "the claim that the request is for does not serve the topic any more";
            return Some((Failure::ServerLost, text));
        }
        let of_one = self.executing.keys().filter(|(id, _)| *id == from);
        let all = self.executing.len() + self.queried.len();
        if all >= MAX_EXECUTING || (all >= MAX_OF_ONE && of_one.count() >= MAX_OF_ONE) {
            return Some((Failure::Full, "too many requests wait at this participant"));
        }
        if self.executing.contains_key(&(from, number)) {
            return Some((Failure::Denied, "the number of the request is in use"));
        }
        None
    }

    /// Looks whether a request of another participant has ended.
    pub(super) fn poll_executing(&mut self, key: (ParticipantId, u64)) {
        let Some(Executing { local, waker, .. }) = self.executing.get_mut(&key) else {
            return;
        };
        if let Poll::Ready(outcome) = poll_with(waker, |cx| local.poll(cx)) {
            self.executing.remove(&key);
            self.tell_outcome(key.0, key.1, outcome);
        }
    }

    fn tell_outcome(&self, to: ParticipantId, number: u64, outcome: Outcome) {
        let (told, payload) = match outcome {
            Outcome::Reply(codec, payload) => (Tell::Reply { number, codec }, Some(payload)),
            Outcome::Refused(codec, payload) => (Tell::Refused { number, codec }, Some(payload)),
            Outcome::Failed(failure, executed, text) => {
                let told = Tell::Failed {
                    number,
                    failure,
                    executed,
                    text,
                };
                (told, None)
            }
        };
        self.tell(to, &told, payload.as_deref().unwrap_or_default());
    }
}

/// The queries of plain zenoh programs.
impl Driver {
    pub(super) fn on_query(&mut self, query: &Query) {
        let name = keys::name(query.key_expr().as_str());
        let Some(topic) = name.as_ref().and_then(Pattern::as_topic) else {
            return; // of a pattern: no single server is meant
        };
        let own = self.own_claims.get(topic);
        if !own.is_some_and(|own| self.claims.serves(topic, own.epoch())) {
            return;
        }
        if self.executing.len() + self.queried.len() >= MAX_EXECUTING {
            return reply_error(query, "too many requests wait at this participant");
        }
        let codec = query
            .encoding()
            .map_or(ump_router::link::wire::Codec::Cbor, codec);
        let payload = query.payload().map(ZBytes::to_bytes).unwrap_or_default();
        let local = self.shared.bridge.request(topic, codec, &payload, None);
        let number = self.next_number();
        let waker = self.shared.queue.waker(Key::Queried(number));
        let queried = Queried {
            topic: topic.clone(),
            local,
            query: query.clone(),
            waker,
        };
        self.queried.insert(number, queried);
        self.poll_queried(number);
    }

    pub(super) fn poll_queried(&mut self, number: u64) {
        let Some(queried) = self.queried.get_mut(&number) else {
            return;
        };
        let local = &mut queried.local;
        let Poll::Ready(outcome) = poll_with(&queried.waker, |cx| local.poll(cx)) else {
            return;
        };
        let Some(Queried { query, .. }) = self.queried.remove(&number) else {
            return;
        };
        match outcome {
            Outcome::Reply(codec, payload) => {
                let reply = query.reply(query.key_expr().clone(), &*payload);
                let _ = reply.encoding(encoding(codec)).wait(); // an error if it is gone
            }
            Outcome::Refused(codec, payload) => {
                let reply = query.reply_err(&*payload);
                let _ = reply.encoding(encoding(codec)).wait();
            }
            Outcome::Failed(failure, executed, text) => {
                let text = format!("{failure} ({text}); executed: {executed}");
                reply_error(&query, &text);
            }
        }
    }
}

fn reply_error(query: &Query, text: &str) {
    let reply = query.reply_err(text);
    let encoding = zenoh::bytes::Encoding::TEXT_PLAIN;
    let _ = reply.encoding(encoding).wait(); // an error if it is gone
}

/// The ends of participants.
impl Driver {
    /// A participant is lost: so are the requests at it, and its own.
    pub(super) fn end_requests_of(&mut self, id: ParticipantId) {
        self.executing.retain(|(from, _), _| *from != id);
        let at_it = self.pending.iter().filter(|(_, pending)| pending.to == id);
        let at_it: Vec<_> = at_it.map(|(number, _)| *number).collect();
        for number in at_it {
            if let Some(pending) = self.pending.remove(&number) {
                let text = if pending.is_taken {
                    "the participant is lost, and had taken the request"
                } else {
                    "the participant is lost, and had not acknowledged the request"
                };
                let outcome = failed(Failure::ServerLost, Executed::Perhaps, text);
                pending.request.finish(outcome);
            }
        }
    }

    /// The claim of this process has lost the topic: no request that was for it is executed from
    /// here on. One that a handler has taken is cancelled.
    pub(super) fn end_requests_on(&mut self, topic: &Topic) {
        let text = "another participant serves the topic now";
        let of_topic = self.executing.iter().filter(|(_, it)| it.topic == *topic);
        let of_topic: Vec<_> = of_topic.map(|(key, _)| *key).collect();
        for (from, number) in of_topic {
            drop(self.executing.remove(&(from, number)));
            let outcome = failed(Failure::ServerLost, Executed::Perhaps, text);
            self.tell_outcome(from, number, outcome);
        }
        let of_topic = self.queried.iter().filter(|(_, it)| it.topic == *topic);
        let of_topic: Vec<_> = of_topic.map(|(key, _)| *key).collect();
        for queried in of_topic.iter().filter_map(|key| self.queried.remove(key)) {
            drop(queried.local);
            reply_error(&queried.query, text);
        }
    }

    /// The mesh is left.
    pub(super) fn end_requests(&mut self) {
        for (number, pending) in std::mem::take(&mut self.pending) {
            let outcome = failed(Failure::LinkLost, Executed::Perhaps, "the mesh was left");
            pending.request.finish(outcome);
            self.tell(pending.to, &Tell::Cancel { number }, &[]);
        }
        let text = "the participant has left";
        for ((from, number), executing) in std::mem::take(&mut self.executing) {
            drop(executing);
            let outcome = failed(Failure::ServerLost, Executed::Perhaps, text);
            self.tell_outcome(from, number, outcome);
        }
        for (_, queried) in std::mem::take(&mut self.queried) {
            reply_error(&queried.query, text);
        }
    }
}
