//! The ways of waiting for requests, alone and in pools, and how a server learns that no client is left.

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
    Bell, LONG, assert_balanced, block_on, books, ends::*, eventually, for_each, must_end, pass,
    poll_once, poll_with,
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
    // For ever.
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

/// What was withdrawn is not there to be drained.
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

/// Each of many requests from many clients goes to exactly one of many workers, and all of them end when the last client goes.
fn a_pool_of_threads_shares_the_requests<T: Take>() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 100;
    let (server, client): Ends = ump::channel();
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // Shared by all of them, gone with the last.
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

    // Not the pool: a server remembers one waker given in this way.
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
fn try_pop_tells_an_empty_queue_from_the_end() {
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

/// It must not stay in line, to swallow the wake-up of another.
#[test]
fn a_server_that_gave_up_leaves_the_line() {
    let (server, client): Ends = ump::channel();
    assert!(
        server
            .wait_timeout(Duration::from_micros(1))
            .unwrap()
            .is_none()
    );
    let bell = Bell::new();
    let mut waiting = pin!(server.async_wait());
    assert!(poll_with(&mut waiting, &bell).is_pending());
    post(&client, [7]);
    assert_eq!(bell.rings(), 1);
    assert!(poll_once(&mut waiting).is_ready());
}

// ---- wait_many, async_wait_many

trait Many {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>>;
}

struct Blocking;
struct Async;

impl Many for Blocking {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>> {
        server.wait_many(batch, max)
    }
}

impl Many for Async {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>> {
        block_on(server.async_wait_many(batch, max))
    }
}

fn a_batch_is_limited_to_what_is_queued<M: Many>() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..5);
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 2), Ok(2));
    assert_eq!(messages(&batch), [0, 1]);
    assert_eq!(server.len(), 3);
    assert_eq!(M::many(&server, &mut batch, usize::MAX), Ok(3));
    assert_eq!(messages(&batch), [0, 1, 2, 3, 4]);
    let expected = books(|stats| (stats.accepted, stats.taken) = (5, 5));
    assert_eq!(server.stats(), expected);
}

fn a_batch_of_nothing_takes_nothing_and_does_not_wait<M: Many>() {
    let (server, client): Ends = ump::channel();
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    post(&client, [7]);
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    assert_eq!(server.len(), 1);
    drop(client);
    drop(server.try_pop());
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    assert!(batch.is_empty());
}

fn a_batch_waits_for_its_first_request<M: Many>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let mut batch = Vec::new();
            while batch.len() < 5 {
                let count = M::many(&server, &mut batch, 3).unwrap();
                assert!((1..=3).contains(&count));
            }
            messages(&batch)
        });
        post(&client, 0..5);
        assert_eq!(taken.join().unwrap(), [0, 1, 2, 3, 4]);
    });
}

fn a_batch_is_left_alone_when_no_client_is_left<M: Many>() {
    let (server, client): Ends = ump::channel();
    post(&client, [1, 2]);
    drop(client);
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 9), Ok(2));
    assert_eq!(
        M::many(&server, &mut batch, 9),
        Err(Error::ClientsDisappeared)
    );
    assert_eq!(messages(&batch), [1, 2]);
}

fn each_request_of_a_batch_has_its_own_context<M: Many>() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..10).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 10), Ok(10));
    for (n, rctx) in batch.into_iter().rev() {
        match n % 3 {
            0 => rctx.reply(n).unwrap(),
            1 => rctx.fail(()).unwrap(),
            _ => drop(rctx),
        }
    }
    for (n, reply) in (0..).zip(replies) {
        let expected = match n % 3 {
            0 => Ok(n),
            1 => Err(Error::App(())),
            _ => Err(Error::NoReply),
        };
        assert_eq!(reply.wait(), expected);
    }
}

mod batches {
    use super::*;

    for_each!(
        blocking = Blocking,
        asynchronous = Async
        => {
            a_batch_is_limited_to_what_is_queued,
            a_batch_of_nothing_takes_nothing_and_does_not_wait,
            a_batch_waits_for_its_first_request,
            a_batch_is_left_alone_when_no_client_is_left,
            each_request_of_a_batch_has_its_own_context,
        }
    );
}

// ---- iterators and streams

