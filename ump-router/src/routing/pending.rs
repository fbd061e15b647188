//! Requests that have not ended.
//!
//! ```text
//!               no server                a server comes
//!   ─────────────────────────► unassigned ─────────────────► assigned ──► ended
//!                                 ▲                             │
//!                                 └── returned, not executed ───┘
//! ```
//!
//! # Invariants
//!
//! 1. Each request has two ids, its owner's and the core's. Both find it until it ends, and neither
//!    does after.
//! 2. A deadline is in `deadlines` until its request ends.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::messages::{LocalId, PeerId, RequestId, Violation};
use crate::topic::Topic;

#[derive(Debug)]
pub(super) struct Pending<M> {
    requests: BTreeMap<RequestId, Request<M>>,
    local_ids: HashMap<(PeerId, LocalId), RequestId>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    last: u64,
}

#[derive(Debug)]
pub(super) struct Request<M> {
    pub(super) owner: PeerId,
    pub(super) local_id: LocalId,
    pub(super) topic: Topic,
    pub(super) deadline: Option<Instant>,
    pub(super) wait_for_server: bool,
    pub(super) state: State<M>,
}

#[derive(Debug)]
pub(super) enum State<M> {
    /// No server has it.
    Unassigned(M),
    /// This server has it, and may have executed it.
    Assigned(PeerId),
}

impl<M> Request<M> {
    pub(super) fn is_assigned_to(&self, server: PeerId) -> bool {
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

    pub(super) fn id(&self, owner: PeerId, local_id: LocalId) -> Option<RequestId> {
        self.local_ids.get(&(owner, local_id)).copied()
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request<M>> {
        self.requests.get_mut(&id)
    }

    /// Returns whether the request is assigned to this peer, rather than ended.
    ///
    /// # Errors
    /// The request was never made, or is not assigned to this peer.
    pub(super) fn is_assigned_to(&self, id: RequestId, server: PeerId) -> Result<bool, Violation> {
        match self.requests.get(&id) {
            Some(request) if !request.is_assigned_to(server) => Err(Violation::WrongRequest(id)),
            Some(_) => Ok(true),
            None if id.0 > self.last => Err(Violation::WrongRequest(id)),
            None => Ok(false),
        }
    }

    /// Returns the matching requests in the order in which they were made, and whether each waits
    /// for a server.
    pub(super) fn matching(&self, matches: impl Fn(&Request<M>) -> bool) -> Vec<(RequestId, bool)> {
        let matching = self.requests.iter().filter(|(_, request)| matches(request));
        matching
            .map(|(id, request)| (*id, request.wait_for_server))
            .collect()
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Returns a request whose deadline has passed.
    pub(super) fn first_expired(&self, now: Instant) -> Option<RequestId> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }
}
