//! User code that runs on somebody else's thread.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs user code: wakes a waker, or drops a message. A panic is caught, so that it does not hit the publisher or subscriber that happens to run it;
/// only the panic hook reports it.
pub(crate) fn catch_user_panic(user_code: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(user_code)) else {
        return;
    };
    // The payload is the user's, too, and its drop may panic. The payload of that second panic is leaked.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(panic);
    }
}
