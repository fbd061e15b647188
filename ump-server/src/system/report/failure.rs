//! The permanent failure of a component.

use std::fmt;

/// A permanent failure of a component: its policy, or that of its group, did not let it continue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Failure {
    /// The name of the component.
    pub component: String,
    /// The number of the instance, from zero.
    pub instance: usize,
    /// The reason, as text.
    pub why: String,
    /// The group that gave up because of this failure, and stopped.
    pub group: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            instance,
            why,
            group,
        } = self;
        write!(
            f,
            "component {component}, instance {instance}, failed: {why}"
        )?;
        if let Some(group) = group {
            write!(f, "; group {group} has failed too often, and was stopped")?;
        }
        Ok(())
    }
}
