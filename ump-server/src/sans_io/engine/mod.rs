//! The common part of all drivers: a group with its surroundings, without any waiting.

mod messages;
mod network;

use std::{collections::VecDeque, fmt, time::Instant};

use super::{
    Group, GroupFull, GroupOutput, Input, InputRefused, Interface, IntoTask, Limits, NamedTask,
    Network, Output, Report, Sockets, Task, TaskAddress, TaskEnd, TaskId,
    local_bus::{Envelope, LocalBus},
    status::{EngineStats, StatusCell},
};
use crate::{bus::Endpoint, sync::Arc};

/// The commands, events and so on of a task, by short names.
type Command<T> = <<T as Task>::Io as Interface>::Command;
type Event<T> = <<T as Task>::Io as Interface>::Event;
type Message<T> = <<T as Task>::Io as Interface>::Bus;
type Spawn<T> = <<T as Task>::Io as Interface>::Spawn;
type NetInput<'a, T> = <<<T as Task>::Io as Interface>::Net as Network>::Input<'a>;

/// Takes a report. Returns it if there is no room for it now.
pub(super) type Reporter<E> = Box<dyn FnMut(Report<E>) -> Result<(), Report<E>> + Send>;

/// Takes a task that another one has spawned. Returns it if it is to stay with its parent.
pub(super) type Placer<T> = Box<dyn FnMut(T) -> Result<(), T> + Send>;

/// The parts of a driver that do not wait: a [`Group`] of tasks, the [`Sockets`] by which they
/// send, their messages to each other, and the reports to the application.
///
/// A driver gives it commands and packets, and runs a [turn](Self::turn) after each; and another
/// one at the instant that the turn returns. The drivers of this crate are made of it
/// ([`Component`](super::Component), [`Controller`](super::Controller), [`Runner`](super::Runner)),
/// and so is the [`Simulation`](super::Simulation). Use it to run tasks in a handler of your own,
/// beside other requests, or with sockets of your own.
///
/// ```
/// # use std::time::{Duration, Instant};
/// use ump_server::sans_io::{Engine, Input, Io, Limits, NoNetwork, NoSockets, Output, Report, Task, Turned, Unused};
///
/// /// Counts commands.
/// #[derive(Default)]
/// struct Counter { count: u64, reported: u64 }
///
/// impl Task for Counter {
///     type Io = Io<(), u64, Unused, Unused, NoNetwork>;
///
///     fn on_tick(&mut self, _: Instant) {}
///
///     fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
///         match input {
///             Input::App(()) => self.count += 1,
///         }
///     }
///
///     fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
///         (self.count > self.reported).then(|| {
///             self.reported = self.count;
///             Output::App(self.count)
///         })
///     }
///
///     fn next_deadline(&self) -> Option<Instant> {
///         None
///     }
/// }
///
/// let (reports, events) = std::sync::mpsc::channel();
/// let mut engine = Engine::new(Limits::new(), NoSockets, move |report| {
///     let _ = reports.send(report);
/// });
/// let now = Instant::now();
/// let id = engine.spawn(now, Counter::default()).unwrap();
/// engine.command(now, id, ()).unwrap();
/// assert_eq!(engine.turn(now), Turned::AtRest);
/// assert!(matches!(events.try_recv(), Ok(Report::Event { event: 1, .. })));
/// ```
pub struct Engine<T: Task, S> {
    worker: usize,
    group: Group<T>,
    sockets: S,
    bus: LocalBus<Message<T>>,
    report: Reporter<Event<T>>,
    /// Reports for which there was no room. While there are any, there are no turns.
    unreported: VecDeque<Report<Event<T>>>,
    placer: Option<Placer<T>>,
    /// The task that had no room for a message in the last turn.
    blocked_by: Option<TaskId>,
    /// The bytes that the sockets have received.
    buffer: Vec<u8>,
    /// Whether the sockets receive nothing, because there is no room for reports.
    is_paused: bool,
    /// The number of calls of tasks that are still allowed before the next turn.
    calls: usize,
    status: Arc<StatusCell>,
    stats: EngineStats,
}

/// The number of calls of tasks between two turns, to take outputs before an input.
const CALLS: usize = 1_024;

/// The next step of a driver after a turn, if no input comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turned {
    /// Another turn, after a look at the sources of inputs.
    Again,
    /// A turn at this instant, which may have passed.
    At(Instant),
    /// Nothing: the tasks are at rest.
    AtRest,
    /// Nothing, until there is room for reports.
    Blocked,
}

