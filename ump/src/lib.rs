#![doc = include_str!("../README.md")]
//! How that is done: [`model_checking`].

mod api;
mod channel;
pub mod coop;
mod error;
pub mod hooks;
mod inflight;
#[doc(hidden)]
pub mod internal;
mod options;
mod slot;
mod stats;
mod sync;
mod time;
mod wait;

/// For `ump-server`, which has statics as well.
#[cfg(not(any(loom, shuttle)))]
#[doc(hidden)]
pub use crate::sync::PerProcess;

pub use crate::{
    api::{
        builder::{Builder, Spin},
        client::{Client, WeakClient},
        closed::Closed,
        deserted::Deserted,
        drained::Drained,
        dyn_client::{DynClient, DynRequest},
        gather::Gather,
        permit::{Permit, Reserve, ReserveFuture},
        receive::Requests,
        reply_context::{Cancelled, ReplyContext},
        request::{Post, Request, Submit},
        request_future::{PostFuture, RequestFuture, SubmitFuture},
        server::{Iter, Server},
        wait_reply::WaitReply,
    },
    error::{
        Error, Executed, NoReply, Refused, ZeroCapacity, os_error::OsError, panic::PanicMessage,
        request_error::RequestError, send_error::SendError,
    },
    stats::Stats,
    time::{
        clock::{BoxSleep, Clock, TimeSource},
        manual::ManualClock,
        sleep::Sleep,
    },
};

/// Makes an unbounded channel.
///
/// `S` is sent to the server, `R` comes back; `E` is the error with which the application refuses a
/// request.
#[must_use]
pub fn channel<S, R, E>() -> (Server<S, R, E>, Client<S, R, E>) {
    Builder::new().ends()
}

/// Makes a channel whose queue holds at most `capacity` requests in each of its two lanes.
///
/// When a lane is full a client waits for room, or has its message back at once: see
/// [`Request::if_room`]. Requests that a handler has taken do not count. Those whose deadline has
/// passed count until their caller or a receiver looks at them, or a client that finds the lane
/// full: this one turns down all that have expired at the head of the lane. The room that it makes
/// is for the clients that wait before it, in their order, and then for itself. Who has waited
/// longest for room is woken first, but a client that comes just then may be quicker; the other
/// keeps its place at the head of the line.
///
/// A capacity of `usize::MAX` means unbounded.
///
/// ```
/// use ump::{SendError, ZeroCapacity};
///
/// let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
/// client.post(1).wait().unwrap();
/// assert!(matches!(client.post(2).if_room().wait(), Err(SendError::Full(2))));
/// assert_eq!(ump::bounded::<u32, (), ()>(0).unwrap_err(), ZeroCapacity);
/// # drop(server);
/// ```
///
/// # Errors
/// [`ZeroCapacity`]: nothing could ever be queued.
pub fn bounded<S, R, E>(
    capacity: usize,
) -> Result<(Server<S, R, E>, Client<S, R, E>), ZeroCapacity> {
    Builder::new().capacity(capacity).build()
}

#[doc = include_str!("../docs/model-checking.md")]
pub mod model_checking {}

/// Whatever unwinds, a channel stays in order: no user code runs inside its critical sections.
mod unwind_safe {
    use std::panic::{RefUnwindSafe, UnwindSafe};

    use super::{
        Client, Clock, Closed, Deserted, Drained, ManualClock, ReplyContext, Server, Sleep,
        WaitReply, WeakClient,
    };

    impl<S, R, E> UnwindSafe for Client<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for Client<S, R, E> {}
    impl<S, R, E> UnwindSafe for WeakClient<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for WeakClient<S, R, E> {}
    impl<S, R, E> UnwindSafe for Closed<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for Closed<S, R, E> {}
    impl<S, R, E> UnwindSafe for Deserted<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for Deserted<S, R, E> {}
    impl<S, R, E> UnwindSafe for Drained<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for Drained<S, R, E> {}
    impl<S, R, E> UnwindSafe for Server<S, R, E> {}
    impl<S, R, E> RefUnwindSafe for Server<S, R, E> {}
    impl<R, E> UnwindSafe for ReplyContext<R, E> {}
    impl<R, E> RefUnwindSafe for ReplyContext<R, E> {}
    impl<R, E, X> UnwindSafe for WaitReply<R, E, X> {}
    impl<R, E, X> RefUnwindSafe for WaitReply<R, E, X> {}
    impl UnwindSafe for Clock {}
    impl RefUnwindSafe for Clock {}
    impl UnwindSafe for ManualClock {}
    impl RefUnwindSafe for ManualClock {}
    impl UnwindSafe for Sleep {}
    impl RefUnwindSafe for Sleep {}
}
