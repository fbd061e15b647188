//! A connection: commands in, replies out in the same order, although the store answers later.
//!
//! ```text
//!  stream ──▶ parser ──▶ asks ──▶ sending ──▶ pending ──▶ output ──▶ stream
//!             commands   of one   waits for   replies     bytes
//!             (resp.rs)  command  room in     in order
//!                                 the queue
//! ```
//!
//! Back-pressure: a command is parsed only if the stages after it have room, and the stream is read
//! only if commands are parsed. So a client that does not read, or a store that is busy, makes the
//! client wait, and what a connection holds is bounded: see [`WINDOW`], [`IN_FLIGHT`] and
//! [`HIGH_WATER`].

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ump::{Client, RequestError, SendError, SubmitFuture, WaitReply, coop};
use ump_server::net::TcpStream;

use crate::{
    command::{self, Action, Shape},
    reply::Replies,
    resp::{Parser, encode},
    scan::Cursors,
    store::op::{Op, PutIf, Reply, StoreError},
    totals::Totals,
    wakes::ConnectionWaker,
};

/// The client of the store.
pub(crate) type Store = Client<Op, Reply, StoreError>;

/// The number of requests of a connection that the store has at a time. As many of the longest
/// values fit into the store's budget for outgoing values.
const WINDOW: usize = 64;

/// No command is parsed, and no request sent, while the commands without a reply hold more bytes
/// than these: in values for the store, and in replies that wait for earlier ones.
const IN_FLIGHT: usize = 4 * 1024 * 1024;

/// No command is parsed, and no request sent, while more bytes than these wait to be written.
const HIGH_WATER: usize = 64 * 1024;

/// A client may take a second for each of these many bytes of a command, beyond the time limit.
const SLOWEST: usize = 16 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    parser: Parser,
    cursors: Cursors,
    /// The requests of the current command that are still to be sent.
    asks: VecDeque<(Op, Shape)>,
    /// The request that waits for room in the queue of the store.
    sending: Option<(SubmitFuture<'static, Op, Reply, StoreError>, Shape, usize)>,
    /// Each with the number of bytes that it holds: of a value for the store, or of its reply.
    pending: VecDeque<(Pending, usize)>,
    /// The bytes of `sending` and `pending`.
    in_flight: usize,
    replies: Replies,
    waker: Arc<ConnectionWaker>,
    poll_waker: Waker,
    is_paused: bool,
    /// No further command is parsed. The connection is closed when the rest is done.
    is_closing: bool,
    peer: Peer,
    sends: Progress,
    receives: Progress,
    totals: Arc<Totals>,
}

/// The action of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Open,
    /// It has shut down its half, and waits for replies.
    Ended,
    /// It is gone. What it has sent is still executed.
    Gone,
}

/// A reply, in the order of the commands.
enum Pending {
    Bytes(Vec<u8>),
    /// The request could not be sent.
    Unsent(SendError<Op>, Shape),
    Asked(
        WaitReply<Reply, StoreError, RequestError<Op, StoreError>>,
        Shape,
    ),
}

/// Measures how long the other side keeps the gateway waiting.
#[derive(Debug, Default)]
struct Progress {
    since: Option<Instant>,
    /// The bytes since then.
    bytes: usize,
}

impl Progress {
    /// Notes whether the gateway waits for the client.
    fn waits(&mut self, waits: bool) {
        match (waits, self.since) {
            (true, None) => {
                *self = Self {
                    since: Some(Instant::now()),
                    bytes: 0,
                }
            }
            (false, Some(_)) => *self = Self::default(),
            _ => {}
        }
    }

    fn is_late(&self, now: Instant, limit: Duration) -> bool {
        let allowed = limit + Duration::from_secs((self.bytes / SLOWEST) as u64);
        self.since
            .is_some_and(|since| now.saturating_duration_since(since) > allowed)
    }
}

