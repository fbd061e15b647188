//! The facade: every primitive that the crate synchronises with, named once.
//!
//! Nothing else in the crate names `parking_lot`, `loom` or `std::sync`. Built with `--cfg loom` the same names are loom's, and the whole
//! crate can be model-checked.

#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod native;

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use native::*;
