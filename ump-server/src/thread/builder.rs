//! The builder of loops on threads.

use std::{any::type_name, convert::Infallible, num::NonZeroUsize, sync::Arc};

use ump::Client;

use super::{
    BatchService, IntoService,
    run::run,
    work::{Many, Single, Work},
};
#[cfg(feature = "scheduling")]
use crate::OnRefusal;
use crate::{
    Context, JoinHandle,
    catch::CatchDrop,
    deadlock::{self, Promise, Responsible},
    sync::ThreadBuilder,
    worker::lifecycle::HandlerFactory,
    worker::options::{Launched, Options, Parts, choose_options},
    worker::question::{Reply, question},
    worker::schedule::Schedule,
    worker::spawn_error::{FactoryError, SpawnError},
};

/// Builds loops on threads: [`spawn`](super::spawn) with more options.
///
/// | method | where the handler is made | restarts | timers | `!Send` handlers |
/// |---|---|---|---|---|
/// | [`serve`](Self::serve) | by the caller | | yes | |
/// | [`spawn`](Self::spawn) | by the caller, with a client of the loop | | yes | |
/// | [`spawn_with`](Self::spawn_with) | by a factory, on the loop's thread | yes | yes | yes |
/// | [`spawn_batches`](Self::spawn_batches) | by a factory, on the loop's thread | yes | yes | yes |
/// | [`spawn_pool`](Self::spawn_pool) | by a factory, on the thread of each worker | yes | yes | yes |
///
/// ```
/// use std::time::Duration;
/// use ump_server::{OnPanic, Restart, service, thread};
///
/// /// Forgets its value once a minute.
/// #[derive(Default)]
/// struct Cache(Option<String>);
///
/// #[service]
/// impl Cache {
///     fn get(&mut self) -> String {
///         self.0.get_or_insert_with(|| "computed".to_owned()).clone()
///     }
///
///     #[timer(every = Duration::from_secs(60))]
///     fn forget(&mut self) {
///         self.0 = None;
///     }
/// }
///
/// let (client, handle) = thread::Builder::new()
///     .name("cache")
///     .capacity(128)
///     .on_panic(OnPanic::Restart(Restart::new()))
///     .spawn_with(|_| Ok(Cache::default()))?;
/// let cache = CacheClient(client);
/// assert_eq!(cache.get().wait()?, "computed");
/// drop(cache);
/// assert_eq!(handle.join()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns a loop"]
pub struct Builder {
    options: Options,
    terms: Terms,
}

/// The options of the loop's threads.
#[derive(Clone, Debug, Default)]
struct Terms {
    stack_size: Option<usize>,
    schedule: Schedule,
}

impl Builder {
    /// Creates a builder with the defaults: the loop is named after the handler's type
    /// (`ump-server` if that is a closure), its queue is unbounded, and its policy for panics is
    /// [`OnPanic::Stop`](crate::OnPanic::Stop).
    pub fn new() -> Self {
        Self::default()
    }

    choose_options!();

