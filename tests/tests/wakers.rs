//! Wakers: which are kept and for how long, which one is woken, and what a waker may do to the channel that calls it.

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
use tests::{Bell, Hook, LONG, eventually, must_end, poll_once, poll_with};
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
    let bell = Bell::new();
    for _ in 0..5 {
        assert!(poll_with(&mut future, &bell).is_pending());
    }
    assert_eq!(bell.rings(), 0, "nothing has happened");
    event();
    assert_eq!(bell.rings(), 1, "woken, and once only");
    assert!(poll_with(&mut future, &bell).is_ready());
    drop(future);
    assert_eq!(bell.wakers(), 0);
}

fn changing_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let (first, second, third) = (Bell::new(), Bell::new(), Bell::new());
    assert!(poll_with(&mut future, &first).is_pending());
    assert!(poll_with(&mut future, &second).is_pending());
    assert_eq!(first.wakers(), 0, "replaced, so released");
    assert!(poll_with(&mut future, &third).is_pending());
    assert_eq!(second.wakers(), 0, "replaced, so released");
    assert!(third.wakers() > 0);
    event();
    assert_eq!((first.rings(), second.rings(), third.rings()), (0, 0, 1));
    assert!(poll_with(&mut future, &first).is_ready());
    drop(future);
    assert_eq!(first.wakers() + second.wakers() + third.wakers(), 0);
}

fn many_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let mut bell = Bell::new();
    assert!(poll_with(&mut future, &bell).is_pending());
    let kept = bell.wakers();
    for _ in 0..10_000 {
        let before = std::mem::replace(&mut bell, Bell::new());
        assert!(poll_with(&mut future, &bell).is_pending());
        assert_eq!(before.wakers(), 0);
        assert_eq!(
            bell.wakers(),
            kept,
            "no more after many polls than after one"
        );
    }
    event();
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut future, &bell).is_ready());
    drop(future);
    assert_eq!(bell.wakers(), 0);
}

fn dropped_while_waiting(mut future: Polled<'_>, event: Event<'_>) {
    let bell = Bell::new();
    assert!(poll_with(&mut future, &bell).is_pending());
    assert!(poll_with(&mut future, &bell).is_pending());
    assert!(bell.wakers() > 0);
    drop(future);
    assert_eq!(bell.wakers(), 0);
    drop(event);
    assert_eq!(bell.rings(), 0);
}

