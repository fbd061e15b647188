//! The end of a session.

use std::time::Instant;

use ump::Executed;

use super::{Asked, Closed, Event, Outcome, Own, Progress, Received, Session, State, Their};
use crate::link::wire::{Failure, GoodbyeReason, Message};

impl Session {
    /// Returns whether the session has ended. What is left to be sent may still be under way.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. } | State::Closed)
    }

    /// Ends the session: all that is pending ends.
    pub(super) fn end(&mut self, now: Instant, closed: Closed) {
        let text = match &closed {
            Closed::Local | Closed::Lost | Closed::Peer { .. } => String::new(),
            other => other.to_string(),
        };
        let reason = closed.reason();
        self.end_with(now, closed, u64::MAX, (reason, text));
    }

    /// Ends the session. Requests after `last_seen` have not reached the peer.
    pub(super) fn end_with(
        &mut self,
        now: Instant,
        closed: Closed,
        last_seen: u64,
        (reason, text): (GoodbyeReason, String),
    ) {
        if matches!(self.state, State::Closing { .. } | State::Closed) {
            return;
        }
        for (request, state) in self.asked.take_all() {
            if let Asked::Pending(progress) = state {
                let is_seen = request <= last_seen;
                let progress = if is_seen { progress } else { Progress::NotSent };
                let outcome = Outcome::LinkLost(progress);
                self.events
                    .push_back((Event::Ended { request, outcome }, 0));
            }
        }
        // Without the peer's hello, nothing can be waiting.
        let is_graceful = closed == Closed::Local && self.state == State::Open;
        for (request, state) in self.received.take_all() {
            self.events.push_back((Event::Withdrawn { request }, 0));
            if is_graceful && state == Received::Delivered {
                self.output.control(Message::Outcome {
                    request,
                    failure: Failure::ServerLost,
                    executed: Executed::No,
                    text: String::new(),
                });
            }
        }
        if is_graceful {
            self.tell_gaps();
        }
        (self.own, self.their) = (Own::default(), Their::default());
        self.output.drop_requests();
        self.output.goodbye(Message::Goodbye {
            reason,
            last_request: self.received.last(),
            text,
        });
        self.emit(Event::Closed(closed));
        let deadline = now + self.config.timeouts.close;
        self.state = State::Closing {
            deadline,
            peer_done: false,
        };
        if !is_graceful {
            self.ignore_peer();
        }
    }

    /// Ignores all that the peer of a closing session still sends, and sends it nothing but the
    /// goodbye.
    pub(super) fn ignore_peer(&mut self) {
        if let State::Closing { peer_done, .. } = &mut self.state {
            *peer_done = true;
            self.output.drop_all();
            self.input = Vec::new();
            self.frame_since = None;
        }
    }

    /// Ends what has nothing left to send.
    pub(super) fn settle(&mut self) {
        let is_done = matches!(
            self.state,
            State::Closing {
                peer_done: true,
                ..
            }
        );
        if is_done && self.output.is_empty() {
            self.state = State::Closed;
        }
    }
}
