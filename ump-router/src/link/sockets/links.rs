//! What a router has of its links.

use std::sync::Arc;

use super::{
    carried::Carried,
    driver::{self, Command, DriverClient, Runtime},
    error::LinkSetupError,
};
#[cfg(feature = "bridge")]
use crate::notify::Notify;
use crate::{error::Error, registry::Registry, sync::Mutex};

/// The types that travel, and the loop of the links once it is needed.
#[derive(Default)]
pub(crate) struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    carried: Vec<Carried>,
    /// Notified when a type more travels.
    #[cfg(feature = "bridge")]
    carries_more: Arc<Notify>,
    driver: Option<Arc<DriverClient>>,
    runtime: Runtime,
    is_closed: bool,
}

impl Links {
    /// Adds a type that travels, unless it does already.
    pub(super) fn carry(&self, carried: Carried) -> Result<(), Error> {
        let mut state = self.0.lock();
        if let Some(known) = state.carried.iter().find(|it| it.is_same(&carried)) {
            let (prefix, codec) = known.prefix_and_codec();
            if codec == carried.prefix_and_codec().1 {
                return Ok(());
            }
            return Err(Error::OtherCodec { prefix, codec });
        }
        state.carried.push(carried.clone());
        let driver = state.driver.clone();
        #[cfg(feature = "bridge")]
        let carries_more = Arc::clone(&state.carries_more);
        drop(state);
        if let Some(driver) = driver {
            driver.post(Command::Carry(carried));
        }
        #[cfg(feature = "bridge")]
        carries_more.notify_waiters().wake_all();
        Ok(())
    }

    #[cfg(feature = "bridge")]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().is_closed
    }

    /// Returns the types that travel, without the first ones.
    #[cfg(feature = "bridge")]
    pub(crate) fn carried_after(&self, known: usize) -> Vec<Carried> {
        let state = self.0.lock();
        state.carried.iter().skip(known).cloned().collect()
    }

    /// Returns what is found for the first of the types that travel for which there is something.
    #[cfg(feature = "bridge")]
    pub(crate) fn find_carried<T>(&self, find: impl FnMut(&Carried) -> Option<T>) -> Option<T> {
        self.0.lock().carried.iter().find_map(find)
    }

    /// Returns what is notified when a type more travels.
    #[cfg(feature = "bridge")]
    pub(crate) fn carries_more(&self) -> Arc<Notify> {
        Arc::clone(&self.0.lock().carries_more)
    }

    /// Returns the loop, which is started if there is none.
    pub(super) fn driver(&self, registry: &Registry) -> Result<Arc<DriverClient>, LinkSetupError> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(LinkSetupError::Closed);
        }
        if let Some(driver) = &state.driver {
            if driver.has_ended() {
                return Err(driver.when_ended());
            }
            return Ok(Arc::clone(driver));
        }
        let driver = driver::start(registry, state.carried.clone(), &state.runtime)?;
        state.driver = Some(Arc::clone(&driver));
        Ok(driver)
    }

    /// Sets the runtime of the loop that is started with the next link.
    #[cfg(feature = "tokio")]
    pub(super) fn drive_on(&self, runtime: Runtime) -> Result<(), LinkSetupError> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(LinkSetupError::Closed);
        }
        if state.driver.as_ref().is_some_and(|it| !it.has_ended()) {
            return Err(LinkSetupError::AlreadyRunning);
        }
        let ended = state.driver.take();
        state.runtime = runtime;
        drop(state);
        drop(ended);
        Ok(())
    }

    /// Returns the loop, if there is one.
    pub(super) fn current(&self) -> Option<Arc<DriverClient>> {
        self.0.lock().driver.clone()
    }

    /// Closes all links.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.post(Command::Shutdown);
        }
    }
}
