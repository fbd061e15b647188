//! The builder of loops on tasks.

use std::{
    any::type_name,
    convert::Infallible,
    future::Future,
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    task::{self, Poll, Waker},
    time::Duration,
};

use tokio::runtime::Handle;
use ump::{Client, coop};

use super::{
    IntoService, Service,
    loop_waker::LoopWaker,
    run::run,
    sockets,
    timeout::{OnTimeout, RequestLimit},
};
use crate::{
    Context, JoinHandle,
    catch::CatchDrop,
    deadlock::{self, Promise, Responsible},
    worker::lifecycle::{HandlerFactory, Step, Worker},
    worker::options::{Launched, Options, Parts, choose_options},
    worker::question::question,
    worker::spawn_error::SpawnError,
};

/// Builds loops on tasks: [`spawn`](super::spawn) with more options.
///
/// | method | how the handler is made | restarts | timers |
/// |---|---|---|---|
/// | [`serve`](Self::serve) | by the caller | | yes |
/// | [`spawn`](Self::spawn) | by a closure, with a client of the loop | | yes |
/// | [`spawn_with`](Self::spawn_with), [`spawn_pool`](Self::spawn_pool) | by a factory | yes | yes |
///
/// The first handler of each worker is made on the caller's thread. The later ones, after a restart
/// or a renewal, are made on their task, so a factory should not block.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns a loop"]
pub struct Builder {
    options: Options,
    runtime: Option<Handle>,
    limit: RequestLimit,
    budget: Option<u32>,
}

impl Builder {
    /// Creates a builder with the defaults: the loop is named after the handler's type
    /// (`ump-server` if that is a closure), its queue is unbounded, its policy for panics is
    /// [`OnPanic::Stop`](crate::OnPanic::Stop), and it runs on the caller's runtime.
    pub fn new() -> Self {
        Self::default()
    }

    choose_options!();

