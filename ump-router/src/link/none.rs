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

/// Waits for a request.
pub(crate) fn wait_for_request<S, R, E>(
    server: &ump::Server<S, R, E>,
) -> Result<(S, ump::ReplyContext<R, E>), ump::Error<E>> {
    server.wait()
}
