//! Allocations: a blocking request makes none. The allocations of other requests are printed and
//! limited.
//!
//! The allocations of all threads count. The test harness allocates at times, so each case is the
//! best of many rounds: an allocation per request is in all of them.

use std::{
    future::{IntoFuture, poll_fn},
    pin::{Pin, pin},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
};

use futures_core::Stream;
use tests::{LONG, Meter, block_on, poll_once};
use ump::{Client, Gather, Server, bounded, channel};
use ump_router::{Router, ServeOptions, TopicClient};

#[global_allocator]
static METER: Meter = Meter::new();

const ROUNDS: usize = 30;
const REQUESTS: usize = 200;

/// Runs the cases one after the other, as they share the allocator's counts.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the fewest allocations in any round of `REQUESTS` times `step`, after a warm-up.
fn fewest(mut step: impl FnMut()) -> usize {
    let mut round = || {
        let before = METER.allocations();
        (0..REQUESTS).for_each(|_| step());
        METER.allocations() - before
    };
    round();
    (0..ROUNDS).map(|_| round()).min().expect("some rounds")
}

/// Returns the fewest allocations in any round of `REQUESTS` times an async step.
async fn fewest_async(mut step: impl AsyncFnMut()) -> usize {
    let mut least = usize::MAX;
    for round in 0..=ROUNDS {
        let before = METER.allocations();
        for _ in 0..REQUESTS {
            step().await;
        }
        if round > 0 {
            least = least.min(METER.allocations() - before);
        }
    }
    least
}

/// Checks that a request makes at most `allowed` allocations.
#[track_caller]
fn at_most(allowed: usize, what: &str, fewest: usize) {
    println!("{what}: {fewest} allocations in {REQUESTS} requests");
    assert!(
        fewest <= allowed * REQUESTS,
        "{fewest} in {REQUESTS} requests"
    );
}

type Ends = (Server<u64, u64, ()>, Client<u64, u64, ()>);

/// Serves on another thread by `serve` while `ask` makes requests.
fn served(
    (mut server, client): Ends,
    serve: impl FnOnce(&mut Server<u64, u64, ()>) + Send,
    ask: impl FnOnce(&Client<u64, u64, ()>) -> usize,
) -> usize {
    thread::scope(|scope| {
        scope.spawn(move || serve(&mut server));
        let count = ask(&client);
        drop(client);
        count
    })
}

fn by_wait(server: &mut Server<u64, u64, ()>) {
    while let Ok((n, rctx)) = server.wait() {
        let _ = rctx.reply(n);
    }
}

fn by_async_wait(server: &mut Server<u64, u64, ()>) {
    block_on(async {
        while let Ok((n, rctx)) = server.async_wait().await {
            let _ = rctx.reply(n);
        }
    });
}

fn by_stream(server: &mut Server<u64, u64, ()>) {
    block_on(async {
        while let Some((n, rctx)) = poll_fn(|cx| Pin::new(&mut *server).poll_next(cx)).await {
            let _ = rctx.reply(n);
        }
    });
}

fn by_wait_many(server: &mut Server<u64, u64, ()>) {
    let mut batch = Vec::new();
    while server.wait_many(&mut batch, 16).is_ok() {
        for (n, rctx) in batch.drain(..) {
            let _ = rctx.reply(n);
        }
    }
}

macro_rules! a_blocking_request_allocates_nothing {
    ($($name:ident: $ends:expr, $serve:expr;)*) => {
        mod a_blocking_request_allocates_nothing {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let _alone = alone();
                    let count = served($ends, $serve, |client| {
                        fewest(|| assert_eq!(client.req(1), Ok(1)))
                    });
                    at_most(0, "req", count);
                    let count = served($ends, $serve, |client| {
                        fewest(|| assert_eq!(client.request(1).urgent().wait().unwrap(), 1))
                    });
                    at_most(0, "request.wait", count);
                }
            )*
        }
    };
}

