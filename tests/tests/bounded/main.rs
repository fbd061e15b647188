//! A bounded channel has its capacity, and the longest waiting sender gets the room.

mod sending;

use std::{
    future::IntoFuture,
    sync::{Arc, Barrier},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{
    CountingWaker, LONG, assert_balanced, block_on, ends::*, eventually, for_each, must_end, pass,
    poll_once, poll_with, stats_with, with_growing_time,
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

/// Takes all queued messages.
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
    // The capacity is not rounded up to a power of two.
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
        // The lanes have separate room.
        assert_eq!(take(&server), 0);
        assert!(no_room(client.post(2)));
        client.post(0).urgent().if_room().wait().unwrap();
    }
}

#[test]
fn taken_requests_take_no_room() {
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
    let counter = CountingWaker::new();
    let mut normal = client.post(1).into_future();
    assert!(poll_with(&mut normal, &counter).is_pending());
    client.post(10).urgent().wait().unwrap();
    let mut urgent = client.post(11).urgent().into_future();
    assert!(poll_with(&mut urgent, &CountingWaker::new()).is_pending());
    // Room in the urgent lane does not wake a sender that waits for the normal lane.
    assert_eq!(take(&server), 10);
    assert_eq!(counter.wakes(), 0);
    assert!(poll_once(&mut urgent).is_ready());
    assert!(poll_with(&mut normal, &counter).is_pending());

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

// ---- the order of room

/// A post that waits for room, and its counter.
struct WaitingSender<'a> {
    post: PostFuture<'a, u32, (), ()>,
    counter: Arc<CountingWaker>,
}

impl<'a> WaitingSender<'a> {
    /// Polls the post while there is no room.
    fn new(post: Post<'a, u32, (), ()>) -> Self {
        let mut waiting = Self {
            post: post.into_future(),
            counter: CountingWaker::new(),
        };
        assert!(waiting.poll().is_pending());
        waiting
    }

    fn poll(&mut self) -> Poll<Result<(), SendError<u32>>> {
        poll_with(&mut self.post, &self.counter)
    }

    #[track_caller]
    fn gets_in(&mut self) {
        assert!(matches!(self.poll(), Poll::Ready(Ok(()))));
    }
}

/// Returns the number of wake-ups of each post.
fn wakes<const N: usize>(waiting: [&WaitingSender<'_>; N]) -> [usize; N] {
    waiting.map(|waiting| waiting.counter.wakes())
}

#[test]
fn room_is_granted_in_waiting_order() {
    let (server, client) = full(1);
    let mut a = WaitingSender::new(client.post(1));
    let mut b = WaitingSender::new(client.post(2));
    let mut c = WaitingSender::new(client.post(3));
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&a, &b, &c]), [1, 0, 0]);
    a.gets_in();
    assert_eq!(take(&server), 1);
    assert_eq!(wakes([&a, &b, &c]), [1, 1, 0]);
    b.gets_in();
    assert_eq!(take(&server), 2);
    assert_eq!(wakes([&a, &b, &c]), [1, 1, 1]);
    c.gets_in();
    assert_eq!(take(&server), 3);
    assert_eq!(wakes([&a, &b, &c]), [1, 1, 1]);
}

#[test]
fn being_polled_again_changes_nothing_about_the_order() {
    let (server, client) = full(1);
    let mut a = WaitingSender::new(client.post(1));
    let b = WaitingSender::new(client.post(2));
    for _ in 0..10 {
        assert!(a.poll().is_pending());
        // Only the latest waker is kept.
        assert_eq!(a.counter.wakers(), 1);
    }
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&a, &b]), [1, 0]);
}

