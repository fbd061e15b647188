//! What a router has of links without the feature: nothing.

#[derive(Default)]
pub(crate) struct Links(());

impl Links {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn close(&self) {}
}

/// Waits for a reply.
pub(crate) fn while_blocking<T>(wait: impl FnOnce() -> T) -> T {
    wait()
}
