//! Values whose drops are counted one by one: messages, replies and errors.

use std::sync::{Arc, Mutex, PoisonError};

/// The number of drops of each payload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register(Arc<Mutex<Vec<u8>>>);

impl Register {
    pub(crate) fn payload(&self) -> Payload {
        self.with(|dropped| {
            dropped.push(0);
            Payload {
                id: dropped.len() - 1,
                register: self.clone(),
            }
        })
    }

    pub(crate) fn dropped(&self) -> Vec<u8> {
        self.with(|dropped| dropped.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
pub(crate) struct Payload {
    id: usize,
    register: Register,
}

impl Payload {
    /// Drops the payload, and returns its number.
    pub(crate) fn open(self) -> usize {
        self.id
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.register.with(|dropped| dropped[self.id] += 1);
    }
}
