//! All ways of waiting for requests, alone and in pools, and the end when no client is left.

mod many;
mod streams;

use std::{
    collections::HashSet,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{
    CountingWaker, LONG, assert_balanced, block_on, ends::*, eventually, for_each, must_end, pass,
    poll_once, poll_with, stats_with,
};
use ump::{Client, Error, ReplyContext, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);
type Job = (u32, ReplyContext<u32, ()>);

fn post(client: &Client<u32, u32, ()>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        client.post(message).wait().unwrap();
    }
}

fn messages(batch: &[Job]) -> Vec<u32> {
    batch.iter().map(|(n, _)| *n).collect()
}

// ---- every way of taking

fn a_request_that_is_there_is_taken_at_once<T: Take>() {
    let (server, client): Ends = ump::channel();
    post(&client, [7]);
    assert_eq!(T::take(&server).unwrap().0, 7);
    assert!(server.is_empty());
}

fn a_server_waits_for_a_request<T: Take>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).unwrap().0);
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        post(&client, [7]);
        assert_eq!(taken.join().unwrap(), 7);
    });
}

fn the_queue_drains_before_clients_disappeared<T: Take>() {
    let (server, client): Ends = ump::channel();
    let reply = client.request(2).urgent().submit().wait().unwrap();
    post(&client, [3, 4]);
    drop(client);
    for n in 2..=4 {
        let (taken, rctx) = T::take(&server).unwrap();
        assert_eq!(taken, n);
        rctx.reply(n * 10).unwrap();
    }
    assert_eq!(reply.wait().unwrap(), 20);
    // A call that missed the end would block for ever.
    for _ in 0..3 {
        assert!(T::take(&server).is_none());
    }
}

fn a_waiting_server_learns_that_the_last_client_goes<T: Take>() {
    let (server, client): Ends = ump::channel();
    let other = client.clone();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).is_none());
        drop(client);
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        drop(other);
        assert!(taken.join().unwrap());
    });
}

/// Revoked requests are not drained.
fn a_revoked_request_does_not_delay_the_end<T: Take>() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(7).unwrap();
    drop(client);
    assert_eq!(server.len(), 1);
    drop(reply);
    assert!(T::take(&server).is_none());
}

fn a_weak_client_does_not_keep_the_server_waiting<T: Take>() {
    let (server, client): Ends = ump::channel();
    let weak = client.weak();
    post(&weak.upgrade().unwrap(), [7]);
    thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let first = T::take(&server).unwrap().0;
            (first, T::take(&server).is_none())
        });
        eventually(|| client.is_empty());
        drop(client);
        assert_eq!(taken.join().unwrap(), (7, true));
    });
    assert!(weak.upgrade().is_none());
    assert!(weak.clone().upgrade().is_none());
    assert!(T::take(&server).is_none());
}

fn an_upgraded_client_keeps_the_channel_alive<T: Take>() {
    let (server, client): Ends = ump::channel();
    let weak = client.weak();
    let strong = weak.upgrade().unwrap();
    drop(client);
    let second = weak.upgrade().unwrap();
    drop(strong);
    post(&second, [7]);
    assert_eq!(T::take(&server).unwrap().0, 7);
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).is_none());
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        drop(second);
        assert!(taken.join().unwrap());
    });
    assert!(weak.upgrade().is_none());
}

/// Each of many requests from many clients goes to exactly one of many workers, and all of them end
/// when the last client goes.
fn a_pool_of_threads_shares_the_requests<T: Take>() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 100;
    let (server, client): Ends = ump::channel();
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // The workers share the server, which is dropped with the last of them.
        let server = Arc::new(server);
        for _ in 0..3 {
            let (server, seen) = (Arc::clone(&server), &seen);
            scope.spawn(move || {
                while let Some((n, rctx)) = T::take(&server) {
                    seen.lock().unwrap().push(n);
                    rctx.reply(n + 1).unwrap();
                }
            });
        }
        drop(server);
        for who in 0..CLIENTS {
            let client = client.clone();
            scope.spawn(move || {
                for n in who * EACH..(who + 1) * EACH {
                    assert_eq!(client.req(n), Ok(n + 1));
                }
            });
        }
        drop(client);
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..CLIENTS * EACH).collect::<Vec<_>>());
}