#[test]
fn a_for_loop_ends_with_the_last_client() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..3);
    drop(client);
    let mut taken = Vec::new();
    for (n, _rctx) in &server {
        taken.push(n);
    }
    assert_eq!(taken, [0, 1, 2]);
    let mut iter = server.iter();
    assert!(iter.next().is_none());
    assert!(iter.next().is_none());
}

/// An iterator holds no place in line and no request.
#[test]
fn several_iterators_take_turns() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..4);
    let (mut a, mut b) = (server.iter(), server.iter());
    assert_eq!(a.next().unwrap().0, 0);
    assert_eq!(b.next().unwrap().0, 1);
    assert_eq!(b.clone().next().unwrap().0, 2);
    assert_eq!(a.next().unwrap().0, 3);
}

#[test]
fn a_stream_yields_the_requests_and_ends() {
    let (server, client): Ends = ump::channel();
    let mut stream = server.stream();
    post(&client, 0..3);
    for n in 0..3 {
        assert_eq!(next(&mut stream).unwrap().0, n);
    }
    drop(client);
    assert!(next(&mut stream).is_none());
    assert!(next(&mut stream).is_none());
}

#[test]
fn a_server_is_a_stream() {
    let (server, client): Ends = ump::channel();
    let mut server = Box::pin(server);
    post(&client, 0..3);
    for n in 0..3 {
        assert_eq!(next(&mut server).unwrap().0, n);
    }
    let bell = Bell::new();
    let waker = bell.waker();
    let mut cx = Context::from_waker(&waker);
    assert!(server.as_mut().poll_next(&mut cx).is_pending());
    drop(client);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(
        server.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
}

fn poll_stream<T: Stream + Unpin>(stream: &mut T, bell: &Arc<Bell>) -> Poll<Option<T::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(&bell.waker()))
}

#[test]
fn streams_take_turns_and_each_request_wakes_one() {
    let (server, client): Ends = ump::channel();
    let (mut a, mut b) = (server.stream(), server.stream());
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    assert!(poll_stream(&mut a, &bell_a).is_pending());
    assert!(poll_stream(&mut b, &bell_b).is_pending());
    post(&client, [1]);
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 0));
    assert!(poll_stream(&mut a, &bell_a).is_ready());
    assert!(poll_stream(&mut a, &bell_a).is_pending());
    // Now the other one is first in line.
    post(&client, [2]);
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 1));
    drop(client);
    assert_eq!((bell_a.rings(), bell_b.rings()), (2, 1));
    assert!(poll_stream(&mut b, &bell_b).is_ready());
    assert!(matches!(poll_stream(&mut a, &bell_a), Poll::Ready(None)));
    assert!(matches!(poll_stream(&mut b, &bell_b), Poll::Ready(None)));
}

#[test]
fn a_stream_keeps_its_own_place_when_polled_by_hand() {
    let (server, client): Ends = ump::channel();
    let (mut a, mut b) = (server.stream(), server.stream());
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let (waker_a, waker_b) = (bell_a.waker(), bell_b.waker());
    assert!(a.poll_wait(&mut Context::from_waker(&waker_a)).is_pending());
    assert!(b.poll_wait(&mut Context::from_waker(&waker_b)).is_pending());
    post(&client, [1, 2]);
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 1));
    let taken = |polled: Poll<Result<Job, Error<()>>>| match polled {
        Poll::Ready(job) => job.map(|(n, _)| n),
        Poll::Pending => panic!("there is one for each"),
    };
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(taken(b.poll_wait(&mut cx)), Ok(1));
    assert_eq!(taken(a.poll_wait(&mut cx)), Ok(2));
    drop(client);
    assert_eq!(taken(a.poll_wait(&mut cx)), Err(Error::ClientsDisappeared));
}

// ---- poll_wait

fn poll_server(server: &Server<u32, u32, ()>, bell: &Arc<Bell>) -> Poll<Result<u32, Error<()>>> {
    server
        .poll_wait(&mut Context::from_waker(&bell.waker()))
        .map_ok(|(n, _)| n)
}

