//! What the peer sends.

use std::time::{Duration, Instant};

use super::{
    Asked, Budget, Closed, Event, Outcome, Progress, Received, Session, State, TheirSubscription,
    config::VERSIONS,
};
use crate::{
    link::wire::{
        COMPRESSION, Codec, Failure, GoodbyeReason, HEADER, Hello, Limits, Message, Status,
    },
    protocol::Bytes,
    topic::Pattern,
};

/// How many requests and operations of this end may be without an answer, whatever the peer allows:
/// each is remembered, also after its user has gone.
const MAX_REQUESTS: u32 = 1 << 16;
const MAX_OPERATIONS: u32 = 1024;

const fn violation(what: &'static str) -> Closed {
    Closed::Violation(what)
}

impl Session {
    /// Handles a frame, which uses so much credit of the link. The message is `None` if the frame
    /// is to be ignored.
    pub(super) fn on_frame(
        &mut self,
        now: Instant,
        message: Option<Message>,
        credit: u64,
    ) -> Result<(), Closed> {
        if credit > 0 && !self.link.receive(credit) {
            return Err(violation("more bytes than the link has credit for"));
        }
        match (self.state, message) {
            (State::Hello { .. }, Some(Message::Hello(hello))) => self.on_hello(hello),
            (State::Hello { .. }, Some(Message::Goodbye { reason, text, .. })) => {
                let answer = (GoodbyeReason::Done, String::new());
                self.end_with(now, Closed::Peer { reason, text }, 0, answer);
                Ok(())
            }
            (State::Hello { .. }, _) => Err(violation("a message before the hello")),
            (State::Open, Some(message)) => self.on_message(now, message, credit),
            (State::Closing { .. }, Some(Message::Window { bytes })) => {
                self.output.link.raise(bytes);
                Ok(())
            }
            (State::Closing { .. }, Some(Message::Goodbye { .. })) => {
                let is_sent = !self.output.has_goodbye() && self.output.staged().is_empty();
                self.is_acknowledged = is_sent;
                self.ignore_peer();
                Ok(())
            }
            (State::Open, None) | (State::Closing { .. } | State::Closed, _) => {
                self.consume(credit);
                Ok(())
            }
        }
    }

    fn on_hello(&mut self, hello: Hello) -> Result<(), Closed> {
        let version = (*VERSIONS.end()).min(hello.max_version);
        if version < *VERSIONS.start() || version < hello.min_version {
            return Err(Closed::Incompatible(
                GoodbyeReason::Version,
                format!(
                    "this end speaks the versions {} to {}, the peer {} to {}",
                    VERSIONS.start(),
                    VERSIONS.end(),
                    hello.min_version,
                    hello.max_version
                ),
            ));
        }
        let missing =
            (hello.required & !self.config.features) | (self.config.required & !hello.features);
        if missing != 0 {
            return Err(Closed::Incompatible(
                GoodbyeReason::Feature,
                format!(
                    "the features {missing:#x} are required at one end and missing at the other"
                ),
            ));
        }
        if hello.router == self.config.router && hello.router != 0 {
            let text = "both ends are the same router";
            return Err(Closed::Incompatible(
                GoodbyeReason::OwnRouter,
                text.to_owned(),
            ));
        }
        let limits = hello.limits;
        if limits.window < 2 * (u64::from(limits.frame) + HEADER as u64) {
            return Err(violation("a window that is smaller than two frames"));
        }
        if limits.topics == 0 {
            return Err(violation("a hello that allows no topic"));
        }
        if limits.operations == 0 {
            return Err(violation("a hello that allows no subscribe and no serve"));
        }
        self.peer = Limits {
            requests: limits.requests.min(MAX_REQUESTS),
            operations: limits.operations.min(MAX_OPERATIONS),
            ..limits
        };
        self.output.names.set_limit(limits.topics);
        self.output.link = Budget::new(limits.window);
        self.state = State::Open;
        let features = self.config.features & hello.features;
        self.output.compresses = features & COMPRESSION != 0;
        self.emit(Event::Opened {
            hello,
            version,
            features,
        });
        Ok(())
    }

