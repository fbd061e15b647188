//! Models of the hand-over between a loop that sleeps in a selector and the threads that wake it. A
//! lost wake-up is a deadlock, which loom finds.
//!
//! The states are those of the diagram at the top of `ump-server/src/net/wake.rs`.
#![cfg(loom)]

use std::{sync::Arc as StdArc, task::Wake, task::Waker};

use loom::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use loom_tests::explore;
use ump::hooks::LoopView;
use ump_server::net_wake::{Signal, WakeState};

/// A selector of which only the waker is ever ready: an `eventfd`.
#[derive(Default)]
struct Selector {
    /// Whether the waker is ready, and the number of signals so far.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Selector {
    fn sleep(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.0 {
            state = self.changed.wait(state).unwrap();
        }
        state.0 = false;
    }

    fn signals(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

impl Signal for Selector {
    fn signal(&self) {
        let mut state = self.state.lock().unwrap();
        *state = (true, state.1 + 1);
        drop(state);
        self.changed.notify_one();
    }
}

/// A source of events: a flag.
fn source() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Runs a loop until it sees that all sources have changed.
fn run_until_all(wake: &WakeState<Selector>, sources: &[Arc<AtomicBool>]) {
    // Relaxed: the wake orders it.
    while !sources.iter().all(|source| source.load(Ordering::Relaxed)) {
        if wake.announce_sleep() {
            wake.signal().sleep();
            wake.woke_up();
        }
    }
}

#[test]
fn a_change_just_before_the_sleep_is_seen() {
    explore(|| {
        let wake = Arc::new(WakeState::new(Selector::default()));
        let source = source();
        let changes = thread::spawn({
            let (wake, source) = (wake.clone(), source.clone());
            move || {
                source.store(true, Ordering::Relaxed);
                wake.wake();
            }
        });
        run_until_all(&wake, &[source]);
        changes.join().unwrap();
    });
}

#[test]
fn changes_of_two_sources_are_both_seen() {
    explore(|| {
        let wake = Arc::new(WakeState::new(Selector::default()));
        let sources = [source(), source()];
        let change = |source: &Arc<AtomicBool>| {
            let (wake, source) = (wake.clone(), source.clone());
            thread::spawn(move || {
                source.store(true, Ordering::Relaxed);
                wake.wake();
            })
        };
        let changes = [change(&sources[0]), change(&sources[1])];
        run_until_all(&wake, &sources);
        for change in changes {
            change.join().unwrap();
        }
        assert!(wake.signal().signals() <= 2);
    });
}

#[test]
fn a_loop_that_is_awake_gets_no_signal() {
    explore(|| {
        let wake = WakeState::new(Selector::default());
        wake.wake();
        wake.wake();
        assert_eq!(wake.signal().signals(), 0);
        assert!(!wake.announce_sleep());
        assert!(wake.announce_sleep());
        wake.wake();
        wake.wake();
        assert_eq!(wake.signal().signals(), 1);
    });
}

/// Wakes the loop, as the waker that it registers with its channel does.
struct Registered(Arc<WakeState<Selector>>);

impl Wake for Registered {
    fn wake(self: StdArc<Self>) {
        self.0.wake();
    }
}

/// Serves requests in a loop that sleeps in its selector, until no client is left. Returns their
/// number. A loop that waits `apart` waits awake before it prepares its sleep.
fn serve(server: &ump::Server<u32, u32, ()>, apart: bool) -> usize {
    let wake = Arc::new(WakeState::new(Selector::default()));
    let waker = Waker::from(StdArc::new(Registered(wake.clone())));
    let mut requests = LoopView::new(server).requests();
    let mut served = 0;
    loop {
        let taken = match apart.then(|| requests.take_awake()) {
            None | Some(Ok(None)) => requests.take_or_register(&waker, !apart),
            Some(taken) => taken,
        };
        match taken {
            Ok(Some((n, reply))) => {
                reply.reply(n + 1).unwrap();
                served += 1;
            }
            Ok(None) if wake.announce_sleep() => {
                wake.signal().sleep();
                wake.woke_up();
            }
            Ok(None) => {}
            Err(_) => return served,
        }
    }
}

#[test]
fn a_request_ends_the_sleep_in_the_selector() {
    explore(|| {
        let (server, client) = ump::channel::<u32, u32, ()>();
        let asks = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        assert_eq!(serve(&server, false), 1);
        asks.join().unwrap();
    });
}

#[test]
fn a_request_that_comes_while_the_loop_prepares_its_sleep_is_served() {
    explore(|| {
        let (server, client) = ump::channel::<u32, u32, ()>();
        let asks = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        assert_eq!(serve(&server, true), 1);
        asks.join().unwrap();
    });
}

#[test]
fn a_request_is_served_after_the_loop_has_looked_elsewhere() {
    explore(|| {
        let (server, client) = ump::channel::<u32, u32, ()>();
        let asks = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        let mut requests = LoopView::new(&server).requests();
        let waker = Waker::noop();
        let first = requests.take_or_register(waker, false);
        let mut served = 0;
        if let Ok(Some((n, reply))) = first {
            reply.reply(n + 1).unwrap();
            served += 1;
        } else {
            // Woken by something else, it leaves the wait queue.
            requests.leave();
        }
        drop(requests);
        assert_eq!(served + serve(&server, true), 1);
        asks.join().unwrap();
    });
}
