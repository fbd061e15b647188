//! A simple sequential model of the core, which keeps everything in lists.

use std::collections::BTreeMap;

use ump_router::Pattern;

use crate::{
    Message,
    program::{Answer, Step},
};

/// What the reference knows of a request that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its place in the list of all requests ever made.
    pub(crate) place: usize,
    pub(crate) owner: usize,
    pub(crate) local_id: u64,
    pub(crate) topic: &'static str,
    pub(crate) message: Message,
    pub(crate) deadline: Option<u64>,
    pub(crate) wait_for_server: bool,
    pub(crate) with: Option<usize>,
}

/// An output to a peer, with requests given by their places.
pub(crate) type Said = (usize, String);

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) connected: Vec<bool>,
    pub(crate) subscriptions: Vec<(usize, u64, &'static str)>,
    /// The claimants of each topic, in order. The first one serves.
    pub(crate) lines: BTreeMap<&'static str, Vec<usize>>,
    pub(crate) requests: Vec<Request>,
    pub(crate) made: usize,
    pub(crate) now: u64,
    pub(crate) messages: Message,
    pub(crate) said: Vec<Said>,
}

impl Reference {
    pub(crate) fn say(&mut self, to: usize, what: String) {
        if self.connected[to] {
            self.said.push((to, what));
        }
    }

    pub(crate) fn end(&mut self, place: usize, how: &str) {
        let at = self
            .requests
            .iter()
            .position(|request| request.place == place);
        let request = self.requests.remove(at.expect("it has not ended"));
        self.say(request.owner, format!("{} ended {how}", request.local_id));
    }

    pub(crate) fn places(&self, is_one: impl Fn(&Request) -> bool) -> Vec<usize> {
        let such = self.requests.iter().filter(|request| is_one(request));
        such.map(|request| request.place).collect()
    }

    pub(crate) fn give(&mut self, place: usize) -> bool {
        let request = self
            .requests
            .iter_mut()
            .find(|request| request.place == place)
            .expect("it has not ended");
        let Some(&server) = self.lines.get(request.topic).and_then(|line| line.first()) else {
            return false;
        };
        request.with = Some(server);
        let said = format!(
            "request {place} '{}' {} {:?}",
            request.topic, request.message, request.deadline
        );
        self.say(server, said);
        true
    }

    pub(crate) fn settle(&mut self, topic: &'static str) {
        for place in self.places(|request| request.with.is_none() && request.topic == topic) {
            let wait_for_server = self
                .requests
                .iter()
                .any(|request| request.place == place && request.wait_for_server);
            if !self.give(place) && !wait_for_server {
                self.end(place, "lost No");
            }
        }
    }

    /// Removes a claim, if there is one. Returns whether it served, rather than stood by.
    pub(crate) fn leave(&mut self, peer: usize, topic: &'static str) -> Option<bool> {
        let line = self.lines.get_mut(topic)?;
        let at = line.iter().position(|claimant| *claimant == peer)?;
        line.remove(at);
        let successor = line.first().copied();
        if line.is_empty() {
            self.lines.remove(topic);
        }
        if let (0, Some(successor)) = (at, successor) {
            self.say(successor, format!("serving '{topic}'"));
        }
        Some(at == 0)
    }

    pub(crate) fn cancel(&mut self, place: usize) {
        let at = self
            .requests
            .iter()
            .position(|request| request.place == place);
        let request = self.requests.remove(at.expect("it has not ended"));
        if let Some(server) = request.with {
            self.say(server, format!("cancelled {place}"));
        }
    }

    pub(crate) fn advance(&mut self, by: u64) {
        self.now += by;
        let now = self.now;
        let mut late: Vec<_> = self
            .requests
            .iter()
            .filter(|request| request.deadline.is_some_and(|at| at <= now))
            .cloned()
            .collect();
        late.sort_by_key(|request| (request.deadline, request.place));
        for request in late {
            if let Some(server) = request.with {
                self.say(server, format!("cancelled {}", request.place));
            }
            let executed = if request.with.is_some() {
                "Perhaps"
            } else {
                "No"
            };
            self.end(request.place, &format!("late {executed}"));
        }
    }

