//! Sends datagrams, and counts what comes back, how late, and what does not.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use cli::{log, progress};
use ump_server::{
    Context, ReplyContext,
    net::{Error, Event, Udp, UdpSocket},
    thread,
};

use crate::{
    args::ClientArgs,
    flights::{Answer, Flights},
    rates::{Latency, Rate},
    run::{Output, Started, Stop},
};

/// The number of datagrams received for one event, before the loop looks at its requests and
/// timers.
const BURST: usize = 32;

struct Client {
    socket: UdpSocket,
    args: ClientArgs,
    /// A datagram: its sequence number, in eight bytes, and zeros.
    datagram: Vec<u8>,
    buffer: Vec<u8>,
    flights: Flights,
    /// Whether more datagrams are to be sent.
    sends: bool,
    answered: Rate,
    latency: Latency,
    counts: Counts,
}

/// The counters of failures.
#[derive(Debug, Default)]
struct Counts {
    /// Sent, and not come back in time.
    lost: u64,
    /// Refused by the system; the window and the count treat them as sent.
    unsent: u64,
    /// The refusals that have come back instead of an answer. What they refuse is lost.
    refused: u64,
    /// Come back too late, or more than once.
    late: u64,
    /// Other datagrams of the server.
    invalid: u64,
}

#[derive(Clone)]
enum Timer {
    /// Print a line.
    Report,
    /// Give up what is too old.
    Expire,
    /// The time is up.
    End,
}

pub(crate) fn start(args: &ClientArgs) -> Started {
    let args = args.clone();
    thread::Builder::new()
        .name("client")
        .spawn_with(move |cx| Client::new(cx, args.clone()))
}

impl Client {
    fn new(cx: &Context<Stop, (), Error, Timer>, args: ClientArgs) -> Result<Self, Error> {
        let any: IpAddr = match args.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = cx.sockets().udp(Udp::new((any, 0)).connect(args.server))?;
        // When there is room to send, which is at once, the first window is sent.
        socket.request_writable();
        let timers = cx.timers();
        timers.every(Duration::from_secs(1), Timer::Report);
        let step = (args.timeout / 4).clamp(Duration::from_millis(1), Duration::from_millis(100));
        timers.every(step, Timer::Expire);
        if let Some(time) = args.time {
            timers.once(time, Timer::End);
        }
        progress(format!(
            "sending {} bytes to {}, {} at a time",
            args.size, args.server, args.window
        ));
        Ok(Self {
            socket,
            datagram: vec![0; args.size],
            buffer: vec![0; 65_536],
            flights: Flights::new(args.timeout),
            sends: true,
            answered: Rate::new(),
            latency: Latency::new(),
            counts: Counts::default(),
            args,
        })
    }

    /// Sends until the window is full, there is no room, or the count is reached.
    fn send(&mut self) {
        while self.sends && self.flights.under_way() < self.args.window {
            let number = self.flights.next() + self.counts.unsent;
            if self.args.count.is_some_and(|count| number >= count) {
                self.sends = false;
                break;
            }
            self.datagram[..8].copy_from_slice(&self.flights.next().to_be_bytes());
            match self.socket.send(&self.datagram) {
                Ok(()) => self.flights.add(Instant::now()),
                // The loop reports `Writable` when there is room.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.counts.unsent += 1;
                    if self.counts.unsent == 1 {
                        let ClientArgs { size, server, .. } = self.args;
                        log!("udp-echo: cannot send {size} bytes to {server}: {error}");
                    }
                    // It goes on with the next `Expire`.
                    break;
                }
            }
        }
    }

    fn receive(&mut self) {
        for _ in 0..BURST {
            let Ok(datagram) = self.socket.recv_from(&mut self.buffer) else {
                // There is none. (Errors of earlier sends come as events.)
                break;
            };
            let answer = match self.buffer[..datagram.len].first_chunk() {
                Some(number) if datagram.len == self.args.size => {
                    let number = u64::from_be_bytes(*number);
                    self.flights.answered(number, Instant::now())
                }
                _ => Answer::Unknown,
            };
            match answer {
                Answer::InTime(latency) => {
                    self.answered.count(datagram.len);
                    self.latency.record(latency);
                }
                Answer::LateOrTwice => self.counts.late += 1,
                Answer::Unknown => self.counts.invalid += 1,
            }
        }
    }

    /// Ends the loop when nothing more is to come.
    fn end_if_done(&mut self) -> ControlFlow<Output> {
        if self.sends || self.flights.under_way() > 0 {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(self.summary())
    }

    fn summary(&mut self) -> Output {
        let Counts {
            lost,
            unsent,
            late,
            invalid,
            ..
        } = self.counts;
        let open = match self.flights.under_way() {
            0 => String::new(),
            n => format!(", {n} still under way"),
        };
        let summary = format!(
            "{} came back, {lost} lost{open}, {unsent} not sent, {late} late or twice, {invalid} \
             invalid\n{}\n",
            self.answered,
            self.latency.total(),
        );
        (summary, self.answered.total() > 0)
    }
}

impl thread::Service for Client {
    type Request = Stop;
    type Reply = ();
    type Error = Error;
    type Output = Output;
    type Timer = Timer;

    fn handle(&mut self, Stop: Stop, _: ReplyContext<(), Error>) -> ControlFlow<Output> {
        ControlFlow::Break(self.summary())
    }

    fn on_timer(&mut self, timer: Timer) -> ControlFlow<Output> {
        match timer {
            Timer::Report => {
                let rate = self.answered.since_last();
                let rate = rate.unwrap_or_else(|| "nothing came back".to_owned());
                let latency = self.latency.since_last();
                progress(format!("{rate}  {} lost  {latency}", self.counts.lost));
                return ControlFlow::Continue(());
            }
            Timer::Expire => {
                self.counts.lost += self.flights.expire(Instant::now());
                self.send();
            }
            Timer::End => self.sends = false,
        }
        self.end_if_done()
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<Output> {
        match event {
            Event::Readable(_) => self.receive(),
            // Nobody receives at that address, as an ICMP message says. It may change.
            Event::Error(error) => {
                self.counts.refused += 1;
                if self.counts.refused == 1 {
                    log!("udp-echo: no answer from {}: {error}", self.args.server);
                }
            }
            _ => {}
        }
        self.send();
        self.end_if_done()
    }
}
