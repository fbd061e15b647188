//! Who is in a room, as one of them knows it.
//!
//! Whoever is in `lobby` as `alice` serves `seat/lobby/alice`. So nobody has to say that she came or went: the router does, to whoever subscribes to its
//! changes. Who first subscribes, and then lists who is there, misses nobody; to hear of somebody twice does no harm.

use std::collections::BTreeSet;

use ump_router::{Change, ChangeKind, RecvError, Request, Router, Subscription};

use crate::{
    error::ChatError,
    name::{Name, user_of},
    protocol::Ask,
};

/// Tells who comes to a room and who leaves.
pub(crate) fn comings(router: &Router, room: &Name) -> Result<Subscription<Change>, ChatError> {
    Ok(router.subscribe(format!("{}/{room}/*", Ask::PREFIX))?)
}

#[derive(Debug)]
pub(crate) struct Guests {
    router: Router,
    comings: Subscription<Change>,
    there: BTreeSet<String>,
}

impl Guests {
    pub(crate) fn new(router: &Router, room: &Name) -> Result<Self, ChatError> {
        let mut guests = Self {
            router: router.clone(),
            comings: comings(router, room)?,
            there: BTreeSet::new(),
        };
        guests.look();
        Ok(guests)
    }

    /// Who is there now.
    pub(crate) fn list(&mut self) -> Vec<String> {
        loop {
            match self.comings.try_recv() {
                Ok(Some(change)) => {
                    let user = user_of(change.topic());
                    match change.kind() {
                        ChangeKind::Served => _ = self.there.insert(user.to_owned()),
                        ChangeKind::Unserved => _ = self.there.remove(user),
                        _ => {}
                    }
                }
                Err(RecvError::Missed(_)) => self.look(),
                Ok(None) | Err(_) => return self.there.iter().cloned().collect(),
            }
        }
    }

    /// Lists all who are there.
    fn look(&mut self) {
        let room = self.comings.pattern();
        let servers = self.router.servers();
        let names = servers.iter().map(|server| &server.topic);
        let seats = names.filter(|name| name.meets(room));
        self.there = seats.map(|seat| user_of(seat).to_owned()).collect();
    }
}