    /// Sets the runtime that the loop runs on, instead of the caller's. The runtime needs none of
    /// its drivers: one thread, which all loops of the process share, keeps the timers. If the
    /// system refuses that thread, this counts as a panic of the handler. Only a loop with
    /// [sockets](Context::sockets) needs the IO driver (`enable_io`).
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Limits the time that the handler may take for one request, by the loop's clock. The default
    /// is no limit.
    ///
    /// If a call takes longer, it is dropped where it waits. Its caller gets
    /// [`NoReply::TimedOut`](ump::NoReply::TimedOut) (or plain [`NoReply`](ump::Error::NoReply)),
    /// and the loop goes on, unless the time-out [counts as a failure](Self::on_timeout).
    ///
    /// The time begins when the handler is called and ends when the handler returns, not when it
    /// answers: work after the answer counts as well. The limit does not apply to `init`, timers
    /// and `term`. A handler that blocks, or that always finds something ready, is dropped only
    /// when it waits.
    ///
    /// The limit belongs to the server. A caller may have its own
    /// [deadline](ump::Request::timeout), and a handler can see whether that deadline has
    /// [passed](crate::ReplyContext::cancelled). The limit is no deadline for the handler's own
    /// requests: a [cycle](ump::RequestError::WouldDeadlock) of them is reported at once.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limit.timeout = Some(timeout);
        self
    }

    /// Sets what happens to the loop when its handler has taken longer than
    /// [`request_timeout`](Self::request_timeout).
    pub fn on_timeout(mut self, policy: OnTimeout) -> Self {
        self.limit.on_timeout = policy;
        self
    }

    /// Sets how much a worker does in one turn before it lets other tasks run: the number of
    /// requests, of timers, and of results that its handler gets without waiting. The default is
    /// [`coop::BUDGET`], 128.
    ///
    /// With the default, a handler that takes 20 µs keeps other tasks waiting for 2.5 ms. For a
    /// handler that computes for longer, the budget should be smaller. A worker takes at least one
    /// request or timer in each turn, whatever the budget. `u32::MAX` is no limit: then other tasks
    /// on the worker's thread run when the queue is empty. See [`coop`](ump::coop).
    pub fn budget(mut self, results: u32) -> Self {
        self.budget = Some(results);
        self
    }

    /// Runs a handler on a task: [`spawn`](Self::spawn) for a handler that needs no client of its
    /// loop.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ump_server::task::{Builder, reply};
    ///
    /// let (client, _) = Builder::new().name("next").capacity(64).serve(reply(async |n: u32| n + 1))?;
    /// assert_eq!(client.areq(1).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SpawnError`], which has no [`Handler`](SpawnError::Handler) here. If the policy for
    /// panics is a [restart](crate::OnPanic::Restart), the error is
    /// [`NoFactory`](SpawnError::NoFactory).
    pub fn serve<H, Shape>(
        self,
        handler: H,
    ) -> Result<
        (
            Client<H::Request, H::Reply, H::Error>,
            JoinHandle<H::Output>,
        ),
        SpawnError<Infallible>,
    >
    where
        H: IntoService<Shape> + Send + 'static,
    {
        self.spawn(|_| Ok(handler))
            .map_err(SpawnError::without_handler)
    }

    /// Runs a handler on a task. `build` makes the handler on the caller's thread, with a client of
    /// the loop.
    ///
    /// The handler must not keep a clone of that client, which would keep its own loop alive for
    /// ever. It keeps [`client.weak()`](Client::weak) instead.
    ///
    /// # Errors
    /// See [`SpawnError`]. If the policy for panics is a [restart](crate::OnPanic::Restart), the
    /// error is [`NoFactory`](SpawnError::NoFactory).
    ///
    /// # Panics
    /// Panics if `build` panics.
    pub fn spawn<H, Shape>(
        self,
        build: impl FnOnce(&Client<H::Request, H::Reply, H::Error>) -> Result<H, H::Error>,
    ) -> Result<
        (
            Client<H::Request, H::Reply, H::Error>,
            JoinHandle<H::Output>,
        ),
        SpawnError<H::Error>,
    >
    where
        H: IntoService<Shape> + Send + 'static,
    {
        if self.options.restarts() {
            return Err(SpawnError::NoFactory);
        }
        let (tasks, mut parts) = self.prepare(1, false, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let handler = build(&parts.client).map_err(SpawnError::Handler)?;
        drop(making);
        let made = (tasks.worker(&mut parts, 0), handler.into_service());
        let factory =
            |_: &_| -> Result<H::Service, H::Error> { unreachable!("the handler is not rebuilt") };
        tasks.serve(made, factory)?;
        Ok(parts.into_ends())
    }

    /// Runs a handler that `factory` makes, and that can be restarted.
    ///
    /// # Errors
    /// See [`SpawnError`].
    ///
    /// # Panics
    /// Panics if the factory panics when it makes the first handler.
    pub fn spawn_with<H, Shape>(
        self,
        factory: impl FnMut(&Context<H::Request, H::Reply, H::Error, H::Timer>) -> Result<H, H::Error>
        + Send
        + 'static,
    ) -> Result<
        (
            Client<H::Request, H::Reply, H::Error>,
            JoinHandle<H::Output>,
        ),
        SpawnError<H::Error>,
    >
    where
        H: IntoService<Shape> + Send + 'static,
    {
        let (tasks, mut parts) = self.prepare(1, true, type_name::<H>())?;
        let mut factory = factory;
        let mut make = move |cx: &_| factory(cx).map(H::into_service);
        let making = deadlock::watch_making(parts.wait_nodes());
        let worker = tasks.worker(&mut parts, 0);
        let service = make(&worker.0.context).map_err(SpawnError::Handler)?;
        drop(making);
        tasks.serve((worker, service), make)?;
        Ok(parts.into_ends())
    }

    /// Runs a pool of handlers over one queue, each on a task of its own. Each request goes to one
    /// handler.
    ///
    /// The worker that has waited longest is woken first, but a worker that is awake may take the
    /// request before it.
    ///
    /// The pool ends when a handler returns `Break` or fails for good, or when no client is left.
    /// In the first two cases the other handlers finish their requests in hand. Joining the pool
    /// returns the outcome of the first handler that returned `Break` or failed for good. A restart
    /// concerns only the worker whose handler panicked.
    ///
    /// A handler that is `Clone` is its own factory: `move |_| Ok(handler.clone())`.
    ///
    /// # Errors
    /// See [`SpawnError`]. If one worker cannot be made, there is no pool.
    ///
    /// # Panics
    /// Panics if the factory panics when it makes one of the first handlers.
    pub fn spawn_pool<H, Shape>(
        self,
        workers: NonZeroUsize,
        factory: impl Fn(&Context<H::Request, H::Reply, H::Error, H::Timer>) -> Result<H, H::Error>
        + Send
        + Sync
        + 'static,
    ) -> Result<
        (
            Client<H::Request, H::Reply, H::Error>,
            JoinHandle<H::Output>,
        ),
        SpawnError<H::Error>,
    >
    where
        H: IntoService<Shape> + Send + 'static,
    {
        let (tasks, mut parts) = self.prepare(workers.get(), true, type_name::<H>())?;
        let make = Arc::new(move |cx: &_| factory(cx).map(H::into_service));
        // All handlers are made before the first worker starts.
        let making = deadlock::watch_making(parts.wait_nodes());
        let made = (0..workers.get())
            .map(|number| {
                let worker = tasks.worker(&mut parts, number);
                let service = make(&worker.0.context).map_err(SpawnError::Handler)?;
                Ok((worker, service))
            })
            .collect::<Result<Vec<_>, SpawnError<H::Error>>>()?;
        drop(making);
        for made in made {
            let make = Arc::clone(&make);
            tasks.serve(made, move |cx: &_| make(cx))?;
        }
        Ok(parts.into_ends())
    }

    /// Starts a loop or a pool whose handlers are made on their tasks, and does not wait until they
    /// are made.
    pub(crate) fn launch<H, Shape, X>(
        self,
        workers: NonZeroUsize,
        factory: impl Fn(&Context<H::Request, H::Reply, H::Error, H::Timer>) -> Result<H, X>
        + Send
        + Sync
        + 'static,
    ) -> Result<Launched<H::Request, H::Reply, H::Error, H::Output, X>, SpawnError<X>>
    where
        H: IntoService<Shape> + Send + 'static,
        X: Send + 'static,
    {
        let (tasks, mut parts) = self.prepare(workers.get(), true, type_name::<H>())?;
        let factory = Arc::new(factory);
        let replies = (0..workers.get())
            .map(|number| {
                let worker = tasks.worker(&mut parts, number);
                let factory = Arc::clone(&factory);
                let (tell_made, reply) = question();
                let made = Promise::new(tell_made, &worker.0.wait_node, Responsible::One(number));
                let handler_factory = HandlerFactory {
                    factory: CatchDrop::new(move |cx: &_| factory(cx).map(H::into_service)),
                    made: Some(made),
                };
                tasks.start(worker, handler_factory, Step::Make)?;
                Ok(reply)
            })
            .collect::<Result<_, SpawnError<X>>>()?;
        Ok(parts.launched(replies))
    }

    /// Splits the builder into the starter of the tasks and the parts that the workers share.
    fn prepare<S, R, E, RV, X>(
        self,
        workers: usize,
        has_factory: bool,
        handler: &'static str,
    ) -> Result<(Tasks, Parts<S, R, E, RV>), SpawnError<X>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let tasks = Tasks {
            runtime: self.runtime_or_current()?,
            limit: self.limit,
            budget: self.budget.unwrap_or(coop::BUDGET),
        };
        let parts = self.options.parts(workers, has_factory, handler)?;
        Ok((tasks, parts))
    }

    fn runtime_or_current<E>(&self) -> Result<Handle, SpawnError<E>> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.clone()),
            None => Handle::try_current().map_err(|_| SpawnError::NoRuntime),
        }
    }
}

