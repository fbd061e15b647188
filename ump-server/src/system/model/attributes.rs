//! What can be said of a component besides its name and its handler.

use std::time::Duration;

use ump::Spin;

#[cfg(feature = "tokio")]
use crate::task::OnTimeout;
use crate::{OnPanic, OnRefusal};

/// What can be said of a component besides its name and its handler.
///
/// What is not said is as usual for [loops](crate::thread::Builder): one instance, one worker, an unbounded queue, [`OnPanic::Stop`]. What does not
/// fit (no instance at all, the stack size of a task) is an error when the system is started, and names the component and the key.
///
/// ```
/// use ump_server::{OnPanic, Restart, system::Attributes};
///
/// let attributes = Attributes::new()
///     .needs("store")
///     .instances(4)
///     .capacity(256)
///     .on_panic(OnPanic::Restart(Restart::new()));
/// # let _ = attributes;
/// ```
///
/// # A queue that is full
/// Whoever finds it full waits for room, or does not if he says so: by the request, with [`if_room`](ump::Request::if_room). It is not an attribute,
/// since the one who asks has to know what to do with the message that comes back, and the plain [`req`](ump::Client::req) has no such error.
#[derive(Clone, Debug, Default)]
#[must_use = "it says something of a component that is added with it"]
pub struct Attributes {
    pub(in crate::system) needs: Vec<String>,
    pub(in crate::system) instances: Option<usize>,
    pub(in crate::system) workers: Option<usize>,
    pub(in crate::system) capacity: Option<usize>,
    pub(in crate::system) spin: Option<Spin>,
    pub(in crate::system) default_timeout: Option<Duration>,
    pub(in crate::system) budget: Option<u32>,
    pub(in crate::system) on_panic: Option<OnPanic>,
    pub(in crate::system) watchdog: Option<Duration>,
    pub(in crate::system) stack_size: Option<usize>,
    pub(in crate::system) priority: Option<u8>,
    pub(in crate::system) affinity: Option<Vec<usize>>,
    pub(in crate::system) on_refusal: OnRefusal,
    #[cfg(feature = "tokio")]
    pub(in crate::system) request_timeout: Option<Duration>,
    #[cfg(feature = "tokio")]
    pub(in crate::system) on_timeout: Option<OnTimeout>,
}

impl Attributes {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// It asks this component, which is started before it and stopped after it. Can be said several times.
    pub fn needs(mut self, component: impl Into<String>) -> Self {
        self.needs.push(component.into());
        self
    }

    /// So many loops with a channel each, at least one. [`Balancer`](super::Balancer) chooses among them.
    pub fn instances(mut self, count: usize) -> Self {
        self.instances = Some(count);
        self
    }

    /// So many workers over the queue of each instance, at least one: each instance is a pool.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// The queue of each instance holds at most so many requests in each lane, exactly; at least one.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = Some(requests);
        self
    }

    /// How long its loops and their clients wait awake before they sleep.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = Some(spin);
        self
    }

    /// Gives its clients a default time-out, for requests that have none of their own: see [`Client::with_timeout`](ump::Client::with_timeout).
    /// Whatever client of it the system gives out has it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump_server::{Stop, system::{Attributes, ComponentContext, System}, thread};
    ///
    /// const SOON: Duration = Duration::from_secs(2);
    /// let system = System::builder()
    ///     .thread("store", Attributes::new().default_timeout(SOON), |_: &ComponentContext<u8, u8, ()>| Ok(thread::answer(Ok)))
    ///     .start(Duration::from_secs(5))
    ///     .wait()?;
    /// let store = system.client::<u8, u8, ()>("store")?;
    /// assert_eq!(store.timeout(), Some(SOON));
    /// # drop(store);
    /// # assert!(system.stop(Stop::Drain, Duration::from_secs(5)).wait().is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.default_timeout = Some(timeout);
        self
    }

    /// How much its tasks do before they let other tasks run: see [`task::Builder::budget`](crate::task::Builder::budget). Not for threads.
    pub fn budget(mut self, results: u32) -> Self {
        self.budget = Some(results);
        self
    }

    /// What becomes of an instance whose handler panics. In a [group](super::Group) that decides; only [`OnPanic::Continue`] counts there, too.
    pub fn on_panic(mut self, policy: OnPanic) -> Self {
        self.on_panic = Some(policy);
        self
    }

    /// Reports handlers of this component that keep control for longer than this: to
    /// [`Builder::on_stall`](super::Builder::on_stall), and as a warning with the feature `tracing`. At least one millisecond. See
    /// [`watchdog`](crate::watchdog).
    pub fn watchdog(mut self, threshold: Duration) -> Self {
        self.watchdog = Some(threshold);
        self
    }

    /// The size of its threads' stacks, in bytes. Not for tasks.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// The priority of its threads: see [`thread::Builder::priority`](crate::thread::Builder::priority). Not for tasks.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The CPUs of its threads, one for each worker of each instance in turn: see [`thread::Builder::affinity`](crate::thread::Builder::affinity). At least
    /// one. Not for tasks.
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// What happens if the system refuses one of these two; an error at the start of the system unless it is told otherwise.
    pub fn on_refusal(mut self, policy: OnRefusal) -> Self {
        self.on_refusal = policy;
        self
    }

    /// How long a handler may take for one request: see [`task::Builder::request_timeout`](crate::task::Builder::request_timeout). For tasks only, as
    /// a thread cannot be stopped from outside.
    #[cfg(feature = "tokio")]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// What becomes of an instance whose handler takes longer than that; it goes on unless it is told otherwise. For tasks only.
    #[cfg(feature = "tokio")]
    pub fn on_timeout(mut self, policy: OnTimeout) -> Self {
        self.on_timeout = Some(policy);
        self
    }

    pub(in crate::system) fn count(&self) -> usize {
        self.instances.unwrap_or(1)
    }
}
