//! A deadline has the same meaning in blocking and async code: see `Request::deadline`.
//!
//! A test may wait for a short deadline to pass. No test asserts how late that is noticed.

mod overdue;
mod waits;

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
    Counted, CountingWaker, DropCounter, LONG, before_deadline, block_on, ends::*, eventually,
    for_each, must_end, pass, poll_once, poll_with, stats_with, with_growing_time,
};
use ump::{Client, Executed, Gather, RequestError, SendError, Server, WaitReply};

/// A timeout that is longer than any clock can represent.
const FOR_EVER: Duration = Duration::MAX;

/// A timeout of two centuries, which the clock can represent.
const FAR: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);
type Reply = WaitReply<u32, (), RequestError<u32, ()>>;

/// `submit().wait()`, then `wait_timeout` for longer than any deadline.
struct SubmitWaitTimeout;

impl Ask for SubmitWaitTimeout {
    const DETAILED: bool = true;

    fn ask<S: Send + 'static, R: Send, E: Send>(
        client: &Client<S, R, E>,
        message: S,
        options: Options,
    ) -> Result<R, Failure<S, E>> {
        let reply = options.request(client, message).submit().wait()?;
        let outcome = reply.wait_timeout(FOR_EVER);
        Ok(outcome.expect("it waits for ever")?)
    }
}

fn too_late(message: u32) -> Result<u32, Failure<u32, ()>> {
    Err(Failure {
        why: Reason::TimeoutQueued,
        executed: Executed::No,
        message: Some(message),
    })
}

// ---- one meaning for all ways of waiting

fn a_deadline_that_has_passed_queues_nothing<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let now = Instant::now();
    let long_ago = now.checked_sub(Duration::from_millis(1)).unwrap();
    for (n, late) in [now, long_ago].into_iter().enumerate() {
        assert_eq!(A::ask(&client, 7, Options::until(late)), too_late(7));
        let expected = stats_with(|stats| stats.refused = n as u64 + 1);
        assert_eq!(server.stats(), expected);
    }
}

fn a_passed_deadline_does_not_wait_for_room<A: Ask>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    assert_eq!(
        A::ask(&client, 7, Options::until(Instant::now())),
        too_late(7)
    );
    assert_eq!(server.len(), 1);
}

fn a_queued_request_is_revoked_at_its_deadline<A: Ask>() {
    for urgent in [false, true] {
        let (server, client) = with_growing_time(|time| {
            let (server, client): Ends = ump::channel();
            let deadline = Instant::now() + time;
            let options = Options {
                urgent,
                ..Options::until(deadline)
            };
            let outcome = A::ask(&client, 7, options);
            assert!(Instant::now() >= deadline);
            assert_eq!(outcome, too_late(7));
            (server.stats().accepted == 1).then_some((server, client))
        });
        assert_eq!(server.len(), 0);
        assert!(client.is_empty());
        assert!(server.try_pop().unwrap().is_none());
        let expected = stats_with(|stats| (stats.accepted, stats.timeout_queued) = (1, 1));
        assert_eq!(server.stats(), expected);
    }
}

fn revoking_leaves_the_others_in_the_queue<A: Ask>() {
    let (server, client) = with_growing_time(|time| {
        let (server, client): Ends = ump::channel();
        client.post(1).wait().unwrap();
        thread::scope(|scope| {
            let client = &client;
            let deadline = Instant::now() + time;
            let caller = scope.spawn(move || A::ask(client, 2, Options::until(deadline)));
            // The post is queued behind the request, unless the deadline passed first.
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
            let caller = scope.spawn(|| A::ask(&client, 7, Options::until(deadline)));
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
    assert_eq!(A::ask(&client, 7, Options::until(deadline)), too_late(7));
    assert!(Instant::now() >= deadline);
    let expected = stats_with(|stats| {
        (stats.accepted, stats.queued, stats.refused) = (1, 1, 1);
    });
    assert_eq!(server.stats(), expected);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
    // The wait queue is empty, and there is room.
    assert!(server.try_pop().unwrap().is_none());
    client.post(1).if_room().wait().unwrap();
}

fn room_in_time_is_used<A: Ask>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Options::until(Instant::now() + LONG)));
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
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 3));
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
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 3));
}

// ---- the last moment

/// The reply comes in time, and the caller polls after the deadline.
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

/// The caller has not noticed its deadline, so the reply is still accepted.
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
    let expected = stats_with(|stats| (stats.accepted, stats.replied) = (1, 1));
    assert_eq!(server.stats(), expected);
}

