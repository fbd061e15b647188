//! A deadline means the same whether one blocks or awaits: see `Request::deadline`.
//!
//! A test may wait for a short deadline to pass; none of them says anything on how late that is noticed.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use tests::{
    Bell, Census, Counted, LONG, before_deadline, block_on, books, ends::*, eventually, for_each,
    in_time, must_end, pass, poll_once, poll_with,
};
use ump::{Client, Executed, Gather, RequestError, SendError, Server, WaitReply};

/// Longer than any clock can tell.
const FOR_EVER: Duration = Duration::MAX;

/// Two centuries: the clock can tell it.
const FAR: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

/// `submit().wait()`, then `wait_timeout` for longer than any deadline.
struct SubmitWaitTimeout;

impl Ask for SubmitWaitTimeout {
    const DETAILED: bool = true;

    fn ask<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
        terms: Terms,
    ) -> Result<R, Told<S, E>> {
        let reply = terms.request(client, message).submit().wait()?;
        let outcome = reply.wait_timeout(FOR_EVER);
        Ok(outcome.expect("it waits for ever")?)
    }
}

fn too_late(message: u32) -> Result<u32, Told<u32, ()>> {
    Err(Told {
        why: Why::TimeoutQueued,
        executed: Executed::No,
        message: Some(message),
    })
}

// ---- one meaning, however one waits

fn a_deadline_that_has_passed_queues_nothing<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let now = Instant::now();
    let long_ago = now.checked_sub(Duration::from_millis(1)).unwrap();
    for (n, late) in [now, long_ago].into_iter().enumerate() {
        assert_eq!(A::ask(&client, 7, Terms::until(late)), too_late(7));
        let expected = books(|stats| stats.refused = n as u64 + 1);
        assert_eq!(server.stats(), expected);
    }
}

fn a_passed_deadline_does_not_wait_for_room<A: Ask>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    assert_eq!(
        A::ask(&client, 7, Terms::until(Instant::now())),
        too_late(7)
    );
    assert_eq!(server.len(), 1);
}

fn a_queued_request_is_revoked_at_its_deadline<A: Ask>() {
    for urgent in [false, true] {
        let (server, client) = in_time(|time| {
            let (server, client): Ends = ump::channel();
            let deadline = Instant::now() + time;
            let terms = Terms {
                urgent,
                ..Terms::until(deadline)
            };
            let outcome = A::ask(&client, 7, terms);
            assert!(Instant::now() >= deadline);
            assert_eq!(outcome, too_late(7));
            (server.stats().accepted == 1).then_some((server, client))
        });
        assert_eq!(server.len(), 0);
        assert!(client.is_empty());
        assert!(server.try_pop().unwrap().is_none());
        let expected = books(|stats| (stats.accepted, stats.timeout_queued) = (1, 1));
        assert_eq!(server.stats(), expected);
    }
}

fn revoking_leaves_the_others_in_the_queue<A: Ask>() {
    let (server, client) = in_time(|time| {
        let (server, client): Ends = ump::channel();
        client.post(1).wait().unwrap();
        thread::scope(|scope| {
            let client = &client;
            let deadline = Instant::now() + time;
            let caller = scope.spawn(move || A::ask(client, 2, Terms::until(deadline)));
            // Behind it, unless it was too late for the deadline.
            eventually(|| server.len() == 2 || caller.is_finished());
            client.post(3).wait().unwrap();
            assert_eq!(caller.join().unwrap(), too_late(2));
        });
        (server.stats().timeout_queued == 1).then_some((server, client))
    });
    drop(client);
    let left: Vec<_> = server.iter().map(|(n, _)| n).collect();
    assert_eq!(left, [1, 3]);
}

fn an_answer_in_time_is_delivered<A: Ask>() {
    for deadline in [LONG, FAR].map(|far| Instant::now() + far) {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            let server = server;
            let caller = scope.spawn(|| A::ask(&client, 7, Terms::until(deadline)));
            let (n, rctx) = server.wait().unwrap();
            assert_eq!(rctx.deadline(), Some(deadline));
            assert!(!rctx.is_cancelled());
            rctx.reply(n + 1).unwrap();
            assert_eq!(caller.join().unwrap(), Ok(8));
        });
    }
}

