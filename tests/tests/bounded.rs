//! A bounded channel holds what it says it holds, and room goes to who has waited longest.

use std::{
    future::IntoFuture,
    sync::{Arc, Barrier},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{
    Bell, LONG, assert_balanced, block_on, books, ends::*, for_each, in_time, must_end, pass,
    poll_once, poll_with,
};
use ump::{Client, Executed, Post, PostFuture, RequestError, SendError, Server, ZeroCapacity};

type Ends = (Server<u32, (), ()>, Client<u32, (), ()>);

/// A channel with `capacity` posts in its normal lane: 0, 1, …
fn full(capacity: u32) -> Ends {
    let (server, client) = ump::bounded(capacity as usize).unwrap();
    for n in 0..capacity {
        client.post(n).if_room().wait().unwrap();
    }
    (server, client)
}

fn take(server: &Server<u32, (), ()>) -> u32 {
    server.try_pop().unwrap().expect("one is queued").0
}

/// Everything that is queued.
fn take_all(server: &Server<u32, (), ()>) -> Vec<u32> {
    let mut batch = Vec::new();
    while let Some((n, _)) = server.try_pop().unwrap_or(None) {
        batch.push(n);
    }
    batch
}

fn no_room(post: Post<'_, u32, (), ()>) -> bool {
    matches!(post.if_room().wait(), Err(SendError::Full(_)))
}

// ---- capacity

#[test]
fn a_capacity_of_nothing_is_an_error() {
    let refused = ump::bounded::<u32, (), ()>(0);
    assert_eq!(refused.unwrap_err(), ZeroCapacity);
}

#[test]
fn both_ends_know_the_capacity() {
    let (server, client): Ends = ump::bounded(7).unwrap();
    assert_eq!((server.capacity(), client.capacity()), (Some(7), Some(7)));
    let (server, client): Ends = ump::channel();
    assert_eq!((server.capacity(), client.capacity()), (None, None));
}

#[test]
fn each_lane_holds_its_capacity_and_no_more() {
    // Not rounded up to a power of two, for one thing.
    for capacity in [1, 2, 3, 5, 100] {
        let (server, client): Ends = ump::bounded(capacity).unwrap();
        for n in 0..capacity {
            assert_eq!(server.len(), n);
            client.post(1).if_room().wait().unwrap();
        }
        assert!(no_room(client.post(2)));
        for n in 0..capacity {
            assert_eq!(client.len(), capacity + n);
            client.post(0).urgent().if_room().wait().unwrap();
        }
        assert!(no_room(client.post(3).urgent()));
        assert_eq!(server.len(), 2 * capacity);
        // Room in one lane is no room in the other.
        assert_eq!(take(&server), 0);
        assert!(no_room(client.post(2)));
        client.post(0).urgent().if_room().wait().unwrap();
    }
}

#[test]
fn requests_in_a_handler_s_hands_take_no_room() {
    let (server, client) = full(2);
    let first = server.try_pop().unwrap().unwrap();
    client.post(2).if_room().wait().unwrap();
    let second = server.try_pop().unwrap().unwrap();
    client.post(3).if_room().wait().unwrap();
    assert!(no_room(client.post(4)));
    drop((first, second));
    assert!(no_room(client.post(4)));
}

#[test]
fn a_full_lane_does_not_keep_the_other_one_waiting() {
    let (server, client) = full(1);
    let bell = Bell::new();
    let mut normal = client.post(1).into_future();
    assert!(poll_with(&mut normal, &bell).is_pending());
    client.post(10).urgent().wait().unwrap();
    let mut urgent = client.post(11).urgent().into_future();
    assert!(poll_with(&mut urgent, &Bell::new()).is_pending());
    // Room in the urgent lane is not for the one who waits for the normal one.
    assert_eq!(take(&server), 10);
    assert_eq!(bell.rings(), 0);
    assert!(poll_once(&mut urgent).is_ready());
    assert!(poll_with(&mut normal, &bell).is_pending());

    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(10).urgent().wait().unwrap();
    client.post(0).if_room().wait().unwrap();
    assert_eq!(take_all(&server), [10, 0]);
}

#[test]
fn an_unbounded_channel_is_never_full() {
    let (server, client): Ends = ump::channel();
    for n in 0..10_000 {
        client.post(n).if_room().wait().unwrap();
    }
    assert_eq!(take_all(&server), (0..10_000).collect::<Vec<_>>());
}

// ---- every way of sending

/// A way of sending a message, and of waiting until it is taken or more.
trait Send {
    /// Whether its errors bring the message back.
    const DETAILED: bool = true;

    fn send(client: &Client<u32, (), ()>, message: u32, terms: Terms) -> Result<(), Told<u32, ()>>;
}

/// Requests are ways of sending, too.
macro_rules! send {
    ($($name:ident)+) => {$(
        impl Send for $name {
            const DETAILED: bool = <Self as Ask>::DETAILED;

            fn send(
                client: &Client<u32, (), ()>,
                message: u32,
                terms: Terms,
            ) -> Result<(), Told<u32, ()>> {
                Self::ask(client, message, terms)
            }
        }
    )+};
}

send! { Req Areq ReqAsyncWait RequestWait RequestAwait SubmitWait SubmitAwait }

struct PostWait;
struct PostAwait;

impl Send for PostWait {
    fn send(client: &Client<u32, (), ()>, message: u32, terms: Terms) -> Result<(), Told<u32, ()>> {
        Ok(terms.request(client, message).post().wait()?)
    }
}

impl Send for PostAwait {
    fn send(client: &Client<u32, (), ()>, message: u32, terms: Terms) -> Result<(), Told<u32, ()>> {
        Ok(block_on(terms.request(client, message).post())?)
    }
}

fn a_sender_waits_for_room<T: Send>() {
    let (server, client) = full(2);
    thread::scope(|scope| {
        let server = server;
        let client = &client;
        let senders: Vec<_> = (2..6)
            .map(|n| scope.spawn(move || T::send(client, n, Terms::default())))
            .collect();
        let mut taken = Vec::new();
        for _ in 0..6 {
            assert!(server.len() <= 2);
            let (n, rctx) = server.wait().unwrap();
            taken.push(n);
            // Nobody is through who was not taken; and some still wait for room.
            assert!(senders.iter().filter(|sender| sender.is_finished()).count() <= 4);
            rctx.reply(()).unwrap();
        }
        assert_eq!(taken[..2], [0, 1]);
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
        assert_eq!(
            server.stats(),
            books(|stats| (stats.accepted, stats.replied) = (6, 6))
        );
    });
}

fn a_sender_stays_while_there_is_no_room<T: Send>() {
    let (server, client) = full(1);
    thread::scope(|scope| {
        let server = server;
        let sender = scope.spawn(|| T::send(&client, 1, Terms::default()));
        for _ in 0..100 {
            assert!(!sender.is_finished());
            assert_eq!(server.len(), 1);
            thread::yield_now();
        }
        assert_eq!(take(&server), 0);
        server.wait().unwrap().1.reply(()).unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

fn senders_waiting_for_room_see_the_server_go<T: Send>() {
    for _ in 0..10 {
        let (server, client) = full(1);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            let senders = [1, 2, 3].map(|n| {
                let (client, start) = (&client, &start);
                scope.spawn(move || {
                    start.wait();
                    T::send(client, n, Terms::default())
                })
            });
            start.wait();
            drop(server);
            for (n, sender) in (1..).zip(senders) {
                let told = Told {
                    why: Why::ServerDisappeared,
                    executed: Executed::No,
                    message: T::DETAILED.then_some(n),
                };
                assert_eq!(sender.join().unwrap(), Err(told));
            }
        });
        let expected = books(|stats| {
            (stats.accepted, stats.server_disappeared, stats.refused) = (1, 1, 3);
        });
        assert_eq!(client.stats(), expected);
    }
}

for_each!(
    req = Req,
    areq = Areq,
    req_async = ReqAsyncWait,
    request_wait = RequestWait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait,
    post_wait = PostWait,
    post_await = PostAwait
    => {
        a_sender_waits_for_room,
        a_sender_stays_while_there_is_no_room,
        senders_waiting_for_room_see_the_server_go,
    }
);

fn if_there_is_no_room_the_message_comes_back_at_once<T: Send>() {
    let (server, client) = full(2);
    for urgent in [false, true] {
        if urgent {
            client.post(10).urgent().wait().unwrap();
            client.post(11).urgent().wait().unwrap();
        }
        let terms = Terms {
            urgent,
            if_room: true,
            ..Terms::default()
        };
        let told = Told {
            why: Why::Full,
            executed: Executed::No,
            message: Some(7),
        };
        assert_eq!(T::send(&client, 7, terms), Err(told));
    }
    assert_eq!(server.stats().refused, 2);
    assert_eq!(take_all(&server), [10, 11, 0, 1]);
    assert_balanced(&server.stats());
}

fn if_there_is_room_it_is_used<T: Send>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    thread::scope(|scope| {
        let server = server;
        let terms = Terms {
            if_room: true,
            ..Terms::default()
        };
        let sender = scope.spawn(move || T::send(&client, 7, terms));
        let (n, rctx) = server.wait().unwrap();
        assert_eq!(n, 7);
        rctx.reply(()).unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

fn a_server_that_is_gone_is_told_from_a_full_queue<T: Send>() {
    let (server, client) = full(1);
    drop(server);
    let terms = Terms {
        if_room: true,
        ..Terms::default()
    };
    let told = T::send(&client, 7, terms).unwrap_err();
    assert_eq!(told.why, Why::ServerDisappeared);
    assert_eq!(told.message, Some(7));
}

mod if_room {
    use super::*;

    for_each!(
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait = SubmitWait,
        submit_await = SubmitAwait,
        post_wait = PostWait,
        post_await = PostAwait
        => {
            if_there_is_no_room_the_message_comes_back_at_once,
            if_there_is_room_it_is_used,
            a_server_that_is_gone_is_told_from_a_full_queue,
        }
    );
}

// ---- who gets the room

/// A post that waits for room, and its bell.
struct Waiting<'a> {
    post: PostFuture<'a, u32, (), ()>,
    bell: Arc<Bell>,
}

impl<'a> Waiting<'a> {
    /// There is no room for it.
    fn new(post: Post<'a, u32, (), ()>) -> Self {
        let mut waiting = Self {
            post: post.into_future(),
            bell: Bell::new(),
        };
        assert!(waiting.poll().is_pending());
        waiting
    }

    fn poll(&mut self) -> Poll<Result<(), SendError<u32>>> {
        poll_with(&mut self.post, &self.bell)
    }

    #[track_caller]
    fn gets_in(&mut self) {
        assert!(matches!(self.poll(), Poll::Ready(Ok(()))));
    }
}

/// How often each of them was woken.
fn rings<const N: usize>(waiting: [&Waiting<'_>; N]) -> [usize; N] {
    waiting.map(|waiting| waiting.bell.rings())
}

#[test]
fn room_is_granted_in_waiting_order() {
    let (server, client) = full(1);
    let mut a = Waiting::new(client.post(1));
    let mut b = Waiting::new(client.post(2));
    let mut c = Waiting::new(client.post(3));
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&a, &b, &c]), [1, 0, 0]);
    a.gets_in();
    assert_eq!(take(&server), 1);
    assert_eq!(rings([&a, &b, &c]), [1, 1, 0]);
    b.gets_in();
    assert_eq!(take(&server), 2);
    assert_eq!(rings([&a, &b, &c]), [1, 1, 1]);
    c.gets_in();
    assert_eq!(take(&server), 3);
    assert_eq!(rings([&a, &b, &c]), [1, 1, 1]);
}

#[test]
fn being_polled_again_changes_nothing_about_the_order() {
    let (server, client) = full(1);
    let mut a = Waiting::new(client.post(1));
    let b = Waiting::new(client.post(2));
    for _ in 0..10 {
        assert!(a.poll().is_pending());
        // Only the latest waker is kept.
        assert_eq!(a.bell.wakers(), 1);
    }
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&a, &b]), [1, 0]);
}

