//! Tasks inside a loop on a thread.

use std::{
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use ump::{Clock, ReplyContext as OwnedReplyContext};

use super::{
    Engine, EngineStats, Interface, IntoTask, Limits, NamedTask, PlacedTask, Refused, Reply,
    Report, Request, Sockets, Task, Turned, status::Expected,
};
use crate::{Context, ReplyContext, TimerId, Timers, catch::catch_user_panic, thread};

type Event<T> = <<T as Task>::Io as Interface>::Event;

/// A task that a loop on a thread can run: all that it gets and gives can be sent between threads.
///
/// Every such task implements it.
pub trait SendTask:
    Task<
        Io: Interface<
            Command: Send + 'static,
            Event: Send + 'static,
            Bus: Send + 'static,
            Spawn: IntoTask<Self>,
            Net: 'static,
        >,
    > + Send
    + Sized
    + 'static
{
}

impl<T> SendTask for T
where
    T: Task + Send + 'static,
    T::Io: Interface<
            Command: Send + 'static,
            Event: Send + 'static,
            Bus: Send + 'static,
            Spawn: IntoTask<T>,
            Net: 'static,
        >,
{
}

/// The token of the timers of a [`Component`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakeup(pub(super) Why);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is a turn to run.
    Turn,
    /// The time to shut down is over.
    ShutDown,
}

/// A handler that runs sans-IO tasks in a loop on a thread.
///
/// Its timer is armed at the earliest deadline of its tasks. Requests spawn tasks and give them
/// commands: [`Spawn`](super::Spawn), [`Command`](super::Command), [`ShutDown`](super::ShutDown).
/// Received packets are [posted](Request::Receive) by the owner of the sockets. Bound the queue of
/// the loop: then a thread that reads a socket waits for room before it reads the next packet, and
/// the kernel drops the excess, not the loop.
///
/// A panic of a task is one of the handler. With the policy
/// [`OnPanic::Continue`](crate::OnPanic::Continue), the loop removes that task, reports it, and
/// goes on with the others.
///
/// At the end of the loop, the tasks are shut down without any wait, so that their last packets are
/// sent. [`ShutDown`](super::ShutDown) before gives them time.
///
/// The [module](super#inside-a-component) has an example.
pub struct Component<T: SendTask, S> {
    engine: Engine<T, S>,
    waker: LoopWaker,
    clock: Clock,
    closing: Option<ClosingReply<T>>,
}

/// The reply that is owed for a [`ShutDown`](super::ShutDown).
struct ClosingReply<T: Task> {
    reply: Option<OwnedReplyContext<Reply, Refused<T>>>,
    deadline: Option<TimerId>,
}

/// Wakes the loop for the next turn.
struct LoopWaker {
    timers: Timers<Wakeup>,
    /// The timer for the next turn, and when it fires.
    armed: Option<(TimerId, Instant)>,
}

impl LoopWaker {
    /// Sees to a turn at `at`. If the timer is armed for an earlier instant it stays, and the turn
    /// then finds nothing to do.
    fn arm(&mut self, at: Instant) {
        match &mut self.armed {
            Some((_, armed)) if *armed <= at => {}
            Some((timer, armed)) => {
                self.timers.reschedule_at(*timer, at);
                *armed = at;
            }
            None => self.armed = Some((self.timers.at(at, Wakeup(Why::Turn)), at)),
        }
    }
}

/// Arms the timer if a task panics, because nothing else would wake the loop for the other tasks.
struct ArmOnPanic<'a>(&'a Timers<Wakeup>);

impl Drop for ArmOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.once(Duration::ZERO, Wakeup(Why::Turn));
        }
    }
}

