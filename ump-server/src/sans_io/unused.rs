//! The type of a port that a task does not use.

/// The type of inputs or outputs that a task does not have. There is no value of it.
///
/// It is the default of the parameters of [`Io`](super::Io). A `match` needs no arm for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unused {}
