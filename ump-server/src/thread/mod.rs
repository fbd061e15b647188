//! Loops on threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use ump_server::{ReplyContext, thread::{Handler, spawn}};
//!
//! /// Adds up what it is sent, and can be told to end.
//! struct Adder(u64);
//!
//! impl Handler<Option<u64>, u64, (), u64> for Adder {
//!     fn proc_req(&mut self, msg: Option<u64>, rctx: ReplyContext<u64, ()>) -> ControlFlow<u64> {
//!         let Some(n) = msg else {
//!             return ControlFlow::Break(self.0);
//!         };
//!         self.0 += n;
//!         let _ = rctx.reply(self.0); // perhaps the caller has left
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
mod builder;
mod run;
mod service;
mod work;

use std::{convert::Infallible, ops::ControlFlow};

use ump::{Client, WeakClient};

pub use batch::{Batch, BatchService};
pub use builder::Builder;
pub use service::{ByParameters, ByTypes, HandlerService, IntoService, Service};

use crate::{JoinHandle, ReplyContext, worker::spawn_error::SpawnError};

/// What a loop on a thread does with what happens to it. One thing at a time.
///
/// `S` is asked and `R` answered, `E` is the application's error; `RV` is what the loop ends with
/// when the handler breaks off, and `T` what its timers carry.
///
/// A closure is a handler, too; [`answer`] makes one of a closure that just answers, [`reply`] one
/// of a closure that cannot fail.
pub trait Handler<S, R, E, RV = (), T = ()> {
    /// Called on the loop's thread before anything else, once for each handler. The client is weak,
    /// as a handler that keeps a strong client of its own loop keeps that from ending when all
    /// others are gone.
    #[allow(unused_variables)]
    fn init(&mut self, weak_client: WeakClient<S, R, E>) {}

    /// Called for each request. `Break` ends the loop, with what is in it.
    fn proc_req(&mut self, msg: S, rctx: ReplyContext<'_, R, E>) -> ControlFlow<RV>;

    /// What to call this request in what the [watchdog](Builder::watchdog), traces and metrics say.
    /// The name of the message's type, if it is not overridden; for a message that is an enum
    /// rather the name of its variant. There should be few of them: each is a series of numbers.
    #[allow(unused_variables)]
    fn kind(&self, msg: &S) -> &'static str {
        std::any::type_name::<S>()
    }

    /// Called when a timer is due, with what it carries. `Break` ends the loop.
    #[allow(unused_variables)]
    fn on_timer(&mut self, token: T) -> ControlFlow<RV> {
        ControlFlow::Continue(())
    }

    /// Called at the end, unless the handler has panicked or is made anew: with what it broke off
    /// with, or `None` if no client is left, the loop was stopped, or another worker of the pool
    /// ended it. Whoever was still queued has been told by then. What it returns is what
    /// [joining](JoinHandle::join) the loop returns.
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

/// A handler that answers each request with what the closure returns, and goes on until no client
/// is left.
///
/// ```
/// let (client, _) = ump_server::thread::spawn(|_| {
///     Ok(ump_server::thread::answer(|n: u32| n.checked_add(1).ok_or("too large")))
/// })
/// .unwrap();
/// assert_eq!(client.req(1), Ok(2));
/// assert_eq!(client.req(u32::MAX), Err(ump::Error::App("too large")));
/// ```
pub fn answer<S, R, E>(
    mut f: impl FnMut(S) -> Result<R, E>,
) -> impl FnMut(S, ReplyContext<'_, R, E>) -> ControlFlow<()> {
    move |msg, rctx| {
        // Perhaps the caller has left.
        let _ = rctx.answer(f(msg));
        ControlFlow::Continue(())
    }
}

/// A handler that replies to each request with what the closure returns: [`answer`] for a server
/// that cannot fail.
///
/// Its application error is [`Infallible`], of which there is none: so callers need no arm for
/// [`App`](ump::Error::App).
///
/// ```
/// use ump_server::{Error, thread};
///
/// let (client, _) = thread::spawn(|_| Ok(thread::reply(|n: u32| n.wrapping_add(1)))).unwrap();
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
        // Perhaps the caller has left.
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
/// [`Builder`] offers the rest: a name, a bounded queue, [timers](crate::timer) and
/// [restarts](Builder::on_panic) (which need a factory: [`spawn_with`](Builder::spawn_with)),
/// pools, a [watchdog](Builder::watchdog).
///
/// ```
/// use ump_server::thread;
///
/// let (client, _) = thread::serve(thread::answer(|n: u32| n.checked_add(1).ok_or("too large")));
/// assert_eq!(client.req(1), Ok(2));
/// ```
///
/// # Panics
/// If the system refuses the thread, like [`std::thread::spawn`] ([`Builder::spawn`] returns an
/// error instead).
pub fn serve<H, Shape>(
    handler: H,
) -> (
    Client<H::Request, H::Reply, H::Error>,
    JoinHandle<H::Output>,
)
where
    H: IntoService<Shape, Timer = ()> + Send + 'static,
{
    match Builder::new().spawn(|_| Ok(handler)) {
        Ok(ends) => ends,
        Err(error) => panic!("{}", error.without_handler()),
    }
}

/// Runs a handler that is built with a client at hand: [`serve`] in the shape of the published
/// `ump-server` 0.4.
///
/// **The handler must not keep a clone of that client**: the loop would never see its last client
/// go, and [joining](JoinHandle::join) it would wait for ever. It keeps
/// [`client.weak()`](Client::weak) instead.
///
/// The loop is named after the handler's type. It ends when the handler returns `Break`, or when
/// the last client is gone and the queue is empty; a panic of the handler ends it as well.
/// [`Builder`] has the rest: [timers](crate::timer) and [restarts](Builder::on_panic) by
/// [`spawn_with`](Builder::spawn_with), bounded queues, pools.
///
/// With the feature `watchdog`, a call that keeps control for more than 200 ms is reported as a
/// `tracing` event or, without that feature, on standard error, as the published crate does. A
/// [`Builder`] has [`watchdog`](Builder::watchdog) instead.
///
/// # Errors
/// Returns the error of the closure; then there is no loop.
///
/// # Panics
/// If the system refuses the thread, like [`std::thread::spawn`] ([`Builder::spawn`] returns an
/// error instead), and if `build` does.
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
