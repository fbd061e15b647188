//! Groups of components that are supervised together.

use crate::Restart;

/// The handlers that are rebuilt when a handler fails, in addition to that of the failed worker.
///
/// A component has [instances](crate::system::Attributes::instances), and an instance has
/// [workers](crate::system::Attributes::workers).
///
/// | | other workers and instances of its component | components started before it | components started after it |
/// |---|---|---|---|
/// | `OneForOne` | continue | continue | continue |
/// | `RestForOne` | continue | continue | are rebuilt |
/// | `OneForAll` | are rebuilt | are rebuilt | are rebuilt |
///
/// Only members of the group are affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Strategy {
    /// Rebuilds no other handler: the members do not depend on each other.
    #[default]
    OneForOne,
    /// Rebuilds the components that are started after the failed one, because they depend on its
    /// state. Other instances and workers of the failed component have a state of their own, and
    /// keep it.
    RestForOne,
    /// Rebuilds all members: their states belong together.
    OneForAll,
}

/// The extent of the stop when a group has failed too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Escalation {
    /// Stops the group. Its components stay in the system; requests to them end in an error that
    /// says that the server has disappeared.
    #[default]
    Group,
    /// Stops the whole system. [`System::failed`](crate::system::System::failed) resolves.
    System,
}

/// A group of components that are supervised together. When a handler of a member fails, it is
/// rebuilt after a pause, and so are the handlers of other members that the [`Strategy`] selects.
///
/// Failures are panics, and factories that refuse to rebuild a handler. They are counted for the
/// whole group, against the limit of its [`Restart`], which sets the pauses too. Beyond that limit
/// the group [gives up](Escalation): its components are stopped, dependents first, and queued
/// requests are rejected.
///
/// Handlers are rebuilt as by [`Stopper::renew`](crate::Stopper::renew), each after the request it
/// has in hand. The renewals are requested in the order of start. Channels and clients stay valid,
/// and queued requests stay queued. So if one member makes a request to another while both are
/// rebuilt, the request waits in the queue, and no member has to wait for the others to start. A
/// member that is delayed by a long request does not delay the others.
///
/// ```
/// use std::time::Duration;
/// use ump_server::{Restart, system::{Escalation, Group, Strategy}};
///
/// let group = Group::new("telephony")
///     .members(["modem", "calls", "billing"])
///     .strategy(Strategy::RestForOne)
///     .restart(Restart::new().limit(3, Duration::from_secs(60)))
///     .escalation(Escalation::System);
/// # let _ = group;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a group does nothing until it is added to a system"]
pub struct Group {
    pub(in crate::system) name: String,
    pub(in crate::system) members: Vec<String>,
    pub(in crate::system) strategy: Strategy,
    pub(in crate::system) restart: Restart,
    pub(in crate::system) escalation: Escalation,
}

impl Group {
    /// Creates a group without members, with [`Strategy::OneForOne`], [`Restart::new`] and
    /// [`Escalation::Group`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            members: Vec::new(),
            strategy: Strategy::default(),
            restart: Restart::new(),
            escalation: Escalation::default(),
        }
    }

    /// Adds members to the group. A component can be in one group only.
    pub fn members<M: Into<String>>(mut self, names: impl IntoIterator<Item = M>) -> Self {
        self.members.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets which other members a failure affects.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the limit of failures of all members within a time window, and the pauses.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets what is stopped when the limit is exceeded.
    pub fn escalation(mut self, what: Escalation) -> Self {
        self.escalation = what;
        self
    }
}
