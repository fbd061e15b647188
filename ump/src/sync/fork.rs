//! Values that a process has once, and that a forked child has anew.
//!
//! A child made by `fork` has a copy of its parent's memory, but only the one thread that forked.
//! So in the child a static that says "the thread runs" is wrong, and a lock that another thread
//! held at the fork is held for ever. A [`PerProcess`] has one value for each *generation*: the
//! number of forks between the process and its ancestor that `exec` started. The child does not
//! touch the value of its parent, and makes its own value when it needs one.
//!
//! A handler that the system calls in the child, `pthread_atfork`, counts the generation. To
//! compare process ids instead would cost a system call each time (measured: 225 ns, where an
//! awaited request takes 700 ns); reading the generation costs a load. The handler does not run in
//! a process that is copied by a raw `clone`.
//!
//! # Invariants
//!
//! 1. Only `child` writes `GENERATION`, and does nothing else. It runs in a forked child, while
//!    that process has one thread.
//! 2. `IS_REGISTERED` is true only if `child` is registered as a handler.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// The number of generations that are distinguished.
const GENERATIONS: usize = 64;

/// The generation of this process.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Returns how many nested forks lie behind this process, counted since the first [`PerProcess`]
/// was used.
#[inline]
pub(crate) fn generation() -> u32 {
    // ORDERING: Relaxed. By invariant 1 the number is written while the process has one thread, and
    // that thread starts all others.
    GENERATION.load(Ordering::Relaxed)
}

/// A static of which a forked child has its own value.
///
/// See the comment of the module.
#[derive(Debug)]
pub struct PerProcess<T: 'static> {
    generations: [OnceLock<T>; GENERATIONS],
}

impl<T> PerProcess<T> {
    /// Creates a static that no process has used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            generations: [const { OnceLock::new() }; GENERATIONS],
        }
    }

    /// Returns the value of this process. The first call in a process makes it with `make`.
    ///
    /// # Errors
    /// The system refuses to register the fork handler, or there were 64 forks, one within the
    /// other.
    #[inline]
    pub fn get(&self, make: impl FnOnce() -> T) -> io::Result<&T> {
        handler::register()?;
        let value = self.generations.get(generation() as usize);
        // No thread of a parent process has begun to make the value of this generation. So no
        // initialisation is left half-done.
        let value =
            value.ok_or_else(|| io::Error::other("too many forks, one within the other"))?;
        Ok(value.get_or_init(make))
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_os = "illumos",
    target_os = "solaris",
))]
mod handler {
    use std::ffi::c_int;

    use super::{AtomicBool, GENERATION, Ordering, io};

    type Handler = Option<extern "C" fn()>;

    // SAFETY: The declaration has the signature of POSIX. The function keeps the pointers and
    // dereferences no data. The only handler that is passed is `child`, which does no more than
    // invariant 1 says.
    unsafe extern "C" {
        safe fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }

    /// Counts the fork. The system calls it in the child, on its only thread.
    extern "C" fn child() {
        // ORDERING: Relaxed. By invariant 1 no other thread of this process exists yet.
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn register() -> io::Result<()> {
        static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
        // ORDERING: Relaxed, also for the store below, which depends on the result of the
        // registration (invariant 2). A thread that reads false registers the handler once more. A
        // fork then counts twice, which does no harm.
        if IS_REGISTERED.load(Ordering::Relaxed) {
            return Ok(());
        }
        match pthread_atfork(None, None, Some(child)) {
            0 => IS_REGISTERED.store(true, Ordering::Relaxed),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
        Ok(())
    }
}

/// The handler on systems without `fork`.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    target_os = "illumos",
    target_os = "solaris",
)))]
mod handler {
    #[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
    pub(super) fn register() -> super::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_makes_its_value_once() {
        static VALUE: PerProcess<u32> = PerProcess::new();
        assert_eq!(VALUE.get(|| 1).unwrap(), &1);
        assert_eq!(VALUE.get(|| 2).unwrap(), &1);
    }
}
