//! The component `relay`: a worker that runs the tasks of its clients over its own sockets.
//!
//! Each worker has a socket for each address that the server listens on; the system spreads the
//! clients over them. A client stays with its worker.

use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use cli::log;
use ump_server::{
    Context, ReplyContext, TimerId, Timers,
    net::{self, Udp},
    sans_io::{Engine, Limits, Payload, Receive, Report, TaskId, Turned},
    thread,
    ump::{Ask, Clock},
};

use crate::{
    sockets::{RelayAddress, WorkerSockets},
    turn::{
        Allocation, AllocationInfo, Counts, Event, Listener, Opened, Relay, RelayCommand,
        RelayEvent, Shared,
    },
};

/// The longest datagram.
const DATAGRAM: usize = 65_536;

/// How many datagrams are received of a socket before the others have their turn.
const BATCH: usize = 32;

/// How often the events of tasks are handled before other sources have their turn.
const ROUNDS: usize = 8;

/// The number of turns in which the last outputs of the tasks are taken.
const LAST_TURNS: usize = 1_024;

/// A request of the operator to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Allocations,
    Status,
    Drain,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Allocations(Vec<AllocationInfo>),
    Status(WorkerStatus),
    Draining,
}

/// The figures of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerStatus {
    pub(crate) allocations: usize,
    pub(crate) sockets: usize,
    pub(crate) counts: Counts,
    /// The datagrams that could not be sent: the buffer of the system was full, or it refused them.
    pub(crate) unsent: u64,
    /// The datagrams for which a task had no room.
    pub(crate) overflows: u64,
    pub(crate) panicked: u64,
}

/// The messages, each with its own type of reply.
macro_rules! messages {
    ($($(#[$doc:meta])* $message:ident => $pattern:pat => $reply:ty = $value:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $message;

            impl Ask<Request, Reply, Infallible> for $message {
                type Reply = $reply;
                type Error = Infallible;

                fn into_request(self) -> Request {
                    Request::$message
                }

                fn from_request(_: Request) -> Self {
                    Self
                }

                fn from_answer(
                    answer: Result<Reply, Infallible>,
                ) -> Option<Result<Self::Reply, Infallible>> {
                    match answer {
                        Ok($pattern) => Some(Ok($value)),
                        Ok(_) => None,
                        Err(never) => match never {},
                    }
                }
            }
        )*
    };
}

messages! {
    /// Returns the allocations of the worker.
    Allocations => Reply::Allocations(list) => Vec<AllocationInfo> = list;
    /// Returns the figures of the worker.
    Status => Reply::Status(status) => WorkerStatus = status;
    /// Makes no allocations any more.
    Drain => Reply::Draining => () = ();
}

pub(crate) type Client = ump_server::ump::Client<Request, Reply, Infallible>;

/// The token of the timer for the next turn of the tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextTurn;

pub(crate) struct Worker {
    engine: Engine<Relay, WorkerSockets>,
    reports: Receiver<Report<RelayEvent>>,
    listener: TaskId,
    shared: Shared,
    clock: Clock,
    timers: Timers<NextTurn>,
    armed: Option<(TimerId, Instant)>,
    buffer: Vec<u8>,
}

impl Worker {
    /// Opens the sockets.
    pub(crate) fn new(
        cx: &Context<Request, Reply, Infallible, NextTurn>,
        listen: impl IntoIterator<Item = Udp>,
        relay: Vec<RelayAddress>,
        shared: Shared,
    ) -> Result<Self, net::Error> {
        let mut sockets = WorkerSockets::new(cx.sockets(), relay);
        for address in listen {
            sockets.listen(address)?;
        }
        let (sender, reports) = mpsc::channel();
        let report = move |report| drop(sender.send(report));
        let mut engine = Engine::new(Limits::new(), sockets, report);
        let clock = cx.clock();
        let listener = Self::spawn_listener(&mut engine, clock.now(), &shared);
        let mut worker = Self {
            engine,
            reports,
            listener,
            shared,
            clock,
            timers: cx.timers(),
            armed: None,
            buffer: vec![0; DATAGRAM],
        };
        worker.turn();
        Ok(worker)
    }

    fn spawn_listener(
        engine: &mut Engine<Relay, WorkerSockets>,
        now: Instant,
        shared: &Shared,
    ) -> TaskId {
        let listener = Relay::Listener(Listener::new(shared.clone(), now));
        let Ok(listener) = engine.spawn(now, listener) else {
            unreachable!("the quota is below the limit of tasks");
        };
        engine.sockets().set_listener(listener);
        listener
    }

    /// Lets the tasks do what they have to, and opens the sockets that they want.
    fn turn(&mut self) {
        let now = self.clock.now();
        let on_panic = ArmOnPanic(self.timers.clone());
        let mut turned = self.engine.turn(now);
        for _ in 0..ROUNDS {
            if !self.handle_reports(now) {
                break;
            }
            turned = self.engine.turn(now);
        }
        match turned {
            Turned::Again => self.arm(now),
            Turned::At(at) => self.arm(at),
            Turned::AtRest | Turned::Blocked => {}
        }
        drop(on_panic);
    }

    /// Sees to a turn at an instant. If there is one before, that one sees to the next.
    fn arm(&mut self, at: Instant) {
        match &mut self.armed {
            Some((_, armed)) if *armed <= at => {}
            Some((timer, armed)) => {
                self.timers.reschedule_at(*timer, at);
                *armed = at;
            }
            None => self.armed = Some((self.timers.at(at, NextTurn), at)),
        }
    }

    /// Handles the events of the tasks. Returns whether there were any.
    fn handle_reports(&mut self, now: Instant) -> bool {
        let mut handled = false;
        while let Ok(report) = self.reports.try_recv() {
            handled = true;
            match report {
                Report::Event { from, event } => self.handle_event(now, from.task, &event),
                Report::TaskPanicked {
                    task,
                    name,
                    message,
                } => {
                    log!("relay: a task {name} has panicked: {message:?}");
                    if task.task == self.listener {
                        self.listener = Self::spawn_listener(&mut self.engine, now, &self.shared);
                    }
                }
                Report::TaskStuck { name, .. } => {
                    log!("relay: the deadline of a task {name} stays in the past");
                }
                // What sockets lose is counted.
                _ => {}
            }
        }
        handled
    }

    fn handle_event(&mut self, now: Instant, task: TaskId, event: &RelayEvent) {
        match *event {
            RelayEvent::Allocation(Event::Open {
                client,
                family,
                even_port,
            }) => {
                let sockets = self.engine.sockets();
                sockets.claim(task, client);
                let opened = sockets.open(task, family, even_port);
                if let Err(why) = &opened {
                    log!("relay: no socket for {}: {why}", client.address);
                }
                let command = RelayCommand::Allocation(Opened(opened));
                // If the task has panicked meanwhile, it has no socket any more.
                let _ = self.engine.command(now, task, command);
            }
            // The socket is closed when the task has ended.
            RelayEvent::Allocation(Event::Ended { .. }) => {}
            RelayEvent::Listener(unused) => match unused {},
        }
    }

    fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        let tasks = self.engine.group().iter();
        tasks.filter_map(|(_, task)| match task {
            Relay::Allocation(allocation) => Some(allocation),
            Relay::Listener(_) => None,
        })
    }

    fn status(&self) -> WorkerStatus {
        let stats = self.engine.stats();
        let allocations = self.allocations().count();
        WorkerStatus {
            allocations,
            sockets: self.open_sockets(),
            counts: self.shared.counters().read(),
            unsent: stats.transmit_dropped,
            overflows: stats.receive_dropped,
            panicked: stats.group.panicked,
        }
    }

    fn open_sockets(&self) -> usize {
        let now = self.clock.now();
        let relayed = self
            .allocations()
            .filter(|it| it.info(now).relayed.is_some());
        relayed.count()
    }
}

