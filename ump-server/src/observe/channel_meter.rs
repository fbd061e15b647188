//! Metrics of the channels of all loops, through the facade `metrics`. They work even while no
//! handler takes requests.
//!
//! A worker counts the requests that it takes. Only the channel knows of requests that never reach
//! a worker (refused, expired, cancelled, still queued), in its [`Stats`]. So each loop registers
//! its channel here. A refresh reads all channels and passes the changes on. A refresh happens
//!
//! - when the program calls [`refresh_metrics`];
//! - once per second, on a thread of the process, while any channel holds a request or any worker
//!   is not serving;
//! - for one channel, when its loop ends.
//!
//! # Invariants
//!
//! 1. The recorder is user code: it is called under no lock, and its panics are caught.
//! 2. Each change is passed on once: the reported counts are updated under the lock of their
//!    channel before the counters are incremented by the difference.
//! 3. The thread sleeps without a limit only after two refreshes, a second apart, that found
//!    nothing to do; before the second one it had announced its sleep. A worker that begins a call
//!    in between sees the announcement, or the refresh sees its request.
//! 4. A forked child has a list and a thread of its own, as the locks of its parent may be held for
//!    ever. The child does not count the loops of its parent, which counts them itself.

use std::{
    collections::BTreeMap,
    io, process,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use metrics::{Counter, Gauge, Label, SharedString, counter, gauge};
use parking_lot::Mutex;
use ump::{PerProcess, Server, Stats};

use super::names::{ACCEPTED, IN_HAND, OUTCOMES, QUEUE_DEPTH, describe};
use crate::{
    catch::catch_user_panic,
    record::{WorkerRecord, WorkerState},
    sync,
};

/// The interval between two refreshes while there is something to report.
const INTERVAL: Duration = Duration::from_secs(1);

static SAMPLER: PerProcess<Sampler> = PerProcess::new();
/// Whether the thread sleeps or is about to: see invariant 3.
static IS_ASLEEP: AtomicBool = AtomicBool::new(false);

/// Refreshes the metrics of all loops: passes the counts since the last refresh, and the requests
/// held now, on to the recorder of the crate `metrics`.
///
/// A thread of the process does so once per second while there is anything to report. Call this
/// before the metrics are read, if they have to be exact at that time: in the handler of a scrape,
/// or in a test. It takes the lock of each loop's queue once, and does not block for longer.
///
/// A loop reports to the recorder that was installed when the loop was started.
pub fn refresh_metrics() {
    refresh();
}

/// The channels of a process.
#[derive(Default)]
struct Sampler {
    /// Those of the loops that have not ended.
    channels: Mutex<Vec<Weak<Reading>>>,
    /// The thread that reads them.
    thread: Mutex<Option<Thread>>,
}

/// Keeps the channel of a loop registered for refreshes. Each worker of the loop has a clone. When
/// the last one is dropped, the channel is read once more.
#[derive(Clone)]
pub(crate) struct ChannelMeter(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<Reading>,
);

/// A channel, and the counts that have been reported.
struct Reading {
    process: u32,
    name: Arc<str>,
    stats: Box<dyn Fn() -> Stats + Send + Sync>,
    workers: Box<[sync::Arc<WorkerRecord>]>,
    reported: Mutex<[u64; COUNTS.len()]>,
    depth: Gauge,
    in_hand: Gauge,
    counters: [Counter; COUNTS.len()],
}

/// The numbers of requests that a loop holds: queued, and in hand.
type Held = (u64, u64);

impl ChannelMeter {
    pub(crate) fn new<S, R, E>(
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        workers: &[sync::Arc<WorkerRecord>],
    ) -> Self
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        describe();
        let label = Label::new("server", SharedString::from(Arc::clone(name)));
        let server = Arc::clone(server);
        let reading = Arc::new(Reading {
            process: process::id(),
            name: Arc::clone(name),
            stats: Box::new(move || server.stats()),
            workers: workers.into(),
            reported: Mutex::default(),
            depth: gauge!(QUEUE_DEPTH, [label.clone()].iter()),
            in_hand: gauge!(IN_HAND, [label.clone()].iter()),
            counters: COUNTS.map(|(outcome, _)| match outcome {
                None => counter!(ACCEPTED, [label.clone()].iter()),
                Some(outcome) => {
                    let outcome = Label::from_static_parts("outcome", outcome);
                    counter!(OUTCOMES, [label.clone(), outcome].iter())
                }
            }),
        });
        if let Ok(sampler) = Sampler::of_process() {
            sampler.add(&reading);
            sampler.start();
        }
        Self(reading)
    }
}

