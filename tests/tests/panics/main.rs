//! Panics of handlers, and of all user code that the channel runs: wakers, and drops of messages
//! and replies.
//!
//! In each case every request ends exactly once, each waiter is woken, and nothing leaks. Whether
//! the panic of a waker propagates to the caller of the channel is unspecified.

use std::{
    env,
    future::{Future, IntoFuture, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{
    Counted, CountingWaker, DropCounter, Hook, LONG, block_on, eventually, must_end, poll_once,
    poll_with,
};
use ump::{
    Client, Error, Gather, NoReply, Refused, RequestError, Server, Stats, WaitReply, bounded,
    channel,
};

fn caught<T>(f: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(f))
}

fn poll_by<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> + Unpin {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// A panic payload whose drop panics.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("the drop of a panic is meant to panic");
    }
}

/// Runs a test in its own process, as its failure would end or corrupt the process of the others.
fn in_its_own_process(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "UMP_TEST_IN_ITS_OWN_PROCESS";
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (status, text) = (output.status, String::from_utf8_lossy(&output.stdout));
    assert!(text.contains("running 1 test"), "no such test: {text}");
    assert!(status.success(), "{status}\n{text}");
}

mod handlers;

/// A waker that panics when it is woken.
fn panicking_waker() -> Waker {
    Hook::on_wake(|| panic!("the waker is meant to panic"))
}

mod wakers;

mod clones_and_drops;

mod drops;
