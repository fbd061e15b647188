//! The builder of a system.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use ump::Clock;

use crate::system::{
    build::definition::{Definition, Kind},
    model::attributes::Attributes,
    model::group::Group,
    report::error::BoxError,
    run::component_context::ComponentContext,
    run::launch::{self, Launcher, StallHook, Time},
};
use crate::{FailureEvent, TestClock, thread, watchdog::Stall, worker::failure_event::OnFailure};

/// Defines the components of a system, and starts it. Created by
/// [`System::builder`](crate::system::System::builder).
#[must_use = "a builder does nothing until its system is started"]
pub struct Builder {
    pub(in crate::system) definitions: Vec<Definition>,
    pub(in crate::system) groups: Vec<Group>,
    pub(in crate::system) time: Time,
    pub(in crate::system) grace: Duration,
    pub(in crate::system) on_stall: Option<StallHook>,
    pub(in crate::system) on_failure: OnFailure,
    #[cfg(feature = "config")]
    pub(in crate::system) configs: Vec<crate::system::build::config::Config>,
    #[cfg(feature = "tokio")]
    pub(in crate::system) runtime: Option<tokio::runtime::Handle>,
}

impl Builder {
    pub(in crate::system) fn new() -> Self {
        Self {
            definitions: Vec::new(),
            groups: Vec::new(),
            time: Time::default(),
            grace: Duration::from_millis(100),
            on_stall: None,
            on_failure: OnFailure::default(),
            #[cfg(feature = "config")]
            configs: Vec::new(),
            #[cfg(feature = "tokio")]
            runtime: None,
        }
    }

    /// Adds a component whose loops run on threads.
    ///
    /// The factory creates the handler of each worker of each instance, on the worker's thread. It
    /// is called again after a failure, to rebuild the handler. If it returns an error before a
    /// worker has had its first handler, the system [does not start](crate::system::StartError),
    /// for that reason.
    pub fn thread<H, Shape>(
        self,
        name: impl Into<String>,
        attributes: Attributes,
        factory: impl Fn(
            &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
        ) -> Result<H, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        H: thread::IntoService<Shape> + 'static,
    {
        self.define(name, Kind::Thread, attributes, launch::threads(factory))
    }

    /// Adds a component whose loops run on threads and take all queued requests at a time, but at
    /// most `max`. Otherwise like [`thread`](Self::thread).
    pub fn batches<H>(
        self,
        name: impl Into<String>,
        attributes: Attributes,
        max: NonZeroUsize,
        factory: impl Fn(
            &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
        ) -> Result<H, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        H: thread::BatchService + 'static,
    {
        self.define(
            name,
            Kind::Thread,
            attributes,
            launch::batches(max, factory),
        )
    }

    /// Adds a component whose loops run on tasks. The factory is called on these tasks, so it
    /// should not block.
    #[cfg(feature = "tokio")]
    pub fn task<H, Shape>(
        self,
        name: impl Into<String>,
        attributes: Attributes,
        factory: impl Fn(
            &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
        ) -> Result<H, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        H: crate::task::IntoService<Shape> + Send + 'static,
    {
        self.define(name, Kind::Task, attributes, launch::tasks(factory))
    }

    /// Adds a group of components that are supervised together.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Sets the clock of all components and of the system's own deadlines.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.time.clock = clock;
        self
    }

    /// Sets a test clock: the test moves it, and it waits for the loops of the system.
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.time.test_clock = Some(clock.clone());
        self.clock(clock.clock())
    }

    /// Sets the runtime of the tasks. By default they run on the runtime of the caller that waits
    /// for the start.
    #[cfg(feature = "tokio")]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets the grace: the time that an instance has to end after the deadline of a stop has passed
    /// and its queued requests were rejected. The default is 100 ms.
    ///
    /// If an instance on tasks has not ended after the grace, its calls in progress are
    /// [aborted](crate::Stop::Abort), and it has the grace once more. If it has not ended then
    /// either, its clean-up is aborted, and it has the grace for the last time. An instance that
    /// has not ended after that is reported as still running.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the hook that the watchdogs of all components call: see [`Attributes::watchdog`]. The
    /// one thread that watches all loops of the process calls the hook, so it should not block. If
    /// the hook panics, it is called again the next time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump_server::system::{Attributes, System};
    ///
    /// let builder = System::builder()
    ///     .thread(
    ///         "store",
    ///         Attributes::new().watchdog(Duration::from_millis(200)),
    ///         |_| Ok(ump_server::thread::reply(|n: u8| n)),
    ///     )
    ///     .on_stall(|stall| println!("{stall}"));
    /// # let _ = builder;
    /// ```
    pub fn on_stall(mut self, call: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.on_stall = Some(Arc::new(call));
        self
    }

    /// Adds a hook for the failures of the handlers of all components. The
    /// [`FailureEvent`](crate::FailureEvent) contains what failed, why, and how the loop reacts:
    /// see [`thread::Builder::on_failure`](crate::thread::Builder::on_failure). In a [group](Group)
    /// the group decides on the reaction. Can be called several times: then all hooks are called.
    ///
    /// ```
    /// use ump_server::system::System;
    ///
    /// let builder = System::builder().on_failure(|event| eprintln!("{event}"));
    /// # let _ = builder;
    /// ```
    pub fn on_failure(mut self, call: impl Fn(&FailureEvent) + Send + Sync + 'static) -> Self {
        self.on_failure.add(Arc::new(call));
        self
    }

    /// Overlays the attributes of components and groups with a configuration when the system is
    /// started. This includes components and groups that are added later. Of several
    /// configurations, the later ones overlay the earlier ones.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: crate::system::build::config::Config) -> Self {
        self.configs.push(config);
        self
    }

    fn define(
        mut self,
        name: impl Into<String>,
        kind: Kind,
        attributes: Attributes,
        launcher: Launcher,
    ) -> Self {
        self.definitions.push(Definition {
            name: name.into().into(),
            kind,
            attributes,
            launcher,
        });
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("definitions", &self.definitions)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