for_each!(
    wait = Wait,
    async_wait = AsyncWait,
    try_pop = TryPop,
    wait_many = WaitMany,
    async_wait_many = AsyncWaitMany,
    iterator = Iterate,
    stream = Streamed
    => {
        a_request_that_is_there_is_taken_at_once,
        a_server_waits_for_a_request,
        the_queue_drains_before_clients_disappeared,
        a_waiting_server_learns_that_the_last_client_goes,
        a_revoked_request_does_not_delay_the_end,
        a_weak_client_does_not_keep_the_server_waiting,
        an_upgraded_client_keeps_the_channel_alive,
        a_pool_of_threads_shares_the_requests,
    }
);

mod poll_wait {
    use super::*;

    // `poll_wait` is not for pools: a server registers one waker that is given in this way.
    for_each!(
        alone = PollWait
        => {
            a_request_that_is_there_is_taken_at_once,
            a_server_waits_for_a_request,
            the_queue_drains_before_clients_disappeared,
            a_waiting_server_learns_that_the_last_client_goes,
            a_revoked_request_does_not_delay_the_end,
            a_weak_client_does_not_keep_the_server_waiting,
            an_upgraded_client_keeps_the_channel_alive,
        }
    );
}

// ---- try_pop

#[test]
fn try_pop_distinguishes_empty_from_ended() {
    let (server, client): Ends = ump::channel();
    assert!(matches!(server.try_pop(), Ok(None)));
    post(&client, [7]);
    drop(client);
    assert!(matches!(server.try_pop(), Ok(Some((7, _)))));
    assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
}

// ---- wait_timeout, wait_deadline

#[test]
fn a_timed_wait_ends_after_its_time() {
    let (server, _client): Ends = ump::channel();
    let time = Duration::from_millis(2);
    let start = Instant::now();
    assert!(matches!(server.wait_timeout(time), Ok(None)));
    assert!(start.elapsed() >= time);
    let deadline = Instant::now() + time;
    assert!(matches!(server.wait_deadline(deadline), Ok(None)));
    assert!(Instant::now() >= deadline);
    assert!(matches!(server.wait_timeout(Duration::ZERO), Ok(None)));
}

#[test]
fn a_passed_deadline_still_takes_a_queued_request() {
    let (server, client): Ends = ump::channel();
    post(&client, [1, 2, 3]);
    let past = Instant::now();
    pass(past);
    assert!(matches!(server.wait_deadline(past), Ok(Some((1, _)))));
    assert!(matches!(
        server.wait_timeout(Duration::ZERO),
        Ok(Some((2, _)))
    ));
    drop(client);
    assert!(matches!(server.wait_deadline(past), Ok(Some((3, _)))));
    assert!(matches!(
        server.wait_deadline(past),
        Err(Error::ClientsDisappeared)
    ));
}

#[test]
fn a_timed_wait_takes_a_request_that_comes() {
    for time in [LONG, Duration::MAX] {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            let taken = scope.spawn(|| server.wait_timeout(time).unwrap().unwrap().0);
            post(&client, [7]);
            assert_eq!(taken.join().unwrap(), 7);
            let end = scope.spawn(|| server.wait_timeout(time).map(drop));
            drop(client);
            assert_eq!(end.join().unwrap(), Err(Error::ClientsDisappeared));
        });
    }
}

/// A receiver that times out must leave the wait queue. Otherwise it would swallow the wake-up of
/// another one.
#[test]
fn a_timed_out_server_leaves_the_queue() {
    let (server, client): Ends = ump::channel();
    assert!(
        server
            .wait_timeout(Duration::from_micros(1))
            .unwrap()
            .is_none()
    );
    let counter = CountingWaker::new();
    let mut waiting = pin!(server.async_wait());
    assert!(poll_with(&mut waiting, &counter).is_pending());
    post(&client, [7]);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_once(&mut waiting).is_ready());
}

// ---- pools

fn poll_stream<T: Stream + Unpin>(
    stream: &mut T,
    counter: &Arc<CountingWaker>,
) -> Poll<Option<T::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(&counter.waker()))
}

