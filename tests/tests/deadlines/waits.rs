//! Requests that are sent first and waited for later.

use super::*;

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

/// If the wait took the whole time, the test would hang.
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
fn checking_after_the_deadline_ends_the_request() {
    let ways: [fn(Reply) -> Result<u32, RequestError<u32, ()>>; 5] = [
        |reply| reply.try_get().unwrap(),
        |reply| reply.wait_timeout(Duration::ZERO).unwrap(),
        |reply| reply.wait_timeout(FOR_EVER).unwrap(),
        |reply| block_on(reply),
        |mut reply| match poll_once(&mut reply) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("its deadline has passed"),
        },
    ];
    for way in ways {
        let ((server, _client), reply, deadline) = submitted();
        pass(deadline);
        assert!(!reply.is_ready());
        assert!(matches!(way(reply), Err(RequestError::TimeoutQueued(7))));
        let expected = stats_with(|stats| (stats.accepted, stats.timeout_queued) = (1, 1));
        assert_eq!(server.stats(), expected);
    }
    for way in ways {
        let (_client, reply, (_, rctx), deadline) = with_growing_time(|time| {
            let (server, client): Ends = ump::channel();
            let deadline = Instant::now() + time;
            let request = client.request(7).deadline(deadline);
            let reply = request.submit().wait().ok()?;
            let job = server.try_pop().unwrap()?;
            Some((client, reply, job, deadline))
        });
        pass(deadline);
        assert!(matches!(way(reply), Err(RequestError::TimeoutTaken)));
        assert_eq!(rctx.answer(Ok(8)), Err(Ok(8)));
    }
}

#[test]
fn a_request_dropped_before_its_deadline_is_cancelled() {
    let (server, client): Ends = ump::channel();
    let counter = CountingWaker::new();
    let mut future = client.request(7).timeout(LONG).into_future();
    assert!(poll_with(&mut future, &counter).is_pending());
    drop(future);
    // Neither the queue nor the timer keeps the waker.
    assert_eq!(counter.wakers(), 0);
    assert_eq!(counter.wakes(), 0);
    let expected = stats_with(|stats| (stats.accepted, stats.cancelled_queued) = (1, 1));
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
