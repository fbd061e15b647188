//! A session, and a peer that is written by hand.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use ump_server::sans_io::{
    CloseReason, ConnectionId, Input, Origin as StreamOrigin, Output, SocketNumber, StreamInput,
    StreamOutput, Task,
};

use crate::{
    bgp::{
        codec::{AsPath, Attributes, Capabilities, Code, Families, Message, Open, Origin},
        session::{Config, Event, Session, State},
    },
    network::{A, B, address},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Returns the settings of two neighbours: systems 64496 and 4200000001, the second one with the
/// higher identifier.
pub(crate) fn configs() -> [Config; 2] {
    let speakers = [
        (64_496, Ipv4Addr::new(192, 0, 2, 1)),
        (4_200_000_001, Ipv4Addr::new(192, 0, 2, 2)),
    ];
    [A, B].map(|side| {
        let mut config = Config::new(speakers[side], (address(1 - side), speakers[1 - side].0));
        config.seed = side as u64 + 1;
        config
    })
}

pub(crate) fn attributes(path: &[u32]) -> Arc<Attributes> {
    let empty = AsPath::default();
    let path = path
        .iter()
        .rev()
        .fold(empty, |path, &system| path.prepend(system));
    Arc::new(Attributes {
        origin: Origin::Igp,
        path,
        med: Some(5),
        preference: None,
        communities: vec![],
    })
}

/// What a session does with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connect,
    Send(Vec<u8>),
    Close,
}

impl From<StreamOutput> for Action {
    fn from(output: StreamOutput) -> Self {
        match output {
            StreamOutput::Connect(_) => Self::Connect,
            StreamOutput::Send { bytes, .. } => Self::Send(bytes.to_vec()),
            StreamOutput::Close { .. } => Self::Close,
            output => unreachable!("a session has no {output:?}"),
        }
    }
}

/// A session and a peer written by hand.
pub(crate) struct ByHand {
    pub(crate) session: Session,
    pub(crate) now: std::time::Instant,
    accepted: u64,
}

impl ByHand {
    /// Creates a passive session of the system 64496, with a neighbour in 4200000001.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let [mut config, _] = configs();
        config.is_passive = true;
        change(&mut config);
        let now = std::time::Instant::now();
        Self {
            session: Session::new(config, now),
            now,
            accepted: 0,
        }
    }

    pub(crate) fn accept(&mut self) -> ConnectionId {
        self.accepted += 1;
        let connection = ConnectionId::new(self.accepted);
        self.input(StreamInput::Opened {
            connection,
            origin: StreamOrigin::Accepted {
                listener: SocketNumber(0),
            },
            local: Some(address(A)),
            peer: address(B),
        });
        connection
    }

    pub(crate) fn input(&mut self, input: StreamInput<'_>) {
        self.session.on_input(self.now, Input::Net(input));
    }

    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let bytes = bytes.to_vec().into();
        self.input(StreamInput::Data { connection, bytes });
    }

    pub(crate) fn reset(&mut self, connection: ConnectionId) {
        self.input(StreamInput::Closed {
            connection,
            reason: CloseReason::PeerReset,
            unsent: 0,
        });
    }

    /// Takes the outputs: the sent bytes and closes, and the events.
    pub(crate) fn outputs(&mut self) -> (Vec<Action>, Vec<Event>) {
        let (mut actions, mut events) = (Vec::new(), Vec::new());
        while let Some(output) = self.session.pop_output(self.now) {
            match output {
                Output::Net(output) => actions.push(Action::from(output)),
                Output::App(event) => events.push(event),
                _ => unreachable!(),
            }
        }
        events.retain(|event| !matches!(event, Event::State(_)));
        (actions, events)
    }

    /// Establishes the session, and drops the outputs.
    pub(crate) fn establish(&mut self) -> ConnectionId {
        let stream = self.accept();
        self.receive(stream, &open(|_| {}));
        self.receive(stream, &Message::Keepalive.encode());
        assert_eq!(self.session.state(), State::Established);
        self.outputs();
        stream
    }

    /// Lets time pass, tick by tick.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.session.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.session.on_tick(next);
        }
        self.now = end;
    }
}

/// Makes the OPEN of a valid neighbour, with changes.
pub(crate) fn open(change: impl FnOnce(&mut Open)) -> Vec<u8> {
    let mut open = Open {
        system: 4_200_000_001,
        hold_time: 90,
        identifier: Ipv4Addr::new(192, 0, 2, 2),
        capabilities: Capabilities {
            four_octets: true,
            route_refresh: true,
            families: Some(Families::BOTH),
        },
    };
    change(&mut open);
    Message::Open(open).encode()
}

pub(crate) fn notification(code: Code) -> Action {
    Action::Send(Message::Notification(code.into()).encode())
}