fn a_deadline_can_pass_while_waiting_for_room<A: Ask>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    let deadline = Instant::now() + Duration::from_millis(5);
    assert_eq!(A::ask(&client, 7, Terms::until(deadline)), too_late(7));
    assert!(Instant::now() >= deadline);
    let expected = books(|stats| {
        (stats.accepted, stats.queued, stats.refused) = (1, 1, 1);
    });
    assert_eq!(server.stats(), expected);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
    // Nobody stands in line any more for the room there is now.
    assert!(server.try_pop().unwrap().is_none());
    client.post(1).if_room().wait().unwrap();
}

fn room_in_time_is_used<A: Ask>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Terms::until(Instant::now() + LONG)));
        drop(server.wait().unwrap());
        server.wait().unwrap().1.reply(8).unwrap();
        assert_eq!(caller.join().unwrap(), Ok(8));
    });
}

for_each!(
    blocking = RequestWait,
    blocking_submitted = SubmitWait,
    blocking_for_some_time = SubmitWaitTimeout,
    asynchronous = RequestAwait,
    asynchronous_submitted = SubmitAwait,
    mixed_wait_then_await = SubmitWaitAwait,
    mixed_await_then_wait = SubmitAwaitWait
    => {
        a_deadline_that_has_passed_queues_nothing,
        a_passed_deadline_does_not_wait_for_room,
        a_queued_request_is_revoked_at_its_deadline,
        revoking_leaves_the_others_in_the_queue,
        an_answer_in_time_is_delivered,
        a_deadline_can_pass_while_waiting_for_room,
        room_in_time_is_used,
    }
);

// ---- how it is set

#[test]
fn a_zero_timeout_has_passed_at_once() {
    let (server, client): Ends = ump::channel();
    let outcome = client.request(1).timeout(Duration::ZERO).wait();
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(1))));
    let outcome = block_on(client.request(2).timeout(Duration::ZERO));
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
    let outcome = client.post(3).timeout(Duration::ZERO).wait();
    assert!(matches!(outcome, Err(SendError::TimeoutQueued(3))));
    assert_eq!(server.stats(), books(|stats| stats.refused = 3));
}

#[test]
fn a_timeout_beyond_the_clock_is_no_deadline() {
    let (server, client): Ends = ump::channel();
    let waited = client.request(1).timeout(FOR_EVER).submit();
    let mut waited = waited.wait().unwrap();
    let mut awaited = client.request(2).timeout(FOR_EVER).into_future();
    assert!(poll_once(&mut awaited).is_pending());
    client.post(3).timeout(FOR_EVER).wait().unwrap();
    for _ in 0..3 {
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        assert_eq!(rctx.deadline(), None);
        rctx.reply(n * 10).unwrap();
    }
    assert!(matches!(poll_once(&mut waited), Poll::Ready(Ok(10))));
    assert!(matches!(poll_once(&mut awaited), Poll::Ready(Ok(20))));
}

#[test]
fn the_last_deadline_that_is_set_counts() {
    let (server, client): Ends = ump::channel();
    let far = Instant::now() + LONG;
    let never = client.request(1).timeout(Duration::ZERO).timeout(FOR_EVER);
    let never = never.submit().wait().unwrap();
    let late = client.request(2).timeout(Duration::ZERO).deadline(far);
    let late = late.submit().wait().unwrap();
    let early = client.request(3).deadline(far).timeout(Duration::ZERO);
    assert!(early.submit().wait().is_err());
    assert_eq!(server.wait().unwrap().1.deadline(), None);
    assert_eq!(server.wait().unwrap().1.deadline(), Some(far));
    drop((never, late));
}

#[test]
fn a_timeout_counts_from_when_it_is_set() {
    let (server, client): Ends = ump::channel();
    let time = Duration::from_millis(2);
    let (mut waiting, blocking, post) = (
        client.request(1).timeout(time).into_future(),
        client.request(2).timeout(time),
        client.post(3).timeout(time),
    );
    pass(Instant::now() + time);
    assert!(matches!(
        poll_once(&mut waiting),
        Poll::Ready(Err(RequestError::TimeoutQueued(1)))
    ));
    assert!(matches!(
        blocking.wait(),
        Err(RequestError::TimeoutQueued(2))
    ));
    assert!(matches!(post.wait(), Err(SendError::TimeoutQueued(3))));
    assert_eq!(server.stats(), books(|stats| stats.refused = 3));
}

