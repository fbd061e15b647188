//! What a hub passes on between its links.
//!
//! The links that a router has accepted are a star with the router in the middle. Each link is told
//! the subscriptions and the served topics of the others. Its messages and requests go on to those,
//! and the answers come back. The relay reads names and never payloads, so types that the program
//! of the hub does not carry travel too.
//!
//! - **A message goes once to each other link** and never back. One subscription at a link stands
//!   for a pattern of the others; what comes for it goes to exactly the subscriptions with this
//!   pattern, and gaps do too. So each subscription has its own count.
//! - **A slow link holds up nobody.** What it has no room or no credit for is a gap there.
//! - **A request** is taken from the caller's link and sent to the link that claimed the topic
//!   first, without the caller's own. It has an id of each link. The loss of the server's link ends
//!   it at once; the loss of the caller's link cancels it. It is never sent a second time.
//! - **There are no circles.** What came over a link that this router itself has connected is not
//!   passed on, and nothing is passed on into such a link. So each path has one hub.
//!
//! [`Relay`] has no socket and no clock. [`Sessions`] is all that it needs of the driver.

mod messages;
mod requests;
mod topics;
mod untold;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use self::untold::Untold;
use super::{LinkId, access::Owner, calls::Incoming, routers::Routers};
use crate::{
    link::{
        session::{Outcome, Publication, Rejected, Replica, Session},
        wire::GoodbyeReason,
    },
    topic::{Pattern, Topic},
};

/// The open sessions of the links.
pub(super) trait Sessions {
    fn session(&mut self, link: LinkId) -> Option<&mut Session>;

    /// Returns whether the rules let a link be told a name.
    fn may_be_told(&self, link: LinkId, name: &Name) -> bool;

    /// Returns whether more bytes may wait for the peer of a link, over all its links.
    fn has_queue_room(&mut self, link: LinkId) -> bool;

    /// Forgets a claim of a link that was refused.
    fn forget_claim(&mut self, link: LinkId, claim: u32);
}

/// What an accepted link brings for others.
pub(super) enum FromLink {
    Opened {
        router: u128,
        owner: Option<Owner>,
    },
    /// It has told what it had.
    Synced,
    Subscribe {
        id: u32,
        pattern: Pattern,
    },
    Unsubscribe(u32),
    Message {
        to: Vec<u32>,
        publication: Publication,
    },
    Gap {
        id: u32,
        missed: u64,
    },
    Serve {
        id: u32,
        topic: Topic,
        /// Whether it may stand by, if it has no answer yet.
        unanswered: Option<bool>,
    },
    Leave(u32),
    /// A request without a server in this process.
    Request(Incoming),
    Withdrawn(u64),
    Ended {
        request: u64,
        outcome: Outcome,
    },
    /// A change of a retained message.
    Retained(Replica),
    /// A message for which there was no room to retain it.
    NotRetained(Publication),
    Closed {
        /// Nothing is missing of what it had to send.
        is_complete: bool,
    },
}

/// What a link has brought for others. Nothing if this router has connected it.
#[derive(Default)]
pub(super) struct ForOthers {
    is_accepted: bool,
    /// It was told what others had when it opened.
    is_told: bool,
    waiting: Vec<FromLink>,
}

