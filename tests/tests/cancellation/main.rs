//! Cancellation at every await and at every step of the other end: by drop, by deadline, by
//! `mem::forget`, and in races.
//!
//! First all short sequences of steps run on one thread and are compared with a model; then threads
//! race.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture, poll_fn},
    mem,
    pin::Pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{
    Counted, CountingWaker, DropCounter, LONG, block_on, eventually, must_end, poll_once, poll_with,
};
use ump::{
    Client, Error, Executed, ReplyContext, RequestError, SendError, Server, Stats, bounded,
    channel, coop,
};

/// Calls `f` with every sequence of `len` of the `steps`.
fn all_sequences<T: Copy>(steps: &[T], len: usize, mut f: impl FnMut(&[T])) {
    let mut digits = vec![0; len];
    loop {
        let sequence: Vec<T> = digits.iter().map(|digit| steps[*digit]).collect();
        f(&sequence);
        let Some(at) = digits.iter().rposition(|digit| digit + 1 < steps.len()) else {
            return;
        };
        digits[at] += 1;
        digits[at + 1..].fill(0);
    }
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

mod sequences;

mod wake_ups;

mod forgetting;

mod by_drop;

/// Runs two threads that start together repeatedly, with slightly different delays.
///
/// They poll by hand, so the cooperative budget is off: each poll finds what is ready.
fn race<A, B: Send, X, Y: Send>(
    rounds: usize,
    mut make: impl FnMut() -> (A, B),
    left: impl Fn(A) -> X,
    right: impl Fn(B) -> Y + Sync,
    mut check: impl FnMut(X, Y),
) {
    let start = AtomicUsize::new(0);
    // Both have arrived when the count is twice the number of rounds.
    let arrive = |round: usize, lag: usize| {
        start.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0;
        while start.load(Ordering::SeqCst) < 2 * (round + 1) {
            looks += 1;
            if looks > 200 {
                thread::yield_now();
            }
        }
        (0..lag).for_each(|_| std::hint::spin_loop());
    };
    thread::scope(|scope| {
        let (give, given) = mpsc::channel::<B>();
        let (done, outcomes) = mpsc::channel::<Y>();
        let (arrive, right) = (&arrive, &right);
        scope.spawn(move || {
            for (round, b) in given.into_iter().enumerate() {
                arrive(round, round / 16 % 16 * 4);
                let y = coop::with_budget(u32::MAX, || right(b));
                if done.send(y).is_err() {
                    return;
                }
            }
        });
        for round in 0..rounds {
            let (a, b) = make();
            give.send(b).unwrap();
            arrive(round, round % 16 * 4);
            let x = coop::with_budget(u32::MAX, || left(a));
            check(x, outcomes.recv().unwrap());
        }
        drop(give);
    });
}

const ROUNDS: usize = 20_000;

mod races;