/// Arms the timer if a task panics: the others still have to have their turn.
struct ArmOnPanic(Timers<NextTurn>);

impl Drop for ArmOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.once(Duration::ZERO, NextTurn);
        }
    }
}

impl thread::Service for Worker {
    type Request = Request;
    type Reply = Reply;
    type Error = Infallible;
    type Output = ();
    type Timer = NextTurn;

    fn handle(
        &mut self,
        request: Request,
        reply: ReplyContext<'_, Reply, Infallible>,
    ) -> ControlFlow<()> {
        let now = self.clock.now();
        let answer = match request {
            Request::Allocations => {
                Reply::Allocations(self.allocations().map(|it| it.info(now)).collect())
            }
            Request::Status => Reply::Status(self.status()),
            Request::Drain => {
                self.shared.drain();
                Reply::Draining
            }
        };
        // An error means that the caller has left.
        let _ = reply.reply(answer);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, NextTurn: NextTurn) -> ControlFlow<()> {
        let now = self.clock.now();
        // The timer of a panic is not the armed one.
        self.armed = self.armed.filter(|(_, at)| *at > now);
        self.turn();
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: net::Event) -> ControlFlow<()> {
        let net::Event::Readable(id) = event else {
            // A socket for datagrams that has failed goes on; what was lost is counted.
            return ControlFlow::Continue(());
        };
        let now = self.clock.now();
        let on_panic = ArmOnPanic(self.timers.clone());
        for _ in 0..BATCH {
            let received = self.engine.sockets().receive(id, &mut self.buffer);
            let Ok((socket, datagram)) = received else {
                break;
            };
            let payload = Payload::borrowed(&mut self.buffer[..datagram.len]);
            let packet = Receive::new(datagram.from, payload).socket(socket);
            self.engine.receive(now, packet);
        }
        self.turn();
        drop(on_panic);
        ControlFlow::Continue(())
    }

    fn term(&mut self, output: Option<()>) -> Option<()> {
        self.engine.shut_down();
        for _ in 0..LAST_TURNS {
            if self.engine.turn(self.clock.now()) != Turned::Again {
                break;
            }
        }
        output
    }
}