#[test]
fn a_batch_makes_room_for_as_many_as_it_takes() {
    let (server, client) = full(3);
    let mut waiting: Vec<_> = (3..8).map(|n| WaitingSender::new(client.post(n))).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 2), Ok(2));
    let wakes: Vec<_> = waiting.iter().map(|one| one.counter.wakes()).collect();
    assert_eq!(wakes, [1, 1, 0, 0, 0]);
    waiting[0].gets_in();
    waiting[1].gets_in();
    assert!(waiting[2].poll().is_pending());
    assert_eq!(take_all(&server), [2, 3, 4]);
    let wakes: Vec<_> = waiting.iter().map(|one| one.counter.wakes()).collect();
    assert_eq!(wakes, [1, 1, 1, 1, 1]);
}

/// If another sender takes the room first, the longest waiting sender stays the first.
#[test]
fn a_waiter_woken_in_vain_stays_first() {
    let (server, client) = full(1);
    let mut a = WaitingSender::new(client.post(1));
    let mut b = WaitingSender::new(client.post(2));
    assert_eq!(take(&server), 0);
    client.post(9).if_room().wait().unwrap();
    assert!(a.poll().is_pending());
    assert_eq!(take(&server), 9);
    assert_eq!(wakes([&a, &b]), [2, 0]);
    a.gets_in();
    assert_eq!(take(&server), 1);
    b.gets_in();
}

#[test]
fn a_woken_sender_that_is_dropped_passes_the_room_on() {
    let (server, client) = full(1);
    let a = WaitingSender::new(client.post(1));
    let mut b = WaitingSender::new(client.post(2));
    let c = WaitingSender::new(client.post(3));
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&a, &b, &c]), [1, 0, 0]);
    drop(a);
    assert_eq!(wakes([&b, &c]), [1, 0]);
    b.gets_in();
    assert_eq!(take(&server), 2);
    assert_eq!(wakes([&c]), [1]);
}

#[test]
fn a_woken_sender_dropped_without_room_is_silent() {
    let (server, client) = full(1);
    let a = WaitingSender::new(client.post(1));
    let b = WaitingSender::new(client.post(2));
    assert_eq!(take(&server), 0);
    client.post(9).if_room().wait().unwrap();
    drop(a);
    assert_eq!(wakes([&b]), [0]);
    assert_eq!(take(&server), 9);
    assert_eq!(wakes([&b]), [1]);
}

#[test]
fn a_sender_that_leaves_unwoken_leaves_the_queue() {
    let (server, client) = full(1);
    let a = WaitingSender::new(client.post(1));
    let b = WaitingSender::new(client.post(2));
    let counter = Arc::clone(&a.counter);
    drop(a);
    assert_eq!((counter.wakers(), counter.wakes()), (0, 0));
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&b]), [1]);
    drop(b);
    // `refused` counts senders that were not accepted.
    assert_eq!(server.stats().refused, 2);
}

#[test]
fn a_timed_out_sender_leaves_the_queue() {
    let (server, client, counter) = {
        let (server, client) = full(1);
        let counter = CountingWaker::new();
        with_growing_time(|time| {
            let deadline = Instant::now() + time;
            let mut late = client.post(1).deadline(deadline).into_future();
            if poll_with(&mut late, &counter).is_ready() {
                return None;
            }
            pass(deadline);
            assert!(matches!(
                poll_with(&mut late, &counter),
                Poll::Ready(Err(SendError::TimeoutQueued(1)))
            ));
            Some(())
        });
        (server, client, counter)
    };
    // The timer thread drops the waker after it has called it.
    eventually(|| counter.wakers() == 0);
    let b = WaitingSender::new(client.post(2));
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&b]), [1]);
}

/// The sender was woken for room, and its deadline passed before it used the room.
#[test]
fn a_timed_out_woken_sender_passes_the_room_on() {
    with_growing_time(|time| {
        let (server, client) = full(1);
        let deadline = Instant::now() + time;
        let mut late = client.post(1).deadline(deadline).into_future();
        if poll_once(&mut late).is_ready() {
            return None;
        }
        let mut b = WaitingSender::new(client.post(2));
        assert_eq!(take(&server), 0);
        assert_eq!(wakes([&b]), [0]);
        pass(deadline);
        assert!(matches!(
            poll_once(&mut late),
            Poll::Ready(Err(SendError::TimeoutQueued(1)))
        ));
        assert_eq!(wakes([&b]), [1]);
        b.gets_in();
        Some(())
    });
}

