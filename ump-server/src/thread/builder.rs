//! What can be chosen of a loop on a thread.

use std::{any::type_name, num::NonZeroUsize, sync::Arc};

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

/// Makes loops on threads: [`spawn`](super::spawn) with more to choose from.
///
/// | | the handler is made | it can be restarted | it has timers | it may be `!Send` |
/// |---|---|---|---|---|
/// | [`spawn`](Self::spawn) | by the caller, with a client at hand | | | |
/// | [`spawn_with`](Self::spawn_with) | by a factory, on the loop's thread | yes | yes | yes |
/// | [`spawn_batches`](Self::spawn_batches) | the same | yes | yes | yes |
/// | [`spawn_pool`](Self::spawn_pool) | by a factory, on the thread of each worker | yes | yes | yes |
///
/// ```
/// use std::{ops::ControlFlow, time::Duration};
/// use ump_server::{Context, OnPanic, Refused, ReplyContext, Restart, thread};
///
/// /// Forgets what it knows once a minute.
/// struct Cache(Option<String>);
///
/// #[derive(Clone)]
/// struct Forget;
///
/// impl thread::Handler<(), String, Refused, (), Forget> for Cache {
///     fn proc_req(&mut self, (): (), rctx: ReplyContext<String, Refused>) -> ControlFlow<()> {
///         let known = self.0.get_or_insert_with(|| "computed".to_owned());
///         let _ = rctx.reply(known.clone());
///         ControlFlow::Continue(())
///     }
///
///     fn on_timer(&mut self, Forget: Forget) -> ControlFlow<()> {
///         self.0 = None;
///         ControlFlow::Continue(())
///     }
/// }
///
/// let (client, handle) = thread::Builder::new()
///     .name("cache")
///     .capacity(128)
///     .on_panic(OnPanic::Restart(Restart::new()))
///     .spawn_with(|cx| {
///         cx.timers().every(Duration::from_secs(60), Forget);
///         Ok(Cache(None))
///     })?;
/// assert_eq!(client.req(()).unwrap(), "computed");
/// drop(client);
/// assert_eq!(handle.join()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a loop when it is told to spawn one"]
pub struct Builder {
    options: Options,
    terms: Terms,
}

/// What can be chosen of its threads.
#[derive(Clone, Debug, Default)]
struct Terms {
    stack_size: Option<usize>,
    schedule: Schedule,
}

impl Builder {
    /// Named after the handler's type (`ump-server` if that is a closure), an unbounded queue, and
    /// [`OnPanic::Stop`](crate::OnPanic::Stop).
    pub fn new() -> Self {
        Self::default()
    }

    choose_options!();

    /// The size of its thread's stack, in bytes; otherwise what is usual for threads.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.terms.stack_size = Some(bytes);
        self
    }

    /// The scheduling priority of its threads, from 0 to 99, the highest. With the feature
    /// `scheduling`.
    ///
    /// On Linux it becomes a niceness from 19 to -20, 46 to 48 being the usual one (a thread with a
    /// realtime policy, which it may have by inheritance, has that priority within it). On Windows
    /// it becomes a level, on macOS a priority within its policy, which allows some only. What the
    /// system refuses is dealt with as [told](Self::on_refusal): on Linux, more than the usual one
    /// without `CAP_SYS_NICE` or a limit that allows it.
    #[cfg(feature = "scheduling")]
    pub fn priority(mut self, priority: u8) -> Self {
        self.terms.schedule.priority = Some(priority);
        self
    }

    /// The CPUs its threads run on, counted from zero: the first one on the first, the second one
    /// on the second, and so on, then again from the first. None: anywhere. With the feature
    /// `scheduling`.
    ///
    /// On macOS it is a hint, and not taken on Apple silicon. What the system refuses, or a CPU
    /// that there is not, is dealt with as [told](Self::on_refusal).
    #[cfg(feature = "scheduling")]
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.terms.schedule.affinity = cpus.into_iter().collect();
        self
    }

    /// What becomes of the loop if the system refuses its priority or its CPU; an
    /// [error](SpawnError::Attribute) unless it is told otherwise.
    #[cfg(feature = "scheduling")]
    pub fn on_refusal(mut self, policy: OnRefusal) -> Self {
        self.terms.schedule.on_refusal = policy;
        self
    }

    /// The number of its first thread among those that share its CPUs.
    #[cfg(all(feature = "scheduling", not(any(loom, shuttle))))]
    pub(crate) fn first_thread(mut self, number: usize) -> Self {
        self.terms.schedule.first = number;
        self
    }

    /// Runs a handler that is built here and now.
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
        let mut parts = self
            .options
            .parts::<_, _, _, _, H::Error>(1, false, type_name::<H>())?;
        let making = deadlock::watch_making(parts.wait_nodes());
        let mut handler = Some(build(&parts.client).map_err(SpawnError::Handler)?);
        drop(making);
        let make = move |_: &Context<_, _, _, ()>| {
            let handler = handler.take().expect("it is made once");
            Ok(Single(handler.into_service()))
        };
        let is_plain = self.terms.schedule.is_plain();
        let made = start(&mut parts, &self.terms, None, make)?;
        if is_plain {
            // It is made already.
            return Ok(parts.into_ends());
        }
        parts.launched(vec![made]).wait()
    }

    /// Runs a handler that is made by a factory on the loop's thread, so that it need not be
    /// `Send`, and can be restarted. Blocks until it is made.
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

    /// Runs a handler that takes all that is queued, at most so many requests at a time. Otherwise
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

    /// Runs a handler of either kind, of a type with this name, and blocks until it is made.
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

    /// Runs several handlers on a thread each, over one queue: each request goes to one of them.
    /// Who has waited longest is woken first, but one that is awake may be quicker. Blocks until
    /// all are made.
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

    /// Has a loop or a pool made, and does not wait for its handlers.
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

    /// The same, of handlers that take at most so many requests at a time.
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

    /// Has handlers of either kind made, of a type with this name.
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

/// Starts a worker, which has a number if it is one of several. What comes back tells when its
/// handler is made.
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
    let server = Arc::downgrade(&parts.server);
    let wake = move || {
        if let Some(server) = server.upgrade() {
            server.interrupt();
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
