//! Wakers that run user code: a router calls them while it holds no lock.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use ump_router::{
    Message, Published, ReceivedAs, RecvError, RequestError, RequestMessage, Router,
    SubscribeOptions, Subscription, WhenFull, ump::ManualClock,
};

#[derive(Debug)]
struct Number(u64);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

#[derive(Clone, Debug)]
struct Ask;

impl RequestMessage for Ask {
    type Reply = ();
    type Error = ();
    const PREFIX: &'static str = "ask";
}

const LONG: Duration = Duration::from_secs(60);

/// A minimal executor: its waker polls the task at once, and also reads the router's lists.
struct Inline<T> {
    router: Router,
    future: Mutex<Option<Pin<Box<dyn Future<Output = T> + Send>>>>,
    output: Mutex<Option<T>>,
}

impl<T: Send + 'static> Inline<T> {
    fn start(router: &Router, future: impl Future<Output = T> + Send + 'static) -> Arc<Self> {
        let task = Arc::new(Self {
            router: router.clone(),
            future: Mutex::new(Some(Box::pin(future))),
            output: Mutex::new(None),
        });
        task.poll();
        task
    }

    fn poll(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut future = self.future.lock().unwrap();
        let Some(task) = &mut *future else { return };
        if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
            *future = None;
            *self.output.lock().unwrap() = Some(output);
        }
    }

    fn output(&self) -> Option<T> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.take()
    }
}

impl<T: Send + 'static> Wake for Inline<T> {
    fn wake(self: Arc<Self>) {
        drop(self.router.subscribe::<Number>("**"));
        let _ = (self.router.subscriptions(), self.router.servers());
        self.poll();
    }
}

fn blocking(router: &Router) -> Subscription<Number> {
    let options = SubscribeOptions::new()
        .capacity(1)
        .when_full(WhenFull::Block(LONG));
    let subscription = router.subscribe_with("a", options).unwrap();
    let published = router.publish("a", Number(1)).wait().unwrap();
    assert_eq!(published.queued, 1);
    subscription
}

fn counts(published: Published) -> (usize, usize, usize) {
    (published.matched, published.queued, published.dropped)
}

#[test]
fn a_receiver_may_poll_the_publisher_it_wakes() {
    let router = Router::new();
    let mut subscription = blocking(&router);
    let task = Inline::start(&router, router.publish("a", Number(2)).into_future());
    assert!(task.output().is_none());
    assert_eq!(subscription.recv().wait().unwrap().0, 1);
    assert_eq!(counts(task.output().unwrap().unwrap()), (1, 1, 0));
    assert_eq!(subscription.recv().wait().unwrap().0, 2);
}

#[test]
fn a_handle_may_poll_the_publisher_and_the_subscriber_it_wakes() {
    let router = Router::new();
    let mut subscription = blocking(&router);
    let task = Inline::start(&router, router.publish("a", Number(2)).into_future());
    let handle = subscription.close_handle();
    handle.close();
    assert_eq!(counts(task.output().unwrap().unwrap()), (0, 0, 0));
    assert_eq!(subscription.recv().wait().unwrap().0, 1);
    assert_eq!(
        subscription.recv().wait().unwrap_err(),
        RecvError::Unsubscribed
    );

    let mut subscription = router.subscribe::<Number>("b").unwrap();
    let handle = subscription.close_handle();
    let task = Inline::start(
        &router,
        async move { subscription.recv().await.map(|it| it.0) },
    );
    handle.close();
    assert_eq!(task.output(), Some(Err(RecvError::Unsubscribed)));
}

#[test]
fn closing_may_poll_a_waiting_publisher() {
    let router = Router::new();
    let mut subscription = blocking(&router);
    let task = Inline::start(&router, router.publish("a", Number(2)).into_future());
    router.close();
    assert_eq!(counts(task.output().unwrap().unwrap()), (0, 0, 0));
    assert_eq!(subscription.recv().wait().unwrap().0, 1);
    assert_eq!(subscription.recv().wait().unwrap_err(), RecvError::Closed);
}

