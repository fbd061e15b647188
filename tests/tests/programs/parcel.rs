//! Values whose drops are counted one by one: messages, replies and errors.

use std::sync::{Arc, Mutex, PoisonError};

/// How often each parcel was dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register(Arc<Mutex<Vec<u8>>>);

impl Register {
    pub(crate) fn parcel(&self) -> Parcel {
        self.with(|deaths| {
            deaths.push(0);
            Parcel {
                id: deaths.len() - 1,
                register: self.clone(),
            }
        })
    }

    pub(crate) fn deaths(&self) -> Vec<u8> {
        self.with(|deaths| deaths.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
pub(crate) struct Parcel {
    id: usize,
    register: Register,
}

impl Parcel {
    /// Which it was; it is dropped.
    pub(crate) fn open(self) -> usize {
        self.id
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.register.with(|deaths| deaths[self.id] += 1);
    }
}