impl Connection {
    /// `totals` has counted it already.
    pub(crate) fn new(stream: TcpStream, waker: Arc<ConnectionWaker>, totals: Arc<Totals>) -> Self {
        Self {
            stream,
            parser: Parser::default(),
            cursors: Cursors::default(),
            asks: VecDeque::new(),
            sending: None,
            pending: VecDeque::new(),
            in_flight: 0,
            replies: Replies::default(),
            poll_waker: Waker::from(Arc::clone(&waker)),
            waker,
            is_paused: false,
            is_closing: false,
            peer: Peer::Open,
            sends: Progress::default(),
            receives: Progress::default(),
            totals,
        }
    }

    /// Reads once, into a buffer of the loop.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) {
        match self.stream.read(buffer) {
            Ok(0) => self.peer = Peer::Ended,
            Ok(n) => {
                self.receives.bytes += n;
                self.parser.push(&buffer[..n]);
            }
            Err(error) if is_transient(&error) => {}
            Err(_) => self.gone(),
        }
    }

    /// The client is gone: nothing is sent. What the system has received is still taken, which its
    /// receive buffer bounds.
    pub(crate) fn gone(&mut self) {
        self.peer = Peer::Gone;
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(n @ 1..) => self.parser.push(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
    }

    /// Stops taking commands, and ends when those taken are answered.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Allows the waker to report again.
    pub(crate) fn rearm(&self) {
        self.waker.rearm();
    }

    /// Returns the number of bytes that the connection holds.
    pub(crate) fn held(&self) -> usize {
        self.parser.buffered() + self.in_flight + self.replies.unsent()
    }

    /// Returns whether the client takes too long to send the rest of a command, or does not read.
    pub(crate) fn is_late(&self, now: Instant, limit: Duration) -> bool {
        self.sends.is_late(now, limit) || self.receives.is_late(now, limit)
    }

    /// Does all that can be done now. Returns whether the connection stays open.
    pub(crate) fn advance(&mut self, store: &Arc<Store>) -> bool {
        // All of it is bounded by what was read and by the window, so there is no other budget.
        coop::with_budget(u32::MAX, || self.advance_all(store));
        let waits_for_room = !self.may_parse();
        let pauses = waits_for_room || self.peer != Peer::Open;
        if pauses != self.is_paused {
            self.is_paused = pauses;
            if pauses {
                self.stream.pause_reading();
            } else {
                self.stream.resume_reading();
            }
        }
        self.sends.waits(self.replies.unsent() > 0);
        self.receives
            .waits(self.parser.buffered() > 0 && !waits_for_room);
        !self.is_done()
    }

    fn advance_all(&mut self, store: &Arc<Store>) {
        let waker = self.poll_waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            self.send(store, &mut cx);
            // After it, so that the first of the pending replies has the waker.
            self.collect(&mut cx);
            let mut has_more = true;
            if self.may_parse() {
                if self.parse(store) {
                    continue;
                }
                has_more = false;
            }
            self.write();
            if !self.may_send() && (!has_more || !self.may_parse()) {
                break;
            }
        }
        if self.peer != Peer::Open && self.may_parse() {
            // The rest is less than a command.
            self.is_closing = true;
        }
    }

    fn may_parse(&self) -> bool {
        !self.is_closing && self.sending.is_none() && self.asks.is_empty() && self.has_room()
    }

    /// Returns whether a request of the current command can be sent.
    fn may_send(&self) -> bool {
        self.sending.is_none() && !self.asks.is_empty() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.pending.len() < WINDOW
            && self.in_flight < IN_FLIGHT
            && self.replies.unsent() < HIGH_WATER
    }

    fn is_done(&self) -> bool {
        self.is_closing
            && self.sending.is_none()
            && self.asks.is_empty()
            && self.pending.is_empty()
            && self.replies.unsent() == 0
    }

    /// Takes a command. Returns whether there was one.
    fn parse(&mut self, store: &Store) -> bool {
        let action = match self.parser.next() {
            Ok(None) => return false,
            Ok(Some(command)) => command::read(command, &mut self.cursors),
            Err(error) => {
                self.is_closing = true;
                Err(error.to_string())
            }
        };
        self.receives = Progress::default();
        self.totals.command();
        match action {
            Ok(Action::Reply(bytes)) => self.reply(bytes),
            Ok(Action::Ask(op, shape)) => self.asks.push_back((op, shape)),
            Ok(Action::AskAll(head, asks)) => {
                if !head.is_empty() {
                    self.reply(head);
                }
                self.asks.extend(asks);
            }
            Ok(Action::Info) => {
                let mut bytes = Vec::new();
                encode::bulk(&mut bytes, self.totals.info(store).as_bytes());
                self.reply(bytes);
            }
            Ok(Action::Quit) => {
                self.reply(b"+OK\r\n".to_vec());
                self.is_closing = true;
            }
            Err(refusal) => {
                let mut bytes = Vec::new();
                encode::error(&mut bytes, refusal);
                self.reply(bytes);
            }
        }
        true
    }

    /// Replies after all earlier commands.
    fn reply(&mut self, bytes: Vec<u8>) {
        if self.pending.is_empty() {
            self.replies.bytes(&bytes);
        } else {
            let held = bytes.len();
            self.in_flight += held;
            self.pending.push_back((Pending::Bytes(bytes), held));
        }
    }

    /// Sends requests to the store, in order, as long as its queue has room, and this connection.
    fn send(&mut self, store: &Arc<Store>, cx: &mut Context<'_>) {
        loop {
            let (mut future, shape, held) = match self.sending.take() {
                Some(sending) => sending,
                None if !self.may_send() => return,
                None => match self.asks.pop_front() {
                    None => return,
                    Some((op, shape)) => {
                        let held = value_len(&op);
                        self.in_flight += held;
                        let request = Store::request_owned(Arc::clone(store), op);
                        (request.submit().into_future(), shape, held)
                    }
                },
            };
            let pending = match Pin::new(&mut future).poll(cx) {
                Poll::Pending => {
                    self.sending = Some((future, shape, held));
                    return;
                }
                Poll::Ready(Ok(reply)) => Pending::Asked(reply, shape),
                // It may be a part of a number, so it waits for the others.
                Poll::Ready(Err(error)) => Pending::Unsent(error, shape),
            };
            self.pending.push_back((pending, held));
        }
    }

    /// Takes the replies that are there, in order. A client that does not read does not stop this:
    /// a value that is not taken counts against the store's budget, which all connections share,
    /// whereas here it counts against the memory of the loop, and the largest is cut.
    fn collect(&mut self, cx: &mut Context<'_>) {
        while let Some((first, held)) = self.pending.front_mut() {
            let held = *held;
            match first {
                Pending::Bytes(bytes) => self.replies.bytes(bytes),
                Pending::Unsent(..) => {
                    let Some((Pending::Unsent(error, shape), _)) = self.pending.pop_front() else {
                        break;
                    };
                    self.in_flight -= held;
                    self.replies
                        .answer(Err(error.into()), shape, &mut self.cursors);
                    continue;
                }
                Pending::Asked(reply, shape) => match Pin::new(reply).poll(cx) {
                    Poll::Pending => break,
                    Poll::Ready(answer) => {
                        let shape = mem::replace(shape, Shape::Ok);
                        self.replies.answer(answer, shape, &mut self.cursors);
                    }
                },
            }
            self.pending.pop_front();
            self.in_flight -= held;
        }
    }

    fn write(&mut self) {
        while self.replies.unsent() > 0 && self.peer != Peer::Gone {
            match self.stream.write(self.replies.to_send()) {
                Ok(n) => {
                    self.replies.sent(n);
                    self.sends = Progress::default();
                }
                // `Writable` comes when there is room.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone(),
            }
        }
        if self.peer == Peer::Gone {
            self.replies.clear();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.totals.closed();
    }
}

/// Returns the length of the value that a request carries.
fn value_len(op: &Op) -> usize {
    match op {
        Op::Put(put) | Op::PutIf(PutIf(put, _)) => put.2.len(),
        _ => 0,
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
