//! Loops on tasks of a tokio runtime.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::ops::ControlFlow;
//! use ump_server::{ReplyContext, task::{Handler, spawn}};
//!
//! /// Answers after it has yielded once.
//! struct Patient;
//!
//! impl Handler<u64, u64, ()> for Patient {
//!     async fn proc_req(&mut self, msg: u64, rctx: ReplyContext<'_, u64, ()>) -> ControlFlow<()> {
//!         tokio::task::yield_now().await;
//!         let _ = rctx.reply(msg + 1); // an error if the caller has left
//!         ControlFlow::Continue(())
//!     }
//! }
//!
//! let (client, handle) = spawn(|_client| Ok(Patient)).unwrap();
//! assert_eq!(client.areq(1).await, Ok(2));
//! drop(client);
//! assert_eq!(handle.await, Ok(None));
//! # }
//! ```

mod alternation;
mod builder;
mod call;
mod caught;
mod loop_waker;
mod run;
#[cfg(feature = "tokio-time")]
mod runtime_clock;
mod service;
mod sleep;
#[cfg_attr(
    not(all(feature = "net", feature = "tokio-net", unix)),
    path = "no_sockets.rs"
)]
mod sockets;
mod timeout;
mod waiting;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending, ready},
    ops::ControlFlow,
};

use ump::{Client, WeakClient};

pub use self::{
    builder::Builder,
    service::{IntoService, Service},
    timeout::OnTimeout,
};
#[cfg(feature = "tokio-time")]
pub use runtime_clock::runtime_clock;

pub use crate::worker::handler_shape::{ByParameters, ByTypes, HandlerService};
use crate::{JoinHandle, ReplyContext, worker::spawn_error::SpawnError};

/// Handles the requests and timers of a loop on a task, one at a time: while one call waits, the
/// others wait as well.
///
/// The methods are written as `async fn`s, and nothing is boxed. `S` is the request, `R` the reply,
/// and `E` the application's error. `RV` is the value that ends the loop when the handler returns
/// `Break`. `T` is the token of the loop's timers.
///
/// A closure is a handler, too: it gets an owned [`ump::ReplyContext`] to answer with. [`answer`]
/// makes a handler of a closure that returns a result, and [`reply`] makes one of a closure that
/// cannot fail.
///
/// If a call awaits only requests that would wait for the call itself, it gets
/// [`WouldDeadlock`](ump::RequestError::WouldDeadlock). The loop polls a call when one of the
/// call's own wakers has been woken, and not when the loop's task has been woken for another
/// reason.
///
/// # Cancel safety
/// A call is dropped where it waits if its loop is [aborted](crate::Stop::Abort), if it takes
/// longer than its loop [allows](Builder::request_timeout), or if the runtime is shut down. Its
/// caller gets [`NoReply::Aborted`](ump::NoReply::Aborted) or
/// [`NoReply::TimedOut`](ump::NoReply::TimedOut).
pub trait Handler<S, R, E, RV: Send = (), T: Send = ()> {
    /// Prepares the handler. Called once for each handler, before anything else.
    ///
    /// The client is weak: a handler that keeps a strong client of its own loop keeps the loop from
    /// ending.
    #[allow(unused_variables)]
    fn init(&mut self, weak_client: WeakClient<S, R, E>) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Handles a request. `Break` ends the loop with its value.
    fn proc_req(
        &mut self,
        msg: S,
        rctx: ReplyContext<'_, R, E>,
    ) -> impl Future<Output = ControlFlow<RV>> + Send;

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
    fn on_timer(&mut self, token: T) -> impl Future<Output = ControlFlow<RV>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Waits for something beside requests and timers, such as a socket of the runtime that is
    /// ready. When it resolves, the loop calls [`on_ready`](Self::on_ready). The default never
    /// resolves. See [`Service::ready`], which has an example.
    ///
    /// # Cancel safety
    /// The future is dropped when a request or a timer comes first, so it has to be cancel safe.
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Handles what [`ready`](Self::ready) has waited for. `Break` ends the loop with its value.
    fn on_ready(&mut self) -> impl Future<Output = ControlFlow<RV>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Handles an event of a socket that this handler has registered. `Break` ends the loop with
    /// its value. Requires the features `net` and `tokio-net`. See [`Service::on_socket`].
    #[cfg(all(feature = "net", feature = "tokio-net", unix))]
    #[allow(unused_variables)]
    fn on_socket(
        &mut self,
        event: crate::net::Event,
    ) -> impl Future<Output = ControlFlow<RV>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Cleans up at the end of the loop. Returns the value that [joining](JoinHandle) the loop
    /// returns.
    ///
    /// `rv` is the value of `Break`. It is `None` if no client is left, the loop was stopped, or
    /// another worker of the pool ended it. The callers of requests that were still queued have got
    /// their error by then. This method is not called if the handler has panicked or is rebuilt.
    fn term(&mut self, rv: Option<RV>) -> impl Future<Output = Option<RV>> + Send {
        ready(rv)
    }
}

