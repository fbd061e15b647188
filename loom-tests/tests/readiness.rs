//! Models of the readiness of a socket, which its loop shares with the threads that have its
//! handle.
//!
//! The loop reports what an edge-triggered selector says, and delivers events; another thread
//! reads, writes, pauses or drops. In the end no event may be lost, and a socket may never be in
//! the loop's list twice. The invariants are those at the top of `ump-server/src/net/readiness.rs`.
#![cfg(loom)]

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use loom_tests::explore_fully;
use ump_server::net_readiness::{
    DROPPED, FAILED, MAY_READ, MAYBE_READABLE, MAYBE_WRITABLE, PAUSED, Pending, READABLE,
    Readiness, WANTS_WRITE, WRITABLE,
};

/// The system's part of a socket, of which the selector reports changes for the better, once each.
#[derive(Default)]
struct Descriptor {
    bytes: usize,
    has_room: bool,
    edge: u64,
}

struct Socket {
    readiness: Readiness,
    descriptor: Mutex<Descriptor>,
    /// Whether the socket is in a list of the loop, or being delivered.
    is_listed: AtomicBool,
    /// The events that were delivered, by the loop only.
    writable: AtomicUsize,
    failures: AtomicUsize,
    /// The error that `FAILED` announces.
    error: AtomicUsize,
}

impl Socket {
    fn new(flags: u64) -> Arc<Self> {
        Arc::new(Self {
            readiness: Readiness::new(flags),
            descriptor: Mutex::new(Descriptor::default()),
            is_listed: AtomicBool::new(false),
            writable: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            error: AtomicUsize::new(0),
        })
    }

    /// The peer sends a byte.
    fn arrive(&self) {
        let mut descriptor = self.descriptor.lock().unwrap();
        descriptor.bytes += 1;
        descriptor.edge |= READABLE;
    }

    /// The peer has read, so there is room to write.
    fn make_room(&self) {
        let mut descriptor = self.descriptor.lock().unwrap();
        descriptor.has_room = true;
        descriptor.edge |= WRITABLE;
    }

    fn put_into_list(&self, queues: bool) {
        if queues {
            let was_listed = self.is_listed.swap(true, Ordering::AcqRel);
            assert!(!was_listed, "it is in the list already (invariant 1)");
        }
    }

    /// Reads one byte, on any thread.
    fn read(&self) {
        let seen = self.readiness.load();
        if !seen.has(MAY_READ) {
            return;
        }
        let mut descriptor = self.descriptor.lock().unwrap();
        if descriptor.bytes > 0 {
            descriptor.bytes -= 1;
            return;
        }
        drop(descriptor);
        let clear = READABLE | MAYBE_READABLE;
        self.put_into_list(self.readiness.used_up(seen, clear, 0));
    }

    /// Writes until there is no more room, on any thread. Returns whether it has written.
    fn write(&self) -> bool {
        let seen = self.readiness.load();
        if self.descriptor.lock().unwrap().has_room {
            return true;
        }
        let clear = WRITABLE | MAYBE_WRITABLE;
        self.put_into_list(self.readiness.used_up(seen, clear, WANTS_WRITE));
        false
    }

    fn change(&self, set: u64, clear: u64) {
        self.put_into_list(self.readiness.change(set, clear));
    }