// ---- overdue, and the caller has not noticed

type Reply = WaitReply<u32, (), RequestError<u32, ()>>;

/// A channel with overdue requests: first a request, then a post.
fn overdue() -> (Ends, Reply) {
    let ((ends, reply, post), deadline) = before_deadline(|deadline| {
        let (server, client) = ump::channel();
        let reply = client.request(7).deadline(deadline).submit().wait();
        let post = client.post(8).deadline(deadline).wait();
        ((server, client), reply, post)
    });
    post.unwrap();
    pass(deadline);
    (ends, reply.unwrap())
}

fn an_overdue_request_is_not_handed_to_a_handler<T: Take>() {
    let ((server, client), reply) = overdue();
    assert!(!reply.is_ready());
    client.post(9).wait().unwrap();
    assert_eq!(T::take(&server).unwrap().0, 9);
    // The server has told it so.
    assert!(reply.is_ready());
    let expected = books(|stats| {
        (stats.accepted, stats.timeout_queued, stats.replied) = (3, 2, 1);
    });
    assert_eq!(server.stats(), expected);
    assert!(matches!(reply.wait(), Err(RequestError::TimeoutQueued(7))));
    assert_eq!(server.stats(), expected);
}

fn an_unpolled_overdue_future_is_not_executed<T: Take>() {
    in_time(|time| {
        let (server, client): Ends = ump::channel();
        let bell = Bell::new();
        let deadline = Instant::now() + time;
        let mut future = client.request(7).deadline(deadline).into_future();
        if poll_with(&mut future, &bell).is_ready() {
            return None;
        }
        pass(deadline);
        client.post(9).wait().unwrap();
        assert_eq!(T::take(&server).unwrap().0, 9);
        assert!(bell.rings() >= 1);
        assert!(matches!(
            poll_once(&mut future),
            Poll::Ready(Err(RequestError::TimeoutQueued(7)))
        ));
        Some(())
    });
}

fn overdue_requests_in_any_number_are_passed_over<T: Take>() {
    const EACH: u32 = 100;
    let census = Census::default();
    let ((server, client, replies, posts), deadline) = before_deadline(|deadline| {
        let (server, client) = ump::channel::<(u32, Counted), (), ()>();
        let mut replies = Vec::new();
        let mut posts = Vec::new();
        for n in 0..EACH {
            let message = (n, census.born());
            replies.push(client.request(message).deadline(deadline).submit().wait());
            // Between the overdue ones some that are not, of both kinds.
            let message = (EACH + n, census.born());
            let later = if n % 10 == 0 {
                deadline + LONG
            } else {
                deadline
            };
            posts.push(client.post(message).urgent().deadline(later).wait());
        }
        (server, client, replies, posts)
    });
    posts.into_iter().for_each(Result::unwrap);
    pass(deadline);
    let born = census.births() - census.deaths();
    drop(client);
    let mut taken = Vec::new();
    while let Some(((n, _), _)) = T::take(&server) {
        taken.push(n);
    }
    let expected: Vec<_> = (0..EACH).step_by(10).map(|n| EACH + n).collect();
    assert_eq!(taken, expected);
    // All posts are gone, and the requests have gone back.
    assert_eq!(census.births() - census.deaths(), born - EACH as usize);
    for (n, reply) in replies.into_iter().enumerate() {
        match reply.unwrap().wait() {
            Err(RequestError::TimeoutQueued((back, _))) => assert_eq!(back as usize, n),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(census.births(), census.deaths());
}

fn a_server_that_finds_only_overdue_requests_waits_on<T: Take>() {
    let ((server, client), reply) = overdue();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).unwrap().0);
        eventually(|| client.stats().timeout_queued == 2);
        assert!(matches!(reply.wait(), Err(RequestError::TimeoutQueued(7))));
        client.post(9).wait().unwrap();
        assert_eq!(taken.join().unwrap(), 9);
    });
}

fn only_overdue_requests_count_as_no_clients_left<T: Take>() {
    let ((server, client), reply) = overdue();
    drop(client);
    assert!(T::take(&server).is_none());
    assert!(reply.is_ready());
    assert_eq!(server.stats().timeout_queued, 2);
}

mod unnoticed {
    use super::*;

