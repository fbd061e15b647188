//! What the monitor knows about one record from its last look.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{SHORTEST, Stage, Stall, WatchTarget};
use crate::{
    record::{Snapshot, Turn},
    sync::Arc,
};

/// How it was with the monitor between two looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slept {
    /// It watched nothing: what has begun meanwhile counts from the second look on.
    Unwatched,
    /// It woke up so much later than it meant to, for which time the process may have been stopped.
    Late(Duration),
}

/// It sleeps no longer than this without a look, so that it notices if the process is stopped for longer.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// And for no more than this part of a threshold.
const LOOKS: u32 = 4;

pub(super) struct WatchedWorker {
    watched: Arc<WatchTarget>,
    /// The last turn that it knows of.
    seen: Turn,
    /// There was something in hand, or there has been not long ago.
    is_active: bool,
    /// The last look, and the last one that saw something new.
    looked: Option<Instant>,
    active: Option<Instant>,
    slept: Slept,
    /// So much of the time since the last turn began the monitor has overslept: it does not count.
    lost: Duration,
    /// When there may be something to report.
    due: Option<Instant>,
    /// What was reported and goes on.
    open: Option<OpenReport>,
    /// The one before that.
    earlier: Option<OpenReport>,
    /// By a manual clock, until that is due.
    sleep: Option<ump::Sleep>,
}

struct OpenReport {
    turn: Turn,
    since: Instant,
    stall: Stall,
    /// So long it has to go on to be reported again.
    next: Duration,
    /// What of it does not count.
    lost: Duration,
}

impl OpenReport {
    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
            .saturating_sub(self.lost)
    }
}

impl WatchedWorker {
    pub(super) fn new(watched: Arc<WatchTarget>) -> Self {
        Self {
            watched,
            seen: Turn::NONE,
            is_active: false,
            looked: None,
            active: None,
            slept: Slept::Late(Duration::ZERO),
            lost: Duration::ZERO,
            due: None,
            open: None,
            earlier: None,
            sleep: None,
        }
    }

    pub(super) fn watched(&self) -> &WatchTarget {
        &self.watched
    }

    pub(super) fn is_of(&self, watched: &Arc<WatchTarget>) -> bool {
        Arc::ptr_eq(&self.watched, watched)
    }

    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Whether a turn has begun since the last look.
    pub(super) fn has_begun(&self) -> bool {
        match self.watched.record.snapshot() {
            Snapshot::Away(turn) => self.seen != turn,
            Snapshot::Running(..) | Snapshot::Reported(_) => true,
        }
    }

    /// The monitor has slept since its last look, and will look now.
    pub(super) fn slept(&mut self, slept: Slept) {
        self.slept = slept;
        if let Slept::Late(late) = slept {
            self.lost = self.lost.saturating_add(late);
            if let Some(open) = &mut self.open {
                open.lost = self.lost;
            }
        }
    }

    /// Whether time passes for it when the monitor sleeps. By another clock it may not.
    pub(super) fn goes_by_the_system(&self) -> bool {
        self.watched.record.clock.is_system()
    }

    /// What is to be told of the end of a turn that was reported.
    pub(super) fn over(&self, turn: Turn, mut stall: Stall) -> Stall {
        let mut known = [&self.open, &self.earlier].into_iter().flatten();
        if let Some(open) = known.find(|open| open.turn == turn) {
            // What was lost may have been so after its end.
            let elapsed = stall.elapsed.saturating_sub(open.lost);
            stall.elapsed = elapsed.max(open.stall.elapsed);
        }
        stall
    }

    /// What of a turn does not count, which has been seen before or is new.
    fn lost_of(&self, turn: Turn, since: Instant, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(since);
        match self.slept {
            _ if self.seen == turn => self.lost,
            Slept::Unwatched => elapsed,
            Slept::Late(late) => late.min(elapsed),
        }
    }

