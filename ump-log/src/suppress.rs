//! Threads whose records are not logged: those that write the log. A record of theirs would cause
//! the next one, without end.

use std::cell::Cell;

thread_local! {
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Logs nothing of this thread from now on.
pub(crate) fn this_thread() {
    SUPPRESSED.set(true);
}

/// Logs nothing of this thread during a call.
pub(crate) fn during<T>(call: impl FnOnce() -> T) -> T {
    /// Ends it if the call panics, too.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SUPPRESSED.set(self.0);
        }
    }
    let _restore = Restore(SUPPRESSED.replace(true));
    call()
}

#[inline]
pub(crate) fn is_suppressed() -> bool {
    SUPPRESSED.get()
}
