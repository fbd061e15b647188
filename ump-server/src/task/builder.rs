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
    Handler,
    loop_waker::LoopWaker,
    run::run,
    timeout::{OnTimeout, RequestLimit},
};
use crate::{
    Context, JoinHandle,
    catch::CatchDrop,
    deadlock::{self, Promise, Responsible},
    worker::join::question,
    worker::lifecycle::{HandlerFactory, Step, Worker},
    worker::options::{Launched, Options, Parts, choose_options},
    worker::spawn_error::SpawnError,
};

/// Makes loops on tasks: [`spawn`](super::spawn) with more to choose from.
///
/// | | the handler is made | it can be restarted | it has timers |
/// |---|---|---|---|
/// | [`spawn`](Self::spawn) | with a client at hand | | |
/// | [`spawn_with`](Self::spawn_with), [`spawn_pool`](Self::spawn_pool) | by a factory | yes | yes |
///
/// Handlers are made by the caller, but for those that are made anew: these are made on their task, so a factory should not block.
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a loop when it is told to spawn one"]
pub struct Builder {
    options: Options,
    runtime: Option<Handle>,
    limit: RequestLimit,
    budget: Option<u32>,
}

impl Builder {
    /// Named after the handler's type (`ump-server` if that is a closure), an unbounded queue, [`OnPanic::Stop`](crate::OnPanic::Stop), and on the runtime of the caller.
    pub fn new() -> Self {
        Self::default()
    }

    choose_options!();