    /// Looks at the record; says what there is to report.
    pub(super) fn look(&mut self) -> Option<(Turn, Stall)> {
        let WatchTarget { record, config } = &*self.watched;
        // Before the look: what is seen then was still going on at this instant.
        let now = record.clock.now();
        let snapshot = record.snapshot();
        self.looked = Some(now);
        let (turn, told) = match snapshot {
            Snapshot::Away(turn) => {
                self.is_active = self.seen != turn || self.was_active(now);
                if self.seen != turn {
                    self.active = Some(now);
                }
                // Should it begin at once.
                self.due = now.checked_add(config.threshold);
                self.close();
                (turn, None)
            }
            Snapshot::Running(turn, since) => {
                self.is_active = true;
                self.active = Some(now);
                self.lost = self.lost_of(turn, since, now);
                self.due = since.checked_add(config.threshold.saturating_add(self.lost));
                let is_due = self.due.is_some_and(|due| due <= now);
                (
                    turn,
                    is_due.then(|| self.notice(turn, since, now)).flatten(),
                )
            }
            Snapshot::Reported(turn) => {
                self.is_active = true;
                self.active = Some(now);
                (turn, self.remind(turn, now))
            }
        };
        self.seen = turn;
        told.map(|stall| (turn, stall))
    }

    /// Whether something has been seen within a threshold: then it goes on looking, rather than to be woken by the next turn.
    fn was_active(&self, now: Instant) -> bool {
        let recently =
            |at: Instant| now.saturating_duration_since(at) < self.watched.config.threshold;
        self.goes_by_the_system() && self.active.is_some_and(recently)
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.earlier = Some(open);
        }
    }

    fn notice(&mut self, turn: Turn, since: Instant, now: Instant) -> Option<Stall> {
        let WatchTarget { record, config } = &*self.watched;
        let Some(what) = record.claim(turn) else {
            // It has just ended.
            self.due = now.checked_add(config.threshold);
            return None;
        };
        let elapsed = now
            .saturating_duration_since(since)
            .saturating_sub(self.lost);
        let stall = self.watched.stall(Stage::Noticed, what, elapsed);
        let next = config.threshold;
        self.close();
        self.open = Some(OpenReport {
            turn,
            since,
            next,
            stall: stall.clone(),
            lost: self.lost,
        });
        self.postpone(now);
        Some(stall)
    }

    /// Reports a turn again, if it is time.
    fn remind(&mut self, turn: Turn, now: Instant) -> Option<Stall> {
        let open = self.open.as_mut().filter(|open| open.turn == turn)?;
        let elapsed = open.elapsed(now);
        if elapsed < open.next {
            // Perhaps it has been put off, by what was lost.
            self.postpone(now);
            return None;
        }
        open.stall.stage = Stage::Persists;
        open.stall.elapsed = elapsed;
        let stall = open.stall.clone();
        self.postpone(now);
        Some(stall)
    }

    /// The next report is due when the elapsed time has doubled.
    fn postpone(&mut self, now: Instant) {
        let Some(open) = &mut self.open else {
            return;
        };
        let elapsed = open.elapsed(now);
        while open.next <= elapsed {
            open.next = open.next.saturating_mul(2);
        }
        let at = open.next.saturating_add(open.lost);
        self.due = open.since.checked_add(at);
    }

    /// When to look again by the system's clock, which is soon enough to notice that the process was stopped. By another one the waker is called when it is time; an error if it is already.
    pub(super) fn sleep(&mut self, waker: &Waker) -> Result<Option<Instant>, ()> {
        let clock = &self.watched.record.clock;
        let Some(due) = self.due.filter(|_| !clock.is_system()) else {
            self.sleep = None;
            return Ok(self.due.map(|due| self.soon(due)));
        };
        let sleep = match &mut self.sleep {
            Some(sleep) if sleep.deadline() == due => sleep,
            other => other.insert(clock.sleep_until(due)),
        };
        match Pin::new(sleep).poll(&mut Context::from_waker(waker)) {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(())) => {
                self.sleep = None;
                Err(())
            }
            // By this clock nothing will be due.
            Poll::Ready(Err(_)) => {
                self.sleep = None;
                Ok(None)
            }
        }
    }

    fn soon(&self, due: Instant) -> Instant {
        let sleep = self.watched.config.threshold / LOOKS;
        let sleep = sleep.clamp(SHORTEST, LONGEST_SLEEP);
        let soon = self.looked.and_then(|looked| looked.checked_add(sleep));
        soon.map_or(due, |soon| soon.min(due))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use ump::ManualClock;

    use super::{super::WatchConfig, *};
    use crate::{
        observe::CallOutcome,
        record::{WorkerRecord, WorkerRecorder},
    };

    const SECOND: Duration = Duration::from_secs(1);
    /// Between two looks.
    const STEP: Duration = Duration::from_millis(250);
    const STOPPED: Duration = Duration::from_secs(3);
    /// Of that, by a monitor that meant to look after a step.
    const OVERSLEPT: Duration = Duration::from_millis(2_750);
    const ON_TIME: Slept = Slept::Late(Duration::ZERO);

    /// A worker that is looked at, by a clock that stands for the system's.
    struct Bench {
        clock: ManualClock,
        recorder: WorkerRecorder,
        record: Arc<WorkerRecord>,
        worker: WatchedWorker,
    }

    impl Bench {
        fn new() -> Self {
            let clock = ManualClock::new();
            let record = WorkerRecord::new("bench".into(), 0, clock.clock());
            let watched = WatchTarget {
                record: Arc::clone(&record),
                config: WatchConfig::new(SECOND, None),
            };
            Self {
                clock,
                recorder: WorkerRecorder::new(Arc::clone(&record), true, None),
                record,
                worker: WatchedWorker::new(Arc::new(watched)),
            }
        }

        fn begin(&mut self) {
            self.recorder.begin_other("call");
            self.recorder.resume();
        }

        /// What is told after so much time, of which the monitor has slept like this.
        fn look(&mut self, passed: Duration, slept: Slept) -> Option<(Stage, Duration)> {
            self.clock.advance(passed);
            self.worker.slept(slept);
            let told = self.worker.look();
            told.map(|(_, stall)| (stall.stage, stall.elapsed))
        }

        /// How many looks on time it takes until something is told, and what.
        fn looks_until_told(&mut self) -> (u32, (Stage, Duration)) {
            let mut looks = 0;
            loop {
                looks += 1;
                if let Some(told) = self.look(STEP, ON_TIME) {
                    return (looks, told);
                }
                assert!(looks < 100, "nothing is ever told");
            }
        }
    }

    #[test]
    fn stall_is_told_on_time() {
        let mut bench = Bench::new();
        bench.begin();
        let told = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_told(), (4, told));
    }

    #[test]
    fn stopped_process_has_no_stall() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STEP, ON_TIME), None);
        assert_eq!(bench.look(STOPPED + STEP, Slept::Late(STOPPED)), None);
        // What it had control for before and after is a stall in the end.
        let told = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_told(), (2, told));
    }

    #[test]
    fn stop_right_after_the_beginning_does_not_count() {
        let mut bench = Bench::new();
        assert_eq!(bench.look(STEP, ON_TIME), None);
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Late(OVERSLEPT)), None);
        let told = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_told(), (3, told));
    }

    #[test]
    fn stop_while_the_monitor_wakes_does_not_count() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Unwatched), None);
        let told = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_told(), (4, told));
    }

    #[test]
    fn what_another_turn_lost_does_count() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Late(STOPPED)), None);
        bench.recorder.end(CallOutcome::NoReply);
        bench.begin();
        let told = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_told(), (4, told));
    }

    #[test]
    fn stop_is_not_part_of_a_stall() {
        let mut bench = Bench::new();
        bench.begin();
        let (_, told) = bench.looks_until_told();
        assert_eq!(told, (Stage::Noticed, SECOND));
        let Snapshot::Reported(turn) = bench.record.snapshot() else {
            panic!("it was reported");
        };
        assert_eq!(bench.look(STOPPED, Slept::Late(STOPPED)), None);
        let told = (Stage::Persists, 2 * SECOND);
        assert_eq!(bench.looks_until_told(), (4, told));
        // As the worker tells it, who knows of no stop.
        let what = ("call", None);
        let end = |elapsed| bench.worker.watched.stall(Stage::Over, what, elapsed);
        let over = bench.worker.over(turn, end(STOPPED + 2 * SECOND));
        assert_eq!(over.elapsed, 2 * SECOND);
        let over = bench.worker.over(turn, end(STOPPED));
        assert_eq!(over.elapsed, 2 * SECOND, "no less than was told");
    }

    #[test]
    fn it_looks_often_enough_to_notice_a_stop() {
        let looked = Instant::now();
        for (threshold, sleep) in [(1, 1), (100, 25), (1_000, 250), (60_000, 500)] {
            let threshold = Duration::from_millis(threshold);
            let watched = WatchTarget {
                record: WorkerRecord::new("bench".into(), 0, ump::Clock::system()),
                config: WatchConfig::new(threshold, None),
            };
            let mut worker = WatchedWorker::new(Arc::new(watched));
            worker.looked = Some(looked);
            let soon = worker.soon(looked + threshold);
            assert_eq!(soon - looked, Duration::from_millis(sleep));
        }
    }
}
