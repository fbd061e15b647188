//! Races of two threads, one of which cancels, times out or ends.

use super::*;

#[test]
fn a_caller_leaving_during_a_reply_loses_nothing() {
    must_end(|| {
        let (server, client) = channel::<u32, Counted, ()>();
        let replies = DropCounter::default();
        let [mut delivered, mut handed_back] = [0, 0];
        race(
            ROUNDS,
            || {
                let reply = client.req_async(1).unwrap();
                let (_, rctx) = server.wait().unwrap();
                ((rctx, replies.value()), reply)
            },
            |(rctx, value)| rctx.answer(Ok(value)),
            drop,
            |answer, ()| match answer {
                Ok(()) => delivered += 1,
                Err(Ok(value)) => {
                    assert_eq!(replies.created() - replies.dropped(), 1);
                    drop(value);
                    handed_back += 1;
                }
                Err(Err(())) => unreachable!("it was a reply"),
            },
        );
        println!("{delivered} delivered, {handed_back} handed back");
        let stats = client.stats();
        assert_eq!(
            (stats.replied, stats.cancelled_taken),
            (delivered, handed_back)
        );
        assert_eq!(delivered + handed_back, ROUNDS as u64);
        assert_eq!(replies.dropped(), replies.created());
        assert_quiet(stats);
    });
}

#[test]
fn a_polling_caller_leaving_during_a_reply_ends_once() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        race(
            ROUNDS,
            || {
                let mut reply = client.req_async(1).unwrap();
                // A registered waker makes both ends take the slow path.
                let counter = CountingWaker::new();
                assert!(poll_with(&mut reply, &counter).is_pending());
                let (_, rctx) = server.wait().unwrap();
                (rctx, (reply, counter))
            },
            |rctx| rctx.answer(Ok(7)),
            |(reply, counter)| {
                let got = reply.try_get().map_err(drop).map(Result::unwrap);
                (got, counter)
            },
            |answer, (got, counter)| {
                match got {
                    Ok(value) => assert_eq!((answer, value), (Ok(()), 7)),
                    // The caller left before or after the reply.
                    Err(()) => assert!(matches!(answer, Ok(()) | Err(Ok(7)))),
                }
                assert_eq!(counter.wakers(), 0);
                assert!(counter.wakes() <= 1);
            },
        );
        assert_quiet(client.stats());
    });
}

#[test]
fn a_caller_that_leaves_wakes_its_watching_handler() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        race(
            ROUNDS,
            || {
                let reply = client.req_async(1).unwrap();
                let (_, rctx) = server.wait().unwrap();
                (rctx, reply)
            },
            |mut rctx| {
                let counter = CountingWaker::new();
                let mut cancelled = rctx.cancelled();
                if poll_with(&mut cancelled, &counter).is_pending() {
                    eventually(|| counter.wakes() == 1);
                    assert!(poll_with(&mut cancelled, &counter).is_ready());
                }
            },
            drop,
            |(), ()| {},
        );
        assert_eq!(client.stats().cancelled_taken, ROUNDS as u64);
        assert_quiet(client.stats());
    });
}

#[test]
fn a_caller_leaving_during_a_take_executes_or_revokes() {
    must_end(|| {
        let (server, client) = channel::<Counted, u32, ()>();
        let messages = DropCounter::default();
        let mut executed = 0;
        race(
            ROUNDS,
            || (client.req_async(messages.value()).unwrap(), ()),
            drop,
            |()| match server.try_pop().unwrap() {
                Some((message, rctx)) => {
                    drop(message);
                    let _ = rctx.reply(1);
                    true
                }
                None => false,
            },
            |(), taken| {
                executed += u64::from(taken);
                assert_eq!(messages.dropped(), messages.created());
            },
        );
        println!("{executed} of {ROUNDS} executed");
        let stats = client.stats();
        assert_eq!(stats.cancelled_queued, ROUNDS as u64 - executed);
        assert_eq!(stats.replied + stats.cancelled_taken, executed);
        assert_quiet(stats);
    });
}

