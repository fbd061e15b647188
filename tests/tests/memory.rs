//! Memory: bursts are freed, and nothing grows over time.

use std::{
    future::{Future, IntoFuture},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tests::{CountingWaker, LONG, Meter, block_on, eventually, poll_once, poll_with};
use ump::{Client, Gather, Server, WaitReply, bounded, channel};

#[global_allocator]
static METER: Meter = Meter::new();

/// The memory that may stay: a client keeps a few slots (32 KiB), a wait queue keeps room for a few
/// waiters, and the test harness allocates a little at times.
const KEPT: usize = (32 + 8) * 1024;

/// The smallest burst.
const BURST: usize = 1024 * 1024;

type TestServer = Server<u64, u64, ()>;
type TestClient = Client<u64, u64, ()>;

/// Runs the tests one after the other, as they share the allocator's counts.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that `life` keeps no memory while the channel, and the value that `life` returns, still
/// exist. `life` calls the given closure when most memory is in use.
fn is_freed<T>(
    ends: fn() -> (TestServer, TestClient),
    life: impl Fn(&TestServer, &TestClient, &dyn Fn()) -> T,
) {
    let _alone = alone();
    let mut least = usize::MAX;
    // The harness may allocate in between.
    for _ in 0..3 {
        let (server, client) = ends();
        // This allocates the values that exist once per process.
        let _ = poll_once(&mut client.request(0).urgent().timeout(LONG).into_future());
        let before = METER.live();
        let grown = || METER.live().saturating_sub(before);
        let kept = life(&server, &client, &|| {
            assert!(grown() > BURST, "{} bytes are no burst", grown());
        });
        least = least.min(grown());
        drop(kept);
        // Both ends still work.
        client.post(1).urgent().if_room().wait().unwrap();
        assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
    }
    assert!(least <= KEPT, "{least} bytes were kept");
}

fn answer_all(server: &TestServer) {
    while let Some((n, rctx)) = server.try_pop().unwrap() {
        let _ = rctx.reply(n);
    }
}

fn post_many(client: &TestClient) {
    for n in 0..100_000 {
        client.post(n).wait().unwrap();
    }
}

fn submit_many(client: &TestClient) -> Vec<WaitReply<u64, ()>> {
    (0..100_000).map(|n| client.req_async(n).unwrap()).collect()
}

fn full() -> (TestServer, TestClient) {
    let (server, client) = bounded(1).unwrap();
    client.post(0).wait().unwrap();
    (server, client)
}

#[test]
fn memory_of_queued_posts_is_freed() {
    is_freed(channel, |server, client, peak| {
        post_many(client);
        peak();
        answer_all(server);
    });
}

#[test]
fn memory_of_posts_taken_in_a_batch_is_freed() {
    is_freed(channel, |server, client, peak| {
        post_many(client);
        let mut batch = Vec::new();
        assert_eq!(server.wait_many(&mut batch, usize::MAX).unwrap(), 100_000);
        peak();
        drop(batch);
    });
}

#[test]
fn memory_of_expired_posts_is_freed() {
    is_freed(channel, |server, client, peak| {
        let at = Instant::now() + Duration::from_millis(200);
        for n in 0..50_000 {
            // On a slow machine the post may be late.
            let _ = client.post(n).deadline(at).wait();
        }
        peak();
        eventually(|| Instant::now() > at);
        assert!(server.try_pop().unwrap().is_none());
        assert!(server.is_empty());
    });
}

#[test]
fn memory_of_answered_requests_is_freed() {
    is_freed(channel, |server, client, peak| {
        let replies = submit_many(client);
        answer_all(server);
        peak();
        for (n, reply) in (0..).zip(replies) {
            assert_eq!(reply.wait(), Ok(n));
        }
    });
}

#[test]
fn memory_of_withdrawn_requests_is_freed() {
    is_freed(channel, |server, client, peak| {
        let replies = submit_many(client);
        peak();
        drop(replies);
        assert!(server.is_empty());
    });
}

#[test]
fn memory_of_abandoned_requests_is_freed() {
    is_freed(channel, |server, client, peak| {
        let replies = submit_many(client);
        let mut taken = Vec::new();
        server.wait_many(&mut taken, usize::MAX).unwrap();
        peak();
        drop(replies);
        assert!(taken.into_iter().all(|(n, rctx)| rctx.reply(n).is_err()));
    });
}

#[test]
fn memory_of_gathered_requests_is_freed() {
    is_freed(channel, |server, client, peak| {
        let mut gather: Gather<_, _, _> = (0..).zip(submit_many(client)).collect();
        answer_all(server);
        peak();
        while let Some((n, outcome)) = gather.wait() {
            assert_eq!(outcome, Ok(n));
        }
        gather
    });
}

#[test]
fn memory_of_gathered_outcomes_is_freed() {
    is_freed(channel, |server, client, peak| {
        let replies = submit_many(client);
        answer_all(server);
        let mut gather: Gather<_, _, _> = (0..).zip(replies).collect();
        peak();
        while let Some((n, outcome)) = gather.try_next() {
            assert_eq!(outcome, Ok(n));
        }
        gather
    });
}

/// Lets `many` futures wait, each with its own waker.
fn wait_many<F: Future + Unpin>(
    many: usize,
    mut start: impl FnMut() -> F,
) -> Vec<(F, Arc<CountingWaker>)> {
    (0..many)
        .map(|_| {
            let (mut future, counter) = (start(), CountingWaker::new());
            assert!(poll_with(&mut future, &counter).is_pending());
            (future, counter)
        })
        .collect()
}

/// Drops the waiters from the front, from the back, or from both ends.
fn leave<F>(waiting: Vec<(F, Arc<CountingWaker>)>, order: usize) {
    let mut waiting: Vec<_> = waiting.into_iter().map(Some).collect();
    let len = waiting.len();
    for place in 0..len {
        let place = match order {
            0 => place,
            1 => len - 1 - place,
            _ if place % 2 == 0 => place / 2,
            _ => len - 1 - place / 2,
        };
        let (future, counter) = waiting[place].take().unwrap();
        drop(future);
        assert_eq!(counter.wakers(), 0);
    }
}

#[test]
fn memory_of_receivers_is_freed_when_they_are_dropped() {
    for order in 0..3 {
        is_freed(channel, |server, _, peak| {
            let waiting = wait_many(10_000, || Box::pin(server.async_wait()));
            peak();
            leave(waiting, order);
        });
    }
}

#[test]
fn memory_of_receivers_is_freed_when_they_are_woken() {
    is_freed(channel, |server, client, peak| {
        let waiting = wait_many(10_000, || Box::pin(server.async_wait()));
        peak();
        for n in 0..10_000 {
            client.post(n).wait().unwrap();
        }
        assert!(waiting.iter().all(|(_, counter)| counter.wakes() == 1));
        for (mut future, counter) in waiting {
            assert!(poll_with(&mut future, &counter).is_ready());
        }
    });
}

#[test]
fn memory_of_senders_is_freed_when_they_are_dropped() {
    for order in 0..3 {
        is_freed(full, |_, client, peak| {
            let waiting = wait_many(10_000, || client.post(1).into_future());
            peak();
            leave(waiting, order);
        });
    }
}

#[test]
fn memory_of_senders_is_freed_when_they_get_room() {
    is_freed(full, |server, client, peak| {
        let waiting = wait_many(10_000, || client.post(1).into_future());
        peak();
        for (mut future, counter) in waiting {
            drop(server.try_pop());
            assert_eq!(counter.wakes(), 1);
            assert!(poll_with(&mut future, &counter).is_ready());
        }
    });
}

#[test]
fn memory_of_futures_with_deadlines_is_freed() {
    is_freed(channel, |server, client, peak| {
        let waiting = wait_many(10_000, || client.request(1).timeout(LONG).into_future());
        peak();
        leave(waiting, 2);
        assert!(server.is_empty());
        let waiting = wait_many(10_000, || client.request(1).timeout(LONG).into_future());
        peak();
        answer_all(server);
        for (mut future, counter) in waiting {
            assert!(poll_with(&mut future, &counter).is_ready());
        }
    });
}

/// Returns whether repeating `step` keeps no memory.
fn does_not_grow<T>(start: impl FnOnce() -> T, mut step: impl FnMut(&mut T)) {
    let _alone = alone();
    let mut state = start();
    let mut least = usize::MAX;
    for _ in 0..3 {
        (0..200).for_each(|_| step(&mut state));
        let before = METER.live();
        (0..5_000).for_each(|_| step(&mut state));
        least = least.min(METER.live().saturating_sub(before));
    }
    assert!(least < 5_000, "{least} bytes more after 5000 times");
}

#[test]
fn answered_requests_do_not_grow_memory() {
    does_not_grow(channel::<u64, u64, ()>, |(server, client)| {
        let a = client.req_async(1).unwrap();
        let b = client.request(2).timeout(LONG).submit().wait().unwrap();
        let mut c = client.request(3).timeout(LONG).into_future();
        assert!(poll_once(&mut c).is_pending());
        answer_all(server);
        assert_eq!((a.wait().unwrap(), block_on(b).unwrap()), (1, 2));
        assert!(poll_once(&mut c).is_ready());
    });
}

#[test]
fn unanswered_requests_do_not_grow_memory() {
    does_not_grow(channel::<u64, u64, ()>, |(server, client)| {
        drop(client.req_async(1).unwrap());
        let left = client.req_async(2).unwrap();
        let (_, rctx) = server.wait().unwrap();
        drop(left);
        assert!(rctx.fail(()).is_err());
        client.post(3).wait().unwrap();
        drop(server.try_pop());
        let now = Instant::now();
        assert!(client.request(4).deadline(now).wait().is_err());
        assert!(block_on(client.request(5).deadline(now)).is_err());
    });
}

#[test]
fn dropped_waiters_do_not_grow_memory() {
    does_not_grow(full, |(server, client)| {
        client.post(0).urgent().if_room().wait().unwrap();
        let mut sending = client.post(1).timeout(LONG).into_future();
        assert!(poll_once(&mut sending).is_pending());
        let mut urgent = client.request(1).urgent().into_future();
        assert!(poll_once(&mut urgent).is_pending());
        answer_all(server);
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_once(&mut receiving).is_pending());
        let mut other = Box::pin(server.async_wait());
        assert!(poll_once(&mut other).is_pending());
        drop(receiving);
        assert!(poll_once(&mut sending).is_ready());
        assert!(poll_once(&mut other).is_ready());
        drop(urgent);
        client.post(0).wait().unwrap();
    });
}

