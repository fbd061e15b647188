//! What the handler of a component is made with.

use std::{fmt, ops::Deref, sync::Arc};

use ump::Client;

use crate::Context;
use crate::system::{
    report::error::LookupError, run::balancer::Balancer, run::directory::Directory,
};

/// What the factory of a component is given: the [`Context`] of the loop, and clients of the
/// components that it needs, which are up by then.
///
/// ```
/// # use std::time::Duration;
/// # use ump_server::{Stop, system::{Attributes, ComponentContext, System}, thread};
/// let system = System::builder()
///     .thread("double", Attributes::new(), |_: &ComponentContext<u64, u64, ()>| {
///         Ok(thread::answer(|n: u64| Ok(2 * n)))
///     })
///     .thread("quadruple", Attributes::new().needs("double"), |setup: &ComponentContext<u64, u64, ()>| {
///         let double = setup.client::<u64, u64, ()>("double")?;
///         Ok(thread::answer(move |n: u64| double.req(2 * n).map_err(drop)))
///     })
///     .start(Duration::from_secs(5))
///     .wait()?;
/// assert_eq!(system.client::<u64, u64, ()>("quadruple")?.req(3), Ok(12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clients are looked up where the handler is made, not where they are used: a component that is
/// missing is an error at the start.
pub struct ComponentContext<'a, S, R, E, T = ()> {
    context: &'a Context<S, R, E, T>,
    site: &'a Site,
}

/// Where in a system an instance is.
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

    /// The client of a component that this one needs, and which has one instance.
    ///
    /// # Errors
    /// See [`LookupError`]; [`NotNeeded`](LookupError::NotNeeded) if its attributes do not say so.
    pub fn client<S2, R2, E2>(&self, component: &str) -> Result<Client<S2, R2, E2>, LookupError>
    where
        S2: Send + 'static,
        R2: Send + 'static,
        E2: Send + 'static,
    {
        self.needed(component)?.client(component)
    }

    /// The client of one instance of a component that this one needs.
    ///
    /// # Errors
    /// Like [`client`](Self::client).
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

    /// The clients of all instances of a component that this one needs.
    ///
    /// # Errors
    /// Like [`client`](Self::client).
    pub fn balancer<S2, R2, E2>(&self, component: &str) -> Result<Balancer<S2, R2, E2>, LookupError>
    where
        S2: Send + 'static,
        R2: Send + 'static,
        E2: Send + 'static,
    {
        self.needed(component)?.balancer(component)
    }

    /// The name of the component.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.site.component
    }

    /// Which instance of the component the handler is for, from zero.
    #[must_use]
    pub fn number(&self) -> usize {
        self.site.instance
    }

    /// Looks up components later on, and says how they are.
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
        // That it does not exist is worth more to know.
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