/// The waker of a task that has gone stays behind with the thing it polled, but not for longer.
fn dropped_with_what_it_polled(mut future: Polled<'_>, event: Event<'_>) {
    let bell = Bell::new();
    assert!(poll_with(&mut future, &bell).is_pending());
    assert!(poll_with(&mut future, &bell).is_pending());
    drop(future);
    assert!(bell.wakers() <= 1);
    event();
    assert_eq!(bell.wakers(), 0);
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

/// Several who wait for requests: the same tests for every way to wait.
macro_rules! receivers {
    ($($name:ident: $receive:expr;)*) => {$(
        mod $name {
            use super::*;

            fn waiter(server: &Server<u32, u32, ()>) -> Pin<Box<dyn Future<Output = u32> + '_>> {
                let receive: fn(&Server<u32, u32, ()>) -> Pin<Box<dyn Future<Output = u32> + '_>> = $receive;
                receive(server)
            }

            #[test]
            fn a_waiter_dropped_unwoken_takes_no_wake_up() {
                let (server, client) = channel::<u32, u32, ()>();
                let (mut a, mut b) = (waiter(&server), waiter(&server));
                let (bell_a, bell_b) = (Bell::new(), Bell::new());
                for _ in 0..3 {
                    assert!(poll_with(&mut a, &bell_a).is_pending());
                    assert!(poll_with(&mut b, &bell_b).is_pending());
                }
                drop(a);
                client.post(1).wait().unwrap();
                assert_eq!((bell_a.rings(), bell_b.rings()), (0, 1));
                assert_eq!(poll_with(&mut b, &bell_b), Poll::Ready(1));
            }

            #[test]
            fn a_waiter_dropped_woken_passes_the_wake_up_on() {
                let (server, client) = channel::<u32, u32, ()>();
                let (mut a, mut b, mut c) = (waiter(&server), waiter(&server), waiter(&server));
                let (bell_a, bell_b, bell_c) = (Bell::new(), Bell::new(), Bell::new());
                assert!(poll_with(&mut a, &bell_a).is_pending());
                assert!(poll_with(&mut b, &bell_b).is_pending());
                assert!(poll_with(&mut c, &bell_c).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!((bell_a.rings(), bell_b.rings(), bell_c.rings()), (1, 0, 0));
                drop(a);
                assert_eq!((bell_b.rings(), bell_c.rings()), (1, 0));
                drop(b);
                assert_eq!(bell_c.rings(), 1);
                assert_eq!(poll_with(&mut c, &bell_c), Poll::Ready(1));
            }

            #[test]
            fn a_waiter_polled_in_vain_gets_the_next_wake_up() {
                let (server, client) = channel::<u32, u32, ()>();
                let mut a = waiter(&server);
                let bell = Bell::new();
                assert!(poll_with(&mut a, &bell).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!(bell.rings(), 1);
                answer_one(&server);
                assert!(poll_with(&mut a, &bell).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(bell.rings(), 2);
                assert_eq!(poll_with(&mut a, &bell), Poll::Ready(2));
            }

            #[test]
            fn a_woken_waiter_leaving_an_empty_queue_is_silent() {
                let (server, client) = channel::<u32, u32, ()>();
                let (mut a, mut b) = (waiter(&server), waiter(&server));
                let (bell_a, bell_b) = (Bell::new(), Bell::new());
                assert!(poll_with(&mut a, &bell_a).is_pending());
                assert!(poll_with(&mut b, &bell_b).is_pending());
                client.post(1).wait().unwrap();
                answer_one(&server);
                drop(a);
                assert_eq!(bell_b.rings(), 0);
                client.post(2).wait().unwrap();
                assert_eq!(bell_b.rings(), 1);
                assert_eq!(poll_with(&mut b, &bell_b), Poll::Ready(2));
            }

            #[test]
            fn each_of_many_requests_wakes_another_waiter() {
                let (server, client) = channel::<u32, u32, ()>();
                let bells: Vec<_> = (0..8).map(|_| Bell::new()).collect();
                let mut waiters: Vec<_> = bells.iter().map(|_| waiter(&server)).collect();
                for (waiter, bell) in waiters.iter_mut().zip(&bells) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                for n in 0..8 {
                    client.post(n).wait().unwrap();
                    let rings: Vec<_> = bells.iter().map(|bell| bell.rings()).collect();
                    let expected: Vec<_> = (0..8).map(|k| usize::from(k <= n)).collect();
                    assert_eq!(rings, expected, "who has waited longest is woken first");
                }
            }

            #[test]
            fn who_was_woken_in_vain_keeps_its_place() {
                let (server, client) = channel::<u32, u32, ()>();
                let bells = [Bell::new(), Bell::new(), Bell::new()];
                let mut waiters = [waiter(&server), waiter(&server), waiter(&server)];
                for (waiter, bell) in waiters.iter_mut().zip(&bells) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                // The first two are woken, and another is quicker than both.
                client.post(1).wait().unwrap();
                client.post(2).wait().unwrap();
                answer_one(&server);
                answer_one(&server);
                for (waiter, bell) in waiters.iter_mut().zip(&bells).take(2) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                client.post(3).wait().unwrap();
                let rings = bells.each_ref().map(|bell| bell.rings());
                assert_eq!(rings, [2, 1, 0], "who has waited longest is woken first");
            }

            #[test]
            fn a_waiter_served_unwoken_leaves_the_wait_queue() {
                let (server, client) = channel::<u32, u32, ()>();
                let bells = [Bell::new(), Bell::new(), Bell::new()];
                let mut waiters = [waiter(&server), waiter(&server), waiter(&server)];
                for (waiter, bell) in waiters.iter_mut().zip(&bells) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                client.post(1).wait().unwrap();
                assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 0, 0]);
                // The second looks of its own accord, and is quicker.
                assert_eq!(poll_with(&mut waiters[1], &bells[1]), Poll::Ready(1));
                assert_eq!(bells[1].wakers(), 0);
                client.post(2).wait().unwrap();
                assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 0, 1]);
            }

            #[test]
            fn a_waiter_among_overdue_requests_stays_awake() {
                let (server, client) = channel::<u32, u32, ()>();
                let at = Instant::now() + Duration::from_millis(100);
                for n in 0..5_000 {
                    // On a slow machine it may be late.
                    let _ = client.post(n).deadline(at).wait();
                }
                client.post(9_999).wait().unwrap();
                eventually(|| Instant::now() > at);
                let bell = Bell::new();
                let mut a = waiter(&server);
                let mut polls = 0;
                let message = loop {
                    polls += 1;
                    match poll_with(&mut a, &bell) {
                        Poll::Ready(message) => break message,
                        Poll::Pending => assert_eq!(bell.rings(), polls, "it would sleep on"),
                    }
                };
                assert_eq!(message, 9_999);
                assert_eq!(bell.wakers(), 0);
                let stats = client.stats();
                assert_eq!(stats.timeout_queued + stats.refused, 5_000);
            }

            #[test]
            fn a_client_that_is_not_the_last_wakes_nobody() {
                let (server, client) = channel::<u32, u32, ()>();
                let (other, weak) = (client.clone(), client.weak());
                let bell = Bell::new();
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &bell).is_pending());
                drop(client);
                drop(weak.upgrade());
                assert_eq!(bell.rings(), 0);
                drop(other);
                assert_eq!(bell.rings(), 1);
            }

            #[test]
            fn the_end_wakes_all_waiters() {
                let (server, client) = channel::<u32, u32, ()>();
                let bells: Vec<_> = (0..8).map(|_| Bell::new()).collect();
                let mut waiters: Vec<_> = bells.iter().map(|_| waiter(&server)).collect();
                for (waiter, bell) in waiters.iter_mut().zip(&bells) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                drop(client);
                assert!(bells.iter().all(|bell| bell.rings() == 1));
                assert!(bells.iter().all(|bell| bell.wakers() == 0));
            }

            #[test]
            fn a_stale_poller_swallows_no_wake_up() {
                let (server, client) = channel::<u32, u32, ()>();
                let (stale, bell) = (Bell::new(), Bell::new());
                {
                    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
                    assert!(poll_with(&mut poller, &stale).is_pending());
                }
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &bell).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!(bell.rings(), 1);
                assert_eq!(poll_with(&mut a, &bell), Poll::Ready(1));
                // Nor does it when it comes after the other.
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &bell).is_pending());
                let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
                assert!(poll_with(&mut poller, &stale).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(bell.rings(), 2);
                assert_eq!(poll_with(&mut a, &bell), Poll::Ready(2));
            }

            #[test]
            fn a_poller_is_woken_though_another_waits_in_line() {
                let (server, client) = channel::<u32, u32, ()>();
                let (bell_a, bell) = (Bell::new(), Bell::new());
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &bell_a).is_pending());
                let mut poller = poll_fn(|cx| server.poll_wait(cx).map(|job| job.unwrap().0));
                assert!(poll_with(&mut poller, &bell).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!((bell_a.rings(), bell.rings()), (1, 1));
                assert_eq!(poll_with(&mut poller, &bell), Poll::Ready(1));
                // The other was woken in vain, and waits on.
                assert!(poll_with(&mut a, &bell_a).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(poll_with(&mut a, &bell_a), Poll::Ready(2));
            }

            #[test]
            fn a_blocking_waiter_inherits_a_dropped_ones_wake_up() {
                for round in 0..300 {
                    let (server, client) = channel::<u32, u32, ()>();
                    let (server, ready) = (&server, &AtomicUsize::new(0));
                    thread::scope(|scope| {
                        let mut a = waiter(server);
                        let bell = Bell::new();
                        assert!(poll_with(&mut a, &bell).is_pending());
                        let blocking = scope.spawn(move || {
                            ready.store(1, Ordering::SeqCst);
                            server.wait_timeout(LONG).unwrap().expect("in time").0
                        });
                        eventually(|| ready.load(Ordering::SeqCst) == 1);
                        // Somewhere between here and there the other falls asleep.
                        (0..round).for_each(|_| std::hint::spin_loop());
                        client.post(round).wait().unwrap();
                        drop(a);
                        assert_eq!(blocking.join().unwrap(), round);
                    });
                }
            }
        }
    )*};
}

