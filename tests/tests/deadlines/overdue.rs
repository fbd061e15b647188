//! Requests that are overdue before their callers have noticed it.

use super::*;

// ---- overdue before the caller has noticed

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
    // The server has completed the overdue request.
    assert!(reply.is_ready());
    let expected = stats_with(|stats| {
        (stats.accepted, stats.timeout_queued, stats.replied) = (3, 2, 1);
    });
    assert_eq!(server.stats(), expected);
    assert!(matches!(reply.wait(), Err(RequestError::TimeoutQueued(7))));
    assert_eq!(server.stats(), expected);
}

fn an_unpolled_overdue_future_is_not_executed<T: Take>() {
    with_growing_time(|time| {
        let (server, client): Ends = ump::channel();
        let counter = CountingWaker::new();
        let deadline = Instant::now() + time;
        let mut future = client.request(7).deadline(deadline).into_future();
        if poll_with(&mut future, &counter).is_ready() {
            return None;
        }
        pass(deadline);
        client.post(9).wait().unwrap();
        assert_eq!(T::take(&server).unwrap().0, 9);
        assert!(counter.wakes() >= 1);
        assert!(matches!(
            poll_once(&mut future),
            Poll::Ready(Err(RequestError::TimeoutQueued(7)))
        ));
        Some(())
    });
}

fn overdue_requests_in_any_number_are_passed_over<T: Take>() {
    const EACH: u32 = 100;
    let drop_counter = DropCounter::default();
    let ((server, client, replies, posts), deadline) = before_deadline(|deadline| {
        let (server, client) = ump::channel::<(u32, Counted), (), ()>();
        let mut replies = Vec::new();
        let mut posts = Vec::new();
        for n in 0..EACH {
            let message = (n, drop_counter.value());
            replies.push(client.request(message).deadline(deadline).submit().wait());
            // One post in ten is not overdue.
            let message = (EACH + n, drop_counter.value());
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
    let born = drop_counter.created() - drop_counter.dropped();
    drop(client);
    let mut taken = Vec::new();
    while let Some(((n, _), _)) = T::take(&server) {
        taken.push(n);
    }
    let expected: Vec<_> = (0..EACH).step_by(10).map(|n| EACH + n).collect();
    assert_eq!(taken, expected);
    // All posts are dropped, and the requests are returned.
    assert_eq!(
        drop_counter.created() - drop_counter.dropped(),
        born - EACH as usize
    );
    for (n, reply) in replies.into_iter().enumerate() {
        match reply.unwrap().wait() {
            Err(RequestError::TimeoutQueued((back, _))) => assert_eq!(back as usize, n),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(drop_counter.created(), drop_counter.dropped());
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

/// A batch passes over any number of overdue requests.
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
    let counter = CountingWaker::new();
    let mut next = client.post(8).into_future();
    assert!(poll_with(&mut next, &counter).is_pending());
    pass(deadline);
    assert!(server.try_pop().unwrap().is_none());
    assert_eq!(counter.wakes(), 1);
    assert!(matches!(poll_once(&mut next), Poll::Ready(Ok(()))));
    assert_eq!(server.try_pop().unwrap().unwrap().0, 8);
    assert!(reply.unwrap().is_ready());
}
