//! Saying what a system consists of.

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

/// Says what a system consists of, and starts it. From
/// [`System::builder`](crate::system::System::builder).
#[must_use = "it makes a system when it is started"]
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
    /// The factory makes the handler of each instance and worker, on its thread, and makes it anew
    /// after a failure. What it refuses with before the first one is made is why the system
    /// [did not come up](crate::system::StartError).
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

    /// Adds a component whose loops run on threads and take all that is queued, at most so many
    /// requests at a time. Otherwise like [`thread`](Self::thread).
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

    /// Adds a component whose loops run on tasks. Its factory is called on them, so it should not
    /// block.
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

    /// Has components supervised together.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// What tells the time, to all its components and for its own deadlines.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.time.clock = clock;
        self
    }

    /// Goes by a clock that a test moves, which waits for its loops.
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.time.test_clock = Some(clock.clone());
        self.clock(clock.clock())
    }

    /// The runtime of its tasks; otherwise that of whoever waits for the start.
    #[cfg(feature = "tokio")]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long what has been refused, since the deadline of a stop had passed, has to end; 100 ms
    /// otherwise. What is on tasks is aborted then, and has this time once more to end and once
    /// more for its clean-up. What has not ended after that is reported as still running.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What the watchdogs of all components call: see [`Attributes::watchdog`]. It is called on the
    /// one thread that watches all loops of the process, so it should not block; if it panics, it
    /// is called again the next time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump_server::system::{Attributes, ComponentContext, System};
    ///
    /// let builder = System::builder()
    ///     .thread(
    ///         "store",
    ///         Attributes::new().watchdog(Duration::from_millis(200)),
    ///         |_: &ComponentContext<u8, u8, ()>| Ok(ump_server::thread::answer(Ok)),
    ///     )
    ///     .on_stall(|stall| println!("{stall}"));
    /// # let _ = builder;
    /// ```
    pub fn on_stall(mut self, call: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.on_stall = Some(Arc::new(call));
        self
    }

    /// Has this called for each failure of a handler of any component, with what failed, why, and
    /// what becomes of it: see [`FailureEvent`](crate::FailureEvent) and
    /// [`thread::Builder::on_failure`](crate::thread::Builder::on_failure). In a [group](Group) it
    /// is the group that decides. Said several times, all are called.
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

    /// Overlays what the program says of its components and groups, those too that are added later,
    /// when the system is started. Of several, the later ones overlay the earlier ones.
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