receivers! {
    receiving_by_async_wait: |server| Box::pin(async { server.async_wait().await.unwrap().0 });
    receiving_by_async_wait_many: |server| Box::pin(async {
        let mut batch = Vec::new();
        server.async_wait_many(&mut batch, 1).await.unwrap();
        batch.pop().unwrap().0
    });
    receiving_by_stream: |server| {
        let mut requests = server.stream();
        Box::pin(poll_fn(move |cx| Pin::new(&mut requests).poll_next(cx).map(|job| job.unwrap().0)))
    };
    receiving_by_poll_wait_of_requests: |server| {
        let mut requests = server.stream();
        Box::pin(poll_fn(move |cx| requests.poll_wait(cx).map(|job| job.unwrap().0)))
    };
}

/// Several who wait for room: the same tests for every way to wait.
macro_rules! senders {
    ($($name:ident: $send:expr;)*) => {$(
        mod $name {
            use super::*;

            fn waiter(client: &Client<u32, u32, ()>, n: u32) -> Polled<'_> {
                let send: fn(&Client<u32, u32, ()>, u32) -> Polled<'_> = $send;
                send(client, n)
            }

            /// Whether the request `n` is now the next in the queue.
            fn got_in(server: &Server<u32, u32, ()>, n: u32) -> bool {
                server.try_pop().unwrap().is_some_and(|(message, _)| message == n)
            }

            #[test]
            fn a_sender_dropped_unwoken_takes_no_wake_up() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (bell_a, bell_b) = (Bell::new(), Bell::new());
                for _ in 0..3 {
                    assert!(poll_with(&mut a, &bell_a).is_pending());
                    assert!(poll_with(&mut b, &bell_b).is_pending());
                }
                drop(a);
                answer_one(&server);
                assert_eq!((bell_a.rings(), bell_b.rings()), (0, 1));
                let _ = poll_with(&mut b, &bell_b);
                assert!(got_in(&server, 2));
            }

            #[test]
            fn a_sender_dropped_woken_passes_the_room_on() {
                let (server, client) = full();
                let (mut a, mut b, mut c) = (waiter(&client, 1), waiter(&client, 2), waiter(&client, 3));
                let (bell_a, bell_b, bell_c) = (Bell::new(), Bell::new(), Bell::new());
                assert!(poll_with(&mut a, &bell_a).is_pending());
                assert!(poll_with(&mut b, &bell_b).is_pending());
                assert!(poll_with(&mut c, &bell_c).is_pending());
                answer_one(&server);
                assert_eq!((bell_a.rings(), bell_b.rings(), bell_c.rings()), (1, 0, 0));
                drop(a);
                assert_eq!((bell_b.rings(), bell_c.rings()), (1, 0));
                drop(b);
                assert_eq!(bell_c.rings(), 1);
                let _ = poll_with(&mut c, &bell_c);
                assert!(got_in(&server, 3));
            }

            #[test]
            fn a_woken_sender_leaving_a_full_queue_is_silent() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (bell_a, bell_b) = (Bell::new(), Bell::new());
                assert!(poll_with(&mut a, &bell_a).is_pending());
                assert!(poll_with(&mut b, &bell_b).is_pending());
                answer_one(&server);
                client.post(9).if_room().wait().unwrap();
                drop(a);
                assert_eq!((bell_a.rings(), bell_b.rings()), (1, 0));
                answer_one(&server);
                assert_eq!(bell_b.rings(), 1);
            }

            #[test]
            fn a_woken_sender_without_room_is_next_in_line() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (bell_a, bell_b) = (Bell::new(), Bell::new());
                assert!(poll_with(&mut a, &bell_a).is_pending());
                assert!(poll_with(&mut b, &bell_b).is_pending());
                answer_one(&server);
                assert_eq!((bell_a.rings(), bell_b.rings()), (1, 0));
                // Another is quicker.
                client.post(9).if_room().wait().unwrap();
                assert!(poll_with(&mut a, &bell_a).is_pending());
                answer_one(&server);
                assert_eq!((bell_a.rings(), bell_b.rings()), (2, 0));
                let _ = poll_with(&mut a, &bell_a);
                assert!(got_in(&server, 1));
                assert_eq!(bell_b.rings(), 1);
            }

            #[test]
            fn room_made_by_a_withdrawn_request_wakes_a_sender() {
                let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
                let queued = client.req_async(0).unwrap();
                let mut a = waiter(&client, 1);
                let bell = Bell::new();
                assert!(poll_with(&mut a, &bell).is_pending());
                drop(queued);
                assert_eq!(bell.rings(), 1);
                let _ = poll_with(&mut a, &bell);
                assert!(got_in(&server, 1));
            }

            #[test]
            fn room_made_by_an_expired_request_wakes_a_sender() {
                let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
                let at = Instant::now() + Duration::from_millis(50);
                client.post(0).deadline(at).wait().unwrap();
                let mut a = waiter(&client, 1);
                let bell = Bell::new();
                assert!(poll_with(&mut a, &bell).is_pending());
                eventually(|| Instant::now() > at);
                assert!(server.try_pop().unwrap().is_none());
                assert_eq!(bell.rings(), 1);
                let _ = poll_with(&mut a, &bell);
                assert!(got_in(&server, 1));
            }

            #[test]
            fn room_in_one_lane_wakes_no_sender_of_the_other() {
                let (server, client) = full();
                client.post(100).urgent().wait().unwrap();
                let mut a = waiter(&client, 1);
                let bell = Bell::new();
                assert!(poll_with(&mut a, &bell).is_pending());
                assert!(got_in(&server, 100));
                assert_eq!(bell.rings(), 0);
                assert!(poll_with(&mut a, &bell).is_pending());
                answer_one(&server);
                assert_eq!(bell.rings(), 1);
            }

            #[test]
            fn the_end_wakes_all_senders() {
                let (server, client) = full();
                let bells: Vec<_> = (0..8).map(|_| Bell::new()).collect();
                let mut waiters: Vec<_> = (0..8).map(|n| waiter(&client, n)).collect();
                for (waiter, bell) in waiters.iter_mut().zip(&bells) {
                    assert!(poll_with(waiter, bell).is_pending());
                }
                drop(server);
                assert!(bells.iter().all(|bell| bell.rings() == 1));
            }

            #[test]
            fn a_blocking_sender_inherits_a_dropped_ones_room() {
                for round in 0..300 {
                    let (server, client) = full();
                    let (client, ready) = (&client, &AtomicUsize::new(0));
                    thread::scope(|scope| {
                        let mut a = waiter(client, 1);
                        let bell = Bell::new();
                        assert!(poll_with(&mut a, &bell).is_pending());
                        let blocking = scope.spawn(move || {
                            ready.store(1, Ordering::SeqCst);
                            client.post(2).timeout(LONG).wait().unwrap();
                        });
                        eventually(|| ready.load(Ordering::SeqCst) == 1);
                        // Somewhere between here and there the other falls asleep.
                        (0..round).for_each(|_| std::hint::spin_loop());
                        answer_one(&server);
                        drop(a);
                        blocking.join().unwrap();
                        assert!(got_in(&server, 2));
                    });
                }
            }
        }
    )*};
}

