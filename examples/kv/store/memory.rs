//! A memory budget for the values in transit, however many clients there are and however slow they
//! are.
//!
//! Small values are free: there are no more of them than connections, or requests in a batch.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// The budget, in bytes.
const LIMIT: u32 = 64 * 1024 * 1024;

/// The largest value that does not count, in bytes.
const MAX_FREE: usize = 32 * 1024;

/// A budget in bytes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Semaphore>);

impl MemoryBudget {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LIMIT as usize)))
    }

    /// Copies a value if the budget allows it.
    pub(crate) fn try_copy(&self, value: &[u8]) -> Option<BudgetedValue> {
        let permit = if value.len() <= MAX_FREE {
            None
        } else {
            let bytes = u32::try_from(value.len()).unwrap_or(LIMIT).min(LIMIT);
            Some(Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()?)
        };
        let value = value.into();
        Some(BudgetedValue {
            value,
            _permit: permit,
        })
    }

    /// Waits until the budget allows a value of this length; `None` on timeout.
    pub(crate) async fn reserve(&self, bytes: usize, timeout: Duration) -> Option<Reservation> {
        if bytes <= MAX_FREE {
            return Some(Reservation(None));
        }
        let bytes = u32::try_from(bytes).unwrap_or(LIMIT).min(LIMIT);
        let permit = Arc::clone(&self.0).acquire_many_owned(bytes);
        let permit = time::timeout(timeout, permit).await.ok()?.ok()?;
        Some(Reservation(Some(permit)))
    }
}

/// A value that counts against the budget until it is dropped.
pub(crate) struct BudgetedValue {
    value: Box<[u8]>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for BudgetedValue {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Debug for BudgetedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.value.len())
    }
}

/// A part of the budget for a value that is still to be received.
#[derive(Debug)]
pub(crate) struct Reservation(Option<OwnedSemaphorePermit>);

impl Reservation {
    /// Binds the reservation to the value, until the value is dropped.
    pub(crate) fn bind(self, value: Bytes) -> Bytes {
        match self.0 {
            None => value,
            Some(permit) => Bytes::from_owner(WithPermit(value, permit)),
        }
    }
}

struct WithPermit(
    Bytes,
    #[allow(dead_code, reason = "its drop releases the budget")] OwnedSemaphorePermit,
);

impl AsRef<[u8]> for WithPermit {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
