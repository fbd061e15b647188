//! The members of a room, as one of them knows them.
//!
//! While `alice` is in `lobby`, she serves the topic `member/lobby/alice`. So no user has to
//! announce that she joined or left: the router does, to those who subscribe to its changes. A
//! member first subscribes and then lists the servers, so that it misses none; to learn of a member
//! twice does no harm.

use std::collections::BTreeSet;

use ump_router::{Change, ChangeKind, Received, RecvError, RequestMessage, Router, Subscription};

use crate::{
    error::ChatError,
    membership::MemberRequest,
    name::{Name, user_of},
};

/// Subscribes to the users that join and leave a room.
pub(crate) fn changes(router: &Router, room: &Name) -> Result<Subscription<Change>, ChatError> {
    Ok(router.subscribe(format!("{}/{room}/*", MemberRequest::PREFIX))?)
}

/// Subscribes to the same, and to the host of the room.
pub(crate) fn changes_of_room(
    router: &Router,
    room: &Name,
) -> Result<Subscription<Change>, ChatError> {
    let host = format!("{}/{room}", MemberRequest::PREFIX);
    Ok(router.subscribe([format!("{host}/*"), host])?)
}

/// Returns whether a change is of a member, and not of the host.
pub(crate) fn is_of_member(change: &Received<Change>) -> bool {
    change.topic().fragments().count() > 2
}

#[derive(Debug)]
pub(crate) struct Members {
    router: Router,
    changes: Subscription<Change>,
    known: BTreeSet<String>,
}

impl Members {
    pub(crate) fn new(router: &Router, room: &Name) -> Result<Self, ChatError> {
        let mut members = Self {
            router: router.clone(),
            changes: changes(router, room)?,
            known: BTreeSet::new(),
        };
        members.reload();
        Ok(members)
    }

    /// Returns the current members in alphabetical order.
    pub(crate) fn list(&mut self) -> Vec<String> {
        loop {
            match self.changes.try_recv() {
                Ok(Some(change)) => {
                    let user = user_of(change.topic());
                    match change.kind() {
                        ChangeKind::Served => _ = self.known.insert(user.to_owned()),
                        ChangeKind::Unserved => _ = self.known.remove(user),
                        _ => {}
                    }
                }
                Err(RecvError::Missed(_) | RecvError::Interrupted) => self.reload(),
                Ok(None) | Err(_) => return self.known.iter().cloned().collect(),
            }
        }
    }

    /// Lists the members anew.
    fn reload(&mut self) {
        let room = self.changes.pattern();
        let servers = self.router.servers();
        let topics = servers.iter().map(|server| &server.topic);
        let members = topics.filter(|topic| topic.intersects(room));
        self.known = members.map(|member| user_of(member).to_owned()).collect();
    }
}
