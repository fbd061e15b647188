//! The lateness of a handler that is called for a timer, with nothing else to do.
//!
//! All contenders arm the same timers: at random within the next 200 ms, to the nanosecond.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, time::sleep_until};
use ump_server::{Context, ReplyContext};

use super::Contender;
use crate::random::Random;

/// The number of timers in a round: on average one each 2 ms, so that the loop sleeps in between.
const TIMERS: usize = 100;
const WITHIN: Duration = Duration::from_millis(200);

pub(super) const CONTENDERS: [Contender; 4] = [
    ("floor: std::thread::sleep", sleeping_thread),
    ("ump-server, thread", on_thread),
    ("ump-server, task", on_task),
    ("tokio::time::sleep", sleeping_tasks),
];

/// Records how late it is called, until all timers have fired.
struct Late(Vec<i64>);

impl Late {
    /// Arms the deadlines of this round.
    fn armed(cx: &Context<(), (), (), Instant>, round: u64) -> Self {
        for deadline in deadlines(round) {
            cx.timers().at(deadline, deadline);
        }
        Self(Vec::with_capacity(TIMERS))
    }

    fn note(&mut self, deadline: Instant) -> ControlFlow<Vec<i64>> {
        self.0.push(lateness(deadline));
        if self.0.len() < TIMERS {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(std::mem::take(&mut self.0))
    }
}

impl ump_server::thread::Handler<(), (), (), Vec<i64>, Instant> for Late {
    fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<Vec<i64>> {
        unreachable!("nobody asks")
    }

    fn on_timer(&mut self, deadline: Instant) -> ControlFlow<Vec<i64>> {
        self.note(deadline)
    }
}

impl ump_server::task::Handler<(), (), (), Vec<i64>, Instant> for Late {
    async fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<Vec<i64>> {
        unreachable!("nobody asks")
    }

    async fn on_timer(&mut self, deadline: Instant) -> ControlFlow<Vec<i64>> {
        self.note(deadline)
    }
}

fn on_thread(round: u64) -> Vec<i64> {
    let (_client, handle) = ump_server::thread::Builder::new()
        .spawn_with(move |cx| Ok(Late::armed(cx, round)))
        .expect("a thread");
    handle
        .join()
        .expect("it ends in order")
        .expect("it breaks off")
}

fn on_task(round: u64) -> Vec<i64> {
    runtime().block_on(async {
        let (_client, handle) = ump_server::task::Builder::new()
            .spawn_with(move |cx| Ok(Late::armed(cx, round)))
            .expect("a runtime");
        handle
            .await
            .expect("it ends in order")
            .expect("it breaks off")
    })
}

/// A task for each timer.
fn sleeping_tasks(round: u64) -> Vec<i64> {
    runtime().block_on(async {
        let sleeping: Vec<_> = deadlines(round)
            .map(|deadline| {
                tokio::spawn(async move {
                    sleep_until(deadline.into()).await;
                    lateness(deadline)
                })
            })
            .collect();
        let mut late = Vec::with_capacity(TIMERS);
        for slept in sleeping {
            late.push(slept.await.expect("it ends in order"));
        }
        late
    })
}

/// The floor: `thread::sleep`, for one deadline after the other.
fn sleeping_thread(round: u64) -> Vec<i64> {
    let mut deadlines: Vec<Instant> = deadlines(round).collect();
    deadlines.sort_unstable();
    let sleep = |deadline: Instant| {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        lateness(deadline)
    };
    deadlines.into_iter().map(sleep).collect()
}

/// Runs in a runtime of one thread.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("it needs nothing")
}

fn deadlines(round: u64) -> impl Iterator<Item = Instant> {
    let start = Instant::now();
    let mut random = Random(round);
    let within = usize::try_from(WITHIN.as_nanos()).expect("it is short");
    (0..TIMERS).map(move |_| start + Duration::from_nanos(random.below(within) as u64))
}

/// The lateness in nanoseconds; negative if the call is early.
fn lateness(deadline: Instant) -> i64 {
    let now = Instant::now();
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).expect("it is short");
    match now.checked_duration_since(deadline) {
        Some(late) => nanoseconds(late),
        None => -nanoseconds(deadline - now),
    }
}
