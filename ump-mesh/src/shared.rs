//! What the thread of a mesh, its handles and the callbacks of zenoh share.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use ump_router::bridge::{Announced, Bridge};
use zenoh::{bytes::ZBytes, query::Query};

use crate::{
    envelope::Tell,
    keys::Token,
    numbers::Receiver,
    participant::{Participant, ParticipantId},
    progress::Progress,
    queue::Queue,
};

/// What the thread of a mesh shares with its handles and with the callbacks of zenoh.
pub(crate) struct Shared {
    pub(crate) own: ParticipantId,
    pub(crate) domain: String,
    pub(crate) bridge: Bridge,
    pub(crate) queue: Arc<Queue<Event, Key>>,
    pub(crate) receiver: Mutex<Receiver>,
    pub(crate) participants: Mutex<BTreeMap<ParticipantId, Participant>>,
    pub(crate) progress: Progress,
}

impl Shared {
    /// Returns how many patterns of this process some known participant has not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        // What there is now: the thread may not have told it yet.
        let Ok(mut announcements) = self.bridge.announcements() else {
            return 0; // the router was closed
        };
        let mut patterns = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(announced)) = announcements.poll_next(&mut cx) {
            if let Announced::Subscribed(pattern) = announced {
                patterns.push(pattern);
            }
        }
        let participants: Vec<_> = self.participants.lock().keys().copied().collect();
        let receiver = self.receiver.lock();
        let unconfirmed = participants
            .iter()
            .map(|id| receiver.unconfirmed(*id, &patterns));
        unconfirmed.max().unwrap_or(0)
    }
}

/// What the callbacks of zenoh bring.
pub(crate) enum Event {
    /// A token has come or gone.
    Token { token: Token, is_there: bool },
    /// Another participant tells something.
    Told {
        from: ParticipantId,
        told: Tell,
        payload: ZBytes,
    },
    /// A plain zenoh program queries a topic.
    Query(Query),
}

/// What was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The program has other subscriptions or servers.
    Announcements,
    /// There is a message for others.
    Outbox,
    /// There is a request for others.
    Servers,
    /// The caller of a request is gone.
    Pending(u64),
    /// A request of another participant may have ended.
    Executing(ParticipantId, u64),
    /// A query may have ended.
    Queried(u64),
    /// The handle was dropped.
    Leave,
}