#[test]
fn a_dropped_subscription_may_poll_a_publisher() {
    let router = Router::new();
    let subscription = blocking(&router);
    let task = Inline::start(&router, router.publish("a", Number(2)).into_future());
    drop(subscription);
    assert_eq!(counts(task.output().unwrap().unwrap()), (0, 0, 0));
}

#[test]
fn serving_may_poll_a_waiting_request() {
    let router = Router::new();
    let request = router.request("a", Ask).wait_for_server();
    let task = Inline::start(&router, request.into_future());
    let server = router.serve::<Ask>("a").unwrap();
    let (_, rctx) = server.try_pop().unwrap().expect("it was asked at once");
    let _ = rctx.reply(());
    assert!(matches!(task.output(), Some(Ok(()))));
}

#[test]
fn closing_may_poll_a_waiting_request() {
    let router = Router::new();
    let request = router.request("a", Ask).wait_for_server();
    let task = Inline::start(&router, request.into_future());
    router.close();
    let outcome = task.output();
    assert!(matches!(outcome, Some(Err(RequestError::NotMade(..)))));
}

#[test]
fn a_change_of_subscribers_may_poll_the_watch() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let task = Inline::start(&router, async move {
        [watch.changed().await, watch.changed().await]
    });
    let subscription = router.subscribe::<Number>("a").unwrap();
    assert!(task.output().is_none());
    drop(subscription);
    assert_eq!(task.output(), Some([Ok(true), Ok(false)]));
}

#[test]
fn a_publisher_and_a_member_may_poll_other_members() {
    let router = Router::new();
    let options = SubscribeOptions::new();
    let join = || router.subscribe_shared::<Number>("group", "a", options);
    let [mut leaver, mut one, mut closed] = [(); 3].map(|()| join().unwrap());
    let handle = closed.close_handle();
    let mut leaves = Box::pin(leaver.recv());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(leaves.as_mut().poll(&mut cx).is_pending());
    let one = Inline::start(&router, async move { one.recv().await.map(|it| it.0) });
    let closed = Inline::start(&router, async move { closed.recv().await.map(|it| it.0) });
    router.publish("a", Number(1)).wait().unwrap();
    assert!(one.output().is_none());
    drop(leaves);
    assert_eq!(one.output(), Some(Ok(1)));
    handle.close();
    assert_eq!(closed.output(), Some(Err(RecvError::Unsubscribed)));
}

#[test]
fn an_expiry_and_a_removal_may_poll_the_subscriber() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let options = SubscribeOptions::new().removals(true);
    for is_removed in [false, true] {
        let publication = router.publish("a", Number(1));
        publication.retain_for(LONG).wait().unwrap();
        let mut told = router.subscribe_with::<Number>("a", options).unwrap();
        let task = Inline::start(&router, async move {
            let first = told.recv().await.unwrap().received_as();
            [first, told.recv().await.unwrap().received_as()]
        });
        assert!(task.output().is_none());
        let ended = if is_removed {
            router.remove_all_retained::<Number>("**").unwrap();
            ReceivedAs::Removed
        } else {
            clock.advance(LONG);
            ReceivedAs::Expired
        };
        assert_eq!(task.output(), Some([ReceivedAs::Retained, ended]));
    }
}

#[test]
fn a_reply_may_poll_the_caller_of_all() {
    let router = Router::new();
    let servers = ["a", "b"].map(|topic| router.serve::<Ask>(topic).unwrap());
    let task = Inline::start(&router, router.request_all("*", Ask).into_future());
    for server in servers {
        assert!(task.output().is_none());
        let (_, rctx) = server.try_pop().unwrap().expect("it was asked at once");
        let _ = rctx.reply(());
    }
    assert_eq!(task.output().unwrap().unwrap().len(), 2);
}

