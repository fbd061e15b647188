//! Several senders that wait for room, with the same tests for every way to wait.

use super::*;

/// Makes the tests for a way of sending.
macro_rules! senders {
    ($($name:ident: $send:expr;)*) => {$(
        mod $name {
            use super::*;

            fn waiter(client: &Client<u32, u32, ()>, n: u32) -> Polled<'_> {
                let send: fn(&Client<u32, u32, ()>, u32) -> Polled<'_> = $send;
                send(client, n)
            }

            /// Returns whether request `n` is the next in the queue.
            fn got_in(server: &Server<u32, u32, ()>, n: u32) -> bool {
                server.try_pop().unwrap().is_some_and(|(message, _)| message == n)
            }

            #[test]
            fn a_sender_dropped_unwoken_takes_no_wake_up() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
                for _ in 0..3 {
                    assert!(poll_with(&mut a, &counter_a).is_pending());
                    assert!(poll_with(&mut b, &counter_b).is_pending());
                }
                drop(a);
                answer_one(&server);
                assert_eq!((counter_a.wakes(), counter_b.wakes()), (0, 1));
                let _ = poll_with(&mut b, &counter_b);
                assert!(got_in(&server, 2));
            }

            #[test]
            fn a_sender_dropped_woken_passes_the_room_on() {
                let (server, client) = full();
                let (mut a, mut b, mut c) = (waiter(&client, 1), waiter(&client, 2), waiter(&client, 3));
                let (counter_a, counter_b, counter_c) = (CountingWaker::new(), CountingWaker::new(), CountingWaker::new());
                assert!(poll_with(&mut a, &counter_a).is_pending());
                assert!(poll_with(&mut b, &counter_b).is_pending());
                assert!(poll_with(&mut c, &counter_c).is_pending());
                answer_one(&server);
                assert_eq!((counter_a.wakes(), counter_b.wakes(), counter_c.wakes()), (1, 0, 0));
                drop(a);
                assert_eq!((counter_b.wakes(), counter_c.wakes()), (1, 0));
                drop(b);
                assert_eq!(counter_c.wakes(), 1);
                let _ = poll_with(&mut c, &counter_c);
                assert!(got_in(&server, 3));
            }

            #[test]
            fn a_woken_sender_leaving_a_full_queue_is_silent() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
                assert!(poll_with(&mut a, &counter_a).is_pending());
                assert!(poll_with(&mut b, &counter_b).is_pending());
                answer_one(&server);
                client.post(9).if_room().wait().unwrap();
                drop(a);
                assert_eq!((counter_a.wakes(), counter_b.wakes()), (1, 0));
                answer_one(&server);
                assert_eq!(counter_b.wakes(), 1);
            }

            #[test]
            fn a_woken_sender_without_room_stays_first() {
                let (server, client) = full();
                let (mut a, mut b) = (waiter(&client, 1), waiter(&client, 2));
                let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
                assert!(poll_with(&mut a, &counter_a).is_pending());
                assert!(poll_with(&mut b, &counter_b).is_pending());
                answer_one(&server);
                assert_eq!((counter_a.wakes(), counter_b.wakes()), (1, 0));
                // Another sender is quicker.
                client.post(9).if_room().wait().unwrap();
                assert!(poll_with(&mut a, &counter_a).is_pending());
                answer_one(&server);
                assert_eq!((counter_a.wakes(), counter_b.wakes()), (2, 0));
                let _ = poll_with(&mut a, &counter_a);
                assert!(got_in(&server, 1));
                assert_eq!(counter_b.wakes(), 1);
            }

            #[test]
            fn room_made_by_a_withdrawn_request_wakes_a_sender() {
                let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
                let queued = client.req_async(0).unwrap();
                let mut a = waiter(&client, 1);
                let counter = CountingWaker::new();
                assert!(poll_with(&mut a, &counter).is_pending());
                drop(queued);
                assert_eq!(counter.wakes(), 1);
                let _ = poll_with(&mut a, &counter);
                assert!(got_in(&server, 1));
            }

            #[test]
            fn room_made_by_an_expired_request_wakes_a_sender() {
                let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
                let at = Instant::now() + Duration::from_millis(50);
                client.post(0).deadline(at).wait().unwrap();
                let mut a = waiter(&client, 1);
                let counter = CountingWaker::new();
                assert!(poll_with(&mut a, &counter).is_pending());
                eventually(|| Instant::now() > at);
                assert!(server.try_pop().unwrap().is_none());
                assert_eq!(counter.wakes(), 1);
                let _ = poll_with(&mut a, &counter);
                assert!(got_in(&server, 1));
            }

            #[test]
            fn room_in_one_lane_wakes_no_sender_of_the_other() {
                let (server, client) = full();
                client.post(100).urgent().wait().unwrap();
                let mut a = waiter(&client, 1);
                let counter = CountingWaker::new();
                assert!(poll_with(&mut a, &counter).is_pending());
                assert!(got_in(&server, 100));
                assert_eq!(counter.wakes(), 0);
                assert!(poll_with(&mut a, &counter).is_pending());
                answer_one(&server);
                assert_eq!(counter.wakes(), 1);
            }

            #[test]
            fn the_end_wakes_all_senders() {
                let (server, client) = full();
                let counters: Vec<_> = (0..8).map(|_| CountingWaker::new()).collect();
                let mut waiters: Vec<_> = (0..8).map(|n| waiter(&client, n)).collect();
                for (waiter, counter) in waiters.iter_mut().zip(&counters) {
                    assert!(poll_with(waiter, counter).is_pending());
                }
                drop(server);
                assert!(counters.iter().all(|counter| counter.wakes() == 1));
            }

            #[test]
            fn a_blocking_sender_inherits_a_dropped_ones_room() {
                for round in 0..300 {
                    let (server, client) = full();
                    let (client, ready) = (&client, &AtomicUsize::new(0));
                    thread::scope(|scope| {
                        let mut a = waiter(client, 1);
                        let counter = CountingWaker::new();
                        assert!(poll_with(&mut a, &counter).is_pending());
                        let blocking = scope.spawn(move || {
                            ready.store(1, Ordering::SeqCst);
                            client.post(2).timeout(LONG).wait().unwrap();
                        });
                        eventually(|| ready.load(Ordering::SeqCst) == 1);
                        // The other sender falls asleep somewhere in between.
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
        // The reply is kept, because dropping it would revoke the request.
        std::mem::forget(client.request(n).submit().await.unwrap());
    });
    sending_by_request: |client, n| Box::pin(async move { let _ = client.request(n).await; });
    sending_by_areq: |client, n| Box::pin(async move { let _ = client.areq(n).await; });
    sending_by_request_with_deadline: |client, n| Box::pin(async move {
        let _ = client.request(n).timeout(LONG).await;
    });
}
