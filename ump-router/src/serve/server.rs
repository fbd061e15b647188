//! The server end of a topic.

use std::{
    fmt,
    iter::FusedIterator,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{call::Call, claim::Claim};
use crate::{close_handle::CloseHandle, link, protocol::RequestMessage, topic::Topic};

type ChannelServer<P> =
    ump::Server<Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

/// Serves a topic: receives the requests that are made on it. From
/// [`Router::serve`](crate::Router::serve).
///
/// It derefs to the [`ump::Server`] of its channel and is used like one: [`wait`](Self::wait)
/// blocks, [`iter`](Self::iter) and [`stream`](ump::Server::stream) return many requests. Each
/// [`Call`] has the topic that it was made on.
///
/// When the server is dropped, the first standby serves the topic, if there is one. Requests in the
/// dropped server's queue end at once, unexecuted.
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
    // The first field: the claim ends before the queue is dropped, so that no more requests come.
    claim: Claim,
    requests: ChannelServer<P>,
}

impl<P: RequestMessage> Server<P> {
    pub(super) fn new(claim: Claim, requests: ChannelServer<P>) -> Self {
        Self { claim, requests }
    }

    /// Blocks until there is a request and takes it, as [`ump::Server::wait`] does. If the last
    /// requests came by a link, the thread waits for the link's socket by itself, so it is woken
    /// sooner for the next one.
    ///
    /// Then it also decodes what else the link brings, drops messages and wakes others. So do not
    /// call it with a lock that these take.
    ///
    /// # Errors
    /// Returns [`ump::Error::ClientsDisappeared`] if the queue is empty, and the router or the
    /// server was closed.
    pub fn wait(&self) -> Result<Received<P>, ump::Error<P::Error>> {
        link::wait_for_request(&self.requests)
    }

    /// Returns a blocking iterator over the requests. It ends when [`wait`](Self::wait) fails.
    #[must_use]
    pub fn iter(&self) -> ServerIter<'_, P> {
        ServerIter(self)
    }

    /// Returns the topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        self.claim.topic()
    }

    /// Returns whether requests on the topic come to this server now; see [`Claim::is_serving`].
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.claim.is_serving()
    }

    /// Returns a handle that ends the claim from outside. The server gets its end
    /// ([`ump::Error::ClientsDisappeared`]) when it has served the requests that it has; a thread
    /// or task that waits for a request gets it at once, unless a [request](crate::Request) that is
    /// neither made nor dropped keeps the channel alive. Unlike [`close`](ump::Server::close), it
    /// needs no reference to the server.
    #[must_use]
    pub fn close_handle(&self) -> CloseHandle {
        self.claim.close_handle()
    }

    /// Returns whether the server stands by, until those before it leave.
    #[must_use]
    pub fn is_standing_by(&self) -> bool {
        self.claim.is_standing_by()
    }
}

impl<P: RequestMessage> Deref for Server<P> {
    type Target = ChannelServer<P>;

    fn deref(&self) -> &Self::Target {
        &self.requests
    }
}

/// The stream of [`ump::Server`].
impl<P: RequestMessage> Stream for Server<P> {
    type Item = Received<P>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_wait(cx).map(Result::ok)
    }
}

/// A request to the server of a topic, with what replies to it.
type Received<P> = (
    Call<P>,
    ump::ReplyContext<<P as RequestMessage>::Reply, <P as RequestMessage>::Error>,
);

/// A blocking iterator over the requests of a [`Server`]. From [`Server::iter`].
pub struct ServerIter<'a, P: RequestMessage>(&'a Server<P>);

impl<P: RequestMessage> Iterator for ServerIter<'_, P> {
    type Item = Received<P>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.wait().ok()
    }
}

/// A channel without clients stays so, and a closed channel stays closed.
impl<P: RequestMessage> FusedIterator for ServerIter<'_, P> {}

impl<P: RequestMessage> Clone for ServerIter<'_, P> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<P: RequestMessage> fmt::Debug for ServerIter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerIter").field(self.0).finish()
    }
}

impl<'a, P: RequestMessage> IntoIterator for &'a Server<P> {
    type Item = Received<P>;
    type IntoIter = ServerIter<'a, P>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
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
