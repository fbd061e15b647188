//! What a process has once, and a forked child has anew.
//!
//! A child made by `fork` has a copy of the memory of its parent, but of the threads only the one that forked. So a static that says
//! "the thread runs" is wrong there, and a lock that another thread held at that moment is held for ever. A [`PerProcess`] has one value for each
//! *generation*, which is how many forks lie between a process and the one that was begun by `exec`: the child leaves the value of its parent alone, and
//! makes its own when it needs it.
//!
//! The generation is counted by a handler that the system calls in the child, `pthread_atfork`. To compare process ids instead costs a system
//! call each time (measured: 225 ns, where an awaited request takes 700), and this a load. It does not see a process that is copied by a raw `clone`.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// How many forks, one within the other, are told apart.
const GENERATIONS: usize = 64;

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie behind this process, of those since the first [`PerProcess`] was used.
#[inline]
pub(crate) fn generation() -> u32 {
    // ORDERING: Relaxed. It is written while the process has one thread, and all others are started by that one.
    GENERATION.load(Ordering::Relaxed)
}

/// A static of which a forked child has its own. See the comment of the module.
#[derive(Debug)]
pub struct PerProcess<T: 'static> {
    generations: [OnceLock<T>; GENERATIONS],
}

impl<T> PerProcess<T> {
    /// One that no process has used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            generations: [const { OnceLock::new() }; GENERATIONS],
        }
    }

    /// Returns the value of this process, made by `make` if it is used for the first time.
    ///
    /// # Errors
    /// The system refuses to tell of forks, or there were 64 of them, one within the other.
    #[inline]
    pub fn get(&self, make: impl FnOnce() -> T) -> io::Result<&T> {
        handler::register()?;
        let value = self.generations.get(generation() as usize);
        // No other process has begun to make it, so nobody is missing who would end that.
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

    // SAFETY: this is its signature in POSIX. It keeps the pointers and dereferences nothing, so any functions will do.
    unsafe extern "C" {
        safe fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }

    /// In the child, by its only thread.
    extern "C" fn child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn register() -> io::Result<()> {
        static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
        // ORDERING: Relaxed. Who finds it false registers it once more: then a fork counts twice, which is as good.
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

/// Where nothing forks.
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
