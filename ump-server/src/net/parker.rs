//! A thread that waits for one descriptor by itself, without the loop.

use std::{
    cell::Cell,
    fmt, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    task::Wake,
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::wake::{Signal, WakeState};

#[doc(inline)]
pub use ump::internal::AdaptiveSpin;

/// Blocks a thread until a descriptor can be read, or until it is [woken](Wake).
///
/// For a thread that waits for the data of one socket: it is woken by the system, where the loop
/// would have to be woken first. The socket's
/// [events are suspended](super::TcpStream::suspend_events) meanwhile. It has two descriptors of
/// its own, so keep one for each thread.
///
/// ```
/// use std::{io::Write, os::{fd::AsFd, unix::net::UnixStream}, sync::Arc, task::Waker, thread};
/// use ump_server::net::Parker;
///
/// let parker = Arc::new(Parker::new()?);
/// let (mut here, there) = UnixStream::pair()?;
/// here.write_all(b"hello")?;
/// assert!(parker.park(there.as_fd(), None)?, "there is something to read");
///
/// let (_silent, there) = UnixStream::pair()?;
/// let waker = Waker::from(Arc::clone(&parker));
/// let other = thread::spawn(move || waker.wake());
/// assert!(!parker.park(there.as_fd(), None)?, "it was woken");
/// # other.join().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Parker(WakeState<Wakeup>);

/// Descriptors whose only use is to end the wait.
struct Wakeup {
    reader: OwnedFd,
    /// The other one, if one alone is not enough.
    writer: Option<OwnedFd>,
}

impl Wakeup {
    #[cfg(target_os = "linux")]
    fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};

        let reader = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let writer = None;
        Ok(Self { reader, writer })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> io::Result<Self> {
        let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self {
            reader: reader.into(),
            writer: Some(writer.into()),
        })
    }

    fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Makes that the next wait blocks.
    fn drain(&self) {
        let mut buffer = [0; 64];
        while rustix::io::read(&self.reader, &mut buffer).is_ok_and(|count| count == buffer.len()) {
        }
    }
}

impl Signal for Wakeup {
    #[cold]
    fn signal(&self) {
        // It fails only if there are so many wake-ups that the wait ends in any case.
        let one = 1_u64.to_ne_bytes();
        let _ = rustix::io::write(self.writer.as_ref().unwrap_or(&self.reader), &one);
    }
}

impl Parker {
    /// Creates one.
    ///
    /// # Errors
    /// Returns the error of the operating system, if it has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(WakeState::new(Wakeup::new()?)))
    }

    /// Blocks until the descriptor can be read or has failed, which returns `true`; or until the
    /// parker is woken, `until` has passed, or a signal has come, which return `false`. It returns
    /// at once if it was woken before. It may return early.
    ///
    /// One thread at a time may park: a second one may miss being woken.
    ///
    /// # Errors
    /// Returns the error of the operating system, if it has no memory for the wait.
    pub fn park(&self, descriptor: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<bool> {
        if !self.0.announce_sleep() {
            return Ok(false);
        }
        let wakeup = self.0.signal();
        let mut waited = [
            PollFd::from_borrowed_fd(descriptor, PollFlags::IN),
            PollFd::from_borrowed_fd(wakeup.reader(), PollFlags::IN),
        ];
        // A time that cannot be represented is no limit.
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let polled = poll(&mut waited, left.as_ref());
        self.0.woke_up();
        let [descriptor, own] = waited.map(|waited| !waited.revents().is_empty());
        match polled {
            Ok(_) => {
                if own {
                    wakeup.drain();
                }
                Ok(descriptor)
            }
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, but stays awake for some 20 µs before it sleeps, as long as `spin` finds that this
    /// pays off: to be woken takes 5 to 60 µs. Keep one `spin` for each thing that is waited for.
    /// It may return up to 0.3 ms after `until`.
    ///
    /// ```
    /// use std::{io::Write, os::{fd::AsFd, unix::net::UnixStream}};
    /// use ump_server::net::{AdaptiveSpin, Parker};
    ///
    /// let (parker, spin) = (Parker::new()?, AdaptiveSpin::new());
    /// let (mut here, there) = UnixStream::pair()?;
    /// here.write_all(b"hello")?;
    /// assert!(parker.park_adaptive(&spin, there.as_fd(), None)?, "there is something to read");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`park`](Self::park).
    pub fn park_adaptive(
        &self,
        spin: &AdaptiveSpin,
        descriptor: BorrowedFd<'_>,
        until: Option<Instant>,
    ) -> io::Result<bool> {
        let is_readable = Cell::new(false);
        let ready = || {
            let mut looked = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
            let polled = poll(&mut looked, Some(&Timespec::default()));
            is_readable.set(polled.is_ok_and(|ready| ready > 0));
            is_readable.get() || self.0.is_notified()
        };
        if spin.until(ready) && is_readable.get() {
            return Ok(true);
        }
        let park = || self.park(descriptor, until);
        spin.sleep(park, |parked| matches!(parked, Ok(true)))
    }

    /// Forgets that the parker was woken, so that the next wait does not end for it. Look after
    /// this at all that it may have been woken for.
    ///
    /// ```
    /// use std::{io::Write, os::{fd::AsFd, unix::net::UnixStream}, sync::Arc, task::Wake};
    /// use ump_server::net::Parker;
    ///
    /// let parker = Arc::new(Parker::new()?);
    /// let (mut here, there) = UnixStream::pair()?;
    /// here.write_all(b"hello")?;
    /// parker.wake_by_ref();
    /// parker.clear();
    /// assert!(parker.park(there.as_fd(), None)?, "it was not woken since");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn clear(&self) {
        self.0.woke_up();
    }

    /// Blocks until the parker is woken. It may return early.
    pub fn park_alone(&self) {
        if !self.0.announce_sleep() {
            return;
        }
        let wakeup = self.0.signal();
        let mut waited = [PollFd::from_borrowed_fd(wakeup.reader(), PollFlags::IN)];
        // An error ends it early.
        let _ = poll(&mut waited, None);
        self.0.woke_up();
        wakeup.drain();
    }
}

/// Ends the wait, or the next one.
impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}
