//! What can be wrong with a system.

use std::{convert::Infallible, error::Error as StdError, fmt, time::Duration};

use ump::PanicMessage;

use crate::system::report::stop_report::Report;
use crate::{JoinError, SpawnError, wait::executor::EXECUTOR};

/// Any error, as the factories of components return it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why components do not fit together. Nothing is started then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PlanError {
    /// A name is empty or has a NUL character in it.
    Name {
        /// The name.
        name: String,
    },
    /// Two components have the same name.
    Twice {
        /// The name.
        name: String,
    },
    /// A component needs one that there is not.
    Unknown {
        /// Which component.
        component: String,
        /// What it needs.
        needs: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Components need each other in a circle.
    Circle {
        /// Each needs the next; the last one is the first one.
        names: Vec<String>,
    },
    /// An attribute has a value that makes no sense.
    Attribute {
        /// Of which component.
        component: String,
        /// Which attribute.
        key: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A group has a member that there is not.
    Member {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A component is in two groups, or twice in one.
    TwoGroups {
        /// Which component.
        component: String,
        /// Which groups.
        groups: [String; 2],
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "{name:?} cannot be the name of a component: it is empty or has a NUL character in it"
            ),
            Self::Twice { name } => write!(f, "two components are named {name}"),
            Self::Unknown {
                component,
                needs,
                known,
            } => write!(
                f,
                "component {component} needs {needs}, which there is not; there are {}",
                known.join(", ")
            ),
            Self::Circle { names } => write!(
                f,
                "these components need each other in a circle: {}",
                names.join(" needs ")
            ),
            Self::Attribute {
                component,
                key,
                why,
            } => write!(f, "component {component}, {key}: {why}"),
            Self::Member {
                group,
                member,
                known,
            } => write!(
                f,
                "group {group} has a member {member}, which there is not; there are {}",
                known.join(", ")
            ),
            Self::TwoGroups { component, groups } => write!(
                f,
                "component {component} can be in one group once, and is in {} and {}",
                groups[0], groups[1]
            ),
        }
    }
}

impl StdError for PlanError {}

/// Why a system did not come up.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StartError {
    /// The components do not fit together; nothing was started.
    Plan(PlanError),
    /// Their configuration does not fit them; nothing was started.
    #[cfg(feature = "config")]
    Config(crate::system::report::config_error::ConfigError),
    /// A component did not come up. Those that were up have been stopped.
    Component {
        /// Which one.
        component: String,
        /// Which instance of it, from zero.
        instance: usize,
        /// Why.
        why: StartFailure,
        /// How the others ended.
        stopped: Box<Report>,
    },
}

/// Why an instance of a component did not come up.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StartFailure {
    /// Its factory refused.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
    Refused(BoxError),
    /// Its factory panicked.
    Panicked(PanicMessage),
    /// Its factory or its `init` was still at it when this time had passed since the start of the system.
    Late(Duration),
    /// The same, and it was waited for by [blocking](super::Operation::wait) the thread of a current-thread runtime. Tasks of that do not run meanwhile: await
    /// the start instead.
    Blocked(Duration),
    /// It ended before its `init` was done.
    Failed(JoinError),
    /// It was stopped before its `init` was done.
    Stopped,
    /// There is no loop.
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
            Self::Refused(error) => write!(f, "its handler could not be made: {error}"),
            Self::Panicked(message) => write!(f, "its handler could not be made: {message}"),
            Self::Late(within) => write!(f, "it was not ready within {within:?}"),
            Self::Blocked(within) => {
                write!(f, "it was not ready within {within:?}, and {EXECUTOR}")
            }
            Self::Failed(error) => error.why().fmt(f),
            Self::Stopped => f.write_str("it was stopped"),
            Self::Spawn(error) => error.fmt(f),
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
                write!(f, " did not come up: {why}")?;
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
            Self::Component {
                why: StartFailure::Refused(error),
                ..
            } => error.source(),
            Self::Component {
                why: StartFailure::Spawn(error),
                ..
            } => error.source(),
            _ => None,
        }
    }
}

/// Why there is no such client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LookupError {
    /// There is no component of this name.
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The component has fewer instances.
    Instance {
        /// Which component.
        component: String,
        /// Which instance was looked up, from zero.
        instance: usize,
        /// How many there are.
        instances: usize,
    },
    /// The component has several instances: say which, or spread over them.
    Several {
        /// Which component.
        component: String,
        /// How many there are.
        instances: usize,
    },
    /// The component is asked other messages or answers otherwise.
    Type {
        /// Which component.
        component: String,
        /// The type of client that was looked up.
        asked: &'static str,
        /// The type of its clients.
        is: &'static str,
    },
    /// A factory looked up a component that its own does not say it needs, so that it may not be up.
    NotNeeded {
        /// Which component was looked up.
        name: String,
        /// By which.
        by: String,
    },
    /// The component is not up yet.
    StartFailure {
        /// Which component.
        component: String,
    },
    /// The system is gone.
    Gone,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } => write!(
                f,
                "there is no component {name}; there are {}",
                known.join(", ")
            ),
            Self::Instance {
                component,
                instance,
                instances,
            } => write!(
                f,
                "component {component} has no instance {instance}: it has {instances}, counted from zero"
            ),
            Self::Several {
                component,
                instances,
            } => write!(
                f,
                "component {component} has {instances} instances: say which, or spread over them"
            ),
            Self::Type {
                component,
                asked,
                is,
            } => write!(
                f,
                "clients of component {component} are {is}, and not {asked}"
            ),
            Self::NotNeeded { name, by } => write!(
                f,
                "component {by} does not say that it needs {name}: add it to its attributes"
            ),
            Self::StartFailure { component } => write!(f, "component {component} is not up yet"),
            Self::Gone => f.write_str("the system is gone"),
        }
    }
}

impl StdError for LookupError {}
