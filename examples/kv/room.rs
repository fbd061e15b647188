//! Memory for values on their way: so many bytes in all, however many clients there are and however slowly they read or write.
//!
//! A small value needs no room: there are no more of them than connections, or requests in a batch.

use std::{fmt, sync::Arc, time::Duration};

use axum::body::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// In bytes.
const ROOM: u32 = 64 * 1024 * 1024;

/// Values of up to so many bytes need none of it.
const SMALL: usize = 32 * 1024;

/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

/// A value in memory, which takes room until it is dropped.
pub(crate) struct Held {
    value: Box<[u8]>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM as usize)))
    }

    /// Copies a value, if there is room for it.
    pub(crate) fn hold(&self, value: &[u8]) -> Option<Held> {
        let permit = if value.len() <= SMALL {
            None
        } else {
            let bytes = u32::try_from(value.len()).unwrap_or(ROOM).min(ROOM);
            Some(Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()?)
        };
        let value = value.into();
        Some(Held {
            value,
            _permit: permit,
        })
    }

    /// Waits for room for a value that is to come; `None` if there is none in time.
    pub(crate) async fn reserve(&self, bytes: usize, timeout: Duration) -> Option<Reserved> {
        if bytes <= SMALL {
            return Some(Reserved(None));
        }
        let bytes = u32::try_from(bytes).unwrap_or(ROOM).min(ROOM);
        let permit = Arc::clone(&self.0).acquire_many_owned(bytes);
        let permit = time::timeout(timeout, permit).await.ok()?.ok()?;
        Some(Reserved(Some(permit)))
    }
}

/// Room for a value that is to come.
#[derive(Debug)]
pub(crate) struct Reserved(Option<OwnedSemaphorePermit>);

impl Reserved {
    /// The value takes it until it is dropped.
    pub(crate) fn with(self, value: Bytes) -> Bytes {
        match self.0 {
            None => value,
            Some(permit) => Bytes::from_owner(Kept(value, permit)),
        }
    }
}

struct Kept(
    Bytes,
    #[allow(dead_code, reason = "it is kept")] OwnedSemaphorePermit,
);

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.value.len())
    }
}
