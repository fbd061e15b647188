//! What this process has for the routers at the other ends of its links.

use std::{
    collections::{HashMap, HashSet},
    task::{Context, Poll},
};

use super::{Driver, Shared, wake::Key};
use crate::{
    link::sockets::names::full,
    publish::RecvError,
    topic::{Pattern, Topic, full_name::full_name},
};

#[derive(Default, PartialEq, Eq)]
pub(super) struct Local {
    /// The patterns of its subscriptions by their full names: each has the number of its type, and
    /// its name there.
    pub(super) patterns: HashMap<Pattern, (usize, Pattern)>,
    /// The full names of the topics that have a server in this process.
    pub(super) topics: HashSet<Topic>,
}

impl Shared {
    /// Looks what this process has now. Returns whether that has changed.
    pub(super) fn look_at_local(&mut self) -> bool {
        let mut local = Local::default();
        for (nth, messages) in self.messages.iter().enumerate() {
            for own in messages.local_patterns() {
                let full = full_name(messages.prefix(), &own);
                local.patterns.insert(full, (nth, own));
            }
        }
        for requests in &self.requests {
            let topics = requests.local_topics();
            let full = topics.iter().filter_map(|own| full(requests.prefix(), own));
            local.topics.extend(full);
        }
        let has_changed = local != self.local;
        self.local = local;
        has_changed
    }
}

impl Driver {
    /// Takes all changes of subscriptions and servers, and does what follows.
    pub(super) fn look_for_changes(&mut self) {
        self.note_changes();
        self.pump_touched();
    }

    /// Takes all changes of subscriptions and servers. The links look what is there now, if that is
    /// something else than before: most changes are made by links, and are of no concern to them.
    pub(super) fn note_changes(&mut self) {
        let waker = self.shared.wakes.waker(Key::Changes);
        let mut cx = Context::from_waker(&waker);
        let mut has_changed = false;
        while let Poll::Ready(Ok(_) | Err(RecvError::Missed(_) | RecvError::Interrupted)) =
            self.changes.poll_recv(&mut cx)
        {
            has_changed = true;
        }
        if !has_changed {
            return;
        }
        let is_for_all = self.shared.look_at_local();
        for (id, peer) in &mut self.links {
            if is_for_all || peer.has_standbys() {
                peer.look_at_interest();
                self.touched.insert(*id);
            }
        }
    }
}
