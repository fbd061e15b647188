//! The monitor's state of one record since its last look.

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

/// How the monitor slept between two looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slept {
    /// It watched no turn: a turn that began meanwhile counts from the second look on.
    Unwatched,
    /// It woke up this much later than intended. The process may have been stopped for this time.
    Late(Duration),
}

/// The longest sleep between two looks, so that the monitor notices longer stops of the process.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// The number of looks per threshold.
const LOOKS: u32 = 4;

pub(super) struct WatchedWorker {
    watched: Arc<WatchTarget>,
    /// The last turn that was seen.
    seen: Turn,
    /// Whether there is a current call, or there was one recently.
    is_active: bool,
    /// The instant of the last look; `active` is that of the last look that saw something new.
    looked: Option<Instant>,
    active: Option<Instant>,
    slept: Slept,
    /// The time since the start of the last turn by which the monitor has overslept. It does not
    /// count.
    lost: Duration,
    /// When the next report may be due.
    due: Option<Instant>,
    /// The reported turn that still goes on.
    open: Option<OpenReport>,
    /// The reported turn before `open`.
    earlier: Option<OpenReport>,
    /// The sleep on a manual clock until `due`.
    sleep: Option<ump::Sleep>,
}

struct OpenReport {
    turn: Turn,
    since: Instant,
    stall: Stall,
    /// The elapsed time after which the turn is reported again.
    next: Duration,
    /// The part of the turn's time that does not count.
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

    /// Returns whether a turn has begun since the last look.
    pub(super) fn has_begun(&self) -> bool {
        match self.watched.record.snapshot() {
            Snapshot::Away(turn) => self.seen != turn,
            Snapshot::Running(..) | Snapshot::Reported(_) => true,
        }
    }

    /// Records how the monitor has slept since its last look. The next look follows.
    pub(super) fn slept(&mut self, slept: Slept) {
        self.slept = slept;
        if let Slept::Late(late) = slept {
            self.lost = self.lost.saturating_add(late);
            if let Some(open) = &mut self.open {
                open.lost = self.lost;
            }
        }
    }

    /// Returns whether its clock is the system's. With another clock, no time may pass while the
    /// monitor sleeps.
    pub(super) fn goes_by_the_system(&self) -> bool {
        self.watched.record.clock.is_system()
    }

    /// Adjusts the report of the end of a reported turn.
    pub(super) fn over(&self, turn: Turn, mut stall: Stall) -> Stall {
        let mut known = [&self.open, &self.earlier].into_iter().flatten();
        if let Some(open) = known.find(|open| open.turn == turn) {
            // Some of the lost time may be after the end of the turn.
            let elapsed = stall.elapsed.saturating_sub(open.lost);
            stall.elapsed = elapsed.max(open.stall.elapsed);
        }
        stall
    }

    /// Returns the part of a turn's time that does not count, for a turn seen before or a new one.
    fn lost_of(&self, turn: Turn, since: Instant, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(since);
        match self.slept {
            _ if self.seen == turn => self.lost,
            Slept::Unwatched => elapsed,
            Slept::Late(late) => late.min(elapsed),
        }
    }

