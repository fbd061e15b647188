//! A system that runs.

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
    run::stop::{stop, stop_with_dependents},
};

/// Components that run: named servers which are started, found, watched and stopped together. See
/// the [module](crate::system).
///
/// It has a client of each of them. Dropping it stops nothing: then a component ends when its last
/// client elsewhere is gone, and what it needs after it.
#[must_use = "components end when nobody has clients of them any more"]
pub struct System {
    inner: Arc<Inner>,
}

impl System {
    pub(in crate::system) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The client of a component that has one instance.
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

    /// The client of one instance of a component, counted from zero.
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

    /// The clients of all instances of a component, and ways to choose one.
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

    /// How the components are, in the order of their definition.
    #[must_use]
    pub fn status(&self) -> Vec<ComponentStatus> {
        status(&self.inner)
    }

    /// Resolves when a component has failed for good: its policy, or its group's, does not let it
    /// go on. At once if one has already.
    ///
    /// What `main` waits for, beside the signal to end.
    pub fn failed(&self) -> Operation<Failure> {
        let failures = Arc::clone(&self.inner.failures);
        Operation::new(async move { failures.first().await })
    }

    /// Finds components by name, and says how they are, from anywhere, without keeping the system.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory::new(&self.inner)
    }

    /// Has the handlers of a component made anew by its factory, each after the request that it has
    /// in hand. Queued requests stay queued, clients stay valid. It returns at once, and does not
    /// count as a failure.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] or [`LookupError::NotStarted`]; nothing happens then.
    pub fn renew(&self, component: &str) -> Result<(), LookupError> {
        for instance in self.inner.launched(component)? {
            let renews = instance.stopper.renew();
            debug_assert!(renews, "components are made by factories");
        }
        Ok(())
    }

    /// Stops a component while the rest of the system goes on: first the components that need it,
    /// dependents first, then itself, all within this time, as [`stop`](Self::stop) does. What is
    /// stopped cannot be started again.
    ///
    /// The [report](Report) is of these components only. Clients of them get
    /// [`ServerDisappeared`](ump::Error::ServerDisappeared) from then on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump_server::{Stop, system::{Attributes, ComponentContext, System}, thread};
    ///
    /// let answer = |_: &ComponentContext<u8, u8, ()>| Ok(thread::answer(Ok));
    /// let system = System::builder()
    ///     .thread("store", Attributes::new(), answer)
    ///     .thread("search", Attributes::new().needs("store"), answer)
    ///     .start(Duration::from_secs(5))
    ///     .wait()?;
    /// let report = system.stop_component("search", Stop::Drain, Duration::from_secs(5))?.wait();
    /// assert!(report.is_clean());
    /// assert_eq!(system.client::<u8, u8, ()>("store")?.req(7), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LookupError::Unknown`] or [`LookupError::NotStarted`]; nothing happens then.
    ///
    /// # Cancel safety
    /// Like [`stop`](Self::stop).
    pub fn stop_component(
        &self,
        component: &str,
        how: Stop,
        within: Duration,
    ) -> Result<Operation<Report>, LookupError> {
        self.inner.launched(component)?;
        let inner = Arc::clone(&self.inner);
        let component = Arc::from(component);
        Ok(Operation::new(async move {
            let deadline = inner.clock.now().checked_add(within);
            stop_with_dependents(inner, component, how, deadline).await
        }))
    }

    /// Stops the components one after the other, dependents before what they need, all within this
    /// time: one deadline for all.
    ///
    /// With [`Stop::Drain`] each serves what it has in its queue, while it can ask those that it
    /// needs. What has not ended by the deadline is refused: the queue is turned down, the handler
    /// finishes what it has in hand. It has a short [grace](crate::system::Builder::grace) for
    /// that. What is on tasks and has not ended even then is [aborted](Stop::Abort): the call in
    /// hand is dropped where it waits and its caller told, then `term` has the grace once more,
    /// after which it is dropped, too. A thread cannot be stopped from outside, nor can a handler
    /// on a task that blocks: it goes on until its handler returns. The report says of each
    /// instance which of these it was.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, those that have been told to end do so; the others are let go as
    /// by dropping the system.
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
