//! Counts balance under contention: what publishers report as matched is what the subscriber
//! received or missed.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use ump_router::{Message, Published, RecvError, Router, SubscribeOptions, Subscription, WhenFull};

/// A message that counts itself while it is alive.
struct Number(Arc<AtomicUsize>);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

impl Number {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

const POLICIES: [WhenFull; 5] = [
    WhenFull::Block(Duration::MAX),
    WhenFull::DropOldest,
    WhenFull::DropNewest,
    WhenFull::Latest,
    WhenFull::Disconnect,
];

/// Returns the number of messages received or missed.
fn account(subscription: &mut Subscription<Number>) -> usize {
    let mut messages = 0;
    loop {
        match subscription.recv().wait() {
            Ok(_) => messages += 1,
            Err(RecvError::Missed(missed)) => messages += usize::try_from(missed).unwrap(),
            Err(_) => return messages,
        }
    }
}

fn matched(published: Published) -> usize {
    assert_eq!(published.matched, published.queued + published.dropped);
    published.matched
}

/// Publishes until the router is closed. One publisher in four gives up if it has to wait. Its
/// message is then missed, unless the subscription has ended. Returns the number of matched
/// messages and the number given up.
fn publish_until_closed(router: &Router, topic: &str, alive: &Arc<AtomicUsize>) -> [usize; 2] {
    let [mut sum, mut given_up] = [0; 2];
    for nth in 0.. {
        let publish = router.publish(topic, Number::new(alive));
        let published = if nth % 4 == 0 {
            let mut future = publish.into_future();
            match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(published) => published,
                Poll::Pending => {
                    given_up += 1;
                    continue;
                }
            }
        } else {
            publish.wait()
        };
        match published {
            Ok(published) => sum += matched(published),
            Err(_) => break,
        }
    }
    [sum, given_up]
}

#[test]
fn matched_equals_received_plus_missed_on_close() {
    for round in 0..5 {
        for policy in POLICIES {
            let (router, alive) = (Router::new(), Arc::new(AtomicUsize::new(0)));
            let options = SubscribeOptions::new().capacity(2).when_full(policy);
            let mut subscription = router.subscribe_with("*", options).unwrap();
            let publishers = ["a", "b"].map(|topic| {
                let (router, alive) = (router.clone(), Arc::clone(&alive));
                thread::spawn(move || publish_until_closed(&router, topic, &alive))
            });
            let subscriber = thread::spawn(move || account(&mut subscription));
            for _ in 0..round * 10 {
                thread::yield_now();
            }
            router.close();
            let [one, other] = publishers.map(|publisher| publisher.join().unwrap());
            let (matched, given_up) = (one[0] + other[0], one[1] + other[1]);
            let accounted = subscriber.join().unwrap();
            let possible = matched..=matched + given_up;
            assert!(
                possible.contains(&accounted),
                "{policy:?}: {accounted} of {possible:?}"
            );
            assert!(given_up == 0 || matches!(policy, WhenFull::Block(_)));
            assert_eq!(alive.load(Ordering::SeqCst), 0, "{policy:?}");
        }
    }
}
