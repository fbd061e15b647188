//! Channels with other options than the usual ones.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::{
    api::client::Client, api::server::Server, channel::Channel, error::ZeroCapacity,
    inflight::pool, sync::Arc, time::clock::Clock, wait::WaitPolicy,
};

/// How long an end of a channel waits awake before it sleeps.
///
/// A hand-over between two threads that are awake takes 0.2 µs, one through the kernel's scheduler
/// 5 to 40 µs. So before a thread sleeps it looks for a while whether what it waits for is already
/// on its way, and in between gives its CPU to other threads that are ready. A task looks too, much
/// shorter, and only where a thread is awake at the other end; then it gives its CPU to that thread
/// once, in case both are on the same one. Besides, it lets the other tasks of its executor run (it
/// wakes itself and returns `Pending`) and looks again, as long as it is in company. All of this is
/// bounded, and each channel learns on each end whether it pays; where it does not, nearly all of
/// it is left out, and tried again now and then. While nothing happens nothing is done: an idle
/// channel sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Sleeps at once: the least use of the CPU, for channels where a few microseconds do not
    /// matter.
    Never,
    /// Looks for at most 20 µs in a thread and 1 µs in a task, and less where it does not pay; and
    /// not at all if the process may use only one CPU. A task lets others run until there have been
    /// 500 looks on its thread, which take about 20 µs. Right for a laptop, a container with half a
    /// CPU and a large server alike.
    ///
    /// There are two exceptions. When two ends wake each other in turn after sleeps of less than
    /// 250 µs, a thread looks for at most 250 µs instead of falling asleep, which brings both to
    /// wait awake. It does so four times at most, and after pauses that double, up to 8,192 waits,
    /// unless the waits after it are short. After a streak of replies within 1 µs a task looks for
    /// at most 10 µs once.
    #[default]
    Adaptive,
    /// The same, with another bound for threads, which has no exception; tasks look for at most
    /// that long too, but never more than 1 µs (after a streak 10 µs). Rounded down to nanoseconds,
    /// and at most 1 s.
    UpTo(Duration),
}

const THREAD: u32 = 20_000;
const TASK: u32 = 1_000;
/// For a thread that brings the other end to wait awake.
const LONG: u32 = 250_000;
/// For a task after a streak of quick replies.
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

/// Makes channels: [`channel`](crate::channel) and [`bounded`](crate::bounded) with more to choose
/// from.
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
#[must_use = "it makes a channel when it is told to build one"]
pub struct Builder {
    capacity: usize,
    spin: Spin,
    clock: Clock,
    entry_times: bool,
    timeout: Option<Duration>,
}

impl Builder {
    /// Unbounded, [`Spin::Adaptive`], [`Clock::system`], no entry times, no default time-out.
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

    /// Sets how long the ends wait awake before they sleep.
    pub const fn spin(mut self, spin: Spin) -> Self {
        self.spin = spin;
        self
    }

    /// Sets the clock of the channel, for deadlines and timeouts on either end. An
    /// [`Instant`](std::time::Instant) given to it is one of this clock's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets whether each request notes when it entered the queue, for [its handler to
    /// see](crate::ReplyContext::entered). It costs a reading of the clock for each.
    pub const fn entry_times(mut self, kept: bool) -> Self {
        self.entry_times = kept;
        self
    }

    /// Gives the channel's clients a default time-out: see [`Client::with_timeout`], by which each
    /// of them can have another.
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

    /// Makes a channel.
    ///
    /// # Errors
    /// [`ZeroCapacity`]: nothing could ever be queued.
    pub fn build<S, R, E>(self) -> Result<(Server<S, R, E>, Client<S, R, E>), ZeroCapacity> {
        if self.capacity == 0 {
            return Err(ZeroCapacity);
        }
        Ok(self.ends())
    }

    /// Returns the ends of a channel. The capacity is not zero.
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
