//! Loops on threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use ump_server::{ReplyContext, thread::{Handler, spawn}};
//!
//! /// Adds up the numbers that it gets. `None` ends it.
//! struct Adder(u64);
//!
//! impl Handler<Option<u64>, u64, (), u64> for Adder {
//!     fn proc_req(&mut self, msg: Option<u64>, rctx: ReplyContext<u64, ()>) -> ControlFlow<u64> {
//!         let Some(n) = msg else {
//!             return ControlFlow::Break(self.0);
//!         };
//!         self.0 += n;
//!         let _ = rctx.reply(self.0); // an error if the caller has left
//!         ControlFlow::Continue(())
//!     }
//! }
//!
//! let (client, handle) = spawn(|_client| Ok(Adder(0))).unwrap();
//! assert_eq!(client.req(Some(2)), Ok(2));
//! assert_eq!(client.req(Some(3)), Ok(5));
//! client.post(None).wait().unwrap();
//! assert_eq!(handle.join(), Ok(Some(5)));
//! ```

mod batch;
mod batch_reply;
mod builder;
mod fire;
mod run;
mod service;
#[cfg_attr(
    not(all(feature = "net", unix, not(any(loom, shuttle)))),
    path = "no_sockets.rs"
)]
mod sockets;
mod work;

use std::{convert::Infallible, ops::ControlFlow};

use ump::{Client, WeakClient};

pub use batch::{Batch, BatchService};
pub use batch_reply::BatchReply;
pub use builder::Builder;
pub use service::{IntoService, Service};

pub use crate::worker::handler_shape::{ByParameters, ByTypes, HandlerService};
use crate::{JoinHandle, ReplyContext, worker::spawn_error::SpawnError};

/// Handles the requests and timers of a loop on a thread, one at a time.
///
/// `S` is the request, `R` the reply, and `E` the application's error. `RV` is the value that ends
/// the loop when the handler returns `Break`. `T` is the token of the loop's timers.
///
/// A closure is a handler, too. [`answer`] makes a handler of a closure that returns a result, and
/// [`reply`] makes one of a closure that cannot fail.
pub trait Handler<S, R, E, RV = (), T = ()> {
    /// Prepares the handler. Called once for each handler, on the loop's thread, before anything
    /// else.
    ///
    /// The client is weak: a handler that keeps a strong client of its own loop keeps the loop from
    /// ending.
    #[allow(unused_variables)]
    fn init(&mut self, weak_client: WeakClient<S, R, E>) {}

    /// Handles a request. `Break` ends the loop with its value.
    fn proc_req(&mut self, msg: S, rctx: ReplyContext<'_, R, E>) -> ControlFlow<RV>;

    /// Returns the name of a request in reports of the [watchdog](Builder::watchdog), traces and
    /// metrics.
    ///
    /// The default is the name of the message's type. If the message is an enum, return the name of
    /// the variant instead. There should be few names: each is a series of numbers in the metrics.
    #[allow(unused_variables)]
    fn kind(&self, msg: &S) -> &'static str {
        std::any::type_name::<S>()
    }

    /// Handles a timer that is due, with its token. `Break` ends the loop with its value.
    #[allow(unused_variables)]
    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        ControlFlow::Continue(())
    }

    /// Handles an event of a socket that this handler has registered. `Break` ends the loop with
    /// its value. Requires the feature `net`. See [`Service::on_socket`].
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[allow(unused_variables)]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<RV> {
        ControlFlow::Continue(())
    }

    /// Cleans up at the end of the loop. Returns the value that [joining](JoinHandle::join) the
    /// loop returns.
    ///
    /// `rv` is the value of `Break`. It is `None` if no client is left, the loop was stopped, or
    /// another worker of the pool ended it. The callers of requests that were still queued have got
    /// their error by then. This method is not called if the handler has panicked or is rebuilt.
    fn term(&mut self, rv: Option<RV>) -> Option<RV> {
        rv
    }
}

