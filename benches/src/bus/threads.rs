//! Messages from one thread to another. The receiver sleeps when there are none.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ump_server::{
    bus::Bus,
    sans_io::{
        BusInput, BusOutput, ControllerBuilder, Input, Io, NoNetwork, NoSockets, Output, Report,
        Task, TaskAddress, Unused,
    },
};

use super::Contender;

/// The room of each queue.
const ROOM: usize = 8_192;

/// The number of messages that a sender collects.
const BATCH: usize = 64;

pub(super) const CONTENDERS: [Contender; 7] = [
    ("std::sync::mpsc, bounded", std_channel),
    ("crossbeam-channel, bounded", crossbeam),
    ("ump, posts", posts),
    ("ump, posts of 64 messages", posts_of_batches),
    ("ump-server bus, one by one", one_by_one),
    ("ump-server bus, 64 at once", at_once),
    ("tasks of two workers", tasks),
];

/// Checks the messages that it receives.
#[derive(Default)]
struct Receiver(u64);

impl Receiver {
    fn receive(&mut self, n: u64) {
        assert_eq!(n, self.0, "each message arrives once, in order");
        self.0 += 1;
    }
}

fn std_channel(count: u64) -> Duration {
    let (sender, receiver) = mpsc::sync_channel(ROOM);
    let start = Instant::now();
    let receiving = thread::spawn(move || {
        let mut all = Receiver::default();
        for n in &receiver {
            all.receive(n);
        }
        assert_eq!(all.0, count);
    });
    for n in 0..count {
        sender.send(n).expect("it receives all");
    }
    drop(sender);
    receiving.join().expect("it has received all");
    start.elapsed()
}

fn crossbeam(count: u64) -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded(ROOM);
    let start = Instant::now();
    let receiving = thread::spawn(move || {
        let mut all = Receiver::default();
        for n in &receiver {
            all.receive(n);
        }
        assert_eq!(all.0, count);
    });
    for n in 0..count {
        sender.send(n).expect("it receives all");
    }
    drop(sender);
    receiving.join().expect("it has received all");
    start.elapsed()
}

fn posts(count: u64) -> Duration {
    let (server, client) = ump::bounded::<u64, (), ()>(ROOM).expect("there is room");
    let start = Instant::now();
    let receiving = thread::spawn(move || {
        let mut all = Receiver::default();
        for (n, _) in &server {
            all.receive(n);
        }
        assert_eq!(all.0, count);
    });
    for n in 0..count {
        client.post(n).wait().expect("it receives all");
    }
    drop(client);
    receiving.join().expect("it has received all");
    start.elapsed()
}

fn posts_of_batches(count: u64) -> Duration {
    let (server, client) = ump::bounded::<Vec<u64>, (), ()>(ROOM / BATCH).expect("there is room");
    let start = Instant::now();
    let receiving = thread::spawn(move || {
        let mut all = Receiver::default();
        for (batch, _) in &server {
            for n in batch {
                all.receive(n);
            }
        }
        assert_eq!(all.0, count);
    });
    let mut batch = Vec::with_capacity(BATCH);
    for n in 0..count {
        batch.push(n);
        if batch.len() == BATCH || n + 1 == count {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            client.post(full).wait().expect("it receives all");
        }
    }
    drop(client);
    receiving.join().expect("it has received all");
    start.elapsed()
}

/// Receives from the end-point 1 of a bus, in a thread.
fn receive(bus: &Bus<u64>, count: u64) -> thread::JoinHandle<()> {
    let endpoint = bus.endpoint(1);
    thread::spawn(move || {
        let me = thread::current();
        endpoint.on_message(move || me.unpark());
        let mut all = Receiver::default();
        let mut messages = Vec::new();
        while all.0 < count {
            endpoint.take(&mut messages);
            if messages.is_empty() {
                thread::park();
            }
            for n in messages.drain(..) {
                all.receive(n);
            }
        }
    })
}

fn one_by_one(count: u64) -> Duration {
    let bus = Bus::new(2, ROOM);
    let start = Instant::now();
    let receiving = receive(&bus, count);
    let endpoint = bus.endpoint(0);
    for n in 0..count {
        while endpoint.send(1, n).is_err() {
            thread::yield_now();
        }
    }
    receiving.join().expect("it has received all");
    start.elapsed()
}

fn at_once(count: u64) -> Duration {
    let bus = Bus::new(2, ROOM);
    let start = Instant::now();
    let receiving = receive(&bus, count);
    let endpoint = bus.endpoint(0);
    let mut batch = Vec::with_capacity(BATCH);
    for n in 0..count {
        batch.push(n);
        if batch.len() == BATCH || n + 1 == count {
            while !batch.is_empty() {
                if endpoint.send_all(1, &mut batch) == 0 {
                    thread::yield_now();
                }
            }
        }
    }
    receiving.join().expect("it has received all");
    start.elapsed()
}

/// A task that sends messages to another one, or receives them.
struct Stream {
    to: Option<TaskAddress>,
    next: u64,
    /// The messages that were acknowledged; the sender is at most a window ahead.
    acknowledged: u64,
    count: u64,
    received: u64,
    answer: Option<TaskAddress>,
    is_done: bool,
}

/// How far a sender is ahead of its receiver.
const WINDOW: u64 = 4_096;

/// The number of messages that a receiver acknowledges at once.
const ACKNOWLEDGED: u64 = 512;

impl Stream {
    fn new(count: u64) -> Self {
        Self {
            to: None,
            next: 0,
            acknowledged: 0,
            count,
            received: 0,
            answer: None,
            is_done: false,
        }
    }
}

impl Task for Stream {
    type Io = Io<TaskAddress, (), u64, Unused, NoNetwork>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
        match input {
            Input::App(to) => self.to = Some(to),
            Input::Bus(BusInput { message, .. }) if self.to.is_some() => {
                self.acknowledged = message;
            }
            Input::Bus(BusInput { from, message, .. }) => {
                assert_eq!(
                    message, self.received,
                    "each message arrives once, in order"
                );
                self.received += 1;
                if self.received.is_multiple_of(ACKNOWLEDGED) || self.received == self.count {
                    self.answer = Some(from);
                }
            }
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        if let Some(to) = self.answer.take() {
            let message = self.received;
            return Some(Output::Bus(BusOutput::Send { to, message }));
        }
        let to = self.to?;
        if self.acknowledged == self.count && !self.is_done {
            self.is_done = true;
            return Some(Output::App(()));
        }
        if self.next == self.count || self.next - self.acknowledged >= WINDOW {
            return None;
        }
        let message = self.next;
        self.next += 1;
        Some(Output::Bus(BusOutput::Send { to, message }))
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

fn tasks(count: u64) -> Duration {
    let limits = ump_server::sans_io::Limits::new().batch(256).inbox(256);
    let controller = ControllerBuilder::new()
        .workers(2.try_into().expect("it is not zero"))
        .limits(limits)
        .start(|_| Ok(NoSockets))
        .expect("the workers start");
    let start = Instant::now();
    let [from, to] = [0, 1].map(|worker| {
        let spawned = controller.spawn_on(worker, Stream::new(count)).wait();
        spawned.expect("the worker takes it")
    });
    controller
        .command(from, to)
        .wait()
        .expect("the task takes it");
    let report = controller.next_report().wait();
    assert!(matches!(report, Some(Report::Event { .. })), "{report:?}");
    let took = start.elapsed();
    let report = controller.stop(Duration::from_secs(5)).wait();
    assert!(report.is_clean(), "{report}");
    took
}
