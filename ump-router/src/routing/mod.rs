//! A router without input and output: no locks, no clock, no threads.
//!
//! A [`Core`] connects peers: this process, and the other ends of links. Its driver passes it the
//! inputs of peers with the time ([`handle`](Core::handle)), tells it when time has passed
//! ([`advance`](Core::advance)), and carries its outputs to the peers
//! ([`poll_output`](Core::poll_output)). It has no other input, so every run can be repeated.
//!
//! ```
//! use std::time::Instant;
//! use ump_router::routing::{Core, Input, Outcome, Output};
//!
//! let mut core = Core::<&str>::new();
//! let (client, server) = (core.connect(), core.connect());
//! let now = Instant::now();
//! core.handle(now, server, Input::Serve { topic: "greeting".parse()?, stand_by: false })?;
//! core.handle(now, client, Input::Request {
//!     local_id: 1,
//!     topic: "greeting".parse()?,
//!     message: "hello",
//!     deadline: None,
//!     wait_for_server: false,
//! })?;
//! assert!(matches!(core.poll_output(), Some((to, Output::Serving { .. })) if to == server));
//! let Some((_, Output::Request { id, .. })) = core.poll_output() else { panic!() };
//! core.handle(now, server, Input::Reply { id, reply: Ok("good day") })?;
//! let ended = Output::Ended { local_id: 1, outcome: Outcome::Reply("good day") };
//! assert_eq!(core.poll_output(), Some((client, ended)));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - Each request of a connected peer ends in one [`Outcome`], unless the peer cancels it.
//! - A published message reaches each peer with a matching subscription once, with the ids of all
//!   its matching subscriptions. Messages of one peer reach each other peer in the order in which
//!   they were published.
//! - An input that the protocol does [not allow](Violation) affects no other peer. When a peer is
//!   disconnected, its subscriptions and claims end at once; requests that were assigned to it end,
//!   and requests that it made are cancelled.
//! - A request that was assigned to a peer may have been executed: the core cannot tell, unless the
//!   peer [returns](Input::Return) it.

mod messages;
mod pending;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt,
    time::Instant,
};

use ump::Executed;

