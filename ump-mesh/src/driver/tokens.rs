//! The tokens of the other participants.

use std::{collections::HashSet, time::Instant};

use ump_router::Pattern;

use super::{
    Driver,
    known::{Known, MAX_PARTICIPANTS},
};
use crate::{
    keys::Token,
    participant::{Participant, ParticipantId},
    shared::Key,
};

impl Driver {
    pub(super) fn on_token(&mut self, token: Token, is_there: bool) {
        let id = match &token {
            Token::Participant { id, .. }
            | Token::Subscription { id, .. }
            | Token::Claim { id, .. }
            | Token::Leaving { id } => *id,
        };
        if id == self.shared.own {
            return;
        }
        if !self.known.contains_key(&id) && (!is_there || self.known.len() >= MAX_PARTICIPANTS) {
            return;
        }
        let known = self.known.entry(id).or_default();
        if is_there && !known.has_room() {
            return;
        }
        match token {
            Token::Participant {
                id,
                name,
                host,
                pid,
                joined,
            } if is_there => {
                known.is_there = true;
                let participant = Participant {
                    id,
                    name,
                    host,
                    pid,
                    joined,
                    seen: Instant::now(),
                    subscriptions: 0,
                    topics: 0,
                };
                self.shared.participants.lock().insert(id, participant);
            }
            Token::Participant { id, .. } => self.on_lost(id),
            Token::Leaving { .. } => known.is_leaving |= is_there,
            Token::Subscription {
                number, pattern, ..
            } => self.on_subscription(id, number, pattern, is_there),
            Token::Claim {
                epoch, topic, role, ..
            } => {
                let own = (topic.clone(), epoch, role);
                if is_there {
                    known.claims.insert(own);
                    self.claims.add(&topic, (epoch, id), role);
                } else {
                    known.claims.remove(&own);
                    self.claims.remove(&topic, (epoch, id), role);
                }
                self.review(&topic);
            }
        }
        self.count(id);
    }

    fn on_subscription(&mut self, id: ParticipantId, number: u64, pattern: Pattern, begins: bool) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        if begins {
            if known
                .subscriptions
                .insert(number, pattern.clone())
                .is_some()
            {
                return; // it was there, and the same number has the same pattern
            }
            let count = self.wanted.entry(pattern.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.outbox.add(pattern);
            }
            self.unconfirmed.entry(id).or_default().push(number);
            return;
        }
        let Some(pattern) = known.subscriptions.remove(&number) else {
            return;
        };
        if let Some(count) = self.wanted.get_mut(&pattern) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(&pattern);
                self.outbox.remove(&pattern);
                self.shared.queue.wake(Key::Outbox);
            }
        }
    }

    /// A participant has left, or is lost.
    fn on_lost(&mut self, id: ParticipantId) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        known.is_there = false;
        let is_leaving = std::mem::take(&mut known.is_leaving);
        self.shared.participants.lock().remove(&id);
        self.shared.progress.notify();
        self.shared.receiver.lock().forget(id);
        // The claims first, so that a caller that has its outcome does not find the server again.
        self.end_claims_of(id);
        self.end_requests_of(id);
        if !is_leaving {
            let all = "**".parse::<Pattern>().expect("a pattern");
            self.shared.bridge.miss(&all, None);
        }
    }

    fn end_claims_of(&mut self, id: ParticipantId) {
        let claims = self
            .known
            .get_mut(&id)
            .map(|it| std::mem::take(&mut it.claims));
        for (topic, epoch, role) in claims.into_iter().flatten() {
            self.claims.remove(&topic, (epoch, id), role);
            self.review(&topic);
        }
    }

    /// Counts what a participant has, for the list, and forgets one that is gone.
    fn count(&mut self, id: ParticipantId) {
        let Some(known) = self.known.get(&id) else {
            return;
        };
        if let Some(participant) = self.shared.participants.lock().get_mut(&id) {
            participant.subscriptions = known.subscriptions.len();
            let topics = known.claims.iter().map(|(topic, ..)| topic);
            participant.topics = topics.collect::<HashSet<_>>().len();
        }
        if Known::is_gone(known) && !known.is_leaving {
            self.known.remove(&id);
            self.unconfirmed.remove(&id);
        }
    }
}
