//! The facade: every primitive that the crate synchronises with, named once.
//!
//! Nothing else in the crate names `parking_lot`, `loom` or `std::sync`. Built with `--cfg loom` the same names are loom's, and the whole
//! crate can be model-checked. With `--cfg shuttle` they are shuttle's, for models that are too large for loom.

#[cfg(loom)]
mod model;
#[cfg(not(any(loom, shuttle)))]
mod native;
#[cfg(shuttle)]
mod shuttle;

#[cfg(shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use native::*;
