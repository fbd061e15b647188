//! A client of whichever server a topic has.

use std::{fmt, marker::PhantomData};

use ump::Ask;

use crate::{
    error::Error,
    protocol::RequestMessage,
    router::Router,
    serve::{PinnedClient, Request, Typed},
    topic::{IntoTopic, Topic},
};

/// A client of whichever server a topic has: a router and a topic, for messages `P`.
///
/// It is for callers that should not know the router and its topics. It keeps the router open. It
/// does not know a server: each request looks up the topic.
///
/// ```
/// # use ump_router::{RequestMessage, Router, TopicClient};
/// # struct Double(u32);
/// # impl RequestMessage for Double { type Reply = u32; type Error = (); const PREFIX: &str = "double"; }
/// # fn main() -> Result<(), ump_router::Error> {
/// let router = Router::new();
/// let client = TopicClient::new(&router, "here")?;
/// # let server = router.serve::<Double>("here")?;
/// # let serves = std::thread::spawn(move || {
/// #     let (call, rctx) = server.wait().unwrap();
/// #     rctx.reply(call.message.0 * 2).unwrap();
/// # });
/// assert_eq!(client.request(Double(21)).wait().ok(), Some(42)); // or `.await`
/// # serves.join().unwrap();
/// # Ok(())
/// # }
/// ```
pub struct TopicClient<P> {
    router: Router,
    topic: Topic,
    message: PhantomData<fn(P)>,
}

impl<P> TopicClient<P> {
    /// Creates a client for a topic, which need not have a server.
    ///
    /// # Errors
    /// [`Error::Topic`]: the topic is not valid.
    pub fn new(router: &Router, topic: impl IntoTopic) -> Result<Self, Error> {
        Ok(Self {
            router: router.clone(),
            topic: topic.into_topic()?,
            message: PhantomData,
        })
    }

    /// Returns the topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the router.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }
}

impl<P: RequestMessage> TopicClient<P> {
    /// Makes a request to the server of the topic. See [`Router::request`].
    #[track_caller]
    pub fn request(&self, message: P) -> Request<P> {
        self.router.request(&self.topic, message)
    }

    /// Makes a request to the server of the topic, by a message that names its own reply. See
    /// [`Router::ask`].
    #[track_caller]
    pub fn ask<M: Ask<P, P::Reply, P::Error>>(&self, message: M) -> Typed<Request<P>, M> {
        self.router.ask(&self.topic, message)
    }
}

impl<P: RequestMessage> TopicClient<P> {
    /// Returns a client of the server that the topic has now. See [`Router::pin`].
    ///
    /// # Errors
    /// See [`Router::pin`].
    pub fn pin(&self) -> Result<Option<PinnedClient<P>>, Error> {
        self.router.pin(&self.topic)
    }
}

impl<P> Clone for TopicClient<P> {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
            topic: self.topic.clone(),
            message: PhantomData,
        }
    }
}

impl<P> fmt::Debug for TopicClient<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicClient")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
