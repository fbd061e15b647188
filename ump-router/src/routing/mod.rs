//! A router without input and output: no locks, no clock, no threads.
//!
//! A [`Core`] connects parties: whoever is at the other end of a link, and this process itself. Whoever drives it gives it what a party says, and the
//! time ([`handle`](Core::handle)), tells it when time has passed ([`advance`](Core::advance)), and carries what it says to the parties
//! ([`poll_output`](Core::poll_output)). Everything that happens follows from that, and can be repeated.
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
//!     number: 1,
//!     topic: "greeting".parse()?,
//!     message: "hello",
//!     deadline: None,
//!     waits: false,
//! })?;
//! assert!(matches!(core.poll_output(), Some((to, Output::Serving { .. })) if to == server));
//! let Some((_, Output::Request { id, .. })) = core.poll_output() else { panic!() };
//! core.handle(now, server, Input::Reply { id, reply: Ok("good day") })?;
//! let ended = Output::Ended { number: 1, outcome: Outcome::Reply("good day") };
//! assert_eq!(core.poll_output(), Some((client, ended)));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//!
//! - Each request of a connected party ends in one [`Outcome`], unless the party cancels it.
//! - What is published reaches each party once, which subscribed before and has not unsubscribed since, with the numbers of all of its subscriptions
//!   that it fits. What one party publishes comes to each other one in its order.
//! - A party that says what [cannot be](Violation) harms nobody else. One that leaves takes its subscriptions and claims with it at once; requests
//!   that it was given end, those that it made are cancelled.
//! - A request that was given to another party may have been executed: nobody else can tell, unless that one
//!   [returns](Input::Return) it.

mod messages;
mod pending;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt,
    time::Instant,
};

use ump::Executed;

pub use self::messages::{Input, Number, Outcome, Output, Party, RequestId, Violation};
use self::pending::{Pending, Request, State};
use crate::{
    claims::{ClaimId, Claims, Left, Rank},
    topic::{Pattern, Topic, TopicIndex, TopicKey},
};

/// Connects parties: who publishes with who subscribed, who asks with who serves. See the [module](self).
pub struct Core<M> {
    parties: HashMap<Party, Holdings>,
    subscriptions: TopicIndex<(Party, Number)>,
    claims: Claims<Party>,
    pending: Pending<M>,
    outputs: VecDeque<(Party, Output<M>)>,
    last: u64,
}

/// What ends when a party leaves.
#[derive(Debug, Default)]
struct Holdings {
    subscriptions: HashMap<Number, TopicKey>,
    claims: HashSet<Topic>,
}