impl<S, R, E, RV, F, A> Handler<S, R, E, RV> for F
where
    RV: Send,
    F: FnMut(S, ump::ReplyContext<R, E>) -> A,
    A: Future<Output = ControlFlow<RV>> + Send,
{
    fn proc_req(
        &mut self,
        msg: S,
        rctx: ReplyContext<'_, R, E>,
    ) -> impl Future<Output = ControlFlow<RV>> + Send {
        // A future that a closure returns cannot borrow from the call.
        self(msg, rctx.detach())
    }
}

/// Creates a handler that answers each request with the result of a closure's future, until no
/// client is left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use ump_server::task;
///
/// let (client, _) = task::serve(task::answer(async |n: u32| n.checked_add(1).ok_or("too large")));
/// assert_eq!(client.areq(1).await, Ok(2));
/// # }
/// ```
pub fn answer<S, F, A>(f: F) -> Answer<F>
where
    F: FnMut(S) -> A,
    A: Future,
{
    Answer(f)
}

/// A handler that answers with the result of a closure's future. Made by [`answer`].
#[derive(Clone)]
pub struct Answer<F>(F);

impl<S, R, E, F, A> Handler<S, R, E> for Answer<F>
where
    S: Send,
    R: Send,
    E: Send,
    F: FnMut(S) -> A + Send,
    A: Future<Output = Result<R, E>> + Send,
{
    async fn proc_req(&mut self, msg: S, rctx: ReplyContext<'_, R, E>) -> ControlFlow<()> {
        // An error means that the caller has left.
        let _ = rctx.answer(self.0(msg).await);
        ControlFlow::Continue(())
    }
}

impl<F> fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// Creates a handler that replies to each request with the value of a closure's future: [`answer`]
/// for a server that cannot fail.
///
/// Its application error is [`Infallible`], which has no values, so callers need no arm for
/// [`App`](ump::Error::App).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ump_server::task;
///
/// let (client, _) = task::serve(task::reply(async |n: u32| n.wrapping_add(1)));
/// assert_eq!(client.areq(1).await, Ok(2));
/// # }
/// ```
pub fn reply<F, S, A>(f: F) -> Reply<F>
where
    F: FnMut(S) -> A,
    A: Future,
{
    Reply(f)
}

/// A handler that replies with the value of a closure's future. Made by [`reply`].
#[derive(Clone)]
pub struct Reply<F>(F);

impl<S, R, F, A> Handler<S, R, Infallible> for Reply<F>
where
    S: Send,
    R: Send,
    F: FnMut(S) -> A + Send,
    A: Future<Output = R> + Send,
{
    async fn proc_req(&mut self, msg: S, rctx: ReplyContext<'_, R, Infallible>) -> ControlFlow<()> {
        // An error means that the caller has left.
        let _ = rctx.reply(self.0(msg).await);
        ControlFlow::Continue(())
    }
}

impl<F> fmt::Debug for Reply<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// Runs a handler on a task of its own, behind an unbounded channel.
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
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use ump_server::task;
///
/// let (client, _) = task::serve(task::answer(async |n: u32| n.checked_add(1).ok_or("too large")));
/// assert_eq!(client.areq(1).await, Ok(2));
/// # }
/// ```
///
/// # Panics
/// Panics outside a tokio runtime ([`Builder::serve`] returns an error instead).
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
/// Panics outside a tokio runtime ([`Builder::spawn`] returns an error instead), or if `build`
/// panics.
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