    for_each!(
        wait = Wait,
        async_wait = AsyncWait,
        try_pop = TryPop,
        wait_many = WaitMany,
        async_wait_many = AsyncWaitMany,
        stream = Streamed,
        poll_wait = PollWait
        => {
            an_overdue_request_is_not_handed_to_a_handler,
            an_unpolled_overdue_future_is_not_executed,
            overdue_requests_in_any_number_are_passed_over,
            a_server_that_finds_only_overdue_requests_waits_on,
            only_overdue_requests_count_as_no_clients_left,
        }
    );
}

#[test]
fn try_pop_finds_nothing_among_overdue_requests() {
    let ((server, _client), reply) = overdue();
    assert!(server.try_pop().unwrap().is_none());
    assert!(reply.is_ready());
    assert!(server.is_empty());
}

#[test]
fn wait_timeout_finds_nothing_among_overdue_requests() {
    let ((server, _client), reply) = overdue();
    let until = Instant::now() + Duration::from_millis(2);
    assert!(server.wait_deadline(until).unwrap().is_none());
    assert!(Instant::now() >= until);
    assert!(reply.is_ready());
}

#[test]
fn a_batch_leaves_overdue_requests_out() {
    let ((server, client), _reply) = overdue();
    for n in 0..3 {
        client.post(n).wait().unwrap();
    }
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 2), Ok(2));
    assert_eq!(server.wait_many(&mut batch, 2), Ok(1));
    let batch: Vec<_> = batch.into_iter().map(|(n, _)| n).collect();
    assert_eq!(batch, [0, 1, 2]);
}

/// However many overdue ones are between them.
#[test]
fn a_batch_is_all_that_is_there_and_not_overdue() {
    let ((server, client, posts), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::channel();
        client.post(0).wait().unwrap();
        let posts: Vec<_> = (0..100)
            .map(|_| client.post(99).deadline(deadline).wait())
            .collect();
        (server, client, posts)
    });
    posts.into_iter().for_each(Result::unwrap);
    client.post(1).wait().unwrap();
    client.post(2).wait().unwrap();
    pass(deadline);
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 10), Ok(3));
    let batch: Vec<_> = batch.into_iter().map(|(n, _)| n).collect();
    assert_eq!(batch, [0, 1, 2]);
}

#[test]
fn a_skipped_overdue_request_makes_room() {
    let ((server, client, reply), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        let reply = client.request(7).deadline(deadline).submit().wait();
        (server, client, reply)
    });
    let bell = Bell::new();
    let mut next = client.post(8).into_future();
    assert!(poll_with(&mut next, &bell).is_pending());
    pass(deadline);
    assert!(server.try_pop().unwrap().is_none());
    assert_eq!(bell.rings(), 1);
    assert!(matches!(poll_once(&mut next), Poll::Ready(Ok(()))));
    assert_eq!(server.try_pop().unwrap().unwrap().0, 8);
    assert!(reply.unwrap().is_ready());
}

// ---- the last moment

/// Answered in time, looked at after the deadline.
#[test]
fn a_reply_that_is_there_by_the_deadline_is_not_lost() {
    let looks: [fn(Reply) -> Result<u32, RequestError<u32, ()>>; 4] = [
        |reply| reply.wait(),
        |reply| block_on(reply),
        |reply| reply.try_get().unwrap(),
        |reply| reply.wait_timeout(Duration::ZERO).unwrap(),
    ];
    for look in looks {
        let ((_server, _client, reply), deadline) = before_deadline(|deadline| {
            let (server, client): Ends = ump::channel();
            let reply = client.request(7).deadline(deadline).submit().wait();
            if let Ok(Some((n, rctx))) = server.try_pop() {
                let _ = rctx.reply(n + 1);
            }
            (server, client, reply)
        });
        pass(deadline);
        assert_eq!(look(reply.unwrap()).unwrap(), 8);
    }
}

/// The caller has not been able to leave yet; what the handler says now is as good as ever.
#[test]
fn a_reply_before_the_noticed_deadline_is_delivered() {
    let ((server, _client, reply, job), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::channel();
        let reply = client.request(7).deadline(deadline).submit().wait();
        let job = server.try_pop().unwrap();
        (server, client, reply, job)
    });
    pass(deadline);
    let (_, rctx) = job.unwrap();
    assert!(rctx.is_cancelled());
    assert_eq!(rctx.reply(8), Ok(()));
    assert_eq!(reply.unwrap().wait().unwrap(), 8);
    let expected = books(|stats| (stats.accepted, stats.replied) = (1, 1));
    assert_eq!(server.stats(), expected);
}