#[test]
fn a_post_with_room_after_its_deadline_comes_back() {
    with_growing_time(|time| {
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
    with_growing_time(|time| {
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

/// The request waits for room, then for its reply, with the same deadline.
#[test]
fn a_deadline_covers_waiting_for_room_and_the_queue() {
    with_growing_time(|time| {
        let (server, client): Ends = ump::bounded(1).unwrap();
        client.post(0).wait().unwrap();
        let counter = CountingWaker::new();
        let deadline = Instant::now() + time;
        let mut future = client.request(7).deadline(deadline).into_future();
        if poll_with(&mut future, &counter).is_ready() {
            return None;
        }
        drop(server.try_pop().unwrap().unwrap());
        let wakes = counter.wakes();
        assert!(wakes >= 1);
        if poll_with(&mut future, &counter).is_ready() {
            return None;
        }
        assert_eq!(server.len(), 1);
        eventually(|| counter.wakes() > wakes);
        assert!(Instant::now() >= deadline);
        assert!(matches!(
            poll_with(&mut future, &counter),
            Poll::Ready(Err(RequestError::TimeoutQueued(7)))
        ));
        Some(())
    });
}

// ---- the timer

#[test]
fn the_task_that_polled_last_is_woken_at_the_deadline() {
    let (_ends, mut reply, first, last) = with_growing_time(|time| {
        let (first, last) = (CountingWaker::new(), CountingWaker::new());
        let (server, client): Ends = ump::channel();
        let request = client.request(7).timeout(time);
        let mut reply = request.submit().wait().ok()?;
        let pending =
            poll_with(&mut reply, &first).is_pending() && poll_with(&mut reply, &last).is_pending();
        pending.then_some(((server, client), reply, first, last))
    });
    assert_eq!(first.wakers(), 0);
    eventually(|| last.wakes() > 0);
    assert_eq!(first.wakes(), 0);
    assert!(matches!(
        poll_once(&mut reply),
        Poll::Ready(Err(RequestError::TimeoutQueued(7)))
    ));
    // The timer thread drops the waker after it has called it.
    eventually(|| last.wakers() == 0);
}

#[test]
fn waiting_for_room_ends_at_the_deadline_without_room() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    let counter = CountingWaker::new();
    let mut post = client
        .post(7)
        .timeout(Duration::from_millis(5))
        .into_future();
    let mut polled = poll_with(&mut post, &counter);
    if polled.is_pending() {
        eventually(|| counter.wakes() > 0);
        polled = poll_with(&mut post, &counter);
    }
    assert!(matches!(
        polled,
        Poll::Ready(Err(SendError::TimeoutQueued(7)))
    ));
    // The timer thread drops the waker after it has called it.
    eventually(|| counter.wakers() == 0);
    assert_eq!(server.stats().refused, 1);
}

/// After a future has completed, its timer no longer wakes the task.
#[test]
fn a_ready_future_keeps_no_timer() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    let counters = [(); 4].map(|()| CountingWaker::new());
    client.post(0).wait().unwrap();
    let mut accepted = client.post(1).timeout(LONG).into_future();
    assert!(poll_with(&mut accepted, &counters[0]).is_pending());
    drop(server.try_pop().unwrap());
    assert!(poll_with(&mut accepted, &counters[0]).is_ready());
    let mut refused = client.post(2).timeout(LONG).into_future();
    let mut request = client.request(3).timeout(LONG).into_future();
    let mut reply = client
        .request(4)
        .urgent()
        .timeout(LONG)
        .submit()
        .wait()
        .unwrap();
    assert!(poll_with(&mut refused, &counters[1]).is_pending());
    assert!(poll_with(&mut request, &counters[2]).is_pending());
    assert!(poll_with(&mut reply, &counters[3]).is_pending());
    drop(server);
    assert!(poll_with(&mut refused, &counters[1]).is_ready());
    assert!(poll_with(&mut request, &counters[2]).is_ready());
    assert!(poll_with(&mut reply, &counters[3]).is_ready());
    assert_eq!(counters.each_ref().map(CountingWaker::wakers), [0; 4]);
}

/// A waker that records whether it was woken, and whether that was too early.
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
    with_growing_time(|time| {
        let (server, client): Ends = ump::channel();
        let rung = Arc::new(AtomicUsize::new(0));
        let start = Instant::now() + time;
        let mut futures = Vec::new();
        for n in 0..COUNT {
            // Each remainder occurs once, in mixed order; some deadlines share their instant.
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

/// Many threads set distant deadlines, and cancel some of them: no thread sleeps past its own
/// deadline.
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

/// The handler drops the context because the caller has timed out: the outcome is that of the
/// deadline.
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
    let expected = stats_with(|stats| (stats.accepted, stats.timeout_taken) = (1, 1));
    assert_eq!(server.stats(), expected);
}
