//! The end of a loop, told to whoever waits for it.
//!
//! A loop's end is the reply to a request: the handle waits for the reply, from blocking or async code, and a loop that vanishes without a
//! word is a request that ends without one.

use std::{
    any::Any,
    error::Error as StdError,
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    deadlock::{Promise, Responsible, WaitNode},
    sync::{Mutex, ThreadHandle, join_thread},
};
use ump::{
    Clock, PanicMessage, ReplyContext, RequestError, WaitReply,
    coop::consume_budget,
    hooks::{self, ChannelId, Cycle, Wait},
};

use crate::{
    catch::ignore_user_panic,
    wait::executor::{EXECUTOR, blocks_an_executor},
    worker::stop::Stopper,
};

/// Why a loop ended otherwise than in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JoinError {
    name: Arc<str>,
    kind: JoinErrorKind,
    #[cfg_attr(feature = "serde", serde(skip))]
    refusal: Refusal,
}

/// What kind of end it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// Its handler panicked.
    Panicked(PanicMessage),
    /// Its handler failed more often than its [policy](crate::Restart) allows. The last time: `Panicked` or `Refused`.
    GaveUp(Box<JoinErrorKind>),
    /// Its factory refused to make a handler anew. [`JoinError::take_refusal`] has the factory's error.
    Refused,
    /// Its handler took longer for a request than its [limit](crate::task::Builder::request_timeout), and that was to be a failure.
    TimedOut,
    /// The loop has not ended: the joining handler would wait for itself, since it runs in this loop, or since a worker of this loop waits for it. Names
    /// the servers in the circle. The loop goes on.
    WouldDeadlock(Cycle),
    /// It was not allowed to finish: its runtime was shut down, or its `term` was [aborted](crate::Stop::Abort). Or not allowed to begin: the system refused its
    /// thread a priority or a CPU.
    Aborted,
}

impl JoinError {
    pub(crate) fn new(name: &Arc<str>, kind: JoinErrorKind) -> Self {
        Self {
            name: Arc::clone(name),
            kind,
            refusal: Refusal::default(),
        }
    }

    /// The same, on account of what a factory refused with.
    pub(crate) fn with_refusal(self, refusal: Refusal) -> Self {
        Self { refusal, ..self }
    }

    /// The name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of end it was.
    #[must_use]
    pub fn kind(&self) -> &JoinErrorKind {
        &self.kind
    }

    /// Takes out what the factory refused with, if that is why the loop ended ([`Refused`](JoinErrorKind::Refused), or
    /// [`GaveUp`](JoinErrorKind::GaveUp) with that as the last failure) and if it is of this type: the application's error, or the
    /// [`BoxError`](crate::system::BoxError) of a component. There is one, for the first who asks; clones share it.
    ///
    /// ```
    /// use std::{ops::ControlFlow, time::Duration};
    /// use ump_server::{Context, OnPanic, ReplyContext, Restart, thread};
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct NoDevice(u8);
    ///
    /// let (client, handle) = thread::Builder::new()
    ///     .on_panic(OnPanic::Restart(Restart::new().limit(1, Duration::from_secs(60))))
    ///     .spawn_with(|cx: &Context<(), (), NoDevice>| {
    ///         if cx.restarts() > 0 {
    ///             return Err(NoDevice(7));
    ///         }
    ///         Ok(|(): (), _: ReplyContext<'_, (), NoDevice>| -> ControlFlow<()> { panic!("unplugged") })
    ///     })
    ///     .unwrap();
    /// assert!(client.req(()).is_err());
    /// let error = handle.join().unwrap_err();
    /// assert_eq!(error.take_refusal(), Some(NoDevice(7)));
    /// ```
    #[must_use]
    pub fn take_refusal<E: 'static>(&self) -> Option<E> {
        self.refusal.take()
    }

    /// What kind of end it was, and what the factory said.
    pub(crate) fn why(&self) -> Why<'_> {
        Why(self)
    }
}

/// The text of an end without the name of the loop.
pub(crate) struct Why<'a>(&'a JoinError);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(JoinError { kind, refusal, .. }) = self;
        match refusal.text() {
            Some(text) => write!(f, "{kind}: {text}"),
            None => write!(f, "{kind}"),
        }
    }
}

