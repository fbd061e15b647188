//! Random programs, run on the table and on a model: a list that is searched from end to end.

use std::{cell::Cell, collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::timer::{Missed, Periodic};

/// A step of a thread that arms timers, or of a handler. Times are relative to the latest round.
#[derive(Clone, Copy, Debug)]
enum Step {
    Once(i64),
    Every {
        first: i64,
        period: u64,
        times: Option<u64>,
        missed: Missed,
    },
    /// Index among all timers that were ever armed; most of them are gone.
    Cancel(usize),
    Reschedule(usize, i64),
}

/// A round, at a delay after the one before. The handlers and other threads execute these steps
/// during it: one after each timer that fires, the rest at the end.
type Round = (i64, Vec<Step>);

fn delays() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -3..30_i64, // many equal ones, many in the past
        1 => 0..100_000_000_i64,
        1 => any::<i64>(),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let missed = prop::sample::select(vec![Missed::Skip, Missed::Burst, Missed::Delay]);
    prop_oneof![
        4 => delays().prop_map(Step::Once),
        2 => (delays(), prop_oneof![0..20_u64, any::<u64>()], prop::option::of(0..4_u64), missed).prop_map(
            |(first, period, times, missed)| Step::Every { first, period, times, missed }
        ),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => (any::<usize>(), delays()).prop_map(|(index, delay)| Step::Reschedule(index, delay)),
    ]
}

fn programs() -> impl Strategy<Value = Vec<Round>> {
    let pauses = prop_oneof![3 => 0..40_i64, 1 => 0..200_000_000_i64];
    prop::collection::vec((pauses, prop::collection::vec(steps(), 0..12)), 1..30)
}

/// A timer in the model.
#[derive(Clone, Debug)]
struct Armed {
    index: usize,
    deadline: i64,
    order: u64,
    /// Whether it was armed during a round that covers it.
    waits: bool,
    repeat: Option<(u64, Option<u64>, Missed)>,
}

#[derive(Default)]
struct Model {
    armed: Vec<Armed>,
    covered: Option<i64>,
    order: u64,
}

impl Model {
    fn put(&mut self, index: usize, deadline: i64, repeat: Option<(u64, Option<u64>, Missed)>) {
        self.order += 1;
        self.armed.push(Armed {
            index,
            deadline,
            order: self.order,
            waits: self.covered.is_some_and(|covered| deadline <= covered),
            repeat,
        });
    }

    fn take(&mut self, index: usize) -> Option<Armed> {
        let at = self.armed.iter().position(|armed| armed.index == index)?;
        Some(self.armed.swap_remove(at))
    }

    fn begin_round(&mut self, now: i64) {
        self.covered = Some(now);
        for armed in &mut self.armed {
            armed.waits = false;
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let covered = self.covered?;
        let is_due = |armed: &&Armed| !armed.waits && armed.deadline <= covered;
        let due = self.armed.iter().filter(is_due);
        let first = due.min_by_key(|armed| (armed.deadline, armed.order))?.index;
        let armed = self.take(first)?;
        match armed.repeat {
            None | Some((_, Some(0), _)) => {}
            Some((period, left, missed)) => {
                let next = next(armed.deadline, period.max(1), missed, covered);
                self.put(
                    first,
                    next,
                    Some((period, left.map(|left| left - 1), missed)),
                );
            }
        }
        Some(first)
    }

    /// Returns when the next round has something to do.
    fn next(&self) -> Option<i64> {
        let next = self.armed.iter().map(|armed| armed.deadline).min()?;
        (next != i64::MAX).then_some(next)
    }
}

fn next(due: i64, period: u64, missed: Missed, now: i64) -> i64 {
    let (due, period, now) = (i128::from(due), i128::from(period), i128::from(now));
    let next = match missed {
        Missed::Burst => due + period,
        Missed::Delay => now + period,
        Missed::Skip => due + ((now - due) / period + 1) * period,
    };
    i64::try_from(next).unwrap_or(i64::MAX)
}

/// The table and the model, side by side.
#[derive(Default)]
struct Pair {
    table: TimerTable<usize>,
    model: Model,
    ids: Vec<TimerId>,
    now: i64,
}

impl Pair {
    fn run(&mut self, step: Step) {
        let at = |delay: i64| self.now.saturating_add(delay);
        match step {
            Step::Once(delay) => {
                let deadline = at(delay);
                self.arm(deadline, None);
            }
            Step::Every {
                first,
                period,
                times,
                missed,
            } => {
                let deadline = at(first);
                match times {
                    Some(0) => {}
                    Some(times) => self.arm(deadline, Some((period, Some(times - 1), missed))),
                    None => self.arm(deadline, Some((period, None, missed))),
                }
            }
            Step::Cancel(index) if !self.ids.is_empty() => {
                let index = index % self.ids.len();
                let token = self.table.cancel(self.ids[index]);
                assert_eq!(token.is_some(), self.model.take(index).is_some());
                assert!(token.is_none_or(|token| token == index));
            }
            Step::Reschedule(index, delay) if !self.ids.is_empty() => {
                let (index, deadline) = (index % self.ids.len(), at(delay));
                let armed = self.model.take(index);
                let was_armed = self.table.reschedule(self.ids[index], Tick::at(deadline));
                assert_eq!(was_armed, armed.is_some());
                if let Some(armed) = armed {
                    self.model.put(index, deadline, armed.repeat);
                }
            }
            Step::Cancel(_) | Step::Reschedule(..) => {}
        }
        self.compare();
    }

