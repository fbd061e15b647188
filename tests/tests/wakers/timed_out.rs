//! Blocking calls that time out leave the wait queue.

use super::*;

#[test]
fn a_receiver_that_times_out_swallows_no_wake_up() {
    const ROUNDS: u32 = 3_000;
    const END_OF_ROUND: u32 = u32::MAX;
    let (server, client) = channel::<u32, u32, ()>();
    let start = Barrier::new(3);
    let timed_rounds = AtomicUsize::new(0);
    let (taken, received) = mpsc::channel();
    thread::scope(|scope| {
        let timed = taken.clone();
        let (server, start, timed_rounds) = (&server, &start, &timed_rounds);
        // The thread waits briefly, once a round.
        scope.spawn(move || {
            for round in 0..ROUNDS {
                start.wait();
                let moment = Duration::from_nanos(u64::from(round % 100) * 500);
                if let Some((n, _)) = server.wait_timeout(moment).unwrap() {
                    timed.send(n).unwrap();
                }
                timed_rounds.fetch_add(1, Ordering::SeqCst);
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
            let got = received.recv_timeout(LONG);
            if got.is_err() {
                // Without this the threads would not end, and the test could not fail.
                client.post(END_OF_ROUND).wait().unwrap();
            }
            assert_eq!(got, Ok(round), "a wake-up was lost");
            eventually(|| timed_rounds.load(Ordering::SeqCst) > round as usize);
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
