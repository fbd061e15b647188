//! The user's code that is run on somebody else's thread.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs what belongs to somebody else: a waker, or the drop of a message. Should it panic, that is the trouble of whoever made it (the panic hook
/// tells), not of the publisher or subscriber that happens to run it.
pub(crate) fn catch_user_panic(users_code: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(users_code)) else {
        return;
    };
    // What was thrown is the user's as well, and its drop may throw. There it ends: what that throws is not dropped any more.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(panic);
    }
}