#[test]
fn a_gather_that_is_never_empty_does_not_grow_memory() {
    let start = || {
        let (server, client) = channel::<u64, u64, ()>();
        let gather: Gather<_, _, _> = [(0, client.req_async(0).unwrap())].into_iter().collect();
        let first = server.wait().unwrap().1;
        (server, client, gather, first)
    };
    does_not_grow(start, |(server, client, gather, _first)| {
        for n in 1..4 {
            gather.push(n, client.req_async(n).unwrap());
        }
        assert!(gather.try_next().is_none());
        answer_all(server);
        for n in 1..4 {
            assert_eq!(gather.wait(), Some((n, Ok(n))));
        }
        assert_eq!(gather.len(), 1);
    });
}

#[test]
fn watching_handlers_do_not_grow_memory() {
    does_not_grow(channel::<u64, u64, ()>, |(server, client)| {
        let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        assert!(poll_once(&mut rctx.cancelled()).is_pending());
        assert!(!rctx.wait_cancelled(Duration::ZERO));
        assert!(poll_once(&mut rctx.cancelled()).is_pending());
        drop(reply);
        assert!(rctx.is_cancelled());
    });
}

#[test]
fn dropped_channels_do_not_grow_memory() {
    does_not_grow(
        || (),
        |()| {
            let (server, client) = channel::<u64, u64, ()>();
            let weak = client.weak();
            client.post(1).wait().unwrap();
            let reply = client.req_async(2).unwrap();
            let job = server.try_pop();
            drop((client, server));
            drop((weak.upgrade(), job, weak, reply));
        },
    );
}

#[test]
fn blocking_requests_do_not_grow_memory() {
    let (server, client) = channel::<u64, u64, ()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (n, rctx) in &server {
                let _ = rctx.reply(n);
            }
        });
        does_not_grow(|| client, |client| assert_eq!(client.req(1), Ok(1)));
    });
}
