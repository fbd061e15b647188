//! The network of an engine: inputs that its sockets have received, and what they report.

use std::{mem, time::Instant};

use super::{Engine, NetInput, Spawn};
use crate::sans_io::{Input, Interface, IntoTask, Report, Sockets, Task, TaskId};

/// The number of inputs of its sockets that an engine gives to the tasks before it looks at the
/// other sources.
const INPUTS: usize = 1_024;

impl<T, S> Engine<T, S>
where
    T: Task,
    Spawn<T>: IntoTask<T>,
    S: Sockets<<T::Io as Interface>::Net>,
{
    /// Gives a received packet to its task. The packet may borrow the receive buffer.
    ///
    /// The outputs of the task are taken before, so that the packet need not wait in its inbox, for
    /// which it would be copied. If the task has no room for it even after a turn, the packet is
    /// dropped and counted. Returns whether a task has got it.
    pub fn receive(&mut self, now: Instant, input: NetInput<'_, T>) -> bool {
        let to = self.sockets.route(&input);
        self.give(now, to, input)
    }

    /// Notes an event of a socket of the loop, and gives what the socket has received to the tasks.
    /// Run a [turn](Self::turn) afterwards.
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    pub fn on_socket(&mut self, now: Instant, event: crate::net::Event) {
        self.sockets.on_socket(event);
        self.receive_inputs(now);
    }

    /// Gives the inputs of the sockets to the tasks, as long as there is room for reports.
    pub(super) fn receive_inputs(&mut self, now: Instant) {
        let mut buffer = mem::take(&mut self.buffer);
        for _ in 0..INPUTS {
            if !self.unreported.is_empty() {
                break;
            }
            // An output may be about this connection: that it is not to be read, or is released.
            if let Some(task) = self.sockets.next_reader() {
                self.take_outputs(now, task);
            }
            let group = &self.group;
            let has_room = |task| !group.is_busy(task);
            let Some((to, input)) = self.sockets.next_input(now, &has_room, &mut buffer) else {
                break;
            };
            self.give(now, to, input);
        }
        self.buffer = buffer;
    }

    /// Sends what the sockets have gathered, and reports their failures.
    pub(super) fn flush_sockets(&mut self, now: Instant) {
        self.stats.transmit_dropped += self.sockets.flush(now);
        while let Some(mut failure) = self.sockets.next_failure() {
            failure.worker = self.worker;
            self.report(Report::SocketFailed(failure));
        }
    }

    /// Lets the sockets receive as long as there is room for reports.
    pub(super) fn pause_sockets(&mut self) {
        let is_blocked = !self.unreported.is_empty();
        if is_blocked != self.is_paused {
            self.is_paused = is_blocked;
            self.sockets.pause_receiving(is_blocked);
        }
    }

    fn give(&mut self, now: Instant, to: Option<TaskId>, input: NetInput<'_, T>) -> bool {
        self.stats.received += 1;
        let Some(to) = to else {
            self.stats.receive_dropped += 1;
            return false;
        };
        self.take_outputs(now, to);
        // No turn while there is no room for reports: they would grow without a limit.
        if !self.group.has_room(to) && self.unreported.is_empty() {
            self.run_turn(now);
        }
        let got = self.group.on_input(now, to, Input::Net(input)).is_ok();
        self.stats.receive_dropped += u64::from(!got);
        got
    }

    /// Takes the outputs of a task, so that it is at rest. Limited, until the next turn.
    fn take_outputs(&mut self, now: Instant, task: TaskId) {
        while self.calls > 0 && self.unreported.is_empty() {
            self.calls -= 1;
            match self.group.next_output_of(now, task) {
                Some(output) => self.handle_output(now, output),
                None => break,
            }
        }
    }
}