    fn on_message(&mut self, now: Instant, message: Message, credit: u64) -> Result<(), Closed> {
        match message {
            Message::Hello(_) => return Err(violation("a second hello")),
            Message::Goodbye {
                reason,
                last_request,
                text,
            } => {
                let closed = Closed::Peer { reason, text };
                let answer = (GoodbyeReason::Done, String::new());
                self.end_with(now, closed, last_request, answer);
            }
            Message::Ping { token } => self.output.pong = Some(token),
            Message::Pong { .. } => {} // that it came is all
            Message::Topic { number, topic } => {
                if number >= self.config.limits.topics {
                    return Err(violation("a number of a topic beyond the limit"));
                }
                self.names.define(number, topic);
            }
            Message::Window { bytes } => self.output.link.raise(bytes),
            Message::Unretain { topic } => self.emit(Event::Unretain { topic }),
            Message::Refused {
                status,
                topic,
                text,
            } => self.emit(Event::Refused {
                status,
                topic,
                text,
            }),
            Message::Synced => self.emit(Event::Synced),
            answer @ (Message::Subscribed { .. } | Message::Served { .. }) => {
                self.unanswered_since = None; // that of the others begins
                self.on_operation_answer(answer)?;
            }
            Message::Subscribe { .. }
            | Message::Unsubscribe { .. }
            | Message::Credit { .. }
            | Message::Gap { .. } => self.on_subscription(message)?,
            Message::Serve { .. } | Message::Leave { .. } => {
                self.on_claim(message)?;
            }
            message @ Message::Publish { .. } => self.on_publish(message, credit)?,
            Message::Replicate(change) => self.on_replicate(now, change, credit),
            Message::Request {
                request,
                topic,
                remaining,
                codec,
                payload,
            } => self.on_request(now, request, topic, remaining, (codec, payload), credit)?,
            Message::Cancel { request, expired } => {
                if request > self.received.last() {
                    return Err(violation("a cancelled request that was never made"));
                }
                let failure = if expired {
                    Failure::TimedOut
                } else {
                    Failure::Cancelled
                };
                self.withdraw(request, failure);
            }
            Message::Taken { request } => match self.asked.get(request) {
                Some(Asked::Pending(Progress::Sent)) => {
                    self.asked.set(request, Asked::Pending(Progress::Taken));
                    self.emit(Event::Taken { request });
                }
                Some(Asked::Abandoned) => {}
                _ => return Err(violation("a request taken that was not made")),
            },
            Message::Outcome {
                request,
                failure,
                executed,
                text,
            } => {
                let outcome = Outcome::Failed {
                    failure,
                    executed,
                    text,
                };
                self.on_answer(request, outcome, credit)?;
            }
            Message::Reply {
                request,
                refused,
                codec,
                payload,
            } => {
                let outcome = if refused {
                    Outcome::Refused { codec, payload }
                } else {
                    Outcome::Reply { codec, payload }
                };
                self.on_answer(request, outcome, credit)?;
            }
        }
        Ok(())
    }

    fn on_publish(&mut self, message: Message, credit: u64) -> Result<(), Closed> {
        let Message::Publish {
            topic,
            retain,
            retained,
            codec,
            to,
            payload,
        } = message
        else {
            return Ok(());
        };
        let topic = self.topic(topic)?.clone();
        let to = self.receive_for(to, &topic, payload.len() as u64)?;
        if to.is_empty() {
            self.consume(credit);
            return Ok(());
        }
        let event = Event::Message {
            to,
            topic,
            retain,
            retained,
            codec,
            payload,
        };
        self.events.push_back((event, credit));
        Ok(())
    }

    fn topic(&self, number: u32) -> Result<&Pattern, Closed> {
        let topic = self.names.get(number);
        topic.ok_or(violation("a topic without a definition"))
    }

    /// Counts a message against the credit of its subscriptions. Returns those that have not ended
    /// and that the topic is for, each once.
    fn receive_for(
        &mut self,
        mut to: Vec<u32>,
        topic: &Pattern,
        bytes: u64,
    ) -> Result<Vec<u32>, Closed> {
        if !to.is_sorted_by(|a, b| a < b) {
            to.sort_unstable();
            to.dedup();
        }
        let mut is_for_all = true;
        for id in &to {
            if let Some(subscription) = self.own.subscriptions.get_mut(id) {
                if !subscription.messages.receive(1) || !subscription.bytes.receive(bytes) {
                    return Err(violation(
                        "more messages than a subscription has credit for",
                    ));
                }
                is_for_all &= subscription.pattern.intersects(topic);
            } else if *id > self.own.last_subscription {
                return Err(violation(
                    "a message for a subscription that was never made",
                ));
            } else {
                is_for_all = false;
            }
        }
        if !is_for_all {
            to.retain(|id| {
                let own = self.own.subscriptions.get(id);
                let is_meant = own.map(|it| it.pattern.intersects(topic));
                if is_meant == Some(false) {
                    let _ = self.consumed(*id, 1, bytes); // the credit returns
                }
                is_meant == Some(true)
            });
        }
        Ok(to)
    }

    fn on_request(
        &mut self,
        now: Instant,
        request: u64,
        topic: u32,
        remaining: Option<Duration>,
        (codec, payload): (Codec, Bytes),
        credit: u64,
    ) -> Result<(), Closed> {
        if request <= self.received.last() {
            return Err(violation("an id of a request that was used before"));
        }
        let waiting = self.received.len() + self.output.answers;
        if waiting >= self.config.limits.requests as usize {
            return Err(violation("more requests than are allowed"));
        }
        let Some(topic) = self.topic(topic)?.as_topic().cloned() else {
            return Err(violation("a request to a pattern"));
        };
        // A time beyond the clock is none.
        let deadline = remaining.and_then(|remaining| now.checked_add(remaining));
        self.received.insert(request, Received::Delivered, deadline);
        let event = Event::Request {
            request,
            topic,
            deadline,
            codec,
            payload,
        };
        self.events.push_back((event, credit));
        Ok(())
    }

