//! What the peer of a link may do, and what it has.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
};

pub(super) use super::super::access::Owner;
use super::super::access::{Identity, Permission, Quota, Quotas, Rules};
use crate::{
    link::wire::{Failure, GoodbyeReason, Status},
    sync::Mutex,
    topic::Pattern,
};

/// The router tells a peer for so many topics that it may not publish on them.
const MAX_DENIED: usize = 64;

/// Why an operation of a peer is refused. Each text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Denied(String),
    Quota(String),
}

impl Refusal {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Denied(_) => Status::Denied,
            Self::Quota(_) => Status::Quota,
        }
    }

    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Denied(_) => Failure::Denied,
            Self::Quota(_) => Failure::Full,
        }
    }

    pub(super) fn reason(&self) -> GoodbyeReason {
        match self {
            Self::Denied(_) => GoodbyeReason::Denied,
            Self::Quota(_) => GoodbyeReason::Limit,
        }
    }

    /// Returns the explanation.
    pub(super) fn text(&self) -> &str {
        let (Self::Denied(text) | Self::Quota(text)) = self;
        text
    }
}

/// What a peer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) connections: usize,
    pub(super) subscriptions: usize,
    pub(super) served_topics: usize,
    pub(super) pending_requests: usize,
    pub(super) queued_bytes: usize,
}

impl Usage {
    fn of(&self, quota: Quota) -> usize {
        match quota {
            Quota::Connections => self.connections,
            Quota::Subscriptions => self.subscriptions,
            Quota::ServedTopics => self.served_topics,
            Quota::PendingRequests => self.pending_requests,
            Quota::QueuedBytes => self.queued_bytes,
            // The table of retained messages counts them, also those of former links.
            Quota::RetainedMessages => 0,
        }
    }

    /// Replaces what one link had by what it has.
    fn replace(&mut self, had: Self, has: Self) {
        let change = |total: &mut usize, had: usize, has: usize| *total = *total - had + has;
        change(&mut self.connections, had.connections, has.connections);
        change(
            &mut self.subscriptions,
            had.subscriptions,
            has.subscriptions,
        );
        change(
            &mut self.served_topics,
            had.served_topics,
            has.served_topics,
        );
        change(
            &mut self.pending_requests,
            had.pending_requests,
            has.pending_requests,
        );
        change(&mut self.queued_bytes, had.queued_bytes, has.queued_bytes);
    }
}

/// What the peers of all links have, each over all its connections.
#[derive(Default)]
pub(super) struct Usages(Mutex<HashMap<Owner, Weak<Mutex<Usage>>>>);

impl Usages {
    fn of(&self, identity: &Identity) -> Arc<Mutex<Usage>> {
        let mut all = self.0.lock();
        let owner = identity.owner();
        if let Some(usage) = all.get(&owner).and_then(Weak::upgrade) {
            return usage;
        }
        all.retain(|_, usage| usage.strong_count() > 0);
        let usage = Arc::default();
        all.insert(owner, Arc::downgrade(&usage));
        usage
    }
}

/// The identity of the peer of a link, once it is known, with its rights and what it has.
pub(super) struct Access {
    rules: Arc<Rules>,
    peer: Option<Known>,
    /// The topics of messages of which the peer was told that it may not publish them.
    denied: HashSet<Pattern>,
}

struct Known {
    identity: Identity,
    quotas: Quotas,
    /// What this link has.
    own: Usage,
    /// What all links of the peer have.
    all: Arc<Mutex<Usage>>,
}

