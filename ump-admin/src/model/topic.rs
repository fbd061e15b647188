//! What a router has: subscriptions, servers, retained messages, and all of them by topic.

use std::collections::BTreeMap;

use serde::Serialize;
use ump::Stats;
use ump_router::{
    RetainedStatus, Router, ServerStatus, SubscriptionOwner, SubscriptionStatus, WhenFull,
};

/// All that a router has, each list by topic or pattern.
#[derive(Debug, Default)]
pub(crate) struct RouterState {
    pub(crate) topics: Vec<Topic>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) servers: Vec<TopicServer>,
    pub(crate) retained: Vec<Retained>,
}

/// A topic or pattern, with the sums of what is there. A subscription of several patterns counts
/// for each.
#[expect(clippy::struct_field_names, reason = "as in JSON")]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Topic {
    pub(crate) topic: String,
    pub(crate) type_name: &'static str,
    pub(crate) subscriptions: usize,
    pub(crate) depth: usize,
    pub(crate) queued: u64,
    pub(crate) missed: u64,
    pub(crate) servers: usize,
    pub(crate) is_retained: bool,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Subscription {
    pub(crate) patterns: Vec<String>,
    pub(crate) type_name: &'static str,
    pub(crate) owner: String,
    pub(crate) group: Option<String>,
    pub(crate) members: usize,
    pub(crate) capacity: usize,
    pub(crate) when_full: String,
    pub(crate) backlog: usize,
    pub(crate) depth: usize,
    pub(crate) queued: u64,
    pub(crate) missed: u64,
}

/// The server of a topic, or a standby.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TopicServer {
    pub(crate) topic: String,
    pub(crate) type_name: &'static str,
    pub(crate) is_standby: bool,
    pub(crate) capacity: Option<usize>,
    pub(crate) requests: Stats,
}

/// A topic with a retained message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Retained {
    pub(crate) topic: String,
    pub(crate) type_name: &'static str,
    pub(crate) expires_in_s: Option<f64>,
}

impl RouterState {
    pub(crate) fn read(router: &Router) -> Self {
        let mut all = Self {
            topics: Vec::new(),
            subscriptions: router.subscriptions().into_iter().map(Into::into).collect(),
            servers: router.servers().into_iter().map(Into::into).collect(),
            retained: router.retained().into_iter().map(Into::into).collect(),
        };
        all.subscriptions
            .sort_by(|a, b| a.patterns.cmp(&b.patterns));
        // Stable: the servers of a topic are in the order in which they serve.
        all.servers.sort_by(|a, b| a.topic.cmp(&b.topic));
        all.retained.sort_by(|a, b| a.topic.cmp(&b.topic));
        all.topics = all.by_topic();
        all
    }

    /// Returns whether all topics are the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.topics == other.topics
    }

    fn by_topic(&self) -> Vec<Topic> {
        let mut topics = BTreeMap::<(&str, &'static str), Topic>::new();
        for subscription in &self.subscriptions {
            for pattern in &subscription.patterns {
                let topic = topics.entry((pattern, subscription.type_name)).or_default();
                topic.subscriptions += subscription.members;
                topic.depth += subscription.depth + subscription.backlog;
                topic.queued += subscription.queued;
                topic.missed += subscription.missed;
            }
        }
        for server in &self.servers {
            topics
                .entry((&server.topic, server.type_name))
                .or_default()
                .servers += 1;
        }
        for retained in &self.retained {
            topics
                .entry((&retained.topic, retained.type_name))
                .or_default()
                .is_retained = true;
        }
        let named = |((name, type_name), topic): ((&str, _), _)| Topic {
            topic: name.to_owned(),
            type_name,
            ..topic
        };
        topics.into_iter().map(named).collect()
    }
}

impl From<SubscriptionStatus> for Subscription {
    fn from(status: SubscriptionStatus) -> Self {
        let patterns = status.patterns.iter();
        Self {
            patterns: patterns.map(ToString::to_string).collect(),
            type_name: status.type_name,
            owner: owner(&status.owner),
            group: status.group.map(|group| group.to_string()),
            members: status.members,
            capacity: status.capacity,
            when_full: when_full(status.when_full),
            backlog: status.backlog,
            depth: status.depth,
            queued: status.queued,
            missed: status.missed,
        }
    }
}

fn owner(owner: &SubscriptionOwner) -> String {
    match owner {
        SubscriptionOwner::Program => "program".to_owned(),
        SubscriptionOwner::Link(name) => format!("link {name}"),
        SubscriptionOwner::Links => "links".to_owned(),
        _ => "other".to_owned(),
    }
}

fn when_full(policy: WhenFull) -> String {
    match policy {
        WhenFull::Block(limit) => return format!("block {limit:?}"),
        WhenFull::DropOldest => "drop_oldest",
        WhenFull::DropNewest => "drop_newest",
        WhenFull::Latest => "latest",
        WhenFull::Disconnect => "disconnect",
        _ => "other",
    }
    .to_owned()
}

impl From<ServerStatus> for TopicServer {
    fn from(status: ServerStatus) -> Self {
        Self {
            topic: status.topic.to_string(),
            type_name: status.type_name,
            is_standby: status.is_standby,
            capacity: status.capacity,
            requests: status.requests,
        }
    }
}

impl From<RetainedStatus> for Retained {
    fn from(status: RetainedStatus) -> Self {
        Self {
            topic: status.topic.to_string(),
            type_name: status.type_name,
            expires_in_s: status.expires_in.map(|time| time.as_secs_f64()),
        }
    }
}
