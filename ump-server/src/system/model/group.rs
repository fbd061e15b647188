//! Components that are supervised together.

use crate::Restart;

/// Which handlers are made anew when a handler fails, besides that of the worker that failed.
///
/// A component has [instances](super::Attributes::instances), and an instance has [workers](super::Attributes::workers).
///
/// | | other workers and instances of its component | components started before it | components started after it |
/// |---|---|---|---|
/// | `OneForOne` | go on | go on | go on |
/// | `RestForOne` | go on | go on | are made anew |
/// | `OneForAll` | are made anew | are made anew | are made anew |
///
/// Only members of the group are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Strategy {
    /// Nobody: the members do not depend on each other.
    #[default]
    OneForOne,
    /// The components that are started after the one that failed: they have built on what it knew. Its own other instances and
    /// workers have a state of their own, and keep it.
    RestForOne,
    /// All: what they know belongs together.
    OneForAll,
}

/// What is stopped when a group has failed too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Escalation {
    /// The group. Its components stay in the system, and whoever asks them is told that they disappeared.
    #[default]
    Group,
    /// The whole system. [`System::failed`](super::System::failed) tells it to whoever waits.
    System,
}

/// Components that are supervised together: when a handler of one fails, it is made anew after a pause, and with it those of the others that the
/// [`Strategy`] says.
///
/// Failures are panics, and factories that refuse to make a handler anew. They are counted for the group, against the limit of its [`Restart`], which
/// says the pauses, too. Beyond that limit the group [gives up](Escalation): its components are stopped, dependents first, and what is
/// queued is turned down.
///
/// Handlers are made anew as by [`Stopper::renew`](crate::Stopper::renew): each after the request it has in hand, told in the order of start. Channels
/// and clients stay as they are, what is queued stays queued. So what one member asks of another while both are made anew waits in its queue,
/// and nobody has to wait for the others' start; one that is held up by a long request does not hold up the rest.
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
#[must_use = "it does something once it is added to a system"]
pub struct Group {
    pub(in crate::system) name: String,
    pub(in crate::system) members: Vec<String>,
    pub(in crate::system) strategy: Strategy,
    pub(in crate::system) restart: Restart,
    pub(in crate::system) escalation: Escalation,
}

impl Group {
    /// A group without members, [`Strategy::OneForOne`], [`Restart::new`], [`Escalation::Group`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            members: Vec::new(),
            strategy: Strategy::default(),
            restart: Restart::new(),
            escalation: Escalation::default(),
        }
    }

    /// Adds these components. Each can be in one group.
    pub fn members<M: Into<String>>(mut self, names: impl IntoIterator<Item = M>) -> Self {
        self.members.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whom a failure concerns.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many failures of all its members within which time, and which pauses.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// What is stopped when that were too many.
    pub fn escalation(mut self, what: Escalation) -> Self {
        self.escalation = what;
        self
    }
}
