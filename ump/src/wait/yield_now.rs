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
//! Whether it pays is learned: see [`Credit`].

#![forbid(unsafe_code)]

use std::{cell::Cell, mem, ptr};

use crate::sync::Credit;

/// What can be saved up: it takes many tasks that wait for the same thing in vain, 64 say, some rounds to use it up.
const CREDIT: u32 = 8192;
/// After so many times without credit it is tried again.
const REST: u32 = 16 * CREDIT;
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
pub(crate) struct Deferrals {
    /// So many looks on the thread, by all its tasks, are taken for too many.
    looks: u32,
    credit: Credit,
}

/// How one task waits.
#[derive(Debug, Default)]
pub(crate) enum Deferral {
    /// It has not begun.
    #[default]
    Not,
    /// It has let others run, so many times.
    Since {
        first: Look,
        latest: Look,
        times: u32,
    },
    /// It has given up, and left word.
    Asleep,
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

impl Deferrals {
    /// For those who may wait awake for so long; zero: they leave word at once.
    pub(crate) const fn new(nanoseconds: u32) -> Self {
        Self {
            looks: nanoseconds / NANOSECONDS_A_LOOK,
            credit: Credit::after(FIRST, CREDIT, REST),
        }
    }

    /// Whether one who begins to wait now lets others run first.
    #[inline]
    pub(crate) fn is_worth_it(&self) -> bool {
        self.looks > 0 && self.credit.is_good()
    }

    /// One begins to wait, and leaves word at once.
    #[inline]
    pub(crate) fn forgo(&self, wait: &mut Deferral) {
        if !self.is_worth_it() {
            self.credit.charge();
        }
        *wait = Deferral::Asleep;
    }

    /// What one who has found nothing does: true, it lets others run and looks again; false, it leaves word.
    #[inline]
    pub(crate) fn defer(&self, wait: &mut Deferral) -> bool {
        let now = Look::take();
        let (first, times) = match *wait {
            Deferral::Not if self.is_worth_it() => (now, 0),
            Deferral::Not => {
                self.forgo(wait);
                return false;
            }
            Deferral::Since {
                first,
                latest,
                times,
            } => match now.been(latest) {
                Been::InCompany if times < TIMES || now.since(first) < self.looks => (first, times),
                been => return self.give_up(wait, been),
            },
            Deferral::Asleep => return false,
        };
        *wait = Deferral::Since {
            first,
            latest: now,
            times: times + 1,
        };
        true
    }

    #[cold]
    fn give_up(&self, wait: &mut Deferral, been: Been) -> bool {
        match been {
            Been::Stolen => self.credit.fine(FINE),
            Been::Alone | Been::InCompany => self.credit.charge(),
        }
        *wait = Deferral::Asleep;
        false
    }

    /// What one waits for is there.
    #[inline]
    pub(crate) fn found(&self, wait: &mut Deferral) {
        let now = Look::take();
        if let Deferral::Since { latest, .. } = mem::take(wait) {
            match now.been(latest) {
                Been::Stolen => self.credit.fine(FINE),
                Been::Alone => self.credit.charge(),
                Been::InCompany => {
                    let company = now.since(latest) / COMPANY;
                    self.credit.reward(company.min(REWARD));
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
    fn learned() -> Deferrals {
        let deferrals = Deferrals::new(LOOKS * NANOSECONDS_A_LOOK);
        for _ in 0..FIRST {
            assert!(!deferrals.is_worth_it());
            deferrals.forgo(&mut Deferral::Not);
        }
        assert!(deferrals.is_worth_it());
        deferrals
    }

    /// Others look, so many times.
    fn company(times: u32) {
        for _ in 0..times {
            Look::take();
        }
    }

    fn left(deferrals: &Deferrals) -> u32 {
        let mut left = 0;
        while deferrals.credit.is_good() {
            deferrals.credit.charge();
            left += 1;
        }
        left
    }

    /// How often one lets others run, if so many look each time.
    fn patience(deferrals: &Deferrals, others: u32) -> u32 {
        let (mut wait, mut times) = (Deferral::Not, 0);
        while deferrals.defer(&mut wait) {
            company(others);
            times += 1;
        }
        assert!(matches!(wait, Deferral::Asleep));
        assert!(!deferrals.defer(&mut wait), "asleep it stays");
        times
    }

    #[test]
    fn who_may_not_wait_awake_leaves_word_however_often_it_is_in_vain() {
        let deferrals = Deferrals::new(NANOSECONDS_A_LOOK - 1);
        for _ in 0..2 * FIRST {
            assert_eq!(patience(&deferrals, 1), 0);
        }
        assert!(deferrals.credit.is_good() && !deferrals.is_worth_it());
    }

    #[test]
    fn who_is_alone_gives_up_at_the_second_look_and_is_charged() {
        let deferrals = learned();
        assert_eq!(patience(&deferrals, 0), 1);
        assert_eq!(left(&deferrals), CREDIT - 1);
    }

    #[test]
    fn in_company_one_lets_others_run_a_few_times_or_for_as_many_looks_as_are_worth_it() {
        // With its own, two looks each time.
        assert_eq!(patience(&learned(), 1), LOOKS / 2);
        // Few times, however many the looks.
        assert_eq!(patience(&learned(), 5 * LOOKS), TIMES);
        let long = Deferrals::new(100 * NANOSECONDS_A_LOOK);
        long.credit.reward(CREDIT);
        assert_eq!(patience(&long, 9), 100 / 10);
        assert_eq!(left(&long), CREDIT - 1);
    }

    #[test]
    fn what_is_found_in_company_is_rewarded_by_how_many_there_are() {
        for (others, reward) in [(1, 0), (3, 1), (4, 1), (7, 2), (1_000, REWARD)] {
            let deferrals = learned();
            deferrals.credit.fine(CREDIT / 2);
            let mut wait = Deferral::Not;
            assert!(deferrals.defer(&mut wait));
            company(others);
            deferrals.found(&mut wait);
            assert!(matches!(wait, Deferral::Not));
            assert_eq!(left(&deferrals), CREDIT / 2 + reward);
        }
    }

    #[test]
    fn what_is_found_alone_was_in_vain_and_what_was_not_waited_for_costs_nothing() {
        let deferrals = learned();
        let mut wait = Deferral::Not;
        deferrals.found(&mut wait);
        assert!(deferrals.defer(&mut wait));
        deferrals.found(&mut wait);
        assert_eq!(left(&deferrals), CREDIT - 1);
    }

    #[test]
    fn to_be_found_on_another_thread_is_fined() {
        let elsewhere = |go_on: fn(&Deferrals, &mut Deferral)| {
            let deferrals = learned();
            let mut wait = Deferral::Not;
            assert!(deferrals.defer(&mut wait));
            thread::scope(|scope| {
                scope.spawn(|| {
                    company(7);
                    go_on(&deferrals, &mut wait);
                });
            });
            left(&deferrals)
        };
        let looks_again = elsewhere(|deferrals, wait| assert!(!deferrals.defer(wait)));
        let finds = elsewhere(Deferrals::found);
        assert_eq!([looks_again, finds], [CREDIT - FINE; 2]);
    }
}
