//! How a task waits awake: it lets other tasks run and is polled again, before it leaves word whom to wake.
//!
//! To leave word and be woken costs two tasks that take turns on one thread a lock and half a dozen atomic operations at either end, and
//! from another thread the executor's own lock and perhaps a system call. Where the other end is about to answer anyway, it is cheaper to
//! wake oneself and return `Pending`: the executor runs whoever is ready, and then this task again. (Measured, ns a request: two tasks on
//! one thread 262, and 180 so; 64 tasks and their server on two threads 454, and 210; 64 tasks and a thread 504, and 180. A batch grows
//! while one waits: nobody is woken for each request.) It is the `yield_now` of tasks, and works on any executor.
//!
//! That is worth something only in company, so a task notes how many looks have been taken on its thread, and gives up, leaving word, when
//!
//! - it is polled again and nobody else has looked: it is alone, and would keep its thread from sleeping;
//! - it is polled again on another thread: the executor has idle ones, which steal what is ready. Two tasks that take turns are better left
//!   together, where the wake-up of one by the other puts it (two workers: 540 ns a round trip with each on its own, 410 together);
//! - it was in vain for a few times, and for so many looks as take about as long as a thread would spin.
//!
//! Whether it pays is learned: see [`AdaptiveBudget`].

#![forbid(unsafe_code)]

use std::{cell::Cell, mem, ptr};

use crate::wait::budget::AdaptiveBudget;

/// What can be saved up: it takes many tasks that wait for the same thing in vain, 64 say, some rounds to use it up.
const BUDGET: u32 = 8192;
/// After so many times without credit it is tried again.
const REST: u32 = 16 * BUDGET;
/// What it earns at most.
const REWARD: u32 = 64;
/// Others have to take so many looks meanwhile for each point that it earns: the more they are the more is saved, and two that take
/// turns earn nothing.
const COMPANY: u32 = 4;
/// What it costs to be found on another thread: of two tasks that take turns it is one in thirty, and that spoils it.
const FINE: u32 = 128;
/// So many waits at first leave word: who asks seldom is better off asleep, and whoever polls by hand finds what is usual.
const FIRST: u32 = 16;
/// So often it lets others run, however many they are: to leave word and be woken costs as much as about so many looks.
const TIMES: u32 = 5;
/// A look of a task at what it waits for, and all that its executor does about it, takes no less than about this.
const NANOSECONDS_A_LOOK: u32 = 40;

/// Whether tasks that wait for the same thing had better let others run than leave word.
#[derive(Debug)]
pub(crate) struct YieldPolicy {
    /// So many looks on the thread, by all its tasks, are taken for too many.
    looks: u32,
    budget: AdaptiveBudget,
}

/// How one task waits.
#[derive(Debug, Default)]
pub(crate) enum YieldState {
    /// It has not begun.
    #[default]
    NotStarted,
    /// It has let others run, so many times.
    Yielding {
        first: Look,
        latest: Look,
        times: u32,
    },
    /// It has given up, and left word.
    Registered,
}

/// One of the looks of all the tasks of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Tells threads apart.
    thread: usize,
    number: u32,
}

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

impl Look {
    /// Counts one, and returns it.
    #[inline]
    fn take() -> Self {
        LOOKS.with(|looks| {
            looks.set(looks.get().wrapping_add(1));
            Self {
                thread: ptr::from_ref(looks).addr(),
                number: looks.get(),
            }
        })
    }

    /// How many there have been on the thread since an earlier one.
    #[inline]
    fn since(self, earlier: Self) -> u32 {
        self.number.wrapping_sub(earlier.number)
    }