/// The counts of a channel: the `outcome` label, or none for all accepted requests; and the value
/// in [`Stats`].
const COUNTS: [(Option<&str>, fn(&Stats) -> u64); 13] = [
    (None, |stats| stats.accepted),
    (Some("replied"), |stats| stats.replied),
    (Some("failed"), |stats| stats.failed),
    (Some("no_reply"), |stats| stats.no_reply),
    (Some("panicked"), |stats| stats.panicked),
    (Some("server_disappeared"), |stats| stats.server_disappeared),
    (Some("timeout_queued"), |stats| stats.timeout_queued),
    (Some("timeout_taken"), |stats| stats.timeout_taken),
    (Some("cancelled_queued"), |stats| stats.cancelled_queued),
    (Some("cancelled_taken"), |stats| stats.cancelled_taken),
    (Some("would_deadlock_queued"), |stats| {
        stats.would_deadlock_queued
    }),
    (Some("would_deadlock_taken"), |stats| {
        stats.would_deadlock_taken
    }),
    (Some("refused"), |stats| stats.refused),
];

impl Reading {
    /// Passes on the counts since the last refresh. Returns the requests that the loop holds.
    fn count(&self) -> Held {
        let mut reported = self.reported.lock();
        let stats = (self.stats)();
        let mut grown = [0; COUNTS.len()];
        for (((_, count), reported), grown) in COUNTS.iter().zip(&mut *reported).zip(&mut grown) {
            // A snapshot of a request in the middle of a step may be behind the one before.
            *grown = count(&stats).saturating_sub(*reported);
            *reported += *grown;
        }
        drop(reported);
        for (counter, grown) in self.counters.iter().zip(grown) {
            if grown > 0 {
                catch_user_panic(|| counter.increment(grown));
            }
        }
        (stats.queued, stats.taken)
    }

    fn show(&self, (queued, taken): Held) {
        #[expect(clippy::cast_precision_loss, reason = "the facade counts in f64")]
        let [queued, taken] = [queued, taken].map(|count| count as f64);
        catch_user_panic(|| self.depth.set(queued));
        catch_user_panic(|| self.in_hand.set(taken));
    }

    /// Returns whether a worker is not serving. Such a worker does not notify the thread of queued
    /// requests.
    fn is_held_up(&self) -> bool {
        let mut states = self.workers.iter().map(|worker| worker.status().state);
        states.any(|state| matches!(state, WorkerState::Starting | WorkerState::Pausing))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.process != process::id() {
            return; // by invariant 4
        }
        self.count();
        // Other loops of this name may still run.
        let others = living().into_iter().filter(|other| other.name == self.name);
        self.show(hold_together(others.map(|other| other.count())));
    }
}

fn living() -> Vec<Arc<Reading>> {
    let Ok(sampler) = Sampler::of_process() else {
        return Vec::new();
    };
    let channels = sampler.channels.lock();
    channels.iter().filter_map(Weak::upgrade).collect()
}

fn hold_together(held: impl Iterator<Item = Held>) -> Held {
    held.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Reads all channels. Returns whether there is anything to refresh again.
fn refresh() -> bool {
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for reading in living() {
        let held = reading.count();
        let name = Arc::clone(&reading.name);
        by_name.entry(name).or_default().push((reading, held));
    }
    let mut is_busy = false;
    for loops in by_name.values() {
        let held = hold_together(loops.iter().map(|(_, held)| *held));
        is_busy |= held != (0, 0);
        for (reading, _) in loops {
            reading.show(held);
            is_busy |= reading.is_held_up();
        }
    }
    is_busy
}

impl Sampler {
    /// Returns that of this process. If the system cannot tell a forked child from its parent,
    /// there is none, and the ends of loops count their own channels.
    fn of_process() -> io::Result<&'static Self> {
        SAMPLER.get(Self::default)
    }

    fn add(&self, reading: &Arc<Reading>) {
        let mut channels = self.channels.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Arc::downgrade(reading));
    }

    /// Starts the thread if there is none. If the system refuses to, only [`refresh_metrics`] and
    /// the ends of loops refresh the metrics, and the next loop tries again.
    fn start(&self) {
        let mut thread = self.thread.lock();
        if thread.is_some() {
            return;
        }
        IS_ASLEEP.store(false, Ordering::Relaxed);
        let builder = thread::Builder::new().name("ump-metrics".into());
        let handle = builder.spawn(sample).ok();
        *thread = handle.map(|handle| handle.thread().clone());
    }
}

fn sample() {
    loop {
        thread::sleep(INTERVAL);
        // ORDERING: Acquire pairs with the exchange in `wake_sampler`.
        let had_announced = IS_ASLEEP.load(Ordering::Acquire);
        if refresh() {
            IS_ASLEEP.store(false, Ordering::Relaxed);
        } else if !had_announced {
            // ORDERING: Release pairs with the exchange in `wake_sampler`.
            IS_ASLEEP.store(true, Ordering::Release);
        } else {
            while IS_ASLEEP.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

/// Notifies the thread that a worker begins a call, or pauses before its handler is rebuilt.
#[inline]
pub(super) fn note_work() {
    // ORDERING: Relaxed, by invariant 3.
    if IS_ASLEEP.load(Ordering::Relaxed) {
        wake_sampler();
    }
}

#[cold]
fn wake_sampler() {
    if IS_ASLEEP.swap(false, Ordering::AcqRel) {
        let sampler = Sampler::of_process();
        let thread = sampler.ok().and_then(|it| it.thread.lock().clone());
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}