#[test]
fn a_dropped_waker_may_use_the_router() {
    struct Nested(Router);
    impl Wake for Nested {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Nested {
        fn drop(&mut self) {
            let statuses = self.0.subscriptions();
            assert!(statuses.iter().any(|it| it.depth == 1));
            drop(self.0.subscribe::<Number>("b").unwrap());
        }
    }
    let router = Router::new();
    let mut subscription = blocking(&router);
    let mut publisher = Box::pin(router.publish("a", Number(2)).into_future());
    for _ in 0..2 {
        // The second waker replaces the first.
        let waker = Waker::from(Arc::new(Nested(router.clone())));
        let polled = publisher.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(publisher);
    assert_eq!(subscription.recv().wait().unwrap().0, 1);
    assert_eq!(
        subscription.recv().wait().unwrap_err(),
        RecvError::Missed(1)
    );
}

#[test]
fn a_panicking_waker_does_not_reach_the_receiver() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let router = Router::new();
    let mut subscription = blocking(&router);
    let mut publisher = Box::pin(router.publish("a", Number(2)).into_future());
    let broken = Waker::from(Arc::new(Broken));
    let pending = publisher.as_mut().poll(&mut Context::from_waker(&broken));
    assert!(pending.is_pending());
    let task = Inline::start(&router, router.publish("a", Number(3)).into_future());
    assert_eq!(subscription.recv().wait().unwrap().0, 1);
    assert!(task.output().is_none());
    assert_eq!(subscription.recv().wait().unwrap().0, 2);
    assert_eq!(counts(task.output().unwrap().unwrap()), (1, 1, 0));
    assert_eq!(subscription.recv().wait().unwrap().0, 3);
    drop(publisher);
}

/// A message that panics when it is dropped, if its flag is set.
#[derive(Debug)]
struct Fragile(bool);

impl Message for Fragile {
    const PREFIX: &'static str = "fragile";
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.0, "dropped");
    }
}

/// A waker that panics when it is called or, if its flag is set, when it is dropped.
struct PanickingWaker(bool);

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        assert!(self.0, "woken");
    }
}

impl Drop for PanickingWaker {
    fn drop(&mut self) {
        assert!(!self.0, "dropped");
    }
}

fn fragile(router: &Router, capacity: usize, when_full: WhenFull) -> Subscription<Fragile> {
    let options = SubscribeOptions::new()
        .capacity(capacity)
        .when_full(when_full);
    router.subscribe_with("a", options).unwrap()
}

fn publish_fragile(router: &Router, broken: bool) -> Published {
    router.publish("a", Fragile(broken)).wait().unwrap()
}

/// Covers each place in which the router drops a user's message. If several of them panic, the
/// process does not abort and the calling thread does not panic.
#[test]
fn panicking_message_drops_are_contained() {
    type Case = fn(&Router);
    let evicted: Case = |router| {
        let mut subscription = fragile(router, 1, WhenFull::DropOldest);
        for broken in [true, true, false] {
            assert_eq!(publish_fragile(router, broken).queued, 1);
        }
        assert_eq!(
            subscription.recv().wait().unwrap_err(),
            RecvError::Missed(2)
        );
        assert!(!subscription.recv().wait().unwrap().0);
    };
    let replaced: Case = |router| {
        let mut subscription = fragile(router, 2, WhenFull::Latest);
        for broken in [true, true, false] {
            assert_eq!(publish_fragile(router, broken).queued, 1);
        }
        assert_eq!(
            subscription.recv().wait().unwrap_err(),
            RecvError::Missed(2)
        );
        assert!(!subscription.recv().wait().unwrap().0);
    };
    let left: Case = |router| {
        let subscription = fragile(router, 8, WhenFull::DropNewest);
        for _ in 0..3 {
            publish_fragile(router, true);
        }
        drop(subscription);
    };
    let retained: Case = |router| {
        for broken in [true, true, false] {
            let publication = router.publish("a", Fragile(broken)).retain();
            publication.wait().unwrap();
        }
    };
    let expired: Case = |router| {
        for topic in ["a", "b", "c"] {
            let publication = router.publish(topic, Fragile(true));
            publication.retain_for(Duration::ZERO).wait().unwrap();
        }
        drop(router.subscribe::<Fragile>("a").unwrap());
        assert!(router.retained().is_empty());
    };
    let closed: Case = |router| {
        for topic in ["a", "b", "c"] {
            let publication = router.publish(topic, Fragile(true)).retain();
            publication.wait().unwrap();
        }
        router.close();
    };
    let given_up: Case = |router| {
        let subscription = fragile(router, 1, WhenFull::Block(LONG));
        publish_fragile(router, true);
        let waiting: Vec<_> = (0..2)
            .map(|_| Inline::start(router, router.publish("a", Fragile(true)).into_future()))
            .collect();
        drop(subscription);
        for task in waiting {
            assert_eq!(counts(task.output().unwrap().unwrap()), (0, 0, 0));
        }
    };
    for case in [evicted, replaced, left, retained, expired, closed, given_up] {
        case(&Router::new());
    }
}

