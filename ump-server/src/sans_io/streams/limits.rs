//! The limits of connections.

use std::time::Duration;

/// The limits of each connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::sans_io) struct StreamLimits {
    /// The size of the send buffer.
    pub(in crate::sans_io) send_buffer: usize,
    pub(in crate::sans_io) high_water: usize,
    /// Whether a connection is not read while it is above the high-water mark.
    pub(in crate::sans_io) pauses_blocked: bool,
    pub(in crate::sans_io) stall_timeout: Duration,
    pub(in crate::sans_io) close_timeout: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            send_buffer: 256 * 1_024,
            high_water: 64 * 1_024,
            pauses_blocked: true,
            stall_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// The methods by which the sockets of a driver set the limits of their `connections`.
#[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
macro_rules! limit_methods {
    () => {
        fn limits(
            mut self,
            change: impl FnOnce(&mut crate::sans_io::streams::StreamLimits),
        ) -> Self {
            change(&mut self.connections.limits);
            self
        }

        /// Sets the size of the send buffer of each connection, in bytes. A single output is taken
        /// in any case if the buffer is empty.
        #[must_use]
        pub fn send_buffer(self, bytes: usize) -> Self {
            self.limits(|limits| limits.send_buffer = bytes)
        }

        /// Sets the high-water mark of the send buffer, in bytes: see
        /// [`StreamInput::Blocked`].
        #[must_use]
        pub fn high_water(self, bytes: usize) -> Self {
            self.limits(|limits| limits.high_water = bytes)
        }

        /// Sets whether a connection is not read while it is above the high-water mark. The default
        /// is true: a peer that does not read its answers has to wait with its requests. If both
        /// peers do so, and both send much at the same time, the stall time-out ends the
        /// connection.
        #[must_use]
        pub fn pause_blocked(self, pauses: bool) -> Self {
            self.limits(|limits| limits.pauses_blocked = pauses)
        }

        /// Sets how long a connection may make no progress in sending.
        #[must_use]
        pub fn stall_timeout(self, timeout: std::time::Duration) -> Self {
            self.limits(|limits| limits.stall_timeout = timeout)
        }

        /// Sets how long closing may take: sending what waits, and waiting for the peer's end.
        #[must_use]
        pub fn close_timeout(self, timeout: std::time::Duration) -> Self {
            self.limits(|limits| limits.close_timeout = timeout)
        }
    };
}

#[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
pub(in crate::sans_io) use limit_methods;
