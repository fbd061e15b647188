//! What the user of a session asks for.

use std::time::Instant;

use ump::Executed;

use super::{
    Asked, Bulk, Closed, OwnSubscription, Progress, Received, Rejected, Session, State,
    config::MAX_SUBSCRIPTIONS,
    credit::Allowance,
    output::{PUBLICATIONS, REPLIES, REQUESTS, publish_body},
};
use crate::{
    link::wire::{Codec, Failure, GoodbyeReason, Message, Status},
    protocol::Bytes,
    topic::{Pattern, Topic},
};

/// How much of a subscription may be on its way, or received and not
/// [consumed](Session::consumed).
///
/// What exceeds it is missed. Credit returns when half of it is consumed; so let `bytes` be at
/// least twice the length of the largest payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credit {
    /// The number of messages.
    pub messages: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
}

/// A message to be published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publication {
    /// The topic or pattern.
    pub topic: Pattern,
    /// Whether the peer is asked to retain it.
    pub retain: bool,
    /// Whether it was retained before the subscription.
    pub retained: bool,
    /// How the payload is encoded.
    pub codec: Codec,
    /// The payload.
    pub payload: Bytes,
}

impl Publication {
    /// Creates a publication that is not retained.
    #[must_use]
    pub fn new(topic: Pattern, codec: Codec, payload: Bytes) -> Self {
        Self {
            topic,
            retain: false,
            retained: false,
            codec,
            payload,
        }
    }
}

/// A request to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The topic.
    pub topic: Topic,
    /// The deadline.
    pub deadline: Option<Instant>,
    /// How the payload is encoded.
    pub codec: Codec,
    /// The payload.
    pub payload: Bytes,
}

impl Session {
    pub(super) fn check_open(&self) -> Result<(), Rejected> {
        if self.state == State::Open {
            Ok(())
        } else {
            Err(Rejected::NotOpen)
        }
    }

    /// Checks that an operation can be sent, which the peer answers.
    fn check_operation(&self) -> Result<(), Rejected> {
        self.check_open()?;
        let max = self.peer.operations as usize;
        if self.output.is_full() || self.own.unanswered() >= max {
            return Err(Rejected::Full);
        }
        Ok(())
    }

