//! The order in which requests are taken: FIFO for each client and lane, urgent first, without
//! starvation.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use tests::{
    CountingWaker, before_deadline, block_on, ends::*, eventually, for_each, pass, poll_once,
};
use ump::{Client, Requests, Server, WaitReply};

/// The most urgent requests taken in a row while a normal one waits.
const RUN: u32 = 16;

type Ends = (Server<u32, (), ()>, Client<u32, (), ()>);

/// Takes requests until no client is left, without replies.
fn drain<T: Take>(server: &Server<u32, (), ()>) -> Vec<u32> {
    std::iter::from_fn(|| T::take(server))
        .map(|(n, _)| n)
        .collect()
}

/// Returns the order in which requests are taken after `send` has sent them.
fn taken<T: Take>(server: &Server<u32, (), ()>, client: Client<u32, (), ()>) -> Vec<u32> {
    drop(client);
    drain::<T>(server)
}

fn post_all(client: &Client<u32, (), ()>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        client.post(message).wait().unwrap();
    }
}

fn post_urgently(client: &Client<u32, (), ()>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        client.post(message).urgent().wait().unwrap();
    }
}

// ---- the ways of sending, one after the other

/// A pending request, which is held until the server has taken all requests.
type Begun<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn begun<'a>(future: impl Future + Unpin + 'a) -> Begun<'a> {
    let mut future = Box::pin(async move {
        future.await;
    });
    assert!(poll_once(&mut future).is_pending());
    future
}

fn requests_of_one_client_are_taken_in_order<T: Take>() {
    let (server, client): Ends = ump::channel();
    let other = client.clone();
    let mut under_way: Vec<Begun<'_>> = Vec::new();
    for n in 0..60 {
        match n % 6 {
            0 => under_way.push(begun(client.req_async(n).unwrap())),
            1 => under_way.push(begun(Box::pin(client.areq(n)))),
            2 => under_way.push(begun(client.request(n).into_future())),
            3 => under_way.push(begun(client.request(n).submit().wait().unwrap())),
            4 => block_on(client.post(n)).unwrap(),
            _ => other.post(n).wait().unwrap(),
        }
    }
    let order: Vec<_> = (0..60).map(|_| T::take(&server).unwrap().0).collect();
    assert_eq!(order, (0..60).collect::<Vec<_>>());
}

fn blocking_requests_of_one_thread_stay_in_order<T: Take>() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 100;
    let (server, client) = ump::bounded::<(u32, u32), (), ()>(3).unwrap();
    thread::scope(|scope| {
        let server = server;
        for caller in 0..CLIENTS {
            let client = client.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    // Every other request is awaited; most of the rest wait for room.
                    if n % 2 == 0 {
                        client.req((caller, n)).unwrap();
                    } else {
                        client.post((caller, n)).wait().unwrap();
                    }
                }
            });
        }
        drop(client);
        let mut next = [0; CLIENTS as usize];
        while let Some(((caller, n), rctx)) = T::take(&server) {
            assert_eq!(n, next[caller as usize], "of client {caller}");
            next[caller as usize] += 1;
            rctx.reply(()).unwrap();
        }
        assert_eq!(next, [EACH; CLIENTS as usize]);
    });
}

fn a_revoked_request_leaves_the_others_in_order<T: Take>() {
    for gone in [&[0][..], &[5], &[2], &[2, 3], &[0, 1, 2, 3, 4, 5]] {
        let (server, client) = ump::channel();
        let mut replies: Vec<_> = (0..6)
            .map(|n| Some(client.request(n).submit().wait().unwrap()))
            .collect();
        for &n in gone {
            replies[n as usize] = None;
        }
        let left: Vec<_> = (0..6).filter(|n| !gone.contains(n)).collect();
        assert_eq!(server.len(), left.len());
        client.post(6).wait().unwrap();
        let order = taken::<T>(&server, client);
        assert_eq!(order, [&left[..], &[6]].concat(), "without {gone:?}");
    }
}

// ---- urgent requests

fn urgent_requests_overtake_normal_ones<T: Take>() {
    let (server, client) = ump::channel();
    post_all(&client, [10, 11]);
    post_urgently(&client, [0]);
    post_all(&client, [12]);
    post_urgently(&client, [1]);
    assert_eq!(taken::<T>(&server, client), [0, 1, 10, 11, 12]);
}

