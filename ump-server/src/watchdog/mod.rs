//! The watchdog: reports handlers that do not return control.
//!
//! One thread, `ump-watchdog`, watches all loops of the process that have the
//! [watchdog](crate::thread::Builder::watchdog) enabled. It exists while there is at least one such
//! loop, and sleeps while none of them has a current call. It measures the time for which a handler
//! *has control*: on a thread that is a whole call, on a task each poll. So a handler on a task may
//! await for any time.
//!
//! # The reports
//!
//! If a turn of a handler takes longer than the threshold, it is reported when the monitor notices
//! it, then each time the elapsed time has doubled, and once more when it is over:
//!
//! ```text
//!    0 ──────── threshold ───── × 2 ─────────────── × 4 ──────────── the handler returns
//!               Noticed         Persists            Persists         Over
//! ```
//!
//! A turn is reported only if that very turn was still going on when the monitor looked, after more
//! than the threshold. A turn that ended before is never reported. `Over` follows each turn that
//! was reported, and no other. The operating system's scheduler determines how late the monitor
//! looks.
//!
//! **A stopped process has no stalls.** While a process is stopped (`SIGSTOP`, a debugger, a frozen
//! container or virtual machine), its handlers cannot return, so this time does not count. The
//! monitor notices a stop because it wakes up later than intended. It subtracts that time, here and
//! in [`Stall::elapsed`]. The monitor looks four times per threshold, and at least twice a second.
//! It may not notice a stop that is shorter than the time between two looks: with a threshold of 1
//! s a handler is reported after at least 0.75 s of its own, and 0.25 s less for each further stop.
//!
//! # Protocol
//!
//! `record` describes the turns, and how the monitor claims one. This is how the monitor learns
//! that it has to look:
//!
//! - The monitor looks at all records. If no turn runs and none has run since its last look, it
//!   sleeps without a limit: it sets `asleep`, looks once more, and sleeps. A worker that begins a
//!   turn writes that to its record, then reads `asleep`. Between the two, on both sides, is a
//!   `SeqCst` fence. So the monitor sees the turn, or the worker sees `asleep` (and clears it and
//!   wakes the monitor).
//! - Otherwise the monitor sleeps until the earliest instant at which a turn can be overdue: the
//!   threshold after the start of a running turn, or after the present for a worker without one. It
//!   sleeps no longer than a quarter of the threshold, or half a second. So no worker needs to wake
//!   it, however short its threshold is in comparison to that of another. When no turn has run for
//!   a threshold, the monitor sleeps without a limit. So a loop wakes it at most once per
//!   threshold.
//! - The time by which the monitor wakes up too late does not count for running turns. For a turn
//!   that began while the monitor slept without a limit, only the time since the wake-up counts.
//! - With a manual clock, the monitor sleeps until that clock is advanced.
//! - A turn that ends after it was reported sends the monitor a command, and so does a loop that
//!   starts or ends. The command about a turn is delivered before any report about a later turn of
//!   the same worker.

#[cfg(loom)]
pub mod model;
mod monitor;
mod watched_worker;

use std::{fmt, io, panic::Location, time::Duration};

pub(crate) use self::monitor::Monitor;
pub use crate::record::{Stage, Stall};
use crate::{
    catch::catch_user_panic,
    record::{Turn, WorkerRecord},
    sync::Arc,
};

/// The watchdog's configuration for a loop: the threshold, and the callback.
#[derive(Clone, Debug)]
pub(crate) struct WatchConfig {
    threshold: Duration,
    on_stall: Option<OnStall>,
}

/// The callback that is called with each stall.
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

/// The shortest threshold. Anything shorter depends on the scheduler.
const SHORTEST: Duration = Duration::from_millis(1);

impl WatchConfig {
    pub(crate) fn new(threshold: Duration, on_stall: Option<OnStall>) -> Self {
        Self {
            threshold: threshold.max(SHORTEST),
            on_stall,
        }
    }
}

/// A record that is watched, with its configuration.
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

    /// Reports a stall. This runs user code: the callback, and `tracing` subscribers.
    fn report(&self, stall: &Stall) {
        catch_user_panic(|| crate::observe::stall(stall));
        if let Some(OnStall(call)) = &self.config.on_stall {
            catch_user_panic(|| call(stall));
        }
    }
}

/// The worker's end of the watchdog. When it is dropped, the monitor forgets the worker.
pub(crate) struct Watch {
    monitor: std::sync::Arc<Monitor>,
    /// Set until the drop, which sends it to the monitor: there, the drop of a callback does no
    /// harm.
    watched: Option<Arc<WatchTarget>>,
}

impl Watch {
    /// Starts to watch a record.
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

    /// Notifies the monitor that a turn has begun.
    #[inline]
    pub(crate) fn resumed(&self) {
        self.monitor.worker_resumed();
    }

    /// Notifies the monitor that a reported turn has ended.
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