senders! {
    sending_by_post: |client, n| Box::pin(async move { client.post(n).await.unwrap() });
    sending_by_submit: |client, n| Box::pin(async move {
        // Kept, as dropping it would withdraw the request.
        std::mem::forget(client.request(n).submit().await.unwrap());
    });
    sending_by_request: |client, n| Box::pin(async move { let _ = client.request(n).await; });
    sending_by_areq: |client, n| Box::pin(async move { let _ = client.areq(n).await; });
    sending_by_request_with_deadline: |client, n| Box::pin(async move {
        let _ = client.request(n).timeout(LONG).await;
    });
}

#[test]
fn room_in_the_urgent_lane_wakes_an_urgent_sender() {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    client.post(0).wait().unwrap();
    let bells = [Bell::new(), Bell::new()];
    let mut normal = client.post(1).into_future();
    assert!(poll_with(&mut normal, &bells[0]).is_pending());
    // Withdrawn.
    let queued = client.request(2).urgent().submit().wait().unwrap();
    let mut urgent = client.request(3).urgent().submit().into_future();
    assert!(poll_with(&mut urgent, &bells[1]).is_pending());
    drop(queued);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 1]);
    let Poll::Ready(Ok(taken)) = poll_with(&mut urgent, &bells[1]) else {
        panic!("there is room");
    };
    // Taken.
    let mut urgent = client.post(4).urgent().into_future();
    assert!(poll_with(&mut urgent, &bells[1]).is_pending());
    assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [0, 2]);
    drop(taken);
    drop(urgent);
    // Expired.
    let at = Instant::now() + Duration::from_millis(50);
    client.post(5).urgent().deadline(at).wait().unwrap();
    let mut urgent = client.post(6).urgent().into_future();
    assert!(poll_with(&mut urgent, &bells[1]).is_pending());
    eventually(|| Instant::now() > at);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
    assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 3]);
}

#[test]
fn a_caller_that_leaves_a_handler_releases_its_waker() {
    let (server, client) = channel::<u32, u32, ()>();
    let bell = Bell::new();
    let mut reply = client.request(1).timeout(LONG).submit().wait().unwrap();
    assert!(poll_with(&mut reply, &bell).is_pending());
    let (_, rctx) = server.wait().unwrap();
    assert!(bell.wakers() > 0);
    drop(reply);
    assert_eq!(bell.wakers(), 0, "the handler may take its time");
    drop(rctx);
    assert_eq!(bell.rings(), 0);
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
        let bell = Bell::new();
        let (_, mut rctx) = server.wait().unwrap();
        assert!(poll_with(&mut rctx.cancelled(), &bell).is_pending());
        assert_eq!(bell.wakers(), 0, "the handler may take its time");
        drop(reply);
        assert_eq!(bell.rings(), 0);
        drop(rctx);
    }
}

#[test]
fn a_handler_that_answers_releases_its_waker() {
    let (server, client) = channel::<u32, u32, ()>();
    let bell = Bell::new();
    let reply = client.req_async(1).unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let mut cancelled = rctx.cancelled();
    assert!(poll_with(&mut cancelled, &bell).is_pending());
    std::mem::forget(cancelled);
    rctx.reply(2).unwrap();
    assert_eq!(bell.wakers(), 0, "the caller may take its time");
    drop(reply);
    assert_eq!(bell.rings(), 0);
}

#[test]
fn a_later_poller_replaces_the_earlier_one() {
    let (server, client) = channel::<u32, u32, ()>();
    let (first, second) = (Bell::new(), Bell::new());
    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(|job| job.unwrap().0));
    assert!(poll_with(&mut poller, &first).is_pending());
    assert!(poll_with(&mut poller, &second).is_pending());
    assert_eq!(first.wakers(), 0);
    client.post(1).wait().unwrap();
    assert_eq!((first.rings(), second.rings()), (0, 1));
    assert_eq!(poll_with(&mut poller, &first), Poll::Ready(1));
    assert_eq!(first.wakers() + second.wakers(), 0);
}