fn urgent_requests_keep_their_order_among_themselves<T: Take>() {
    let (server, client) = ump::channel();
    let mut replies = Vec::new();
    for n in 0..10 {
        let request = client.request(n).urgent();
        if n % 2 == 0 {
            replies.push(request.submit().wait().unwrap());
        } else {
            request.post().wait().unwrap();
        }
    }
    assert_eq!(taken::<T>(&server, client), (0..10).collect::<Vec<_>>());
}

fn posts_keep_their_place_among_requests<T: Take>() {
    let (server, client) = ump::channel();
    let submit = |n| -> WaitReply<_, _, _> { client.request(n).submit().wait().unwrap() };
    let first = submit(10);
    post_all(&client, [11]);
    let second = submit(12);
    let urgent = client.request(0).urgent().submit().wait().unwrap();
    post_urgently(&client, [1]);
    post_all(&client, [13]);
    let order: Vec<_> = (0..6).map(|_| T::take(&server).unwrap().0).collect();
    assert_eq!(order, [0, 1, 10, 11, 12, 13]);
    drop((first, second, urgent));
}

/// Numbers from 100 on are normal requests, the others are urgent.
fn a_normal_request_follows_sixteen_urgent_ones<T: Take>() {
    let (server, client) = ump::channel();
    post_all(&client, 100..103);
    post_urgently(&client, 0..40);
    let expected: Vec<_> = (0..16)
        .chain([100])
        .chain(16..32)
        .chain([101])
        .chain(32..40)
        .chain([102])
        .collect();
    assert_eq!(taken::<T>(&server, client), expected);
}

fn only_overtaking_urgent_requests_count<T: Take>() {
    let (server, client) = ump::channel();
    // No normal request waits, so these urgent requests do not count.
    post_urgently(&client, 0..RUN + 4);
    for n in 0..RUN + 4 {
        assert_eq!(T::take(&server).unwrap().0, n);
    }
    post_all(&client, [100, 101]);
    post_urgently(&client, 20..40);
    let expected: Vec<_> = (20..36).chain([100]).chain(36..40).chain([101]).collect();
    assert_eq!(taken::<T>(&server, client), expected);
}

/// In any order of arrival, the normal request follows sixteen urgent ones.
fn endless_urgent_requests_do_not_starve_normal_ones<T: Take>() {
    let (server, client) = ump::channel();
    post_all(&client, [100]);
    post_urgently(&client, [0]);
    let mut waited = 0;
    loop {
        let (n, _) = T::take(&server).unwrap();
        // Each taken request is replaced by an urgent one.
        post_urgently(&client, [n + 1]);
        if n == 100 {
            break;
        }
        waited += 1;
        assert!(waited <= RUN, "it starves");
    }
    assert_eq!(waited, RUN);
}

/// Overdue normal requests are not taken, so they do not count as a turn.
fn overdue_requests_do_not_count_for_fairness<T: Take>() {
    let ((server, client, posted), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::channel();
        let posted: Vec<_> = (0..3)
            .map(|_| client.post(999).deadline(deadline).wait())
            .collect();
        (server, client, posted)
    });
    assert!(posted.iter().all(Result::is_ok));
    post_all(&client, [100]);
    post_urgently(&client, 0..4 * RUN);
    pass(deadline);
    let order = taken::<T>(&server, client);
    let overtaken_by = order.iter().position(|&n| n == 100);
    assert_eq!(overtaken_by, Some(RUN as usize));
    assert!(!order.contains(&999));
}

for_each!(
    wait = Wait,
    async_wait = AsyncWait,
    try_pop = TryPop,
    wait_many = WaitMany,
    async_wait_many = AsyncWaitMany,
    iterator = Iterate,
    stream = Streamed,
    poll_wait = PollWait
    => {
        requests_of_one_client_are_taken_in_order,
        blocking_requests_of_one_thread_stay_in_order,
        a_revoked_request_leaves_the_others_in_order,
        urgent_requests_overtake_normal_ones,
        urgent_requests_keep_their_order_among_themselves,
        posts_keep_their_place_among_requests,
        a_normal_request_follows_sixteen_urgent_ones,
        only_overtaking_urgent_requests_count,
        endless_urgent_requests_do_not_starve_normal_ones,
        overdue_requests_do_not_count_for_fairness,
    }
);