impl fmt::Display for JoinErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => message.fmt(f),
            Self::GaveUp(last) => write!(f, "it failed too often; the last time {last}"),
            Self::Refused => f.write_str("the factory refused to make a handler"),
            Self::TimedOut => f.write_str("the handler took longer for a request than it may"),
            Self::WouldDeadlock(circle) => {
                write!(f, "the joining handler would wait for itself: {circle}")
            }
            Self::Aborted => f.write_str(
                "it was not allowed to finish: its runtime was shut down, or it was aborted",
            ),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_ended = match self.kind {
            JoinErrorKind::WouldDeadlock(_) => "has not ended",
            _ => "ended",
        };
        write!(f, "server {} {has_ended}: {}", self.name, self.why())
    }
}

impl StdError for JoinError {}

/// What a factory refused with. It is no part of what errors are compared by.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Option<Arc<Refused>>);

struct Refused {
    /// If its type is one of those that are known to have one.
    text: Option<String>,
    error: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Refusal {
    pub(crate) fn new<X: Send + 'static>(error: X) -> Self {
        Self(Some(Arc::new(Refused {
            text: text(&error),
            error: Mutex::new(Some(Box::new(error))),
        })))
    }

    fn text(&self) -> Option<&str> {
        self.0.as_ref()?.text.as_deref()
    }

    fn take<X: 'static>(&self) -> Option<X> {
        let mut error = self.0.as_ref()?.error.lock();
        match error.take()?.downcast() {
            Ok(own) => Some(*own),
            Err(other) => {
                *error = Some(other);
                None
            }
        }
    }
}

fn text(error: &dyn Any) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Box<dyn StdError + Send + Sync>>() {
        return Some(error.to_string());
    }
    let text = error.downcast_ref::<String>().cloned();
    text.or_else(|| error.downcast_ref::<&str>().map(ToString::to_string))
}

impl PartialEq for Refusal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Refusal {}

impl Hash for Refusal {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.debug_tuple("Refusal").field(&text).finish(),
            None => f.write_str("Refusal"),
        }
    }
}

/// How a loop ends: with what its handler said, or with nothing if no client was left or it was stopped.
pub(crate) type LoopResult<RV> = Result<Option<RV>, JoinError>;

/// Waits for the end of a loop. Dropping it lets the loop go on by itself.
///
/// A handler that waits for the end of its own loop, or of a loop whose handler waits for it, would wait for itself. If that is
/// [certain](crate#which-deadlocks-end-in-an-error), it gets [`JoinErrorKind::WouldDeadlock`].
///
/// It can be waited for with [`join`](Self::join), or awaited.
///
/// # Cancel safety
/// Awaited by reference (`(&mut handle).await`), it can be left and awaited again.
///
/// # Panics
/// If it is polled or joined after a poll was ready.
#[must_use = "a loop that is not joined cannot tell how it ended"]
pub struct JoinHandle<RV> {
    stopper: Stopper,
    /// `None`: it is known to have started.
    started: Option<Reply<(), ()>>,
    ended: Reply<Option<RV>, JoinError>,
    /// The threads of its workers, if they have any.
    threads: Vec<ThreadHandle<()>>,
    /// The channel of the loop.
    channel: ChannelId,
    /// Whether a task was told to be woken at the end.
    has_left_word: bool,
}