#[test]
fn a_batch_makes_room_for_as_many_as_it_takes() {
    let (server, client) = full(3);
    let mut waiting: Vec<_> = (3..8).map(|n| Waiting::new(client.post(n))).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 2), Ok(2));
    let rung: Vec<_> = waiting.iter().map(|one| one.bell.rings()).collect();
    assert_eq!(rung, [1, 1, 0, 0, 0]);
    waiting[0].gets_in();
    waiting[1].gets_in();
    assert!(waiting[2].poll().is_pending());
    assert_eq!(take_all(&server), [2, 3, 4]);
    let rung: Vec<_> = waiting.iter().map(|one| one.bell.rings()).collect();
    assert_eq!(rung, [1, 1, 1, 1, 1]);
}

/// The room may have been taken by one who came along; then the longest waiting one is still the first.
#[test]
fn who_is_woken_for_nothing_keeps_the_first_place() {
    let (server, client) = full(1);
    let mut a = Waiting::new(client.post(1));
    let mut b = Waiting::new(client.post(2));
    assert_eq!(take(&server), 0);
    client.post(9).if_room().wait().unwrap();
    assert!(a.poll().is_pending());
    assert_eq!(take(&server), 9);
    assert_eq!(rings([&a, &b]), [2, 0]);
    a.gets_in();
    assert_eq!(take(&server), 1);
    b.gets_in();
}

