//! The context from which a component's factory creates a handler.

use std::{fmt, ops::Deref, sync::Arc};

use ump::Client;

use crate::Context;
use crate::system::{
    report::error::LookupError, run::balancer::Balancer, run::directory::Directory,
};

/// The context of a component's factory: the [`Context`] of the loop, and clients of the components
/// that this component needs. These have started before the factory is called.
///
/// ```
/// # use std::{convert::Infallible, time::Duration};
/// # use ump_server::{Stop, system::{Attributes, System}, thread};
/// let system = System::builder()
///     .thread("double", Attributes::new(), |_| {
///         Ok(thread::reply(|n: u64| 2 * n))
///     })
///     .thread("quadruple", Attributes::new().needs("double"), |setup| {
///         let double = setup.client::<u64, u64, Infallible>("double")?;
///         Ok(thread::answer(move |n: u64| double.req(2 * n).map_err(drop)))
///     })
///     .start(Duration::from_secs(5))
///     .wait()?;
/// assert_eq!(system.client::<u64, u64, ()>("quadruple")?.req(3), Ok(12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Look up clients in the factory, not where the handler uses them: then a missing component is an
/// error at the start.
pub struct ComponentContext<'a, S, R, E, T = ()> {
    context: &'a Context<S, R, E, T>,
    site: &'a Site,
}

/// The instance of a handler, and the components that it may look up.
pub(in crate::system) struct Site {
    pub(in crate::system) component: Arc<str>,
    pub(in crate::system) instance: usize,
    pub(in crate::system) needs: Arc<[String]>,
    pub(in crate::system) directory: Directory,
}

impl<'a, S, R, E, T> ComponentContext<'a, S, R, E, T> {
    pub(in crate::system) fn new(context: &'a Context<S, R, E, T>, site: &'a Site) -> Self {
        Self { context, site }
    }

    /// Returns the client of a component that this component needs and that has one instance.
    ///
    /// # Errors
    /// See [`LookupError`]. It is [`NotNeeded`](LookupError::NotNeeded) if the attributes of this
    /// component do not say that it [needs](crate::system::Attributes::needs) the other one.
    pub fn client<S2, R2, E2>(&self, component: &str) -> Result<Client<S2, R2, E2>, LookupError>
    where
        S2: Send + 'static,
        R2: Send + 'static,
        E2: Send + 'static,
    {
        self.needed(component)?.client(component)
    }

    /// Returns the client of one instance, counted from zero, of a component that this component
    /// needs.
    ///
    /// # Errors
    /// See [`LookupError`], and [`client`](Self::client).
    pub fn instance<S2, R2, E2>(
        &self,
        component: &str,
        instance: usize,
    ) -> Result<Client<S2, R2, E2>, LookupError>
    where
        S2: Send + 'static,
        R2: Send + 'static,
        E2: Send + 'static,
    {
        self.needed(component)?.instance(component, instance)
    }

    /// Returns a [`Balancer`] over all instances of a component that this component needs.
    ///
    /// # Errors
    /// See [`LookupError`], and [`client`](Self::client).
    pub fn balancer<S2, R2, E2>(&self, component: &str) -> Result<Balancer<S2, R2, E2>, LookupError>
    where
        S2: Send + 'static,
        R2: Send + 'static,
        E2: Send + 'static,
    {
        self.needed(component)?.balancer(component)
    }

    /// Returns the name of the component.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.site.component
    }

    /// Returns the number of the instance that the handler belongs to, from zero.
    #[must_use]
    pub fn number(&self) -> usize {
        self.site.instance
    }

    /// Returns a [`Directory`], which looks up components later and returns their status.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.site.directory.clone()
    }

    fn needed(&self, name: &str) -> Result<&Directory, LookupError> {
        let Site {
            component,
            needs,
            directory,
            ..
        } = self.site;
        if needs.iter().any(|need| need == name) {
            return Ok(directory);
        }
        // If there is no such component, `Unknown` is the more useful error.
        directory.check(name)?;
        Err(LookupError::NotNeeded {
            name: name.to_owned(),
            by: component.to_string(),
        })
    }
}

impl<S, R, E, T> Deref for ComponentContext<'_, S, R, E, T> {
    type Target = Context<S, R, E, T>;

    fn deref(&self) -> &Self::Target {
        self.context
    }
}

impl<S, R, E, T> fmt::Debug for ComponentContext<'_, S, R, E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentContext")
            .field("component", &self.component())
            .field("instance", &self.number())
            .field("context", &self.context)
            .finish()
    }
}