impl<T, S> Engine<T, S>
where
    T: Task,
    Spawn<T>: IntoTask<T>,
    S: Sockets<<T::Io as Interface>::Net>,
{
    /// Creates an engine without tasks. `report` gets the events of the tasks, and their failures.
    pub fn new(
        limits: Limits,
        sockets: S,
        mut report: impl FnMut(Report<Event<T>>) + Send + 'static,
    ) -> Self {
        let report = move |it| {
            report(it);
            Ok(())
        };
        Self::with_reporter(limits, sockets, Box::new(report))
    }

    /// Creates an engine whose reporter may have no room.
    pub(super) fn with_reporter(limits: Limits, sockets: S, report: Reporter<Event<T>>) -> Self {
        Self {
            worker: 0,
            group: Group::with_limits(limits),
            sockets,
            bus: LocalBus::new(),
            report,
            unreported: VecDeque::new(),
            placer: None,
            blocked_by: None,
            buffer: Vec::new(),
            is_paused: false,
            calls: CALLS,
            status: Arc::new(StatusCell::default()),
            stats: EngineStats::default(),
        }
    }

    /// Makes this the engine of one of several workers.
    pub(super) fn connect(
        &mut self,
        endpoint: Endpoint<Envelope<Message<T>>>,
        status: &Arc<StatusCell>,
        placer: Option<Placer<T>>,
    ) {
        self.worker = endpoint.number();
        self.bus.connect(endpoint);
        self.status = Arc::clone(status);
        if let Some(last) = status.last() {
            // A worker that was rebuilt: what is for its earlier tasks is for no one.
            self.group.continue_after(last);
        }
        self.placer = placer;
    }

    /// Adds a task.
    ///
    /// # Errors
    /// Returns the task if there are as many as the [limit](Limits::tasks).
    pub fn spawn(&mut self, now: Instant, task: T) -> Result<TaskId, GroupFull<T>> {
        let name = task.name();
        let id = self.group.spawn(now, task)?;
        self.status.spawned(id, name);
        self.sockets.spawned(id);
        Ok(id)
    }

    /// Gives a command to a task.
    ///
    /// # Errors
    /// Returns the command if the task has ended, its [inbox](Limits::inbox) is full, or the
    /// command is for another type of tasks.
    pub fn command(
        &mut self,
        now: Instant,
        to: TaskId,
        command: Command<T>,
    ) -> Result<(), InputRefused<Command<T>>> {
        let given = self.group.on_input(now, to, Input::App(command));
        let command = |input| match input {
            Input::App(command) => command,
            _ => unreachable!("the group returns the input"),
        };
        given.map_err(|refused| refused.map(command))
    }

    /// Counts a task that another driver's task has spawned, and that was refused.
    pub(super) fn count_spawn_dropped(&mut self) {
        self.stats.spawn_dropped += 1;
    }

    /// Runs one turn: each task that has something to do is called a limited number of times, and
    /// its outputs are sent. Returns the next step.
    pub fn turn(&mut self, now: Instant) -> Turned {
        self.stats.turns += 1;
        self.calls = CALLS;
        if !self.deliver_reports() {
            self.pause_sockets();
            return Turned::Blocked;
        }
        self.deliver_messages(now);
        self.receive_inputs(now);
        self.run_turn(now);
        self.bus.flush();
        self.flush_sockets(now);
        self.pause_sockets();
        self.stats.group = self.group.stats();
        self.stats.bus_dropped = self.bus.dropped();
        self.next()
    }

    /// Returns the next step, if there is no input.
    pub(super) fn next(&self) -> Turned {
        if !self.unreported.is_empty() {
            Turned::Blocked
        } else if self.group.is_ready() || self.bus.incoming() > 0 || self.sockets.has_input() {
            Turned::Again
        } else {
            let deadlines = [self.group.next_deadline(), self.sockets.next_deadline()];
            match deadlines.into_iter().flatten().min() {
                Some(at) => Turned::At(at),
                None => Turned::AtRest,
            }
        }
    }

    /// Shuts all tasks down: see [`Group::shut_down`]. Further turns collect their last outputs,
    /// until the engine [is empty](Self::is_empty).
    pub fn shut_down(&mut self) {
        self.group.shut_down();
    }

    /// Returns whether there is no task, and nothing to report or to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let has_tasks = !self.group.is_empty() || self.group.is_ready();
        !has_tasks && self.unreported.is_empty() && self.sockets.is_flushed()
    }

    /// Returns the tasks.
    #[must_use]
    pub fn group(&self) -> &Group<T> {
        &self.group
    }

    /// Returns the sockets.
    pub fn sockets(&mut self) -> &mut S {
        &mut self.sockets
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            group: self.group.stats(),
            bus_dropped: self.bus.dropped(),
            bus_queued: self.bus.incoming(),
            ..self.stats
        }
    }

    /// Returns the names of the tasks.
    #[must_use]
    pub fn tasks(&self) -> Vec<NamedTask> {
        let names = self.status.names().into_iter();
        names.map(|(id, name)| self.named(id, name)).collect()
    }

    pub(super) fn status(&self) -> &Arc<StatusCell> {
        &self.status
    }

    /// Writes the counters where other threads see them. `busy` is when the driver began and ended
    /// its work.
    pub(super) fn publish(&mut self, (begin, end): (Instant, Instant)) {
        self.stats.busy += end.saturating_duration_since(begin);
        self.status.write(self.stats());
    }

    /// Writes the counters where other threads see them.
    pub(super) fn publish_stats(&self) {
        self.status.write(self.stats());
    }

    /// Ends the messages to this engine.
    pub(super) fn disconnect(&mut self) {
        self.bus.flush();
        self.bus.close();
    }

    fn address(&self, task: TaskId) -> TaskAddress {
        TaskAddress {
            worker: self.worker,
            task,
        }
    }

    fn named(&self, id: TaskId, name: std::borrow::Cow<'static, str>) -> NamedTask {
        NamedTask {
            address: self.address(id),
            name,
        }
    }

    /// Delivers the reports that wait. Returns whether none is left.
    fn deliver_reports(&mut self) -> bool {
        while let Some(report) = self.unreported.pop_front() {
            if let Err(report) = (self.report)(report) {
                self.unreported.push_front(report);
                return false;
            }
        }
        true
    }

    fn report(&mut self, report: Report<Event<T>>) {
        if let Err(report) = (self.report)(report) {
            self.unreported.push_back(report);
        }
    }

    fn run_turn(&mut self, now: Instant) {
        let mut turn = self.group.begin_turn(now);
        while let Some(output) = self.group.next_output(&mut turn) {
            self.handle_output(now, output);
            if !self.unreported.is_empty() {
                break;
            }
        }
    }

    fn handle_output(&mut self, now: Instant, output: GroupOutput<T>) {
        match output {
            GroupOutput::Task(id, output) => self.handle(now, id, output),
            GroupOutput::Ended(id, task, end) => self.ended(id, task, end),
            GroupOutput::Stuck(id, stuck) => {
                let name = self.status.name(id).unwrap_or_default();
                let task = self.address(id);
                self.report(Report::TaskStuck { task, name, stuck });
            }
        }
    }

    fn handle(&mut self, now: Instant, id: TaskId, output: Output<T::Io>) {
        match output {
            Output::Net(output) => match self.sockets.transmit(id, output) {
                Ok(()) => self.stats.transmitted += 1,
                Err(_) => self.stats.transmit_dropped += 1,
            },
            Output::App(event) => {
                let from = self.address(id);
                self.report(Report::Event { from, event });
            }
            Output::Bus(output) => self.handle_bus(id, output),
            Output::Spawn(spawn) => {
                let task = spawn.into_task();
                let placed = match &mut self.placer {
                    Some(place) => place(task),
                    None => Err(task),
                };
                if let Err(task) = placed {
                    let ends = self.group.is_closing(id);
                    match self.spawn(now, task) {
                        Ok(child) if ends => self.group.shut_down_task(child),
                        Ok(_) => {}
                        // A full group drops what its own tasks spawn.
                        Err(_) => self.stats.spawn_dropped += 1,
                    }
                }
            }
            Output::Done => unreachable!("the group removes the task"),
        }
    }

    fn ended(&mut self, id: TaskId, task: T, end: TaskEnd) {
        self.sockets.ended(id);
        self.bus.ended(id);
        let name = self.status.ended(id).unwrap_or_default();
        if end == TaskEnd::Panicked {
            let message = self.status.take_panic();
            let task = self.address(id);
            self.report(Report::TaskPanicked {
                task,
                name,
                message,
            });
        }
        drop(task);
    }
}

impl<T: Task, S> fmt::Debug for Engine<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("worker", &self.worker)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