#[test]
fn the_waker_of_a_poller_goes_with_its_server() {
    let (server, _client) = channel::<u32, u32, ()>();
    let bell = Bell::new();
    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
    assert!(poll_with(&mut poller, &bell).is_pending());
    assert_eq!(bell.wakers(), 1);
    drop(server);
    assert_eq!(bell.wakers(), 0);
}

#[test]
fn a_stream_that_was_ready_can_wait_again() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut requests = server.stream();
    for n in 0..100 {
        let bell = Bell::new();
        assert!(poll_with(&mut next(&mut requests), &bell).is_pending());
        client.post(n).wait().unwrap();
        assert_eq!(bell.rings(), 1);
        let Poll::Ready(Some((message, _))) = poll_with(&mut next(&mut requests), &bell) else {
            panic!("a request is there");
        };
        assert_eq!(message, n);
        assert_eq!(bell.wakers(), 0);
    }
}

#[test]
fn a_reply_waited_by_thread_then_task_wakes_the_task() {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let reply = reply
        .wait_timeout(Duration::from_millis(1))
        .expect_err("nobody has answered");
    let bell = Bell::new();
    let mut reply = reply.try_get().expect_err("nobody has answered");
    assert!(poll_with(&mut reply, &bell).is_pending());
    answer_one(&server);
    assert_eq!(bell.rings(), 1);
    assert_eq!(poll_with(&mut reply, &bell), Poll::Ready(Ok(2)));
}

#[test]
fn a_reply_waited_by_task_then_thread_wakes_it() {
    for _ in 0..200 {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let bell = Bell::new();
        assert!(poll_with(&mut reply, &bell).is_pending());
        thread::scope(|scope| {
            let waiting = scope.spawn(move || reply.wait_timeout(LONG));
            thread::yield_now();
            answer_one(&server);
            assert_eq!(waiting.join().unwrap().expect("in time"), Ok(2));
        });
        assert_eq!(bell.wakers(), 0);
    }
}

#[test]
fn a_gather_moved_to_another_task_wakes_that_one() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather: Gather<_, _, _> = (0..3).map(|n| (n, client.req_async(n).unwrap())).collect();
    let (first, second) = (Bell::new(), Bell::new());
    assert!(poll_with(&mut next(&mut gather), &first).is_pending());
    assert!(poll_with(&mut next(&mut gather), &second).is_pending());
    assert_eq!(first.wakers(), 0);
    answer_one(&server);
    answer_one(&server);
    assert_eq!(
        (first.rings(), second.rings()),
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
        // Waits for a moment only, once a round.
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
        // Waits for as long as it takes.
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
                // So that the threads end and the test can say so.
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
    let bell = Bell::new();
    let mut sending = client.post(2).into_future();
    assert!(poll_with(&mut sending, &bell).is_pending());
    answer_one(&server);
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_timed_out_blocking_receiver_leaves_the_queue() {
    let (server, client) = channel::<u32, u32, ()>();
    for moment in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(server.wait_timeout(moment).unwrap().is_none());
    }
    let bell = Bell::new();
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_with(&mut receiving, &bell).is_pending());
    client.post(1).wait().unwrap();
    assert_eq!(bell.rings(), 1);
}

/// A whole executor inside a waker: woken, it polls its future at once, on the thread that wakes it.
struct Inline {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    woken: AtomicBool,
    finished: AtomicBool,
}

impl Inline {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let inline = Arc::new(Self {
            future: Mutex::new(Some(Box::pin(future))),
            woken: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        });
        Arc::clone(&inline).wake();
        inline
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::SeqCst)
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        while self.woken.load(Ordering::SeqCst) {
            // Held: it is being polled further up on this stack or by another thread, which will see that it was woken.
            let Ok(mut future) = self.future.try_lock() else {
                return;
            };
            self.woken.store(false, Ordering::SeqCst);
            let Some(running) = &mut *future else {
                return;
            };
            let mut cx = Context::from_waker(&waker);
            if running.as_mut().poll(&mut cx).is_ready() {
                *future = None;
                self.finished.store(true, Ordering::SeqCst);
            }
        }
    }
}

mod polled_inline_by_its_waker {
    use super::*;

    fn echo(server: Server<u32, u32, ()>) -> Arc<Inline> {
        Inline::spawn(async move {
            while let Ok((n, rctx)) = server.async_wait().await {
                let _ = rctx.reply(n + 1);
            }
        })
    }

