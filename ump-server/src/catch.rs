//! Running user code so that its panics are caught.
//!
//! User code is handlers, factories, callbacks, wakers, and the drops of their values.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ump::PanicMessage;

/// Runs the user's code; a panic comes back as its message.
pub(crate) fn catch_user_panic<T>(f: impl FnOnce() -> T) -> Result<T, PanicMessage> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let message = PanicMessage::of_payload(&*payload);
        // The payload's drop is the user's code, too.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(another);
        }
        message
    })
}

/// Runs the user's code on behalf of nobody in particular: a waker, or a drop. If it panics, only
/// the panic hook reports that.
pub(crate) fn ignore_user_panic(users_code: impl FnOnce()) {
    let _ = catch_user_panic(users_code);
}

/// Drops these one by one: a value whose drop panics does not keep the next one from being dropped,
/// and two of them do not abort the process.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    for value in values {
        ignore_user_panic(|| drop(value));
    }
}

/// A value of the user that is dropped where its panic is caught, wherever that happens.
pub(crate) struct CatchDrop<T>(Option<T>);

impl<T> CatchDrop<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect(THERE)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(THERE)
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect(THERE)
    }

    /// Drops it now. Returns the message if that panics.
    pub(crate) fn drop_now(mut self) -> Result<(), PanicMessage> {
        let value = self.0.take();
        catch_user_panic(|| drop(value))
    }
}

const THERE: &str = "it is there until it is dropped";

impl<T> Drop for CatchDrop<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            ignore_user_panic(|| drop(value));
        }
    }
}