/// A request wakes one receiver. If that one leaves, the wake-up passes to the next.
#[test]
fn a_woken_server_that_leaves_passes_the_request_on() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 3].map(|()| CountingWaker::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = server.stream();
    let mut third = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_stream(&mut second, &counters[1]).is_pending());
    assert!(poll_with(&mut third, &counters[2]).is_pending());
    let wakes = || counters.each_ref().map(|counter| counter.wakes());
    post(&client, [7]);
    assert_eq!(wakes(), [1, 0, 0]);
    drop(first);
    assert_eq!(wakes(), [1, 1, 0]);
    drop(second);
    assert_eq!(wakes(), [1, 1, 1]);
    assert!(matches!(poll_once(&mut third), Poll::Ready(Ok((7, _)))));
    assert_eq!(counters.each_ref().map(CountingWaker::wakers), [0; 3]);
}

/// If the queue is empty, there is no wake-up to pass on.
#[test]
fn a_woken_server_leaving_an_empty_queue_is_silent() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 2].map(|()| CountingWaker::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_with(&mut second, &counters[1]).is_pending());
    post(&client, [7]);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 7);
    drop(first);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 0]);
    post(&client, [8]);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 1]);
    assert!(matches!(poll_once(&mut second), Poll::Ready(Ok((8, _)))));
}

#[test]
fn the_longest_waiter_is_woken_first() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 4].map(|()| CountingWaker::new());
    let mut waiting: Vec<_> = counters
        .iter()
        .map(|_| Box::pin(server.async_wait()))
        .collect();
    for (future, counter) in waiting.iter_mut().zip(&counters) {
        assert!(poll_with(future, counter).is_pending());
    }
    // A receiver that is polled again keeps its place.
    assert!(poll_with(&mut waiting[0], &counters[0]).is_pending());
    let wakes = || counters.each_ref().map(|counter| counter.wakes());
    post(&client, [1]);
    assert_eq!(wakes(), [1, 0, 0, 0]);
    post(&client, [2, 3]);
    assert_eq!(wakes(), [1, 1, 1, 0]);
    drop(client);
    assert_eq!(wakes(), [1, 1, 1, 1]);
    for (n, future) in (1..).zip(&mut waiting[..3]) {
        assert!(matches!(poll_once(future), Poll::Ready(Ok((taken, _))) if taken == n));
    }
    assert!(matches!(
        poll_once(&mut waiting[3]),
        Poll::Ready(Err(Error::ClientsDisappeared))
    ));
}