/// Covers each place in which the router calls a waker. A waker that panics does not keep another
/// one from being called.
#[test]
fn panicking_wakers_are_contained() {
    fn polled<F: Future>(future: F, when_dropped: bool) -> Pin<Box<F>> {
        let mut future = Box::pin(future);
        let panicking = Waker::from(Arc::new(PanickingWaker(when_dropped)));
        let pending = future.as_mut().poll(&mut Context::from_waker(&panicking));
        assert!(pending.is_pending());
        if when_dropped {
            // The router holds the last reference.
            drop(panicking);
        }
        future
    }
    for when_dropped in [false, true] {
        // Subscribers.
        let router = Router::new();
        let mut subscriptions = [(); 3].map(|()| router.subscribe::<Number>("a").unwrap());
        let [panicking, other, healthy] = &mut subscriptions;
        let waits = [panicking, other].map(|it| polled(it.recv(), when_dropped));
        let published = router.publish("a", Number(1)).wait().unwrap();
        assert_eq!(counts(published), (3, 3, 0));
        assert_eq!(healthy.recv().wait().unwrap().0, 1);
        std::mem::forget(waits);

        // Members of a group: another one is woken instead, by the publisher or by a member that
        // leaves.
        for by_publisher in [true, false] {
            let router = Router::new();
            let join = || {
                let options = SubscribeOptions::new();
                router
                    .subscribe_shared::<Number>("w", "a", options)
                    .unwrap()
            };
            let [mut leaver, mut first, mut second, mut healthy] = [(); 4].map(|()| join());
            let mut leaves = (!by_publisher).then(|| Box::pin(leaver.recv()));
            if let Some(leaves) = &mut leaves {
                let polled = leaves
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
            }
            let waits = [&mut first, &mut second].map(|it| polled(it.recv(), when_dropped));
            let task = Inline::start(&router, async move { healthy.recv().await.map(|it| it.0) });
            let published = router.publish("a", Number(1)).wait().unwrap();
            assert_eq!(counts(published), (1, 1, 0));
            drop(leaves);
            if when_dropped {
                // They were woken, and are dropped without having received.
                drop(waits);
            } else {
                std::mem::forget(waits);
            }
            assert_eq!(task.output(), Some(Ok(1)));
        }

        // Watches.
        let router = Router::new();
        let mut watches = [(); 2].map(|()| router.watch_subscribers::<Number>("a").unwrap());
        let [panicking, healthy] = &mut watches;
        let waits = polled(panicking.changed(), when_dropped);
        let subscription = router.subscribe::<Number>("a").unwrap();
        assert_eq!(healthy.changed().wait(), Ok(true));
        drop(subscription);
        assert_eq!(healthy.changed().wait(), Ok(false));
        std::mem::forget(waits);

        // Callers that wait for a server: it arrives, or the router is closed.
        for comes in [true, false] {
            let ask = || router.request("x", Ask).wait_for_server().into_future();
            let waits = [(); 2].map(|()| polled(ask(), when_dropped));
            let task = Inline::start(&router, ask());
            if comes {
                let server = router.serve::<Ask>("x").unwrap();
                let (_, rctx) = server.try_pop().unwrap().expect("it was asked at once");
                let _ = rctx.reply(());
                assert!(matches!(task.output(), Some(Ok(()))));
            } else {
                router.close();
                assert!(matches!(task.output(), Some(Err(_))));
            }
            std::mem::forget(waits);
        }
    }
}