    #[test]
    fn a_server_answers_inside_its_blocking_client() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let server = echo(server);
            for n in 0..100 {
                assert_eq!(client.req(n), Ok(n + 1));
                let outcome = client.request(n).timeout(LONG).urgent().wait();
                assert_eq!(outcome.unwrap(), n + 1);
            }
            drop(client);
            assert!(server.is_finished());
        });
    }

    #[test]
    fn a_server_answers_on_the_stack_of_its_async_client() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let _server = echo(server);
            let outcome = poll_once(&mut Box::pin(client.areq(1)));
            assert_eq!(outcome, Poll::Ready(Ok(2)));
            let reply = client.req_async(2).unwrap();
            assert_eq!(reply.try_get().expect("answered"), Ok(3));
        });
    }

    #[test]
    fn a_client_goes_on_on_the_stack_of_the_handler() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let client = Inline::spawn(async move {
                for n in 0..100 {
                    assert_eq!(client.areq(n).await, Ok(n + 1));
                }
            });
            let mut handled = 0;
            while let Ok((n, rctx)) = server.wait() {
                rctx.reply(n + 1).unwrap();
                handled += 1;
            }
            assert_eq!(handled, 100);
            assert!(client.is_finished());
        });
    }

    #[test]
    fn senders_enter_on_the_stack_of_who_makes_room() {
        must_end(|| {
            let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
            let senders: Vec<_> = (0..10)
                .map(|n| {
                    let client = client.clone();
                    Inline::spawn(async move { client.post(n).await.unwrap() })
                })
                .collect();
            drop(client);
            let order: Vec<_> = server.iter().map(|(n, _)| n).collect();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
            assert!(senders.iter().all(|sender| sender.is_finished()));
        });
    }

    #[test]
    fn callers_end_on_the_stack_of_the_server_that_goes() {
        must_end(|| {
            let (server, client) = bounded::<u32, u32, ()>(2).unwrap();
            let callers: Vec<_> = (0..5)
                .map(|n| {
                    let client = client.clone();
                    Inline::spawn(async move {
                        let outcome = client.request(n).await;
                        assert!(
                            matches!(outcome, Err(RequestError::ServerDisappeared(m)) if m == n)
                        );
                        // And again, from inside.
                        let outcome = client.request(n).await;
                        assert!(
                            matches!(outcome, Err(RequestError::ServerDisappeared(m)) if m == n)
                        );
                    })
                })
                .collect();
            drop(server);
            assert!(callers.iter().all(|caller| caller.is_finished()));
            let stats = client.stats();
            assert_eq!((stats.accepted, stats.server_disappeared), (2, 2));
        });
    }

    #[test]
    fn a_handler_stops_inside_its_leaving_caller() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let reply = client.req_async(1).unwrap();
            let (_, mut rctx) = server.wait().unwrap();
            let handler = Inline::spawn(async move {
                rctx.cancelled().await;
                assert_eq!(rctx.answer(Ok(2)), Err(Ok(2)));
            });
            assert!(!handler.is_finished());
            drop(reply);
            assert!(handler.is_finished());
            assert_eq!(client.stats().cancelled_taken, 1);
        });
    }

    #[test]
    fn a_caller_ends_on_the_alarm_thread() {
        must_end(|| {
            let (_server, client) = channel::<u32, u32, ()>();
            let count = client.clone();
            let caller = Inline::spawn(async move {
                let tiny = Duration::from_millis(1);
                for n in 0..3 {
                    let outcome = client.request(n).timeout(tiny).await;
                    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(m)) if m == n));
                }
            });
            eventually(|| caller.is_finished());
            let stats = count.stats();
            assert_eq!(stats.timeout_queued + stats.refused, 3);
        });
    }

    #[test]
    fn a_chain_of_servers_works_on_one_stack() {
        must_end(|| {
            let (server, mut client) = channel::<u32, u32, ()>();
            let mut tasks = vec![echo(server)];
            for _ in 0..20 {
                let (server, front) = channel::<u32, u32, ()>();
                let back = std::mem::replace(&mut client, front);
                tasks.push(Inline::spawn(async move {
                    while let Ok((n, rctx)) = server.async_wait().await {
                        let _ = rctx.reply(back.areq(n).await.unwrap() + 1);
                    }
                }));
            }
            assert_eq!(client.req(0), Ok(21));
            drop(client);
            assert!(tasks.iter().all(|task| task.is_finished()));
        });
    }
}

/// What a waker does to the channel that calls it: everything.
#[derive(Clone)]
struct Meddler {
    client: WeakClient<u32, u32, ()>,
    server: Weak<Server<u32, u32, ()>>,
    times: Arc<AtomicUsize>,
    busy: Arc<AtomicBool>,
}

impl Meddler {
    fn new(server: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Self {
        Self {
            client: client.weak(),
            server: Arc::downgrade(server),
            times: Arc::default(),
            busy: Arc::default(),
        }
    }

    fn act(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
        // What it does may call it again.
        if self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(client) = self.client.upgrade() {
            let _ = (client.stats(), client.len(), client.is_closed());
            drop(client.clone());
            let _ = client.post(100).if_room().wait();
            let _ = client.post(101).urgent().if_room().wait();
            drop(client.request(102).if_room().submit().wait());
            let mut waiting = Box::pin(client.request(103).timeout(LONG).into_future());
            let _ = poll_once(&mut waiting);
        }
        if let Some(server) = self.server.upgrade() {
            let _ = (server.stats(), server.len());
            let mut waiting = Box::pin(server.async_wait());
            if let Poll::Ready(Ok((_, rctx))) = poll_once(&mut waiting) {
                let _ = rctx.reply(1);
            }
            let _ = server
                .try_pop()
                .map(|job| job.map(|(_, rctx)| rctx.fail(())));
            let _ = server.wait_timeout(Duration::ZERO);
            let waker = Waker::noop();
            let _ = server.poll_wait(&mut Context::from_waker(waker));
        }
        self.busy.store(false, Ordering::SeqCst);
    }

    fn waker(&self, when: fn(Box<dyn Fn() + Send + Sync>) -> Waker) -> Waker {
        let meddler = self.clone();
        when(Box::new(move || meddler.act()))
    }

    fn acted(&self) -> bool {
        self.times.load(Ordering::SeqCst) > 0
    }
}

fn poll_by<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn receiving(server: &Arc<Server<u32, u32, ()>>, _: &Client<u32, u32, ()>) -> Polled<'static> {
    let server = Arc::clone(server);
    Box::pin(async move { drop(server.async_wait().await) })
}

fn polling(server: &Arc<Server<u32, u32, ()>>, _: &Client<u32, u32, ()>) -> Polled<'static> {
    let server = Arc::downgrade(server);
    Box::pin(poll_fn(move |cx| match server.upgrade() {
        Some(server) => server.poll_wait(cx).map(drop),
        None => Poll::Ready(()),
    }))
}

fn asking(_: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Polled<'static> {
    let client = client.clone();
    Box::pin(async move { drop(client.request(1).timeout(LONG).await) })
}