    /// Sets the stack size of the loop's threads, in bytes. The default is that of
    /// [`std::thread::Builder`].
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.terms.stack_size = Some(bytes);
        self
    }

    /// Sets the scheduling priority of the loop's threads, from 0 (lowest) to 99 (highest).
    /// Requires the feature `scheduling`.
    ///
    /// On Linux the priority becomes a niceness from 19 to -20; 46 to 48 become the usual niceness.
    /// If the thread has a realtime policy, for instance by inheritance, it gets the priority
    /// within that policy. On Windows the priority becomes a level. On macOS it becomes a priority
    /// within the thread's policy, which allows only some values.
    ///
    /// If the system refuses the priority, [`on_refusal`](Self::on_refusal) decides what follows.
    /// On Linux, the system refuses a priority above the usual one without `CAP_SYS_NICE` or a
    /// limit that allows it.
    #[cfg(feature = "scheduling")]
    pub fn priority(mut self, priority: u8) -> Self {
        self.terms.schedule.priority = Some(priority);
        self
    }

    /// Sets the CPUs that the loop's threads run on, counted from zero. The first thread runs on
    /// the first CPU, the second thread on the second, and so on; after the last CPU the first one
    /// follows. If there are none, the threads run on any CPU. Requires the feature `scheduling`.
    ///
    /// On macOS the CPU is a hint, which Apple silicon does not accept. If the system refuses the
    /// CPU, or if there is no such CPU, [`on_refusal`](Self::on_refusal) decides what follows.
    #[cfg(feature = "scheduling")]
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.terms.schedule.affinity = cpus.into_iter().collect();
        self
    }

    /// Sets what happens to the loop if the system refuses its priority or its CPU. The default is
    /// an [error](SpawnError::Attribute).
    #[cfg(feature = "scheduling")]
    pub fn on_refusal(mut self, policy: OnRefusal) -> Self {
        self.terms.schedule.on_refusal = policy;
        self
    }

    /// Sets the number of the loop's first thread among the threads that share its CPUs.
    #[cfg(all(feature = "scheduling", not(any(loom, shuttle))))]
    pub(crate) fn first_thread(mut self, number: usize) -> Self {
        self.terms.schedule.first = number;
        self
    }

    /// Runs a handler on a thread: [`spawn`](Self::spawn) for a handler that needs no client of its
    /// loop.
    ///
    /// ```
    /// use ump_server::thread::{Builder, reply};
    ///
    /// let (client, _) = Builder::new().name("next").capacity(64).serve(reply(|n: u32| n + 1))?;
    /// assert_eq!(client.req(1)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
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

    /// Runs a handler on a thread. `build` makes the handler on the caller's thread, with a client
    /// of the loop.
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
        let mut parts = self
            .options
            .parts::<_, _, _, _, H::Error>(1, false, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let mut handler = Some(build(&parts.client).map_err(SpawnError::Handler)?);
        drop(making);
        let make = move |_: &Context<_, _, _, _>| {
            let handler = handler.take().expect("the handler is made once");
            Ok(Single(handler.into_service()))
        };
        let is_plain = self.terms.schedule.is_plain();
        let made = start(&mut parts, &self.terms, None, make)?;
        if is_plain {
            // The handler is made already, so there is nothing to wait for.
            return Ok(parts.into_ends());
        }
        parts.launched(vec![made]).wait()
    }

    /// Runs a handler that `factory` makes on the loop's thread. The handler need not be `Send`,
    /// and can be restarted. Blocks until the handler is made.
    ///
    /// # Errors
    /// See [`SpawnError`].
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
        H: IntoService<Shape> + 'static,
    {
        let mut factory = factory;
        self.spawn_one(type_name::<H>(), move |cx| single(factory(cx)))
    }

    /// Runs a handler that takes all queued requests at once, at most `max` in a batch. Otherwise
    /// like [`spawn_with`](Self::spawn_with).
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_batches<H>(
        self,
        max: NonZeroUsize,
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
        H: BatchService + 'static,
    {
        let mut factory = factory;
        let max = max.get();
        self.spawn_one(type_name::<H>(), move |cx| {
            factory(cx).map(|handler| Many { handler, max })
        })
    }

    /// Runs a handler of either kind, and blocks until it is made. `handler` is the name of its
    /// type.
    fn spawn_one<S, R, E, RV, T, H>(
        self,
        handler: &'static str,
        factory: impl FnMut(&Context<S, R, E, T>) -> Result<H, E> + Send + 'static,
    ) -> Result<(Client<S, R, E>, JoinHandle<RV>), SpawnError<E>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Work<S, R, E, RV, T> + 'static,
    {
        let mut parts = self.options.parts::<_, _, _, _, E>(1, true, handler)?;
        let made = start(&mut parts, &self.terms, None, factory)?;
        parts.launched(vec![made]).wait()
    }

    /// Runs a pool of handlers over one queue, each on a thread of its own. Each request goes to
    /// one handler. Blocks until all handlers are made.
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
        H: IntoService<Shape> + 'static,
    {
        self.launch(Some(workers), factory)?.wait()
    }

    /// Starts a loop or a pool, and does not wait until its handlers are made.
    pub(crate) fn launch<H, Shape, X>(
        self,
        workers: Option<NonZeroUsize>,
        factory: impl Fn(&Context<H::Request, H::Reply, H::Error, H::Timer>) -> Result<H, X>
        + Send
        + Sync
        + 'static,
    ) -> Result<Launched<H::Request, H::Reply, H::Error, H::Output, X>, SpawnError<X>>
    where
        H: IntoService<Shape> + 'static,
        X: Send + 'static,
    {
        self.launch_all(workers, type_name::<H>(), move |cx| single(factory(cx)))
    }

    /// Starts a loop or a pool whose handlers take at most `max` requests at a time, and does not
    /// wait until they are made.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn launch_batches<H, X>(
        self,
        workers: Option<NonZeroUsize>,
        max: NonZeroUsize,
        factory: impl Fn(&Context<H::Request, H::Reply, H::Error, H::Timer>) -> Result<H, X>
        + Send
        + Sync
        + 'static,
    ) -> Result<Launched<H::Request, H::Reply, H::Error, H::Output, X>, SpawnError<X>>
    where
        H: BatchService + 'static,
        X: Send + 'static,
    {
        let max = max.get();
        self.launch_all(workers, type_name::<H>(), move |cx| {
            factory(cx).map(|handler| Many { handler, max })
        })
    }

    /// Starts workers for handlers of either kind, and does not wait until they are made. `handler`
    /// is the name of the handlers' type.
    fn launch_all<S, R, E, RV, T, H, X>(
        self,
        workers: Option<NonZeroUsize>,
        handler: &'static str,
        factory: impl Fn(&Context<S, R, E, T>) -> Result<H, X> + Send + Sync + 'static,
    ) -> Result<Launched<S, R, E, RV, X>, SpawnError<X>>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
        T: Send + 'static,
        H: Work<S, R, E, RV, T> + 'static,
        X: Send + 'static,
    {
        let count = workers.map_or(1, NonZeroUsize::get);
        let mut parts = self.options.parts::<_, _, _, _, X>(count, true, handler)?;
        let factory = Arc::new(factory);
        let made = (0..count)
            .map(|number| {
                let factory = Arc::clone(&factory);
                let make = move |cx: &Context<S, R, E, T>| factory(cx);
                start(&mut parts, &self.terms, workers.map(|_| number), make)
            })
            .collect::<Result<Vec<_>, _>>();
        match made {
            Ok(made) => Ok(parts.launched(made)),
            Err(refusal) => {
                parts.server.refuse();
                Err(refusal)
            }
        }
    }
}

