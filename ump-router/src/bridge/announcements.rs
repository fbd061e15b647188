//! What this process has, for others.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};

use super::types::Types;
use crate::{
    error::Error,
    link::sockets::{
        carried::{Carried, CarriedMessages, CarriedRequests},
        names::full,
    },
    presence::Change,
    publish::{QueueOwner, RecvError, SubscribeOptions, Subscription, SubscriptionOwner},
    router::Router,
    topic::{Pattern, Topic, full_name::full_name},
};

/// What the program subscribes to and serves, of the types that travel, and what changes. From
/// [`Bridge::announcements`](super::Bridge::announcements).
///
/// The subscriptions and servers of bridges and links are not among it.
pub struct Announcements {
    types: Types,
    messages: Vec<Arc<dyn CarriedMessages>>,
    requests: Vec<Arc<dyn CarriedRequests>>,
    changes: Subscription<Change>,
    told: Told,
    waiting: VecDeque<Announced>,
    has_ended: bool,
}

#[derive(Default)]
struct Told {
    patterns: HashSet<Pattern>,
    topics: HashSet<Topic>,
}

/// A change of what this process has. Names are full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Announced {
    /// There are subscriptions with this pattern now.
    Subscribed(Pattern),
    /// There are none with this pattern any more.
    Unsubscribed(Pattern),
    /// The topic has a server or a standby in this process now.
    Claimed(Topic),
    /// It has none any more.
    Released(Topic),
}

impl Announcements {
    pub(super) fn open(router: &Router) -> Result<Self, Error> {
        let all = "**".parse::<Pattern>()?;
        let bus = router.parts().0.bus()?;
        let owner = QueueOwner::One(SubscriptionOwner::Links);
        let changes = Subscription::open(bus, vec![all], SubscribeOptions::new(), owner)?;
        Ok(Self {
            types: Types::new(router),
            messages: Vec::new(),
            requests: Vec::new(),
            changes,
            told: Told::default(),
            waiting: VecDeque::new(),
            has_ended: false,
        })
    }

    /// Returns the next change. The first ones are all that there is. `None` once the router was
    /// closed.
    ///
    /// It leaves out a pattern or topic that came and went since the last poll. It returns each
    /// pattern and each topic once, however many subscriptions and standbys have it. Ends come
    /// first.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Announced>> {
        if let Some(next) = self.waiting.pop_front() {
            return Poll::Ready(Some(next));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        // First the changes that there were, then what there is: nothing is lost between.
        let has_changed = self.take_changes(cx);
        if self.carry(cx) | has_changed {
            self.look();
        }
        match self.waiting.pop_front() {
            Some(next) => Poll::Ready(Some(next)),
            None if self.has_ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Takes all changes of subscriptions and servers. Returns whether there was one.
    fn take_changes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_changed = false;
        loop {
            match self.changes.poll_recv(cx) {
                Poll::Ready(Ok(_) | Err(RecvError::Missed(_) | RecvError::Interrupted)) => {
                    has_changed = true;
                }
                Poll::Ready(Err(_)) => {
                    self.has_ended = true;
                    return true;
                }
                Poll::Pending => return has_changed,
            }
        }
    }

    /// Adds the types that travel since it was polled last. Returns whether there was one.
    fn carry(&mut self, cx: &mut Context<'_>) -> bool {
        let new = self.types.poll_new(cx);
        let any = !new.is_empty();
        for carried in new {
            match carried {
                Carried::Messages(messages) => self.messages.push(messages),
                Carried::Requests(requests) => self.requests.push(requests),
            }
        }
        any
    }

    /// Compares what there is with what was told.
    fn look(&mut self) {
        let mut patterns = HashSet::new();
        for messages in &self.messages {
            let own = messages.local_patterns();
            patterns.extend(own.iter().map(|own| full_name(messages.prefix(), own)));
        }
        let mut topics = HashSet::new();
        for requests in &self.requests {
            let own = requests.claimed_topics();
            topics.extend(own.iter().filter_map(|own| full(requests.prefix(), own)));
        }
        let (ended, begun) = replace(&mut self.told.topics, topics);
        self.waiting.extend(ended.map(Announced::Released));
        let new_topics: Vec<_> = begun.collect();
        let (ended, begun) = replace(&mut self.told.patterns, patterns);
        self.waiting.extend(ended.map(Announced::Unsubscribed));
        self.waiting.extend(begun.map(Announced::Subscribed));
        let begun = new_topics.into_iter();
        self.waiting.extend(begun.map(Announced::Claimed));
    }
}

/// Replaces a set. Returns what is only in the former one, and what is only in the new one.
fn replace<T: Clone + Eq + Hash>(
    set: &mut HashSet<T>,
    new: HashSet<T>,
) -> (
    impl Iterator<Item = T> + use<T>,
    impl Iterator<Item = T> + use<T>,
) {
    let former = std::mem::replace(set, new);
    let begun: Vec<_> = set.difference(&former).cloned().collect();
    let ended: Vec<_> = former.difference(set).cloned().collect();
    (ended.into_iter(), begun.into_iter())
}

impl fmt::Debug for Announcements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcements").finish_non_exhaustive()
    }
}
