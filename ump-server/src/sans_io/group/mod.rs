//! Many tasks, of which only those with something to do are touched.
//!
//! # State of a task
//!
//! ```text
//!                    on_input, on_tick, on_shutdown; spawned
//!           ┌───────────────────────────────────────────────────┐
//!           │                                                   ▼
//!        drained ◄──────── pop_output returns `None` ──────── undrained ──► pop_output
//!           │                                                             returns an output
//!           ├─ to be ticked, or an input in the inbox: ready, as an undrained task is
//!           └─ neither: at rest, with a deadline or none; an input is given to it at once
//! ```
//!
//! # Invariants
//!
//! 1. A task that is not at rest is in the ready queue exactly once. A task at rest is not.
//! 2. A method other than `pop_output` and `accepts` is called only while the task is drained.
//! 3. `deadlines` has the deadline of each task that is drained and not due. That of an undrained
//!    task may be out of date, and early.
//! 4. `running` is set exactly while code of a task runs, or an input of its inbox is dropped. If
//!    it is set otherwise, that task has panicked. It is removed before anything else is done.
//! 5. A task is called at most [`Limits::batch`] times in a turn, and ticked at most once. A turn
//!    makes at most [`Limits::turn`] calls. Each turn continues where the last one has stopped.
//!
//! # Memory
//!
//! Outputs are not stored. Of inputs there are at most [`Limits::inbox`] per task. Beside that, a
//! task costs its own size, at most 136 bytes, and 16 bytes in the ready queue or 24 bytes in the
//! heap of deadlines.

mod closing;
mod deadlines;
mod entry;
mod id;
mod limits;
mod output;
mod room;

use std::{collections::VecDeque, fmt, num::NonZeroU64, time::Instant};

use self::{
    deadlines::Deadlines,
    entry::{Closing, Entry, NextTick},
};
use super::{Input, Output, Shutdown, Task};
use crate::timer::slab::Slab;

pub use self::{
    id::TaskId,
    limits::{GroupStats, Limits},
    output::{GroupFull, GroupOutput, InputRefused, StuckTask, TaskEnd, Turn},
};

/// Runs many tasks, without sockets and without a clock: the core of all drivers.
///
/// A group keeps the [contract](super#the-contract) with its tasks: it takes all outputs of a task
/// before it gives the task the next input, tick or shutdown. It is fair: tasks with something to
/// do take turns, and none is called more than [`Limits::batch`] times in a turn.
///
/// A driver gives it inputs, and runs turns:
///
/// ```
/// use std::time::Instant;
/// use ump_server::sans_io::{Group, GroupOutput, Input, Output, Task};
///
/// /// Runs one turn. Returns when the next one has to begin, if no input comes before.
/// fn run_turn<T: Task>(group: &mut Group<T>, now: Instant) -> Option<Instant> {
///     let mut turn = group.begin_turn(now);
///     while let Some(output) = group.next_output(&mut turn) {
///         match output {
///             GroupOutput::Task(id, Output::Net(packet)) => { /* send it */ }
///             GroupOutput::Task(id, output) => { /* … */ }
///             GroupOutput::Ended(id, task, end) => { /* remove what refers to `id` */ }
///             GroupOutput::Stuck(id, stuck) => { /* report it */ }
///         }
///     }
///     if group.is_ready() { Some(now) } else { group.next_deadline() }
/// }
/// ```
///
/// # Panics of tasks
/// A panic of a task leaves the group's method, and so does one of the drop of an input that the
/// task had not got when it ended. The group can be used afterwards: it removes the task, and
/// returns it as [`TaskEnd::Panicked`] in the next turn.
pub struct Group<T: Task> {
    entries: Slab<Entry<T>>,
    /// `None` before the first task.
    deadlines: Option<Deadlines>,
    /// The places of the tasks with something to do. A task that was removed may still be here, so
    /// the serial numbers are compared.
    ready: VecDeque<(u32, NonZeroU64)>,
    /// The first task of the ready queue, and how often it has been called since it is the first.
    /// (A turn may end in the middle of a batch. The next one does not begin another.)
    front: Option<(NonZeroU64, usize)>,
    /// The serial number of the latest task, or one less than that of the first.
    last: u64,
    /// The place of the task whose code runs.
    running: Option<u32>,
    /// Tasks that have panicked and are not returned yet.
    panicked: VecDeque<(TaskId, T)>,
    limits: Limits,
    stats: GroupStats,
}

