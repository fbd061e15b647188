//! Wakers: which are kept and for how long, which is woken, and what a waker may do with the
//! channel that calls it.

mod inline;
mod meddling;
mod receivers;
mod senders;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Barrier, Mutex, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{CountingWaker, Hook, LONG, eventually, must_end, poll_once, poll_with};
use ump::{Client, Gather, RequestError, SendError, Server, WeakClient, bounded, channel};

type Polled<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Event<'a> = Box<dyn FnOnce() + 'a>;
type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> + Unpin {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
}

/// A bounded channel without room for another request.
fn full() -> Ends {
    let (server, client) = bounded(1).unwrap();
    client.post(0).wait().unwrap();
    (server, client)
}

fn answer_one(server: &Server<u32, u32, ()>) {
    let (n, rctx) = server.try_pop().unwrap().expect("a request is queued");
    let _ = rctx.reply(n + 1);
}

/// Every future of the crate, waiting, and the event that ends its wait.
mod scenarios {
    use super::*;

    type Test<'t> = &'t dyn Fn(Polled<'_>, Event<'_>);

    pub(crate) fn request(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async { assert_eq!(client.request(1).await.unwrap(), 2) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn request_with_deadline(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async { assert_eq!(client.request(1).timeout(LONG).await.unwrap(), 2) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn request_without_room(test: Test<'_>) {
        let (server, client) = full();
        let future = async {
            let outcome = client.request(1).timeout(LONG).await;
            assert!(matches!(outcome, Err(RequestError::ServerDisappeared(1))));
        };
        test(Box::pin(future), Box::new(|| drop(server)));
    }

    pub(crate) fn areq(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async { assert_eq!(client.areq(1).await.unwrap(), 2) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn wait_reply(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let future = async move { assert_eq!((&mut reply).await.unwrap(), 2) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn wait_reply_with_deadline(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
        let future = async { assert_eq!(reply.wait_async().await.unwrap(), 2) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn submit(test: Test<'_>) {
        let (server, client) = full();
        let future = async { drop(client.request(1).submit().await.unwrap()) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn submit_with_deadline(test: Test<'_>) {
        let (server, client) = full();
        let future = async { drop(client.request(1).timeout(LONG).submit().await.unwrap()) };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn post(test: Test<'_>) {
        let (server, client) = full();
        let future = async { client.post(1).await.unwrap() };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn urgent_post_with_deadline(test: Test<'_>) {
        let (server, client) = full();
        client.post(0).urgent().wait().unwrap();
        let future = async { client.post(1).urgent().timeout(LONG).await.unwrap() };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }

    pub(crate) fn async_wait(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async { assert_eq!(server.async_wait().await.unwrap().0, 7) };
        test(
            Box::pin(future),
            Box::new(|| client.post(7).wait().unwrap()),
        );
    }

    pub(crate) fn async_wait_for_the_last_client(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async { assert!(server.async_wait().await.is_err()) };
        test(Box::pin(future), Box::new(|| drop(client)));
    }

    pub(crate) fn async_wait_many(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async {
            let mut batch = Vec::new();
            assert_eq!(server.async_wait_many(&mut batch, 8).await.unwrap(), 1);
        };
        test(
            Box::pin(future),
            Box::new(|| client.post(7).wait().unwrap()),
        );
    }

    pub(crate) fn stream(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async {
            let mut requests = server.stream();
            assert_eq!(next(&mut requests).await.unwrap().0, 7);
        };
        test(
            Box::pin(future),
            Box::new(|| client.post(7).wait().unwrap()),
        );
    }

    pub(crate) fn cancelled(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        let future = async move { rctx.cancelled().await };
        test(Box::pin(future), Box::new(|| drop(reply)));
    }

    pub(crate) fn cancelled_with_deadline(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        let future = async move { rctx.cancelled().await };
        test(Box::pin(future), Box::new(|| drop(reply)));
    }

    pub(crate) fn server_stream(test: Test<'_>) {
        let (mut server, client) = channel::<u32, u32, ()>();
        let future = async { assert_eq!(next(&mut server).await.unwrap().0, 7) };
        test(
            Box::pin(future),
            Box::new(|| client.post(7).wait().unwrap()),
        );
    }

    pub(crate) fn server_stream_for_the_last_client(test: Test<'_>) {
        let (mut server, client) = channel::<u32, u32, ()>();
        let future = async { assert!(next(&mut server).await.is_none()) };
        test(Box::pin(future), Box::new(|| drop(client)));
    }

    pub(crate) fn poll_wait(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = async {
            assert_eq!(poll_fn(|cx| server.poll_wait(cx)).await.unwrap().0, 7);
        };
        test(
            Box::pin(future),
            Box::new(|| client.post(7).wait().unwrap()),
        );
    }

    pub(crate) fn gather(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut gather = Gather::new();
        gather.push('a', client.req_async(1).unwrap());
        gather.push('b', client.req_async(2).unwrap());
        let future = async {
            assert_eq!(next(&mut gather).await.unwrap(), ('a', Ok(2)));
        };
        test(Box::pin(future), Box::new(|| answer_one(&server)));
    }
}

fn spurious_polls(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    for _ in 0..5 {
        assert!(poll_with(&mut future, &counter).is_pending());
    }
    assert_eq!(counter.wakes(), 0, "nothing has happened");
    event();
    assert_eq!(counter.wakes(), 1, "woken, and once only");
    assert!(poll_with(&mut future, &counter).is_ready());
    drop(future);
    assert_eq!(counter.wakers(), 0);
}

fn changing_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let (first, second, third) = (
        CountingWaker::new(),
        CountingWaker::new(),
        CountingWaker::new(),
    );
    assert!(poll_with(&mut future, &first).is_pending());
    assert!(poll_with(&mut future, &second).is_pending());
    assert_eq!(first.wakers(), 0, "replaced, so released");
    assert!(poll_with(&mut future, &third).is_pending());
    assert_eq!(second.wakers(), 0, "replaced, so released");
    assert!(third.wakers() > 0);
    event();
    assert_eq!((first.wakes(), second.wakes(), third.wakes()), (0, 0, 1));
    assert!(poll_with(&mut future, &first).is_ready());
    drop(future);
    assert_eq!(first.wakers() + second.wakers() + third.wakers(), 0);
}

fn many_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let mut counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    let kept = counter.wakers();
    for _ in 0..10_000 {
        let before = std::mem::replace(&mut counter, CountingWaker::new());
        assert!(poll_with(&mut future, &counter).is_pending());
        assert_eq!(before.wakers(), 0);
        assert_eq!(
            counter.wakers(),
            kept,
            "no more after many polls than after one"
        );
    }
    event();
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut future, &counter).is_ready());
    drop(future);
    assert_eq!(counter.wakers(), 0);
}

fn dropped_while_waiting(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(counter.wakers() > 0);
    drop(future);
    assert_eq!(counter.wakers(), 0);
    drop(event);
    assert_eq!(counter.wakes(), 0);
}

/// The waker of a dropped task stays with the polled object, but not for longer.
fn dropped_with_what_it_polled(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(poll_with(&mut future, &counter).is_pending());
    drop(future);
    assert!(counter.wakers() <= 1);
    event();
    assert_eq!(counter.wakers(), 0);
}

macro_rules! every_future {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn spurious_polls_stay_pending_and_keep_the_wake_up() {
                super::scenarios::$name(&super::spurious_polls);
            }
            #[test]
            fn only_the_latest_waker_is_woken() {
                super::scenarios::$name(&super::changing_wakers);
            }
            #[test]
            fn ten_thousand_polls_with_fresh_wakers_keep_one() {
                super::scenarios::$name(&super::many_wakers);
            }
        }
    )*};
}

every_future! {
    request request_with_deadline request_without_room areq wait_reply wait_reply_with_deadline
    submit submit_with_deadline post urgent_post_with_deadline
    async_wait async_wait_for_the_last_client async_wait_many stream
    cancelled cancelled_with_deadline
    server_stream server_stream_for_the_last_client poll_wait gather
}

mod dropped_while_waiting {
    use super::{dropped_while_waiting as test, scenarios};

    macro_rules! releases_its_waker {
        ($($name:ident)*) => {$(
            #[test]
            fn $name() {
                scenarios::$name(&test);
            }
        )*};
    }

    releases_its_waker! {
        request request_with_deadline request_without_room areq wait_reply wait_reply_with_deadline
        submit submit_with_deadline post urgent_post_with_deadline
        async_wait async_wait_many stream cancelled cancelled_with_deadline
    }
}

mod dropped_while_waiting_its_waker_stays_until_the_next_event {
    use super::{dropped_with_what_it_polled as test, scenarios};

    #[test]
    fn server_stream() {
        scenarios::server_stream(&test);
    }

    #[test]
    fn poll_wait() {
        scenarios::poll_wait(&test);
    }

    #[test]
    fn gather() {
        scenarios::gather(&test);
    }
}

#[test]
fn room_in_the_urgent_lane_wakes_an_urgent_sender() {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    client.post(0).wait().unwrap();
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let mut normal = client.post(1).into_future();
    assert!(poll_with(&mut normal, &counters[0]).is_pending());
    // Revoked.
    let queued = client.request(2).urgent().submit().wait().unwrap();
    let mut urgent = client.request(3).urgent().submit().into_future();
    assert!(poll_with(&mut urgent, &counters[1]).is_pending());
    drop(queued);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [0, 1]);
    let Poll::Ready(Ok(taken)) = poll_with(&mut urgent, &counters[1]) else {
        panic!("there is room");
    };
    // Taken.
    let mut urgent = client.post(4).urgent().into_future();
    assert!(poll_with(&mut urgent, &counters[1]).is_pending());
    assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [0, 2]);
    drop(taken);
    drop(urgent);
    // Expired.
    let at = Instant::now() + Duration::from_millis(50);
    client.post(5).urgent().deadline(at).wait().unwrap();
    let mut urgent = client.post(6).urgent().into_future();
    assert!(poll_with(&mut urgent, &counters[1]).is_pending());
    eventually(|| Instant::now() > at);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 3]);
}

#[test]
fn a_caller_that_leaves_a_handler_releases_its_waker() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut reply = client.request(1).timeout(LONG).submit().wait().unwrap();
    assert!(poll_with(&mut reply, &counter).is_pending());
    let (_, rctx) = server.wait().unwrap();
    assert!(counter.wakers() > 0);
    drop(reply);
    assert_eq!(counter.wakers(), 0, "the handler may take its time");
    drop(rctx);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn a_handler_that_stops_watching_releases_its_waker() {
    let (server, client) = channel::<u32, u32, ()>();
    for deadline in [None, Some(Instant::now() + LONG)] {
        let mut request = client.request(1);
        if let Some(deadline) = deadline {
            request = request.deadline(deadline);
        }
        let reply = request.submit().wait().unwrap();
        let counter = CountingWaker::new();
        let (_, mut rctx) = server.wait().unwrap();
        assert!(poll_with(&mut rctx.cancelled(), &counter).is_pending());
        assert_eq!(counter.wakers(), 0, "the handler may take its time");
        drop(reply);
        assert_eq!(counter.wakes(), 0);
        drop(rctx);
    }
}

#[test]
fn a_handler_that_answers_releases_its_waker() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let reply = client.req_async(1).unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let mut cancelled = rctx.cancelled();
    assert!(poll_with(&mut cancelled, &counter).is_pending());
    std::mem::forget(cancelled);
    rctx.reply(2).unwrap();
    assert_eq!(counter.wakers(), 0, "the caller may take its time");
    drop(reply);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn a_later_poller_replaces_the_earlier_one() {
    let (server, client) = channel::<u32, u32, ()>();
    let (first, second) = (CountingWaker::new(), CountingWaker::new());
    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(|job| job.unwrap().0));
    assert!(poll_with(&mut poller, &first).is_pending());
    assert!(poll_with(&mut poller, &second).is_pending());
    assert_eq!(first.wakers(), 0);
    client.post(1).wait().unwrap();
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert_eq!(poll_with(&mut poller, &first), Poll::Ready(1));
    assert_eq!(first.wakers() + second.wakers(), 0);
}

#[test]
fn the_waker_of_a_poller_goes_with_its_server() {
    let (server, _client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
    assert!(poll_with(&mut poller, &counter).is_pending());
    assert_eq!(counter.wakers(), 1);
    drop(server);
    assert_eq!(counter.wakers(), 0);
}

#[test]
fn a_stream_that_was_ready_can_wait_again() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut requests = server.stream();
    for n in 0..100 {
        let counter = CountingWaker::new();
        assert!(poll_with(&mut next(&mut requests), &counter).is_pending());
        client.post(n).wait().unwrap();
        assert_eq!(counter.wakes(), 1);
        let Poll::Ready(Some((message, _))) = poll_with(&mut next(&mut requests), &counter) else {
            panic!("a request is there");
        };
        assert_eq!(message, n);
        assert_eq!(counter.wakers(), 0);
    }
}

#[test]
fn a_reply_waited_by_thread_then_task_wakes_the_task() {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let reply = reply
        .wait_timeout(Duration::from_millis(1))
        .expect_err("nobody has answered");
    let counter = CountingWaker::new();
    let mut reply = reply.try_get().expect_err("nobody has answered");
    assert!(poll_with(&mut reply, &counter).is_pending());
    answer_one(&server);
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll_with(&mut reply, &counter), Poll::Ready(Ok(2)));
}

#[test]
fn a_reply_waited_by_task_then_thread_wakes_it() {
    for _ in 0..200 {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let counter = CountingWaker::new();
        assert!(poll_with(&mut reply, &counter).is_pending());
        thread::scope(|scope| {
            let waiting = scope.spawn(move || reply.wait_timeout(LONG));
            thread::yield_now();
            answer_one(&server);
            assert_eq!(waiting.join().unwrap().expect("in time"), Ok(2));
        });
        assert_eq!(counter.wakers(), 0);
    }
}

#[test]
fn a_gather_moved_to_another_task_wakes_that_one() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather: Gather<_, _, _> = (0..3).map(|n| (n, client.req_async(n).unwrap())).collect();
    let (first, second) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_with(&mut next(&mut gather), &first).is_pending());
    assert!(poll_with(&mut next(&mut gather), &second).is_pending());
    assert_eq!(first.wakers(), 0);
    answer_one(&server);
    answer_one(&server);
    assert_eq!(
        (first.wakes(), second.wakes()),
        (0, 1),
        "one wake-up for both"
    );
    assert_eq!(
        poll_with(&mut next(&mut gather), &first),
        Poll::Ready(Some((0, Ok(1))))
    );
    assert_eq!(
        poll_with(&mut next(&mut gather), &first),
        Poll::Ready(Some((1, Ok(2))))
    );
    assert!(poll_with(&mut next(&mut gather), &first).is_pending());
    drop(gather);
    assert_eq!(first.wakers() + second.wakers(), 0);
}