    /// On this runtime rather than on that of the caller. It needs none of its drivers: the loop's timers have a thread of their own, one for the process, and should the
    /// system refuse that, it counts as a panic of the handler.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long its handler may take for one request, by the loop's clock; otherwise as long as it takes. What takes longer is dropped where it waits, its
    /// caller gets [`NoReply::TimedOut`](ump::NoReply::TimedOut) (or plain [`NoReply`](ump::Error::NoReply)), and the loop goes on, or it
    /// [counts as a failure](Self::on_timeout).
    ///
    /// The time begins when the handler is called and ends when it returns, not when it answers: what it does afterwards counts as well. It is of no
    /// concern to `init`, timers and `term`. A handler that blocks, or that always finds something ready, is dropped only when it waits.
    ///
    /// The limit belongs to the server; a caller may have its own [deadline](ump::Request::timeout), and a handler can see that that has
    /// [passed](crate::ReplyContext::cancelled). It is not a deadline for what the handler asks: a [circle](ump::RequestError::WouldDeadlock) is told at once.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limit.timeout = Some(timeout);
        self
    }

    /// What becomes of the loop when its handler has taken longer than [`request_timeout`](Self::request_timeout).
    pub fn on_timeout(mut self, policy: OnTimeout) -> Self {
        self.limit.on_timeout = policy;
        self
    }

    /// How much a worker does in one turn before it lets other tasks run: so many requests and timers, and results that its handler gets without waiting.
    /// [`coop::BUDGET`], 128, if nothing else is said.
    ///
    /// A handler that takes 20 µs keeps other tasks waiting for 2.5 ms; for one that computes for longer it should be less. One at least: it takes what is next in
    /// any case. `u32::MAX` is no limit: then other tasks on its thread run when the queue is empty. See [`coop`](ump::coop).
    pub fn budget(mut self, results: u32) -> Self {
        self.budget = Some(results);
        self
    }

    /// Runs a handler that is built with a client at hand.
    ///
    /// The handler must not keep a clone of that client, which would keep its own loop going for ever, but [`client.weak()`](Client::weak).
    ///
    /// # Errors
    /// See [`SpawnError`]. [`NoFactory`](SpawnError::NoFactory) if a panic is to be followed by a [restart](crate::OnPanic::Restart).
    ///
    /// # Panics
    /// If `build` does.
    pub fn spawn<S, R, E, RV, H>(
        self,
        build: impl FnOnce(&Client<S, R, E>) -> Result<H, E>,
    ) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<E>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        H: Handler<S, R, E, RV> + Send + 'static,
    {
        if self.options.restarts() {
            return Err(SpawnError::NoFactory);
        }
        let runtime = self.runtime_or_current()?;
        let limit = self.limit;
        let budget = self.budget.unwrap_or(coop::BUDGET);
        let mut parts = self
            .options
            .parts::<_, _, _, _, E>(1, false, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let handler = build(&parts.client).map_err(SpawnError::Handler)?;
        drop(making);
        let (worker, loop_waker) = worker::<_, _, _, _, ()>(&mut parts, 0);
        let factory = |_: &Context<S, R, E>| -> Result<H, E> { unreachable!("it is made once") };
        let looped = run(
            worker,
            loop_waker,
            budget,
            anew(factory),
            Step::serve(handler),
            limit,
        );
        start(&runtime, looped)?;
        Ok(parts.into_ends())
    }

    /// Runs a handler that is made by a factory, and can be restarted.
    ///
    /// # Errors
    /// See [`SpawnError`].
    ///
    /// # Panics
    /// If the factory does when it makes the first handler.
    pub fn spawn_with<S, R, E, RV, T, H>(
        self,
        factory: impl FnMut(&Context<S, R, E, T>) -> Result<H, E> + Send + 'static,
    ) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<E>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Handler<S, R, E, RV, T> + Send + 'static,
    {
        let runtime = self.runtime_or_current()?;
        let limit = self.limit;
        let budget = self.budget.unwrap_or(coop::BUDGET);
        let mut parts = self
            .options
            .parts::<_, _, _, _, E>(1, true, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let (worker, loop_waker) = worker(&mut parts, 0);
        let mut factory = factory;
        let handler = factory(&worker.context).map_err(SpawnError::Handler)?;
        drop(making);
        let looped = run(
            worker,
            loop_waker,
            budget,
            anew(factory),
            Step::serve(handler),
            limit,
        );
        start(&runtime, looped)?;
        Ok(parts.into_ends())
    }

    /// Runs several handlers on a task each, over one queue: each request goes to one of them. Who has waited longest is woken first, but one that is
    /// awake may be quicker.
    ///
    /// The pool ends when one of its handlers breaks off or fails for good (the others finish what they have in hand), or when no client is left. The first one
    /// that breaks off or fails for good says what joining it returns. A restart concerns only the worker whose handler panicked.
    ///
    /// A handler that is `Clone` is its own factory: `move |_| Ok(handler.clone())`.
    ///
    /// # Errors
    /// See [`SpawnError`]; if one worker cannot be made there is no pool.
    ///
    /// # Panics
    /// If the factory does when it makes one of the first handlers.
    pub fn spawn_pool<S, R, E, RV, T, H>(
        self,
        workers: NonZeroUsize,
        factory: impl Fn(&Context<S, R, E, T>) -> Result<H, E> + Send + Sync + 'static,
    ) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<E>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Handler<S, R, E, RV, T> + Send + 'static,
    {
        let runtime = self.runtime_or_current()?;
        let limit = self.limit;
        let budget = self.budget.unwrap_or(coop::BUDGET);
        let mut parts =
            self.options
                .parts::<_, _, _, _, E>(workers.get(), true, type_name::<H>())?;
        let factory = Arc::new(factory);
        // All are made before one is started.
        let making = deadlock::watch_making(parts.wait_nodes());
        let made = (0..workers.get())
            .map(|number| {
                let (worker, loop_waker) = worker(&mut parts, number);
                let handler = factory(&worker.context).map_err(SpawnError::Handler)?;
                Ok((worker, loop_waker, handler))
            })
            .collect::<Result<Vec<_>, SpawnError<E>>>()?;
        drop(making);
        for (worker, loop_waker, handler) in made {
            let factory = Arc::clone(&factory);
            let factory = move |cx: &Context<S, R, E, T>| factory(cx);
            let looped = run(
                worker,
                loop_waker,
                budget,
                anew(factory),
                Step::serve(handler),
                limit,
            );
            start(&runtime, looped)?;
        }
        Ok(parts.into_ends())
    }

    /// Has a loop or a pool made on its tasks, and does not wait for its handlers.
    pub(crate) fn launch<S, R, E, RV, T, H, X>(
        self,
        workers: NonZeroUsize,
        factory: impl Fn(&Context<S, R, E, T>) -> Result<H, X> + Send + Sync + 'static,
    ) -> Result<Launched<S, R, E, RV, X>, SpawnError<X>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Handler<S, R, E, RV, T> + Send + 'static,
        X: Send + 'static,
    {
        let runtime = self.runtime_or_current()?;
        let limit = self.limit;
        let budget = self.budget.unwrap_or(coop::BUDGET);
        let mut parts =
            self.options
                .parts::<_, _, _, _, X>(workers.get(), true, type_name::<H>())?;
        let factory = Arc::new(factory);
        let replies = (0..workers.get())
            .map(|number| {
                let (worker, loop_waker) = worker(&mut parts, number);
                let factory = Arc::clone(&factory);
                let (tell_made, reply) = question();
                let made = Promise::new(tell_made, &worker.wait_node, Responsible::One(number));
                let handler_factory = HandlerFactory {
                    factory: CatchDrop::new(move |cx: &Context<S, R, E, T>| factory(cx)),
                    made: Some(made),
                };
                start::<X>(
                    &runtime,
                    run(
                        worker,
                        loop_waker,
                        budget,
                        handler_factory,
                        Step::Make,
                        limit,
                    ),
                )?;
                Ok(reply)
            })
            .collect::<Result<_, SpawnError<X>>>()?;
        Ok(parts.launched(replies))
    }

    fn runtime_or_current<E>(&self) -> Result<Handle, SpawnError<E>> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.clone()),
            None => Handle::try_current().map_err(|_| SpawnError::NoRuntime),
        }
    }
}

/// Starts a loop, unless the runtime has been shut down.
fn start<X>(
    runtime: &Handle,
    looped: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SpawnError<X>> {
    let mut task = runtime.spawn(looped);
    // Such a runtime drops it at once.
    let is_over = task.is_finished();
    let mut cx = task::Context::from_waker(Waker::noop());
    match pin!(&mut task).poll(&mut cx) {
        Poll::Ready(Err(error)) if is_over && error.is_cancelled() => {
            Err(SpawnError::RuntimeShutDown)
        }
        _ => Ok(()),
    }
}

/// Makes handlers anew; the first one is made already.
fn anew<F, X>(factory: F) -> HandlerFactory<F, X> {
    HandlerFactory {
        factory: CatchDrop::new(factory),
        made: None,
    }
}

fn worker<S, R, E, RV, T>(
    parts: &mut Parts<S, R, E, RV>,
    number: usize,
) -> (Worker<S, R, E, RV, T>, Arc<LoopWaker>)
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let loop_waker = Arc::new(LoopWaker::default());
    let woken = Arc::clone(&loop_waker);
    (parts.worker(number, move || woken.wake()), loop_waker)
}
