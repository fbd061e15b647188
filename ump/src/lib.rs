#![doc = include_str!("../README.md")]
//! See [`model_checking`] for how to do it.

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

/// For `ump-server`, which has statics of the process as well.
#[cfg(not(any(loom, shuttle)))]
#[doc(hidden)]
pub use crate::sync::PerProcess;

pub use crate::{
    api::{
        ask::Ask,
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
        typed::Typed,
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

/// Creates an unbounded channel.
///
/// `S` is the type of the messages to the server, `R` that of its replies, and `E` that of the
/// error with which the application refuses a request.
#[must_use]
pub fn channel<S, R, E>() -> (Server<S, R, E>, Client<S, R, E>) {
    Builder::new().ends()
}

/// Creates a channel whose queue holds at most `capacity` requests in each of its two lanes.
///
/// If a lane is full, a client waits for room, or gets its message back at once: see
/// [`Request::if_room`]. Requests that a handler has taken do not count.
///
/// An expired request counts until its caller or a receiver finds it, or until a client finds the
/// lane full: that client turns down all expired requests at the head of the lane. The room that it
/// makes goes first to the clients that wait already, in their order, and then to the client
/// itself.
///
/// The client that has waited longest for room is woken first. Another client that arrives just
/// then may take the room before it; in that case, the woken client keeps its place at the head of
/// the wait queue.
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
/// Returns [`ZeroCapacity`] if `capacity` is zero, so that no request could ever be queued.
pub fn bounded<S, R, E>(
    capacity: usize,
) -> Result<(Server<S, R, E>, Client<S, R, E>), ZeroCapacity> {
    Builder::new().capacity(capacity).build()
}

#[doc = include_str!("../docs/model-checking.md")]
pub mod model_checking {}

/// Marks the types as unwind safe: no user code runs inside the critical sections of a channel, so
/// a panic leaves the channel consistent.
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