#[test]
fn a_woken_sender_that_is_dropped_passes_the_room_on() {
    let (server, client) = full(1);
    let a = Waiting::new(client.post(1));
    let mut b = Waiting::new(client.post(2));
    let c = Waiting::new(client.post(3));
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&a, &b, &c]), [1, 0, 0]);
    drop(a);
    assert_eq!(rings([&b, &c]), [1, 0]);
    b.gets_in();
    assert_eq!(take(&server), 2);
    assert_eq!(rings([&c]), [1]);
}

#[test]
fn a_woken_sender_dropped_without_room_wakes_nobody() {
    let (server, client) = full(1);
    let a = Waiting::new(client.post(1));
    let b = Waiting::new(client.post(2));
    assert_eq!(take(&server), 0);
    client.post(9).if_room().wait().unwrap();
    drop(a);
    assert_eq!(rings([&b]), [0]);
    assert_eq!(take(&server), 9);
    assert_eq!(rings([&b]), [1]);
}

#[test]
fn a_sender_that_leaves_unwoken_leaves_the_queue() {
    let (server, client) = full(1);
    let a = Waiting::new(client.post(1));
    let b = Waiting::new(client.post(2));
    let bell = Arc::clone(&a.bell);
    drop(a);
    assert_eq!((bell.wakers(), bell.rings()), (0, 0));
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&b]), [1]);
    drop(b);
    // It counts who wanted in and did not get in.
    assert_eq!(server.stats().refused, 2);
}

