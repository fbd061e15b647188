//! What a router has of its links.

use std::sync::Arc;

use super::{
    carried::Carried,
    driver::{self, Command, DriverClient},
    error::LinkSetupError,
};
#[cfg(feature = "bridge")]
use crate::notify::Notify;
use crate::{error::Error, registry::Registry, sync::Mutex};

/// The types that travel, and the thread of the links once it is needed.
#[derive(Default)]
pub(crate) struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    carried: Vec<Carried>,
    /// Notified when a type more travels.
    #[cfg(feature = "bridge")]
    carries_more: Arc<Notify>,
    driver: Option<Arc<DriverClient>>,
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
            // An error if the router was closed meanwhile.
            let _ = driver.post(Command::Carry(carried)).wait();
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
            return Ok(Arc::clone(driver));
        }
        let driver = Arc::new(driver::start(registry, state.carried.clone())?);
        state.driver = Some(Arc::clone(&driver));
        Ok(driver)
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
            // An error if the loop has ended.
            let _ = driver.post(Command::Shutdown).wait();
        }
    }
}