#[test]
fn the_latest_waker_is_woken_and_the_only_one_kept() {
    let (server, client): Ends = ump::channel();
    let (first, last) = (Bell::new(), Bell::new());
    assert!(poll_server(&server, &first).is_pending());
    for _ in 0..5 {
        assert!(poll_server(&server, &last).is_pending());
        assert_eq!((first.wakers(), last.wakers()), (0, 1));
    }
    post(&client, [7]);
    assert_eq!((first.rings(), last.rings()), (0, 1));
    assert_eq!(last.wakers(), 0);
    assert_eq!(poll_server(&server, &first), Poll::Ready(Ok(7)));
    assert_eq!(first.wakers(), 0);
    assert!(poll_server(&server, &last).is_pending());
    drop(client);
    assert_eq!(last.rings(), 2);
    assert_eq!(
        poll_server(&server, &last),
        Poll::Ready(Err(Error::ClientsDisappeared))
    );
}

#[test]
fn the_one_who_polls_stands_beside_the_line() {
    let (server, client): Ends = ump::channel();
    let (poller, waiter) = (Bell::new(), Bell::new());
    let mut waiting = pin!(server.async_wait());
    assert!(poll_with(&mut waiting, &waiter).is_pending());
    assert!(poll_server(&server, &poller).is_pending());
    post(&client, [1]);
    assert_eq!((poller.rings(), waiter.rings()), (1, 1));
    assert_eq!(poll_server(&server, &poller), Poll::Ready(Ok(1)));
    assert!(poll_with(&mut waiting, &waiter).is_pending());
    post(&client, [2]);
    assert_eq!(waiter.rings(), 2);
    assert!(matches!(
        poll_with(&mut waiting, &waiter),
        Poll::Ready(Ok((2, _)))
    ));
}

#[test]
fn a_server_that_is_dropped_forgets_who_polled_it() {
    let (server, _client): Ends = ump::channel();
    let bell = Bell::new();
    assert!(poll_server(&server, &bell).is_pending());
    drop(server);
    assert_eq!(bell.wakers(), 0);
}

// ---- pools

/// The request wakes one of them; if that one leaves, it is for the next.
#[test]
fn a_woken_server_that_leaves_passes_the_request_on() {
    let (server, client): Ends = ump::channel();
    let bells = [(); 3].map(|()| Bell::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = server.stream();
    let mut third = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &bells[0]).is_pending());
    assert!(poll_stream(&mut second, &bells[1]).is_pending());
    assert!(poll_with(&mut third, &bells[2]).is_pending());
    let rings = || bells.each_ref().map(|bell| bell.rings());
    post(&client, [7]);
    assert_eq!(rings(), [1, 0, 0]);
    drop(first);
    assert_eq!(rings(), [1, 1, 0]);
    drop(second);
    assert_eq!(rings(), [1, 1, 1]);
    assert!(matches!(poll_once(&mut third), Poll::Ready(Ok((7, _)))));
    assert_eq!(bells.each_ref().map(Bell::wakers), [0; 3]);
}

/// Then there is nothing to pass on.
#[test]
fn a_woken_server_leaving_an_empty_queue_is_silent() {
    let (server, client): Ends = ump::channel();
    let bells = [(); 2].map(|()| Bell::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &bells[0]).is_pending());
    assert!(poll_with(&mut second, &bells[1]).is_pending());
    post(&client, [7]);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 7);
    drop(first);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 0]);
    post(&client, [8]);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 1]);
    assert!(matches!(poll_once(&mut second), Poll::Ready(Ok((8, _)))));
}

#[test]
fn who_has_waited_longest_is_woken_first() {
    let (server, client): Ends = ump::channel();
    let bells = [(); 4].map(|()| Bell::new());
    let mut waiting: Vec<_> = bells
        .iter()
        .map(|_| Box::pin(server.async_wait()))
        .collect();
    for (future, bell) in waiting.iter_mut().zip(&bells) {
        assert!(poll_with(future, bell).is_pending());
    }
    // Polled again, it keeps its place.
    assert!(poll_with(&mut waiting[0], &bells[0]).is_pending());
    let rings = || bells.each_ref().map(|bell| bell.rings());
    post(&client, [1]);
    assert_eq!(rings(), [1, 0, 0, 0]);
    post(&client, [2, 3]);
    assert_eq!(rings(), [1, 1, 1, 0]);
    drop(client);
    assert_eq!(rings(), [1, 1, 1, 1]);
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

/// Many upgrade while the last strong client goes: once one of them has failed, all will for ever.
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
                // It ends when the last of them has gone, with all that they sent.
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

/// The server never hears of the end while a client may still ask: neither too early nor not at all.
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
