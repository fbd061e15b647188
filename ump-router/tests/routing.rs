//! The routing core against a reference that keeps everything in lists, in random programs; and the
//! core's guarantees.

use std::{
    collections::BTreeMap,
    iter,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use ump_router::{
    Pattern, Topic,
    routing::{Core, Input, Outcome, Output, PeerId, RequestId, Violation},
    ump::Executed,
};

type Message = u32;

/// A step of a program. Peers and requests are given by their places in the lists of all that ever
/// existed.
#[derive(Clone, Debug)]
enum Step {
    Connect,
    Disconnect(usize),
    Subscribe(usize, u64, &'static str),
    Unsubscribe(usize, u64),
    Publish(usize, &'static str),
    Serve(usize, &'static str, bool),
    Leave(usize, &'static str),
    Request(usize, u64, &'static str, Option<u64>, bool),
    Cancel(usize, u64),
    Answer(usize, usize, Answer),
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Reply,
    Refuse,
    NoReply,
    Return,
}

const TOPICS: [&str; 3] = ["", "a", "a/b"];
const PATTERNS: [&str; 6] = ["", "a", "*", "a/*", "**", "**/b"];

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0..4_usize;
    let local_id = || 0..3_u64;
    let topic = || prop::sample::select(&TOPICS[..]);
    let pattern = || prop::sample::select(&PATTERNS[..]);
    let answer = prop::sample::select(
        &[
            Answer::Reply,
            Answer::Refuse,
            Answer::NoReply,
            Answer::Return,
        ][..],
    );
    prop_oneof![
        2 => Just(Step::Connect),
        1 => peer().prop_map(Step::Disconnect),
        3 => (peer(), local_id(), pattern()).prop_map(|(p, n, t)| Step::Subscribe(p, n, t)),
        1 => (peer(), local_id()).prop_map(|(p, n)| Step::Unsubscribe(p, n)),
        3 => (peer(), pattern()).prop_map(|(p, t)| Step::Publish(p, t)),
        5 => (peer(), topic(), prop::bool::weighted(0.8)).prop_map(|(p, t, s)| Step::Serve(p, t, s)),
        2 => (peer(), topic()).prop_map(|(p, t)| Step::Leave(p, t)),
        6 => (peer(), local_id(), topic(), prop::option::of(0..6_u64), any::<bool>())
            .prop_map(|(p, n, t, d, w)| Step::Request(p, n, t, d, w)),
        1 => (peer(), local_id()).prop_map(|(p, n)| Step::Cancel(p, n)),
        5 => (peer(), 0..8_usize, answer).prop_map(|(p, r, a)| Step::Answer(p, r, a)),
        2 => (1..4_u64).prop_map(Step::Advance),
    ]
}

/// What the reference knows of a request that has not ended.
#[derive(Clone, Debug)]
struct Request {
    /// Its place in the list of all requests ever made.
    place: usize,
    owner: usize,
    local_id: u64,
    topic: &'static str,
    message: Message,
    deadline: Option<u64>,
    wait_for_server: bool,
    with: Option<usize>,
}

/// An output to a peer, with requests given by their places.
type Said = (usize, String);

#[derive(Default)]
struct Reference {
    connected: Vec<bool>,
    subscriptions: Vec<(usize, u64, &'static str)>,
    /// The claimants of each topic, in order. The first one serves.
    lines: BTreeMap<&'static str, Vec<usize>>,
    requests: Vec<Request>,
    made: usize,
    now: u64,
    messages: Message,
    said: Vec<Said>,
}

impl Reference {
    fn say(&mut self, to: usize, what: String) {
        if self.connected[to] {
            self.said.push((to, what));
        }
    }

    fn end(&mut self, place: usize, how: &str) {
        let at = self
            .requests
            .iter()
            .position(|request| request.place == place);
        let request = self.requests.remove(at.expect("it has not ended"));
        self.say(request.owner, format!("{} ended {how}", request.local_id));
    }

    fn places(&self, is_one: impl Fn(&Request) -> bool) -> Vec<usize> {
        let such = self.requests.iter().filter(|request| is_one(request));
        such.map(|request| request.place).collect()
    }

    fn give(&mut self, place: usize) -> bool {
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

    fn settle(&mut self, topic: &'static str) {
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
    fn leave(&mut self, peer: usize, topic: &'static str) -> Option<bool> {
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

    fn cancel(&mut self, place: usize) {
        let at = self
            .requests
            .iter()
            .position(|request| request.place == place);
        let request = self.requests.remove(at.expect("it has not ended"));
        if let Some(server) = request.with {
            self.say(server, format!("cancelled {place}"));
        }
    }

    fn advance(&mut self, by: u64) {
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
    fn step(&mut self, step: &Step) -> bool {
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

/// The core under test, with the reference's names for peers and requests.
struct Subject {
    core: Core<Message>,
    peers: Vec<PeerId>,
    /// The requests that were given to a server, by place.
    requests: BTreeMap<usize, RequestId>,
    start: Instant,
}

impl Subject {
    /// Executes a step. Returns whether the core accepts it.
    fn step(&mut self, step: &Step, now: u64, messages: Message) -> bool {
        let now = self.start + Duration::from_secs(now);
        let (peer, input) = match *step {
            Step::Connect => {
                self.peers.push(self.core.connect());
                return true;
            }
            Step::Disconnect(peer) => return self.core.disconnect(self.peers[peer]).is_ok(),
            Step::Advance(_) => {
                self.core.advance(now);
                return true;
            }
            Step::Subscribe(peer, local_id, pattern) => (
                peer,
                Input::Subscribe {
                    local_id,
                    pattern: pattern.parse().unwrap(),
                },
            ),
            Step::Unsubscribe(peer, local_id) => (peer, Input::Unsubscribe { local_id }),
            Step::Publish(peer, topic) => (
                peer,
                Input::Publish {
                    topic: topic.parse().unwrap(),
                    message: messages,
                },
            ),
            Step::Serve(peer, topic, stand_by) => (
                peer,
                Input::Serve {
                    topic: topic.parse().unwrap(),
                    stand_by,
                },
            ),
            Step::Leave(peer, topic) => (
                peer,
                Input::Leave {
                    topic: topic.parse().unwrap(),
                },
            ),
            Step::Request(peer, local_id, topic, timeout, wait_for_server) => {
                let deadline = timeout.map(|timeout| now + Duration::from_secs(timeout));
                let topic = topic.parse().unwrap();
                (
                    peer,
                    Input::Request {
                        local_id,
                        topic,
                        message: messages,
                        deadline,
                        wait_for_server,
                    },
                )
            }
            Step::Cancel(peer, local_id) => (peer, Input::Cancel { local_id }),
            Step::Answer(peer, place, answer) => {
                let id = self.requests[&place];
                (
                    peer,
                    match answer {
                        Answer::Reply => Input::Reply {
                            id,
                            reply: Ok(1000),
                        },
                        Answer::Refuse => Input::Reply {
                            id,
                            reply: Err(2000),
                        },
                        Answer::NoReply => Input::NoReply { id },
                        Answer::Return => Input::Return { id, message: 3000 },
                    },
                )
            }
        };
        self.core.handle(now, self.peers[peer], input).is_ok()
    }

    /// Returns the core's outputs in the reference's notation. `made` is the number of requests
    /// before the last step.
    fn said(&mut self, reference: &Reference) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some((to, output)) = self.core.poll_output() {
            let to = self.peers.iter().position(|peer| *peer == to).unwrap();
            let what = match output {
                Output::Deliver { to, topic, message } => {
                    format!("message '{topic}' {message} to {to:?}")
                }
                Output::Serving { topic } => format!("serving '{topic}'"),
                Output::StandingBy { topic } => format!("standing by '{topic}'"),
                Output::Taken { topic } => format!("taken '{topic}'"),
                Output::Request {
                    id,
                    topic,
                    message,
                    deadline,
                } => {
                    let known = self
                        .requests
                        .iter()
                        .find(|(_, known)| **known == id)
                        .map(|(place, _)| *place);
                    let place = known.unwrap_or_else(|| {
                        let is_it = |request: &&Request| {
                            request.message == message
                                && !self.requests.contains_key(&request.place)
                        };
                        reference
                            .requests
                            .iter()
                            .find(is_it)
                            .expect("somebody asked")
                            .place
                    });
                    self.requests.insert(place, id);
                    let deadline = deadline.map(|deadline| (deadline - self.start).as_secs());
                    format!("request {place} '{topic}' {message} {deadline:?}")
                }
                Output::Cancelled { id } => {
                    let (place, _) = self
                        .requests
                        .iter()
                        .find(|(_, known)| **known == id)
                        .expect("it was given");
                    format!("cancelled {place}")
                }
                Output::Ended { local_id, outcome } => {
                    format!("{local_id} ended {}", words(&outcome))
                }
                other => panic!("{other:?}"),
            };
            all.push((to, what));
        }
        all
    }
}

fn words(outcome: &Outcome<Message>) -> String {
    match outcome {
        Outcome::Reply(reply) => format!("with reply {reply}"),
        Outcome::Refused(refusal) => format!("refused {refusal}"),
        Outcome::NoReply => "without reply".to_owned(),
        Outcome::NoServer => "without server".to_owned(),
        Outcome::ServerLost(executed) => format!("lost {executed:?}"),
        Outcome::TimedOut(executed) => format!("late {executed:?}"),
        other => panic!("{other:?}"),
    }
}

/// Directs an answer at a request that was given to a server. Most answers come from that server.
fn aimed(step: Step, reference: &Reference, given: &BTreeMap<usize, RequestId>) -> Option<Step> {
    let Step::Answer(peer, choice, answer) = step else {
        return Some(step);
    };
    let live = reference
        .requests
        .iter()
        .filter_map(|request| Some((request.place, request.with?)));
    let live: Vec<_> = live.collect();
    if choice == 0 || live.is_empty() {
        let place = *given.keys().nth(choice % given.len().max(1))?;
        return Some(Step::Answer(peer, place, answer));
    }
    let (place, with) = live[choice % live.len()];
    Some(Step::Answer(with, place, answer))
}

/// Returns whether the step names a connected peer.
fn is_possible(step: &Step, connected: &[bool]) -> bool {
    match *step {
        Step::Connect => connected.len() < 4,
        Step::Advance(_) => true,
        Step::Disconnect(peer)
        | Step::Subscribe(peer, ..)
        | Step::Unsubscribe(peer, _)
        | Step::Publish(peer, _)
        | Step::Serve(peer, ..)
        | Step::Leave(peer, _)
        | Step::Request(peer, ..)
        | Step::Cancel(peer, _)
        | Step::Answer(peer, ..) => connected.get(peer) == Some(&true),
    }
}

proptest! {
    #[test]
    fn a_core_matches_the_reference(steps in prop::collection::vec(step(), 1..100)) {
        let mut reference = Reference::default();
        let mut subject = Subject { core: Core::new(), peers: Vec::new(), requests: BTreeMap::new(), start: Instant::now() };
        for step in steps {
            let Some(step) = aimed(step, &reference, &subject.requests) else {
                continue;
            };
            if !is_possible(&step, &reference.connected) {
                continue;
            }
            let can_be = reference.step(&step);
            let messages = reference.messages;
            prop_assert_eq!(subject.step(&step, reference.now, messages), can_be, "{:?}", step);
            let said = subject.said(&reference);
            prop_assert_eq!(said, std::mem::take(&mut reference.said), "{:?}", step);
            prop_assert_eq!(subject.core.pending(), reference.requests.len());
            let first = reference.requests.iter().filter_map(|request| request.deadline).min();
            let first = first.map(|first| subject.start + Duration::from_secs(first));
            prop_assert_eq!(subject.core.next_deadline(), first);
        }
    }
}

fn topic() -> Topic {
    "a".parse().unwrap()
}

fn request(local_id: u64, deadline: Option<Instant>) -> Input<Message> {
    Input::Request {
        local_id,
        topic: topic(),
        message: 7,
        deadline,
        wait_for_server: false,
    }
}

#[test]
fn a_late_reply_is_ignored() {
    let (mut core, now) = (Core::new(), Instant::now());
    let (client, server) = (core.connect(), core.connect());
    core.handle(
        now,
        server,
        Input::Serve {
            topic: topic(),
            stand_by: false,
        },
    )
    .unwrap();
    let second = Duration::from_secs(1);
    core.handle(now, client, request(1, Some(now + second)))
        .unwrap();
    core.poll_output().unwrap();
    let Some((_, Output::Request { id, .. })) = core.poll_output() else {
        panic!()
    };
    core.advance(now + second);
    assert_eq!(core.poll_output(), Some((server, Output::Cancelled { id })));
    let outcome = Outcome::TimedOut(Executed::Perhaps);
    assert_eq!(
        core.poll_output(),
        Some((
            client,
            Output::Ended {
                local_id: 1,
                outcome
            }
        ))
    );
    core.handle(now + second, server, Input::Reply { id, reply: Ok(1) })
        .unwrap();
    assert_eq!(core.poll_output(), None);
}

#[test]
fn a_reply_to_a_foreign_request_is_a_violation() {
    let (mut core, now) = (Core::new(), Instant::now());
    let [client, server, other] = [(); 3].map(|()| core.connect());
    core.handle(
        now,
        server,
        Input::Serve {
            topic: topic(),
            stand_by: false,
        },
    )
    .unwrap();
    core.handle(now, client, request(1, None)).unwrap();
    core.poll_output().unwrap();
    let Some((_, Output::Request { id, .. })) = core.poll_output() else {
        panic!()
    };
    let forged = core.handle(now, other, Input::Reply { id, reply: Ok(1) });
    assert_eq!(forged, Err(Violation::WrongRequest(id)));
    assert_eq!(core.poll_output(), None);
    core.handle(now, server, Input::Reply { id, reply: Ok(2) })
        .unwrap();
    let ended = Output::Ended {
        local_id: 1,
        outcome: Outcome::Reply(2),
    };
    assert_eq!(core.poll_output(), Some((client, ended)));
}

#[test]
fn a_returned_request_does_not_come_back() {
    for leaves_by_disconnect in [false, true] {
        let (mut core, now) = (Core::new(), Instant::now());
        let [client, server, standby] = [(); 3].map(|()| core.connect());
        for (peer, stand_by) in [(server, false), (standby, true)] {
            let topic = topic();
            core.handle(now, peer, Input::Serve { topic, stand_by })
                .unwrap();
        }
        core.handle(now, client, request(1, None)).unwrap();
        let id = iter::from_fn(|| core.poll_output()).find_map(|(_, output)| match output {
            Output::Request { id, .. } => Some(id),
            _ => None,
        });
        let (id, message) = (id.unwrap(), 7);
        core.handle(now, server, Input::Return { id, message })
            .unwrap();
        if leaves_by_disconnect {
            core.disconnect(standby).unwrap();
        } else {
            core.handle(now, standby, Input::Leave { topic: topic() })
                .unwrap();
        }
        assert_eq!(core.poll_output(), None);
        core.handle(now, server, Input::Leave { topic: topic() })
            .unwrap();
        let ended = Output::Ended {
            local_id: 1,
            outcome: Outcome::ServerLost(Executed::No),
        };
        assert_eq!(core.poll_output(), Some((client, ended)));
    }
}