    fn arm(&mut self, deadline: i64, repeat: Option<(u64, Option<u64>, Missed)>) {
        let index = self.ids.len();
        self.model.put(index, deadline, repeat);
        let repeat = repeat.map(|(period, left, missed)| {
            let mut periodic = Periodic::new(Duration::from_nanos(period)).missed(missed);
            if let Some(left) = left {
                periodic = periodic.times(left + 1);
            }
            Box::new(periodic.repeat().expect("not zero times"))
        });
        let id = self.table.arm(Tick::at(deadline), index, repeat);
        assert!(!self.ids.contains(&id), "ids are not used again");
        self.ids.push(id);
    }

    fn round(&mut self, (pause, steps): Round) {
        self.now += pause;
        self.table.begin_round(Tick::at(self.now));
        self.model.begin_round(self.now);
        let mut steps = VecDeque::from(steps);
        loop {
            let popped = self.table.pop();
            assert_eq!(popped.as_ref().map(|popped| popped.token), self.model.pop());
            let Some(popped) = popped else { break };
            if let Some(next_period) = popped.next_period {
                let copy = (next_period.copy)(&popped.token);
                assert_eq!(self.table.give_back(next_period.id, copy), Ok(()));
            }
            self.compare();
            if let Some(step) = steps.pop_front() {
                self.run(step);
            }
        }
        for step in steps {
            self.run(step);
        }
    }

    fn compare(&self) {
        assert_eq!(self.table.len(), self.model.armed.len());
        let (next, true_next) = (self.table.next(), self.model.next().map(Tick::at));
        let has_waiting = self.model.armed.iter().any(|armed| armed.waits);
        if has_waiting {
            assert!(next <= Some(Tick::at(self.now)), "at once");
        } else {
            assert_eq!(next, true_next);
        }
        for armed in &self.model.armed {
            let deadline = self.table.deadline(self.ids[armed.index]);
            assert_eq!(deadline, Some(Tick::at(armed.deadline)));
        }
    }
}

proptest! {
    #[test]
    fn any_program_sees_what_a_sorted_list_would_give(program in programs()) {
        let mut pair = Pair::default();
        for round in program {
            pair.round(round);
        }
    }

    #[test]
    fn with_thousands_of_timers_too(deadlines in prop::collection::vec(0..5_000_i64, 5_000), seed in any::<usize>()) {
        let mut table = TimerTable::default();
        let ids: Vec<TimerId> = deadlines.iter().map(|&at| table.arm(Tick::at(at), at, None)).collect();
        let (mut cancelled, mut left) = (0, ids.len());
        for (index, &id) in ids.iter().enumerate() {
            if (index ^ seed) % 3 == 0 {
                prop_assert_eq!(table.cancel(id), Some(deadlines[index]));
                cancelled += 1;
            }
        }
        left -= cancelled;
        let mut latest = 0;
        while let Some(next) = table.next() {
            prop_assert!(table.begin_round(next));
            while let Some(popped) = table.pop() {
                prop_assert_eq!(Tick::at(popped.token), next);
                prop_assert!(popped.token >= latest);
                latest = popped.token;
                left -= 1;
            }
        }
        prop_assert_eq!(left, 0);
    }
}

#[test]
fn the_memory_of_a_burst_of_timers_is_given_back() {
    let mut table = TimerTable::default();
    let few = table.heap.capacity();
    let ids: Vec<TimerId> = (0..100_000)
        .map(|n| table.arm(Tick::at(n), n, None))
        .collect();
    for id in ids {
        table.cancel(id).unwrap();
    }
    assert!(table.heap.capacity() <= few.max(2_048));
}

#[test]
fn timers_armed_in_the_past_do_not_extend_a_round() {
    let mut table = TimerTable::default();
    table.arm(Tick::at(0), (), None);
    for now in 1..10 {
        assert!(table.begin_round(Tick::at(now)));
        let handled = Cell::new(0);
        while table.pop().is_some() {
            handled.set(handled.get() + 1);
            table.arm(Tick::at(0), (), None);
            table.arm(Tick::at(0), (), None);
        }
        assert_eq!(handled.get(), 1 << (now - 1)); // those that there were when it began
    }
}

#[test]
fn timer_with_a_small_token_takes_under_100_bytes() {
    let entry = Slab::<Entry<u64>>::BYTES;
    let node = size_of::<Node>() + size_of::<Position>();
    let most = entry + 2 * node; // an array may have grown to twice its need
    assert!(most < 100, "{entry} + 2 * {node}");
}