impl<RV> JoinHandle<RV> {
    /// Blocks until the loop has ended and its clean-up is done. Returns what its handler broke off with (or what `term` made of that), and
    /// `None` if no client was left or it was stopped.
    ///
    /// A loop on threads has ended when these have, with the destructors of their thread-locals, as with [`std::thread::JoinHandle::join`]. That goes for
    /// this call only: awaited, the handle is ready when the clean-up is done, and these destructors may still run, as they may at the end of
    /// [`System::stop`](crate::system::System::stop).
    ///
    /// As long as there is a client a loop goes on, and this waits. A client that the handler itself has kept is one, too, for instance that of its build closure.
    ///
    /// On the thread of a current-thread runtime that runs the loop this never returns, as the loop does not run meanwhile: await the handle.
    ///
    /// # Errors
    /// See [`JoinErrorKind`].
    pub fn join(self) -> Result<Option<RV>, JoinError> {
        let Self {
            stopper,
            ended,
            channel,
            threads,
            ..
        } = self;
        let announced = if ended.is_ready() {
            None
        } else {
            let announced = hooks::announce(&Wait::for_end(channel, ended.id()));
            Some(announced.map_err(|circle| would_deadlock(&stopper, circle))?)
        };
        let unwatched = hooks::unwatched();
        let outcome = ended.wait();
        drop((unwatched, announced));
        // All of them are past the end of their loop.
        threads.into_iter().for_each(join_thread);
        outcome.map_err(|error| explain(&stopper, error))
    }

    /// Reports to the watcher of this thread that a task waits for the end, until this deadline. Returns the waker to wait by, if it is another one.
    pub(crate) fn announce(
        &mut self,
        waker: &Waker,
        deadline: Option<Instant>,
        clock: &Clock,
    ) -> Result<Option<Waker>, Cycle> {
        let wait = Wait::for_end(self.channel, self.ended.id());
        let wait = wait.until(deadline, clock).again(self.has_left_word);
        let exchanged = hooks::announce_poll(&wait, waker)?;
        self.has_left_word = true;
        Ok(exchanged)
    }

    /// Blocks until `init` is done, in all its workers if there are several, but no longer than this.
    ///
    /// # Errors
    /// See [`LoopStartError`].
    pub fn wait_started(&mut self, timeout: Duration) -> Result<(), LoopStartError> {
        let Some(started) = self.started.take() else {
            return Ok(());
        };
        match started.wait_timeout(timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(LoopStartError::Ended),
            Err(pending) => {
                self.started = Some(pending);
                Err(if blocks_an_executor() {
                    LoopStartError::Blocked
                } else {
                    LoopStartError::Late
                })
            }
        }
    }

    /// Awaits that `init` is done, in all its workers if there are several.
    ///
    /// # Errors
    /// [`LoopStartError::Ended`].
    ///
    /// # Cancel safety
    /// It can be left and called again.
    pub async fn started(&mut self) -> Result<(), LoopStartError> {
        let Some(started) = &mut self.started else {
            consume_budget().await;
            return Ok(());
        };
        let up = started.await.is_ok();
        self.started = None;
        if up {
            Ok(())
        } else {
            Err(LoopStartError::Ended)
        }
    }

    /// The name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stopper.name()
    }

    /// A thread of the loop, which [`join`](Self::join) waits for.
    pub(crate) fn add_thread(&mut self, thread: ThreadHandle<()>) {
        self.threads.push(thread);
    }

    /// Whether the loop has ended, with its clean-up done, so that joining it will not block but for the destructors of thread-locals.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ended.is_ready()
    }

    /// What stops the loop, from anywhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

/// Its future is that of [`join`](Self::join).
impl<RV> Future for JoinHandle<RV> {
    type Output = Result<Option<RV>, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let exchanged = if this.ended.is_ready() {
            None
        } else {
            let announced = this.announce(cx.waker(), None, &Clock::system());
            match announced {
                Ok(exchanged) => exchanged,
                Err(circle) => return Poll::Ready(Err(would_deadlock(&this.stopper, circle))),
            }
        };
        let _unwatched = hooks::unwatched();
        let waker = exchanged.as_ref().unwrap_or(cx.waker());
        Pin::new(&mut this.ended)
            .poll(&mut Context::from_waker(waker))
            .map_err(|error| explain(&this.stopper, error))
    }
}

impl<RV> fmt::Debug for JoinHandle<RV> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// An end without a word is one that was not let come.
fn explain(stopper: &Stopper, error: RequestError<(), JoinError>) -> JoinError {
    error
        .into_apperr()
        .unwrap_or_else(|| JoinError::new(stopper.shared_name(), JoinErrorKind::Aborted))
}