fn posting(_: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Polled<'static> {
    let client = client.clone();
    Box::pin(async move { drop(client.post(1).timeout(LONG).await) })
}

/// A waker that re-enters its channel, on every path that wakes, replaces or drops one.
macro_rules! meddling {
    ($($name:ident: $when:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Polls what `future` makes, twice (so one waker is replaced), then lets `event` happen, polls again, and drops it all.
            fn meddle<F: Future + Unpin>(
                (server, client): Ends,
                start: impl FnOnce(&Arc<Server<u32, u32, ()>>, &Client<u32, u32, ()>) -> F + Send + 'static,
                event: impl FnOnce(Arc<Server<u32, u32, ()>>, Client<u32, u32, ()>) + Send + 'static,
            ) {
                must_end(move || {
                    let server = Arc::new(server);
                    let meddler = Meddler::new(&server, &client);
                    let waker = meddler.waker($when);
                    let mut future = start(&server, &client);
                    let pending = poll_by(&mut future, &waker).is_pending()
                        && poll_by(&mut future, &waker).is_pending();
                    event(server, client);
                    if pending {
                        let _ = poll_by(&mut future, Waker::noop());
                    }
                    drop(future);
                    drop(waker);
                    assert!(meddler.acted(), "the path was not taken");
                });
            }

            #[test]
            fn on_a_request_that_is_sent() {
                meddle(channel(), receiving, |_, client| client.post(1).wait().unwrap());
            }

            #[test]
            fn on_a_blocking_request_that_is_sent() {
                meddle(channel(), receiving, |server, client| {
                    thread::scope(|scope| {
                        let asking = scope.spawn(|| client.req(1));
                        // The waker may have answered it already; in the end somebody has.
                        eventually(|| {
                            let _ = server.try_pop().map(|job| job.map(|(_, rctx)| rctx.reply(2)));
                            asking.is_finished()
                        });
                    });
                });
            }

            #[test]
            fn on_a_request_that_is_sent_while_a_poller_waits() {
                meddle(channel(), polling, |_, client| client.post(1).wait().unwrap());
            }

            #[test]
            fn on_the_drop_of_the_last_client() {
                meddle(channel(), receiving, |_, client| drop(client));
            }

            #[test]
            fn on_dropping_the_last_client_while_a_poller_waits() {
                meddle(channel(), polling, |server, client| {
                    drop(client);
                    drop(server);
                });
            }

            #[test]
            fn on_a_reply() {
                let answer = |server: Arc<Server<u32, u32, ()>>, _| {
                    while let Some((n, rctx)) = server.try_pop().unwrap() {
                        let _ = rctx.reply(n + 1);
                    }
                };
                meddle(channel(), asking, answer);
            }

            #[test]
            fn on_a_context_that_is_dropped() {
                let drop_all = |server: Arc<Server<u32, u32, ()>>, _| {
                    while let Some(job) = server.try_pop().unwrap() {
                        drop(job);
                    }
                };
                meddle(channel(), asking, drop_all);
            }

            #[test]
            fn on_the_drop_of_the_server() {
                meddle(channel(), asking, |server, _| drop(server));
            }

            #[test]
            fn on_dropping_the_server_while_a_sender_waits() {
                meddle(full(), posting, |server, _| drop(server));
            }

            #[test]
            fn on_room_made_by_a_request_that_is_taken() {
                meddle(full(), posting, |server, _| drop(server.try_pop()));
            }

            #[test]
            fn on_room_made_by_a_request_that_is_withdrawn() {
                let (server, client) = bounded(1).unwrap();
                let queued = client.req_async(1).unwrap();
                meddle((server, client), posting, |_, _| drop(queued));
            }

            #[test]
            fn on_room_made_by_a_request_that_has_expired() {
                let (server, client) = bounded(1).unwrap();
                let at = Instant::now() + Duration::from_millis(50);
                client.post(1).deadline(at).wait().unwrap();
                meddle((server, client), posting, move |server, _| {
                    eventually(|| Instant::now() > at);
                    drop(server.try_pop());
                });
            }

            #[test]
            fn on_a_caller_that_leaves() {
                let (server, client) = channel();
                let reply = client.req_async(1).unwrap();
                let (_, mut rctx) = server.wait().unwrap();
                let cancelled = move |_: &_, _: &_| -> Polled<'static> {
                    Box::pin(async move { rctx.cancelled().await })
                };
                meddle((server, client), cancelled, |_, _| drop(reply));
            }

            #[test]
            fn on_a_reply_that_is_gathered() {
                let (server, client) = channel();
                let mut gather: Gather<_, _, _> = (0..3)
                    .map(|n| (n, client.req_async(n).unwrap()))
                    .collect();
                let gathering = move |_: &_, _: &_| -> Polled<'static> {
                    Box::pin(async move { while next(&mut gather).await.is_some() {} })
                };
                meddle((server, client), gathering, |server, _| {
                    let _ = server.try_pop().map(|job| job.map(|(n, rctx)| rctx.reply(n)));
                });
            }

            #[test]
            fn on_an_alarm() {
                let in_time = |_: &_, client: &Client<u32, u32, ()>| -> Polled<'static> {
                    let client = client.clone();
                    let tiny = Duration::from_millis(50);
                    Box::pin(async move { drop(client.request(1).timeout(tiny).await) })
                };
                meddle(channel(), in_time, |server, client| {
                    let at = Instant::now() + Duration::from_millis(50);
                    eventually(|| Instant::now() > at);
                    // Passes behind the alarm above: the thread serves them in order.
                    let mut later = Box::pin(client.post(1).deadline(at).into_future());
                    let _ = poll_once(&mut later);
                    drop(server);
                });
            }
        }
    )*};
}

meddling! {
    a_waker_that_re_enters_when_woken: Hook::on_wake;
    a_waker_that_re_enters_when_cloned: Hook::on_clone;
    a_waker_that_re_enters_when_dropped: Hook::on_drop;
}

