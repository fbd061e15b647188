//! Tasks that do what a script says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::mpsc,
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    BusInput, BusOutput, Group, GroupOutput, Input, Io, NoNetwork, Output, Shutdown, Task, TaskEnd,
    TaskId,
};

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// A task that does what its commands say, and asserts the contract of drivers.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way to misbehave")]
pub(crate) struct Scripted {
    pub(crate) outputs: VecDeque<Output<ScriptedIo>>,
    pub(crate) deadline: Option<Instant>,
    /// Emits this event for ever.
    pub(crate) floods: bool,
    /// Does not advance its deadline.
    pub(crate) is_stuck: bool,
    pub(crate) lingers: bool,
    pub(crate) ticks: u64,
    pub(crate) inputs: u64,
    pub(crate) is_undrained: bool,
}

pub(crate) type ScriptedIo = Io<Act, Said, u64, Scripted, NoNetwork>;

pub(crate) enum Act {
    /// Emits these events.
    Say(Vec<u64>),
    Do(Output<ScriptedIo>),
    DoAll(Vec<Output<ScriptedIo>>),
    Deadline(Option<Instant>),
    Panic,
    /// Panics when it is dropped.
    PanicOnDrop(PanicOnDrop),
    /// Blocks the worker until the sender is dropped.
    Block(mpsc::Receiver<()>),
}

pub(crate) struct PanicOnDrop;

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Number(u64),
    Tick(u64),
    Bus(BusInput<u64>),
    ShutDown,
}

impl Scripted {
    fn called(&mut self) {
        assert!(
            !self.is_undrained,
            "outputs are taken before the next input"
        );
        self.is_undrained = true;
    }
}

impl Task for Scripted {
    type Io = ScriptedIo;

    fn on_tick(&mut self, now: Instant) {
        self.called();
        self.ticks += 1;
        if self.is_stuck {
            return;
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            self.outputs.push_back(Output::App(Said::Tick(self.ticks)));
        }
    }

    fn on_input(&mut self, _: Instant, input: Input<'_, ScriptedIo>) {
        self.called();
        self.inputs += 1;
        match input {
            Input::App(Act::Say(numbers)) => {
                let said = numbers.into_iter().map(|n| Output::App(Said::Number(n)));
                self.outputs.extend(said);
            }
            Input::App(Act::Do(output)) => self.outputs.push_back(output),
            Input::App(Act::DoAll(outputs)) => self.outputs.extend(outputs),
            Input::App(Act::Deadline(at)) => self.deadline = at,
            Input::App(Act::Panic) => panic!("as told"),
            Input::App(Act::PanicOnDrop(it)) => std::mem::forget(it),
            Input::App(Act::Block(until)) => drop(until.recv()),
            Input::Bus(message) => self.outputs.push_back(Output::App(Said::Bus(message))),
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<ScriptedIo>> {
        if self.floods {
            return Some(Output::App(Said::Number(u64::MAX)));
        }
        let output = self.outputs.pop_front();
        self.is_undrained = output.is_some();
        output
    }

    fn next_deadline(&self) -> Option<Instant> {
        assert!(
            !self.is_undrained,
            "the deadline is read when the outputs are taken"
        );
        self.deadline
    }

    fn on_shutdown(&mut self, _: Instant) -> Shutdown {
        self.called();
        self.outputs.push_back(Output::App(Said::ShutDown));
        if self.lingers {
            Shutdown::Wait
        } else {
            Shutdown::Ready
        }
    }
}

pub(crate) fn say(n: u64) -> Input<'static, ScriptedIo> {
    Input::App(Act::Say(vec![n]))
}

pub(crate) fn act(output: Output<ScriptedIo>) -> Input<'static, ScriptedIo> {
    Input::App(Act::Do(output))
}

pub(crate) fn bus(output: BusOutput<u64>) -> Act {
    Act::Do(Output::Bus(output))
}

/// The outputs of a group in a turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) said: Vec<(TaskId, Said)>,
    pub(crate) ended: Vec<(TaskId, TaskEnd)>,
    pub(crate) stuck: Vec<TaskId>,
}

/// Runs one turn.
pub(crate) fn turn(group: &mut Group<Scripted>, now: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut turn = group.begin_turn(now);
    while let Some(output) = group.next_output(&mut turn) {
        match output {
            GroupOutput::Task(id, Output::App(said)) => seen.said.push((id, said)),
            GroupOutput::Task(_, output) => panic!("{output:?}"),
            GroupOutput::Ended(id, _, end) => seen.ended.push((id, end)),
            GroupOutput::Stuck(id, _) => seen.stuck.push(id),
        }
    }
    seen
}

/// Runs turns until there is nothing to do.
pub(crate) fn drain(group: &mut Group<Scripted>, now: Instant) -> Seen {
    let mut all = Seen::default();
    for _ in 0..10_000 {
        let seen = turn(group, now);
        all.said.extend(seen.said);
        all.ended.extend(seen.ended);
        all.stuck.extend(seen.stuck);
        let is_due = group.next_deadline().is_some_and(|at| at <= now);
        if !group.is_ready() && !is_due {
            return all;
        }
    }
    panic!("the group is never at rest");
}
