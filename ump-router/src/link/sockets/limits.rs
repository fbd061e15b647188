//! How much routers at the other ends of links may retain.

/// The maximum of retained messages that links have brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetainedLimits {
    pub(super) messages: usize,
    /// Of payloads and topics, and what each message needs besides.
    pub(super) bytes: usize,
}

impl Default for RetainedLimits {
    fn default() -> Self {
        Self {
            messages: 1 << 16,
            bytes: 64 << 20,
        }
    }
}