fn would_deadlock(stopper: &Stopper, circle: Cycle) -> JoinError {
    JoinError::new(stopper.shared_name(), JoinErrorKind::WouldDeadlock(circle))
}

/// Why a loop is not known to have started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LoopStartError {
    /// It is still at it.
    Late,
    /// The same, and it was waited for by blocking the thread of a current-thread runtime. Tasks of that do not run meanwhile: await
    /// [`started`](JoinHandle::started) instead.
    Blocked,
    /// It has ended without having started: joining it tells why.
    Ended,
}

impl fmt::Display for LoopStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("the server has not started yet"),
            Self::Blocked => write!(f, "the server has not started yet, and {EXECUTOR}"),
            Self::Ended => {
                f.write_str("the server ended before it had started; joining it tells why")
            }
        }
    }
}

impl StdError for LoopStartError {}

/// What the workers of a loop share to tell how it goes.
#[derive(Debug)]
pub(crate) struct LoopState<RV> {
    state: Mutex<State<RV>>,
}

#[derive(Debug)]
struct State<RV> {
    /// Workers that have not started, and those that have not ended.
    starting: usize,
    going: usize,
    started: Option<ReplyContext<(), ()>>,
    ended: Option<Promise<Option<RV>, JoinError>>,
    /// The first one that says something.
    outcome: LoopResult<RV>,
}

impl<RV> LoopState<RV> {
    /// The life of a loop with workers in these wait nodes, at least one, and this channel; and what waits for its end.
    pub(crate) fn new(
        wait_nodes: &[Arc<WaitNode>],
        channel: ChannelId,
        stopper: Stopper,
    ) -> (Arc<Self>, JoinHandle<RV>) {
        let workers = wait_nodes.len();
        let (start, started) = question();
        let (end, ended) = question();
        let end = Promise::new(end, &wait_nodes[0], Responsible::All);
        let life = Self {
            state: Mutex::new(State {
                starting: workers,
                going: workers,
                started: Some(start),
                ended: Some(end),
                outcome: Ok(None),
            }),
        };
        let handle = JoinHandle {
            stopper,
            started: Some(started),
            ended,
            threads: Vec::new(),
            channel,
            has_left_word: false,
        };
        (Arc::new(life), handle)
    }

    /// A worker has started.
    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        state.starting -= 1;
        let told = if state.starting == 0 {
            state.started.take()
        } else {
            None
        };
        drop(state);
        if let Some(told) = told {
            // Perhaps nobody asks.
            let _ = told.reply(());
        }
    }

    /// A worker has ended, having cleaned up. The last one tells the first outcome that says something.
    pub(crate) fn end(&self, outcome: LoopResult<RV>) {
        let mut state = self.state.lock();
        let ignored = if matches!(state.outcome, Ok(None)) {
            std::mem::replace(&mut state.outcome, outcome)
        } else {
            outcome
        };
        state.going -= 1;
        let told = if state.going == 0 {
            let outcome = std::mem::replace(&mut state.outcome, Ok(None));
            (state.started.take(), state.ended.take(), outcome)
        } else {
            (None, None, Ok(None))
        };
        drop(state);
        ignore_user_panic(|| drop(ignored));
        let (started, ended, outcome) = told;
        // Never started, then.
        drop(started);
        if let Some(ended) = ended {
            // If nobody waits for it, it comes back.
            ignore_user_panic(|| drop(ended.keep().answer(outcome)));
        }
    }
}

/// If its last worker was not let finish, there may be an outcome that nobody gets.
impl<RV> Drop for LoopState<RV> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.state.lock().outcome, Ok(None));
        ignore_user_panic(|| drop(outcome));
    }
}

/// A reply that is to come.
pub(crate) type Reply<R, E> = WaitReply<R, E, RequestError<(), E>>;

/// The duty to reply, and the reply that is to come.
pub(crate) fn question<R, E>() -> (ReplyContext<R, E>, Reply<R, E>) {
    let (server, client) = ump::channel::<(), R, E>();
    let (Ok(reply), Ok(Some(((), duty)))) = (client.request(()).submit().wait(), server.try_pop())
    else {
        unreachable!("both ends are here")
    };
    (duty, reply)
}
