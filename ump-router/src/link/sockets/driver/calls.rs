//! Requests in both directions, and the topics that either end serves.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use ump::Executed;

use super::{LinkId, Shared, slots::Slots, wake::Key};
use crate::{
    link::{
        session::{self, Call, Rejected, Session},
        sockets::{
            carried::{self, Calls, LocalCall, Outcome, Pending},
            names::{full, own},
        },
        wire::{Codec, Failure, Status},
    },
    protocol::Bytes,
    serve::Claim,
    topic::{Pattern, Topic},
};

/// How many requests of a type are sent in a turn.
const TURN: usize = 64;

#[derive(Default)]
pub(super) struct Requests {
    /// The topics of this process that the peer was told.
    told: HashMap<Topic, u32>,
    /// Those that the peer had no room for.
    rejected: HashSet<Topic>,
    /// The topics of the peer, with its claims in this process.
    their: HashMap<u32, (Topic, Option<Claim>)>,
    /// Those of them that stand by, as far as the peer knows.
    standbys: HashSet<u32>,
    /// One for each type.
    calls: Vec<CallsState>,
    /// Requests of this process that have no outcome.
    pending: Slots<Box<dyn Pending>>,
    /// Requests of the peer at servers of this process.
    local: Slots<Box<dyn LocalCall>>,
    /// How many requests of this process were taken to be sent.
    taken: u64,
}

#[derive(Default)]
struct CallsState {
    calls: Option<Box<dyn Calls>>,
    /// There may be a request.
    is_ready: bool,
    waker: Option<Waker>,
}

/// A request as the peer made it.
pub(super) struct Incoming {
    pub(super) request: u64,
    pub(super) topic: Topic,
    pub(super) deadline: Option<Instant>,
    pub(super) codec: Codec,
    pub(super) payload: Bytes,
}

impl Requests {
    /// Tells the peer what has changed in this process. Adds the topics that it has no room for,
    /// each once. Returns whether no more is to be told.
    pub(super) fn tell(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        rejected: &mut Vec<Pattern>,
    ) -> bool {
        let names = shared.local.names();
        let wanted = &names.topics;
        self.told.retain(|topic, id| {
            let stays = wanted.contains(topic);
            if !stays {
                let _ = session.leave(*id); // an error if it was refused
            }
            stays
        });
        self.rejected.retain(|topic| wanted.contains(topic));
        for topic in wanted {
            if self.told.contains_key(topic) {
                continue;
            }
            match session.serve(topic, true) {
                Ok(id) => {
                    self.rejected.remove(topic);
                    self.told.insert(topic.clone(), id);
                }
                Err(Rejected::Full) => return false,
                Err(Rejected::Quota(_)) => {
                    if self.rejected.insert(topic.clone()) {
                        rejected.push(Pattern::from(topic));
                    }
                }
                Err(_) => {}
            }
        }
        true
    }

    /// Returns whether the peer has room for what it had none for.
    pub(super) fn may_tell_more(&self, session: &Session) -> bool {
        !self.rejected.is_empty() && session.claim_room() > 0
    }

    /// Returns whether claims of the peer stand by, as far as it knows.
    pub(super) fn has_standbys(&self) -> bool {
        !self.standbys.is_empty()
    }

    /// Tells the peer which of its claims serve by now.
    pub(super) fn tell_takeovers(&mut self, session: &mut Session) {
        let their = &self.their;
        self.standbys.retain(|id| {
            let claim = their.get(id).and_then(|(_, claim)| claim.as_ref());
            let serves = claim.is_some_and(Claim::is_serving);
            if serves {
                let _ = session.answer_serve(*id, Status::Accepted, ""); // an error if it has ended
            }
            !serves
        });
    }

    /// The peer serves a topic. Returns the answer, if the type travels.
    pub(super) fn on_serve(
        &mut self,
        shared: &Shared,
        name: &Arc<str>,
        (id, topic): (u32, Topic),
        may_stand_by: bool,
    ) -> Option<Status> {
        let claimed = self.claim(shared, name, &topic);
        let Some((status, claim)) = claimed else {
            // It is claimed once its type travels.
            self.their.insert(id, (topic, None));
            return None;
        };
        if status == Status::StandingBy && !may_stand_by {
            return Some(Status::Taken);
        }
        if claim.is_some() {
            self.their.insert(id, (topic, claim));
        }
        if status == Status::StandingBy {
            self.standbys.insert(id);
        }
        Some(status)
    }

    /// Claims a topic of the peer, if its type travels.
    fn claim(
        &mut self,
        shared: &Shared,
        name: &Arc<str>,
        topic: &Topic,
    ) -> Option<(Status, Option<Claim>)> {
        self.calls
            .resize_with(shared.requests.len(), CallsState::default);
        for (requests, state) in shared.requests.iter().zip(&mut self.calls) {
            let Some(own) = own(requests.prefix(), topic) else {
                continue;
            };
            let calls = state.calls.get_or_insert_with(|| {
                state.is_ready = true;
                requests.calls(name)
            });
            return Some(match calls.claim(own) {
                Ok(claim) if claim.is_serving() => (Status::Accepted, Some(claim)),
                Ok(claim) => (Status::StandingBy, Some(claim)),
                Err(_) => (Status::Denied, None),
            });
        }
        None
    }