#[test]
fn a_sender_whose_time_is_up_leaves_the_line() {
    let (server, client, bell) = {
        let (server, client) = full(1);
        let bell = Bell::new();
        in_time(|time| {
            let deadline = Instant::now() + time;
            let mut late = client.post(1).deadline(deadline).into_future();
            if poll_with(&mut late, &bell).is_ready() {
                return None;
            }
            pass(deadline);
            assert!(matches!(
                poll_with(&mut late, &bell),
                Poll::Ready(Err(SendError::TimeoutQueued(1)))
            ));
            Some(())
        });
        (server, client, bell)
    };
    assert_eq!(bell.wakers(), 0);
    let b = Waiting::new(client.post(2));
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&b]), [1]);
}

/// It was woken for room, and comes too late to use it.
#[test]
fn a_woken_sender_whose_time_is_up_passes_the_room_on() {
    in_time(|time| {
        let (server, client) = full(1);
        let deadline = Instant::now() + time;
        let mut late = client.post(1).deadline(deadline).into_future();
        if poll_once(&mut late).is_ready() {
            return None;
        }
        let mut b = Waiting::new(client.post(2));
        assert_eq!(take(&server), 0);
        assert_eq!(rings([&b]), [0]);
        pass(deadline);
        assert!(matches!(
            poll_once(&mut late),
            Poll::Ready(Err(SendError::TimeoutQueued(1)))
        ));
        assert_eq!(rings([&b]), [1]);
        b.gets_in();
        Some(())
    });
}

#[test]
fn a_timed_out_blocking_sender_loses_no_wake_up() {
    let (server, client) = full(1);
    let late = client.post(1).timeout(Duration::from_millis(5)).wait();
    assert!(matches!(late, Err(SendError::TimeoutQueued(1))));
    let b = Waiting::new(client.post(2));
    assert_eq!(take(&server), 0);
    assert_eq!(rings([&b]), [1]);
}

/// Whoever leaves, at whatever moment: the room is never left unused while somebody waits for it.
#[test]
fn senders_timing_out_as_room_appears_lose_no_wake_up() {
    must_end(|| {
        const ROUNDS: u32 = 200;
        for round in 0..ROUNDS {
            let (server, client) = full(1);
            thread::scope(|scope| {
                let server = server;
                let client = &client;
                // Some of them leave at about the time when there is room.
                for n in 0..3 {
                    let time = Duration::from_micros(u64::from(20 + (round * 7 + n * 31) % 200));
                    scope.spawn(move || {
                        let _ = client.post(1).timeout(time).wait();
                    });
                }
                let stays = scope.spawn(move || client.post(2).wait());
                while server.wait().unwrap().0 != 2 {}
                assert!(stays.join().unwrap().is_ok());
            });
            assert_balanced(&client.stats());
        }
    });
}

