//! The lookup of components by name.

use std::{
    any::type_name,
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use ump::Client;

use crate::Stop;
use crate::system::{
    report::error::LookupError,
    report::stop_report::Report,
    run::balancer::Balancer,
    run::component::{Component, Inner, Instance},
    run::operation::Operation,
    run::status::{ComponentStatus, status},
    run::stop::stop_component,
};

/// Looks up components by name, returns their status, renews and stops them, from anywhere. A
/// directory is a handle that can be cloned, and does not keep the system alive.
#[derive(Clone)]
pub struct Directory(Weak<Inner>);

impl Directory {
    pub(in crate::system) fn new(inner: &Arc<Inner>) -> Self {
        Self(Arc::downgrade(inner))
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
        self.inner()?.client(component)
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
        self.inner()?.instance(component, instance)
    }

    /// Returns a [`Balancer`] over all instances of a component.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn balancer<S, R, E>(&self, component: &str) -> Result<Balancer<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        self.inner()?.balancer(component)
    }

    /// Returns the status of the components, in the order of definition. The list is empty if the
    /// system no longer exists.
    #[must_use]
    pub fn status(&self) -> Vec<ComponentStatus> {
        self.0
            .upgrade()
            .map_or_else(Vec::new, |inner| status(&inner))
    }

    /// Rebuilds the handlers of a component, as [`System::renew`](crate::system::System::renew)
    /// does.
    ///
    /// # Errors
    /// [`LookupError::Unknown`] if there is no such component, [`LookupError::NotStarted`] if it
    /// has not started yet, [`LookupError::Gone`] if the system no longer exists. Nothing happens
    /// then.
    pub fn renew(&self, component: &str) -> Result<(), LookupError> {
        self.inner()?.renew(component)
    }

    /// Stops a component and those that need it, as
    /// [`System::stop_component`](crate::system::System::stop_component) does. The operation keeps
    /// the system alive until it is ready or dropped.
    ///
    /// # Errors
    /// As those of [`renew`](Self::renew).
    ///
    /// # Cancel safety
    /// As that of [`System::stop_component`](crate::system::System::stop_component).
    pub fn stop_component(
        &self,
        component: &str,
        how: Stop,
        within: Duration,
    ) -> Result<Operation<Report>, LookupError> {
        stop_component(self.inner()?, component, how, within)
    }

    /// Returns an error if there is no such component.
    pub(in crate::system) fn check(&self, component: &str) -> Result<(), LookupError> {
        self.inner()?.find(component).map(|_| ())
    }

    fn inner(&self) -> Result<Arc<Inner>, LookupError> {
        self.0.upgrade().ok_or(LookupError::Gone)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Inner {
    pub(in crate::system) fn client<S, R, E>(
        &self,
        name: &str,
    ) -> Result<Client<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        match self.find_up(name)? {
            (component, [instance]) => client(component, instance),
            (component, instances) => Err(LookupError::Several {
                component: component.name.to_string(),
                instances: instances.len(),
            }),
        }
    }

    pub(in crate::system) fn instance<S, R, E>(
        &self,
        name: &str,
        number: usize,
    ) -> Result<Client<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let (component, instances) = self.find_up(name)?;
        match instances.get(number) {
            Some(instance) => client(component, instance),
            None => Err(LookupError::Instance {
                component: component.name.to_string(),
                instance: number,
                instances: instances.len(),
            }),
        }
    }

    pub(in crate::system) fn balancer<S, R, E>(
        &self,
        name: &str,
    ) -> Result<Balancer<S, R, E>, LookupError>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let (component, instances) = self.find_up(name)?;
        let clients = instances.iter().map(|instance| client(component, instance));
        Ok(Balancer::new(clients.collect::<Result<_, _>>()?))
    }

    fn find(&self, name: &str) -> Result<&Component, LookupError> {
        self.component(name).ok_or_else(|| LookupError::Unknown {
            name: name.to_owned(),
            known: self
                .components
                .iter()
                .map(|known| known.name.to_string())
                .collect(),
        })
    }

    /// Returns the instances of a component that has started, even if they have ended since.
    pub(in crate::system) fn launched(&self, name: &str) -> Result<&[Instance], LookupError> {
        self.find_up(name).map(|(_, instances)| instances)
    }

    /// Rebuilds the handlers of a component.
    pub(in crate::system) fn renew(&self, name: &str) -> Result<(), LookupError> {
        for instance in self.launched(name)? {
            let renews = instance.stopper.renew();
            debug_assert!(renews, "components are made by factories");
        }
        Ok(())
    }

    fn find_up(&self, name: &str) -> Result<(&Component, &[Instance]), LookupError> {
        let component = self.find(name)?;
        match component.instances.get() {
            // ORDERING: Acquire pairs with the Release store at the end of the component's start. A
            // caller that finds the component sees everything that the start has written.
            Some(instances) if component.is_up.load(Ordering::Acquire) => {
                Ok((component, instances))
            }
            _ => Err(LookupError::NotStarted {
                component: name.to_owned(),
            }),
        }
    }
}

fn client<S, R, E>(
    component: &Component,
    instance: &Instance,
) -> Result<Client<S, R, E>, LookupError>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let client = instance.client.as_any().downcast_ref::<Client<S, R, E>>();
    client.cloned().ok_or_else(|| LookupError::Type {
        component: component.name.to_string(),
        asked: type_name::<Client<S, R, E>>(),
        is: instance.client.type_name(),
    })
}
