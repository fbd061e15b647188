//! Pieces that the crates of this family share. They are no part of the interface, and change
//! without notice.

/// loom's mutex without poisoning.
#[cfg(loom)]
pub use crate::sync::Mutex as ModelMutex;
pub use crate::{time::timeout::timeout_at, wait::waiter::catch_user_panic};