/// Starts the tasks of a loop.
struct Tasks {
    runtime: Handle,
    limit: RequestLimit,
    budget: u32,
}

/// A worker, and the waker of its task for timers that are armed elsewhere.
type NewWorker<S, R, E, RV, T> = (Worker<S, R, E, RV, T>, Arc<LoopWaker>);

impl Tasks {
    /// Starts a worker whose first handler is made. `factory` makes the later handlers.
    fn serve<S, R, E, RV, T, H, X>(
        &self,
        (worker, handler): (NewWorker<S, R, E, RV, T>, H),
        factory: impl FnMut(&Context<S, R, E, T>) -> Result<H, X> + Send + 'static,
    ) -> Result<(), SpawnError<X>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T> + Send + 'static,
        X: Send + 'static,
    {
        let handler_factory = HandlerFactory {
            factory: CatchDrop::new(factory),
            made: None,
        };
        self.start(worker, handler_factory, Step::serve(handler))
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// Returns [`SpawnError::RuntimeShutDown`] if the runtime has been shut down.
    fn start<S, R, E, RV, T, H, X, Y>(
        &self,
        (worker, loop_waker): NewWorker<S, R, E, RV, T>,
        handler_factory: HandlerFactory<
            impl FnMut(&Context<S, R, E, T>) -> Result<H, X> + Send + 'static,
            X,
        >,
        step: Step<H, RV>,
    ) -> Result<(), SpawnError<Y>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T> + Send + 'static,
        X: Send + 'static,
    {
        let mut task = self.runtime.spawn(run(
            worker,
            loop_waker,
            self.budget,
            handler_factory,
            step,
            self.limit,
        ));
        // A runtime that has been shut down drops the task at once.
        let is_over = task.is_finished();
        let mut cx = task::Context::from_waker(Waker::noop());
        match pin!(&mut task).poll(&mut cx) {
            Poll::Ready(Err(error)) if is_over && error.is_cancelled() => {
                Err(SpawnError::RuntimeShutDown)
            }
            _ => Ok(()),
        }
    }

    /// Creates the next worker.
    fn worker<S, R, E, RV, T>(
        &self,
        parts: &mut Parts<S, R, E, RV>,
        number: usize,
    ) -> NewWorker<S, R, E, RV, T>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let loop_waker = Arc::new(LoopWaker::default());
        sockets::attach(parts.reactor(), &self.runtime, &loop_waker);
        let waking = Arc::clone(&loop_waker);
        (parts.worker(number, move || waking.wake()), loop_waker)
    }
}
