//! What the channels of all loops count and hold, through the facade `metrics`: also while no handler takes anything.
//!
//! A worker counts what it takes. What never reaches a worker (refused, expired, cancelled, still queued) only the channel knows,
//! in its [`Stats`]. So each loop registers its channel here, and a refresh reads all of them and passes on what has changed. A
//! refresh happens
//!
//! - when the program asks for it ([`refresh_metrics`]);
//! - once per second, by a thread of the process, while any channel holds a request or any worker is not serving;
//! - for one channel, when its loop ends.
//!
//! # Invariants
//!
//! 1. The recorder is the user's code: it is called under no lock, and what it panics with is caught.
//! 2. Each change is passed on once: what has been reported is exchanged under the lock of its channel before the counters are
//!    raised by the difference.
//! 3. The thread sleeps without a limit only after two looks, a second apart, that found nothing to do; before the second one it
//!    had announced that it sleeps. A worker that begins a call in between sees the announcement, or its request is seen.

use std::{
    collections::BTreeMap,
    process,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use metrics::{Counter, Gauge, Label, SharedString, counter, gauge};
use parking_lot::Mutex;
use ump::{Server, Stats};

use super::meter::{ACCEPTED, IN_HAND, OUTCOMES, QUEUE_DEPTH, describe};
use crate::{
    catch::ignore_user_panic,
    record::{WorkerRecord, WorkerState},
    sync,
};

/// How often the thread looks while there is something to see.
const INTERVAL: Duration = Duration::from_secs(1);

/// The channels of the loops that have not ended.
static CHANNELS: Mutex<Vec<Weak<Reading>>> = Mutex::new(Vec::new());
/// The thread that reads them, and the process that it belongs to: after a fork the child has none.
static SAMPLER: Mutex<Option<(u32, Thread)>> = Mutex::new(None);
/// The thread sleeps, or is about to: see invariant 3.
static IS_ASLEEP: AtomicBool = AtomicBool::new(false);

/// Passes on to the recorder of the crate `metrics` what the channels of all loops have counted since the last time, and what they
/// hold now.
///
/// A thread of the process does so once per second while there is anything to report. Call this before the numbers are read, where
/// they have to be exact at that moment: in the handler of a scrape, or in a test. It takes the lock of each loop's queue once, and
/// does not block for longer.
///
/// A loop reports to the recorder that was installed when it was started.
pub fn refresh_metrics() {
    refresh();
}

/// Keeps the channel of a loop among those that are read. Each of its workers has one; dropped, the last one reads it a last time.
#[derive(Clone)]
pub(crate) struct ChannelMeter(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<Reading>,
);

/// A channel, and what has been reported of it.
struct Reading {
    name: Arc<str>,
    stats: Box<dyn Fn() -> Stats + Send + Sync>,
    workers: Box<[sync::Arc<WorkerRecord>]>,
    reported: Mutex<[u64; COUNTS.len()]>,
    depth: Gauge,
    in_hand: Gauge,
    counters: [Counter; COUNTS.len()],
}

/// What a loop holds, queued and in hand.
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
        let mut channels = CHANNELS.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Arc::downgrade(&reading));
        drop(channels);
        start_sampler();
        Self(reading)
    }
}

/// What is counted: the outcome in the label, or none for all that were accepted; and where it is found.
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
    /// Passes on what has been counted since the last time.
    fn count(&self) -> Held {
        let mut reported = self.reported.lock();
        let stats = (self.stats)();
        let mut grown = [0; COUNTS.len()];
        for (((_, count), reported), grown) in COUNTS.iter().zip(&mut *reported).zip(&mut grown) {
            // A snapshot of a request in the middle of its step may be behind the one before.
            *grown = count(&stats).saturating_sub(*reported);
            *reported += *grown;
        }
        drop(reported);
        for (counter, grown) in self.counters.iter().zip(grown) {
            if grown > 0 {
                ignore_user_panic(|| counter.increment(grown));
            }
        }
        (stats.queued, stats.taken)
    }

    fn show(&self, (queued, taken): Held) {
        #[expect(clippy::cast_precision_loss, reason = "the facade counts in f64")]
        let [queued, taken] = [queued, taken].map(|count| count as f64);
        ignore_user_panic(|| self.depth.set(queued));
        ignore_user_panic(|| self.in_hand.set(taken));
    }

    /// Whether a worker is not serving: it does not tell the thread of what is queued meanwhile.
    fn is_held_up(&self) -> bool {
        let mut states = self.workers.iter().map(|worker| worker.status().state);
        states.any(|state| matches!(state, WorkerState::Starting | WorkerState::Pausing))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.count();
        // Other loops of this name may go on.
        let others = living().into_iter().filter(|other| other.name == self.name);
        self.show(hold_together(others.map(|other| other.count())));
    }
}

fn living() -> Vec<Arc<Reading>> {
    let channels = CHANNELS.lock();
    channels.iter().filter_map(Weak::upgrade).collect()
}

fn hold_together(held: impl Iterator<Item = Held>) -> Held {
    held.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Reads all channels; returns whether there is anything to look at again.
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

/// Starts the thread if there is none in this process. Should the system refuse it, only [`refresh_metrics`] and the ends of loops
/// pass numbers on, and the next loop tries again.
fn start_sampler() {
    let mut sampler = SAMPLER.lock();
    if matches!(&*sampler, Some((process, _)) if *process == process::id()) {
        return;
    }
    IS_ASLEEP.store(false, Ordering::Relaxed);
    let thread = thread::Builder::new().name("ump-metrics".into());
    *sampler = thread
        .spawn(sample)
        .ok()
        .map(|handle| (process::id(), handle.thread().clone()));
}

fn sample() {
    loop {
        thread::sleep(INTERVAL);
        // Acquire: pairs with the exchange in `wake_sampler`.
        let had_announced = IS_ASLEEP.load(Ordering::Acquire);
        if refresh() {
            IS_ASLEEP.store(false, Ordering::Relaxed);
        } else if !had_announced {
            // Release: pairs with the exchange in `wake_sampler`.
            IS_ASLEEP.store(true, Ordering::Release);
        } else {
            while IS_ASLEEP.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

/// A worker begins a call, or waits before it makes a handler anew.
#[inline]
pub(super) fn note_work() {
    // Relaxed: see invariant 3.
    if IS_ASLEEP.load(Ordering::Relaxed) {
        wake_sampler();
    }
}

#[cold]
fn wake_sampler() {
    if IS_ASLEEP.swap(false, Ordering::AcqRel) {
        let sampler = SAMPLER.lock().as_ref().map(|(_, thread)| thread.clone());
        if let Some(thread) = sampler {
            thread.unpark();
        }
    }
}