a_blocking_request_allocates_nothing! {
    to_a_server_in_wait: channel(), by_wait;
    to_a_server_in_async_wait: channel(), by_async_wait;
    to_a_server_in_a_stream: channel(), by_stream;
    to_a_server_in_wait_many: channel(), by_wait_many;
    through_a_bounded_queue: bounded(4).unwrap(), by_wait;
}

#[test]
fn a_blocking_request_allocates_nothing_among_many() {
    let _alone = alone();
    let (mut server, client) = channel::<u64, u64, ()>();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || by_wait(&mut server));
        for _ in 0..3 {
            let (client, stop) = (client.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.req(2), Ok(2));
                }
            });
        }
        let count = fewest(|| assert_eq!(client.req(1), Ok(1)));
        stop.store(true, Ordering::Relaxed);
        drop(client);
        at_most(0, "req among many", count);
    });
}

#[test]
fn a_blocking_request_without_room_allocates_little() {
    let _alone = alone();
    let (mut server, client) = bounded::<u64, u64, ()>(1).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || by_wait(&mut server));
        for _ in 0..3 {
            let (client, stop) = (client.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.req(2), Ok(2));
                }
            });
        }
        let count = fewest(|| assert_eq!(client.req(1), Ok(1)));
        stop.store(true, Ordering::Relaxed);
        drop(client);
        // The allocations of other threads count as well.
        at_most(8, "req that waits for room", count);
    });
}

/// Both ends run on one thread, so all allocations of a request are counted.
#[test]
fn an_awaited_request_allocates_nothing() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let count = fewest(|| {
        let mut asking = pin!(client.areq(1));
        assert!(poll_once(&mut asking).is_pending());
        server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
        assert_eq!(poll_once(&mut asking), Poll::Ready(Ok(2)));
    });
    at_most(0, "areq", count);
}

#[test]
fn an_awaited_cross_thread_request_allocates_nothing() {
    let _alone = alone();
    for serve in [by_wait, by_async_wait] {
        let count = served(channel(), serve, |client| {
            block_on(fewest_async(async || {
                assert_eq!(client.areq(1).await, Ok(1));
            }))
        });
        at_most(0, "areq between threads", count);
    }
}

#[test]
fn an_awaited_request_with_deadline_allocates_little() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let count = fewest(|| {
        let mut asking = client.request(1).timeout(LONG).into_future();
        assert!(poll_once(&mut asking).is_pending());
        server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
        assert!(poll_once(&mut asking).is_ready());
    });
    // The timers' tree allocates a node.
    at_most(1, "request.await with deadline", count);
}

#[test]
fn a_submitted_request_allocates_nothing() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let count = fewest(|| {
        let reply = client.req_async(1).unwrap();
        server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
        assert_eq!(reply.wait(), Ok(2));
    });
    at_most(0, "req_async", count);
}

#[test]
fn a_request_with_deadline_allocates_nothing() {
    let _alone = alone();
    let count = served(channel(), by_wait, |client| {
        fewest(|| assert_eq!(client.request(1).timeout(LONG).wait().unwrap(), 1))
    });
    at_most(0, "request.wait with deadline", count);
}

#[test]
fn a_post_allocates_nothing() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let count = fewest(|| {
        client.post(1).wait().unwrap();
        drop(server.try_pop());
    });
    at_most(0, "post", count);
}

#[test]
fn waiting_allocates_nothing() {
    let _alone = alone();
    let (server, client) = bounded::<u64, u64, ()>(1).unwrap();
    let receiving = fewest(|| {
        let mut receiving = pin!(server.async_wait());
        assert!(poll_once(&mut receiving).is_pending());
        assert!(poll_once(&mut receiving).is_pending());
    });
    at_most(0, "async_wait that waits", receiving);
    let reply = client.req_async(1).unwrap();
    let mut sending = client.post(2).into_future();
    let waiting = fewest(|| assert!(poll_once(&mut sending).is_pending()));
    at_most(0, "a sender that waits", waiting);
    let (_, mut rctx) = server.wait().unwrap();
    let watching = fewest(|| assert!(poll_once(&mut rctx.cancelled()).is_pending()));
    at_most(0, "a handler that watches", watching);
    drop(reply);
}

