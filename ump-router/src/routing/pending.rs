//! Requests that have not ended.
//!
//! ```text
//!               nobody serves            a server comes
//!   ─────────────────────────► waiting ─────────────────► with a server ──► ended
//!                                 ▲                         │
//!                                 └── returned, unexecuted ─┘
//! ```
//!
//! # Invariants
//!
//! 1. Each request has two names, its owner's number and the core's: both are found as long as it has not ended, and neither after.
//! 2. Each deadline is in the agenda as long as its request has not ended.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::messages::{Number, Party, RequestId, Violation};
use crate::topic::Topic;

#[derive(Debug)]
pub(super) struct Pending<M> {
    requests: BTreeMap<RequestId, Request<M>>,
    numbers: HashMap<(Party, Number), RequestId>,
    agenda: BTreeSet<(Instant, RequestId)>,
    last: u64,
}

#[derive(Debug)]
pub(super) struct Request<M> {
    pub(super) owner: Party,
    pub(super) number: Number,
    pub(super) topic: Topic,
    pub(super) deadline: Option<Instant>,
    pub(super) waits: bool,
    pub(super) state: State<M>,
}

#[derive(Debug)]
pub(super) enum State<M> {
    /// Nobody serves its topic.
    Waiting(M),
    /// A server was given it, and may have executed it.
    With(Party),
}

impl<M> Request<M> {
    pub(super) fn is_with(&self, server: Party) -> bool {
        matches!(self.state, State::With(with) if with == server)
    }
}

impl<M> Pending<M> {
    pub(super) fn new() -> Self {
        Self {
            requests: BTreeMap::new(),
            numbers: HashMap::new(),
            agenda: BTreeSet::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn begin(&mut self, request: Request<M>) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.numbers.insert((request.owner, request.number), id);
        self.agenda
            .extend(request.deadline.map(|deadline| (deadline, id)));
        self.requests.insert(id, request);
        id
    }

    pub(super) fn end(&mut self, id: RequestId) -> Option<Request<M>> {
        let request = self.requests.remove(&id)?;
        self.numbers.remove(&(request.owner, request.number));
        if let Some(deadline) = request.deadline {
            self.agenda.remove(&(deadline, id));
        }
        Some(request)
    }

    pub(super) fn id(&self, owner: Party, number: Number) -> Option<RequestId> {
        self.numbers.get(&(owner, number)).copied()
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request<M>> {
        self.requests.get_mut(&id)
    }

    /// Whether this party was given it, and it has not ended.
    ///
    /// # Errors
    /// It was not; it was never made, or is with another one.
    pub(super) fn is_with(&self, id: RequestId, server: Party) -> Result<bool, Violation> {
        match self.requests.get(&id) {
            Some(request) if !request.is_with(server) => Err(Violation::NotItsRequest(id)),
            Some(_) => Ok(true),
            None if id.0 > self.last => Err(Violation::NotItsRequest(id)),
            None => Ok(false),
        }
    }

    /// Those for which something holds, in the order in which they were made, and whether they wait for a server.
    pub(super) fn such_that(&self, is_one: impl Fn(&Request<M>) -> bool) -> Vec<(RequestId, bool)> {
        let such = self.requests.iter().filter(|(_, request)| is_one(request));
        such.map(|(id, request)| (*id, request.waits)).collect()
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.agenda.first().map(|(deadline, _)| *deadline)
    }

    /// One whose deadline has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<RequestId> {
        let (deadline, id) = self.agenda.first()?;
        (*deadline <= now).then_some(*id)
    }
}
