//! The public entry point of the crate.

use std::{fmt, panic::Location, sync::Arc};

use ump::{Ask, Clock};

use crate::{
    error::Error,
    link::Links,
    protocol::{Message, RequestMessage},
    publish::{
        Publish, QueueOwner, Received, RetainedMessages, SubscribeOptions, SubscriberWatch,
        Subscription,
    },
    registry::Registry,
    select::Select,
    serve::{Call, Claim, PinnedClient, Request, RequestAll, ServeOptions, Server, Typed},
    topic::{IntoPattern, IntoPatterns, IntoTopic},
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
    links: Links,
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
        let links = Links::default();
        Self(Arc::new(Inner { registry, links }))
    }

    /// Subscribes to all messages of a type whose topics match a pattern, or one of several. The
    /// queue has room for 1,024 messages; when it is full, the oldest is lost.
    ///
    /// All [retained](Publish::retain) messages that match are received first. They take no room in
    /// the queue. Then every message that is published after this has returned is received, if
    /// there is room. A message that matches several of the patterns is received once.
    ///
    /// ```
    /// # use ump_router::{Bytes, Router};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new();
    /// let mut both = router.subscribe::<Bytes>(["door/*", "*/front"])?;
    /// router.publish("door/front", Bytes::from(*b"open")).wait()?;
    /// assert_eq!(both.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Topic`]: a pattern is not valid.
    /// - [`Error::NoPattern`]: there is no pattern, because the array is empty.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn subscribe<M: Message>(
        &self,
        patterns: impl IntoPatterns,
    ) -> Result<Subscription<M>, Error> {
        self.subscribe_with(patterns, SubscribeOptions::new())
    }

    /// Subscribes with explicit options.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), and [`Error::ZeroCapacity`] if the capacity is zero.
    pub fn subscribe_with<M: Message>(
        &self,
        patterns: impl IntoPatterns,
        options: SubscribeOptions,
    ) -> Result<Subscription<M>, Error> {
        let bus = self.0.registry.bus()?;
        Subscription::open(bus, patterns.into_patterns()?, options, QueueOwner::PROGRAM)
    }

    /// Subscribes as a member of a group: each message reaches one of the members. To share work
    /// among threads or tasks.
    ///
    /// The members take from one queue, so a message goes to the member that is free for it first,
    /// and a member that is busy keeps none waiting.
    ///
    /// - A member that **leaves** (its subscription is dropped or [closed](crate::CloseHandle))
    ///   takes nothing with it: the queued messages are for the others. A message that it has
    ///   received is its own. When the last member is dropped, the queued messages are dropped;
    ///   when the last one is closed, that one receives them.
    /// - All members need the same patterns and options. The capacity is that of the group.
    /// - **Order**: messages leave the queue in order, but two members work at the same time. A gap
    ///   ([`RecvError::Missed`](crate::RecvError::Missed)) is told to one of them, in its place.
    /// - The first member brings the [retained](crate::Publish::retain) messages, for all.
    /// - For publishers, for the lists and for changes the group is one subscription.
    ///
    /// The name of a group is a topic. Groups of different types of messages are different groups.
    ///
    /// ```
    /// # use std::thread;
    /// # use ump_router::{Bytes, Router, SubscribeOptions};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new();
    /// let options = SubscribeOptions::new();
    /// let mut workers = Vec::new();
    /// for _ in 0..3 {
    ///     let mut jobs = router.subscribe_shared::<Bytes>("workers", "job/*", options)?;
    ///     workers.push(thread::spawn(move || jobs.iter().count()));
    /// }
    /// for job in 0..10 {
    ///     router.publish(format!("job/{job}"), Bytes::from(*b"work")).wait()?;
    /// }
    /// router.close();
    /// assert_eq!(workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>(), 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`subscribe_with`](Self::subscribe_with), and:
    /// - [`Error::Topic`]: the name of the group is not a topic.
    /// - [`Error::GroupDiffers`]: the group has other patterns or options.
    pub fn subscribe_shared<M: Message>(
        &self,
        group: impl IntoTopic,
        patterns: impl IntoPatterns,
        options: SubscribeOptions,
    ) -> Result<Subscription<M>, Error> {
        let bus = self.0.registry.bus()?;
        let owner = QueueOwner::Group(group.into_topic()?);
        Subscription::open(bus, patterns.into_patterns()?, options, owner)
    }

    /// Returns whether anybody subscribes to messages of this type on a topic, or on any topic of a
    /// pattern. It takes the look-up of publishing, and looks at each subscription that it finds;
    /// if nobody subscribes to a topic, that is one look-up.
    ///
    /// To be told when that changes, see [`watch_subscribers`](Self::watch_subscribers).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn has_subscribers<M: Message>(&self, pattern: impl IntoPattern) -> Result<bool, Error> {
        let bus = self.0.registry.bus::<M>()?;
        bus.has_subscribers(&pattern.into_pattern()?)
    }

    /// Watches whether anybody subscribes to messages of this type on a topic, or on any topic of a
    /// pattern.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn watch_subscribers<M: Message>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<SubscriberWatch<M>, Error> {
        let bus = self.0.registry.bus()?;
        SubscriberWatch::open(bus, pattern.into_pattern()?)
    }

    /// Publishes a message on a topic, or on all topics of a pattern, when the returned value is
    /// waited for (`.wait()`) or awaited.
    ///
    /// Later subscriptions receive it only if it is [retained](Publish::retain). If not, a message
    /// of the topic that was retained before stays.
    pub fn publish<M: Message>(&self, topic: impl IntoPattern, message: M) -> Publish<M> {
        let bus = self.0.registry.bus().cloned();
        Publish::new(bus, topic.into_pattern(), message)
    }

    /// Reads the [retained](Publish::retain) messages whose topics match a pattern, without a
    /// subscription: one topic's, or many, in pages. See [`RetainedMessages`].
    ///
    /// ```
    /// # use ump_router::{Bytes, Router};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new();
    /// router.publish("light/attic", Bytes::from(*b"off")).retain().wait()?;
    /// let light = router.read_retained::<Bytes>("light/attic")?.next();
    /// assert_eq!(&***light.as_ref().unwrap(), b"off");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Topic`]: the pattern is not valid.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn read_retained<M: Message>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<RetainedMessages<M>, Error> {
        let bus = self.0.registry.bus()?;
        RetainedMessages::open(bus, pattern.into_pattern()?)
    }

    /// Removes and returns the [retained](Publish::retain) message of a topic. Later subscriptions
    /// do not receive it.
    ///
    /// Subscriptions that [ask for it](SubscribeOptions::removals) are told. Those that have the
    /// message in their queue receive it still.
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

    /// Removes and returns the [retained](Publish::retain) messages whose topics match a pattern,
    /// in the order in which they were published. Otherwise like
    /// [`remove_retained`](Self::remove_retained).
    ///
    /// They are removed at once, so that nobody sees some of them removed and others not.
    ///
    /// # Errors
    /// As [`read_retained`](Self::read_retained).
    pub fn remove_all_retained<M: Message>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<Vec<Received<M>>, Error> {
        let pattern = pattern.into_pattern()?;
        self.0.registry.bus()?.remove_all_retained(&pattern)
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

    /// Returns a client of the server that a topic has now, for requests that keep their order also
    /// if the server changes. Returns `None` if the topic has no server.
    ///
    /// # Errors
    /// - [`Error::Topic`]: the topic is not valid.
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::Closed`]: the router was closed.
    pub fn pin<P: RequestMessage>(
        &self,
        topic: impl IntoTopic,
    ) -> Result<Option<PinnedClient<P>>, Error> {
        let servers = self.0.registry.servers_of()?;
        PinnedClient::open(servers, topic.into_topic()?)
    }

    /// Makes a request to the server of each topic that matches a pattern. The answers are gathered
    /// as they come, each with its topic and outcome, until all have ended; a deadline is for all.
    ///
    /// With a wildcard it takes a walk through an index of the topics that have a server, which the
    /// first such request makes.
    ///
    /// ```
    /// # use std::{thread, time::Duration};
    /// # use ump_router::{RequestMessage, Router};
    /// # #[derive(Clone)]
    /// # struct Read;
    /// # impl RequestMessage for Read { type Reply = u32; type Error = std::fmt::Error; const PREFIX: &str = "read"; }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new();
    /// # let mut sensors = Vec::new();
    /// for (name, value) in [("sensor/door", 1), ("sensor/roof", 2)] {
    ///     let sensor = router.serve::<Read>(name)?;
    /// #   sensors.push(
    ///     thread::spawn(move || for (_, rctx) in &sensor { let _ = rctx.reply(value); })
    /// #   );
    /// }
    /// let request = router.request_all("sensor/*", Read).timeout(Duration::from_secs(5));
    /// let mut answers = request.send().map_err(|error| error.without_message())?;
    /// let mut sum = 0;
    /// for answer in &mut answers { // blocks for each; `answers.stream()` awaits each
    ///     match answer.outcome {
    ///         Ok(value) => sum += value,
    ///         Err(error) => println!("{}: {error}", answer.topic),
    ///     }
    /// }
    /// assert_eq!(sum, 3);
    ///
    /// let all = router.request_all("sensor/*", Read).wait(); // or `.await`
    /// assert_eq!(all.unwrap().len(), 2);
    /// # router.close();
    /// # sensors.into_iter().for_each(|sensor| sensor.join().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn request_all<P: RequestMessage + Clone>(
        &self,
        pattern: impl IntoPattern,
        message: P,
    ) -> RequestAll<P> {
        let target = self.0.registry.targets(pattern);
        RequestAll::new(target, message, Location::caller())
    }

    /// Returns a [`Select`], which waits for the first of several events, such as the messages of
    /// some subscriptions and the requests at a server.
    #[must_use]
    pub fn select(&self) -> Select {
        Select::new(self.0.registry.clock().clone())
    }

    /// Closes the router.
    ///
    /// A subscription ends when its queued messages were received, a server when its queued
    /// requests were served. From now on nothing can be published, requested, subscribed or served.
    ///
    /// Links are closed: a request that is on its way over one ends.
    pub fn close(&self) {
        self.0.close();
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    #[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
    pub(crate) fn parts(&self) -> (&Registry, &Links) {
        (&self.0.registry, &self.0.links)
    }
}

impl Inner {
    fn close(&self) {
        self.registry.close();
        self.links.close();
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
        self.close();
    }
}