#[test]
fn callers_leaving_during_a_batch_execute_or_revoke() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut executed = 0;
        race(
            ROUNDS / 4,
            || {
                let replies: Vec<_> = (0..8).map(|n| client.req_async(n).unwrap()).collect();
                (replies, ())
            },
            |replies| {
                // From the middle outwards.
                let mut replies: Vec<_> = replies.into_iter().map(Some).collect();
                for place in [4, 3, 5, 2, 6, 1, 7, 0] {
                    replies[place] = None;
                }
            },
            |()| {
                let mut batch = Vec::new();
                // Without requests the server would block for ever, so there is a post.
                client.post(8).wait().unwrap();
                let mut taken = 0;
                while !batch.iter().any(|(n, _)| *n == 8) {
                    taken += server.wait_many(&mut batch, 4).unwrap();
                }
                assert!(batch.is_sorted_by_key(|(n, _)| *n));
                taken - 1
            },
            |(), taken| executed += taken as u64,
        );
        println!("{executed} executed");
        let stats = client.stats();
        assert_eq!(stats.cancelled_taken + stats.no_reply, executed);
        assert_eq!(stats.cancelled_queued, ROUNDS as u64 / 4 * 8 - executed);
        assert_quiet(stats);
    });
}

#[test]
fn a_caller_and_a_server_leaving_at_once_end_it_once() {
    must_end(|| {
        let messages = DropCounter::default();
        race(
            ROUNDS / 4,
            || {
                let (server, client) = channel::<Counted, u32, ()>();
                let reply = client.req_async(messages.value()).unwrap();
                let other = client.req_async(messages.value()).unwrap();
                ((reply, other, client), server)
            },
            |(reply, other, client)| {
                drop(reply);
                assert_eq!(other.wait(), Err(Error::ServerDisappeared));
                client
            },
            drop,
            |client, ()| {
                let stats = client.stats();
                assert_eq!(stats.cancelled_queued + stats.server_disappeared, 2);
                assert_quiet(stats);
                assert_eq!(messages.dropped(), messages.created());
            },
        );
    });
}

#[test]
fn a_request_during_the_end_of_the_server_ends_once() {
    must_end(|| {
        let messages = DropCounter::default();
        race(
            ROUNDS / 4,
            || {
                let (server, client) = channel::<Counted, u32, ()>();
                ((client, messages.value(), messages.value()), server)
            },
            |(client, blocking, awaited)| {
                assert_eq!(client.req(blocking), Err(Error::ServerDisappeared));
                assert_eq!(
                    block_on(client.areq(awaited)),
                    Err(Error::ServerDisappeared)
                );
                client
            },
            drop,
            |client, ()| {
                let stats = client.stats();
                assert_eq!(stats.refused + stats.server_disappeared, 2);
                assert_quiet(stats);
                assert_eq!(messages.dropped(), messages.created());
            },
        );
    });
}

#[test]
fn a_receiver_sees_the_last_client_leave_in_a_race() {
    must_end(|| {
        race(
            ROUNDS / 4,
            || {
                let (server, client) = channel::<u32, u32, ()>();
                let other = client.clone();
                (client, (server, other))
            },
            |client| {
                client.post(1).wait().unwrap();
            },
            |(server, other)| {
                drop(other);
                assert_eq!(server.wait().unwrap().0, 1);
                assert_eq!(server.wait().unwrap_err(), Error::ClientsDisappeared);
            },
            |(), ()| {},
        );
    });
}

#[test]
fn an_upgrade_races_with_the_end_of_the_last_client() {
    must_end(|| {
        race(
            ROUNDS / 4,
            || {
                let (server, client) = channel::<u32, u32, ()>();
                let weak = client.weak();
                ((client, server), weak)
            },
            |(client, server)| {
                drop(client);
                server
            },
            |weak| weak.upgrade(),
            |server, revived| match revived {
                Some(client) => {
                    assert!(server.try_pop().unwrap().is_none());
                    client.post(1).wait().unwrap();
                    assert_eq!(server.wait().unwrap().0, 1);
                }
                None => assert_eq!(server.wait().unwrap_err(), Error::ClientsDisappeared),
            },
        );
    });
}