#[test]
fn a_gathered_request_allocates_little() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let mut gather = Gather::new();
    let count = fewest(|| {
        gather.push((), client.req_async(1).unwrap());
        assert!(gather.try_next().is_none());
        server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
        assert_eq!(gather.wait(), Some(((), Ok(2))));
    });
    // The request, and a waker at each poll; the entries are freed when the last one is removed.
    at_most(6, "a gathered request", count);
}

/// A client keeps as many slots as it needs at a time, up to 32 KiB of them.
#[test]
fn many_requests_at_a_time_allocate_nothing() {
    let _alone = alone();
    let (server, client) = channel::<u64, u64, ()>();
    let mut replies = Vec::with_capacity(64);
    let count = fewest(|| {
        replies.extend((0..64).map(|n| client.req_async(n).unwrap()));
        while let Some((n, rctx)) = server.try_pop().unwrap() {
            rctx.reply(n).unwrap();
        }
        for (n, reply) in replies.drain(..).enumerate() {
            assert_eq!(reply.wait(), Ok(n as u64));
        }
    });
    at_most(0, "64 times req_async", count);
}

/// A service with typed methods.
struct Double(u64);

#[ump_server::service(topic = "double")]
impl Double {
    fn double(&self, n: u64) -> u64 {
        self.0 * n
    }

    fn halve(&self, n: u64) -> Result<u64, u8> {
        if n % self.0 == 0 {
            Ok(n / self.0)
        } else {
            Err(1)
        }
    }
}

#[test]
fn a_typed_request_allocates_nothing() {
    let _alone = alone();
    let double = DoubleClient(ump_server::thread::serve(Double(2)).0);
    let count = fewest(|| assert_eq!(double.double(1).wait().unwrap(), 2));
    at_most(0, "a method's request", count);
    let count = fewest(|| assert!(double.halve(1).urgent().wait().is_err()));
    at_most(0, "a method's request that is refused", count);

    let (server, client) = channel();
    let double = DoubleClient(client);
    let count = fewest(|| {
        let mut asking = double.double(1).into_future();
        assert!(poll_once(&mut asking).is_pending());
        let reply = DoubleReply::Double(2);
        server.try_pop().unwrap().unwrap().1.reply(reply).unwrap();
        assert!(poll_once(&mut asking).is_ready());
        let reply = double.double(1).submit().wait().unwrap();
        drop(server.try_pop());
        assert!(reply.wait().is_err());
    });
    at_most(0, "a method's request that is awaited", count);
}

#[test]
fn a_typed_request_by_topic_allocates_nothing() {
    let _alone = alone();
    let router = Router::new();
    let client = ump_server::thread::serve(Double(2)).0;
    let claim = router.serve_messages_by("a", client, ServeOptions::new());
    let claim = claim.unwrap();
    let count = fewest(|| {
        let asked = router.ask("a", DoubleHalve { n: 4 });
        assert_eq!(asked.wait().unwrap(), 2);
    });
    at_most(0, "a request by topic", count);
    let double = DoubleTopic(TopicClient::new(&router, "a").unwrap());
    let count = fewest(|| assert_eq!(double.double(1).wait().unwrap(), 2));
    at_most(0, "a method's request by topic", count);
    drop(claim);

    let (server, client) = channel::<DoubleRequest, DoubleReply, DoubleRefusal>();
    let claim = router.serve_messages_by("a", client, ServeOptions::new());
    let _claim = claim.unwrap();
    let count = fewest(|| {
        let mut asking = double.double(1).into_future();
        assert!(poll_once(&mut asking).is_pending());
        let reply = DoubleReply::Double(2);
        server.try_pop().unwrap().unwrap().1.reply(reply).unwrap();
        assert!(poll_once(&mut asking).is_ready());
    });
    at_most(0, "a method's request by topic that is awaited", count);
}
