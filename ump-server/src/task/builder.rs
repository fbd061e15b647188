//! What can be chosen of a loop on a task.

use std::{
    any::type_name,
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

/// Makes loops on tasks: [`spawn`](super::spawn) with more to choose from.
///
/// | | the handler is made | it can be restarted | it has timers |
/// |---|---|---|---|
/// | [`spawn`](Self::spawn) | with a client at hand | | |
/// | [`spawn_with`](Self::spawn_with), [`spawn_pool`](Self::spawn_pool) | by a factory | yes | yes |
///
/// Handlers are made by the caller, but for those that are made anew: these are made on their task,
/// so a factory should not block.
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a loop when it is told to spawn one"]
pub struct Builder {
    options: Options,
    runtime: Option<Handle>,
    limit: RequestLimit,
    budget: Option<u32>,
}

impl Builder {
    /// Named after the handler's type (`ump-server` if that is a closure), an unbounded queue,
    /// [`OnPanic::Stop`](crate::OnPanic::Stop), and on the runtime of the caller.
    pub fn new() -> Self {
        Self::default()
    }

    choose_options!();

    /// On this runtime rather than on that of the caller. It needs none of its drivers: the loop's
    /// timers have a thread of their own, one for the process, and should the system refuse that,
    /// it counts as a panic of the handler.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long its handler may take for one request, by the loop's clock; otherwise as long as it
    /// takes. What takes longer is dropped where it waits, its caller gets
    /// [`NoReply::TimedOut`](ump::NoReply::TimedOut) (or plain [`NoReply`](ump::Error::NoReply)),
    /// and the loop goes on, or it [counts as a failure](Self::on_timeout).
    ///
    /// The time begins when the handler is called and ends when it returns, not when it answers:
    /// what it does afterwards counts as well. It is of no concern to `init`, timers and `term`. A
    /// handler that blocks, or that always finds something ready, is dropped only when it waits.
    ///
    /// The limit belongs to the server; a caller may have its own
    /// [deadline](ump::Request::timeout), and a handler can see that that has
    /// [passed](crate::ReplyContext::cancelled). It is not a deadline for what the handler asks: a
    /// [cycle](ump::RequestError::WouldDeadlock) is told at once.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limit.timeout = Some(timeout);
        self
    }

    /// What becomes of the loop when its handler has taken longer than
    /// [`request_timeout`](Self::request_timeout).
    pub fn on_timeout(mut self, policy: OnTimeout) -> Self {
        self.limit.on_timeout = policy;
        self
    }

    /// How much a worker does in one turn before it lets other tasks run: so many requests and
    /// timers, and results that its handler gets without waiting. [`coop::BUDGET`], 128, if nothing
    /// else is said.
    ///
    /// A handler that takes 20 µs keeps other tasks waiting for 2.5 ms; for one that computes for
    /// longer it should be less. One at least: it takes what is next in any case. `u32::MAX` is no
    /// limit: then other tasks on its thread run when the queue is empty. See [`coop`](ump::coop).
    pub fn budget(mut self, results: u32) -> Self {
        self.budget = Some(results);
        self
    }

    /// Runs a handler that is built with a client at hand.
    ///
    /// The handler must not keep a clone of that client, which would keep its own loop going for
    /// ever, but [`client.weak()`](Client::weak).
    ///
    /// # Errors
    /// See [`SpawnError`]. [`NoFactory`](SpawnError::NoFactory) if a panic is to be followed by a
    /// [restart](crate::OnPanic::Restart).
    ///
    /// # Panics
    /// If `build` does.
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
        H: IntoService<Shape, Timer = ()> + Send + 'static,
    {
        if self.options.restarts() {
            return Err(SpawnError::NoFactory);
        }
        let (tasks, mut parts) = self.prepare(1, false, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let handler = build(&parts.client).map_err(SpawnError::Handler)?;
        drop(making);
        let made = (worker(&mut parts, 0), handler.into_service());
        let factory = |_: &_| -> Result<H::Service, H::Error> { unreachable!("it is made once") };
        tasks.serve(made, factory)?;
        Ok(parts.into_ends())
    }

    /// Runs a handler that is made by a factory, and can be restarted.
    ///
    /// # Errors
    /// See [`SpawnError`].
    ///
    /// # Panics
    /// If the factory does when it makes the first handler.
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
        let worker = worker(&mut parts, 0);
        let service = make(&worker.0.context).map_err(SpawnError::Handler)?;
        drop(making);
        tasks.serve((worker, service), make)?;
        Ok(parts.into_ends())
    }

    /// Runs several handlers on a task each, over one queue: each request goes to one of them. Who
    /// has waited longest is woken first, but one that is awake may be quicker.
    ///
    /// The pool ends when one of its handlers breaks off or fails for good (the others finish what
    /// they have in hand), or when no client is left. The first one that breaks off or fails for
    /// good says what joining it returns. A restart concerns only the worker whose handler
    /// panicked.
    ///
    /// A handler that is `Clone` is its own factory: `move |_| Ok(handler.clone())`.
    ///
    /// # Errors
    /// See [`SpawnError`]; if one worker cannot be made there is no pool.
    ///
    /// # Panics
    /// If the factory does when it makes one of the first handlers.
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
        // All are made before one is started.
        let making = deadlock::watch_making(parts.wait_nodes());
        let made = (0..workers.get())
            .map(|number| {
                let worker = worker(&mut parts, number);
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

    /// Has a loop or a pool made on its tasks, and does not wait for its handlers.
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
                let worker = worker(&mut parts, number);
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

    /// Separates what its tasks are started with from what the workers share.
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

/// A worker, and what wakes it when a timer is armed elsewhere.
type NewWorker<S, R, E, RV, T> = (Worker<S, R, E, RV, T>, Arc<LoopWaker>);

impl Tasks {
    /// Starts a worker whose first handler is made. `factory` makes the next ones.
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
    /// The runtime has been shut down.
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
        // A runtime that is shut down drops it at once.
        let is_over = task.is_finished();
        let mut cx = task::Context::from_waker(Waker::noop());
        match pin!(&mut task).poll(&mut cx) {
            Poll::Ready(Err(error)) if is_over && error.is_cancelled() => {
                Err(SpawnError::RuntimeShutDown)
            }
            _ => Ok(()),
        }
    }
}

fn worker<S, R, E, RV, T>(
    parts: &mut Parts<S, R, E, RV>,
    number: usize,
) -> NewWorker<S, R, E, RV, T>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let loop_waker = Arc::new(LoopWaker::default());
    let waking = Arc::clone(&loop_waker);
    (parts.worker(number, move || waking.wake()), loop_waker)
}