    /// The peer has answered a claim of this process, or has ended it. Returns its full name if it
    /// does not exist any more.
    pub(super) fn on_served(&mut self, id: u32, status: Status) -> Option<Pattern> {
        if matches!(status, Status::Accepted | Status::StandingBy) {
            return None;
        }
        // It stays in `told`: it is not told again before the link is made again.
        let mut told = self.told.iter().filter(|(_, own)| **own == id);
        told.next().map(|(topic, _)| Pattern::from(topic))
    }

    /// Returns the number of topics that the peer serves.
    pub(super) fn their_count(&self) -> usize {
        self.their.len()
    }

    /// Returns the topics that the peer serves.
    pub(super) fn their_topics(&self) -> Vec<(u32, Topic)> {
        let all = self.their.iter();
        all.map(|(id, (topic, _))| (*id, topic.clone())).collect()
    }

    pub(super) fn on_leave(&mut self, id: u32) {
        self.their.remove(&id);
        self.standbys.remove(&id);
    }

    /// A type more may travel: topics of the peer may be of it.
    pub(super) fn carried_more(&mut self, shared: &Shared, name: &Arc<str>) {
        let unclaimed = self.their.iter().filter(|(_, (_, claim))| claim.is_none());
        let unclaimed = unclaimed.map(|(id, (topic, _))| (*id, topic.clone()));
        let mut unclaimed: Vec<_> = unclaimed.collect();
        unclaimed.sort_unstable_by_key(|(id, _)| *id);
        for one in unclaimed {
            self.on_serve(shared, name, one, true);
        }
    }

    /// The number of requests of this process that have no outcome.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns the request of this process that has no outcome, and its deadline, if there is one
    /// such request.
    pub(super) fn only_pending(&self) -> Option<(u64, Option<Instant>)> {
        let (request, pending) = self.pending.only()?;
        Some((request, pending.deadline()))
    }

    /// Returns how many requests of this process were taken to be sent.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns whether one request was taken since there were so many, and no other waits.
    pub(super) fn took_one(&self, before: u64) -> bool {
        self.taken == before + 1 && self.calls.iter().all(|state| !state.is_ready)
    }

    pub(super) fn is_pending(&self, request: u64) -> bool {
        self.pending.contains(request)
    }

    /// The number of requests of the peer that have no outcome.
    pub(super) fn local(&self) -> usize {
        self.local.len()
    }

    pub(super) fn calls_woken(&mut self, nth: usize) {
        if let Some(state) = self.calls.get_mut(nth) {
            state.is_ready = true;
        }
    }

