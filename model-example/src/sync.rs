//! The facade: what the servers take from the standard library and a model has to see, named once.
//!
//! All the rest they share through channels, and `ump` has a facade of its own. A program with a mutex or an atomic beside its servers
//! would name it here, too.

#[cfg(loom)]
pub use loom::thread;
#[cfg(not(loom))]
pub use std::thread;
