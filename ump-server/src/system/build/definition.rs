//! The definition of a component.

use std::{fmt, sync::Arc};

use crate::system::{model::attributes::Attributes, run::launch::Launcher};

/// The definition of a component, from which its instances are launched.
pub(in crate::system) struct Definition {
    pub(in crate::system) name: Arc<str>,
    pub(in crate::system) kind: Kind,
    pub(in crate::system) attributes: Attributes,
    pub(in crate::system) launcher: Launcher,
}

/// Whether the loops of a component run on threads or on tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::system) enum Kind {
    Thread,
    #[cfg(feature = "tokio")]
    Task,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}