#[test]
fn a_waker_may_re_enter_when_its_future_is_dropped() {
    type Start = fn(&Arc<Server<u32, u32, ()>>, &Client<u32, u32, ()>) -> Polled<'static>;
    let cases: [(Start, fn() -> Ends); 4] = [
        (receiving, channel),
        (polling, channel),
        (asking, channel),
        (posting, full),
    ];
    for (start, ends) in cases {
        must_end(move || {
            let (server, client) = ends();
            let server = Arc::new(server);
            let meddler = Meddler::new(&server, &client);
            let waker = meddler.waker(Hook::on_drop);
            let mut future = start(&server, &client);
            assert!(poll_by(&mut future, &waker).is_pending());
            assert!(!meddler.acted());
            drop(future);
            drop((server, client));
            assert!(meddler.acted());
        });
    }
}

#[test]
fn a_waker_may_re_enter_when_served_unwoken() {
    must_end(|| {
        let (server, client) = bounded(1).unwrap();
        let server = Arc::new(server);
        let meddler = Meddler::new(&server, &client);
        let waker = meddler.waker(Hook::on_drop);
        let (mut first, mut second) = (receiving(&server, &client), receiving(&server, &client));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_by(&mut second, &waker).is_pending());
        client.post(1).wait().unwrap();
        assert!(!meddler.acted());
        assert!(poll_once(&mut second).is_ready());
        assert!(meddler.acted());
        drop(first);
    });
    must_end(|| {
        let (server, client) = full();
        let server = Arc::new(server);
        let meddler = Meddler::new(&server, &client);
        let waker = meddler.waker(Hook::on_drop);
        let (mut first, mut second) = (posting(&server, &client), posting(&server, &client));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_by(&mut second, &waker).is_pending());
        drop(server.try_pop());
        assert!(!meddler.acted());
        assert!(poll_once(&mut second).is_ready());
        assert!(meddler.acted());
    });
}

#[test]
fn a_waker_may_set_and_cancel_timers() {
    for when in [Hook::on_wake, Hook::on_clone, Hook::on_drop] {
        must_end(move || {
            let (_server, client) = channel::<u32, u32, ()>();
            let (_other_server, other) = channel::<u32, u32, ()>();
            let times = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&times);
            let act: Box<dyn Fn() + Send + Sync> = Box::new(move || {
                let mut asking = other.request(1).timeout(LONG).into_future();
                assert!(poll_once(&mut asking).is_pending());
                assert!(poll_once(&mut asking).is_pending());
                drop(asking);
                counted.fetch_add(1, Ordering::SeqCst);
            });
            let waker = when(act);
            let at = Instant::now() + Duration::from_millis(50);
            let mut asking = client.request(1).deadline(at).into_future();
            assert!(poll_by(&mut asking, &waker).is_pending());
            assert!(poll_by(&mut asking, &waker).is_pending());
            // At the latest when the alarm rings.
            eventually(|| times.load(Ordering::SeqCst) > 0);
            eventually(|| Instant::now() > at);
            let outcome = poll_by(&mut asking, &waker);
            assert!(matches!(
                outcome,
                Poll::Ready(Err(RequestError::TimeoutQueued(1)))
            ));
            drop(waker);
            // And it is well.
            let tiny = Duration::from_millis(1);
            assert!(tests::block_on(client.request(2).timeout(tiny)).is_err());
        });
    }
}

#[test]
fn a_replaced_waker_may_answer_its_request() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let (n, rctx) = server.wait().unwrap();
        let rctx = Mutex::new(Some(rctx));
        let waker = Hook::on_drop(move || {
            if let Some(rctx) = rctx.lock().unwrap().take() {
                rctx.reply(n + 1).unwrap();
            }
        });
        assert!(poll_by(&mut reply, &waker).is_pending());
        let bell = Bell::new();
        assert!(poll_with(&mut reply, &bell).is_pending());
        assert_eq!(bell.rings(), 1);
        assert_eq!(poll_with(&mut reply, &bell), Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_replaced_waker_may_cancel_its_request() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = Mutex::new(Some(client.req_async(1).unwrap()));
        let (_, mut rctx) = server.wait().unwrap();
        let waker = Hook::on_drop(move || drop(reply.lock().unwrap().take()));
        let mut cancelled = rctx.cancelled();
        assert!(poll_by(&mut cancelled, &waker).is_pending());
        let bell = Bell::new();
        assert!(poll_with(&mut cancelled, &bell).is_pending());
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut cancelled, &bell).is_ready());
    });
}

#[test]
fn a_waker_may_drop_the_last_client() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let (n, rctx) = server.wait().unwrap();
        let last = Mutex::new(Some(client));
        let waker = Hook::on_wake(move || drop(last.lock().unwrap().take()));
        assert!(poll_by(&mut reply, &waker).is_pending());
        let bell = Bell::new();
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_with(&mut receiving, &bell).is_pending());
        rctx.reply(n + 1).unwrap();
        assert_eq!(bell.rings(), 1);
        assert!(matches!(
            poll_with(&mut receiving, &bell),
            Poll::Ready(Err(_))
        ));
        assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_waker_may_own_and_drop_the_server() {
    must_end(|| {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        let slot = Arc::new(Mutex::new(None));
        let inside = Arc::clone(&slot);
        let waker = Hook::on_wake(move || drop(inside.lock().unwrap().take()));
        let mut sending = Box::pin(client.post(1).into_future());
        assert!(poll_by(&mut sending, &waker).is_pending());
        // Taking makes room, which wakes the sender, whose waker drops the server.
        let server = Arc::new(server);
        *slot.lock().unwrap() = Some(Arc::clone(&server));
        drop(server.try_pop());
        drop(server);
        assert!(client.is_closed());
        let Poll::Ready(Err(SendError::ServerDisappeared(1))) = poll_once(&mut sending) else {
            panic!("the server is gone");
        };
    });
}