impl ForOthers {
    pub(super) fn of_accepted() -> Self {
        Self {
            is_accepted: true,
            is_told: false,
            waiting: Vec::new(),
        }
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    pub(super) fn is_told(&self) -> bool {
        self.is_told || !self.is_accepted
    }

    pub(super) fn mark_told(&mut self) {
        self.is_told = true;
    }

    pub(super) fn push(&mut self, one: FromLink) {
        if self.is_accepted {
            self.waiting.push(one);
        }
    }

    pub(super) fn take(&mut self) -> Vec<FromLink> {
        std::mem::take(&mut self.waiting)
    }
}

#[derive(Default)]
pub(super) struct Relay {
    sides: BTreeMap<LinkId, Side>,
    routers: Routers,
    /// The subscriptions of all links, by their patterns.
    patterns: Holders<Pattern>,
    /// The claims of all links, by their topics, in the order in which they came.
    topics: Holders<Topic>,
    /// The links with something to tell or to send.
    touched: BTreeSet<LinkId>,
}

/// One link.
#[derive(Default)]
struct Side {
    /// The number of its router, or 0, and whose connection it is. Others may know the number.
    router: u128,
    owner: Option<Owner>,
    /// It has told something of its own.
    has_told: bool,
    subscriptions: HashMap<u32, Pattern>,
    claims: HashMap<u32, Topic>,
    /// What it may have to be told: the names that have changed. Each is told, or others have it:
    /// so a link that answers nothing has no more of them than there are.
    untold: Untold,
    /// What it had no room for. It is told when the link has room again.
    rejected_patterns: Untold,
    rejected_topics: Untold,
    /// What it was told, with the numbers of this end.
    told_patterns: HashMap<Pattern, u32>,
    told_by_id: HashMap<u32, Pattern>,
    told_topics: HashMap<Topic, u32>,
    /// Its requests at other links: where, and the id there.
    received: HashMap<u64, (LinkId, u64)>,
    /// The requests of other links at this one: whose, and the id there.
    asked: HashMap<u64, (LinkId, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Pattern(Pattern),
    Topic(Topic),
}

impl Relay {
    /// Passes on what a link brought.
    pub(super) fn pass_on(
        &mut self,
        sessions: &mut impl Sessions,
        now: Instant,
        from: LinkId,
        what: FromLink,
    ) {
        if !matches!(what, FromLink::Opened { .. } | FromLink::Closed { .. }) {
            self.replace_former(sessions, now, from);
        }
        match what {
            FromLink::Opened { router, owner } => self.open(from, router, owner),
            // The driver passes on changes of retained messages.
            FromLink::Synced | FromLink::Retained { .. } | FromLink::NotRetained(_) => {}
            FromLink::Subscribe { id, pattern } => self.on_subscribe(from, id, pattern),
            FromLink::Unsubscribe(id) => self.on_unsubscribe(from, id),
            FromLink::Message { to, publication } => {
                self.on_message(sessions, from, &to, &publication);
            }
            FromLink::Gap { id, missed } => self.on_gap(sessions, from, id, missed),
            FromLink::Serve {
                id,
                topic,
                unanswered,
            } => self.on_serve(sessions, from, (id, topic), unanswered),
            FromLink::Leave(id) => self.on_leave(sessions, from, id),
            FromLink::Request(incoming) => self.on_request(sessions, now, from, &incoming),
            FromLink::Withdrawn(request) => self.on_withdrawn(sessions, from, request),
            FromLink::Ended { request, outcome } => {
                self.on_ended(sessions, from, request, outcome);
            }
            FromLink::Closed { is_complete } => {
                if !is_complete {
                    self.interrupt(sessions, from);
                }
                self.close(sessions, from);
            }
        }
    }

    /// Adds a link, which is to be told all that there is.
    fn open(&mut self, link: LinkId, router: u128, owner: Option<Owner>) {
        let patterns = self.patterns.keys().cloned().map(Name::Pattern);
        let topics = self.topics.keys().cloned().map(Name::Topic);
        let mut side = Side {
            router,
            owner,
            ..Side::default()
        };
        for name in patterns.chain(topics) {
            side.untold.insert(&name);
        }
        self.routers.insert(router, link);
        self.sides.insert(link, side);
        self.touched.insert(link);
    }

    /// The first that a link tells: so its router uses it, and a former link of this router is
    /// lost there. Here it may look alive for a while.
    fn replace_former(&mut self, sessions: &mut impl Sessions, now: Instant, link: LinkId) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        if std::mem::replace(&mut side.has_told, true) || side.router == 0 {
            return;
        }
        let (router, owner) = (side.router, side.owner.clone());
        for other in self.routers.links(router) {
            let is_of_owner = self.sides.get(&other).is_some_and(|it| it.owner == owner);
            if other == link || !is_of_owner {
                continue;
            }
            if let Some(session) = sessions.session(other) {
                let text = "the router has made another link";
                session.close(now, GoodbyeReason::Done, text);
                self.touched.insert(other);
            }
        }
    }

    /// Removes a link, with all that it had. Its requests were withdrawn before, and those that
    /// others made have ended.
    fn close(&mut self, sessions: &mut impl Sessions, link: LinkId) {
        self.routers.remove(link);
        if self.sides.get(&link).is_none_or(|side| !side.has_told) {
            // It would have stood by, and has told nothing.
            self.sides.remove(&link);
            return;
        }
        self.end_claims(sessions, link);
        let Some(side) = self.sides.get(&link) else {
            return;
        };
        for id in side.subscriptions.keys().copied().collect::<Vec<_>>() {
            self.on_unsubscribe(link, id);
        }
        self.sides.remove(&link);
    }

    /// Returns whether a link was told all that others had when it opened.
    pub(super) fn is_told(&self, link: LinkId) -> bool {
        let side = self.sides.get(&link);
        side.is_some_and(|side| side.untold.is_empty())
    }

    /// Returns a link that has something to tell or to send.
    pub(super) fn next_touched(&mut self) -> Option<LinkId> {
        self.touched.pop_first()
    }

