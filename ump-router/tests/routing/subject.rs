//! The core under test.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ump_router::routing::{Core, Input, Outcome, Output, PeerId, RequestId};

use crate::{
    Message,
    program::{Answer, Step},
    reference::{Emitted, Reference, Request},
};

/// The core under test, with the reference's indices for peers and requests.
pub(crate) struct Subject {
    pub(crate) core: Core<Message>,
    pub(crate) peers: Vec<PeerId>,
    /// The requests that were assigned to a server, by index.
    pub(crate) requests: BTreeMap<usize, RequestId>,
    pub(crate) start: Instant,
}

impl Subject {
    /// Executes a step. Returns whether the core accepts it.
    pub(crate) fn step(&mut self, step: &Step, now: u64, messages: Message) -> bool {
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
            Step::Answer(peer, index, answer) => {
                let id = self.requests[&index];
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
    pub(crate) fn emitted(&mut self, reference: &Reference) -> Vec<Emitted> {
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
                        .map(|(index, _)| *index);
                    let index = known.unwrap_or_else(|| {
                        let is_it = |request: &&Request| {
                            request.message == message
                                && !self.requests.contains_key(&request.index)
                        };
                        reference
                            .requests
                            .iter()
                            .find(is_it)
                            .expect("a peer made the request")
                            .index
                    });
                    self.requests.insert(index, id);
                    let deadline = deadline.map(|deadline| (deadline - self.start).as_secs());
                    format!("request {index} '{topic}' {message} {deadline:?}")
                }
                Output::Cancelled { id } => {
                    let (index, _) = self
                        .requests
                        .iter()
                        .find(|(_, known)| **known == id)
                        .expect("the request was assigned");
                    format!("cancelled {index}")
                }
                Output::Ended { local_id, outcome } => {
                    format!("{local_id} ended {}", describe(&outcome))
                }
                other => panic!("{other:?}"),
            };
            all.push((to, what));
        }
        all
    }
}

fn describe(outcome: &Outcome<Message>) -> String {
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
