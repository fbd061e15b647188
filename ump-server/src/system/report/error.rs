//! The errors of systems.

use std::{convert::Infallible, error::Error as StdError, fmt, time::Duration};

use ump::PanicMessage;

use crate::system::report::stop_report::Report;
use crate::{JoinError, SpawnError, wait::executor::EXECUTOR, worker::spawn_error::of_factory};

/// Any error that the factory of a component may return.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error in how components fit together. No component is started then.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PlanError {
    /// A name is empty or has a NUL character in it.
    #[error("{name:?} cannot be the name of a component: it is empty or contains a NUL character")]
    Name {
        /// The name.
        name: String,
    },
    /// Two components have the same name.
    #[error("two components are named {name}: rename one of them")]
    Twice {
        /// The name.
        name: String,
    },
    /// A component needs another one that does not exist.
    #[error(
        "component {component} needs {needs}, which is not defined; the components are {}",
        listed(known)
    )]
    Unknown {
        /// The name of the component.
        component: String,
        /// The name that it needs.
        needs: String,
        /// The names of the existing components.
        known: Vec<String>,
    },
    /// Components need each other in a cycle.
    #[error("components need each other in a cycle: {}; remove one of these needs", names.join(" needs "))]
    Cycle {
        /// The names in the cycle: each needs the next; the last one is the first one.
        names: Vec<String>,
    },
    /// An attribute has an invalid value.
    #[error("component {component}, {key}: {why}")]
    Attribute {
        /// The name of the component.
        component: String,
        /// The key of the attribute.
        key: &'static str,
        /// The reason why it is invalid.
        why: &'static str,
    },
    /// A group has a member that does not exist.
    #[error(
        "group {group} has the member {member}, which is not defined; the components are {}",
        listed(known)
    )]
    Member {
        /// The name of the group.
        group: String,
        /// The name of the member.
        member: String,
        /// The names of the existing components.
        known: Vec<String>,
    },
    /// A component is in two groups, or twice in one.
    #[error("component {component} is a member of group {} and of group {}: list it once", groups[0], groups[1])]
    TwoGroups {
        /// The name of the component.
        component: String,
        /// The names of the groups.
        groups: [String; 2],
    },
}

/// An error at the start of a system.
// By hand, without `thiserror`: the text contains that of the cause, so `source` returns the cause
// of the cause.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StartError {
    /// The components do not fit together; no component was started.
    Plan(PlanError),
    /// The configuration does not fit the components; no component was started.
    #[cfg(feature = "config")]
    Config(crate::system::report::config_error::ConfigError),
    /// A component did not start. The components that had started have been stopped.
    Component {
        /// The name of the component.
        component: String,
        /// The number of the instance, from zero.
        instance: usize,
        /// The reason.
        why: StartFailure,
        /// The report of how the other components stopped.
        stopped: Box<Report>,
    },
}

/// The reason why an instance of a component did not start.
// By hand, without `thiserror`: see `StartError`.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StartFailure {
    /// Its factory returned an error.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
    Refused(BoxError),
    /// Its factory panicked.
    Panicked(PanicMessage),
    /// Its factory or its `init` had not finished when this time had passed since the start of the
    /// system.
    Late(Duration),
    /// It was late, and the start was waited for by [blocking](crate::system::Operation::wait) the
    /// thread of a current-thread runtime. The runtime's tasks do not run meanwhile: await the
    /// start instead.
    Blocked(Duration),
    /// It ended before its `init` had finished.
    Failed(JoinError),
    /// It was stopped before its `init` had finished.
    Stopped,
    /// Its loop could not be spawned.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
    Spawn(SpawnError<Infallible>),
}

impl From<SpawnError<BoxError>> for StartFailure {
    fn from(error: SpawnError<BoxError>) -> Self {
        match error {
            SpawnError::Handler(error) => Self::Refused(error),
            SpawnError::Panicked(message) => Self::Panicked(message),
            other => Self::Spawn(other.without_handler()),
        }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "its factory returned an error: {error}"),
            Self::Panicked(message) => write!(f, "its {}", of_factory(message)),
            Self::Late(within) => write!(f, "it was not ready within {within:?}"),
            Self::Blocked(within) => {
                write!(f, "it was not ready within {within:?}, and {EXECUTOR}")
            }
            Self::Failed(error) => error.why().fmt(f),
            Self::Stopped => f.write_str("it was stopped before it was ready"),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl StdError for StartFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            Self::Spawn(error) => error.source(),
            _ => None,
        }
    }
}

impl From<PlanError> for StartError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

#[cfg(feature = "config")]
impl From<crate::system::report::config_error::ConfigError> for StartError {
    fn from(error: crate::system::report::config_error::ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            #[cfg(feature = "config")]
            Self::Config(error) => error.fmt(f),
            Self::Component {
                component,
                instance,
                why,
                stopped,
            } => {
                write!(f, "component {component}")?;
                if *instance > 0 {
                    write!(f, ", instance {instance},")?;
                }
                write!(f, " did not start: {why}")?;
                let running: Vec<&str> = stopped
                    .still_running()
                    .map(|ended| ended.component.as_str())
                    .collect();
                if !running.is_empty() {
                    write!(f, "; still running: {}", running.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

impl StdError for StartError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Component { why, .. } => why.source(),
            _ => None,
        }
    }
}

/// The reason why the lookup of a client failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LookupError {
    /// There is no component with this name.
    #[error("there is no component {name}; the components are {}", listed(known))]
    Unknown {
        /// The name.
        name: String,
        /// The names of the existing components.
        known: Vec<String>,
    },
    /// The component has fewer instances.
    #[error(
        "component {component} has no instance {instance}: it has {instances}, counted from zero"
    )]
    Instance {
        /// The name of the component.
        component: String,
        /// The number of the instance that was looked up, from zero.
        instance: usize,
        /// The number of instances.
        instances: usize,
    },
    /// The component has several instances: choose one, or balance over them.
    #[error(
        "component {component} has {instances} instances: choose one by `instance`, or use a `balancer`"
    )]
    Several {
        /// The name of the component.
        component: String,
        /// The number of instances.
        instances: usize,
    },
    /// The component has other types of messages, replies or errors.
    #[error("the client of component {component} has the type {is}, not {asked}")]
    Type {
        /// The name of the component.
        component: String,
        /// The type of client that was looked up.
        asked: &'static str,
        /// The type of the component's clients.
        is: &'static str,
    },
    /// A factory looked up a component that its own component does not need, so it may not have
    /// started.
    #[error(
        "component {by} looked up {name}, which it does not need: add `needs` to its attributes"
    )]
    NotNeeded {
        /// The name of the component that was looked up.
        name: String,
        /// The name of the component that looked it up.
        by: String,
    },
    /// The component has not started yet.
    #[error("component {component} has not started yet")]
    NotStarted {
        /// The name of the component.
        component: String,
    },
    /// The system no longer exists.
    #[error("the system no longer exists")]
    Gone,
}

/// Returns the names as a list for the text of an error.
pub(in crate::system) fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