// ---- batches

/// Takes batches of up to `max`.
trait Batch {
    fn batch(server: &Server<u32, (), ()>, max: usize) -> Option<Vec<u32>>;
}

struct Blocking;
struct Async;

impl Batch for Blocking {
    fn batch(server: &Server<u32, (), ()>, max: usize) -> Option<Vec<u32>> {
        let mut batch = Vec::new();
        server.wait_many(&mut batch, max).ok()?;
        Some(batch.into_iter().map(|(n, _)| n).collect())
    }
}

impl Batch for Async {
    fn batch(server: &Server<u32, (), ()>, max: usize) -> Option<Vec<u32>> {
        let mut batch = Vec::new();
        block_on(server.async_wait_many(&mut batch, max)).ok()?;
        Some(batch.into_iter().map(|(n, _)| n).collect())
    }
}

fn a_batch_has_the_order_of_single_requests<B: Batch>() {
    for max in [1, 2, 5, 16, 17, 18, 40, usize::MAX] {
        let (server, client): Ends = ump::channel();
        post_all(&client, 100..104);
        post_urgently(&client, 0..50);
        post_all(&client, 104..106);
        let expected: Vec<_> = (0..16)
            .chain([100])
            .chain(16..32)
            .chain([101])
            .chain(32..48)
            .chain([102])
            .chain(48..50)
            .chain(103..106)
            .collect();
        drop(client);
        let mut order = Vec::new();
        while let Some(batch) = B::batch(&server, max) {
            assert!(!batch.is_empty() && batch.len() <= max);
            order.extend(batch);
        }
        assert_eq!(order, expected, "in batches of {max}");
    }
}

mod batches {
    use super::*;

    for_each!(blocking = Blocking, asynchronous = Async => {
        a_batch_has_the_order_of_single_requests,
    });
}

/// The channel counts urgent requests across calls.
#[test]
fn the_ways_of_taking_share_one_order() {
    let (server, client): Ends = ump::channel();
    post_all(&client, 100..102);
    post_urgently(&client, 0..33);
    let mut order = Vec::new();
    for turn in 0.. {
        let job = match turn % 8 {
            0 => Wait::take(&server),
            1 => AsyncWait::take(&server),
            2 => TryPop::take(&server),
            3 => WaitMany::take(&server),
            4 => AsyncWaitMany::take(&server),
            5 => Iterate::take(&server),
            6 => Streamed::take(&server),
            _ => PollWait::take(&server),
        };
        order.push(job.unwrap().0);
        if server.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..16)
        .chain([100])
        .chain(16..32)
        .chain([101, 32])
        .collect();
    assert_eq!(order, expected);
}

/// Polls a stream until it has registered its waker.
fn register(stream: &mut Requests<'_, u32, (), ()>, counter: &Arc<CountingWaker>) {
    let waker = counter.waker();
    loop {
        let wakes = counter.wakes();
        let polled = stream.poll_wait(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        if counter.wakes() == wakes {
            break;
        }
        // It has let others run first.
    }
}

#[test]
fn a_stream_that_took_a_handed_over_request_waits_behind_others() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 2].map(|()| CountingWaker::new());
    let [mut first, mut second] = [server.stream(), server.stream()];
    register(&mut first, &counters[0]);
    thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|n| client.req(n).unwrap()));
        // The stream is woken in vain.
        for n in 0..2 {
            eventually(|| !server.is_empty());
            let (message, rctx) = server.wait().unwrap();
            assert_eq!(message, n);
            rctx.reply(()).unwrap();
        }
        // The client was served twice in a row, so it hands over its third request.
        eventually(|| !server.is_empty());
        let counter = CountingWaker::new();
        match first.poll_wait(&mut Context::from_waker(&counter.waker())) {
            Poll::Ready(Ok((2, rctx))) => rctx.reply(()).unwrap(),
            other => panic!("{other:?}"),
        }
    });
    register(&mut second, &counters[1]);
    register(&mut first, &counters[0]);
    let before = [0, 1].map(|n: usize| counters[n].wakes());
    client.post(3).wait().unwrap();
    let woken = [0, 1].map(|n: usize| counters[n].wakes() - before[n]);
    assert_eq!(woken, [0, 1]);
}