pub use self::messages::{Input, LocalId, Outcome, Output, PeerId, RequestId, Violation};
use self::pending::{Pending, Request, State};
use crate::{
    claims::{ClaimId, Claims, Released, Role},
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

/// Routes messages and requests between peers. See the [module](self).
pub struct Core<M> {
    peers: HashMap<PeerId, PeerState>,
    subscriptions: TopicIndex<(PeerId, LocalId)>,
    claims: Claims<PeerId>,
    pending: Pending<M>,
    outputs: VecDeque<(PeerId, Output<M>)>,
    last: u64,
}

/// The state of a peer, which ends when the peer is disconnected.
#[derive(Debug, Default)]
struct PeerState {
    subscriptions: HashMap<LocalId, TopicKey>,
    claims: HashSet<Topic>,
}

impl<M> Core<M> {
    /// Creates a core without peers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            peers: HashMap::new(),
            subscriptions: TopicIndex::new(),
            claims: Claims::new(),
            pending: Pending::new(),
            outputs: VecDeque::new(),
            last: 0,
        }
    }

    /// Connects a peer. Returns its id.
    pub fn connect(&mut self) -> PeerId {
        self.last += 1;
        let peer = PeerId(self.last);
        self.peers.insert(peer, PeerState::default());
        peer
    }

    /// Disconnects a peer: its subscriptions, claims and requests end, and its outputs are dropped.
    ///
    /// # Errors
    /// [`Violation::UnknownPeer`]: the peer is not connected.
    pub fn disconnect(&mut self, peer: PeerId) -> Result<(), Violation> {
        let state = self.peers.remove(&peer).ok_or(Violation::UnknownPeer)?;
        for key in state.subscriptions.into_values() {
            self.subscriptions.remove(key);
        }
        for (id, _) in self.pending.matching(|request| request.owner == peer) {
            self.cancel(id);
        }
        let mut topics: Vec<_> = state.claims.into_iter().collect();
        topics.sort();
        topics.retain(|topic| self.release_claim(peer, topic));
        for (id, _) in self
            .pending
            .matching(|request| request.is_assigned_to(peer))
        {
            self.end(id, Outcome::ServerLost(Executed::Perhaps));
        }
        for topic in &topics {
            self.assign_waiting(topic);
        }
        self.outputs.retain(|(to, _)| *to != peer);
        Ok(())
    }

    /// Handles an input of a peer. `now` must not be before any instant that the core was given.
    ///
    /// # Errors
    /// The protocol does not allow the input; see [`Violation`]. It changes nothing.
    pub fn handle(&mut self, now: Instant, peer: PeerId, input: Input<M>) -> Result<(), Violation>
    where
        M: Clone,
    {
        self.state(peer)?;
        self.advance(now);
        match input {
            Input::Subscribe { local_id, pattern } => self.subscribe(peer, local_id, &pattern),
            Input::Unsubscribe { local_id } => self.unsubscribe(peer, local_id),
            Input::Publish { topic, message } => {
                self.publish(&topic, &message);
                Ok(())
            }
            Input::Serve { topic, stand_by } => self.serve(peer, &topic, stand_by),
            Input::Leave { topic } => self.leave(peer, &topic),
            Input::Request {
                local_id,
                topic,
                message,
                deadline,
                wait_for_server,
            } => self.request(
                now,
                Request {
                    owner: peer,
                    local_id,
                    topic,
                    deadline,
                    wait_for_server,
                    state: State::Unassigned(message),
                },
            ),
            Input::Cancel { local_id } => {
                // A request that is not found has ended meanwhile.
                if let Some(id) = self.pending.id(peer, local_id) {
                    self.cancel(id);
                }
                Ok(())
            }
            Input::Reply { id, reply } => self.answer(
                peer,
                id,
                match reply {
                    Ok(reply) => Outcome::Reply(reply),
                    Err(refusal) => Outcome::Refused(refusal),
                },
            ),
            Input::NoReply { id } => self.answer(peer, id, Outcome::NoReply),
            Input::Return { id, message } => self.return_request(peer, id, message),
        }
    }

    /// Returns the next output, and the peer that it is for.
    pub fn poll_output(&mut self) -> Option<(PeerId, Output<M>)> {
        self.outputs.pop_front()
    }

    /// Returns the next deadline of a request: when to call [`advance`](Self::advance).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.first_deadline()
    }

    /// Advances the time: requests whose deadlines have passed end.
    pub fn advance(&mut self, now: Instant) {
        while let Some(id) = self.pending.first_expired(now) {
            let Some(request) = self.pending.get_mut(id) else {
                return;
            };
            let executed = match request.state {
                State::Unassigned(_) => Executed::No,
                State::Assigned(server) => {
                    self.outputs.push_back((server, Output::Cancelled { id }));
                    Executed::Perhaps
                }
            };
            self.end(id, Outcome::TimedOut(executed));
        }
    }

    /// Returns the number of requests that have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn state(&mut self, peer: PeerId) -> Result<&mut PeerState, Violation> {
        let state = self.peers.get_mut(&peer);
        state.ok_or(Violation::UnknownPeer)
    }

    fn subscribe(
        &mut self,
        peer: PeerId,
        local_id: LocalId,
        pattern: &Pattern,
    ) -> Result<(), Violation> {
        let state = self.state(peer)?;
        if state.subscriptions.contains_key(&local_id) {
            return Err(Violation::LocalIdInUse(local_id));
        }
        let key = self.subscriptions.insert(pattern, (peer, local_id));
        self.state(peer)?.subscriptions.insert(local_id, key);
        Ok(())
    }

    fn unsubscribe(&mut self, peer: PeerId, local_id: LocalId) -> Result<(), Violation> {
        let state = self.state(peer)?;
        let key = state.subscriptions.remove(&local_id);
        self.subscriptions
            .remove(key.ok_or(Violation::UnknownSubscription(local_id))?);
        Ok(())
    }

    fn publish(&mut self, topic: &Pattern, message: &M)
    where
        M: Clone,
    {
        let mut reached = BTreeMap::<PeerId, Vec<LocalId>>::new();
        self.subscriptions
            .for_each_intersecting(topic, |(peer, local_id)| {
                reached.entry(*peer).or_default().push(*local_id);
            });
        for (peer, mut to) in reached {
            to.sort_unstable();
            let (topic, message) = (topic.clone(), message.clone());
            self.outputs
                .push_back((peer, Output::Deliver { to, topic, message }));
        }
    }

    fn serve(&mut self, peer: PeerId, topic: &Topic, stand_by: bool) -> Result<(), Violation> {
        let state = self.state(peer)?;
        if state.claims.contains(topic) {
            return Err(Violation::WrongClaim);
        }
        // A peer has at most one claim of a topic, so its id identifies the claim.
        let role = self.claims.claim(topic, ClaimId(peer.0), peer, stand_by);
        if role.is_ok() {
            self.state(peer)?.claims.insert(topic.clone());
        }
        let (reported, is_served) = (topic.clone(), role == Ok(Role::Serving));
        let output = match role {
            Ok(Role::Serving) => Output::Serving { topic: reported },
            Ok(Role::Standby) => Output::StandingBy { topic: reported },
            Err(_) => Output::Taken { topic: reported },
        };
        self.outputs.push_back((peer, output));
        if is_served {
            self.assign_waiting(topic);
        }
        Ok(())
    }

    fn leave(&mut self, peer: PeerId, topic: &Topic) -> Result<(), Violation> {
        let state = self.state(peer)?;
        if !state.claims.remove(topic) {
            return Err(Violation::WrongClaim);
        }
        if self.release_claim(peer, topic) {
            self.assign_waiting(topic);
        }
        Ok(())
    }

    /// Releases a claim and tells the successor. Returns whether the claim was that of the topic's
    /// server.
    fn release_claim(&mut self, peer: PeerId, topic: &Topic) -> bool {
        let left = self.claims.release(topic.as_str(), ClaimId(peer.0));
        let Some(Released {
            role: Role::Serving,
            ..
        }) = left
        else {
            return false;
        };
        if let Some(&successor) = self.claims.server(topic.as_str()) {
            let topic = topic.clone();
            self.outputs
                .push_back((successor, Output::Serving { topic }));
        }
        true
    }

    fn request(&mut self, now: Instant, request: Request<M>) -> Result<(), Violation> {
        if self.pending.id(request.owner, request.local_id).is_some() {
            return Err(Violation::LocalIdInUse(request.local_id));
        }
        let is_late = request.deadline.is_some_and(|deadline| deadline <= now);
        let wait_for_server = request.wait_for_server;
        let id = self.pending.insert(request);
        if is_late {
            self.end(id, Outcome::TimedOut(Executed::No));
        } else if !self.assign(id) && !wait_for_server {
            self.end(id, Outcome::NoServer);
        }
        Ok(())
    }

    fn cancel(&mut self, id: RequestId) {
        let request = self.pending.remove(id);
        if let Some(State::Assigned(server)) = request.map(|request| request.state) {
            self.outputs.push_back((server, Output::Cancelled { id }));
        }
    }

    /// Ends a request with the answer of its server.
    fn answer(
        &mut self,
        server: PeerId,
        id: RequestId,
        outcome: Outcome<M>,
    ) -> Result<(), Violation> {
        if self.pending.is_assigned_to(id, server)? {
            self.end(id, outcome);
        }
        Ok(())
    }

    fn return_request(
        &mut self,
        server: PeerId,
        id: RequestId,
        message: M,
    ) -> Result<(), Violation> {
        if !self.pending.is_assigned_to(id, server)? {
            return Ok(());
        }
        let Some(request) = self.pending.get_mut(id) else {
            return Ok(());
        };
        request.state = State::Unassigned(message);
        let topic = request.topic.clone();
        // While the same peer serves the topic the request stays unassigned, because that peer does
        // not want it.
        if self.claims.server(topic.as_str()) != Some(&server) {
            self.assign_waiting(&topic);
        }
        Ok(())
    }

    /// Assigns a request to the server of its topic. Returns `false` if there is none.
    fn assign(&mut self, id: RequestId) -> bool {
        let Some(request) = self.pending.get_mut(id) else {
            return false;
        };
        let Some(&server) = self.claims.server(request.topic.as_str()) else {
            return false;
        };
        if let State::Unassigned(message) =
            std::mem::replace(&mut request.state, State::Assigned(server))
        {
            let (topic, deadline) = (request.topic.clone(), request.deadline);
            self.outputs.push_back((
                server,
                Output::Request {
                    id,
                    topic,
                    message,
                    deadline,
                },
            ));
        }
        true
    }

    /// Assigns the unassigned requests of a topic to its server. If it has none, those that do not
    /// wait for a server end.
    fn assign_waiting(&mut self, topic: &Topic) {
        let is_unassigned = |request: &Request<M>| {
            matches!(request.state, State::Unassigned(_)) && request.topic == *topic
        };
        for (id, wait_for_server) in self.pending.matching(is_unassigned) {
            if !self.assign(id) && !wait_for_server {
                self.end(id, Outcome::ServerLost(Executed::No));
            }
        }
    }

    fn end(&mut self, id: RequestId, outcome: Outcome<M>) {
        if let Some(Request {
            owner, local_id, ..
        }) = self.pending.remove(id)
        {
            self.outputs
                .push_back((owner, Output::Ended { local_id, outcome }));
        }
    }
}

impl<M> Default for Core<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> fmt::Debug for Core<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("peers", &self.peers.len())
            .field("subscriptions", &self.subscriptions.len())
            .field("pending", &self.pending.len())
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}
