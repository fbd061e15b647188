//! The facade: every synchronisation primitive of the crate, named once.
//!
//! No other module names `parking_lot`, `loom`, `std::sync` or `std::thread`. Built with
//! `--cfg loom`, the same names are loom's, and the whole crate can be model-checked. With
//! `--cfg shuttle` they are shuttle's, for models that are too large for loom; in
//! `shuttle.rs` are the decisions that a model makes at random.
//!
//! | name | native | under loom |
//! |---|---|---|
//! | [`Mutex`] | `parking_lot` | loom's, never poisoned |
//! | [`SpinLock`] | made of the atomics | the same |
//! | [`Arc`] | `std` | loom's |
//! | atomics | `std` | loom's, and a failing exchange may read an old value |
//! | [`UnsafeCell`] | `std`, behind the same two closures | loom's: it finds unsynchronised access |
//! | freeing an atomic or a cell of a slot | nothing | an access like any other |
//! | [`of_each_thread`] | `std` | loom's |
//! | [`WakerArc`], [`panicking`] | `std` | `std`: not part of what is modelled |
//! | [`park`], [`Thread`] | `std::thread` | loom's |
//! | [`park_until`] | sleeps, then returns whether the deadline has passed | yields once, then it *has* passed |

#[cfg(not(any(loom, shuttle)))]
pub(crate) mod fork;
#[cfg(loom)]
mod loom;
#[cfg(not(any(loom, shuttle)))]
mod native;
#[cfg(shuttle)]
mod shuttle;
mod spin_lock;

pub(crate) use spin_lock::SpinLock;

#[cfg(loom)]
pub use self::loom::Mutex;
#[cfg(loom)]
pub(crate) use self::loom::*;
#[cfg(shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(not(any(loom, shuttle)))]
pub use fork::PerProcess;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use native::*;

/// Places a value on cache lines of its own, apart from values that other cores write.
///
/// The alignment is 128 bytes, since x86-64 prefetches lines in pairs, and Apple's and other big
/// ARM cores have lines of that size.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
