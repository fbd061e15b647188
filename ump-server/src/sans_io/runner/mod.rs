//! Tasks on an async task.

#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
mod connects;
mod datagrams;
#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
mod stream;
#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
mod tcp;
#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
mod wake;

pub use self::datagrams::{DatagramSocket, DatagramSockets};
#[cfg(all(feature = "tokio-net", not(any(loom, shuttle))))]
pub use self::tcp::TokioTcp;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use ump::{Clock, ReplyContext, Server};

use super::{
    Datagrams, Engine, EngineStats, Interface, IntoTask, Limits, Network, PlacedTask, Refused,
    Reply, Report, Request, Routes, Sockets, Task, TaskId, Turned,
};

type Event<T> = <<T as Task>::Io as Interface>::Event;
type Spawn<T> = <<T as Task>::Io as Interface>::Spawn;

/// The sockets of an async runtime, for the tasks of a [`Runner`].
///
/// [`DatagramSockets`] are those for datagrams; `TokioTcp`, with the feature `tokio-net`, those for
/// streams.
pub trait AsyncSockets<N: Network>: Sockets<N> {
    /// Looks for events of the sockets, and registers the task to be woken by further ones. The
    /// runner calls it once before each turn, in which it takes the inputs by
    /// [`next_input`](Sockets::next_input).
    ///
    /// [`has_input`](Sockets::has_input) returns true after a turn that left sockets for which the
    /// task may not be registered. Then another turn follows.
    fn poll_events(&mut self, cx: &mut TaskContext<'_>);
}

/// Runs sans-IO tasks on an async task, with the sockets of its runtime: [`DatagramSockets`], or
/// connections by `TokioTcp`.
///
/// It serves the requests of a channel, like a [`Component`](super::Component): tasks are spawned
/// and get their commands by [`Client::ask`](ump::Client::ask). It needs no timer of the runtime.
///
/// The [module](super#on-an-async-task) has an example.
pub struct Runner<T: Task, S> {
    engine: Engine<T, S>,
    clock: Clock,
    closing: Option<ClosingReply<T>>,
}

struct ClosingReply<T: Task> {
    reply: ReplyContext<Reply, Refused<T>>,
    deadline: Option<Instant>,
}

/// The number of requests, and of packets of a socket, that are taken between two turns.
const BATCH: usize = 32;

/// The number of turns in which the tasks' last outputs are taken at the end.
const LAST_TURNS: usize = 1_024;

impl<T, D> Runner<T, DatagramSockets<D>>
where
    T: Task,
    T::Io: Interface<Net = Datagrams>,
    Spawn<T>: IntoTask<T>,
    D: DatagramSocket,
{
    /// Creates a runner with these sockets for datagrams, whose numbers are their indexes. `report`
    /// gets the events of the tasks, and their failures, on the runner's task. It must not block.
    pub fn new(
        limits: Limits,
        sockets: impl IntoIterator<Item = D>,
        report: impl FnMut(Report<Event<T>>) + Send + 'static,
    ) -> Self {
        Self::with_sockets(limits, sockets.into_iter().collect(), report)
    }

    /// Returns the table of routes, to make tasks the owners of sockets.
    pub fn routes(&mut self) -> &mut Routes {
        self.engine.sockets().routes()
    }

    /// Returns the number of errors that sockets have had when they received.
    #[must_use]
    pub fn receive_errors(&mut self) -> u64 {
        self.engine.sockets().receive_errors()
    }
}

impl<T, S> Runner<T, S>
where
    T: Task,
    Spawn<T>: IntoTask<T>,
    S: AsyncSockets<<T::Io as Interface>::Net>,
{
    /// Creates a runner with sockets of any kind. `report` gets the events of the tasks, and their
    /// failures, on the runner's task. It must not block.
    pub fn with_sockets(
        limits: Limits,
        sockets: S,
        report: impl FnMut(Report<Event<T>>) + Send + 'static,
    ) -> Self {
        Self {
            engine: Engine::new(limits, sockets, report),
            clock: Clock::system(),
            closing: None,
        }
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the sockets.
    pub fn sockets(&mut self) -> &mut S {
        self.engine.sockets()
    }

    /// Spawns a task before the runner runs.
    ///
    /// # Errors
    /// Returns the task if there are as many as the [limit](Limits::tasks).
    pub fn spawn(&mut self, task: T) -> Result<TaskId, super::GroupFull<T>> {
        let now = self.clock.now();
        self.engine.spawn(now, task)
    }

    /// Runs the tasks, until no client of the channel is left or the server is closed. Then the
    /// tasks are shut down without any wait, so that their last packets are sent. Returns the
    /// counters.
    ///
    /// # Cancel safety
    /// If the future is dropped, the tasks are dropped where they are.
    ///
    /// # Panics
    /// A panic of a task or of `report` leaves the future.
    pub async fn run(mut self, server: Server<Request<T>, Reply, Refused<T>>) -> EngineStats {
        let mut requests = server.stream();
        let mut sleep = None;
        poll_fn(|cx| {
            let begin = self.clock.now();
            let mut is_busy = false;
            self.engine.sockets().poll_events(cx);
            for taken in 0.. {
                if taken == BATCH {
                    is_busy = true;
                    break;
                }
                match requests.poll_wait(cx) {
                    Poll::Ready(Ok((request, reply))) => self.handle(begin, request, reply),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            let turned = self.engine.turn(begin);
            let now = self.clock.now();
            self.engine.publish((begin, now));
            self.end_closing(now);
            let until = match turned {
                Turned::Again => {
                    is_busy = true;
                    None
                }
                Turned::At(at) => Some(at),
                Turned::AtRest | Turned::Blocked => None,
            };
            let closing = self.closing.as_ref().and_then(|closing| closing.deadline);
            if is_busy {
                // Other tasks of the executor run first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.sleep(cx, &mut sleep, until.into_iter().chain(closing).min())
        })
        .await;
        drop(requests);
        self.engine.sockets().pause_receiving(true);
        self.engine.shut_down();
        for _ in 0..LAST_TURNS {
            if self.engine.turn(self.clock.now()) != Turned::Again {
                break;
            }
        }
        self.engine.stats()
    }

    fn handle(
        &mut self,
        now: Instant,
        request: Request<T>,
        reply: ReplyContext<Reply, Refused<T>>,
    ) {
        let answer = match request {
            Request::Spawn(task) if self.closing.is_some() => Err(Refused::ShuttingDown(task)),
            Request::Spawn(task) => self
                .engine
                .spawn(now, *task)
                .map(Reply::Spawned)
                .map_err(Refused::from),
            Request::Command(to, command) => {
                let given = self.engine.command(now, to, command);
                given.map(|()| Reply::Done).map_err(Refused::from)
            }
            Request::Receive(input) => {
                if self.engine.receive(now, input) {
                    Ok(Reply::Done)
                } else {
                    Err(Refused::Dropped)
                }
            }
            Request::Placed(PlacedTask { task, .. }) => {
                return self.handle(now, Request::Spawn(task), reply);
            }
            Request::Wake => Ok(Reply::Done),
            Request::ShutDown(timeout) => return self.shut_down(now, timeout, reply),
        };
        // An error means that the caller has left.
        let _ = reply.answer(answer);
    }

    fn shut_down(
        &mut self,
        now: Instant,
        timeout: Duration,
        reply: ReplyContext<Reply, Refused<T>>,
    ) {
        let deadline = now.checked_add(timeout);
        let before = self.closing.replace(ClosingReply { reply, deadline });
        if let Some(before) = before {
            // The latest request decides how much time there is.
            let _ = before.reply.reply(Reply::ShutDown(self.engine.tasks()));
        }
        self.engine.shut_down();
    }

    /// Answers the request to shut down, if the tasks have ended or the time is over.
    fn end_closing(&mut self, now: Instant) {
        let is_empty = self.engine.is_empty();
        let is_over = |closing: &mut ClosingReply<T>| {
            is_empty || closing.deadline.is_some_and(|deadline| deadline <= now)
        };
        if let Some(closing) = self.closing.take_if(is_over) {
            let _ = closing.reply.reply(Reply::ShutDown(self.engine.tasks()));
        }
    }

    /// Registers the task to be woken at an instant. Never ready.
    fn sleep(
        &self,
        cx: &mut TaskContext<'_>,
        sleep: &mut Option<(Instant, ump::Sleep)>,
        until: Option<Instant>,
    ) -> Poll<()> {
        let Some(until) = until else {
            *sleep = None;
            return Poll::Pending;
        };
        if sleep.as_ref().is_none_or(|(at, _)| *at != until) {
            *sleep = Some((until, self.clock.sleep_until(until)));
        }
        // If the system refuses the timer thread, the task polls.
        let is_over = |(_, sleep): &mut (_, ump::Sleep)| Pin::new(sleep).poll(cx).is_ready();
        if sleep.as_mut().is_some_and(is_over) {
            *sleep = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T: Task, S> fmt::Debug for Runner<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