impl<S, R, E, RV, F> Handler<S, R, E, RV> for F
where
    F: FnMut(S, ReplyContext<'_, R, E>) -> ControlFlow<RV>,
{
    fn proc_req(&mut self, msg: S, rctx: ReplyContext<'_, R, E>) -> ControlFlow<RV> {
        self(msg, rctx)
    }
}

/// Creates a handler that answers each request with the result of a closure, until no client is
/// left.
///
/// ```
/// use ump_server::thread;
///
/// let (client, _) = thread::serve(thread::answer(|n: u32| n.checked_add(1).ok_or("too large")));
/// assert_eq!(client.req(1), Ok(2));
/// assert_eq!(client.req(u32::MAX), Err(ump::Error::App("too large")));
/// ```
pub fn answer<S, R, E>(
    mut f: impl FnMut(S) -> Result<R, E>,
) -> impl FnMut(S, ReplyContext<'_, R, E>) -> ControlFlow<()> {
    move |msg, rctx| {
        // An error means that the caller has left.
        let _ = rctx.answer(f(msg));
        ControlFlow::Continue(())
    }
}

/// Creates a handler that replies to each request with the value of a closure: [`answer`] for a
/// server that cannot fail.
///
/// Its application error is [`Infallible`], which has no values, so callers need no arm for
/// [`App`](ump::Error::App).
///
/// ```
/// use ump_server::{Error, thread};
///
/// let (client, _) = thread::serve(thread::reply(|n: u32| n.wrapping_add(1)));
/// let reply = match client.req(1) {
///     Ok(reply) => reply,
///     Err(Error::NoReply) => panic!("it panicked"),
///     Err(Error::ServerDisappeared | Error::ClientsDisappeared | Error::OriginDisappeared) => panic!("it has gone"),
/// };
/// assert_eq!(reply, 2);
/// ```
pub fn reply<S, R>(
    mut f: impl FnMut(S) -> R,
) -> impl FnMut(S, ReplyContext<'_, R, Infallible>) -> ControlFlow<()> {
    move |msg, rctx| {
        // An error means that the caller has left.
        let _ = rctx.reply(f(msg));
        ControlFlow::Continue(())
    }
}

/// Runs a handler on a thread of its own, behind an unbounded channel.
///
/// The handler is a [`Service`], a [`Handler`], or a closure: see [`answer`] and [`reply`]. A panic
/// of the handler ends the loop.
///
/// The loop ends when the handler returns `Break`, or when the last client is gone and the queue is
/// empty.
///
/// [`Builder`] has more options: a name, a bounded queue, pools, and a
/// [watchdog](Builder::watchdog). [Timers](crate::timer) are armed in [`Service::init`].
/// [Restarts](Builder::on_panic) need a factory: see [`spawn_with`](Builder::spawn_with).
///
/// ```
/// use ump_server::thread;
///
/// let (client, _) = thread::serve(thread::answer(|n: u32| n.checked_add(1).ok_or("too large")));
/// assert_eq!(client.req(1), Ok(2));
/// ```
///
/// # Panics
/// Panics if the system refuses the thread, like [`std::thread::spawn`] ([`Builder::serve`] returns
/// an error instead).
pub fn serve<H, Shape>(
    handler: H,
) -> (
    Client<H::Request, H::Reply, H::Error>,
    JoinHandle<H::Output>,
)
where
    H: IntoService<Shape> + Send + 'static,
{
    match Builder::new().serve(handler) {
        Ok(ends) => ends,
        Err(error) => panic!("{error}"),
    }
}

/// Runs a handler that is built with a client of its loop: [`serve`] in the shape of the published
/// `ump-server` 0.4.
///
/// **The handler must not keep a clone of that client.** Otherwise the loop never sees its last
/// client go, and [joining](JoinHandle::join) it waits for ever. The handler keeps
/// [`client.weak()`](Client::weak) instead.
///
/// The loop is named after the handler's type. It ends when the handler returns `Break` or panics,
/// or when the last client is gone and the queue is empty. [`Builder`] has more options: bounded
/// queues, pools, and, by [`spawn_with`](Builder::spawn_with), [timers](crate::timer) and
/// [restarts](Builder::on_panic).
///
/// With the feature `watchdog`, a call that keeps control for more than 200 ms is reported, as in
/// the published crate: as a `tracing` event or, without the feature `tracing`, on standard error.
/// A [`Builder`] has [`watchdog`](Builder::watchdog) instead.
///
/// # Errors
/// Returns the error of the closure. There is no loop then.
///
/// # Panics
/// Panics if the system refuses the thread, like [`std::thread::spawn`] ([`Builder::serve`] returns
/// an error instead), or if `build` panics.
pub fn spawn<S, R, E, RV, H>(
    build: impl FnOnce(&Client<S, R, E>) -> Result<H, E>,
) -> Result<(Client<S, R, E>, JoinHandle<RV>), E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    RV: Send + 'static,
    H: Handler<S, R, E, RV> + Send + 'static,
{
    Builder::new()
        .with_published_defaults()
        .spawn::<H, ByParameters<S, R, E, RV, ()>>(build)
        .map_err(|error| match error {
            SpawnError::Handler(error) => error,
            other => panic!("{}", other.without_handler()),
        })
}
