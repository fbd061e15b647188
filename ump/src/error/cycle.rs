//! The cycle in which a caller would wait for itself.

#![forbid(unsafe_code)]

use std::{error::Error as StdError, fmt};

use crate::sync::WakerArc as Arc;

/// The servers that would wait for each other, in order. Each waits for the next, and the last one
/// for the first.
///
/// ```
/// let cycle = ump::hooks::Cycle::new(["orders", "accounts"]);
/// assert_eq!(cycle.to_string(), "orders → accounts → orders");
/// ```
// The pointer is thin, so that the errors of requests do not grow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Cycle(Arc<Vec<Arc<str>>>);

impl Cycle {
    /// Creates a cycle of servers with these names.
    pub fn new<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(Arc::new(names.into_iter().map(Into::into).collect()))
    }

    /// Returns the names of the servers, in order.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }
}

impl StdError for Cycle {}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in self.0.iter() {
            write!(f, "{name} → ")?;
        }
        f.write_str(self.0.first().map_or("", |first| first))
    }
}