impl<T: Task> Group<T> {
    /// Creates an empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Creates an empty group with these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            entries: Slab::new(),
            deadlines: None,
            ready: VecDeque::new(),
            front: None,
            last: 0,
            running: None,
            panicked: VecDeque::new(),
            limits,
            stats: GroupStats::default(),
        }
    }

    /// Adds a task. The outputs that it has already are taken before its first input.
    ///
    /// # Errors
    /// Returns the task if the group is [full](Limits::tasks).
    pub fn spawn(&mut self, now: Instant, task: T) -> Result<TaskId, GroupFull<T>> {
        self.remove_panicked();
        if self.entries.len() >= self.limits.tasks.min((1 << 31) - 1) {
            return Err(GroupFull(task));
        }
        self.deadlines.get_or_insert_with(|| Deadlines::new(now));
        let serial = NonZeroU64::MIN.saturating_add(self.last);
        self.last += 1;
        self.stats.spawned += 1;
        let place = self.entries.insert(Entry::new(task, serial));
        self.queue(place);
        Ok(TaskId { serial, place })
    }

    /// Gives an input to a task. If the task is at rest, it gets the input at once. Otherwise the
    /// input waits in the task's inbox until the outputs are taken. A borrowed input that has to
    /// wait is copied.
    ///
    /// Afterwards there is something to do: run a [turn](Self::begin_turn).
    ///
    /// # Errors
    /// See [`InputRefused`].
    pub fn on_input<'a>(
        &mut self,
        now: Instant,
        id: TaskId,
        input: Input<'a, T::Io>,
    ) -> Result<(), InputRefused<Input<'a, T::Io>>> {
        self.remove_panicked();
        let Some(entry) = self.entries.get_mut(id.place) else {
            self.stats.refused += 1;
            return Err(InputRefused::NoTask(input));
        };
        if entry.serial != id.serial || entry.closing == Closing::Ready {
            self.stats.refused += 1;
            return Err(InputRefused::NoTask(input));
        }
        if let Input::App(command) = &input {
            self.running = Some(id.place);
            let is_accepted = entry.task.accepts(command);
            self.running = None;
            if !is_accepted {
                self.stats.refused += 1;
                return Err(InputRefused::WrongKind(input));
            }
        }
        if !entry.is_at_rest() {
            if entry.inbox.len() >= self.limits.inbox {
                self.stats.refused += 1;
                return Err(InputRefused::Full(input));
            }
            entry.inbox.push_back(input.into_owned());
            return Ok(());
        }
        entry.is_drained = false;
        self.stats.inputs += 1;
        self.running = Some(id.place);
        entry.task.on_input(now, input);
        self.running = None;
        self.queue(id.place);
        Ok(())
    }

    /// Begins a turn at `now`. Tasks whose deadline has passed are ticked in it.
    ///
    /// The turn visits the tasks that have something to do now, each once. What becomes ready
    /// during the turn is for the next one.
    pub fn begin_turn(&mut self, now: Instant) -> Turn {
        self.remove_panicked();
        for _ in 0..self.limits.turn {
            let Some(deadlines) = &mut self.deadlines else {
                break;
            };
            let Some((place, deadline)) = deadlines.pop(now) else {
                break;
            };
            let lateness = now.saturating_duration_since(deadline);
            self.stats.max_lateness = self.stats.max_lateness.max(lateness);
            self.stats.total_lateness = self.stats.total_lateness.saturating_add(lateness);
            if let Some(entry) = self.entries.get_mut(place) {
                entry.is_due = true;
                self.queue(place);
            }
        }
        Turn {
            now,
            tasks: self.ready.len(),
            calls: self.limits.turn,
        }
    }

    /// Returns the next output of this turn. `None` ends the turn; if the group is then still
    /// [ready](Self::is_ready), another turn is to follow, after a look at the sources of inputs.
    ///
    /// Between two outputs, inputs can be given and tasks can be spawned and removed.
    pub fn next_output(&mut self, turn: &mut Turn) -> Option<GroupOutput<T>> {
        self.remove_panicked();
        if let Some((id, task)) = self.panicked.pop_front() {
            return Some(GroupOutput::Ended(id, task, TaskEnd::Panicked));
        }
        while turn.tasks > 0 && turn.calls > 0 {
            let &(place, serial) = self.ready.front()?;
            let entry = self.entries.get_mut(place);
            let Some(entry) = entry.filter(|entry| entry.serial == serial) else {
                self.visited(turn);
                continue;
            };
            let calls = match self.front {
                Some((front, calls)) if front == serial => calls,
                _ => 0,
            };
            if calls >= self.limits.batch {
                self.ready.push_back((place, serial));
                self.visited(turn);
                continue;
            }
            if entry.is_drained && entry.is_at_rest() {
                entry.is_queued = false;
                self.visited(turn);
                continue;
            }
            self.front = Some((serial, calls + 1));
            turn.calls -= 1;
            let output = if entry.is_drained {
                self.call(turn.now, place);
                None
            } else {
                self.pop(turn.now, TaskId { serial, place })
            };
            if output.is_some() {
                return output;
            }
        }
        None
    }

    /// Returns the next output of a task, outside of turns. `None` if it has none, and so can get
    /// its next input at once, unless it is to be ticked or shut down.
    ///
    /// A driver that has an input for a task, and would rather not have it copied to the inbox,
    /// takes the outputs first. These calls do not count for the limits: limit them.
    pub fn next_output_of(&mut self, now: Instant, id: TaskId) -> Option<GroupOutput<T>> {
        self.remove_panicked();
        if self.find(id)?.is_drained {
            return None;
        }
        self.pop(now, id)
    }

    /// Returns whether a task has something to do, so that a turn is to follow at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.panicked.is_empty() || self.running.is_some()
    }

    /// Returns the earliest deadline of the tasks: the instant at which the next turn has to begin,
    /// if the group is not [ready](Self::is_ready) before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.as_ref()?.first()
    }

    /// Shuts all tasks down. Each gets the inputs that are in its inbox now. Then its outputs are
    /// taken, [`on_shutdown`](Task::on_shutdown) is called, and it ends as that says.
    ///
    /// The driver goes on with its turns until the group [is empty](Self::is_empty), at most until
    /// a deadline.
    pub fn shut_down(&mut self) {
        self.remove_panicked();
        let places: Vec<u32> = self.entries.iter().map(|(place, _)| place).collect();
        for place in places {
            self.shut_down_at(place);
        }
    }

    /// Removes a task at once, with the outputs that have not been taken.
    pub fn remove(&mut self, id: TaskId) -> Option<T> {
        self.remove_panicked();
        self.find(id)?;
        Some(self.take(id.place))
    }

    /// Returns a task.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&T> {
        self.find(id).map(|entry| &entry.task)
    }

    /// Iterates over the tasks and their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &T)> {
        self.entries.iter().map(|(place, entry)| {
            let serial = entry.serial;
            (TaskId { serial, place }, &entry.task)
        })
    }

    /// Returns the number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> GroupStats {
        GroupStats {
            tasks: self.entries.len(),
            ready: self.ready.len(),
            ..self.stats
        }
    }

    fn find(&self, id: TaskId) -> Option<&Entry<T>> {
        let entry = self.entries.get(id.place)?;
        (entry.serial == id.serial).then_some(entry)
    }

    /// Puts a task into the ready queue, unless it is there.
    fn queue(&mut self, place: u32) {
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        if !entry.is_queued {
            entry.is_queued = true;
            self.ready.push_back((place, entry.serial));
        }
    }

    /// Removes the first task from the ready queue: the turn goes on with the next one.
    fn visited(&mut self, turn: &mut Turn) {
        self.ready.pop_front();
        self.front = None;
        turn.tasks -= 1;
    }

    /// Calls a drained task that has something to do.
    fn call(&mut self, now: Instant, place: u32) {
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        self.running = Some(place);
        entry.is_drained = false;
        if entry.is_due {
            entry.is_due = false;
            entry.overdue.ticks(entry.task.next_deadline());
            self.stats.ticks += 1;
            entry.task.on_tick(now);
        } else if entry.closing == Closing::Requested(0) {
            entry.closing = match entry.task.on_shutdown(now) {
                Shutdown::Ready => Closing::Ready,
                Shutdown::Wait => Closing::Waits,
            };
        } else if let Some(input) = entry.inbox.pop_front() {
            if let Closing::Requested(before) = &mut entry.closing {
                *before -= 1;
            }
            self.stats.inputs += 1;
            entry.task.on_input(now, input);
        }
        self.running = None;
    }

    /// Takes an output of a task that is not drained. If it has none, the task is drained.
    fn pop(&mut self, now: Instant, id: TaskId) -> Option<GroupOutput<T>> {
        let entry = self.entries.get_mut(id.place)?;
        self.running = Some(id.place);
        let output = entry.task.pop_output(now);
        let output = match output {
            Some(output) => output,
            None if entry.closing == Closing::Ready => {
                self.running = None;
                return Some(self.end(id, TaskEnd::ShutDown));
            }
            None => {
                let deadline = entry.task.next_deadline();
                self.running = None;
                entry.is_drained = true;
                let NextTick { at, stuck } = entry.overdue.next(now, deadline);
                if !entry.is_due {
                    if let Some(deadlines) = &mut self.deadlines {
                        deadlines.set(id.place, at);
                    }
                }
                let (ticks, deadline) = stuck.zip(deadline)?;
                self.stats.stuck += 1;
                return Some(GroupOutput::Stuck(id, StuckTask { deadline, ticks }));
            }
        };
        self.running = None;
        self.stats.outputs += 1;
        Some(match output {
            Output::Done => self.end(id, TaskEnd::Done),
            output => GroupOutput::Task(id, output),
        })
    }

    fn end(&mut self, id: TaskId, end: TaskEnd) -> GroupOutput<T> {
        GroupOutput::Ended(id, self.take(id.place), end)
    }

    /// Removes the task at a place, and drops the inputs in its inbox first. If a drop panics, the
    /// panic leaves this method, and the task has panicked: the next method removes it.
    fn take(&mut self, place: u32) -> T {
        self.running = Some(place);
        let next = |entry: &mut Entry<T>| entry.inbox.pop_front();
        while let Some(input) = self.entries.get_mut(place).and_then(next) {
            self.stats.discarded += 1;
            drop(input);
        }
        self.running = None;
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.set(place, None);
        }
        let entry = self.entries.remove(place).expect("the task exists");
        // The queue may keep tasks that were removed, but not without bound.
        if self.ready.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.ready.retain(|&(place, serial)| {
                entries
                    .get(place)
                    .is_some_and(|entry| entry.serial == serial)
            });
        }
        entry.task
    }

    /// Removes the task that has panicked, if one has.
    #[inline]
    fn remove_panicked(&mut self) {
        if let Some(place) = self.running.take() {
            self.panicked(place);
        }
    }

    #[cold]
    fn panicked(&mut self, place: u32) {
        let Some(entry) = self.entries.get(place) else {
            return;
        };
        let serial = entry.serial;
        let task = self.take(place);
        self.stats.panicked += 1;
        self.panicked.push_back((TaskId { serial, place }, task));
    }
}

impl<T: Task> Default for Group<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Task> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("tasks", &self.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}
