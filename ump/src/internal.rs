//! Pieces that the crates of this family share. They are no part of the interface, and change
//! without notice.

use crate::RequestFuture;

/// loom's mutex without poisoning.
#[cfg(loom)]
pub use crate::sync::Mutex as ModelMutex;
pub use crate::{time::timeout::timeout_at, wait::waiter::catch_user_panic};

/// Makes a request register its waker as soon as it waits for the reply, instead of yielding first.
///
/// For a future that a loop polls among others with a waker of its own: to wake the loop for
/// another poll costs more than a yield of a task saves.
pub fn register_at_once<S, R, E>(request: &mut RequestFuture<'_, S, R, E>) {
    request.registers_at_once();
}
