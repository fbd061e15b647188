//! A model of the documented channel on one thread: two lanes, three wait queues, and the counters.
//!
//! It predicts the result of each operation, the wakers that it wakes, and the values that it
//! drops.

mod contexts;
mod outcomes;
mod receiving;
mod sending;
mod wait_queue;

use std::collections::VecDeque;

use tests::ends::Failure;
use ump::Stats;

use self::wait_queue::WaitQueue;
pub(crate) use self::wait_queue::WaiterKey;
use crate::program::Deadline;

/// The most urgent requests taken in a row while a normal one waits.
const URGENT_RUN: u32 = 16;
/// The number of waits at each end that register at once.
const FIRST: u32 = 16;

const NORMAL: usize = 0;
const URGENT: usize = 1;

/// A reply or another outcome, with the numbers of the values.
pub(crate) type Outcome = Result<usize, Failure<usize, usize>>;

/// The state of a requesting task.
#[derive(Debug, PartialEq)]
pub(crate) enum Made<W> {
    Ended(Outcome),
    Accepted(W),
    Posted,
}

/// The error of a receiver when no client is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deserted;

/// A description of a difference.
pub(crate) type Mismatch = String;

/// The counter that the outcome wakes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Registration {
    None,
    Kept(usize),
    /// Registered or not, depending on whether the task yielded.
    Unknown(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unsent,
    Queued,
    Taken,
    Done(Completion),
    /// The caller has its outcome.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Completion {
    Reply(usize),
    App(usize),
    Dropped,
    Panicked,
    Overdue,
    ServerDisappeared,
    Expired,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
struct Request {
    lane: usize,
    deadline: Deadline,
    if_room: bool,
    /// Whether the task waits for the outcome, not only for acceptance.
    asks: bool,
    post: bool,
    /// Whether its errors return the message.
    detailed: bool,
    message: usize,
    state: State,
    abandoned: bool,
    key: WaiterKey,
    registration: Registration,
    /// The counter that the deadline wakes.
    timer: Option<usize>,
    /// The counter that the caller's leaving wakes.
    watcher: Option<usize>,
    /// The counter that the deadline wakes for the handler.
    watch_timer: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    capacity: Option<usize>,
    may_yield: bool,
    lanes: [VecDeque<usize>; 2],
    /// The number of urgent requests taken since the last normal one, while a normal one waited: at
    /// least and at most. (A request that a thread takes from a client that it has just served is
    /// not counted.)
    run: [u32; 2],
    open: bool,
    /// Whether the near deadline has passed.
    passed: bool,
    /// The references of each client; the channel lives while one has any.
    clients: Vec<usize>,
    /// The references of the server.
    servers: usize,
    receivers: WaitQueue,
    poller: Option<usize>,
    senders: [WaitQueue; 2],
    requests: Vec<Request>,
    /// The largest numbers of waits that have begun at the server's and the client's end.
    waits: [u32; 2],
    pub(crate) stats: Stats,
    /// The wake-ups of each counter.
    pub(crate) wakes: Vec<usize>,
    /// The possible additional wake-ups.
    pub(crate) spare: Vec<usize>,
    /// The number of drops of each payload.
    pub(crate) dropped: Vec<u8>,
}

impl Model {
    /// Creates a model with one client and the server.
    pub(crate) fn new(capacity: Option<usize>, may_yield: bool) -> Self {
        Self {
            capacity,
            may_yield,
            open: true,
            clients: vec![1],
            servers: 1,
            ..Self::default()
        }
    }

    /// Sets the waits that have begun at each end.
    pub(crate) fn set_waits(&mut self, waits: u32) {
        self.waits = [waits; 2];
    }

    pub(crate) fn new_counter(&mut self) -> usize {
        self.wakes.push(0);
        self.spare.push(0);
        self.wakes.len() - 1
    }

    pub(crate) fn new_payload(&mut self) -> usize {
        self.dropped.push(0);
        self.dropped.len() - 1
    }

    fn wake(&mut self, counter: impl IntoIterator<Item = usize>) {
        for counter in counter {
            self.wakes[counter] += 1;
        }
    }

    fn record_drop(&mut self, payload: usize) {
        self.dropped[payload] += 1;
    }

    // ---- the ends

    pub(crate) fn new_client(&mut self) -> usize {
        self.clients.push(1);
        self.clients.len() - 1
    }

    pub(crate) fn use_client(&mut self, client: usize) {
        self.clients[client] += 1;
    }

    pub(crate) fn leave_client(&mut self, client: usize) {
        self.clients[client] -= 1;
        if self.is_deserted() {
            let woken = self.receivers.take_all();
            self.wake(woken);
            let poller = self.poller.take();
            self.wake(poller);
        }
    }

    pub(crate) fn is_deserted(&self) -> bool {
        self.clients.iter().all(|uses| *uses == 0)
    }

    pub(crate) fn use_server(&mut self) {
        self.servers += 1;
    }

    pub(crate) fn leave_server(&mut self) {
        self.servers -= 1;
        if self.servers > 0 {
            return;
        }
        self.open = false;
        self.poller = None;
        for lane in [NORMAL, URGENT] {
            let woken = self.senders[lane].take_all();
            self.wake(woken);
        }
        while let Some(r) = self.lanes.iter_mut().find_map(VecDeque::pop_front) {
            self.stats.server_disappeared += 1;
            self.turn_down(r, Completion::ServerDisappeared);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Returns the expected counters.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.queued = self.len() as u64;
        stats.taken = stats.accepted - stats.queued - stats.ended();
        stats
    }

    // ---- time

    /// Lets the near deadline pass.
    pub(crate) fn pass(&mut self) {
        self.passed = true;
        let near = |r: &&mut Request| r.deadline == Deadline::Near;
        let woken: Vec<_> = self
            .requests
            .iter_mut()
            .filter(near)
            .flat_map(|r| [r.timer.take(), r.watch_timer.take()])
            .flatten()
            .collect();
        self.wake(woken);
    }
}

fn none_of_its_own(own: usize) -> Result<(), Mismatch> {
    match own {
        0 => Ok(()),
        n => Err(format!("it woke itself {n} times")),
    }
}
