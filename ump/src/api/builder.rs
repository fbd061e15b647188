//! A builder of channels with options.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::{
    api::client::Client, api::server::Server, channel::Channel, error::ZeroCapacity,
    inflight::pool, sync::Arc, time::clock::Clock, wait::WaitPolicy,
};

/// How long an end of a channel spins before it sleeps.
///
/// A hand-over between two threads that are awake takes 0.2 µs; a hand-over through the kernel's
/// scheduler takes 5 to 40 µs. So before a thread sleeps, it checks for a while whether the request
/// or reply that it waits for is already on its way. Between checks, it gives its CPU to other
/// threads that are ready.
///
/// A task spins too, but much shorter, and only if a thread is awake at the other end. The task
/// then gives its CPU to that thread once, in case both are on the same CPU. Besides, the task lets
/// the other tasks of its executor run (it wakes itself and returns `Pending`) and checks again, as
/// long as other tasks on its thread wait in this way too.
///
/// All of this is bounded, and each end of each channel learns whether spinning pays off. If it
/// does not, the end skips nearly all of it, and tries again now and then. An idle channel does not
/// spin: it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Sleeps at once. This uses the least CPU time, and is for channels where a few microseconds
    /// do not matter.
    Never,
    /// Spins for at most 20 µs in a thread and 1 µs in a task, and less if spinning does not pay
    /// off. If the process may use only one CPU, this does not spin at all. A task lets others run
    /// until there have been 500 checks on its thread, which take about 20 µs. This suits a laptop,
    /// a container with half a CPU and a large server alike.
    ///
    /// There are two exceptions. If two ends wake each other in turn after sleeps of less than 250
    /// µs, a thread spins for at most 250 µs instead of falling asleep, so that both ends get to
    /// spin. The thread does so four times at most, and again after pauses that double, up to 8,192
    /// waits, unless the waits after it are short. After a streak of replies within 1 µs, a task
    /// spins for at most 10 µs once.
    #[default]
    Adaptive,
    /// Spins like [`Adaptive`](Self::Adaptive), with another bound for threads, which has no
    /// exception. Tasks spin for at most that long too, but never for more than 1 µs (10 µs after a
    /// streak). The bound is rounded down to nanoseconds, and is at most 1 s.
    UpTo(Duration),
}

pub(crate) const THREAD: u32 = 20_000;
const TASK: u32 = 1_000;
/// The bound of a thread that spins so that the other end gets to spin too.
pub(crate) const LONG: u32 = 250_000;
/// The bound of a task after a streak of quick replies.
const PATIENT_TASK: u32 = 10_000;

impl Spin {
    fn nanoseconds(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::Adaptive => THREAD,
            Self::UpTo(bound) => u32::try_from(bound.as_nanos())
                .unwrap_or(u32::MAX)
                .min(1_000_000_000),
        }
    }

    pub(crate) fn policy(self) -> WaitPolicy {
        let nanoseconds = self.nanoseconds();
        let long = if self == Self::Adaptive { LONG } else { 0 };
        let in_task = nanoseconds.min(TASK);
        let patient = nanoseconds.min(PATIENT_TASK) - in_task;
        WaitPolicy::new([nanoseconds, long], [in_task, patient])
    }
}

/// A builder of channels, with more options than [`channel`](crate::channel) and
/// [`bounded`](crate::bounded).
///
/// ```
/// use std::time::Duration;
/// use ump::{Builder, Spin};
///
/// let (server, client) = Builder::new()
///     .capacity(64)
///     .spin(Spin::UpTo(Duration::from_micros(5)))
///     .build::<u32, u32, ()>()?;
/// # drop((server, client));
/// # Ok::<(), ump::ZeroCapacity>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes no channel until `build` is called"]
pub struct Builder {
    capacity: usize,
    spin: Spin,
    clock: Clock,
    entry_times: bool,
    timeout: Option<Duration>,
}

impl Builder {
    /// Creates a builder with the default options: unbounded, [`Spin::Adaptive`],
    /// [`Clock::system`], no entry times, no default time-out.
    pub const fn new() -> Self {
        Self {
            capacity: usize::MAX,
            spin: Spin::Adaptive,
            clock: Clock::system(),
            entry_times: false,
            timeout: None,
        }
    }

    /// Sets the capacity of each of the two lanes of the queue: see [`bounded`](crate::bounded).
    /// `usize::MAX` means unbounded.
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets how long the ends spin before they sleep.
    pub const fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Sets the clock of the channel, for deadlines and time-outs on either end. Each
    /// [`Instant`](std::time::Instant) that is given to the channel is an instant of this clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets whether each request records when it entered the queue, for
    /// [its handler to see](crate::ReplyContext::entered). This costs one reading of the clock for
    /// each request.
    pub const fn entry_times(mut self, kept: bool) -> Self {
        self.entry_times = kept;
        self
    }

    /// Sets the default time-out of the channel's clients. See [`Client::with_timeout`], which sets
    /// another one for a single client.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = ump::Builder::new().default_timeout(Duration::from_secs(5));
    /// let (_server, client) = builder.build::<u32, u32, ()>()?;
    /// assert_eq!(client.clone().timeout(), Some(Duration::from_secs(5)));
    /// # Ok::<(), ump::ZeroCapacity>(())
    /// ```
    pub const fn default_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Creates the channel.
    ///
    /// # Errors
    /// Returns [`ZeroCapacity`] if the capacity is zero, so that no request could ever be queued.
    pub fn build<S, R, E>(self) -> Result<(Server<S, R, E>, Client<S, R, E>), ZeroCapacity> {
        if self.capacity == 0 {
            return Err(ZeroCapacity);
        }
        Ok(self.ends())
    }

    /// Creates the ends of a channel. The capacity is not zero.
    pub(crate) fn ends<S, R, E>(self) -> (Server<S, R, E>, Client<S, R, E>) {
        let Self {
            capacity,
            spin,
            clock,
            entry_times,
            timeout,
        } = self;
        let channel = Arc::new(Channel::new(
            capacity,
            [spin.policy(), spin.policy()],
            clock,
            entry_times,
            pool::free::<S, R, E>,
        ));
        let client = Client::counted(Arc::clone(&channel), timeout);
        (Server::new(channel), client)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
