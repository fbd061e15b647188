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
//! 1. Each request has two names, its owner's local_id and the core's: both are found as long as it has not ended, and neither after.
//! 2. Each deadline is in the deadlines as long as its request has not ended.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::messages::{LocalId, Peer, RequestId, Violation};
use crate::topic::Topic;

#[derive(Debug)]
pub(super) struct Pending<M> {
    requests: BTreeMap<RequestId, Request<M>>,
    local_ids: HashMap<(Peer, LocalId), RequestId>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    last: u64,
}

#[derive(Debug)]
pub(super) struct Request<M> {
    pub(super) owner: Peer,
    pub(super) local_id: LocalId,
    pub(super) topic: Topic,
    pub(super) deadline: Option<Instant>,
    pub(super) wait_for_server: bool,
    pub(super) state: State<M>,
}

#[derive(Debug)]
pub(super) enum State<M> {
    /// Nobody serves its topic.
    Unassigned(M),
    /// A server was given it, and may have executed it.
    Assigned(Peer),
}

impl<M> Request<M> {
    pub(super) fn is_assigned_to(&self, server: Peer) -> bool {
        matches!(self.state, State::Assigned(with) if with == server)
    }
}

impl<M> Pending<M> {
    pub(super) fn new() -> Self {
        Self {
            requests: BTreeMap::new(),
            local_ids: HashMap::new(),
            deadlines: BTreeSet::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn insert(&mut self, request: Request<M>) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.local_ids.insert((request.owner, request.local_id), id);
        self.deadlines
            .extend(request.deadline.map(|deadline| (deadline, id)));
        self.requests.insert(id, request);
        id
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Request<M>> {
        let request = self.requests.remove(&id)?;
        self.local_ids.remove(&(request.owner, request.local_id));
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(request)
    }

    pub(super) fn id(&self, owner: Peer, local_id: LocalId) -> Option<RequestId> {
        self.local_ids.get(&(owner, local_id)).copied()
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request<M>> {
        self.requests.get_mut(&id)
    }

    /// Whether this peer was given it, and it has not ended.
    ///
    /// # Errors
    /// It was not; it was never made, or is with another one.
    pub(super) fn is_assigned_to(&self, id: RequestId, server: Peer) -> Result<bool, Violation> {
        match self.requests.get(&id) {
            Some(request) if !request.is_assigned_to(server) => Err(Violation::WrongRequest(id)),
            Some(_) => Ok(true),
            None if id.0 > self.last => Err(Violation::WrongRequest(id)),
            None => Ok(false),
        }
    }

    /// Those for which something holds, in the order in which they were made, and whether they wait for a server.
    pub(super) fn matching(&self, is_one: impl Fn(&Request<M>) -> bool) -> Vec<(RequestId, bool)> {
        let such = self.requests.iter().filter(|(_, request)| is_one(request));
        such.map(|(id, request)| (*id, request.wait_for_server))
            .collect()
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One whose deadline has passed.
    pub(super) fn first_expired(&self, now: Instant) -> Option<RequestId> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }
}
