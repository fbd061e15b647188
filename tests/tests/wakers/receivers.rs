//! Several receivers that wait, with the same tests for every way to wait.

use super::*;

/// Makes the tests for a way of receiving.
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
                let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
                for _ in 0..3 {
                    assert!(poll_with(&mut a, &counter_a).is_pending());
                    assert!(poll_with(&mut b, &counter_b).is_pending());
                }
                drop(a);
                client.post(1).wait().unwrap();
                assert_eq!((counter_a.wakes(), counter_b.wakes()), (0, 1));
                assert_eq!(poll_with(&mut b, &counter_b), Poll::Ready(1));
            }

            #[test]
            fn a_waiter_dropped_woken_passes_the_wake_up_on() {
                let (server, client) = channel::<u32, u32, ()>();
                let (mut a, mut b, mut c) = (waiter(&server), waiter(&server), waiter(&server));
                let (counter_a, counter_b, counter_c) = (CountingWaker::new(), CountingWaker::new(), CountingWaker::new());
                assert!(poll_with(&mut a, &counter_a).is_pending());
                assert!(poll_with(&mut b, &counter_b).is_pending());
                assert!(poll_with(&mut c, &counter_c).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!((counter_a.wakes(), counter_b.wakes(), counter_c.wakes()), (1, 0, 0));
                drop(a);
                assert_eq!((counter_b.wakes(), counter_c.wakes()), (1, 0));
                drop(b);
                assert_eq!(counter_c.wakes(), 1);
                assert_eq!(poll_with(&mut c, &counter_c), Poll::Ready(1));
            }

            #[test]
            fn a_waiter_polled_in_vain_gets_the_next_wake_up() {
                let (server, client) = channel::<u32, u32, ()>();
                let mut a = waiter(&server);
                let counter = CountingWaker::new();
                assert!(poll_with(&mut a, &counter).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!(counter.wakes(), 1);
                answer_one(&server);
                assert!(poll_with(&mut a, &counter).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(counter.wakes(), 2);
                assert_eq!(poll_with(&mut a, &counter), Poll::Ready(2));
            }

            #[test]
            fn a_woken_waiter_leaving_an_empty_queue_is_silent() {
                let (server, client) = channel::<u32, u32, ()>();
                let (mut a, mut b) = (waiter(&server), waiter(&server));
                let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
                assert!(poll_with(&mut a, &counter_a).is_pending());
                assert!(poll_with(&mut b, &counter_b).is_pending());
                client.post(1).wait().unwrap();
                answer_one(&server);
                drop(a);
                assert_eq!(counter_b.wakes(), 0);
                client.post(2).wait().unwrap();
                assert_eq!(counter_b.wakes(), 1);
                assert_eq!(poll_with(&mut b, &counter_b), Poll::Ready(2));
            }

            #[test]
            fn each_of_many_requests_wakes_another_waiter() {
                let (server, client) = channel::<u32, u32, ()>();
                let counters: Vec<_> = (0..8).map(|_| CountingWaker::new()).collect();
                let mut waiters: Vec<_> = counters.iter().map(|_| waiter(&server)).collect();
                for (waiter, counter) in waiters.iter_mut().zip(&counters) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                for n in 0..8 {
                    client.post(n).wait().unwrap();
                    let wakes: Vec<_> = counters.iter().map(|counter| counter.wakes()).collect();
                    let expected: Vec<_> = (0..8).map(|k| usize::from(k <= n)).collect();
                    assert_eq!(wakes, expected, "the longest waiter is woken first");
                }
            }

            #[test]
            fn a_receiver_woken_in_vain_keeps_its_place() {
                let (server, client) = channel::<u32, u32, ()>();
                let counters = [CountingWaker::new(), CountingWaker::new(), CountingWaker::new()];
                let mut waiters = [waiter(&server), waiter(&server), waiter(&server)];
                for (waiter, counter) in waiters.iter_mut().zip(&counters) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                // The first two receivers are woken, and another one is quicker than both.
                client.post(1).wait().unwrap();
                client.post(2).wait().unwrap();
                answer_one(&server);
                answer_one(&server);
                for (waiter, counter) in waiters.iter_mut().zip(&counters).take(2) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                client.post(3).wait().unwrap();
                let wakes = counters.each_ref().map(|counter| counter.wakes());
                assert_eq!(wakes, [2, 1, 0], "the longest waiter is woken first");
            }

            #[test]
            fn a_waiter_served_unwoken_leaves_the_wait_queue() {
                let (server, client) = channel::<u32, u32, ()>();
                let counters = [CountingWaker::new(), CountingWaker::new(), CountingWaker::new()];
                let mut waiters = [waiter(&server), waiter(&server), waiter(&server)];
                for (waiter, counter) in waiters.iter_mut().zip(&counters) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                client.post(1).wait().unwrap();
                assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 0, 0]);
                // The second receiver polls without a wake-up, and is quicker.
                assert_eq!(poll_with(&mut waiters[1], &counters[1]), Poll::Ready(1));
                assert_eq!(counters[1].wakers(), 0);
                client.post(2).wait().unwrap();
                assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 0, 1]);
            }

            #[test]
            fn a_waiter_among_overdue_requests_stays_awake() {
                let (server, client) = channel::<u32, u32, ()>();
                let at = Instant::now() + Duration::from_millis(100);
                for n in 0..5_000 {
                    // On a slow machine the post may be late.
                    let _ = client.post(n).deadline(at).wait();
                }
                client.post(9_999).wait().unwrap();
                eventually(|| Instant::now() > at);
                let counter = CountingWaker::new();
                let mut a = waiter(&server);
                let mut polls = 0;
                let message = loop {
                    polls += 1;
                    match poll_with(&mut a, &counter) {
                        Poll::Ready(message) => break message,
                        Poll::Pending => assert_eq!(counter.wakes(), polls, "it would sleep on"),
                    }
                };
                assert_eq!(message, 9_999);
                assert_eq!(counter.wakers(), 0);
                let stats = client.stats();
                assert_eq!(stats.timeout_queued + stats.refused, 5_000);
            }

            #[test]
            fn a_client_that_is_not_the_last_wakes_no_waiter() {
                let (server, client) = channel::<u32, u32, ()>();
                let (other, weak) = (client.clone(), client.weak());
                let counter = CountingWaker::new();
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &counter).is_pending());
                drop(client);
                drop(weak.upgrade());
                assert_eq!(counter.wakes(), 0);
                drop(other);
                assert_eq!(counter.wakes(), 1);
            }

            #[test]
            fn the_end_wakes_all_waiters() {
                let (server, client) = channel::<u32, u32, ()>();
                let counters: Vec<_> = (0..8).map(|_| CountingWaker::new()).collect();
                let mut waiters: Vec<_> = counters.iter().map(|_| waiter(&server)).collect();
                for (waiter, counter) in waiters.iter_mut().zip(&counters) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                drop(client);
                assert!(counters.iter().all(|counter| counter.wakes() == 1));
                assert!(counters.iter().all(|counter| counter.wakers() == 0));
            }

            #[test]
            fn a_stale_poller_swallows_no_wake_up() {
                let (server, client) = channel::<u32, u32, ()>();
                let (stale, counter) = (CountingWaker::new(), CountingWaker::new());
                {
                    let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
                    assert!(poll_with(&mut poller, &stale).is_pending());
                }
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &counter).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!(counter.wakes(), 1);
                assert_eq!(poll_with(&mut a, &counter), Poll::Ready(1));
                // The stale poller may also come after the waiter.
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &counter).is_pending());
                let mut poller = poll_fn(|cx| server.poll_wait(cx).map(drop));
                assert!(poll_with(&mut poller, &stale).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(counter.wakes(), 2);
                assert_eq!(poll_with(&mut a, &counter), Poll::Ready(2));
            }

            #[test]
            fn a_poller_is_woken_beside_queued_waiters() {
                let (server, client) = channel::<u32, u32, ()>();
                let (counter_a, counter) = (CountingWaker::new(), CountingWaker::new());
                let mut a = waiter(&server);
                assert!(poll_with(&mut a, &counter_a).is_pending());
                let mut poller = poll_fn(|cx| server.poll_wait(cx).map(|job| job.unwrap().0));
                assert!(poll_with(&mut poller, &counter).is_pending());
                client.post(1).wait().unwrap();
                assert_eq!((counter_a.wakes(), counter.wakes()), (1, 1));
                assert_eq!(poll_with(&mut poller, &counter), Poll::Ready(1));
                // The other receiver was woken in vain, and continues to wait.
                assert!(poll_with(&mut a, &counter_a).is_pending());
                client.post(2).wait().unwrap();
                assert_eq!(poll_with(&mut a, &counter_a), Poll::Ready(2));
            }

            #[test]
            fn a_blocking_waiter_inherits_a_dropped_ones_wake_up() {
                for round in 0..300 {
                    let (server, client) = channel::<u32, u32, ()>();
                    let (server, ready) = (&server, &AtomicUsize::new(0));
                    thread::scope(|scope| {
                        let mut a = waiter(server);
                        let counter = CountingWaker::new();
                        assert!(poll_with(&mut a, &counter).is_pending());
                        let blocking = scope.spawn(move || {
                            ready.store(1, Ordering::SeqCst);
                            server.wait_timeout(LONG).unwrap().expect("in time").0
                        });
                        eventually(|| ready.load(Ordering::SeqCst) == 1);
                        // The other receiver falls asleep somewhere in between.
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