#[test]
fn a_post_with_room_after_its_deadline_comes_back() {
    in_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        client.post(0).wait().unwrap();
        let deadline = Instant::now() + time;
        let mut post = client.post(7).deadline(deadline).into_future();
        if poll_once(&mut post).is_ready() {
            return None;
        }
        pass(deadline);
        drop(server.try_pop().unwrap().unwrap());
        let outcome = poll_once(&mut post);
        assert!(
            matches!(outcome, Poll::Ready(Err(SendError::TimeoutQueued(7)))),
            "{outcome:?}"
        );
        assert_eq!(server.len(), 0);
        Some(())
    });
}

#[test]
fn a_submit_with_room_after_its_deadline_comes_back() {
    in_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        client.post(0).wait().unwrap();
        let deadline = Instant::now() + time;
        let request = client.request(7).deadline(deadline);
        let mut submit = request.submit().into_future();
        if poll_once(&mut submit).is_ready() {
            return None;
        }
        pass(deadline);
        drop(server.try_pop().unwrap().unwrap());
        let outcome = poll_once(&mut submit);
        assert!(
            matches!(outcome, Poll::Ready(Err(SendError::TimeoutQueued(7)))),
            "{outcome:?}"
        );
        assert_eq!(server.len(), 0);
        Some(())
    });
}

/// It waits for room, gets it, waits for its reply, and the same deadline still holds.
#[test]
fn a_deadline_covers_waiting_for_room_and_the_queue() {
    in_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        client.post(0).wait().unwrap();
        let bell = Bell::new();
        let deadline = Instant::now() + time;
        let mut future = client.request(7).deadline(deadline).into_future();
        if poll_with(&mut future, &bell).is_ready() {
            return None;
        }
        drop(server.try_pop().unwrap().unwrap());
        let rings = bell.rings();
        assert!(rings >= 1);
        if poll_with(&mut future, &bell).is_ready() {
            return None;
        }
        assert_eq!(server.len(), 1);
        eventually(|| bell.rings() > rings);
        assert!(Instant::now() >= deadline);
        assert!(matches!(
            poll_with(&mut future, &bell),
            Poll::Ready(Err(RequestError::TimeoutQueued(7)))
        ));
        Some(())
    });
}

// ---- sent first, waited for later

/// A request in the queue, whose deadline is near.
fn submitted() -> (Ends, Reply, Instant) {
    let ((ends, reply), deadline) = before_deadline(|deadline| {
        let (server, client) = ump::channel();
        let reply = client.request(7).deadline(deadline).submit().wait();
        ((server, client), reply)
    });
    (ends, reply.unwrap(), deadline)
}

#[test]
fn a_wait_shorter_than_the_deadline_gives_it_back() {
    let (server, client): Ends = ump::channel();
    let reply = client.request(7).timeout(LONG).submit().wait().unwrap();
    let until = Instant::now() + Duration::from_millis(2);
    let reply = reply.wait_deadline(until).expect_err("nobody answers");
    assert!(Instant::now() >= until);
    let reply = reply.try_get().expect_err("nobody answers");
    let mut reply = reply.wait_timeout(Duration::ZERO).expect_err("as before");
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!(server.len(), 1);
    server.wait().unwrap().1.reply(8).unwrap();
    assert_eq!(reply.wait().unwrap(), 8);
}

/// Had it to wait for all of that time it would hang.
#[test]
fn a_wait_longer_than_the_deadline_ends_at_it() {
    must_end(|| {
        let ((server, _client), reply, deadline) = submitted();
        let outcome = reply.wait_timeout(FAR).expect("the deadline ends it");
        assert!(Instant::now() >= deadline);
        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
        assert!(server.is_empty());
    });
}

