//! An async service of a library, under the same lints as the [store](crate::store).
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::pedantic
)]

use std::{io, time::Duration};

use ump_server::{service, service::ReplyTo};

/// Writes bytes, with pauses.
#[derive(Clone, Debug, Default)]
pub struct Device {
    written: Vec<u8>,
    cancelled: u32,
}

#[service(topic = "tests/device")]
impl Device {
    /// Writes bytes. Returns how many it has written in all.
    ///
    /// # Errors
    /// Returns an error if there are none.
    pub async fn write(&mut self, bytes: Vec<u8>) -> io::Result<usize> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        tokio::task::yield_now().await;
        self.written.extend(bytes);
        Ok(self.written.len())
    }

    /// Returns what was written.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.written.clone()
    }

    /// Waits until the caller has left.
    pub async fn wait(&mut self, mut reply: ReplyTo<'_, Self, u8>) {
        reply.cancelled().await;
        self.cancelled += 1;
    }

    /// Returns how many callers have left.
    #[must_use]
    pub fn cancelled(&self) -> u32 {
        self.cancelled
    }

    #[timer(after = Duration::from_secs(1))]
    async fn warm_up(&mut self) {
        tokio::task::yield_now().await;
        self.written.push(b'!');
    }

    #[term]
    async fn end(&mut self) {
        tokio::task::yield_now().await;
    }
}