/// Wraps a new handler of either shape, to be called for one request at a time.
fn single<H: IntoService<Shape>, Shape, X>(made: Result<H, X>) -> Result<Single<H::Service>, X> {
    made.map(|handler| Single(handler.into_service()))
}

/// Starts a worker, which has a number if it is one of several. The returned reply arrives when the
/// worker's handler is made.
fn start<S, R, E, RV, T, H, X>(
    parts: &mut Parts<S, R, E, RV>,
    terms: &Terms,
    number: Option<usize>,
    factory: impl FnMut(&Context<S, R, E, T>) -> Result<H, X> + Send + 'static,
) -> Result<Reply<(), FactoryError<X>>, SpawnError<X>>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
    RV: Send + 'static,
    T: Send + 'static,
    H: Work<S, R, E, RV, T> + 'static,
    X: Send + 'static,
{
    let (tell_made, made) = question();
    let reactor = parts.reactor();
    reactor.attach_thread();
    // Weak, so that a handle of the timers or a stopper keeps no descriptors open.
    let reactor = Arc::downgrade(reactor);
    let wake = move || {
        if let Some(reactor) = reactor.upgrade() {
            reactor.wake();
        }
    };
    let worker = parts.worker(number.unwrap_or(0), wake);
    let whose = Responsible::One(number.unwrap_or(0));
    let handler_factory = HandlerFactory {
        factory: CatchDrop::new(factory),
        made: Some(Promise::new(tell_made, &worker.wait_node, whose)),
    };
    let mut thread = ThreadBuilder::new().name(match number {
        None => parts.name.to_string(),
        Some(number) => format!("{}-{number}", parts.name),
    });
    if let Some(bytes) = terms.stack_size {
        thread = thread.stack_size(bytes);
    }
    let schedule = terms.schedule.clone();
    let thread = thread
        .spawn(move || match schedule.apply(number.unwrap_or(0)) {
            Ok(()) => run(worker, handler_factory),
            Err(refused) => worker.turn_down(handler_factory, refused),
        })
        .map_err(|refusal| SpawnError::Thread(refusal.into()))?;
    parts.add_thread(thread);
    Ok(made)
}