    /// Tells a link what has changed at others, as far as its session has room.
    pub(super) fn tell(&mut self, sessions: &mut impl Sessions, link: LinkId) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        while let Some(name) = side.untold.first().cloned() {
            let is_wanted = is_wanted(&self.patterns, &self.topics, &name, link)
                && sessions.may_be_told(link, &name);
            let Some(session) = sessions.session(link) else {
                return;
            };
            let told = match &name {
                Name::Pattern(pattern) => side.tell_pattern(session, pattern, is_wanted),
                Name::Topic(topic) => side.tell_topic(session, topic, is_wanted),
            };
            match told {
                Err(Rejected::Full) => break,
                Err(Rejected::Quota(_)) => side.rejected(&name).insert(&name),
                Ok(()) | Err(_) => {}
            }
            side.untold.remove(&name);
        }
    }

    /// A link that had no room for all names may have some now: so it is told further ones.
    pub(super) fn tell_rejected(&mut self, sessions: &mut impl Sessions, link: LinkId) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        if side.rejected_patterns.is_empty() && side.rejected_topics.is_empty() {
            return;
        }
        let Some(session) = sessions.session(link) else {
            return;
        };
        for (rejected, room) in [
            (&mut side.rejected_patterns, session.subscription_room()),
            (&mut side.rejected_topics, session.claim_room()),
        ] {
            for _ in 0..room {
                let Some(name) = rejected.first().cloned() else {
                    break;
                };
                rejected.remove(&name);
                side.untold.insert(&name);
                self.touched.insert(link);
            }
        }
    }

    /// The rules of a link change: looks again at all names.
    pub(super) fn review(&mut self, link: LinkId) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        (side.rejected_patterns, side.rejected_topics) = Default::default();
        let patterns = self.patterns.keys().cloned().map(Name::Pattern);
        let topics = self.topics.keys().cloned().map(Name::Topic);
        for name in patterns.chain(topics) {
            side.untold.insert(&name);
        }
    }

    /// Notes that a link has got a name, or has it no more, which the others are to be told.
    fn changed(&mut self, link: LinkId, name: &Name) {
        let mut holders = holders(&self.patterns, &self.topics, name);
        let mut next_other = |than| holders.find(|it| *it != link && Some(*it) != than);
        let first = next_other(None);
        if first.is_some() && next_other(first).is_some() {
            return; // each has it of one of these two in any case
        }
        for (other, side) in &mut self.sides {
            if *other == link {
                continue;
            }
            let is_wanted = is_wanted(&self.patterns, &self.topics, name, *other);
            if is_wanted == side.is_told(name) {
                side.untold.remove(name);
                side.rejected(name).remove(name);
            } else if !side.rejected(name).contains(name) {
                side.untold.insert(name);
            }
            self.touched.insert(*other);
        }
    }
}

impl Side {
    /// Returns the names of this kind that the link had no room for.
    fn rejected(&mut self, name: &Name) -> &mut Untold {
        match name {
            Name::Pattern(_) => &mut self.rejected_patterns,
            Name::Topic(_) => &mut self.rejected_topics,
        }
    }

    /// Returns whether the link knows that others have a name.
    fn is_told(&self, name: &Name) -> bool {
        match name {
            Name::Pattern(pattern) => self.told_patterns.contains_key(pattern),
            Name::Topic(topic) => self.told_topics.contains_key(topic),
        }
    }
}

type Holders<K> = HashMap<K, Vec<(LinkId, u32)>>;

/// Returns the links that have a name.
fn holders<'a>(
    patterns: &'a Holders<Pattern>,
    topics: &'a Holders<Topic>,
    name: &Name,
) -> impl Iterator<Item = LinkId> + 'a {
    let holders = match name {
        Name::Pattern(pattern) => patterns.get(pattern),
        Name::Topic(topic) => topics.get(topic),
    };
    holders.into_iter().flatten().map(|(holder, _)| *holder)
}

/// Returns whether a link other than this one has a name.
fn is_wanted(
    patterns: &Holders<Pattern>,
    topics: &Holders<Topic>,
    name: &Name,
    link: LinkId,
) -> bool {
    holders(patterns, topics, name).any(|holder| holder != link)
}

/// Removes one entry of a link from a map of names.
fn remove<K: std::hash::Hash + Eq>(map: &mut Holders<K>, name: &K, entry: (LinkId, u32)) {
    if let Some(entries) = map.get_mut(name) {
        entries.retain(|it| *it != entry);
        if entries.is_empty() {
            map.remove(name);
        }
    }
}