    /// Where its task has been since it took an `earlier` one.
    #[inline]
    fn been(self, earlier: Self) -> Been {
        if self.thread != earlier.thread {
            Been::Stolen
        } else if self.since(earlier) == 1 {
            Been::Alone
        } else {
            Been::InCompany
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Been {
    /// It has been moved to another thread.
    Stolen,
    /// Nobody else has looked.
    Alone,
    InCompany,
}

impl YieldPolicy {
    /// For those who may wait awake for so long; zero: they leave word at once.
    pub(crate) const fn new(nanoseconds: u32) -> Self {
        Self {
            looks: nanoseconds / NANOSECONDS_A_LOOK,
            budget: AdaptiveBudget::after(FIRST, BUDGET, REST),
        }
    }

    /// Whether one who begins to wait now lets others run first.
    #[inline]
    pub(crate) fn is_worth_it(&self) -> bool {
        self.looks > 0 && self.budget.is_good()
    }

    /// One begins to wait, and leaves word at once.
    #[inline]
    pub(crate) fn skip(&self, wait: &mut YieldState) {
        if !self.is_worth_it() {
            self.budget.charge();
        }
        *wait = YieldState::Registered;
    }

    /// What one who has found nothing does: true, it lets others run and looks again; false, it leaves word.
    #[inline]
    pub(crate) fn should_yield(&self, wait: &mut YieldState) -> bool {
        let now = Look::take();
        let (first, times) = match *wait {
            YieldState::NotStarted if self.is_worth_it() => (now, 0),
            YieldState::NotStarted => {
                self.skip(wait);
                return false;
            }
            YieldState::Yielding {
                first,
                latest,
                times,
            } => match now.been(latest) {
                Been::InCompany if times < TIMES || now.since(first) < self.looks => (first, times),
                been => return self.give_up(wait, been),
            },
            YieldState::Registered => return false,
        };
        *wait = YieldState::Yielding {
            first,
            latest: now,
            times: times + 1,
        };
        true
    }

    #[cold]
    fn give_up(&self, wait: &mut YieldState, been: Been) -> bool {
        match been {
            Been::Stolen => self.budget.fine(FINE),
            Been::Alone | Been::InCompany => self.budget.charge(),
        }
        *wait = YieldState::Registered;
        false
    }

    /// What one waits for is there.
    #[inline]
    pub(crate) fn found(&self, wait: &mut YieldState) {
        let now = Look::take();
        if let YieldState::Yielding { latest, .. } = mem::take(wait) {
            match now.been(latest) {
                Been::Stolen => self.budget.fine(FINE),
                Been::Alone => self.budget.charge(),
                Been::InCompany => {
                    let company = now.since(latest) / COMPANY;
                    self.budget.reward(company.min(REWARD));
                }
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::thread;

    use super::*;

    /// As many looks as are worth waiting for.
    const LOOKS: u32 = 14;

    /// Of those who may wait awake, when they have learned that.
    fn learned() -> YieldPolicy {
        let yields = YieldPolicy::new(LOOKS * NANOSECONDS_A_LOOK);
        for _ in 0..FIRST {
            assert!(!yields.is_worth_it());
            yields.skip(&mut YieldState::NotStarted);
        }
        assert!(yields.is_worth_it());
        yields
    }

    /// Others look, so many times.
    fn company(times: u32) {
        for _ in 0..times {
            Look::take();
        }
    }

    fn left(yields: &YieldPolicy) -> u32 {
        let mut left = 0;
        while yields.budget.is_good() {
            yields.budget.charge();
            left += 1;
        }
        left
    }

    /// How often one lets others run, if so many look each time.
    fn patience(yields: &YieldPolicy, others: u32) -> u32 {
        let (mut wait, mut times) = (YieldState::NotStarted, 0);
        while yields.should_yield(&mut wait) {
            company(others);
            times += 1;
        }
        assert!(matches!(wait, YieldState::Registered));
        assert!(!yields.should_yield(&mut wait), "asleep it stays");
        times
    }

    #[test]
    fn who_may_not_wait_awake_leaves_word_however_often_it_is_in_vain() {
        let yields = YieldPolicy::new(NANOSECONDS_A_LOOK - 1);
        for _ in 0..2 * FIRST {
            assert_eq!(patience(&yields, 1), 0);
        }
        assert!(yields.budget.is_good() && !yields.is_worth_it());
    }

    #[test]
    fn who_is_alone_gives_up_at_the_second_look_and_is_charged() {
        let yields = learned();
        assert_eq!(patience(&yields, 0), 1);
        assert_eq!(left(&yields), BUDGET - 1);
    }

    #[test]
    fn in_company_one_lets_others_run_a_few_times_or_for_as_many_looks_as_are_worth_it() {
        // With its own, two looks each time.
        assert_eq!(patience(&learned(), 1), LOOKS / 2);
        // Few times, however many the looks.
        assert_eq!(patience(&learned(), 5 * LOOKS), TIMES);
        let long = YieldPolicy::new(100 * NANOSECONDS_A_LOOK);
        long.budget.reward(BUDGET);
        assert_eq!(patience(&long, 9), 100 / 10);
        assert_eq!(left(&long), BUDGET - 1);
    }

    #[test]
    fn what_is_found_in_company_is_rewarded_by_how_many_there_are() {
        for (others, reward) in [(1, 0), (3, 1), (4, 1), (7, 2), (1_000, REWARD)] {
            let yields = learned();
            yields.budget.fine(BUDGET / 2);
            let mut wait = YieldState::NotStarted;
            assert!(yields.should_yield(&mut wait));
            company(others);
            yields.found(&mut wait);
            assert!(matches!(wait, YieldState::NotStarted));
            assert_eq!(left(&yields), BUDGET / 2 + reward);
        }
    }

    #[test]
    fn what_is_found_alone_was_in_vain_and_what_was_not_waited_for_costs_nothing() {
        let yields = learned();
        let mut wait = YieldState::NotStarted;
        yields.found(&mut wait);
        assert!(yields.should_yield(&mut wait));
        yields.found(&mut wait);
        assert_eq!(left(&yields), BUDGET - 1);
    }

    #[test]
    fn to_be_found_on_another_thread_is_fined() {
        let elsewhere = |go_on: fn(&YieldPolicy, &mut YieldState)| {
            let yields = learned();
            let mut wait = YieldState::NotStarted;
            assert!(yields.should_yield(&mut wait));
            thread::scope(|scope| {
                scope.spawn(|| {
                    company(7);
                    go_on(&yields, &mut wait);
                });
            });
            left(&yields)
        };
        let looks_again = elsewhere(|yields, wait| assert!(!yields.should_yield(wait)));
        let finds = elsewhere(YieldPolicy::found);
        assert_eq!([looks_again, finds], [BUDGET - FINE; 2]);
    }
}
