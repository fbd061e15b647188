//! The end-point that serves a topic.

use std::{
    fmt,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{call::Call, claim::Claim, serving::Requests};
use crate::{protocol::RequestMessage, topic::Topic};

/// Serves a topic: requests that are made on it come out here. From [`Router::serve`](crate::Router::serve).
///
/// It is the [`ump::Server`] of a channel, and is used like one: [`wait`](ump::Server::wait), [`async_wait`](ump::Server::async_wait), an
/// iterator, a stream. Each [`Call`] says on which topic it was made. When it is dropped the next in line serves, or nobody; requests that are
/// queued here end at once, unexecuted.
///
/// ```
/// # use ump_router::{RequestMessage, Router};
/// # struct Double(u32);
/// # impl RequestMessage for Double { type Reply = u32; type Error = (); const PREFIX: &str = "double"; }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let server = router.serve::<Double>("here")?;
/// # let server_ends =
/// std::thread::spawn(move || {
///     for (call, rctx) in &server {
///         let _ = rctx.reply(call.message.0 * 2);
///     }
/// });
/// assert_eq!(router.request("here", Double(21)).wait().ok(), Some(42));
/// router.close();
/// # server_ends.join().unwrap();
/// # Ok(())
/// # }
/// ```
pub struct Server<P: RequestMessage> {
    // First, so that nothing more comes here before the queue is dropped.
    claim: Claim,
    requests: Requests<P>,
}

impl<P: RequestMessage> Server<P> {
    pub(super) fn new(claim: Claim, requests: Requests<P>) -> Self {
        Self { claim, requests }
    }

    /// The topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        self.claim.topic()
    }

    /// Whether requests come here now; see [`Claim::is_serving`].
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.claim.is_serving()
    }

    /// Whether it waits for those before it to leave.
    #[must_use]
    pub fn is_standing_by(&self) -> bool {
        self.claim.is_standing_by()
    }
}

impl<P: RequestMessage> Deref for Server<P> {
    type Target = ump::Server<Call<P>, P::Reply, P::Error>;

    fn deref(&self) -> &Self::Target {
        &self.requests
    }
}

/// As that of [`ump::Server`].
impl<P: RequestMessage> Stream for Server<P> {
    type Item = (Call<P>, ump::ReplyContext<P::Reply, P::Error>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_wait(cx).map(Result::ok)
    }
}

/// As that of [`ump::Server`]: it blocks.
impl<'a, P: RequestMessage> IntoIterator for &'a Server<P> {
    type Item = (Call<P>, ump::ReplyContext<P::Reply, P::Error>);
    type IntoIter = ump::Iter<'a, Call<P>, P::Reply, P::Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.requests.iter()
    }
}

impl<P: RequestMessage> fmt::Debug for Server<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("topic", self.topic())
            .field("is_serving", &self.is_serving())
            .finish_non_exhaustive()
    }
}
