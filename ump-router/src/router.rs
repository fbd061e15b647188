//! The public entry point of the crate.

use std::{fmt, panic::Location, sync::Arc};

use ump::{Ask, Clock};

use crate::{
    error::Error,
    protocol::{Message, RequestMessage},
    publish::{
        Publish, Received, RetainedStatus, SubscribeOptions, Subscription, SubscriptionStatus,
    },
    registry::Registry,
    serve::{Call, Claim, Request, ServeOptions, Server, ServerStatus, Typed},
    topic::{IntoPattern, IntoTopic},
};

/// Routes messages and requests by topic. Clones are the same router.
///
/// A router has no thread of its own: a publisher puts its message into the queues of the
/// subscribers, and a caller puts its request into the queue of the server. When the last clone is
/// dropped, the router is [closed](Self::close).
///
/// ```
/// # use ump_router::{Message, Router};
/// struct Price(f64);
/// impl Message for Price {
///     const PREFIX: &str = "price";
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut prices = router.subscribe::<Price>("eth/*")?;
/// let published = router.publish("eth/eur", Price(3000.0)).wait()?;
/// assert_eq!((published.matched, published.queued), (1, 1));
/// assert_eq!(prices.recv().wait()?.0, 3000.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    registry: Registry,
}

impl Router {
    /// Creates a router without subscriptions and servers.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// Creates a router whose timeouts and deadlines, and those of its servers' channels, are by
    /// this clock. A test advances a virtual clock by hand.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let registry = Registry::new(clock);
        Self(Arc::new(Inner { registry }))
    }

    /// Subscribes to all messages of a type whose topics match a pattern. The queue has room for
    /// 1,024 messages; when it is full, the oldest is lost.
    ///
    /// Every message that is published after this has returned is received, if there is room.
    ///
    /// # Errors
    /// - [`Error::Topic`]: the pattern is not valid.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn subscribe<M: Message>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<Subscription<M>, Error> {
        self.subscribe_with(pattern, SubscribeOptions::new())
    }

    /// Subscribes with explicit options.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), and [`Error::ZeroCapacity`] if the capacity is zero.
    pub fn subscribe_with<M: Message>(
        &self,
        pattern: impl IntoPattern,
        options: SubscribeOptions,
    ) -> Result<Subscription<M>, Error> {
        let bus = self.0.registry.bus()?;
        Subscription::open(bus, pattern.into_pattern()?, options)
    }

    /// Publishes a message on a topic, or on all topics of a pattern, when the returned value is
    /// waited for (`.wait()`) or awaited.
    pub fn publish<M: Message>(&self, topic: impl IntoPattern, message: M) -> Publish<M> {
        let bus = self.0.registry.bus().cloned();
        Publish::new(bus, topic.into_pattern(), message)
    }

    /// Removes and returns the [retained](Publish::retain) message of a topic.
    ///
    /// # Errors
    /// - [`Error::Topic`]: the topic is not valid.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn remove_retained<M: Message>(
        &self,
        topic: impl IntoTopic,
    ) -> Result<Option<Received<M>>, Error> {
        let topic = topic.into_topic()?;
        self.0.registry.bus()?.remove_retained(&topic)
    }

    /// Serves a topic, with an unbounded queue.
    ///
    /// # Errors
    /// - [`Error::Topic`]: the topic is not valid.
    /// - [`Error::Taken`]: the topic has a server already.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn serve<P: RequestMessage>(&self, topic: impl IntoTopic) -> Result<Server<P>, Error> {
        self.serve_with(topic, ServeOptions::new())
    }

    /// Serves a topic with explicit options.
    ///
    /// # Errors
    /// As [`serve`](Self::serve), and [`Error::ZeroCapacity`] if the capacity is zero.
    pub fn serve_with<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
        options: ServeOptions,
    ) -> Result<Server<P>, Error> {
        let servers = self.0.registry.servers_of()?;
        servers.serve(topic.into_topic()?, options)
    }

    /// Serves a topic by a server that exists already, such as a loop of `ump-server`. One server
    /// can serve many topics.
    ///
    /// The router keeps the client, and so the channel, until the claim is dropped or the server
    /// has ended. If the server has ended already, the claim has [ended](Claim::is_serving), too.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_by<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
        client: ump::Client<Call<P>, P::Reply, P::Error>,
        options: ServeOptions,
    ) -> Result<Claim, Error> {
        let servers = self.0.registry.servers_of()?;
        servers.claim(topic.into_topic()?, client, options)
    }

    /// Serves a topic by a server that exists already, and whose messages are without the topic: a
    /// loop for messages `P`, such as a typed service, which need not know that it has a topic.
    /// Otherwise like [`serve_by`](Self::serve_by).
    ///
    /// # Errors
    /// As for [`serve`](Self::serve).
    pub fn serve_messages_by<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
        client: ump::Client<P, P::Reply, P::Error>,
        options: ServeOptions,
    ) -> Result<Claim, Error> {
        let servers = self.0.registry.servers_of()?;
        servers.claim(topic.into_topic()?, client, options)
    }

    /// Makes a request to the server of a topic, when the returned value is waited for (`.wait()`)
    /// or awaited.
    ///
    /// The handler sees the source location of this call as
    /// [its caller](ump::ReplyContext::caller).
    #[track_caller]
    pub fn request<P: RequestMessage>(&self, topic: impl IntoTopic, message: P) -> Request<P> {
        let target = self.0.registry.target(topic);
        Request::new(target, message, Location::caller())
    }

    /// Makes a request to the server of a topic, by a message that [names its own reply](ump::Ask).
    /// See [`request`](Self::request).
    ///
    /// ```
    /// # use ump_router::{RequestMessage, Router, ServeOptions};
    /// # use ump_server::{service, thread};
    /// #[derive(Default)]
    /// struct Store(std::collections::HashMap<u32, String>);
    ///
    /// #[service]
    /// impl Store {
    ///     fn get(&self, key: u32) -> Option<String> {
    ///         self.0.get(&key).cloned()
    ///     }
    /// }
    ///
    /// impl RequestMessage for StoreRequest {
    ///     type Reply = StoreReply;
    ///     type Error = StoreRefusal;
    ///     const PREFIX: &str = "store";
    /// }
    ///
    /// let router = Router::new();
    /// let (client, _) = thread::serve(Store::default());
    /// let _claim = router.serve_messages_by("main", client, ServeOptions::new())?;
    ///
    /// let value: Option<String> = router.ask("main", StoreGet { key: 1 }).wait().unwrap(); // or `.await`
    /// assert_eq!(value, None);
    /// # Ok::<(), ump_router::Error>(())
    /// ```
    #[track_caller]
    pub fn ask<P, M>(&self, topic: impl IntoTopic, message: M) -> Typed<Request<P>, M>
    where
        P: RequestMessage,
        M: Ask<P, P::Reply, P::Error>,
    {
        Typed::new(self.request(topic, message.into_request()))
    }

    /// Returns the status of all subscriptions, in no particular order.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.0.registry.subscriptions()
    }

    /// Returns all topics with a retained message, in no particular order.
    #[must_use]
    pub fn retained(&self) -> Vec<RetainedStatus> {
        self.0.registry.retained()
    }

    /// Returns the status of all servers and standbys, in no particular order; those of one topic
    /// in the order in which they serve.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.0.registry.servers()
    }

    /// Closes the router.
    ///
    /// A subscription ends when its queued messages were received, a server when its queued
    /// requests were served. From now on nothing can be published, requested, subscribed or served.
    pub fn close(&self) {
        self.0.registry.close();
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Router")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.registry.close();
    }
}
