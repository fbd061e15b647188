//! Whether a thread blocks until the reply to its request, or a task awaits it.
//!
//! The thread that sends a request wakes its link. If it is about to block, it may look for the
//! reply for some microseconds; a task must not, as others on its thread could run meanwhile.

use std::cell::Cell;

thread_local! {
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Ends the wait, also if it panics.
struct Waiting {
    before: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        IS_WAITING.set(self.before);
    }
}

/// Waits for a reply: `wait` sends the request, and blocks.
pub(crate) fn while_blocking<T>(wait: impl FnOnce() -> T) -> T {
    let before = IS_WAITING.replace(true);
    let _waiting = Waiting { before };
    wait()
}

/// Returns whether this thread is about to block until a reply.
pub(super) fn is_waiting() -> bool {
    // Not if the thread ends, and its values are dropped.
    IS_WAITING.try_with(Cell::get).unwrap_or(false)
}