/// A deadline races with a server that takes: the request is executed or returned.
fn deadline_and_take(
    ask: impl Fn(&Client<Counted, u32, ()>, Counted, Instant) -> Result<u32, RequestError<Counted, ()>>,
) {
    let (server, client) = channel::<Counted, u32, ()>();
    let messages = DropCounter::default();
    let [mut replied, mut back, mut late] = [0, 0, 0];
    let mut round = 0;
    race(
        2_000,
        || {
            round += 1;
            // In the past, now, and in the near future.
            let ahead = Duration::from_micros(round % 40 * 2);
            let work = Duration::from_micros(round / 40 % 16 * 4);
            ((messages.value(), ahead), work)
        },
        |(message, ahead)| ask(&client, message, Instant::now() + ahead),
        |work| {
            let until = Instant::now() + Duration::from_micros(100);
            let job = server.wait_deadline(until).unwrap();
            job.map(|(message, rctx)| {
                drop(message);
                let done = Instant::now() + work;
                while Instant::now() < done {}
                rctx.answer(Ok(1)).is_ok()
            })
        },
        |outcome, executed| {
            match outcome {
                Ok(1) => {
                    assert_eq!(executed, Some(true));
                    replied += 1;
                }
                Err(error) => {
                    let handed_back = matches!(error, RequestError::TimeoutQueued(_));
                    if handed_back {
                        assert_eq!(error.executed(), Executed::No);
                        assert_eq!(executed, None, "executed and handed back");
                        back += 1;
                    } else {
                        assert!(matches!(error, RequestError::TimeoutTaken), "{error:?}");
                        assert_eq!(executed, Some(false), "answered and timed out");
                        late += 1;
                    }
                    assert_eq!(
                        messages.created() - messages.dropped(),
                        usize::from(handed_back)
                    );
                }
                Ok(other) => panic!("{other}"),
            }
            assert_eq!(messages.dropped(), messages.created());
        },
    );
    println!("{replied} replied, {back} handed back, {late} too late");
    let stats = client.stats();
    assert_eq!((stats.replied, stats.timeout_taken), (replied, late));
    assert_eq!(stats.timeout_queued + stats.refused, back);
    assert_quiet(stats);
}

#[test]
fn a_blocking_deadline_during_a_take_ends_once() {
    must_end(|| {
        deadline_and_take(|client, message, at| client.request(message).deadline(at).wait());
    });
}

#[test]
fn an_awaited_deadline_during_a_take_ends_once() {
    must_end(|| {
        deadline_and_take(|client, message, at| block_on(client.request(message).deadline(at)));
    });
}

#[test]
fn a_submitted_deadline_during_a_take_ends_once() {
    must_end(|| {
        deadline_and_take(|client, message, at| {
            let reply = client.request(message).deadline(at).submit().wait()?;
            reply.wait()
        });
    });
}

#[test]
fn an_awaited_reply_deadline_during_a_take_ends_once() {
    must_end(|| {
        deadline_and_take(|client, message, at| {
            let reply = client.request(message).deadline(at).submit().wait()?;
            block_on(reply)
        });
    });
}

#[test]
fn a_gathered_deadline_during_a_take_ends_once() {
    must_end(|| {
        deadline_and_take(|client, message, at| {
            let mut gather = ump::Gather::new();
            gather.push((), client.request(message).deadline(at).submit().wait()?);
            gather.wait().expect("one outcome").1
        });
    });
}

#[test]
fn a_deadline_as_room_appears_sends_or_returns() {
    must_end(|| {
        let messages = DropCounter::default();
        let mut round = 0;
        race(
            2_000,
            || {
                round += 1;
                let (server, client) = bounded::<Counted, u32, ()>(1).unwrap();
                client.post(messages.value()).wait().unwrap();
                let ahead = Duration::from_micros(round % 40 * 2);
                ((client, messages.value(), ahead), server)
            },
            |(client, message, ahead)| {
                let post = client.post(message).timeout(ahead);
                let sent = if ahead.as_micros() % 4 == 0 {
                    post.wait()
                } else {
                    block_on(post)
                };
                (sent.is_ok(), client)
            },
            |server| {
                drop(server.try_pop().unwrap().expect("the first"));
                server
            },
            |(sent, client), server| {
                let stats = client.stats();
                assert_eq!(
                    (stats.accepted, stats.refused),
                    if sent { (2, 0) } else { (1, 1) }
                );
                while server.try_pop().unwrap().is_some() {}
                assert_quiet(client.stats());
                // The wait queue is empty, and there is room.
                client.post(messages.value()).if_room().wait().unwrap();
            },
        );
        assert_eq!(messages.dropped(), messages.created());
    });
}

#[test]
fn one_of_two_racing_receivers_gets_the_request() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        race(
            ROUNDS,
            || (client.req_async(1).unwrap(), ()),
            |reply| {
                let taken = server
                    .try_pop()
                    .unwrap()
                    .map(|(_, rctx)| rctx.reply(1).unwrap());
                (taken, reply)
            },
            |()| {
                server
                    .try_pop()
                    .unwrap()
                    .map(|(_, rctx)| rctx.reply(2).unwrap())
            },
            |(first, reply), second| {
                assert!(first.is_some() != second.is_some());
                let expected = if first.is_some() { 1 } else { 2 };
                assert_eq!(reply.try_get().expect("answered"), Ok(expected));
            },
        );
    });
}