    fn on_answer(&mut self, request: u64, outcome: Outcome, credit: u64) -> Result<(), Closed> {
        match self.asked.get(request) {
            Some(Asked::Pending(Progress::Sent | Progress::Taken)) => {
                let ended = Event::Ended { request, outcome };
                self.events.push_back((ended, credit));
            }
            Some(Asked::Abandoned) => self.consume(credit),
            _ => return Err(violation("an answer to a request that was not made")),
        }
        self.asked.remove(request);
        Ok(())
    }

    fn on_subscription(&mut self, message: Message) -> Result<(), Closed> {
        let unknown = violation("a subscription that was never made");
        match message {
            Message::Subscribe {
                id,
                retained,
                messages,
                bytes,
                pattern,
            } => {
                if id <= self.their.last_subscription {
                    return Err(violation("an id of a subscription that was used before"));
                }
                let limit = self.config.limits.subscriptions as usize;
                if self.their.subscriptions.len() >= limit {
                    return Err(violation("more subscriptions than are allowed"));
                }
                self.begin_operation()?;
                self.their.last_subscription = id;
                let subscription = TheirSubscription {
                    is_answered: false,
                    messages: Budget::new(messages),
                    bytes: Budget::new(bytes),
                    first_bytes: bytes,
                    missed: 0,
                    is_interrupted: false,
                };
                self.their.subscriptions.insert(id, subscription);
                self.emit(Event::Subscribe {
                    id,
                    pattern,
                    retained,
                });
            }
            Message::Unsubscribe { id } => match self.their.subscriptions.remove(&id) {
                Some(subscription) => {
                    if !subscription.is_answered {
                        let (status, text) = (Status::Lost, String::new());
                        self.output.answer(Message::Subscribed { id, status, text });
                    }
                    self.emit(Event::Unsubscribe { id });
                }
                None if id > self.their.last_subscription => return Err(unknown),
                None => {} // it was refused
            },
            Message::Credit {
                id,
                messages,
                bytes,
            } => match self.their.subscriptions.get_mut(&id) {
                Some(subscription) => {
                    subscription.messages.raise(messages);
                    subscription.bytes.raise(bytes);
                }
                None if id > self.their.last_subscription => return Err(unknown),
                None => {}
            },
            Message::Gap { id, missed } => {
                if self.own.subscriptions.contains_key(&id) {
                    self.emit(Event::Gap { id, missed });
                } else if id > self.own.last_subscription {
                    return Err(unknown);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_claim(&mut self, message: Message) -> Result<(), Closed> {
        match message {
            Message::Serve {
                id,
                stand_by,
                topic,
            } => {
                if id <= self.their.last_claim {
                    return Err(violation("an id of a claim that was used before"));
                }
                if self.their.claims.len() >= self.config.limits.claims as usize {
                    return Err(violation("more claims than are allowed"));
                }
                self.begin_operation()?;
                self.their.last_claim = id;
                self.their.claims.insert(id, false);
                self.emit(Event::Serve {
                    id,
                    topic,
                    stand_by,
                });
            }
            Message::Leave { id } => match self.their.claims.remove(&id) {
                Some(is_answered) => {
                    if !is_answered {
                        let (status, text) = (Status::Lost, String::new());
                        self.output.answer(Message::Served { id, status, text });
                    }
                    self.emit(Event::Leave { id });
                }
                None if id > self.their.last_claim => {
                    return Err(violation("a claim that was never made"));
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn on_operation_answer(&mut self, message: Message) -> Result<(), Closed> {
        match message {
            Message::Subscribed { id, status, text } => {
                let is_first = self.own.unanswered_subscriptions.remove(&id);
                if !is_first && (status == Status::Accepted || id > self.own.last_subscription) {
                    return Err(violation("an answer to a subscribe that was not sent"));
                }
                if !self.own.subscriptions.contains_key(&id) {
                    return Ok(()); // it ended meanwhile
                }
                if status != Status::Accepted {
                    self.own.subscriptions.remove(&id);
                }
                self.emit(Event::Subscribed { id, status, text });
            }
            Message::Served { id, status, text } => {
                let is_first = self.own.unanswered_claims.remove(&id);
                if !self.own.claims.contains(&id) {
                    if is_first || id <= self.own.last_claim {
                        return Ok(()); // it ended meanwhile
                    }
                    return Err(violation("an answer to a serve that was not sent"));
                }
                if !matches!(status, Status::Accepted | Status::StandingBy) {
                    self.own.claims.remove(&id);
                }
                self.emit(Event::Served { id, status, text });
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts an operation of the peer, until its answer is encoded.
    fn begin_operation(&mut self) -> Result<(), Closed> {
        if self.output.operations >= self.config.limits.operations {
            return Err(violation(
                "more operations without an answer than are allowed",
            ));
        }
        self.output.operations += 1;
        Ok(())
    }
}
