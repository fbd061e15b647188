//! What this process subscribes to and publishes.

use std::{task::Poll, time::Instant};

use ump_router::{
    Pattern,
    bridge::{Announced, Outgoing},
    link::wire::Codec,
};
use zenoh::Wait as _;

use super::{BEAT, Driver, Known, OwnSubscription, callbacks, poll_with, wire};
use crate::{
    envelope::{MessageHead, Tell},
    keys::{self, Token},
    shared::Key,
};

/// How many messages are sent before the mesh is left: more than wait, and not all that an eager
/// publisher still makes.
const LAST_TURN: usize = 1 << 15;

/// A message that is about to be sent.
struct Message {
    topic: Pattern,
    codec: Codec,
    payload: ump_router::Bytes,
}

impl Driver {
    /// Tells the others what the program has.
    pub(super) fn announce(&mut self) {
        loop {
            let waker = &self.wakers.announcements;
            match poll_with(waker, |cx| self.announcements.poll_next(cx)) {
                Poll::Ready(Some(announced)) => self.on_announced(announced),
                Poll::Ready(None) => {
                    self.has_ended = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    fn on_announced(&mut self, announced: Announced) {
        match announced {
            Announced::Subscribed(pattern) => self.subscribe(pattern),
            Announced::Unsubscribed(pattern) => {
                self.own_subscriptions.remove(&pattern);
                self.shared.receiver.lock().unsubscribe(&pattern);
                self.shared.progress.notify();
            }
            Announced::Claimed(topic) => self.claim(&topic),
            Announced::Released(topic) => {
                self.release(&topic);
            }
        }
    }

    fn subscribe(&mut self, pattern: Pattern) {
        let number = self.next_number();
        self.shared.receiver.lock().subscribe(&pattern, number);
        let subscriber = callbacks::messages(&self.session, &self.shared, &pattern, number);
        let token = Token::Subscription {
            id: self.shared.own,
            number,
            pattern: pattern.clone(),
        };
        let token = self.session.liveliness().declare_token(token.key());
        // The subscriber is declared before the token. An error if the session was closed.
        if let (Ok(subscriber), Ok(token)) = (subscriber, token.wait()) {
            let own = OwnSubscription {
                _token: token,
                _subscriber: subscriber,
            };
            self.own_subscriptions.insert(pattern, own);
        }
    }

    /// Sends messages of the program, a limited number. Those of one topic keep their order.
    pub(super) fn send_messages(&mut self) {
        if self.send_some(wire::TURN) {
            self.shared.queue.wake(Key::Outbox); // goes on after others
        }
    }

    /// Sends all messages that wait.
    pub(super) fn send_all_messages(&mut self) {
        self.send_some(LAST_TURN);
        self.beat();
    }

    /// Returns whether there may be more.
    fn send_some(&mut self, limit: usize) -> bool {
        let mut held: Option<Message> = None;
        for _ in 0..limit {
            let polled = poll_with(&self.wakers.outbox, |cx| self.outbox.poll_next(cx));
            let Poll::Ready(outgoing) = polled else {
                if let Some(message) = held {
                    self.send(&message, true);
                }
                return false;
            };
            if let Some(message) = held.take() {
                self.send(&message, false);
            }
            match outgoing {
                Outgoing::Message {
                    topic,
                    codec,
                    payload,
                } => {
                    held = Some(Message {
                        topic,
                        codec,
                        payload,
                    });
                }
                Outgoing::Missed { within, count } => self.tell_gap(&within, count),
            }
        }
        if let Some(message) = held {
            self.send(&message, true);
        }
        true
    }

    fn send(&mut self, message: &Message, is_last: bool) {
        let (number, base) = self.source.next(&message.topic);
        let head = MessageHead {
            source: self.shared.own,
            number,
            base,
            codec: message.codec,
        };
        let key = keys::key(&message.topic);
        self.put(key, &head, &message.payload, is_last);
        self.beat_at.get_or_insert_with(|| Instant::now() + BEAT);
    }

    /// Tells those that may miss messages, for which there was no room here.
    fn tell_gap(&self, within: &Pattern, count: u64) {
        let concerns = |known: &Known| {
            let mut patterns = known.subscriptions.values();
            patterns.any(|pattern| pattern.intersects(within))
        };
        for (id, known) in &self.known {
            if concerns(known) {
                let within = within.clone();
                self.tell(*id, &Tell::Gap { within, count }, &[]);
            }
        }
    }

    /// Tells how many messages there were.
    pub(super) fn beat(&mut self) {
        self.beat_at = None;
        if self.source.has_untold() {
            let counts = self.source.take_untold();
            self.put_counts(&counts);
        }
    }
}