#[test]
fn looking_after_the_deadline_ends_the_request() {
    let looks: [fn(Reply) -> Result<u32, RequestError<u32, ()>>; 5] = [
        |reply| reply.try_get().unwrap(),
        |reply| reply.wait_timeout(Duration::ZERO).unwrap(),
        |reply| reply.wait_timeout(FOR_EVER).unwrap(),
        |reply| block_on(reply),
        |mut reply| match poll_once(&mut reply) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("its deadline has passed"),
        },
    ];
    for look in looks {
        let ((server, _client), reply, deadline) = submitted();
        pass(deadline);
        assert!(!reply.is_ready());
        assert!(matches!(look(reply), Err(RequestError::TimeoutQueued(7))));
        let expected = books(|stats| (stats.accepted, stats.timeout_queued) = (1, 1));
        assert_eq!(server.stats(), expected);
    }
    for look in looks {
        let (_client, reply, (_, rctx), deadline) = in_time(|time| {
            let (server, client): Ends = ump::channel();
            let deadline = Instant::now() + time;
            let request = client.request(7).deadline(deadline);
            let reply = request.submit().wait().ok()?;
            let job = server.try_pop().unwrap()?;
            Some((client, reply, job, deadline))
        });
        pass(deadline);
        assert!(matches!(look(reply), Err(RequestError::TimeoutTaken)));
        assert_eq!(rctx.answer(Ok(8)), Err(Ok(8)));
    }
}

#[test]
fn a_request_dropped_before_its_deadline_is_cancelled() {
    let (server, client): Ends = ump::channel();
    let bell = Bell::new();
    let mut future = client.request(7).timeout(LONG).into_future();
    assert!(poll_with(&mut future, &bell).is_pending());
    drop(future);
    // Neither the queue nor the alarm keeps its waker.
    assert_eq!(bell.wakers(), 0);
    assert_eq!(bell.rings(), 0);
    let expected = books(|stats| (stats.accepted, stats.cancelled_queued) = (1, 1));
    assert_eq!(server.stats(), expected);
}

#[test]
fn replies_that_are_gathered_keep_their_deadlines() {
    let ((server, client), reply, deadline) = submitted();
    let kept = client.request(8).timeout(LONG).submit().wait().unwrap();
    let mut gather: Gather<_, _, _, _> = [("kept", kept), ("late", reply)].into_iter().collect();
    let (key, outcome) = gather.wait().unwrap();
    assert!(Instant::now() >= deadline);
    assert_eq!(key, "late");
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
    let (n, rctx) = server.wait().unwrap();
    assert_eq!(n, 8);
    rctx.reply(9).unwrap();
    assert!(matches!(gather.wait(), Some(("kept", Ok(9)))));
}

// ---- the alarm

#[test]
fn the_task_that_polled_last_is_woken_at_the_deadline() {
    let (_ends, mut reply, first, last) = in_time(|time| {
        let (first, last) = (Bell::new(), Bell::new());
        let (server, client): Ends = ump::channel();
        let request = client.request(7).timeout(time);
        let mut reply = request.submit().wait().ok()?;
        let pending =
            poll_with(&mut reply, &first).is_pending() && poll_with(&mut reply, &last).is_pending();
        pending.then_some(((server, client), reply, first, last))
    });
    assert_eq!(first.wakers(), 0);
    eventually(|| last.rings() > 0);
    assert_eq!(first.rings(), 0);
    assert!(matches!(
        poll_once(&mut reply),
        Poll::Ready(Err(RequestError::TimeoutQueued(7)))
    ));
    assert_eq!(last.wakers(), 0);
}

#[test]
fn waiting_for_room_ends_at_the_deadline_without_room() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    let bell = Bell::new();
    let mut post = client
        .post(7)
        .timeout(Duration::from_millis(5))
        .into_future();
    let mut polled = poll_with(&mut post, &bell);
    if polled.is_pending() {
        eventually(|| bell.rings() > 0);
        polled = poll_with(&mut post, &bell);
    }
    assert!(matches!(
        polled,
        Poll::Ready(Err(SendError::TimeoutQueued(7)))
    ));
    assert_eq!(bell.wakers(), 0);
    assert_eq!(server.stats().refused, 1);
}

