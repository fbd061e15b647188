//! Loops on tasks of a tokio runtime.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::ops::ControlFlow;
//! use ump_server::{ReplyContext, task::{Handler, spawn}};
//!
//! /// Answers a little later.
//! struct Patient;
//!
//! impl Handler<u64, u64, ()> for Patient {
//!     async fn proc_req(&mut self, msg: u64, rctx: ReplyContext<'_, u64, ()>) -> ControlFlow<()> {
//!         tokio::task::yield_now().await;
//!         let _ = rctx.reply(msg + 1); // perhaps the caller has left
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

mod builder;
mod call;
mod caught;
mod loop_waker;
mod run;
#[cfg(feature = "tokio-time")]
mod runtime_clock;
mod service;
mod sleep;
mod timeout;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, ready},
    ops::ControlFlow,
};

use ump::{Client, WeakClient};

pub use self::{
    builder::Builder,
    service::{ByParameters, ByTypes, HandlerService, IntoService, Service},
    timeout::OnTimeout,
};
#[cfg(feature = "tokio-time")]
pub use runtime_clock::runtime_clock;

use crate::{JoinHandle, ReplyContext, worker::spawn_error::SpawnError};

/// What a loop on a task does with what happens to it. One thing at a time: while one call waits
/// the others do.
///
/// The methods are written as `async fn`; nothing is boxed. `S` is asked and `R` answered, `E` is
/// the application's error; `RV` is what the loop ends with when the handler breaks off, and `T`
/// what its timers carry.
///
/// A closure is a handler, too, with a context of its own to answer with; [`answer`] makes one of a
/// closure that just answers.
///
/// A call that awaits requests which would wait for itself, and nothing else, is told so: see
/// [`WouldDeadlock`](ump::RequestError::WouldDeadlock). It is polled when one of its own wakers has
/// been woken, and not when its loop was for another reason.
///
/// # Cancel safety
/// A call is dropped where it waits if its loop is told to [abort](crate::Stop::Abort), if it takes
/// longer than its loop [allows](Builder::request_timeout), or if the runtime is shut down. Its
/// caller gets [`NoReply::Aborted`](ump::NoReply::Aborted) or
/// [`NoReply::TimedOut`](ump::NoReply::TimedOut).
pub trait Handler<S, R, E, RV: Send = (), T: Send = ()> {
    /// Called before anything else, once for each handler. The client is weak, as a handler that
    /// keeps a strong client of its own loop keeps that from ending when all others are gone.
    #[allow(unused_variables)]
    fn init(&mut self, weak_client: WeakClient<S, R, E>) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Called for each request. `Break` ends the loop, with what is in it.
    fn proc_req(
        &mut self,
        msg: S,
        rctx: ReplyContext<'_, R, E>,
    ) -> impl Future<Output = ControlFlow<RV>> + Send;

    /// What to call this request in what the [watchdog](Builder::watchdog), traces and metrics say.
    /// The name of the message's type, if it is not overridden; for a message that is an enum
    /// rather the name of its variant. There should be few of them: each is a series of numbers.
    #[allow(unused_variables)]
    fn kind(&self, msg: &S) -> &'static str {
        std::any::type_name::<S>()
    }

    /// Called when a timer is due, with what it carries. `Break` ends the loop.
    #[allow(unused_variables)]
    fn on_timer(&mut self, token: T) -> impl Future<Output = ControlFlow<RV>> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Called at the end, unless the handler has panicked or is made anew: with what it broke off
    /// with, or `None` if no client is left, the loop was stopped, or another worker of the pool
    /// ended it. Whoever was still queued has been told by then. What it returns is what
    /// [joining](JoinHandle) the loop returns.
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

/// A handler that answers each request with what the closure returns, and goes on until no client
/// is left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (client, _) = ump_server::task::spawn(|_| {
///     Ok(ump_server::task::answer(async |n: u32| n.checked_add(1).ok_or("too large")))
/// })
/// .unwrap();
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

/// A handler that just answers. From [`answer`].
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
        // Perhaps the caller has left.
        let _ = rctx.answer(self.0(msg).await);
        ControlFlow::Continue(())
    }
}

impl<F> fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// A handler that replies to each request with what the closure's future returns: [`answer`] for a
/// server that cannot fail. Its application error is [`Infallible`], of which there is none: so
/// callers need no arm for [`App`](ump::Error::App).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (client, _) = ump_server::task::spawn(|_| Ok(ump_server::task::reply(async |n: u32| n.wrapping_add(1)))).unwrap();
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

/// A handler that just replies. From [`reply`].
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
        // Perhaps the caller has left.
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
/// [`Builder`] offers the rest: a name, a bounded queue, [timers](crate::timer) and
/// [restarts](Builder::on_panic) (which need a factory: [`spawn_with`](Builder::spawn_with)),
/// pools, a [watchdog](Builder::watchdog).
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
/// Outside a tokio runtime ([`Builder::spawn`] returns an error instead).
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
/// Outside a tokio runtime ([`Builder::spawn`] returns an error instead), and if `build` does.
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
