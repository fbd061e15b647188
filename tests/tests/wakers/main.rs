//! Wakers: which are kept and for how long, which is woken, and what a waker may do with the
//! channel that calls it.

mod every_future;
mod inline;
mod receivers;
mod reentrant;
mod scenarios;
mod senders;
mod timed_out;

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
fn a_dropped_server_drops_the_waker_of_its_poller() {
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
