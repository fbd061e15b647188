use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};
use ump_server::sans_io::{
    ConnectionId, Input, Io, Output, StreamInput, StreamOutput, Streams, Task, Unused,
};

/// Answers each line with the same line in capitals.
#[derive(Default)]
pub struct Shout {
    /// The line that is not complete yet, of each connection.
    lines: HashMap<ConnectionId, Vec<u8>>,
    outputs: VecDeque<Output<ShoutIo>>,
}

/// No commands, events, messages to other tasks, and spawned tasks; but streams.
pub type ShoutIo = Io<Unused, Unused, Unused, Unused, Streams>;

impl Task for Shout {
    type Io = ShoutIo;

    fn on_input(&mut self, _now: Instant, input: Input<'_, ShoutIo>) {
        let Input::Net(input) = input;
        match input {
            StreamInput::Data { connection, bytes } => {
                let line = self.lines.entry(connection).or_default();
                for byte in bytes.iter() {
                    line.push(byte.to_ascii_uppercase());
                    if *byte == b'\n' {
                        let answer = StreamOutput::send(connection, std::mem::take(line));
                        self.outputs.push_back(Output::Net(answer));
                    } else if line.len() > 1_000 {
                        // The peer does not speak the protocol.
                        self.outputs
                            .push_back(Output::Net(StreamOutput::Reset { connection }));
                        break;
                    }
                }
            }
            // The peer says no more: nor do we, after the last answer.
            StreamInput::HalfClosed { connection } => {
                self.outputs
                    .push_back(Output::Net(StreamOutput::ShutDown { connection }));
            }
            StreamInput::Closed { connection, .. } => drop(self.lines.remove(&connection)),
            _ => {}
        }
    }

    fn on_tick(&mut self, _now: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn pop_output(&mut self, _now: Instant) -> Option<Output<ShoutIo>> {
        self.outputs.pop_front()
    }
}
