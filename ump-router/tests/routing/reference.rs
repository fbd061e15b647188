//! A simple sequential model of the core, which keeps everything in lists.

use std::collections::BTreeMap;

use ump_router::Pattern;

use crate::{
    Message,
    program::{Answer, Step},
};

/// The record of a request that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its index in the list of all requests ever made.
    pub(crate) index: usize,
    pub(crate) owner: usize,
    pub(crate) local_id: u64,
    pub(crate) topic: &'static str,
    pub(crate) message: Message,
    pub(crate) deadline: Option<u64>,
    pub(crate) wait_for_server: bool,
    pub(crate) server: Option<usize>,
}

/// An output to a peer, with requests identified by their indices.
pub(crate) type Emitted = (usize, String);

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) connected: Vec<bool>,
    pub(crate) subscriptions: Vec<(usize, u64, &'static str)>,
    /// The claimants of each topic, in order. The first one serves.
    pub(crate) claimants: BTreeMap<&'static str, Vec<usize>>,
    pub(crate) requests: Vec<Request>,
    pub(crate) made: usize,
    pub(crate) now: u64,
    pub(crate) messages: Message,
    pub(crate) emitted: Vec<Emitted>,
}

impl Reference {
    pub(crate) fn emit(&mut self, to: usize, what: String) {
        if self.connected[to] {
            self.emitted.push((to, what));
        }
    }

    pub(crate) fn end(&mut self, index: usize, how: &str) {
        let at = self
            .requests
            .iter()
            .position(|request| request.index == index);
        let request = self.requests.remove(at.expect("the request has not ended"));
        self.emit(request.owner, format!("{} ended {how}", request.local_id));
    }

    pub(crate) fn indices(&self, is_one: impl Fn(&Request) -> bool) -> Vec<usize> {
        let such = self.requests.iter().filter(|request| is_one(request));
        such.map(|request| request.index).collect()
    }

    pub(crate) fn assign(&mut self, index: usize) -> bool {
        let request = self
            .requests
            .iter_mut()
            .find(|request| request.index == index)
            .expect("the request has not ended");
        let Some(&server) = self
            .claimants
            .get(request.topic)
            .and_then(|claimants| claimants.first())
        else {
            return false;
        };
        request.server = Some(server);
        let emitted = format!(
            "request {index} '{}' {} {:?}",
            request.topic, request.message, request.deadline
        );
        self.emit(server, emitted);
        true
    }

    pub(crate) fn assign_waiting(&mut self, topic: &'static str) {
        for index in self.indices(|request| request.server.is_none() && request.topic == topic) {
            let wait_for_server = self
                .requests
                .iter()
                .any(|request| request.index == index && request.wait_for_server);
            if !self.assign(index) && !wait_for_server {
                self.end(index, "lost No");
            }
        }
    }

    /// Removes a claim, if there is one. Returns whether it served, rather than stood by.
    pub(crate) fn leave(&mut self, peer: usize, topic: &'static str) -> Option<bool> {
        let claimants = self.claimants.get_mut(topic)?;
        let at = claimants.iter().position(|claimant| *claimant == peer)?;
        claimants.remove(at);
        let successor = claimants.first().copied();
        if claimants.is_empty() {
            self.claimants.remove(topic);
        }
        if let (0, Some(successor)) = (at, successor) {
            self.emit(successor, format!("serving '{topic}'"));
        }
        Some(at == 0)
    }

    pub(crate) fn cancel(&mut self, index: usize) {
        let at = self
            .requests
            .iter()
            .position(|request| request.index == index);
        let request = self.requests.remove(at.expect("the request has not ended"));
        if let Some(server) = request.server {
            self.emit(server, format!("cancelled {index}"));
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
        late.sort_by_key(|request| (request.deadline, request.index));
        for request in late {
            if let Some(server) = request.server {
                self.emit(server, format!("cancelled {}", request.index));
            }
            let executed = if request.server.is_some() {
                "Perhaps"
            } else {
                "No"
            };
            self.end(request.index, &format!("late {executed}"));
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
                for index in self.indices(|request| request.owner == peer) {
                    self.cancel(index);
                }
                let mut topics: Vec<_> = self
                    .claimants
                    .iter()
                    .filter(|(_, claimants)| claimants.contains(&peer))
                    .map(|(topic, _)| *topic)
                    .collect();
                topics.retain(|topic| self.leave(peer, topic) == Some(true));
                for index in self.indices(|request| request.server == Some(peer)) {
                    self.end(index, "lost Perhaps");
                }
                for topic in topics {
                    self.assign_waiting(topic);
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
                        self.emit(
                            peer,
                            format!("message '{published}' {} to {to:?}", self.messages),
                        );
                    }
                }
            }
            Step::Serve(peer, topic, stand_by) => {
                let claimants = self.claimants.entry(topic).or_default();
                if claimants.contains(&peer) {
                    return false;
                }
                if claimants.is_empty() {
                    claimants.push(peer);
                    self.emit(peer, format!("serving '{topic}'"));
                    self.assign_waiting(topic);
                } else if stand_by {
                    claimants.push(peer);
                    self.emit(peer, format!("standing by '{topic}'"));
                } else {
                    self.emit(peer, format!("taken '{topic}'"));
                }
            }
            Step::Leave(peer, topic) => match self.leave(peer, topic) {
                None => return false,
                Some(true) => self.assign_waiting(topic),
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
                let index = self.made;
                self.made += 1;
                let deadline = timeout.map(|timeout| self.now + timeout);
                self.requests.push(Request {
                    index,
                    owner,
                    local_id,
                    topic,
                    message: self.messages,
                    deadline,
                    wait_for_server,
                    server: None,
                });
                if timeout == Some(0) {
                    self.end(index, "late No");
                } else if !self.assign(index) && !wait_for_server {
                    self.end(index, "without server");
                }
            }
            Step::Cancel(owner, local_id) => {
                for index in
                    self.indices(|request| (request.owner, request.local_id) == (owner, local_id))
                {
                    self.cancel(index);
                }
            }
            Step::Answer(peer, index, answer) => {
                if index >= self.made {
                    return false;
                }
                let Some(request) = self
                    .requests
                    .iter_mut()
                    .find(|request| request.index == index)
                else {
                    return true;
                };
                if request.server != Some(peer) {
                    return false;
                }
                match answer {
                    Answer::Reply => self.end(index, "with reply 1000"),
                    Answer::Refuse => self.end(index, "refused 2000"),
                    Answer::NoReply => self.end(index, "without reply"),
                    Answer::Return => {
                        request.server = None;
                        request.message = 3000;
                        let topic = request.topic;
                        if self
                            .claimants
                            .get(topic)
                            .and_then(|claimants| claimants.first())
                            != Some(&peer)
                        {
                            self.assign_waiting(topic);
                        }
                    }
                }
            }
            Step::Advance(by) => self.advance(by),
        }
        true
    }
}
