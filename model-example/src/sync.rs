//! The facade: the parts of the standard library that a model has to replace, named once.
//!
//! The servers share everything else through channels, and `ump` has its own facade. A program with
//! mutexes or atomics would name them here as well.

#[cfg(loom)]
pub use loom::thread;
#[cfg(not(loom))]
pub use std::thread;
