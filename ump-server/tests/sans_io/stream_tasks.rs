//! Tasks on streams, for all drivers.

#![allow(dead_code, unused_imports, reason = "some drivers need a feature")]

use std::{collections::VecDeque, time::Instant};

use ump_server::sans_io::{
    ConnectionId, Input, Io, Output, StreamInput, StreamOutput, Streams, Task, Unused,
};

#[path = "../../src/sans_io/doc/lines.rs"]
#[allow(missing_docs, unreachable_pub, missing_debug_implementations)]
mod lines;

pub(crate) use self::lines::Shout;

/// Its commands are its outputs, and its events are its inputs.
#[derive(Default)]
pub(crate) struct Relay {
    pub(crate) outputs: VecDeque<Output<RelayIo>>,
}

pub(crate) type RelayIo = Io<StreamOutput, StreamInput<'static>, Unused, Unused, Streams>;

impl Task for Relay {
    type Io = RelayIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, RelayIo>) {
        self.outputs.push_back(match input {
            Input::App(output) => Output::Net(output),
            Input::Net(input) => Output::App(input.into_owned()),
        });
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<RelayIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

/// A listener that spawns a session for each connection, which claims it and answers with the
/// number of bytes.
pub(crate) enum Sessions {
    Listener(VecDeque<Output<SessionsIo>>),
    Session {
        connection: ConnectionId,
        outputs: VecDeque<Output<SessionsIo>>,
    },
}

pub(crate) type SessionsIo = Io<Unused, ConnectionId, Unused, Sessions, Streams>;

impl Task for Sessions {
    type Io = SessionsIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, SessionsIo>) {
        let Input::Net(input) = input;
        match (self, input) {
            (Self::Listener(outputs), StreamInput::Opened { connection, .. }) => {
                let claim = Output::Net(StreamOutput::Claim { connection });
                outputs.push_back(Output::Net(StreamOutput::Release { connection }));
                outputs.push_back(Output::Spawn(Self::Session {
                    connection,
                    outputs: [claim].into(),
                }));
            }
            (
                Self::Session {
                    connection,
                    outputs,
                },
                StreamInput::Data { bytes, .. },
            ) => {
                let answer = bytes.len().to_string();
                let answer = StreamOutput::send(*connection, answer.into_bytes());
                outputs.push_back(Output::Net(answer));
                outputs.push_back(Output::Done); // which closes the connection
            }
            (Self::Listener(_), input) => panic!("{input:?}"),
            _ => {}
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<SessionsIo>> {
        match self {
            Self::Listener(outputs) | Self::Session { outputs, .. } => outputs.pop_front(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| n.to_le_bytes()[n % 3]).collect()
}