impl<T, S> Component<T, S>
where
    T: SendTask,
    S: Sockets<<T::Io as Interface>::Net>,
{
    /// Creates the handler, in the factory of its loop. `report` gets the events of the tasks, and
    /// their failures, on the loop's thread.
    pub fn new(
        cx: &Context<Request<T>, Reply, Refused<T>, Wakeup>,
        limits: Limits,
        sockets: S,
        report: impl FnMut(Report<Event<T>>) + Send + 'static,
    ) -> Self {
        Self::of_engine(cx, Engine::new(limits, sockets, report))
    }

    pub(super) fn of_engine(
        cx: &Context<Request<T>, Reply, Refused<T>, Wakeup>,
        engine: Engine<T, S>,
    ) -> Self {
        Self {
            engine,
            waker: LoopWaker {
                timers: cx.timers(),
                armed: None,
            },
            clock: cx.clock(),
            closing: None,
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    /// Calls the closure with the engine, then runs a turn. Returns the closure's value.
    ///
    /// If a turn is under way anyway, because there is more to do than fits into one, that one will
    /// do.
    fn work<R>(&mut self, act: impl FnOnce(&mut Engine<T, S>, Instant) -> R) -> R {
        let timers = self.waker.timers.clone();
        let armed = ArmOnPanic(&timers);
        let begin = self.clock.now();
        self.engine.status().begin(begin);
        let is_behind = self.engine.next() == Turned::Again;
        let result = act(&mut self.engine, begin);
        let turned = if is_behind {
            self.engine.next()
        } else {
            self.engine.turn(begin)
        };
        self.after(begin, turned);
        drop(armed);
        result
    }

    fn turn(&mut self) {
        let timers = self.waker.timers.clone();
        let armed = ArmOnPanic(&timers);
        let begin = self.clock.now();
        self.engine.status().begin(begin);
        let turned = self.engine.turn(begin);
        self.after(begin, turned);
        drop(armed);
    }

    fn after(&mut self, begin: Instant, turned: Turned) {
        let end = self.clock.now();
        self.engine.publish((begin, end));
        match turned {
            Turned::Again => self.waker.arm(end),
            Turned::At(at) => self.waker.arm(at),
            // The reporter wakes the loop.
            Turned::Blocked | Turned::AtRest => {}
        }
        if self.closing.is_some() && self.engine.is_empty() {
            self.end_closing();
        }
    }

    fn spawn(&mut self, task: Box<T>, expected: Option<Expected>) -> Result<Reply, Refused<T>> {
        if self.closing.is_some() {
            return Err(Refused::ShuttingDown(task));
        }
        let spawned = self.work(|engine, now| {
            let spawned = engine.spawn(now, *task);
            drop(expected);
            spawned
        });
        spawned.map(Reply::Spawned).map_err(Refused::from)
    }

    fn shut_down(&mut self, timeout: Duration, reply: OwnedReplyContext<Reply, Refused<T>>) {
        if let Some(before) = self.closing.take() {
            // The latest request decides how much time there is.
            self.answer_closing(before);
        }
        let token = Wakeup(Why::ShutDown);
        self.closing = Some(ClosingReply {
            reply: Some(reply),
            deadline: Some(self.waker.timers.once(timeout, token)),
        });
        self.work(|engine, _| engine.shut_down());
    }

    /// Answers the request to shut down.
    fn end_closing(&mut self) {
        if let Some(closing) = &mut self.closing {
            let closing = ClosingReply {
                reply: closing.reply.take(),
                deadline: closing.deadline.take(),
            };
            self.answer_closing(closing);
        }
    }

    fn answer_closing(&self, closing: ClosingReply<T>) {
        if let Some(timer) = closing.deadline {
            self.waker.timers.cancel(timer);
        }
        if let Some(reply) = closing.reply {
            // An error means that the caller has left.
            let _ = reply.reply(Reply::ShutDown(self.left()));
        }
    }

    /// Counts a task that another worker has posted, if it is refused: nobody gets it back.
    fn count_refused(&mut self, answer: &Result<Reply, Refused<T>>) {
        if let Err(Refused::Full(_) | Refused::ShuttingDown(_)) = answer {
            self.engine.count_spawn_dropped();
            self.engine.publish_stats();
        }
    }

    fn left(&self) -> Vec<NamedTask> {
        self.engine.tasks()
    }
}

/// The number of turns in which the tasks' last outputs are taken at the end of a loop.
const LAST_TURNS: usize = 1_024;

impl<T, S> thread::Service for Component<T, S>
where
    T: SendTask,
    S: Sockets<<T::Io as Interface>::Net>,
{
    type Request = Request<T>;
    type Reply = Reply;
    type Error = Refused<T>;
    type Output = ();
    type Timer = Wakeup;

    fn handle(
        &mut self,
        request: Request<T>,
        reply: ReplyContext<'_, Reply, Refused<T>>,
    ) -> ControlFlow<()> {
        let answer = match request {
            Request::Spawn(task) => self.spawn(task, None),
            Request::Placed(PlacedTask { task, expected }) => self.spawn(task, Some(expected)),
            Request::Command(to, command) => {
                let given = self.work(|engine, now| engine.command(now, to, command));
                given.map(|()| Reply::Done).map_err(Refused::from)
            }
            Request::Receive(input) => {
                if self.work(|engine, now| engine.receive(now, input)) {
                    Ok(Reply::Done)
                } else {
                    Err(Refused::Dropped)
                }
            }
            Request::Wake => {
                self.turn();
                Ok(Reply::Done)
            }
            Request::ShutDown(timeout) => {
                self.shut_down(timeout, reply.detach());
                return ControlFlow::Continue(());
            }
        };
        if reply.is_post() {
            self.count_refused(&answer);
        }
        // An error means that the caller has left.
        let _ = reply.answer(answer);
        ControlFlow::Continue(())
    }

    fn kind(&self, request: &Request<T>) -> &'static str {
        request.kind()
    }

    fn on_timer(&mut self, Wakeup(why): Wakeup) -> ControlFlow<()> {
        match why {
            Why::Turn => {
                let now = self.clock.now();
                // A timer of a panic, or of the reporter, is not the armed one.
                self.waker.armed = self.waker.armed.filter(|(_, at)| *at > now);
                self.turn();
            }
            Why::ShutDown => {
                if let Some(closing) = &mut self.closing {
                    closing.deadline = None;
                }
                self.end_closing();
            }
        }
        ControlFlow::Continue(())
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<()> {
        self.work(|engine, now| engine.on_socket(now, event));
        ControlFlow::Continue(())
    }

    fn term(&mut self, output: Option<()>) -> Option<()> {
        self.engine.shut_down();
        let mut panic = None;
        for _ in 0..LAST_TURNS {
            // A panic of one task does not take the last outputs of the others.
            let turn = AssertUnwindSafe(|| self.engine.turn(self.clock.now()));
            match catch_unwind(turn) {
                Ok(Turned::Again) => {}
                Ok(_) => break,
                Err(payload) if panic.is_none() => panic = Some(payload),
                // The drop of the payload is user code as well.
                Err(payload) => catch_user_panic(|| drop(payload)),
            }
        }
        self.engine.disconnect();
        self.end_closing();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        output
    }
}

impl<T: SendTask, S> fmt::Debug for Component<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