    /// Executes a step. Returns whether the step is valid.
    #[expect(
        clippy::too_many_lines,
        reason = "what each kind of step does, one after the other"
    )]
    pub(crate) fn step(&mut self, step: &Step) -> bool {
        match *step {
            Step::Connect => self.connected.push(true),
            Step::Disconnect(peer) => {
                self.connected[peer] = false;
                self.subscriptions
                    .retain(|subscription| subscription.0 != peer);
                for place in self.places(|request| request.owner == peer) {
                    self.cancel(place);
                }
                let mut topics: Vec<_> = self
                    .lines
                    .iter()
                    .filter(|(_, line)| line.contains(&peer))
                    .map(|(topic, _)| *topic)
                    .collect();
                topics.retain(|topic| self.leave(peer, topic) == Some(true));
                for place in self.places(|request| request.with == Some(peer)) {
                    self.end(place, "lost Perhaps");
                }
                for topic in topics {
                    self.settle(topic);
                }
            }
            Step::Subscribe(peer, local_id, pattern) => {
                let is_used = self
                    .subscriptions
                    .iter()
                    .any(|other| (other.0, other.1) == (peer, local_id));
                if is_used {
                    return false;
                }
                self.subscriptions.push((peer, local_id, pattern));
            }
            Step::Unsubscribe(peer, local_id) => {
                let before = self.subscriptions.len();
                self.subscriptions
                    .retain(|other| (other.0, other.1) != (peer, local_id));
                return self.subscriptions.len() < before;
            }
            Step::Publish(_, topic) => {
                self.messages += 1;
                let published: Pattern = topic.parse().unwrap();
                for peer in 0..self.connected.len() {
                    let mut to: Vec<_> = self
                        .subscriptions
                        .iter()
                        .filter(|other| {
                            other.0 == peer
                                && other.2.parse::<Pattern>().unwrap().intersects(&published)
                        })
                        .map(|other| other.1)
                        .collect();
                    to.sort_unstable();
                    if !to.is_empty() {
                        self.say(
                            peer,
                            format!("message '{published}' {} to {to:?}", self.messages),
                        );
                    }
                }
            }
            Step::Serve(peer, topic, stand_by) => {
                let line = self.lines.entry(topic).or_default();
                if line.contains(&peer) {
                    return false;
                }
                if line.is_empty() {
                    line.push(peer);
                    self.say(peer, format!("serving '{topic}'"));
                    self.settle(topic);
                } else if stand_by {
                    line.push(peer);
                    self.say(peer, format!("standing by '{topic}'"));
                } else {
                    self.say(peer, format!("taken '{topic}'"));
                }
            }
            Step::Leave(peer, topic) => match self.leave(peer, topic) {
                None => return false,
                Some(true) => self.settle(topic),
                Some(false) => {}
            },
            Step::Request(owner, local_id, topic, timeout, wait_for_server) => {
                if self
                    .requests
                    .iter()
                    .any(|other| (other.owner, other.local_id) == (owner, local_id))
                {
                    return false;
                }
                self.messages += 1;
                let place = self.made;
                self.made += 1;
                let deadline = timeout.map(|timeout| self.now + timeout);
                self.requests.push(Request {
                    place,
                    owner,
                    local_id,
                    topic,
                    message: self.messages,
                    deadline,
                    wait_for_server,
                    with: None,
                });
                if timeout == Some(0) {
                    self.end(place, "late No");
                } else if !self.give(place) && !wait_for_server {
                    self.end(place, "without server");
                }
            }
            Step::Cancel(owner, local_id) => {
                for place in
                    self.places(|request| (request.owner, request.local_id) == (owner, local_id))
                {
                    self.cancel(place);
                }
            }
            Step::Answer(peer, place, answer) => {
                if place >= self.made {
                    return false;
                }
                let Some(request) = self
                    .requests
                    .iter_mut()
                    .find(|request| request.place == place)
                else {
                    return true;
                };
                if request.with != Some(peer) {
                    return false;
                }
                match answer {
                    Answer::Reply => self.end(place, "with reply 1000"),
                    Answer::Refuse => self.end(place, "refused 2000"),
                    Answer::NoReply => self.end(place, "without reply"),
                    Answer::Return => {
                        request.with = None;
                        request.message = 3000;
                        let topic = request.topic;
                        if self.lines.get(topic).and_then(|line| line.first()) != Some(&peer) {
                            self.settle(topic);
                        }
                    }
                }
            }
            Step::Advance(by) => self.advance(by),
        }
        true
    }
}
