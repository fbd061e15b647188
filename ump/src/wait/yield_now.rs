//! Yielding of tasks: a task lets other tasks run and is polled again, before it registers a waker.
//!
//! For two tasks that take turns on one thread, registering a waker and being woken costs a lock
//! and half a dozen atomic operations at either end. From another thread it also costs the
//! executor's own lock and perhaps a system call. If the other end is about to answer anyway, it is
//! cheaper that the task wakes itself and returns `Pending`: the executor runs the tasks that are
//! ready, and then this task again. (Measured, in ns a request, without and with yielding: two
//! tasks on one thread 262 and 180; 64 tasks and their server on two threads 454 and 210; 64 tasks
//! and a thread 504 and 180. A batch grows during the wait, and no wake-up is needed for each
//! request.) It is the `yield_now` of tasks, and works on any executor.
//!
//! Yielding pays off only if other tasks run meanwhile. So a task records how many checks all tasks
//! of its thread have made. It gives up and registers its waker when
//!
//! - it is polled again and no other task has checked: it is alone, and would keep its thread from
//!   sleeping;
//! - it is polled again on another thread: the executor has idle threads, which steal ready tasks.
//!   Two tasks that take turns had better stay together, where the wake-up of one by the other puts
//!   them (two workers: 540 ns a round trip with each task on its own worker, 410 together);
//! - it has yielded in vain a few times, and the thread has made as many checks as take about as
//!   long as a thread would spin.
//!
//! The policy learns whether yielding pays off: see [`AdaptiveBudget`].

#![forbid(unsafe_code)]

use std::{cell::Cell, mem, ptr};

use crate::wait::budget::AdaptiveBudget;

/// The maximum number of points. Many tasks that wait for the same thing in vain, say 64, need some
/// rounds to use it up.
const BUDGET: u32 = 8192;
/// The number of refusals before an exhausted budget is refilled.
const REST: u32 = 16 * BUDGET;
/// The maximum number of points that a successful yield earns.
const REWARD: u32 = 64;
/// The number of checks of other tasks for each point that a yield earns. The more checks there
/// are, the more a yield saves. Two tasks that take turns earn nothing.
const COMPANY: u32 = 4;
/// The number of points that it costs to be polled on another thread. With two tasks that take
/// turns this happens to one yield in thirty, which is enough to lose the advantage.
const FINE: u32 = 128;
/// The number of waits that register a waker at once, at first. A caller that rarely sends a
/// request is better off asleep, and code that polls by hand finds the usual behaviour.
const FIRST: u32 = 16;
/// The minimum number of yields, however many other tasks there are. Registering a waker and being
/// woken costs about as much as this number of checks.
const TIMES: u32 = 5;
/// The minimum time of a task's check, with everything that its executor does for it.
const NANOSECONDS_A_LOOK: u32 = 40;

/// Decides whether tasks that wait for the same thing yield before they register a waker.
#[derive(Debug)]
pub(crate) struct YieldPolicy {
    /// The number of checks on the thread, by all its tasks, after which a task gives up.
    looks: u32,
    budget: AdaptiveBudget,
}

/// The progress of one task's wait.
#[derive(Debug, Default)]
pub(crate) enum YieldState {
    /// The wait has not begun.
    #[default]
    NotStarted,
    /// The task has yielded `times` times.
    Yielding {
        first: Look,
        latest: Look,
        times: u32,
    },
    /// The task has given up, and registered its waker.
    Registered,
}

/// A check by one of the tasks of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Distinguishes threads.
    thread: usize,
    /// The number of the check on its thread.
    number: u32,
}

thread_local! {
    /// The number of checks that the tasks of this thread have made.
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

impl Look {
    /// Counts a check, and returns it.
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

    /// Returns the number of checks on the thread since an `earlier` one.
    #[inline]
    fn since(self, earlier: Self) -> u32 {
        self.number.wrapping_sub(earlier.number)
    }

    /// Returns what the task has met since its `earlier` check.
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

/// The events that a task has met between two of its checks.
#[derive(Clone, Copy, Debug)]
enum Been {
    /// The task has been moved to another thread.
    Stolen,
    /// No other task of the thread has checked.
    Alone,
    /// Other tasks of the thread have checked.
    InCompany,
}

impl YieldPolicy {
    /// Creates the policy of tasks that may yield for `nanoseconds`. With zero a task registers its
    /// waker at once.
    pub(crate) const fn new(nanoseconds: u32) -> Self {
        Self {
            looks: nanoseconds / NANOSECONDS_A_LOOK,
            budget: AdaptiveBudget::after(FIRST, BUDGET, REST),
        }
    }

    /// Returns whether a task that begins to wait now yields first.
    #[inline]
    pub(crate) fn is_worth_it(&self) -> bool {
        self.looks > 0 && self.budget.is_good()
    }

    /// Records that a task begins to wait and registers its waker at once.
    #[inline]
    pub(crate) fn skip(&self, wait: &mut YieldState) {
        if !self.is_worth_it() {
            self.budget.charge();
        }
        *wait = YieldState::Registered;
    }

    /// Decides what a task does that has found nothing. If it returns true, the task yields and
    /// checks again. If it returns false, the task registers its waker.
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

    /// Records that the awaited event has occurred.
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

    /// The number of checks that a yielding task waits for.
    const LOOKS: u32 = 14;

    /// Creates a policy that yields, and that has learned to do so.
    fn learned() -> YieldPolicy {
        let yields = YieldPolicy::new(LOOKS * NANOSECONDS_A_LOOK);
        for _ in 0..FIRST {
            assert!(!yields.is_worth_it());
            yields.skip(&mut YieldState::NotStarted);
        }
        assert!(yields.is_worth_it());
        yields
    }

    /// Makes checks of other tasks.
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

    /// Returns how often a task yields if other tasks make `others` checks each time.
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
        // Two checks each time, with its own.
        assert_eq!(patience(&learned(), 1), LOOKS / 2);
        // Few times, however many checks there are.
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
