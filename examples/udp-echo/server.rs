//! Sends each datagram back to its sender.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    time::Duration,
};

use cli::{log, progress};
use ump_server::{
    Context, ReplyContext,
    net::{BufferPool, Error, Event, Payload, ReceiveBatch, SendTo, Udp, UdpSocket},
    thread,
};

use crate::{
    args::ServerArgs,
    rates::Rate,
    run::{Output, Started, Stop},
};

/// The number of datagrams that are kept without a copy: as many as a batch has at most.
const BUFFERS: usize = 32;

struct Server {
    socket: UdpSocket,
    /// What one system call receives: a limited number, so that a flood does not keep requests and
    /// timers waiting.
    batch: ReceiveBatch,
    /// The answers that are not sent yet: of one batch.
    answers: VecDeque<Answer>,
    sent: Rate,
    /// The datagrams that could not be sent back.
    failed: u64,
    count: Option<u64>,
}

struct Answer {
    to: SocketAddr,
    /// The address to which the datagram was sent, if there are several: its sender expects the
    /// answer from there.
    from: Option<IpAddr>,
    payload: Payload<'static>,
}

/// The timer that prints the rate.
#[derive(Clone)]
struct Report;

pub(crate) fn start(args: &ServerArgs) -> Started {
    let args = args.clone();
    thread::Builder::new()
        .name("echo")
        .spawn_with(move |cx| Server::new(cx, &args))
}

impl Server {
    fn new(cx: &Context<Stop, (), Error, Report>, args: &ServerArgs) -> Result<Self, Error> {
        let is_any = args.listen.ip().is_unspecified();
        let how = Udp::new(args.listen).packet_info(is_any);
        let socket = cx.sockets().udp(how)?;
        cx.timers().every(Duration::from_secs(1), Report);
        let address = socket.local_addr().unwrap_or(args.listen);
        progress(format!("listening on {address}"));
        Ok(Self {
            socket,
            batch: ReceiveBatch::new(BufferPool::new(BUFFERS)),
            answers: VecDeque::new(),
            sent: Rate::new(),
            failed: 0,
            count: args.count,
        })
    }

    /// Receives a batch and sends it back, as far as there is room.
    fn echo(&mut self) -> ControlFlow<Output> {
        // An error means that there is none. (Errors of earlier sends come as events.)
        if self.socket.recv_batch(&mut self.batch).is_ok() {
            while let Some(datagram) = self.batch.next() {
                self.answers.push_back(Answer {
                    to: datagram.from,
                    from: datagram.to,
                    payload: datagram.payload.into_owned(),
                });
            }
        }
        self.send()
    }

    fn send(&mut self) -> ControlFlow<Output> {
        loop {
            let left = self.count.map_or(u64::MAX, |it| it - self.sent.total());
            if left == 0 {
                return ControlFlow::Break(self.summary());
            }
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let datagrams: Vec<_> = self.answers.iter().take(left).map(to_datagram).collect();
            match self.socket.send_batch(&datagrams) {
                // There was nothing to send.
                Ok(0) => return ControlFlow::Continue(()),
                Ok(sent) => {
                    for answer in self.answers.drain(..sent) {
                        self.sent.count(answer.payload.len());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // The loop reports `Writable` when there is room. Until then nothing is
                    // received: the system's buffer fills, and drops what is too much.
                    self.socket.pause_reading();
                    return ControlFlow::Continue(());
                }
                // It is the error of the first one.
                Err(error) => {
                    self.failed += 1;
                    let Some(Answer { to, payload, .. }) = self.answers.pop_front() else {
                        return ControlFlow::Continue(());
                    };
                    if self.failed == 1 {
                        let len = payload.len();
                        log!("udp-echo: cannot send {len} bytes to {to}: {error}");
                    }
                }
            }
        }
    }

    fn summary(&self) -> Output {
        let failed = self.failed;
        (format!("{}, {failed} could not be sent\n", self.sent), true)
    }
}

fn to_datagram(answer: &Answer) -> SendTo<'_> {
    let datagram = SendTo::new(&answer.payload, answer.to);
    match answer.from {
        Some(from) => datagram.from(from),
        None => datagram,
    }
}

impl thread::Service for Server {
    type Request = Stop;
    type Reply = ();
    type Error = Error;
    type Output = Output;
    type Timer = Report;

    fn handle(&mut self, Stop: Stop, _: ReplyContext<(), Error>) -> ControlFlow<Output> {
        ControlFlow::Break(self.summary())
    }

    fn on_timer(&mut self, Report: Report) -> ControlFlow<Output> {
        if let Some(rate) = self.sent.since_last() {
            progress(rate);
        }
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<Output> {
        match event {
            Event::Readable(_) => self.echo()?,
            Event::Writable(_) => {
                self.socket.resume_reading();
                self.send()?;
            }
            Event::Error(error) => log!("udp-echo: {error}"),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
