//! A user's membership of a room.
//!
//! ```text
//!  chat/lobby/*         receives what is said in the room       a subscription
//!  member/lobby/*       sees who joins and leaves               a subscription to the router's changes
//!  member/lobby/alice   receives private messages               ┐ claims, served by one handler
//!  member/lobby         lists the members, as the room's host   ┘ on a thread
//! ```
//!
//! The first member of a room is its host. The others are standbys, in the order in which they
//! joined: when the host leaves, the next one takes over, unnoticed by callers.

use std::{
    sync::mpsc,
    task::{Context, Poll, Waker},
};

use serde::{Deserialize, Serialize};
use ump_router::{Change, ChangeKind, Claim, RecvError, Router, ServeOptions, Subscription};
use ump_server::{JoinHandle, service, thread};

use crate::{
    error::ChatError,
    incoming::{Incoming, receive},
    members::{self, Members},
    name::{Name, user_of},
    protocol::Line,
};

#[derive(Debug)]
pub(crate) struct Membership {
    user: Name,
    room: Name,
    lines: Subscription<Line>,
    changes: Subscription<Change>,
    private_messages: mpsc::Receiver<(Name, String)>,
    host_claim: Claim,
    /// Whether the user knows that it is the host.
    is_host: bool,
    own_claim: Claim,
    handler: JoinHandle<()>,
}

impl Membership {
    pub(crate) fn new(
        router: &Router,
        room: Name,
        user: Name,
        waker: &Waker,
    ) -> Result<Self, ChatError> {
        // First, so that who sees the user join knows of the subscription.
        let lines = router.subscribe(format!("{room}/*"))?;
        let (sender, private_messages) = mpsc::channel();
        let member = Member {
            user: user.clone(),
            members: Members::new(router, &room)?,
            private_messages: sender,
            waker: waker.clone(),
        };
        let own_topic = room.topic_of(&user);
        let (client, handler) = thread::Builder::new().name(&own_topic).serve(member)?;
        let own_claim = router.serve_messages_by(own_topic, client.clone(), ServeOptions::new());
        let own_claim = own_claim.map_err(|error| match error {
            ump_router::Error::Taken(_) => {
                let (user, room) = (user.clone(), room.clone());
                ChatError::NameTaken { user, room }
            }
            error => error.into(),
        })?;
        let standby = ServeOptions::new().standby();
        let host_claim = router.serve_messages_by(room.as_str(), client, standby)?;
        Ok(Self {
            lines,
            changes: members::changes_of_room(router, &room)?,
            private_messages,
            is_host: host_claim.is_serving(),
            host_claim,
            own_claim,
            handler,
            user,
            room,
        })
    }

    pub(crate) fn room(&self) -> &Name {
        &self.room
    }

    pub(crate) fn is_host(&self) -> bool {
        self.is_host
    }

    pub(crate) fn lines(&self) -> &Subscription<Line> {
        &self.lines
    }

    /// Leaves the room: other members see it, and the next standby becomes the host.
    pub(crate) fn leave(self) {
        let Self {
            host_claim,
            own_claim,
            handler,
            ..
        } = self;
        // The own claim goes first, so that the next host does not list this member.
        drop(own_claim);
        drop(host_claim);
        // Without clients the handler ends. A panic was reported by the panic hook.
        let _ = handler.join();
    }

    /// Receives what is queued for the user in this room. Registers the waker for what comes next.
    pub(crate) fn receive(&mut self, incoming: &mut Vec<Incoming>, cx: &mut Context<'_>) {
        let mut push = |text| incoming.push(Incoming::in_room(&self.room, text));
        while let Poll::Ready(change) = self.changes.poll_recv(cx) {
            match change {
                // Of the host, whose claim is looked at below.
                Ok(change) if !members::is_of_member(&change) => {}
                Ok(change) => match (change.kind(), user_of(change.topic())) {
                    (ChangeKind::Served, user) => push(format!("{user} joins")),
                    (ChangeKind::Unserved, user) => push(format!("{user} leaves")),
                    _ => {}
                },
                Err(RecvError::Missed(changes)) => push(format!("missed {changes} changes")),
                Err(_) => break,
            }
        }
        if !self.is_host && self.host_claim.is_serving() {
            self.is_host = true;
            push(format!("{} is the host now", self.user));
        }
        for (from, text) in self.private_messages.try_iter() {
            push(format!("{from} tells {}: {text}", self.user));
        }
        receive(&mut self.lines, &self.user, incoming, cx);
    }
}

/// A member of a room, which handles the requests to it.
#[derive(Debug)]
struct Member {
    user: Name,
    members: Members,
    private_messages: mpsc::Sender<(Name, String)>,
    /// Wakes the reader of the private messages.
    waker: Waker,
}

#[service(topic = "member", derive(Serialize, Deserialize))]
impl Member {
    /// Returns the user that replies, and the members of the room in alphabetical order.
    pub(crate) fn list(&mut self) -> (Name, Vec<String>) {
        (self.user.clone(), self.members.list())
    }

    /// Delivers a message that other members do not see.
    pub(crate) fn tell(&mut self, from: Name, text: String) {
        // Delivered before the reply. An error means that the user is leaving.
        let _ = self.private_messages.send((from, text));
        self.waker.wake_by_ref();
    }
}