#[test]
fn a_request_that_is_withdrawn_makes_room() {
    let (server, client): Ends = ump::bounded(2).unwrap();
    let first = client.request(0).submit().wait().unwrap();
    let second = client.request(1).submit().wait().unwrap();
    let mut a = Waiting::new(client.post(2));
    let mut b = Waiting::new(client.post(3));
    drop(second);
    assert_eq!(rings([&a, &b]), [1, 0]);
    a.gets_in();
    drop(first);
    assert_eq!(rings([&a, &b]), [1, 1]);
    b.gets_in();
    assert_eq!(take_all(&server), [2, 3]);
}

#[test]
fn a_request_revoked_at_its_deadline_makes_room() {
    in_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        let deadline = Instant::now() + time;
        let reply = client.request(0).deadline(deadline).submit().wait().ok()?;
        let mut a = Waiting::new(client.post(1));
        assert!(matches!(reply.wait(), Err(RequestError::TimeoutQueued(0))));
        assert_eq!(rings([&a]), [1]);
        a.gets_in();
        assert_eq!(take_all(&server), [1]);
        Some(())
    });
}

#[test]
fn a_revoked_urgent_request_makes_room_in_its_lane() {
    let (_server, client) = full(1);
    let urgent = client.request(10).urgent().submit().wait().unwrap();
    let normal = Waiting::new(client.post(1));
    let mut overtaker = Waiting::new(client.post(11).urgent());
    drop(urgent);
    assert_eq!(rings([&normal, &overtaker]), [0, 1]);
    overtaker.gets_in();
}

// ---- the server goes

#[test]
fn a_server_that_goes_wakes_all_who_wait_for_room() {
    let (server, client) = full(1);
    client.post(0).urgent().wait().unwrap();
    let mut waiting = [
        Waiting::new(client.post(1)),
        Waiting::new(client.post(2)),
        Waiting::new(client.post(3).urgent()),
        Waiting::new(client.post(4).timeout(LONG)),
    ];
    drop(server);
    for (n, one) in (1..).zip(&mut waiting) {
        assert_eq!(one.bell.rings(), 1);
        match one.poll() {
            Poll::Ready(Err(SendError::ServerDisappeared(message))) => assert_eq!(message, n),
            other => panic!("{other:?}"),
        }
    }
    let expected = books(|stats| {
        (stats.accepted, stats.server_disappeared, stats.refused) = (2, 2, 4);
    });
    assert_eq!(client.stats(), expected);
}

#[test]
fn a_sender_dropped_after_the_server_is_no_trouble() {
    let (server, client) = full(1);
    let a = Waiting::new(client.post(1));
    let b = Waiting::new(client.post(2));
    drop(server);
    drop(a);
    drop(b);
    assert_eq!(client.stats().refused, 2);
}

// ---- all at once

#[test]
fn a_narrow_channel_carries_everything() {
    must_end(|| {
        const EACH: u32 = 250;
        for capacity in [1, 2, 3] {
            let (server, client): (Server<u32, u32, ()>, _) = ump::bounded(capacity).unwrap();
            thread::scope(|scope| {
                let server = server;
                let clients: Vec<_> = (0..4).map(|_| client.clone()).collect();
                drop(client);
                for (who, client) in clients.into_iter().enumerate() {
                    scope.spawn(move || {
                        for n in 0..EACH {
                            let reply = match who {
                                0 => client.req(n).unwrap(),
                                1 => block_on(client.areq(n)).unwrap(),
                                2 => client.request(n).urgent().wait().unwrap(),
                                _ => client.req_async(n).unwrap().wait().unwrap(),
                            };
                            assert_eq!(reply, n + 1);
                            client.post(n).wait().unwrap();
                        }
                    });
                }
                let mut batch = Vec::new();
                while server.wait_many(&mut batch, 8).is_ok() {
                    assert!(batch.len() <= 2 * capacity);
                    for (n, rctx) in batch.drain(..) {
                        rctx.reply(n + 1).unwrap();
                    }
                }
                let total = u64::from(4 * 2 * EACH);
                let expected = books(|stats| (stats.accepted, stats.replied) = (total, total));
                assert_eq!(server.stats(), expected);
            });
        }
    });
}
