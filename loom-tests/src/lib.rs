//! Helpers that the models share. Built without `--cfg loom` this package is empty.
#![cfg(loom)]

use std::{
    future::IntoFuture,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use loom::thread;
use ump::{Client, ReplyContext, Server, Stats, channel};

pub mod ask;
pub mod block_on;
mod columns;
pub mod end;
pub mod serve;

/// A server for models: messages are numbers, and the reply is the number plus one.
pub type NumberServer = Server<u32, u32, ()>;

/// A client of a [`NumberServer`].
pub type NumberClient = Client<u32, u32, ()>;

/// Explores all interleavings of `model` with at most `LOOM_MAX_PREEMPTIONS` preemptions (2 if it
/// is not set). Prints the number of interleavings; `--nocapture` shows it.
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_with_less(0, model);
}

/// Explores a model of three threads, with one preemption less than [`explore`]. Such a model takes
/// minutes where a smaller one takes seconds.
pub fn explore_large(model: impl Fn() + Send + Sync + 'static) {
    explore_with_less(1, model);
}

/// Explores a model with `less` preemptions less than [`explore`].
pub fn explore_with_less(less: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let bound = builder.preemption_bound.unwrap_or(2);
    builder.preemption_bound = Some(bound.saturating_sub(less));
    check(&builder, model);
}

/// Explores all interleavings of a short model, with any number of preemptions.
///
/// With a bound, loom skips some interleavings that keep to the bound: it looks for orders that
/// matter only among the interleavings that it has explored.
pub fn explore_fully(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    check(&builder, model);
}

fn check(builder: &loom::model::Builder, model: impl Fn() + Send + Sync + 'static) {
    if std::env::var_os("LOOM_LOG").is_some() {
        // `LOOM_LOG` is set to read one replayed interleaving, and only `loom::model` prints it.
        // The checkpoint contains its own bound.
        loom::model(model);
        return;
    }
    let iterations = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&iterations);
    let begin = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    // With `LOOM_MAX_DURATION`, loom stops without a message.
    let is_cut = builder
        .max_duration
        .is_some_and(|limit| begin.elapsed() >= limit);
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let (iterations, bound) = (iterations.load(Ordering::Relaxed), builder.preemption_bound);
    let bound = bound.map_or("any number of".to_owned(), |bound| {
        format!("at most {bound}")
    });
    let cut = if is_cut { ", not ended" } else { "" };
    println!("{name}: {iterations} iterations, {bound} preemptions{cut}");
}

/// Answers requests until no client is left. Returns the messages in the order in which they were
/// taken.
#[must_use]
pub fn serve(server: &NumberServer) -> Vec<u32> {
    let mut taken = Vec::new();
    while let Ok((n, rctx)) = server.wait() {
        taken.push(n);
        answer(n, rctx);
    }
    taken
}

/// Spawns a thread that owns the server and calls [`serve`].
#[must_use]
pub fn spawn_server(server: NumberServer) -> thread::JoinHandle<(Vec<u32>, NumberServer)> {
    thread::spawn(move || (serve(&server), server))
}

/// Spawns a thread that owns the server and answers `requests` requests.
#[must_use]
pub fn spawn_server_for(
    server: NumberServer,
    requests: usize,
) -> thread::JoinHandle<(Vec<u32>, NumberServer)> {
    thread::spawn(move || {
        let answer_one = |(n, rctx)| {
            answer(n, rctx);
            n
        };
        let taken = server.iter().take(requests).map(answer_one).collect();
        (taken, server)
    })
}

/// Answers one request, whether or not its caller still waits.
pub fn answer(n: u32, rctx: ReplyContext<u32, ()>) {
    let _ = rctx.answer(Ok(n + 1));
}

/// Polls once, with a no-op waker.
pub fn poll_once<F: std::future::Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns a deadline that passes when the model says so: loom's clock does not move.
#[must_use]
pub fn some_day() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Creates a channel whose direct handoff is armed at the slot of the client's next borrowing
/// request, and whose injector is open. This thread has answered one request.
#[must_use]
pub fn warm() -> (NumberServer, NumberClient) {
    let (server, client) = channel();
    warm_up(&server, &client, 0, |n| n + 1);
    (server, client)
}

/// Arms the channel's direct handoff at the slot of the client's next borrowing request.
///
/// # Panics
/// Panics if the request is not answered.
pub fn warm_up<S, R, E>(
    server: &Server<S, R, E>,
    client: &Client<S, R, E>,
    message: S,
    handle: impl Fn(S) -> R,
) {
    let mut request = client.request(message).into_future();
    assert!(poll_once(&mut request).is_pending());
    let (message, rctx) = server.wait().ok().expect("it was sent");
    let _ = rctx.answer(Ok(handle(message)));
    assert!(matches!(poll_once(&mut request), Poll::Ready(Ok(_))));
}

/// Arms the channel's direct handoff at the slot of the client's next request that may outlive the
/// client.
///
/// # Panics
/// Panics if the request is not answered.
pub fn warm_up_free<S: Send + 'static, R, E>(
    server: &Server<S, R, E>,
    client: &Client<S, R, E>,
    message: S,
    handle: impl Fn(S) -> R,
) {
    let reply = client.req_async(message).ok().expect("the server is there");
    let (message, rctx) = server.wait().ok().expect("it was sent");
    let _ = rctx.answer(Ok(handle(message)));
    assert!(reply.wait().is_ok());
}

/// Creates a channel whose injector is open and whose direct handoff is not armed. This thread has
/// handled one post.
///
/// # Panics
/// Panics if the post was not handled.
#[must_use]
pub fn awake() -> (NumberServer, NumberClient) {
    let (server, client) = channel();
    client.post(0).wait().unwrap();
    let (n, rctx) = server.wait().unwrap();
    answer(n, rctx);
    (server, client)
}

/// Asserts that every accepted request has ended.
///
/// # Panics
/// Panics if one has not.
pub fn assert_settled(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// Counts the values that are alive. This is not one of loom's atomics, as it is not part of the
/// model.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<AtomicUsize>);

impl Census {
    /// Creates a value that counts until it is dropped.
    #[must_use]
    pub fn born(&self) -> Counted {
        self.named(0)
    }

    /// Creates a value with a name, to tell it from others.
    #[must_use]
    pub fn named(&self, name: u32) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        let census = self.clone();
        Counted { census, name }
    }

    /// Returns the number of values that are alive.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value of a [`Census`].
#[derive(Debug)]
pub struct Counted {
    census: Census,
    name: u32,
}

impl Counted {
    /// Returns the name that the value was created with.
    #[must_use]
    pub fn name(&self) -> u32 {
        self.name
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.census.0.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "dropped twice");
    }
}