/// Whoever keeps a future after its end is not woken for it any more.
#[test]
fn a_future_that_is_ready_keeps_no_alarm() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    let bells = [(); 4].map(|()| Bell::new());
    client.post(0).wait().unwrap();
    let mut accepted = client.post(1).timeout(LONG).into_future();
    assert!(poll_with(&mut accepted, &bells[0]).is_pending());
    drop(server.try_pop().unwrap());
    assert!(poll_with(&mut accepted, &bells[0]).is_ready());
    let mut refused = client.post(2).timeout(LONG).into_future();
    let mut request = client.request(3).timeout(LONG).into_future();
    let mut reply = client
        .request(4)
        .urgent()
        .timeout(LONG)
        .submit()
        .wait()
        .unwrap();
    assert!(poll_with(&mut refused, &bells[1]).is_pending());
    assert!(poll_with(&mut request, &bells[2]).is_pending());
    assert!(poll_with(&mut reply, &bells[3]).is_pending());
    drop(server);
    assert!(poll_with(&mut refused, &bells[1]).is_ready());
    assert!(poll_with(&mut request, &bells[2]).is_ready());
    assert!(poll_with(&mut reply, &bells[3]).is_ready());
    assert_eq!(bells.each_ref().map(Bell::wakers), [0; 4]);
}

/// Tells whether it was woken, and whether that was too early.
struct Ring {
    deadline: Instant,
    early: AtomicBool,
    rung: Arc<AtomicUsize>,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        if Instant::now() < self.deadline {
            self.early.store(true, Ordering::SeqCst);
        }
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_thousand_deadlines_fire_in_any_order() {
    const COUNT: u32 = 1_000;
    in_time(|time| {
        let (server, client): Ends = ump::channel();
        let rung = Arc::new(AtomicUsize::new(0));
        let start = Instant::now() + time;
        let mut futures = Vec::new();
        for n in 0..COUNT {
            // Each remainder comes once, far from its neighbours; some share their instant.
            let after = n * 617 % COUNT / 2;
            let deadline = start + after * Duration::from_micros(20);
            let ring = Arc::new(Ring {
                deadline,
                early: AtomicBool::new(false),
                rung: Arc::clone(&rung),
            });
            let mut future = client.request(n).deadline(deadline).into_future();
            let waker = Waker::from(Arc::clone(&ring));
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            futures.push((ring, future));
            if polled.is_ready() {
                return None;
            }
        }
        assert_eq!(server.len(), COUNT as usize);
        eventually(|| rung.load(Ordering::SeqCst) >= COUNT as usize);
        for (n, (ring, mut future)) in (0..COUNT).zip(futures) {
            assert!(!ring.early.load(Ordering::SeqCst), "{n}");
            match poll_once(&mut future) {
                Poll::Ready(Err(RequestError::TimeoutQueued(back))) => assert_eq!(back, n),
                other => panic!("{other:?}"),
            }
        }
        assert!(server.is_empty());
        assert_eq!(server.stats().timeout_queued, u64::from(COUNT));
        Some(())
    });
}

/// Far from each other, set from many threads, and some of them taken back: nobody sleeps past its own.
#[test]
fn deadlines_of_many_threads_are_independent() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            for who in 0..8 {
                let client = client.clone();
                scope.spawn(move || {
                    for n in 0..20 {
                        let mut far = client.request(0).timeout(LONG).into_future();
                        assert!(poll_once(&mut far).is_pending());
                        let deadline = Instant::now() + Duration::from_micros(100 * (who + n));
                        let outcome = block_on(client.request(7).deadline(deadline));
                        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
                        assert!(Instant::now() >= deadline);
                    }
                });
            }
        });
        assert!(server.is_empty());
        let stats = server.stats();
        assert_eq!(stats.cancelled_queued, 8 * 20);
        assert_eq!(stats.timeout_queued + stats.refused, 8 * 20);
    });
}

#[tokio::test]
async fn a_deadline_holds_on_a_runtime_without_timers() {
    let (server, client): Ends = ump::channel();
    let late = client.clone();
    let late = tokio::spawn(async move {
        let time = Duration::from_millis(5);
        late.request(7).timeout(time).await
    });
    let outcome = late.await.unwrap();
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
    assert!(server.is_empty());
}

/// The handler lets go of it because nobody waits: then it is the deadline that ended it, and not the handler.
#[test]
fn a_context_dropped_after_the_deadline_is_a_timeout() {
    let ((server, _client, reply, job), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::channel();
        let reply = client.request(7).deadline(deadline).submit().wait();
        let job = server.try_pop().unwrap();
        (server, client, reply, job)
    });
    pass(deadline);
    drop(job);
    let outcome = reply.unwrap().wait();
    assert!(matches!(outcome, Err(RequestError::TimeoutTaken)));
    let expected = books(|stats| (stats.accepted, stats.timeout_taken) = (1, 1));
    assert_eq!(server.stats(), expected);
}