#[test]
fn a_timed_out_blocking_sender_loses_no_wake_up() {
    let (server, client) = full(1);
    let late = client.post(1).timeout(Duration::from_millis(5)).wait();
    assert!(matches!(late, Err(SendError::TimeoutQueued(1))));
    let b = WaitingSender::new(client.post(2));
    assert_eq!(take(&server), 0);
    assert_eq!(wakes([&b]), [1]);
}

/// Whichever sender leaves at whichever moment, room is never unused while a sender waits.
#[test]
fn senders_timing_out_as_room_appears_lose_no_wake_up() {
    must_end(|| {
        const ROUNDS: u32 = 200;
        for round in 0..ROUNDS {
            let (server, client) = full(1);
            thread::scope(|scope| {
                let server = server;
                let client = &client;
                // Some senders leave about when room appears.
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
    let mut a = WaitingSender::new(client.post(2));
    let mut b = WaitingSender::new(client.post(3));
    drop(second);
    assert_eq!(wakes([&a, &b]), [1, 0]);
    a.gets_in();
    drop(first);
    assert_eq!(wakes([&a, &b]), [1, 1]);
    b.gets_in();
    assert_eq!(take_all(&server), [2, 3]);
}

#[test]
fn a_request_revoked_at_its_deadline_makes_room() {
    with_growing_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        let deadline = Instant::now() + time;
        let reply = client.request(0).deadline(deadline).submit().wait().ok()?;
        let mut a = WaitingSender::new(client.post(1));
        assert!(matches!(reply.wait(), Err(RequestError::TimeoutQueued(0))));
        assert_eq!(wakes([&a]), [1]);
        a.gets_in();
        assert_eq!(take_all(&server), [1]);
        Some(())
    });
}

#[test]
fn a_revoked_urgent_request_makes_room_in_its_lane() {
    let (_server, client) = full(1);
    let urgent = client.request(10).urgent().submit().wait().unwrap();
    let normal = WaitingSender::new(client.post(1));
    let mut overtaker = WaitingSender::new(client.post(11).urgent());
    drop(urgent);
    assert_eq!(wakes([&normal, &overtaker]), [0, 1]);
    overtaker.gets_in();
}

// ---- the server goes

#[test]
fn a_server_that_goes_wakes_all_waiting_senders() {
    let (server, client) = full(1);
    client.post(0).urgent().wait().unwrap();
    let mut waiting = [
        WaitingSender::new(client.post(1)),
        WaitingSender::new(client.post(2)),
        WaitingSender::new(client.post(3).urgent()),
        WaitingSender::new(client.post(4).timeout(LONG)),
    ];
    drop(server);
    for (n, one) in (1..).zip(&mut waiting) {
        assert_eq!(one.counter.wakes(), 1);
        match one.poll() {
            Poll::Ready(Err(SendError::ServerDisappeared(message))) => assert_eq!(message, n),
            other => panic!("{other:?}"),
        }
    }
    let expected = stats_with(|stats| {
        (stats.accepted, stats.server_disappeared, stats.refused) = (2, 2, 4);
    });
    assert_eq!(client.stats(), expected);
}

#[test]
fn a_sender_may_be_dropped_after_the_server() {
    let (server, client) = full(1);
    let a = WaitingSender::new(client.post(1));
    let b = WaitingSender::new(client.post(2));
    drop(server);
    drop(a);
    drop(b);
    assert_eq!(client.stats().refused, 2);
}

// ---- everything together

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
                for (caller, client) in clients.into_iter().enumerate() {
                    scope.spawn(move || {
                        for n in 0..EACH {
                            let reply = match caller {
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
                let expected = stats_with(|stats| (stats.accepted, stats.replied) = (total, total));
                assert_eq!(server.stats(), expected);
            });
        }
    });
}
