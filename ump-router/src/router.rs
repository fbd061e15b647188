//! The front of everything.

use std::{fmt, panic::Location, sync::Arc};

use ump::Clock;

use crate::{
    error::Error,
    presence::{RetainedStatus, ServerStatus, SubscriptionStatus},
    protocol::{Message, RequestMessage},
    publish::{Publish, Received, SubscribeOptions, Subscription},
    registry::Registry,
    serve::{Call, Claim, Request, ServeOptions, Server},
    topic::{IntoPattern, IntoTopic},
};

/// Brings those together who know nothing of each other but a topic. Clones are the same router.
///
/// A router has no thread: who publishes puts the message into the subscribers' queues, who asks puts the request into the server's. When its last
/// clone is dropped it is [closed](Self::close).
///
/// ```
/// # use ump_router::{Message, RequestMessage, Router};
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
/// assert_eq!(prices.recv()?.0, 3000.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    registry: Registry,
}

impl Router {
    /// A router of its own, with nobody there.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// The same by another clock: timeouts and deadlines are by it, also those of the servers' channels. A test advances it by hand.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let registry = Registry::new(clock);
        Self(Arc::new(Inner { registry }))
    }

    /// Subscribes to all messages of a type whose topics the pattern fits: with room for 1,024 of them, of which the oldest makes way.
    ///
    /// Everything that is published after this has returned is received, if there is room.
    ///
    /// # Errors
    /// The pattern is none, the prefix of the type is not its own, or the router was closed.
    pub fn subscribe<M: Message>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<Subscription<M>, Error> {
        self.subscribe_with(pattern, SubscribeOptions::new())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), and a capacity of zero.
    pub fn subscribe_with<M: Message>(
        &self,
        pattern: impl IntoPattern,
        options: SubscribeOptions,
    ) -> Result<Subscription<M>, Error> {
        self.0
            .registry
            .bus()?
            .subscribe(pattern.into_pattern()?, options)
    }

    /// Publishes a message on a topic, or on all topics of a pattern, when it is waited for or awaited.
    pub fn publish<M: Message>(&self, topic: impl IntoPattern, message: M) -> Publish<M> {
        Publish::new(
            self.0.registry.bus().cloned(),
            topic.into_pattern(),
            message,
        )
    }

    /// Retains the last message of a topic no more, and gives it back.
    ///
    /// # Errors
    /// The topic is none, the prefix of the type is not its own, or the router was closed.
    pub fn forget<M: Message>(&self, topic: impl IntoTopic) -> Result<Option<Received<M>>, Error> {
        let topic = topic.into_topic()?;
        self.0.registry.bus()?.forget(&topic)
    }

    /// Serves a topic, with an unbounded queue.
    ///
    /// # Errors
    /// The topic is none, or has a server already; the prefix of the type is not its own, or the router was closed.
    pub fn serve<P: RequestMessage>(&self, topic: impl IntoTopic) -> Result<Server<P>, Error> {
        self.serve_with(topic, ServeOptions::new())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`serve`](Self::serve), and a capacity of zero.
    pub fn serve_with<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
        options: ServeOptions,
    ) -> Result<Server<P>, Error> {
        self.0
            .registry
            .servers_of()?
            .serve(topic.into_topic()?, options)
    }

    /// Lets a server that there is already serve a topic, too: a loop of `ump-server`, say. It may serve many.
    ///
    /// The router keeps the client until the claim is dropped, or the server has ended; so the channel does not end before. Of a server that has ended
    /// already the claim is [over](Claim::is_serving) from the beginning.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_by<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
        client: ump::Client<Call<P>, P::Reply, P::Error>,
        options: ServeOptions,
    ) -> Result<Claim, Error> {
        self.0
            .registry
            .servers_of()?
            .claim(topic.into_topic()?, client, options)
    }

    /// Begins a request to the server of a topic, which is made when it is waited for or awaited.
    ///
    /// Its handler sees this call as [its caller](ump::ReplyContext::caller).
    #[track_caller]
    pub fn request<P: RequestMessage>(&self, topic: impl IntoTopic, message: P) -> Request<P> {
        Request::new(&self.0.registry, topic, message, Location::caller())
    }

    /// All subscriptions there are, in no order.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.0.registry.subscriptions()
    }

    /// All topics whose last message is retained, in no order.
    #[must_use]
    pub fn retained(&self) -> Vec<RetainedStatus> {
        self.0.registry.retained()
    }

    /// All servers there are, in no order; those of one topic in line.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.0.registry.servers()
    }

    /// Ends everything: subscriptions end when what is queued was received, servers when what is queued was served, and nothing more is
    /// published, asked, subscribed or served.
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
