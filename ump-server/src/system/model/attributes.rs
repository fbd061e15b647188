//! The attributes of a component.

use std::time::Duration;

use ump::Spin;

use crate::OnPanic;
#[cfg(feature = "scheduling")]
use crate::OnRefusal;
#[cfg(feature = "tokio")]
use crate::task::OnTimeout;

/// The attributes of a component, apart from its name and its handler.
///
/// Attributes that are not set have the defaults of [loops](crate::thread::Builder): one instance,
/// one worker, an unbounded queue, [`OnPanic::Stop`]. An invalid attribute (zero instances, the
/// stack size of a task) is an error when the system is started, which names the component and the
/// key.
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
/// # A full queue
/// By default a caller that finds the queue full waits for room. To avoid that, the caller makes
/// the request with [`if_room`](ump::Request::if_room). There is no attribute for it, because the
/// caller has to handle the message that comes back, and the plain [`req`](ump::Client::req) has no
/// such error.
#[derive(Clone, Debug, Default)]
#[must_use = "attributes do nothing until a component is added with them"]
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
    #[cfg_attr(
        not(feature = "scheduling"),
        allow(dead_code, reason = "without the feature nothing sets it")
    )]
    pub(in crate::system) priority: Option<u8>,
    pub(in crate::system) affinity: Option<Vec<usize>>,
    #[cfg(feature = "scheduling")]
    pub(in crate::system) on_refusal: OnRefusal,
    #[cfg(feature = "tokio")]
    pub(in crate::system) request_timeout: Option<Duration>,
    #[cfg(feature = "tokio")]
    pub(in crate::system) on_timeout: Option<OnTimeout>,
}

impl Attributes {
    /// Creates attributes with all defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dependency: this component makes requests to `component`, which is started before it
    /// and stopped after it. Can be called several times.
    pub fn needs(mut self, component: impl Into<String>) -> Self {
        self.needs.push(component.into());
        self
    }

    /// Sets the number of instances, at least one. Each is a loop with a channel of its own;
    /// [`Balancer`](crate::system::Balancer) chooses among them.
    pub fn instances(mut self, count: usize) -> Self {
        self.instances = Some(count);
        self
    }

    /// Sets the number of workers per instance, at least one: each instance is a pool over one
    /// queue.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Limits the queue of each instance to exactly this many requests per lane, at least one.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = Some(requests);
        self
    }

    /// Sets how long the loops and their clients spin before they sleep.
    pub fn spin(mut self, spin: Spin) -> Self {
        self.spin = Some(spin);
        self
    }

    /// Sets a default timeout for requests that have none of their own: see
    /// [`Client::with_timeout`](ump::Client::with_timeout). Every client of the component that the
    /// system returns has it.
    ///
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    /// use ump_server::{Stop, system::{Attributes, System}, thread};
    ///
    /// const SOON: Duration = Duration::from_secs(2);
    /// let system = System::builder()
    ///     .thread("store", Attributes::new().default_timeout(SOON), |_| Ok(thread::reply(|n: u8| n)))
    ///     .start(Duration::from_secs(5))
    ///     .wait()?;
    /// let store = system.client::<u8, u8, Infallible>("store")?;
    /// assert_eq!(store.timeout(), Some(SOON));
    /// # drop(store);
    /// # assert!(system.stop(Stop::Drain, Duration::from_secs(5)).wait().is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.default_timeout = Some(timeout);
        self
    }

    /// Sets how much the component's tasks do before they let other tasks run: see
    /// [`task::Builder::budget`](crate::task::Builder::budget). Not for threads.
    pub fn budget(mut self, results: u32) -> Self {
        self.budget = Some(results);
        self
    }

    /// Sets the policy for an instance whose handler panics. In a [group](crate::system::Group) the
    /// group decides, and of this policy only [`OnPanic::Continue`] counts.
    pub fn on_panic(mut self, policy: OnPanic) -> Self {
        self.on_panic = Some(policy);
        self
    }

    /// Reports handlers of this component that keep control for longer than this: to
    /// [`Builder::on_stall`](crate::system::Builder::on_stall), and as a warning with the feature
    /// `tracing`. At least one millisecond. See [`watchdog`](crate::watchdog).
    pub fn watchdog(mut self, threshold: Duration) -> Self {
        self.watchdog = Some(threshold);
        self
    }

    /// Sets the stack size of the component's threads, in bytes. Not for tasks.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets the priority of the component's threads: see
    /// [`thread::Builder::priority`](crate::thread::Builder::priority). Not for tasks.
    #[cfg(feature = "scheduling")]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the CPUs of the component's threads, one for each worker of each instance in turn: see
    /// [`thread::Builder::affinity`](crate::thread::Builder::affinity). At least one. Not for
    /// tasks.
    #[cfg(feature = "scheduling")]
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// Sets what happens if the operating system refuses the priority or the affinity. By default
    /// that is an error at the start of the system.
    #[cfg(feature = "scheduling")]
    pub fn on_refusal(mut self, policy: OnRefusal) -> Self {
        self.on_refusal = policy;
        self
    }

    /// Limits how long a handler may take for one request: see
    /// [`task::Builder::request_timeout`](crate::task::Builder::request_timeout). For tasks only,
    /// because a thread cannot be stopped from outside.
    #[cfg(feature = "tokio")]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// Sets the policy for an instance whose handler exceeds the
    /// [`request_timeout`](Self::request_timeout). By default the instance continues. For tasks
    /// only.
    #[cfg(feature = "tokio")]
    pub fn on_timeout(mut self, policy: OnTimeout) -> Self {
        self.on_timeout = Some(policy);
        self
    }

    pub(in crate::system) fn count(&self) -> usize {
        self.instances.unwrap_or(1)
    }
}
