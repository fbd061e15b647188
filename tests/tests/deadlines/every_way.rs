//! A deadline has one meaning for all ways to wait.

use super::*;

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
