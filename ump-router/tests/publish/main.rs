//! A published message reaches each subscriber once and in order, or the subscriber gets the number
//! of missed messages.

mod closing;
mod contention;
mod counting_waker;
mod full_queue;
mod latest;
mod matching;
mod ownership;
mod receiving;
mod refused;
mod removals;
mod retained;
mod select;
mod shared;
mod stream_ext;
mod user_panics;
mod wait_limits;
mod wait_queue;
mod waiting;
mod watch;

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use ump_router::{
    Message, PublishFuture, Published, RecvError, Router, SubscribeOptions, Subscription, WhenFull,
    ump::Clock,
};

use crate::counting_waker::{CountingWaker, poll_once};

#[derive(Debug, PartialEq)]
struct Number(u64);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

const LONG: Duration = Duration::from_secs(60);

fn block_on<F: Future>(future: F) -> F::Output {
    let clock = Clock::system();
    let until = clock.now() + LONG;
    clock.block_on(future, Some(until)).expect("in time")
}

fn publish(router: &Router, topic: &str, number: u64) -> Published {
    router.publish(topic, Number(number)).wait().unwrap()
}

/// Returns a publisher that was polled once and waits for room on topic `a`.
fn waiting_publisher(
    router: &Router,
    number: u64,
    counting: &Arc<CountingWaker>,
) -> Pin<Box<PublishFuture<Number>>> {
    let mut publisher = Box::pin(router.publish("a", Number(number)).into_future());
    assert!(poll_once(publisher.as_mut(), counting).is_pending());
    publisher
}

/// Receives everything available: numbers, and gaps in brackets.
fn drain(subscription: &mut Subscription<Number>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match subscription.try_recv() {
            Ok(None) => return all,
            Ok(Some(message)) => all.push(message.0.to_string()),
            Err(RecvError::Missed(messages)) => all.push(format!("[{messages}]")),
            Err(end) => {
                all.push(format!("{end:?}"));
                return all;
            }
        }
    }
}

fn options(capacity: usize, when_full: WhenFull) -> SubscribeOptions {
    SubscribeOptions::new()
        .capacity(capacity)
        .when_full(when_full)
}

fn counts(published: Published) -> (usize, usize, usize) {
    (published.matched, published.queued, published.dropped)
}

/// Subscribes with room for one message, for which publishers wait without a limit. The queue holds
/// a 0.
fn full_subscription(router: &Router) -> Subscription<Number> {
    let options = options(1, WhenFull::Block(Duration::MAX));
    let slow = router.subscribe_with::<Number>("a", options).unwrap();
    router.publish("a", Number(0)).retain().wait().unwrap();
    slow
}
