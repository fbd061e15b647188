//! What two threads can do at best, without any channel.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Two running threads exchange one atomic.
pub(crate) fn raw_spin(trips: u64) {
    exchange(trips, spin_loop, |_| ());
}

/// Two threads wake each other through the kernel.
pub(crate) fn raw_park(trips: u64) {
    exchange(trips, thread::park, thread::Thread::unpark);
}

fn exchange(trips: u64, wait: fn(), wake: fn(&thread::Thread)) {
    let turn = Arc::new(AtomicU64::new(0));
    let other_turn = Arc::clone(&turn);
    let client = thread::current();
    let other = thread::spawn(move || {
        for trip in 0..trips {
            while other_turn.load(Ordering::Acquire) != 2 * trip + 1 {
                wait();
            }
            other_turn.store(2 * trip + 2, Ordering::Release);
            wake(&client);
        }
    });
    for trip in 0..trips {
        turn.store(2 * trip + 1, Ordering::Release);
        wake(other.thread());
        while turn.load(Ordering::Acquire) != 2 * trip + 2 {
            wait();
        }
    }
    other.join().expect("the other thread");
}
