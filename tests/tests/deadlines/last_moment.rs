//! Events shortly before and after a deadline.

use super::*;

/// The reply comes in time, and the caller polls after the deadline.
#[test]
fn a_reply_before_the_deadline_is_not_lost() {
    let ways: [fn(Reply) -> Result<u32, RequestError<u32, ()>>; 4] = [
        |reply| reply.wait(),
        |reply| block_on(reply),
        |reply| reply.try_get().unwrap(),
        |reply| reply.wait_timeout(Duration::ZERO).unwrap(),
    ];
    for way in ways {
        let ((_server, _client, reply), deadline) = before_deadline(|deadline| {
            let (server, client): Ends = ump::channel();
            let reply = client.request(7).deadline(deadline).submit().wait();
            if let Ok(Some((n, rctx))) = server.try_pop() {
                let _ = rctx.reply(n + 1);
            }
            (server, client, reply)
        });
        pass(deadline);
        assert_eq!(way(reply.unwrap()).unwrap(), 8);
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
