//! The watchdog: tells of handlers that do not return control.
//!
//! One thread watches over all loops of the process that [want it](crate::thread::Builder::watchdog), `ump-watchdog`. It is there while at least
//! one of these is, and sleeps while none of them has anything in hand. What it measures is the time for which a handler *has control*: on a
//! thread that is a whole call, on a task each poll, so that a handler may await for as long as it likes.
//!
//! # What is reported when
//!
//! A turn of a handler that goes on for longer than the threshold is reported when it is noticed, then again each time the elapsed time has doubled, and
//! once more when it is over:
//!
//! ```text
//!    0 ──────── threshold ───── × 2 ─────────────── × 4 ──────────── the handler returns
//!               Noticed         Persists            Persists         Over
//! ```
//!
//! A report is made only if that very turn was still going on when the monitor looked, with more than the threshold behind it. What ended before is
//! never reported; `Over` follows each turn that was reported, and no other. How late the monitor looks is up to the operating system's scheduler.
//!
//! **A stopped process has no stalls.** While it is stopped (`SIGSTOP`, a debugger, a frozen container or virtual machine) its handlers cannot return, so
//! this time does not count. The monitor notices it by waking up later than it meant to, and leaves that time out, here and in
//! [`Stall::elapsed`]. It looks four times within a threshold, at least twice a second, and what is shorter than the time between two looks
//! it may not notice: with a threshold of 1 s a handler is reported after at least 0.75 s of its own, and 0.25 s less for each further stop.
//!
//! # Protocol
//!
//! The turns themselves, and how the monitor claims one, are in `record`. Here is how the monitor learns that it has to look:
//!
//! - It looks at all records. If nothing runs and nothing has run since its last look, it sleeps for ever: it raises `asleep`, looks once
//!   more, and sleeps. A worker that begins a turn says so at its record, then looks at `asleep`. Between the two, on both sides, is a
//!   `SeqCst` fence: the monitor sees the turn, or the worker sees `asleep` (and takes it down and wakes the monitor).
//! - Otherwise it sleeps until the earliest moment at which anything can be overdue: the beginning of what runs, or the present for
//!   what does not run, and the threshold; and no longer than a quarter of that, or half a second. So no worker needs to wake it, however short its
//!   threshold is beside that of another. When nothing has run for a threshold it sleeps for ever, so a loop wakes the monitor at most once in a threshold.
//! - How much later it wakes up than it meant to does not count for what runs. Of what began while it slept for ever only the time counts
//!   since it woke up.
//! - By a manual clock it sleeps until that is advanced.
//! - A turn that ends after it was reported leaves commands, and so does a loop that comes or goes. The commands about a turn is delivered before
//!   anything about a later turn of the same worker.

#[cfg(loom)]
pub mod model;
mod monitor;
mod stall;
mod watched_worker;

use std::{fmt, io, panic::Location, time::Duration};

pub(crate) use self::monitor::Monitor;
pub use self::stall::{Stage, Stall};
use crate::{
    catch::catch_user_panic,
    record::{Turn, WorkerRecord},
    sync::Arc,
};

/// What is to be watched for, and who is to be told.
#[derive(Clone, Debug)]
pub(crate) struct WatchConfig {
    threshold: Duration,
    on_stall: Option<OnStall>,
}

/// Is told of each stall.
#[derive(Clone)]
pub(crate) struct OnStall(std::sync::Arc<dyn Fn(&Stall) + Send + Sync>);

impl OnStall {
    pub(crate) fn new(call: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(call))
    }
}

impl fmt::Debug for OnStall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStall").finish_non_exhaustive()
    }
}

/// Anything shorter is in the scheduler's hands.
const SHORTEST: Duration = Duration::from_millis(1);

impl WatchConfig {
    pub(crate) fn new(threshold: Duration, on_stall: Option<OnStall>) -> Self {
        Self {
            threshold: threshold.max(SHORTEST),
            on_stall,
        }
    }
}

/// A record that is watched.
pub(crate) struct WatchTarget {
    record: Arc<WorkerRecord>,
    config: WatchConfig,
}

impl WatchTarget {
    fn stall(
        &self,
        stage: Stage,
        (kind, caller): (&'static str, Option<&'static Location<'static>>),
        elapsed: Duration,
    ) -> Stall {
        Stall {
            name: std::sync::Arc::clone(&self.record.name),
            worker: self.record.worker,
            kind,
            caller,
            elapsed,
            threshold: self.config.threshold,
            stage,
        }
    }

    /// The user's code runs here: the callback, and whoever subscribes to traces.
    fn tell(&self, stall: &Stall) {
        let _ = catch_user_panic(|| crate::observe::stall(stall));
        if let Some(OnStall(call)) = &self.config.on_stall {
            let _ = catch_user_panic(|| call(stall));
        }
    }
}

/// The worker's end of being watched. Dropped, the monitor forgets the worker.
pub(crate) struct Watch {
    monitor: std::sync::Arc<Monitor>,
    /// Until it is dropped. It goes to the monitor then, where the drop of a callback can do no harm.
    watched: Option<Arc<WatchTarget>>,
}

impl Watch {
    /// Has a record watched from now on.
    pub(crate) fn begin(
        monitor: &std::sync::Arc<Monitor>,
        record: &Arc<WorkerRecord>,
        config: WatchConfig,
    ) -> io::Result<Self> {
        let watched = Arc::new(WatchTarget {
            record: Arc::clone(record),
            config,
        });
        monitor.watch(&watched)?;
        Ok(Self {
            monitor: std::sync::Arc::clone(monitor),
            watched: Some(watched),
        })
    }

    /// A turn has begun.
    #[inline]
    pub(crate) fn resumed(&self) {
        self.monitor.worker_resumed();
    }

    /// A turn that was reported has ended.
    pub(crate) fn is_over(
        &self,
        turn: Turn,
        kind: &'static str,
        caller: Option<&'static Location<'static>>,
        elapsed: Duration,
    ) {
        if let Some(watched) = &self.watched {
            let stall = watched.stall(Stage::Over, (kind, caller), elapsed);
            self.monitor.is_over(watched, turn, stall);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take() {
            self.monitor.forget(watched);
        }
    }
}
