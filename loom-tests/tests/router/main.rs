//! Models of the router: threads publish, subscribe, unsubscribe, serve, stand by and send requests
//! at the same time.
//!
//! The guards in brackets are the invariants and diagrams at the top of the files of
//! `ump-router/src`: `publish/queue/mod.rs`, `publish/watched.rs`, `publish/queue/wait_queue.rs`,
//! `publish/queue/sleepers.rs`, `publish/bus.rs`, `serve/pinned.rs`, `notify.rs`, `claims.rs`. Loom
//! itself finds a thread that sleeps for ever.
#![cfg(loom)]

mod ending;
mod publishing;
mod requests;
mod retaining;
mod sharing;
mod watching;

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ump_router::{
    Change, ChangeKind, Message, Published, RecvError, RequestError, RequestMessage, Router,
    Server, SubscribeOptions, Subscription, WhenFull,
};

#[derive(Debug)]
struct Number(u32);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

/// The reply is the number plus one.
#[derive(Debug)]
struct Ask(u32);

impl RequestMessage for Ask {
    type Reply = u32;
    type Error = ();
    const PREFIX: &'static str = "ask";
}

/// Exceeds the range of every clock: there is no deadline.
const FOREVER: Duration = Duration::MAX;
/// Passes when the model says so.
const SOME_TIME: Duration = Duration::from_secs(3600);

/// Returns options for a queue with room for one message, in which publishers wait for room.
fn blocking(timeout: Duration) -> SubscribeOptions {
    let options = SubscribeOptions::new().capacity(1);
    options.when_full(WhenFull::Block(timeout))
}

/// Creates a router and a subscription whose queue is full: it holds a 1.
fn full(timeout: Duration) -> (Router, Subscription<Number>) {
    let router = Router::new();
    let subscription = router.subscribe_with("a", blocking(timeout)).unwrap();
    assert_eq!(publish(&router, 1), (1, 1, 0));
    (router, subscription)
}

fn publish(router: &Router, number: u32) -> (usize, usize, usize) {
    counts(router.publish("a", Number(number)).wait().unwrap())
}

fn counts(published: Published) -> (usize, usize, usize) {
    (published.matched, published.queued, published.dropped)
}

/// One item that a subscriber received.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Number(u32),
    Gap(u64),
    End,
}
use Got::{End, Gap};

fn one(subscription: &mut Subscription<Number>) -> Got {
    match subscription.recv().wait() {
        Ok(message) => Got::Number(message.0),
        Err(RecvError::Missed(messages)) => Gap(messages),
        Err(_) => End,
    }
}

fn drain(subscription: &mut Subscription<Number>) -> Vec<Got> {
    let mut all = Vec::new();
    loop {
        match subscription.try_recv() {
            Ok(None) => return all,
            Ok(Some(message)) => all.push(Got::Number(message.0)),
            Err(RecvError::Missed(messages)) => all.push(Gap(messages)),
            Err(_) => {
                all.push(End);
                return all;
            }
        }
    }
}

fn numbers<const N: usize>(of: [u32; N]) -> Vec<Got> {
    of.map(Got::Number).to_vec()
}

/// Answers one request.
fn answer(server: &Server<Ask>) {
    let (call, rctx) = server.wait().unwrap();
    let _ = rctx.reply(call.message.0 + 1);
}

fn ask(router: &Router) -> Result<u32, RequestError<Ask>> {
    router.request("a", Ask(1)).wait()
}

fn ask_and_wait_for_server(router: &Router) -> Result<u32, RequestError<Ask>> {
    router.request("a", Ask(1)).wait_for_server().wait()
}

fn change_kinds(changes: &mut Subscription<Change>) -> Vec<ChangeKind> {
    let next = || changes.try_recv().unwrap();
    std::iter::from_fn(next)
        .map(|change| change.kind())
        .collect()
}

/// The set of outcomes that occurred in a model. If an expected outcome never occurs, the model
/// proves less than it seems to.
struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T: PartialEq + Debug> Seen<T> {
    fn new() -> (Self, Self) {
        let seen = Arc::default();
        (Self(Arc::clone(&seen)), Self(seen))
    }

    fn add(&self, outcome: T) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(&outcome) {
            seen.push(outcome);
        }
    }

    /// Asserts that exactly these outcomes occurred.
    fn exactly<const N: usize>(self, expected: &[T; N]) {
        let seen = self.0.lock().unwrap();
        let all_occurred = expected.iter().all(|outcome| seen.contains(outcome));
        assert!(
            all_occurred && seen.len() == N,
            "{seen:?} are not {expected:?}"
        );
    }
}
