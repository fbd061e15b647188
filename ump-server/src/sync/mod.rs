//! The facade: all synchronisation primitives of the crate.
//!
//! No other module of the crate names `parking_lot`, `loom` or `std::sync`. With `--cfg loom` the
//! names refer to loom's primitives, so the whole crate can be model-checked. With `--cfg shuttle`
//! they refer to shuttle's, for models that are too large for loom.

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