impl Access {
    /// Returns whose connection it is, once that is known.
    pub(super) fn owner(&self) -> Option<Owner> {
        self.peer.as_ref().map(|peer| peer.identity.owner())
    }

    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            peer: None,
            denied: HashSet::new(),
        }
    }

    /// The peer is known. From here on it counts as a connection, if it is admitted.
    pub(super) fn authenticate(
        &mut self,
        identity: Identity,
        usages: &Usages,
    ) -> Result<(), Refusal> {
        self.rules.admit(&identity).map_err(Refusal::Denied)?;
        let quotas = self.rules.quotas_of(&identity);
        let all = usages.of(&identity);
        let known = Known {
            identity,
            quotas,
            own: Usage::default(),
            all,
        };
        known.has_room(Quota::Connections)?;
        self.peer = Some(known);
        self.count(Usage {
            connections: 1,
            ..Usage::default()
        });
        Ok(())
    }

    /// Returns who the peer is, once that is known.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.peer.as_ref().map(|peer| &peer.identity)
    }

    /// Returns whether the peer is authenticated.
    pub(super) fn is_known(&self) -> bool {
        self.peer.is_some()
    }

    /// The connection is over.
    pub(super) fn disconnected(&mut self) {
        self.count(Usage::default());
        self.peer = None;
        self.denied.clear();
    }

    /// Returns whether the peer is to be told that it may not publish on this topic.
    pub(super) fn is_new_denial(&mut self, topic: &Pattern) -> bool {
        self.denied.len() < MAX_DENIED && self.denied.insert(topic.clone())
    }

    /// Sets other rules. Fails if the peer is not admitted any more.
    pub(super) fn set_rules(&mut self, rules: Arc<Rules>) -> Result<(), Refusal> {
        self.rules = rules;
        self.denied.clear();
        let Some(peer) = &mut self.peer else {
            return Ok(());
        };
        peer.quotas = self.rules.quotas_of(&peer.identity);
        self.rules.admit(&peer.identity).map_err(Refusal::Denied)
    }

    /// Checks the rules.
    pub(super) fn check(&self, permission: Permission, pattern: &Pattern) -> Result<(), Refusal> {
        match &self.peer {
            Some(peer) => {
                let checked = self.rules.check(&peer.identity, permission, pattern);
                checked.map_err(Refusal::Denied)
            }
            None => Err(Refusal::Denied("the peer is not known yet".to_owned())),
        }
    }

    /// Returns whether the peer may do something on some topics within a pattern.
    pub(super) fn may_within(&self, permission: Permission, pattern: &Pattern) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|it| self.rules.may_within(&it.identity, permission, pattern))
    }

    /// Checks the rules, and a quota.
    pub(super) fn admit(
        &self,
        permission: Permission,
        pattern: &Pattern,
        quota: Quota,
    ) -> Result<(), Refusal> {
        self.check(permission, pattern)?;
        self.has_room(quota)
    }

    /// Checks a quota.
    pub(super) fn has_room(&self, quota: Quota) -> Result<(), Refusal> {
        match &self.peer {
            Some(peer) => peer.has_room(quota),
            None => Ok(()),
        }
    }

    /// Returns the maximum of a quota of the peer.
    pub(super) fn limit(&self, quota: Quota) -> usize {
        let peer = self.peer.as_ref();
        peer.map_or(usize::MAX, |peer| peer.quotas.of(quota))
    }

    /// Returns the maximum bytes that may wait to be sent to the peer.
    pub(super) fn max_queued_bytes(&self) -> usize {
        let peer = self.peer.as_ref();
        peer.map_or(usize::MAX, |peer| peer.quotas.queued_bytes)
    }

    /// Returns whether the peer has a quota of this.
    pub(super) fn limits(&self, quota: Quota) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|peer| peer.quotas.of(quota) != usize::MAX)
    }

    /// Returns what the link had when it was counted.
    pub(super) fn usage(&self) -> Usage {
        self.peer
            .as_ref()
            .map_or_else(Usage::default, |peer| peer.own)
    }

    /// Counts what the link has now.
    pub(super) fn count(&mut self, has: Usage) {
        let Some(peer) = &mut self.peer else {
            return;
        };
        if peer.own != has {
            peer.all.lock().replace(peer.own, has);
            peer.own = has;
        }
    }
}

impl Known {
    fn has_room(&self, quota: Quota) -> Result<(), Refusal> {
        let limit = self.quotas.of(quota);
        if limit == usize::MAX || self.all.lock().of(quota) < limit {
            return Ok(());
        }
        let text = format!(
            "the quota of {quota} of {} is used up: {limit}",
            self.identity
        );
        Err(Refusal::Quota(text))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.count(Usage::default());
    }
}
