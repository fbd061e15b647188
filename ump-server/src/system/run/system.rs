//! The handle of a running system.

use std::{fmt, sync::Arc, time::Duration};

use ump::Client;

use crate::Stop;
use crate::system::{
    report::error::LookupError,
    report::failure::Failure,
    report::stop_report::Report,
    run::balancer::Balancer,
    run::component::Inner,
    run::directory::Directory,
    run::operation::Operation,
    run::status::{ComponentStatus, status},
    run::stop::{stop, stop_component},
};

/// A running system of components: named servers that are started, looked up, supervised and
/// stopped together. See the [module](crate::system).
///
/// A system holds a client of each instance. Dropping the system does not stop the components. Each
/// component ends when its last other client is dropped, and the components that it needs end after
/// it.
#[must_use = "a component of a dropped system ends with its last client"]
pub struct System {
    inner: Arc<Inner>,
}

impl System {
    pub(in crate::system) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Returns the client of a component that has one instance.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn client<S, R, E>(&self, component: &str) -> Result<Client<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        self.inner.client(component)
    }

    /// Returns the client of one instance of a component, counted from zero.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn instance<S, R, E>(
        &self,
        component: &str,
        instance: usize,
    ) -> Result<Client<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        self.inner.instance(component, instance)
    }

    /// Returns a [`Balancer`], which has the clients of all instances of a component and chooses
    /// among them.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn balancer<S, R, E>(&self, component: &str) -> Result<Balancer<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        self.inner.balancer(component)
    }

    /// Returns the status of the components, in the order of definition.
    #[must_use]
    pub fn status(&self) -> Vec<ComponentStatus> {
        status(&self.inner)
    }

    /// Resolves when a component has failed permanently: its policy, or that of its group, does not
    /// let it continue. If a component has failed already, it resolves at once.
    ///
    /// A `main` function can wait for this, and for the signal to terminate.
    pub fn failed(&self) -> Operation<Failure> {
        let failures = Arc::clone(&self.inner.failures);
        Operation::new(async move { failures.first().await })
    }

    /// Returns a [`Directory`], which looks up components and returns their status from anywhere,
    /// and does not keep the system alive.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory::new(&self.inner)
    }

    /// Rebuilds the handlers of a component by its factory, each after the request that it has in
    /// hand. Queued requests stay queued, and clients stay valid. Returns at once. A renewal does
    /// not count as a failure.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] if there is no such component, [`LookupError::NotStarted`] if it
    /// has not started yet. Nothing happens then.
    pub fn renew(&self, component: &str) -> Result<(), LookupError> {
        self.inner.renew(component)
    }

    /// Stops a component while the rest of the system continues. The components that need it stop
    /// first, dependents first, then the component itself: all in the time `within`, as
    /// [`stop`](Self::stop) does. A stopped component cannot be started again.
    ///
    /// The [report](Report) contains these components only. From then on their clients get
    /// [`ServerDisappeared`](ump::Error::ServerDisappeared).
    ///
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    /// use ump_server::{Stop, system::{Attributes, System}, thread};
    ///
    /// let system = System::builder()
    ///     .thread("store", Attributes::new(), |_| Ok(thread::reply(|n: u8| n)))
    ///     .thread("search", Attributes::new().needs("store"), |_| Ok(thread::reply(|n: u8| n)))
    ///     .start(Duration::from_secs(5))
    ///     .wait()?;
    /// let report = system.stop_component("search", Stop::Drain, Duration::from_secs(5))?.wait();
    /// assert!(report.is_clean());
    /// assert_eq!(system.client::<u8, u8, Infallible>("store")?.req(7), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LookupError::Unknown`] if there is no such component, [`LookupError::NotStarted`] if it
    /// has not started yet. Nothing happens then.
    ///
    /// # Cancel safety
    /// If the operation is dropped before it is ready, the instances that have been stopped by then
    /// still end. The others continue.
    pub fn stop_component(
        &self,
        component: &str,
        how: Stop,
        within: Duration,
    ) -> Result<Operation<Report>, LookupError> {
        stop_component(Arc::clone(&self.inner), component, how, within)
    }

    /// Stops the components one after the other, dependents before the components that they need,
    /// all within one deadline.
    ///
    /// With [`Stop::Drain`] each component serves its queued requests while the components that it
    /// needs still run. If an instance has not ended by the deadline, its queued requests are
    /// rejected, and its handler finishes the request in hand. It has a short
    /// [grace](crate::system::Builder::grace) for that. If an instance on tasks has not ended even
    /// then, it is [aborted](Stop::Abort): the call in hand is dropped where it waits, and its
    /// caller gets [`NoReply::Aborted`](ump::NoReply::Aborted). Then `term` has the grace once
    /// more, after which it is dropped, too. A thread cannot be stopped from outside, nor can a
    /// handler on a task that blocks: the instance continues until its handler returns. The report
    /// contains the outcome of each instance.
    ///
    /// # Cancel safety
    /// If the operation is dropped before it is ready, the instances that have been stopped by then
    /// still end. The others end as if the system had been dropped.
    pub fn stop(self, how: Stop, within: Duration) -> Operation<Report> {
        Operation::new(async move {
            let deadline = self.inner.clock.now().checked_add(within);
            stop(self.inner, how, deadline).await
        })
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.inner.components.iter();
        f.debug_tuple("System")
            .field(&names.map(|component| &*component.name).collect::<Vec<_>>())
            .finish()
    }
}
