//! Laps: so many messages, one after the other or several at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::peer::Caller;

/// How many requests of a connection are outstanding when they are pipelined.
pub(crate) const DEPTH: u64 = 16;

/// What a lap has taken.
pub(crate) struct Lap {
    pub(crate) messages: u64,
    pub(crate) elapsed: Duration,
    /// The nanoseconds of each request, if they are measured.
    pub(crate) each: Vec<u64>,
}

/// Does something so many times, and measures each.
pub(crate) fn one_by_one(times: u64, mut once: impl FnMut()) -> Lap {
    let mut each = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
    let begin = Instant::now();
    let mut last = begin;
    for _ in 0..times {
        once();
        let now = Instant::now();
        each.push(nanoseconds(now - last));
        last = now;
    }
    Lap {
        messages: times,
        elapsed: last - begin,
        each,
    }
}

/// The same in a task.
pub(crate) async fn one_by_one_async(times: u64, mut once: impl AsyncFnMut()) -> Lap {
    let mut each = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
    let begin = Instant::now();
    let mut last = begin;
    for _ in 0..times {
        once().await;
        let now = Instant::now();
        each.push(nanoseconds(now - last));
        last = now;
    }
    Lap {
        messages: times,
        elapsed: last - begin,
        each,
    }
}

/// All callers ask at once, each several requests.
pub(crate) async fn pipelined<C: Caller>(callers: &[C], payload: &Bytes, times: u64) -> Lap {
    let tasks = callers.len() as u64 * DEPTH;
    let times_each = times.div_ceil(tasks);
    let begin = Instant::now();
    let mut set = JoinSet::new();
    for caller in callers {
        for _ in 0..DEPTH {
            let (caller, payload) = (caller.clone(), payload.clone());
            set.spawn(async move {
                for _ in 0..times_each {
                    let reply = caller.request(&payload).await.expect("a reply");
                    assert_eq!(reply.len(), payload.len());
                }
            });
        }
    }
    set.join_all().await;
    Lap {
        messages: tasks * times_each,
        elapsed: begin.elapsed(),
        each: Vec::new(),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
