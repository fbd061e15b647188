//! What this process has for the routers at the other ends of its links.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::{HashMap, HashSet},
    task::{Context, Poll},
};

use super::{Driver, Shared, wake::Key};
use crate::{
    link::sockets::names::full,
    presence::Change,
    publish::{RecvError, Subscription},
    topic::{Pattern, Topic, full_name::full_name},
};

pub(super) struct Local {
    changes: RefCell<Subscription<Change>>,
    names: RefCell<Names>,
    news: Cell<News>,
}

#[derive(Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The patterns of its subscriptions by their full names: each has the number of its type, and
    /// its name there.
    pub(super) patterns: HashMap<Pattern, (usize, Pattern)>,
    /// The full names of the topics that have a server in this process.
    pub(super) topics: HashSet<Topic>,
}

/// What the links have not been told to look at.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    #[default]
    None,
    /// Something has changed, but not the names: claims that stand by may serve now.
    ForStandbys,
    /// The names.
    ForAll,
}

impl Local {
    /// Knows nothing before it is [looked at](Shared::look_at_local).
    pub(super) fn new(changes: Subscription<Change>) -> Self {
        Self {
            changes: RefCell::new(changes),
            names: RefCell::default(),
            news: Cell::default(),
        }
    }

    pub(super) fn names(&self) -> Ref<'_, Names> {
        self.names.borrow()
    }

    /// Returns whether there are changes that were not noted.
    pub(super) fn has_changed(&self) -> bool {
        !self.changes.borrow().is_empty()
    }
}

impl Shared {
    /// Looks what this process has now. Returns whether that has changed.
    pub(super) fn look_at_local(&self) -> bool {
        let mut names = Names::default();
        for (nth, messages) in self.messages.iter().enumerate() {
            for own in messages.local_patterns() {
                let full = full_name(messages.prefix(), &own);
                names.patterns.insert(full, (nth, own));
            }
        }
        for requests in &self.requests {
            let topics = requests.local_topics();
            let full = topics.iter().filter_map(|own| full(requests.prefix(), own));
            names.topics.extend(full);
        }
        let has_changed = names != *self.local.names.borrow();
        self.local.names.replace(names);
        has_changed
    }

    /// Takes all changes of subscriptions and servers. The links look what is there now, if that is
    /// something else than before: most changes are made by links, and are of no concern to them.
    pub(super) fn note_changes(&self) {
        let waker = self.wakes.waker(Key::Changes);
        let mut cx = Context::from_waker(&waker);
        let mut changes = self.local.changes.borrow_mut();
        let mut has_changed = false;
        while let Poll::Ready(Ok(_) | Err(RecvError::Missed(_) | RecvError::Interrupted)) =
            changes.poll_recv(&mut cx)
        {
            has_changed = true;
        }
        if has_changed {
            let news = if self.look_at_local() {
                News::ForAll
            } else {
                News::ForStandbys
            };
            self.local.news.set(news.max(self.local.news.get()));
        }
    }
}

impl Driver {
    /// Takes all changes of subscriptions and servers, and does what follows.
    pub(super) fn look_for_changes(&mut self) {
        self.shared.note_changes();
        self.spread_news();
        self.pump_touched();
    }

    /// Lets the links look at the changes that were noted.
    pub(super) fn spread_news(&mut self) {
        let news = self.shared.local.news.take();
        if news == News::None {
            return;
        }
        for (id, peer) in &mut self.links {
            if news == News::ForAll || peer.has_standbys() {
                peer.look_at_interest();
                self.touched.insert(*id);
            }
        }
    }
}