#[test]
fn a_pool_of_tasks_shares_the_requests() {
    must_end(|| {
        const EACH: u32 = 100;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let server = Arc::clone(&server);
                runtime.spawn(async move {
                    let mut seen = Vec::new();
                    while let Ok((n, rctx)) = server.async_wait().await {
                        tokio::task::yield_now().await;
                        seen.push(n);
                        rctx.reply(n + 1).unwrap();
                    }
                    seen
                })
            })
            .collect();
        let askers: Vec<_> = (0..4)
            .map(|who| {
                let client = client.clone();
                runtime.spawn(async move {
                    for n in who * EACH..(who + 1) * EACH {
                        assert_eq!(client.areq(n).await, Ok(n + 1));
                    }
                })
            })
            .collect();
        drop(client);
        runtime.block_on(async {
            for asker in askers {
                asker.await.unwrap();
            }
            let mut seen = Vec::new();
            for worker in workers {
                seen.extend(worker.await.unwrap());
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..4 * EACH).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_mixed_pool_shares_the_requests() {
    must_end(|| {
        const EACH: u32 = 200;
        let (server, client): Ends = ump::channel();
        let seen = Mutex::new(HashSet::new());
        thread::scope(|scope| {
            let server = Arc::new(server);
            let takes: [fn(&Server<u32, u32, ()>) -> Option<Job>; 6] = [
                Wait::take,
                AsyncWait::take,
                WaitMany::take,
                AsyncWaitMany::take,
                Streamed::take,
                |server| loop {
                    match server.wait_timeout(Duration::from_micros(100)) {
                        Ok(Some(job)) => break Some(job),
                        Ok(None) => {}
                        Err(_) => break None,
                    }
                },
            ];
            for take in takes {
                let (server, seen) = (Arc::clone(&server), &seen);
                scope.spawn(move || {
                    while let Some((n, rctx)) = take(&server) {
                        assert!(seen.lock().unwrap().insert(n), "{n} came twice");
                        rctx.reply(n + 1).unwrap();
                    }
                });
            }
            drop(server);
            for who in 0..3 {
                let client = client.clone();
                scope.spawn(move || {
                    for n in who * EACH..(who + 1) * EACH {
                        let reply = match who {
                            0 => client.req(n),
                            1 => block_on(client.areq(n)),
                            _ => client.req_async(n).unwrap().wait(),
                        };
                        assert_eq!(reply, Ok(n + 1));
                    }
                });
            }
            let client = client;
            eventually(|| client.stats().ended() == u64::from(3 * EACH));
            assert_balanced(&client.stats());
        });
        assert_eq!(seen.into_inner().unwrap().len(), 3 * EACH as usize);
    });
}

// ---- clients that come and go

/// Many threads upgrade a weak client while the last strong client goes: once one upgrade has
/// failed, all later ones fail.
#[test]
fn a_weak_client_never_revives_a_channel_in_a_race() {
    must_end(|| {
        for _ in 0..200 {
            let (server, client): Ends = ump::channel();
            let weak = client.weak();
            let start = Barrier::new(4);
            let gone = AtomicBool::new(false);
            let revived = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..3 {
                    let weak = weak.clone();
                    let (start, gone, revived) = (&start, &gone, &revived);
                    scope.spawn(move || {
                        start.wait();
                        for _ in 0..20 {
                            let was_gone = gone.load(Ordering::SeqCst);
                            if let Some(client) = weak.upgrade() {
                                revived.fetch_add(usize::from(was_gone), Ordering::SeqCst);
                                client.post(1).wait().unwrap();
                            } else {
                                gone.store(true, Ordering::SeqCst);
                            }
                        }
                    });
                }
                start.wait();
                drop(client);
                // The server ends when the last client has gone, after all requests of these
                // clients.
                while server.wait().is_ok() {}
            });
            assert_eq!(revived.into_inner(), 0);
            assert!(weak.upgrade().is_none());
            assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
            assert_balanced(&server.stats());
            assert_eq!(server.stats().queued, 0);
        }
    });
}

/// The server sees the end exactly when no client is left.
#[test]
fn cloning_clients_on_many_threads_keeps_count() {
    must_end(|| {
        for _ in 0..100 {
            let (server, client): Ends = ump::channel();
            let start = Barrier::new(4);
            thread::scope(|scope| {
                let server = server;
                for _ in 0..3 {
                    let (client, start) = (client.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        let clones: Vec<_> = (0..10).map(|_| client.clone()).collect();
                        drop(client);
                        for client in clones {
                            client.post(1).wait().unwrap();
                        }
                    });
                }
                drop(client);
                start.wait();
                assert_eq!(server.iter().count(), 30);
            });
        }
    });
}

#[test]
fn a_client_sees_that_the_server_is_gone() {
    let (server, client): Ends = ump::channel();
    assert!(!client.is_closed());
    let kept = client.req_async(7).unwrap();
    let (_, rctx) = server.wait().unwrap();
    drop(server);
    assert!(client.is_closed());
    assert!(client.clone().is_closed());
    assert!(client.weak().upgrade().unwrap().is_closed());
    rctx.reply(8).unwrap();
    assert!(client.is_closed());
    assert_eq!(kept.wait(), Ok(8));
}

// ---- the length

#[test]
fn both_ends_see_the_length_of_both_lanes() {
    let (server, client): Ends = ump::channel();
    let check = |len| {
        assert_eq!((server.len(), client.len()), (len, len));
        assert_eq!(server.is_empty(), len == 0);
        assert_eq!(server.was_empty(), len == 0);
        assert_eq!(client.is_empty(), len == 0);
        assert_eq!(server.stats().queued, len as u64);
        assert_eq!(server.stats(), client.stats());
    };
    check(0);
    let kept = client.req_async(1).unwrap();
    check(1);
    client.post(2).urgent().wait().unwrap();
    check(2);
    client.post(3).wait().unwrap();
    check(3);
    drop(kept);
    check(2);
    let held = server.try_pop().unwrap().unwrap();
    check(1);
    drop(held);
    check(1);
    assert_eq!(server.wait().unwrap().0, 3);
    check(0);
    assert!(server.try_pop().unwrap().is_none());
    check(0);
}

#[test]
fn a_server_that_is_gone_leaves_nothing_in_the_queue() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..3);
    drop(server);
    assert!(client.is_empty());
    assert!(client.post(4).wait().is_err());
    assert_eq!(client.len(), 0);
}