    /// Sends requests of this process, as long as the peer allows more.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        link: LinkId,
        max_pending: usize,
    ) {
        let pending_calls = &mut self.pending;
        for (nth, state) in self.calls.iter_mut().enumerate() {
            let Some(calls) = state.calls.as_mut().filter(|_| state.is_ready) else {
                continue;
            };
            let waker = || shared.wakes.waker(Key::Calls(link, nth));
            let waker = state.waker.get_or_insert_with(waker);
            let mut turn = TURN;
            while session.pending() < max_pending {
                if turn == 0 {
                    waker.wake_by_ref(); // goes on after others
                    break;
                }
                turn -= 1;
                let polled = calls.poll_next(&mut Context::from_waker(waker));
                let Poll::Ready(Some(call)) = polled else {
                    state.is_ready = false;
                    break;
                };
                self.taken += 1;
                let prefix = shared.requests[nth].prefix();
                let now = shared.clock.now();
                match send(session, now, prefix, call) {
                    Ok((request, pending)) => {
                        let waker = |slot| shared.wakes.waker(Key::Pending(link, slot));
                        let slot = pending_calls.insert(request, pending, waker);
                        poll_pending(pending_calls, session, slot);
                    }
                    Err((failure, pending)) => {
                        let text = String::new();
                        pending.finish(Outcome::Failed(failure, Executed::No, text));
                    }
                }
            }
        }
    }

    /// Looks whether the caller of the request in a slot is gone.
    pub(super) fn poll_pending(&mut self, session: &mut Session, slot: usize) {
        poll_pending(&mut self.pending, session, slot);
    }

    /// A request has ended. Returns the outcome of one that is not pending in this process.
    pub(super) fn on_ended(
        &mut self,
        request: u64,
        outcome: session::Outcome,
    ) -> Option<session::Outcome> {
        let Some(pending) = self.pending.remove(request) else {
            return Some(outcome); // it was cancelled, or is of another link
        };
        let executed = outcome.executed();
        let failed = |failure| Outcome::Failed(failure, executed, String::new());
        pending.finish(match outcome {
            session::Outcome::Reply { codec, payload } => Outcome::Reply(codec, payload),
            session::Outcome::Refused { codec, payload } => Outcome::Refused(codec, payload),
            session::Outcome::Failed { failure, text, .. } => {
                Outcome::Failed(failure, executed, text)
            }
            session::Outcome::Cancelled(_) => failed(Failure::Cancelled),
            session::Outcome::TimedOut(_) => failed(Failure::TimedOut),
            session::Outcome::LinkLost(_) => failed(Failure::LinkLost),
        });
        None
    }

    /// The peer makes a request. Returns it if no server of this process is to answer it.
    pub(super) fn on_request(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        link: LinkId,
        incoming: Incoming,
    ) -> Option<Incoming> {
        let mut requests = shared.requests.iter();
        let own = |of: &Arc<dyn carried::CarriedRequests>| own(of.prefix(), &incoming.topic);
        let found = requests.find_map(|of| Some((of, own(of)?)));
        let Some((requests, own)) = found.filter(|(of, own)| of.has_server(own)) else {
            return Some(incoming);
        };
        let Incoming {
            request,
            deadline,
            codec,
            payload,
            ..
        } = incoming;
        // From here on it may be executed: a server of this process takes it when it likes.
        if !session.take(shared.clock.now(), request) {
            return None;
        }
        match requests.request(own, (codec, &payload), deadline) {
            Ok(call) => {
                let waker = |slot| shared.wakes.waker(Key::Local(link, slot));
                let slot = self.local.insert(request, call, waker);
                self.poll_local(session, slot);
            }
            Err((failure, text)) => {
                let _ = session.fail(request, failure, Executed::No, &text);
            }
        }
        None
    }

    /// Looks whether the request of the peer in a slot has ended.
    pub(super) fn poll_local(&mut self, session: &mut Session, slot: usize) {
        let Some((request, call, waker)) = self.local.at(slot) else {
            return;
        };
        let Poll::Ready(outcome) = call.poll(&mut Context::from_waker(waker)) else {
            return;
        };
        self.local.remove(request);
        // An error if the caller is gone, or if it gets another failure instead.
        let _ = match outcome {
            Outcome::Reply(codec, payload) => session.reply(request, codec, Ok(&payload)),
            Outcome::Refused(codec, payload) => session.reply(request, codec, Err(&payload)),
            Outcome::Failed(failure, executed, text) => {
                session.fail(request, failure, executed, &text)
            }
        };
    }

    /// The peer waits for a request no more.
    pub(super) fn on_withdrawn(&mut self, request: u64) {
        self.local.remove(request);
    }

    /// The link is lost: it serves no topics any more. This comes before the outcomes of requests,
    /// so that a caller that has its outcome does not find the link again.
    pub(super) fn end_claims(&mut self) {
        self.their.clear();
        self.standbys.clear();
        self.calls.clear();
    }

    /// The session is over, and all requests have ended.
    pub(super) fn end(&mut self) {
        self.end_claims();
        let over = std::mem::take(self);
        for pending in over.pending.into_requests() {
            let text = String::new();
            pending.finish(Outcome::Failed(Failure::LinkLost, Executed::Perhaps, text));
        }
    }
}

/// Looks whether the caller of the request in a slot is gone.
fn poll_pending(all: &mut Slots<Box<dyn Pending>>, session: &mut Session, slot: usize) {
    let Some((request, pending, waker)) = all.at(slot) else {
        return;
    };
    let mut cx = Context::from_waker(waker);
    if pending.poll_cancelled(&mut cx).is_pending() {
        return;
    }
    if let Some(pending) = all.remove(request) {
        // The caller is gone, or is about to learn the same from its own deadline.
        let text = String::new();
        pending.finish(Outcome::Failed(Failure::TimedOut, Executed::Perhaps, text));
        let _ = session.cancel(request); // an error if it has ended
    }
}

/// Makes a request of the session.
fn send(
    session: &mut Session,
    now: Instant,
    prefix: &str,
    call: carried::OutgoingCall,
) -> Result<(u64, Box<dyn Pending>), (Failure, Box<dyn Pending>)> {
    let carried::OutgoingCall {
        topic,
        deadline,
        codec,
        payload,
        pending,
    } = call;
    let (Some(payload), Some(topic)) = (payload, full(prefix, &topic)) else {
        return Err((Failure::Malformed, pending));
    };
    let call = Call {
        topic,
        deadline,
        codec,
        payload,
    };
    match session.request(now, &call) {
        Ok(request) => Ok((request, pending)),
        Err(Rejected::TooLong(_)) => Err((Failure::TooLarge, pending)),
        Err(Rejected::NotOpen) => Err((Failure::LinkLost, pending)),
        Err(_) => Err((Failure::Full, pending)),
    }
}
