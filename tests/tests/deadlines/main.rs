//! A deadline has the same meaning in blocking and async code: see `Request::deadline`.
//!
//! A test may wait for a short deadline to pass. No test asserts how late that is noticed.

mod every_way;
mod last_moment;
mod overdue;
mod setting;
mod timers;
mod waits;

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use tests::{
    Counted, CountingWaker, DropCounter, LONG, before_deadline, block_on, ends::*, eventually,
    for_each, must_end, pass, poll_once, poll_with, stats_with, with_growing_time,
};
use ump::{Client, Executed, Gather, RequestError, SendError, Server, WaitReply};

/// A timeout that is longer than any clock can represent.
const FOR_EVER: Duration = Duration::MAX;

/// A timeout of two centuries, which the clock can represent.
const FAR: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);
type Reply = WaitReply<u32, (), RequestError<u32, ()>>;
