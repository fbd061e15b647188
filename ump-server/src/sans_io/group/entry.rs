//! A task of a group, with its state.

use std::{
    collections::VecDeque,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use crate::sans_io::{Input, Task};

pub(super) struct Entry<T: Task> {
    pub(super) task: T,
    pub(super) serial: NonZeroU64,
    /// Inputs that arrived before the outputs were taken.
    pub(super) inbox: VecDeque<Input<'static, T::Io>>,
    /// Whether the task is in the ready queue.
    pub(super) is_queued: bool,
    /// Whether all outputs have been taken since the last call of another method.
    pub(super) is_drained: bool,
    /// Whether the deadline of the task has passed, so that it is to be ticked.
    pub(super) is_due: bool,
    pub(super) closing: Closing,
    pub(super) overdue: Overdue,
}

/// How far the end of a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// It has not begun.
    No,
    /// `on_shutdown` is to be called, after this number of inputs in the inbox.
    Requested(usize),
    /// The task ends as soon as its outputs are taken.
    Ready,
    /// The task ends with its output `Done`.
    Waits,
}

impl<T: Task> Entry<T> {
    pub(super) fn new(task: T, serial: NonZeroU64) -> Self {
        Self {
            task,
            serial,
            inbox: VecDeque::new(),
            is_queued: false,
            is_drained: false,
            is_due: false,
            closing: Closing::No,
            overdue: Overdue::default(),
        }
    }

    /// Returns whether an input can be given to the task at once.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_drained
            && !self.is_due
            && self.inbox.is_empty()
            && matches!(self.closing, Closing::No | Closing::Waits)
    }
}

/// Detects a task whose deadline stays in the past.
///
/// A tick has *failed* if the deadline has passed after it as well. That alone is no error: a task
/// may handle one of several events with each tick. So a number of failed ticks in a row is
/// allowed, with one tick in a turn: few if the deadline does not advance, more if it does. Then
/// the task is stuck. It is reported once, and ticked after pauses that double, until a tick does
/// not fail.
#[derive(Default)]
pub(super) struct Overdue {
    /// The deadline for which the task was ticked last, until its outputs are taken.
    ticked_for: Option<Instant>,
    /// The number of failed ticks in a row.
    failed: u32,
    /// While the task is stuck: its deadline, and when it is ticked next.
    stuck: Option<(Instant, Instant)>,
}

/// The number of failed ticks in a row after which a task is stuck, if its deadline does not
/// advance.
const LIMIT: u32 = 8;

/// The number of failed ticks in a row after which a task is stuck, although its deadline advances.
const LIMIT_ADVANCING: u32 = 1_024;

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// When a task is to be ticked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextTick {
    pub(super) at: Option<Instant>,
    /// Set if the task has just been found stuck: the number of failed ticks.
    pub(super) stuck: Option<u32>,
}

impl Overdue {
    pub(super) fn ticks(&mut self, deadline: Option<Instant>) {
        self.ticked_for = deadline;
    }

    /// Returns when the task is to be ticked. All its outputs have been taken at `now`.
    pub(super) fn next(&mut self, now: Instant, deadline: Option<Instant>) -> NextTick {
        let ticked_for = self.ticked_for.take();
        let Some(passed) = deadline.filter(|&deadline| deadline <= now) else {
            (self.failed, self.stuck) = (0, None);
            return NextTick {
                at: deadline,
                stuck: None,
            };
        };
        let Some(ticked_for) = ticked_for else {
            // An input was handled. It does not end the pause, unless it changed the deadline.
            let at = match self.stuck {
                Some((deadline, at)) if deadline == passed => at,
                _ => passed,
            };
            return NextTick {
                at: Some(at),
                stuck: None,
            };
        };
        self.failed = self.failed.saturating_add(1);
        let advances = passed > ticked_for;
        let limit = if advances { LIMIT_ADVANCING } else { LIMIT };
        if self.stuck.is_none() && self.failed < limit {
            return NextTick {
                at: Some(passed),
                stuck: None,
            };
        }
        let beyond = self.failed.saturating_sub(limit);
        let pause = SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(beyond));
        let at = now.checked_add(pause.min(LONGEST_PAUSE));
        let is_new = self.stuck.is_none();
        self.stuck = at.map(|at| (passed, at));
        NextTick {
            at,
            stuck: is_new.then_some(self.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sans_io::{Io, Output};

    struct Empty;

    impl Task for Empty {
        type Io = Io;

        fn on_tick(&mut self, _: Instant) {}

        fn on_input(&mut self, _: Instant, _: Input<'_, Io>) {}

        fn pop_output(&mut self, _: Instant) -> Option<Output<Io>> {
            None
        }

        fn next_deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_task_costs_little_memory_beside_its_own() {
        assert!(
            size_of::<Entry<Empty>>() <= 136,
            "{}",
            size_of::<Entry<Empty>>()
        );
    }

    #[test]
    fn a_deadline_that_stays_is_ticked_less_and_less_often() {
        let start = Instant::now();
        let mut overdue = Overdue::default();
        let mut now = start;
        let mut reports = 0;
        let mut ticks = 0_u32;
        while now < start + Duration::from_secs(10) {
            overdue.ticks(Some(start));
            ticks += 1;
            let next = overdue.next(now, Some(start));
            reports += u32::from(next.stuck.is_some());
            now = now.max(next.at.unwrap());
        }
        assert_eq!(reports, 1);
        assert!(ticks < 40, "{ticks}");
    }

    #[test]
    fn a_deadline_that_catches_up_is_not_stuck() {
        let start = Instant::now();
        let now = start + Duration::from_millis(500);
        let mut overdue = Overdue::default();
        for ms in 0..500 {
            let ticked_for = start + Duration::from_millis(ms);
            overdue.ticks(Some(ticked_for));
            let next = overdue.next(now, Some(ticked_for + Duration::from_millis(1)));
            assert_eq!(next.stuck, None);
            assert_eq!(next.at, Some(ticked_for + Duration::from_millis(1)));
        }
    }

    #[test]
    fn a_deadline_in_the_future_ends_the_pauses() {
        let now = Instant::now();
        let mut overdue = Overdue::default();
        for _ in 0..20 {
            overdue.ticks(Some(now));
            overdue.next(now, Some(now));
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(overdue.next(now, Some(later)).at, Some(later));
        overdue.ticks(Some(now));
        assert_eq!(overdue.next(now, Some(now)).at, Some(now));
    }
}