    /// Subscribes. The answer is [`Event::Subscribed`](super::Event::Subscribed).
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen), [`Full`](Rejected::Full) or [`Quota`](Rejected::Quota).
    pub fn subscribe(
        &mut self,
        pattern: &Pattern,
        credit: Credit,
        retained: bool,
    ) -> Result<u32, Rejected> {
        self.check_operation()?;
        if self.own.subscriptions.len() >= self.peer.subscriptions as usize {
            return Err(Rejected::Quota("subscriptions"));
        }
        let id = next_id(&mut self.own.last_subscription)?;
        let Credit { messages, bytes } = credit;
        let subscription = OwnSubscription {
            pattern: pattern.clone(),
            messages: Allowance::new(messages),
            bytes: Allowance::new(bytes),
        };
        self.own.subscriptions.insert(id, subscription);
        self.own.unanswered_subscriptions.insert(id);
        self.output.control(Message::Subscribe {
            id,
            retained,
            messages,
            bytes,
            pattern: pattern.clone(),
        });
        Ok(id)
    }

    /// Ends a subscription of this end. Messages on their way are dropped.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown).
    pub fn unsubscribe(&mut self, id: u32) -> Result<(), Rejected> {
        let subscription = self.own.subscriptions.remove(&id);
        subscription.ok_or(Rejected::Unknown)?;
        self.output.control(Message::Unsubscribe { id });
        Ok(())
    }

    /// Returns credit: messages of a subscription, with so many bytes of payload, were consumed.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown).
    pub fn consumed(&mut self, id: u32, messages: u64, bytes: u64) -> Result<(), Rejected> {
        let subscription = self.own.subscriptions.get_mut(&id);
        let subscription = subscription.ok_or(Rejected::Unknown)?;
        let messages = subscription.messages.consume(messages);
        let bytes = subscription.bytes.consume(bytes);
        if messages || bytes {
            self.output.credits.insert(id);
        }
        Ok(())
    }

    /// Answers a subscribe of the peer, or ends its subscription later. A refused subscription does
    /// not exist.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown): it ended, or was accepted before and is again.
    pub fn answer_subscribe(
        &mut self,
        id: u32,
        status: Status,
        text: &str,
    ) -> Result<(), Rejected> {
        let subscription = self.their.subscriptions.get_mut(&id);
        let subscription = subscription.ok_or(Rejected::Unknown)?;
        let is_first = !std::mem::replace(&mut subscription.is_answered, true);
        if status != Status::Accepted {
            self.their.subscriptions.remove(&id);
        } else if !is_first {
            return Err(Rejected::Unknown);
        }
        let text = text.to_owned();
        let subscribed = Message::Subscribed { id, status, text };
        if is_first {
            self.output.answer(subscribed);
        } else {
            self.output.control(subscribed);
        }
        Ok(())
    }

    /// Publishes a message to subscriptions of the peer. Those that have ended are skipped; those
    /// without credit miss it, and all do if too much waits to be sent, or if it is too long: they
    /// get a gap. Returns how many subscriptions it is sent to.
    ///
    /// # Errors
    /// - [`NotOpen`](Rejected::NotOpen).
    /// - [`TooLong`](Rejected::TooLong): the subscriptions miss it.
    pub fn publish(&mut self, publication: &Publication, to: &[u32]) -> Result<usize, Rejected> {
        self.check_open()?;
        let length = publication.payload.len();
        let fits = self.check_length(publish_body(1, length));
        let max = self.config.queued_publications;
        let has_room = fits.is_ok()
            && self
                .output
                .has_room(PUBLICATIONS, publish_body(to.len(), length), max);
        let bytes = length as u64;
        let mut reached = Vec::with_capacity(to.len());
        for id in to {
            let Some(subscription) = self.their.subscriptions.get_mut(id) else {
                continue;
            };
            if !has_room || !subscription.messages.has(1) || !subscription.bytes.has(bytes) {
                subscription.missed = subscription.missed.saturating_add(1);
                self.their.gaps.insert(*id);
                continue;
            }
            subscription.messages.use_up(1);
            subscription.bytes.use_up(bytes);
            if self.their.gaps.remove(id) {
                for missed in subscription.take_gaps() {
                    self.output.bulk(Bulk::Gap { id: *id, missed });
                }
            }
            reached.push(*id);
        }
        fits?;
        let count = reached.len();
        // As many as fit beside the payload: at least one.
        let room = self.peer.frame as usize - publish_body(0, length);
        let most = (room / 4).min(MAX_SUBSCRIPTIONS as usize);
        while !reached.is_empty() {
            let others = reached.split_off(most.min(reached.len()));
            self.output.bulk(Bulk::Publish {
                topic: publication.topic.clone(),
                retain: publication.retain,
                retained: publication.retained,
                codec: publication.codec,
                to: std::mem::replace(&mut reached, others),
                payload: publication.payload.clone(),
            });
        }
        Ok(count)
    }

    /// Tells subscriptions of the peer that they miss so many messages at this place. Those that
    /// have ended are skipped.
    pub fn missed(&mut self, to: &[u32], count: u64) {
        for id in to {
            if let Some(subscription) = self.their.subscriptions.get_mut(id) {
                subscription.missed = subscription.missed.saturating_add(count);
                self.their.gaps.insert(*id);
            }
        }
    }

    /// Tells subscriptions of the peer that they may miss messages at this place, whose number is
    /// not known. Those that have ended are skipped.
    pub fn interrupted(&mut self, to: &[u32]) {
        for id in to {
            if let Some(subscription) = self.their.subscriptions.get_mut(id) {
                subscription.is_interrupted = true;
                self.their.gaps.insert(*id);
            }
        }
    }

    pub(super) fn check_length(&self, body: usize) -> Result<(), Rejected> {
        let max = self.peer.frame as usize;
        if body > max {
            return Err(Rejected::TooLong(max));
        }
        Ok(())
    }

    /// Tells the peer that the retained message of a topic is removed.
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen) or [`Full`](Rejected::Full).
    pub fn unretain(&mut self, topic: &Topic) -> Result<(), Rejected> {
        self.check_open()?;
        let topic = topic.clone();
        let bulk = Bulk::Unretain { topic };
        let max = self.config.queued_publications;
        if !self.output.has_room(PUBLICATIONS, bulk.body(), max) {
            return Err(Rejected::Full);
        }
        self.output.bulk(bulk);
        Ok(())
    }

    /// Tells the peer that all subscriptions and claims that there were at the opening are told.
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen) or [`Full`](Rejected::Full).
    pub fn synced(&mut self) -> Result<(), Rejected> {
        self.check_open()?;
        if self.output.is_full() {
            return Err(Rejected::Full);
        }
        self.output.control(Message::Synced);
        Ok(())
    }

    /// Claims a topic. The answer is [`Event::Served`](super::Event::Served).
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen), [`Full`](Rejected::Full) or [`Quota`](Rejected::Quota).
    pub fn serve(&mut self, topic: &Topic, stand_by: bool) -> Result<u32, Rejected> {
        self.check_operation()?;
        if self.own.claims.len() >= self.peer.claims as usize {
            return Err(Rejected::Quota("served topics"));
        }
        let id = next_id(&mut self.own.last_claim)?;
        self.own.claims.insert(id);
        self.own.unanswered_claims.insert(id);
        let topic = topic.clone();
        self.output.control(Message::Serve {
            id,
            stand_by,
            topic,
        });
        Ok(id)
    }

    /// Gives up a claim of this end.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown).
    pub fn leave(&mut self, id: u32) -> Result<(), Rejected> {
        if !self.own.claims.remove(&id) {
            return Err(Rejected::Unknown);
        }
        self.output.control(Message::Leave { id });
        Ok(())
    }

    /// Answers a serve of the peer, or tells what became of its claim. A refused or lost claim does
    /// not exist any more.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown): the claim ended.
    pub fn answer_serve(&mut self, id: u32, status: Status, text: &str) -> Result<(), Rejected> {
        let is_answered = self.their.claims.get_mut(&id).ok_or(Rejected::Unknown)?;
        let is_first = !std::mem::replace(is_answered, true);
        if !matches!(status, Status::Accepted | Status::StandingBy) {
            self.their.claims.remove(&id);
        }
        let text = text.to_owned();
        let served = Message::Served { id, status, text };
        if is_first {
            self.output.answer(served);
        } else {
            self.output.control(served);
        }
        Ok(())
    }

    /// Makes a request to a topic that the peer serves, or knows the server of. It ends in one
    /// [`Event::Ended`](super::Event::Ended).
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen), [`Full`](Rejected::Full), [`Quota`](Rejected::Quota) or
    /// [`TooLong`](Rejected::TooLong). The request was not made.
    pub fn request(&mut self, now: Instant, call: &Call) -> Result<u64, Rejected> {
        self.check_open()?;
        if self.asked.len() >= self.peer.requests as usize {
            return Err(Rejected::Quota("pending requests"));
        }
        let request = self.asked.last() + 1;
        let bulk = Bulk::Request {
            request,
            topic: call.topic.clone().into(),
            deadline: call.deadline,
            codec: call.codec,
            payload: call.payload.clone(),
        };
        self.check_length(bulk.body())?;
        let max = self.config.queued_calls;
        if !self.output.has_room(REQUESTS, bulk.body(), max) {
            return Err(Rejected::Full);
        }
        self.output.bulk(bulk);
        let state = Asked::Pending(Progress::NotSent);
        self.asked.insert(request, state, call.deadline);
        self.expire(now);
        Ok(request)
    }

    /// Cancels a request of this end, which ends at once.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown): it has ended.
    pub fn cancel(&mut self, request: u64) -> Result<(), Rejected> {
        if self.abandon(request, false) {
            Ok(())
        } else {
            Err(Rejected::Unknown)
        }
    }

    /// Takes a request of the peer, before it is executed. Returns `false` if it must not be
    /// executed, because nobody waits for it.
    #[must_use]
    pub fn take(&mut self, now: Instant, request: u64) -> bool {
        self.expire(now);
        if self.received.get(request) != Some(Received::Delivered) {
            return false;
        }
        // The caller ends a request that was taken.
        self.received.clear_deadline(request);
        self.received.set(request, Received::Taken);
        if self.output.taken.is_empty() && !self.config.timeouts.taken.is_zero() {
            self.taken_since = Some(now);
        }
        self.output.taken.push_back(request);
        true
    }

    /// Answers a request of the peer: with a reply, or with the server's own error.
    ///
    /// # Errors
    /// - [`Unknown`](Rejected::Unknown): nobody waits for it.
    /// - [`TooLong`](Rejected::TooLong), [`Full`](Rejected::Full): the caller gets that failure
    ///   instead.
    pub fn reply(
        &mut self,
        request: u64,
        codec: Codec,
        reply: Result<&Bytes, &Bytes>,
    ) -> Result<(), Rejected> {
        let (Ok(payload) | Err(payload)) = reply;
        let bulk = Bulk::Reply {
            request,
            refused: reply.is_err(),
            codec,
            payload: payload.clone(),
        };
        let max = self.config.queued_calls;
        let rejected = match self.check_length(bulk.body()) {
            Err(rejected) => rejected,
            Ok(()) if !self.output.has_room(REPLIES, bulk.body(), max) => Rejected::Full,
            Ok(()) => {
                self.answered(request)?;
                self.output.bulk(bulk);
                return Ok(());
            }
        };
        let failure = if rejected == Rejected::Full {
            Failure::Full
        } else {
            Failure::TooLarge
        };
        self.fail(request, failure, Executed::Yes, "")?;
        Err(rejected)
    }

    /// Ends a request of the peer without a reply.
    ///
    /// # Errors
    /// [`Unknown`](Rejected::Unknown): nobody waits for it.
    pub fn fail(
        &mut self,
        request: u64,
        failure: Failure,
        executed: Executed,
        text: &str,
    ) -> Result<(), Rejected> {
        self.answered(request)?;
        let text = text.to_owned();
        self.output.control(Message::Outcome {
            request,
            failure,
            executed,
            text,
        });
        Ok(())
    }

    fn answered(&mut self, request: u64) -> Result<(), Rejected> {
        self.received.remove(request).ok_or(Rejected::Unknown)?;
        // The answer says that it was taken.
        self.untold_taken(request);
        Ok(())
    }

    /// Closes the session. It sends its waiting frames, without requests, and then a goodbye.
    /// Requests of the peer that were not taken end as not executed.
    pub fn close(&mut self, now: Instant, reason: GoodbyeReason, text: &str) {
        self.end_with(now, Closed::Local, u64::MAX, (reason, text.to_owned()));
    }
}

/// Returns the next id. No id is used twice.
fn next_id(last: &mut u32) -> Result<u32, Rejected> {
    *last = last.checked_add(1).ok_or(Rejected::Quota("ids"))?;
    Ok(*last)
}
