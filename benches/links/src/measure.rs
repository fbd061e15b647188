//! Laps: so many messages, one after the other or several at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::peer::{Caller, Failed};

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
pub(crate) fn one_by_one(
    times: u64,
    mut once: impl FnMut() -> Result<(), Failed>,
) -> Result<Lap, Failed> {
    let mut each = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
    let begin = Instant::now();
    let mut last = begin;
    for _ in 0..times {
        once()?;
        let now = Instant::now();
        each.push(nanoseconds(now - last));
        last = now;
    }
    Ok(Lap {
        messages: times,
        elapsed: last - begin,
        each,
    })
}

/// The same in a task.
pub(crate) async fn one_by_one_async(
    times: u64,
    mut once: impl AsyncFnMut() -> Result<(), Failed>,
) -> Result<Lap, Failed> {
    let mut each = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
    let begin = Instant::now();
    let mut last = begin;
    for _ in 0..times {
        once().await?;
        let now = Instant::now();
        each.push(nanoseconds(now - last));
        last = now;
    }
    Ok(Lap {
        messages: times,
        elapsed: last - begin,
        each,
    })
}

/// All callers ask at once, each several requests.
pub(crate) async fn pipelined<C: Caller>(
    callers: &[C],
    payload: &Bytes,
    times: u64,
) -> Result<Lap, Failed> {
    let tasks = callers.len() as u64 * DEPTH;
    let times_each = times.div_ceil(tasks);
    let begin = Instant::now();
    let mut set = JoinSet::new();
    for caller in callers {
        for _ in 0..DEPTH {
            let (caller, payload) = (caller.clone(), payload.clone());
            set.spawn(async move {
                for _ in 0..times_each {
                    ask(&caller, &payload).await?;
                }
                Ok::<_, Failed>(())
            });
        }
    }
    while let Some(ended) = set.join_next().await {
        ended??; // the others end with the set
    }
    Ok(Lap {
        messages: tasks * times_each,
        elapsed: begin.elapsed(),
        each: Vec::new(),
    })
}

/// Makes a request, whose reply has to be the payload.
pub(crate) async fn ask(caller: &impl Caller, payload: &Bytes) -> Result<(), Failed> {
    let reply = caller.request(payload).await?;
    if reply.len() == payload.len() {
        Ok(())
    } else {
        Err(format!("a reply of {} bytes", reply.len()).into())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
