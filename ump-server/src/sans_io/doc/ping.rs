use std::{collections::VecDeque, net::SocketAddr, time::{Duration, Instant}};
use ump_server::sans_io::{Input, Io, Output, Task, Transmit};

/// Pings a peer once a second until it answers, and answers pings.
#[derive(Default)]
pub struct Ping {
    /// The peer, when the first ping was sent, and when the next one is to be sent.
    waiting: Option<(SocketAddr, Instant, Instant)>,
    outputs: VecDeque<Output<Io<SocketAddr, Pong>>>,
}

/// The event: the peer has answered, after this time.
#[derive(Debug, PartialEq)]
pub struct Pong(pub Duration);

impl Ping {
    fn ping(&mut self, peer: SocketAddr, first: Instant, now: Instant) {
        self.outputs.push_back(Output::Net(Transmit::new(peer, *b"ping")));
        self.waiting = Some((peer, first, now + Duration::from_secs(1)));
    }
}

impl Task for Ping {
    type Io = Io<SocketAddr, Pong>; // commands and events

    fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>) {
        match input {
            Input::App(peer) => self.ping(peer, now, now),
            Input::Net(packet) if *packet.payload == *b"ping" => {
                self.outputs.push_back(Output::Net(Transmit::new(packet.source, *b"pong")));
            }
            Input::Net(packet) => {
                if let Some((_, first, _)) = self.waiting.take_if(|it| it.0 == packet.source) {
                    self.outputs.push_back(Output::App(Pong(now - first)));
                }
            }
        }
    }

    fn on_tick(&mut self, now: Instant) {
        if let Some((peer, first, _)) = self.waiting.filter(|(_, _, again)| *again <= now) {
            self.ping(peer, first, now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.waiting.map(|(_, _, again)| again)
    }

    fn pop_output(&mut self, _now: Instant) -> Option<Output<Self::Io>> {
        self.outputs.pop_front()
    }
}