impl<M> Core<M> {
    /// Without parties.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parties: HashMap::new(),
            subscriptions: TopicIndex::new(),
            claims: Claims::new(),
            pending: Pending::new(),
            outputs: VecDeque::new(),
            last: 0,
        }
    }

    /// Somebody takes part from now on.
    pub fn connect(&mut self) -> Party {
        self.last += 1;
        let party = Party(self.last);
        self.parties.insert(party, Holdings::default());
        party
    }

    /// Somebody is gone. What it held ends, and nothing more is said to it.
    ///
    /// # Errors
    /// It was not there.
    pub fn disconnect(&mut self, party: Party) -> Result<(), Violation> {
        let holdings = self.parties.remove(&party).ok_or(Violation::UnknownParty)?;
        for key in holdings.subscriptions.into_values() {
            self.subscriptions.remove(key);
        }
        for (id, _) in self.pending.such_that(|request| request.owner == party) {
            self.cancel(id);
        }
        let mut topics: Vec<_> = holdings.claims.into_iter().collect();
        topics.sort();
        topics.retain(|topic| self.give_up(party, topic));
        for (id, _) in self.pending.such_that(|request| request.is_with(party)) {
            self.end(id, Outcome::ServerLost(Executed::Perhaps));
        }
        for topic in &topics {
            self.settle(topic);
        }
        self.outputs.retain(|(to, _)| *to != party);
        Ok(())
    }

    /// A party says something, at a time that is not before any other that the core was told.
    ///
    /// # Errors
    /// It [cannot be](Violation) said; nothing has come of it.
    pub fn handle(&mut self, now: Instant, party: Party, input: Input<M>) -> Result<(), Violation>
    where
        M: Clone,
    {
        self.holdings(party)?;
        self.advance(now);
        match input {
            Input::Subscribe { number, pattern } => self.subscribe(party, number, &pattern),
            Input::Unsubscribe { number } => self.unsubscribe(party, number),
            Input::Publish { topic, message } => {
                self.publish(&topic, &message);
                Ok(())
            }
            Input::Serve { topic, stand_by } => self.serve(party, &topic, stand_by),
            Input::Leave { topic } => self.leave(party, &topic),
            Input::Request {
                number,
                topic,
                message,
                deadline,
                waits,
            } => self.request(
                now,
                Request {
                    owner: party,
                    number,
                    topic,
                    deadline,
                    waits,
                    state: State::Waiting(message),
                },
            ),
            Input::Cancel { number } => {
                // If there is none, it has ended meanwhile.
                if let Some(id) = self.pending.id(party, number) {
                    self.cancel(id);
                }
                Ok(())
            }
            Input::Reply { id, reply } => self.answer(
                party,
                id,
                match reply {
                    Ok(reply) => Outcome::Reply(reply),
                    Err(refusal) => Outcome::Refused(refusal),
                },
            ),
            Input::NoReply { id } => self.answer(party, id, Outcome::NoReply),
            Input::Return { id, message } => self.give_back(party, id, message),
        }
    }

    /// What is to be said next, and to whom.
    pub fn poll_output(&mut self) -> Option<(Party, Output<M>)> {
        self.outputs.pop_front()
    }

    /// When [`advance`](Self::advance) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.first_deadline()
    }

    /// It is later: requests whose deadlines have passed end.
    pub fn advance(&mut self, now: Instant) {
        while let Some(id) = self.pending.overdue(now) {
            let Some(request) = self.pending.get_mut(id) else {
                return;
            };
            let executed = match request.state {
                State::Waiting(_) => Executed::No,
                State::With(server) => {
                    self.outputs.push_back((server, Output::Cancelled { id }));
                    Executed::Perhaps
                }
            };
            self.end(id, Outcome::TimedOut(executed));
        }
    }

    /// How many requests have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn holdings(&mut self, party: Party) -> Result<&mut Holdings, Violation> {
        let holdings = self.parties.get_mut(&party);
        holdings.ok_or(Violation::UnknownParty)
    }

    fn subscribe(
        &mut self,
        party: Party,
        number: Number,
        pattern: &Pattern,
    ) -> Result<(), Violation> {
        let holdings = self.holdings(party)?;
        if holdings.subscriptions.contains_key(&number) {
            return Err(Violation::NumberInUse(number));
        }
        let key = self.subscriptions.insert(pattern, (party, number));
        self.holdings(party)?.subscriptions.insert(number, key);
        Ok(())
    }

    fn unsubscribe(&mut self, party: Party, number: Number) -> Result<(), Violation> {
        let holdings = self.holdings(party)?;
        let key = holdings.subscriptions.remove(&number);
        self.subscriptions
            .remove(key.ok_or(Violation::UnknownNumber(number))?);
        Ok(())
    }

    fn publish(&mut self, topic: &Pattern, message: &M)
    where
        M: Clone,
    {
        let mut reached = BTreeMap::<Party, Vec<Number>>::new();
        self.subscriptions
            .for_each_meeting(topic, |(party, number)| {
                reached.entry(*party).or_default().push(*number);
            });
        for (party, mut to) in reached {
            to.sort_unstable();
            let (topic, message) = (topic.clone(), message.clone());
            self.outputs
                .push_back((party, Output::Deliver { to, topic, message }));
        }
    }

    fn serve(&mut self, party: Party, topic: &Topic, stand_by: bool) -> Result<(), Violation> {
        let holdings = self.holdings(party)?;
        if holdings.claims.contains(topic) {
            return Err(Violation::NotItsTopic);
        }
        // A party has one claim of a topic at most, so it is told apart by the party.
        let rank = self.claims.claim(topic, ClaimId(party.0), party, stand_by);
        if rank.is_ok() {
            self.holdings(party)?.claims.insert(topic.clone());
        }
        let (told, is_served) = (topic.clone(), rank == Ok(Rank::Serving));
        let output = match rank {
            Ok(Rank::Serving) => Output::Serving { topic: told },
            Ok(Rank::StandingBy) => Output::StandingBy { topic: told },
            Err(_) => Output::Taken { topic: told },
        };
        self.outputs.push_back((party, output));
        if is_served {
            self.settle(topic);
        }
        Ok(())
    }

    fn leave(&mut self, party: Party, topic: &Topic) -> Result<(), Violation> {
        let holdings = self.holdings(party)?;
        if !holdings.claims.remove(topic) {
            return Err(Violation::NotItsTopic);
        }
        if self.give_up(party, topic) {
            self.settle(topic);
        }
        Ok(())
    }

    /// A claim ends; who follows is told. Whether the topic has lost its server by it, rather than one who stood by.
    fn give_up(&mut self, party: Party, topic: &Topic) -> bool {
        let left = self.claims.leave(topic.as_str(), ClaimId(party.0));
        let Some(Left {
            rank: Rank::Serving,
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
        if self.pending.id(request.owner, request.number).is_some() {
            return Err(Violation::NumberInUse(request.number));
        }
        let is_late = request.deadline.is_some_and(|deadline| deadline <= now);
        let waits = request.waits;
        let id = self.pending.begin(request);
        if is_late {
            self.end(id, Outcome::TimedOut(Executed::No));
        } else if !self.give(id) && !waits {
            self.end(id, Outcome::NoServer);
        }
        Ok(())
    }

    fn cancel(&mut self, id: RequestId) {
        let request = self.pending.end(id);
        if let Some(State::With(server)) = request.map(|request| request.state) {
            self.outputs.push_back((server, Output::Cancelled { id }));
        }
    }

    /// Ends a request as its server says.
    fn answer(
        &mut self,
        server: Party,
        id: RequestId,
        outcome: Outcome<M>,
    ) -> Result<(), Violation> {
        if self.pending.is_with(id, server)? {
            self.end(id, outcome);
        }
        Ok(())
    }

    fn give_back(&mut self, server: Party, id: RequestId, message: M) -> Result<(), Violation> {
        if !self.pending.is_with(id, server)? {
            return Ok(());
        }
        let Some(request) = self.pending.get_mut(id) else {
            return Ok(());
        };
        request.state = State::Waiting(message);
        let topic = request.topic.clone();
        // As long as the same party serves the topic it is with nobody: that one does not want it.
        if self.claims.server(topic.as_str()) != Some(&server) {
            self.settle(&topic);
        }
        Ok(())
    }

    /// Gives a request to the server of its topic, if there is one.
    fn give(&mut self, id: RequestId) -> bool {
        let Some(request) = self.pending.get_mut(id) else {
            return false;
        };
        let Some(&server) = self.claims.server(request.topic.as_str()) else {
            return false;
        };
        if let State::Waiting(message) = std::mem::replace(&mut request.state, State::With(server))
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

    /// Those who claim a topic have changed, or what waits for them: it goes to who serves now. If nobody does, who does not wait for that has lost
    /// its server.
    fn settle(&mut self, topic: &Topic) {
        let is_one = |request: &Request<M>| {
            matches!(request.state, State::Waiting(_)) && request.topic == *topic
        };
        for (id, waits) in self.pending.such_that(is_one) {
            if !self.give(id) && !waits {
                self.end(id, Outcome::ServerLost(Executed::No));
            }
        }
    }

    fn end(&mut self, id: RequestId, outcome: Outcome<M>) {
        if let Some(Request { owner, number, .. }) = self.pending.end(id) {
            self.outputs
                .push_back((owner, Output::Ended { number, outcome }));
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
            .field("parties", &self.parties.len())
            .field("subscriptions", &self.subscriptions.len())
            .field("pending", &self.pending.len())
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}