#[test]
fn a_receiver_that_times_out_swallows_no_wake_up() {
    const ROUNDS: u32 = 3_000;
    const END_OF_ROUND: u32 = u32::MAX;
    let (server, client) = channel::<u32, u32, ()>();
    let start = Barrier::new(3);
    let hasty_rounds = AtomicUsize::new(0);
    let (taken, news) = mpsc::channel();
    thread::scope(|scope| {
        let hasty = taken.clone();
        let (server, start, hasty_rounds) = (&server, &start, &hasty_rounds);
        // The thread waits briefly, once a round.
        scope.spawn(move || {
            for round in 0..ROUNDS {
                start.wait();
                let moment = Duration::from_nanos(u64::from(round % 100) * 500);
                if let Some((n, _)) = server.wait_timeout(moment).unwrap() {
                    hasty.send(n).unwrap();
                }
                hasty_rounds.fetch_add(1, Ordering::SeqCst);
            }
        });
        // The thread waits without limit.
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                start.wait();
                while let Ok((n, _)) = server.wait()
                    && n != END_OF_ROUND
                {
                    taken.send(n).unwrap();
                }
            }
        });
        for round in 0..ROUNDS {
            start.wait();
            (0..round % 100).for_each(|_| std::hint::spin_loop());
            client.post(round).wait().unwrap();
            let got = news.recv_timeout(LONG);
            if got.is_err() {
                // Without this the threads would not end, and the test could not fail.
                client.post(END_OF_ROUND).wait().unwrap();
            }
            assert_eq!(got, Ok(round), "a wake-up was lost");
            eventually(|| hasty_rounds.load(Ordering::SeqCst) > round as usize);
            client.post(END_OF_ROUND).wait().unwrap();
        }
    });
}

#[test]
fn a_timed_out_blocking_sender_leaves_the_queue() {
    let (server, client) = full();
    let moment = Duration::from_millis(1);
    for _ in 0..3 {
        let sent = client.post(1).timeout(moment).wait();
        assert!(matches!(sent, Err(SendError::TimeoutQueued(1))));
    }
    let counter = CountingWaker::new();
    let mut sending = client.post(2).into_future();
    assert!(poll_with(&mut sending, &counter).is_pending());
    answer_one(&server);
    assert_eq!(counter.wakes(), 1);
}

#[test]
fn a_timed_out_blocking_receiver_leaves_the_queue() {
    let (server, client) = channel::<u32, u32, ()>();
    for moment in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(server.wait_timeout(moment).unwrap().is_none());
    }
    let counter = CountingWaker::new();
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_with(&mut receiving, &counter).is_pending());
    client.post(1).wait().unwrap();
    assert_eq!(counter.wakes(), 1);
}
