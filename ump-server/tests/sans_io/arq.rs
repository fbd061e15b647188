//! A reliable link over datagrams: stop-and-wait, with sequence numbers. The protocol of these
//! tests, written once.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ump_server::sans_io::{Input, Io, Output, Shutdown, Task, Transmit};

/// The time after which a message is sent again.
pub(crate) const RETRY: Duration = Duration::from_millis(200);

const DATA: u8 = 0;
const ACK: u8 = 1;
const BYE: u8 = 2;

/// One end of a link.
pub(crate) struct Arq {
    peer: SocketAddr,
    /// The messages that are not acknowledged. The first one is on its way.
    queue: VecDeque<Vec<u8>>,
    /// The number of the first one.
    number: u32,
    /// The number that is expected of the peer.
    expected: u32,
    resend_at: Option<Instant>,
    is_closing: bool,
    outputs: VecDeque<Output<Io<Vec<u8>, Event>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Received(Vec<u8>),
    Acknowledged,
    PeerLeft,
}

impl Arq {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            queue: VecDeque::new(),
            number: 0,
            expected: 0,
            resend_at: None,
            is_closing: false,
            outputs: VecDeque::new(),
        }
    }

    fn send(&mut self, kind: u8, number: u32, data: &[u8]) {
        let packet = [&[kind], &number.to_be_bytes()[..], data].concat();
        self.outputs
            .push_back(Output::Net(Transmit::new(self.peer, packet)));
    }

    fn send_first(&mut self, now: Instant) {
        if let Some(data) = self.queue.front().cloned() {
            self.send(DATA, self.number, &data);
            self.resend_at = Some(now + RETRY);
        } else if self.is_closing {
            self.send(BYE, 0, &[]);
            self.outputs.push_back(Output::Done);
        }
    }
}

impl Task for Arq {
    type Io = Io<Vec<u8>, Event>;

    fn on_tick(&mut self, now: Instant) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.send_first(now);
        }
    }

    fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>) {
        match input {
            Input::App(data) => {
                self.queue.push_back(data);
                if self.queue.len() == 1 {
                    self.send_first(now);
                }
            }
            Input::Net(packet) => {
                let Some(([kind, number @ ..], data)) = packet.payload.split_first_chunk::<5>()
                else {
                    return;
                };
                let number = u32::from_be_bytes(*number);
                match *kind {
                    DATA => {
                        if number == self.expected {
                            self.expected += 1;
                            let received = Event::Received(data.to_vec());
                            self.outputs.push_back(Output::App(received));
                        }
                        self.send(ACK, number, &[]);
                    }
                    ACK if number == self.number && !self.queue.is_empty() => {
                        self.queue.pop_front();
                        self.number += 1;
                        self.resend_at = None;
                        self.outputs.push_back(Output::App(Event::Acknowledged));
                        self.send_first(now);
                    }
                    BYE => self.outputs.push_back(Output::App(Event::PeerLeft)),
                    _ => {}
                }
            }
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.resend_at
    }

    fn on_shutdown(&mut self, now: Instant) -> Shutdown {
        self.is_closing = true;
        if self.queue.is_empty() {
            self.send_first(now);
        }
        Shutdown::Wait
    }
}