    /// A turn of the loop: it looks into its selector, and delivers one event. Returns whether
    /// there was one.
    fn turn(&self) -> bool {
        let edge = std::mem::take(&mut self.descriptor.lock().unwrap().edge);
        if edge != 0 {
            self.put_into_list(self.readiness.report(edge));
        }
        if !self.is_listed.load(Ordering::Acquire) {
            return false;
        }
        let taken = self.readiness.take();
        match taken {
            Some((Pending::Readable, _)) => self.read(),
            Some((Pending::Writable, _)) => drop(self.writable.fetch_add(1, Ordering::Relaxed)),
            Some((Pending::Failure, _)) => {
                // Relaxed: the readiness orders it.
                assert_eq!(
                    self.error.load(Ordering::Relaxed),
                    7,
                    "the error is not visible"
                );
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        // While it is queued, no other thread puts it there.
        self.is_listed.store(false, Ordering::Release);
        if self.readiness.settle() {
            self.is_listed.store(true, Ordering::Release);
        }
        taken.is_some()
    }

    /// Runs the loop until it would sleep.
    fn run(&self) {
        while self.turn() || self.is_listed.load(Ordering::Acquire) {}
    }

    fn unread(&self) -> usize {
        self.descriptor.lock().unwrap().bytes
    }
}

/// Explores what another thread does while a byte arrives, and the loop has a turn. Then the loop
/// runs until it would sleep.
fn while_a_byte_arrives(
    flags: u64,
    other: impl Fn(&Socket) + Copy + Send + Sync + 'static,
    check: impl Fn(&Socket) + Send + Sync + 'static,
) {
    explore_fully(move || {
        let socket = Socket::new(flags);
        let thread = thread::spawn({
            let socket = socket.clone();
            move || other(&socket)
        });
        socket.arrive();
        socket.turn();
        thread.join().unwrap();
        socket.run();
        check(&socket);
    });
}

fn all_is_read(socket: &Socket) {
    assert_eq!(socket.unread(), 0, "an event is lost");
}

#[test]
fn a_read_that_would_block_hides_no_report() {
    while_a_byte_arrives(MAYBE_READABLE, Socket::read, all_is_read);
}

#[test]
fn two_bytes_are_read_by_two_threads() {
    explore_fully(|| {
        let socket = Socket::new(0);
        socket.arrive();
        socket.turn();
        let reads = thread::spawn({
            let socket = socket.clone();
            move || {
                socket.read();
                socket.read();
            }
        });
        socket.arrive();
        socket.turn();
        reads.join().unwrap();
        socket.run();
        all_is_read(&socket);
    });
}

#[test]
fn resuming_elsewhere_loses_no_report() {
    let pauses = |socket: &Socket| {
        socket.change(PAUSED, 0);
        socket.change(0, PAUSED);
    };
    while_a_byte_arrives(0, pauses, all_is_read);
    while_a_byte_arrives(PAUSED, |socket| socket.change(0, PAUSED), all_is_read);
}

#[test]
fn a_pause_keeps_the_report_for_later() {
    while_a_byte_arrives(
        0,
        |socket| socket.change(PAUSED, 0),
        |socket| {
            socket.change(0, PAUSED);
            socket.run();
            all_is_read(socket);
        },
    );
}

#[test]
fn a_socket_that_is_dropped_elsewhere_reports_no_more() {
    let drops = |socket: &Socket| {
        assert!(!socket.readiness.change(DROPPED, 0), "it is never queued");
    };
    while_a_byte_arrives(0, drops, |socket| {
        socket.arrive();
        assert!(!socket.turn(), "an event of a dropped socket (invariant 3)");
        assert!(socket.readiness.take().is_none());
    });
}

#[test]
fn a_write_that_would_block_gets_one_writable() {
    explore_fully(|| {
        let socket = Socket::new(MAYBE_WRITABLE);
        let writes = thread::spawn({
            let socket = socket.clone();
            move || socket.write()
        });
        socket.make_room();
        socket.turn();
        let has_written = writes.join().unwrap();
        socket.run();
        let expected = usize::from(!has_written);
        assert_eq!(socket.writable.load(Ordering::Relaxed), expected);
        socket.run();
        assert_eq!(socket.writable.load(Ordering::Relaxed), expected);
    });
}

#[test]
fn reading_and_writing_threads_both_get_their_events() {
    explore_fully(|| {
        let socket = Socket::new(MAYBE_READABLE | MAYBE_WRITABLE);
        let writes = thread::spawn({
            let socket = socket.clone();
            move || socket.write()
        });
        socket.arrive();
        socket.make_room();
        socket.turn();
        let has_written = writes.join().unwrap();
        socket.run();
        all_is_read(&socket);
        let expected = usize::from(!has_written);
        assert_eq!(socket.writable.load(Ordering::Relaxed), expected);
    });
}

#[test]
fn an_error_is_visible_with_its_flag() {
    let fails = |socket: &Socket| {
        socket.error.store(7, Ordering::Relaxed);
        socket.change(FAILED, 0);
    };
    while_a_byte_arrives(0, fails, |socket| {
        all_is_read(socket);
        assert_eq!(socket.failures.load(Ordering::Relaxed), 1);
    });
}
