//! Running user code so that its panics are caught.
//!
//! User code is handlers, factories, callbacks, wakers, and the drops of their values.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ump::PanicMessage;
pub(crate) use ump::internal::catch_user_panic;

/// Runs user code. Returns its value, or the message of its panic.
pub(crate) fn catch_panic_message<T>(users_code: impl FnOnce() -> T) -> Result<T, PanicMessage> {
    catch_unwind(AssertUnwindSafe(users_code)).map_err(|payload| {
        let message = PanicMessage::of_payload(&*payload);
        // The drop of the payload is user code as well.
        catch_user_panic(|| drop(payload));
        message
    })
}

/// Drops these one by one: a value whose drop panics does not keep the next one from being dropped,
/// and two of them do not abort the process.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    for value in values {
        catch_user_panic(|| drop(value));
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
        catch_panic_message(|| drop(value))
    }
}

const THERE: &str = "the value is there until the drop";

impl<T> Drop for CatchDrop<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            catch_user_panic(|| drop(value));
        }
    }
}