    /// Looks at the record, and returns the report that is due.
    pub(super) fn look(&mut self) -> Option<(Turn, Stall)> {
        let WatchTarget { record, config } = &*self.watched;
        // Read before the snapshot, so a turn in the snapshot was still going on at this instant.
        let now = record.clock.now();
        let snapshot = record.snapshot();
        self.looked = Some(now);
        let (turn, report) = match snapshot {
            Snapshot::Away(turn) => {
                self.is_active = self.seen != turn || self.was_active(now);
                if self.seen != turn {
                    self.active = Some(now);
                }
                // A turn may begin immediately.
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
        report.map(|stall| (turn, stall))
    }

    /// Returns whether a turn has been seen within a threshold. Then the monitor continues to look,
    /// instead of being woken by the next turn.
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
            // The turn has just ended.
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

    /// Reports a turn again, if that is due.
    fn remind(&mut self, turn: Turn, now: Instant) -> Option<Stall> {
        let open = self.open.as_mut().filter(|open| open.turn == turn)?;
        let elapsed = open.elapsed(now);
        if elapsed < open.next {
            // Lost time may have postponed the report.
            self.postpone(now);
            return None;
        }
        open.stall.stage = Stage::Persists;
        open.stall.elapsed = elapsed;
        let stall = open.stall.clone();
        self.postpone(now);
        Some(stall)
    }

    /// Sets the next report to the time when the elapsed time has doubled.
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

    /// Returns when to look again by the system's clock, which is early enough to notice that the
    /// process was stopped. With another clock, registers the waker for the due time; an error if
    /// that has passed.
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
            // No report will be due by this clock.
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
    use crate::{observe::CallOutcome, record::WorkerRecord, worker::recorder::WorkerRecorder};

    const SECOND: Duration = Duration::from_secs(1);
    /// The time between two looks.
    const STEP: Duration = Duration::from_millis(250);
    const STOPPED: Duration = Duration::from_secs(3);
    /// The part of `STOPPED` by which a monitor overslept that intended to look after a step.
    const OVERSLEPT: Duration = Duration::from_millis(2_750);
    const ON_TIME: Slept = Slept::Late(Duration::ZERO);

    /// A worker that is watched, by a clock that stands for the system's.
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

        /// Returns the report after `passed`, in which the monitor has slept like this.
        fn look(&mut self, passed: Duration, slept: Slept) -> Option<(Stage, Duration)> {
            self.clock.advance(passed);
            self.worker.slept(slept);
            let report = self.worker.look();
            report.map(|(_, stall)| (stall.stage, stall.elapsed))
        }

        /// Returns how many looks on time it takes until there is a report, and the report.
        fn looks_until_report(&mut self) -> (u32, (Stage, Duration)) {
            let mut looks = 0;
            loop {
                looks += 1;
                if let Some(report) = self.look(STEP, ON_TIME) {
                    return (looks, report);
                }
                assert!(looks < 100, "no stall is reported");
            }
        }
    }

    #[test]
    fn stall_is_told_on_time() {
        let mut bench = Bench::new();
        bench.begin();
        let report = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_report(), (4, report));
    }

    #[test]
    fn stopped_process_has_no_stall() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STEP, ON_TIME), None);
        assert_eq!(bench.look(STOPPED + STEP, Slept::Late(STOPPED)), None);
        // The time with control before and after the stop adds up to a stall.
        let report = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_report(), (2, report));
    }

    #[test]
    fn stop_right_after_the_beginning_does_not_count() {
        let mut bench = Bench::new();
        assert_eq!(bench.look(STEP, ON_TIME), None);
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Late(OVERSLEPT)), None);
        let report = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_report(), (3, report));
    }

    #[test]
    fn stop_while_the_monitor_wakes_does_not_count() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Unwatched), None);
        let report = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_report(), (4, report));
    }

    #[test]
    fn what_another_turn_lost_does_count() {
        let mut bench = Bench::new();
        bench.begin();
        assert_eq!(bench.look(STOPPED, Slept::Late(STOPPED)), None);
        bench.recorder.end(CallOutcome::NoReply);
        bench.begin();
        let report = (Stage::Noticed, SECOND);
        assert_eq!(bench.looks_until_report(), (4, report));
    }

    #[test]
    fn stop_is_not_part_of_a_stall() {
        let mut bench = Bench::new();
        bench.begin();
        let (_, report) = bench.looks_until_report();
        assert_eq!(report, (Stage::Noticed, SECOND));
        let Snapshot::Reported(turn) = bench.record.snapshot() else {
            panic!("it was reported");
        };
        assert_eq!(bench.look(STOPPED, Slept::Late(STOPPED)), None);
        let report = (Stage::Persists, 2 * SECOND);
        assert_eq!(bench.looks_until_report(), (4, report));
        // The worker's report, which does not account for the stop.
        let what = ("call", None);
        let end = |elapsed| bench.worker.watched.stall(Stage::Over, what, elapsed);
        let over = bench.worker.over(turn, end(STOPPED + 2 * SECOND));
        assert_eq!(over.elapsed, 2 * SECOND);
        let over = bench.worker.over(turn, end(STOPPED));
        assert_eq!(over.elapsed, 2 * SECOND, "no less than was reported");
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
