//! The facade: every primitive that the crate synchronises with, named once.
//!
//! Nothing else in the crate names `parking_lot`, `loom`, `std::sync` or `std::thread`. Built with
//! `--cfg loom` the same names are loom's, and the whole crate can be model-checked.
//!
//! | name | native | under loom |
//! |---|---|---|
//! | [`Mutex`] | `parking_lot` | loom's, never poisoned |
//! | [`SpinLock`] | of the atomics | the same |
//! | [`Arc`], atomics | `std` | loom's |
//! | [`UnsafeCell`] | `std`, behind the same two closures | loom's: it finds unsynchronised access |
//! | [`WakerArc`], [`panicking`] | `std` | `std`: not part of what is modelled |
//! | [`park`], [`Thread`] | `std::thread` | loom's |
//! | [`park_until`] | sleeps, then says whether the deadline has passed | yields once, then it *has* passed |
//! | [`spin_until`] | bounded, learns | looks once |
//! | [`Deferrals`] | bounded, learns | once, every second wait |
//! | [`Alarm`] | a shared timer thread | rings at the second poll |

#[cfg(not(loom))]
mod alarm;
#[cfg(not(loom))]
mod credit;
#[cfg(not(loom))]
mod defer;
#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod native;
#[cfg(not(loom))]
mod spin;
mod spin_lock;

pub(crate) use spin_lock::SpinLock;

#[cfg(loom)]
pub(crate) use model::*;
#[cfg(not(loom))]
pub(crate) use {
    alarm::Alarm,
    credit::Credit,
    defer::{Deferral, Deferrals},
    native::*,
    spin::*,
};

/// How those wait awake who wait for the same thing.
#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) threads: Patience,
    /// Within a poll, for a thread that is awake at the other end.
    pub(crate) tasks: Patience,
    /// Between polls.
    pub(crate) deferrals: Deferrals,
}

impl Waits {
    /// For so many nanoseconds: threads, and tasks within a poll.
    pub(crate) const fn new(threads: u32, tasks: u32) -> Self {
        Self {
            threads: Patience::of_thread(threads),
            tasks: Patience::of_task(tasks),
            deferrals: Deferrals::new(threads),
        }
    }
}

/// Keeps two ends that are written by different cores on different cache lines.
///
/// 128 bytes, since x86-64 prefetches lines in pairs and Apple's and other big ARM cores have lines of that size.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
