//! Models of the channel. Each asserts that every request ends exactly once. Loom itself finds a
//! thread that sleeps for ever.
//!
//! The guards in brackets are the invariants at the top of `ump/src/slot/mod.rs` and the rules of
//! waking in `ump/src/channel/mod.rs`.
#![cfg(loom)]

use std::{
    future::IntoFuture,
    task::Poll,
    time::{Duration, Instant},
};

use loom::{future::block_on, sync::Arc, thread};
use loom_tests::{
    Census, answer, assert_settled, block_on::quietly, explore, explore_large, explore_with_less,
    poll_once, serve, spawn_server,
};
use ump::{Client, Error, RequestError, channel};

/// Returns a deadline that passes when the model says so: loom's clock does not move.
fn some_day() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// [slot 1, 2, 3, 5; a request that enters wakes a receiver]
#[test]
fn a_blocking_request_is_answered() {
    explore(|| {
        let (server, client) = channel();
        let server = spawn_server(server);
        assert_eq!(client.req(1), Ok(2));
        let stats = client.stats();
        drop(client);
        assert_eq!(server.join().unwrap().0, [1]);
        assert_settled(stats);
    });
}

#[test]
fn an_async_request_is_answered_by_a_blocking_server() {
    explore(|| {
        let (server, client) = channel();
        let server = spawn_server(server);
        assert_eq!(block_on(client.areq(1)), Ok(2));
        drop(client);
        assert_eq!(server.join().unwrap().0, [1]);
    });
}

#[test]
fn a_blocking_request_is_answered_by_an_async_server() {
    explore(|| {
        let (server, client) = channel();
        let server = thread::spawn(move || {
            block_on(async {
                while let Ok((n, rctx)) = server.async_wait().await {
                    answer(n, rctx);
                }
            });
        });
        assert_eq!(client.req(1), Ok(2));
        drop(client);
        server.join().unwrap();
    });
}

#[test]
fn requests_of_two_blocking_clients_are_both_answered() {
    explore_large(|| {
        let (server, client) = channel();
        let other = client.clone();
        let other = thread::spawn(move || assert_eq!(other.req(10), Ok(11)));
        let server = spawn_server(server);
        assert_eq!(client.req(1), Ok(2));
        other.join().unwrap();
        let stats = client.stats();
        drop(client);
        let (mut taken, _server) = server.join().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [1, 10]);
        assert_settled(stats);
    });
}

#[test]
fn requests_of_one_client_are_taken_in_order() {
    explore(|| {
        let (server, client) = channel();
        let server = spawn_server(server);
        client.post(1).wait().unwrap();
        assert_eq!(client.req(2), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

/// [slot 5: ABANDONED against DONE]
#[test]
fn a_reply_that_is_dropped_is_cancelled_or_too_late() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        let reply = client.req_async(census.born()).unwrap();
        let handler = {
            let census = census.clone();
            thread::spawn(move || {
                if let Ok(Some((message, rctx))) = server.try_pop() {
                    drop(message);
                    let _ = rctx.answer(Ok(census.born()));
                }
                server
            })
        };
        drop(reply);
        let server = handler.join().unwrap();
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(
            stats.replied + stats.cancelled_queued + stats.cancelled_taken,
            1
        );
        assert_eq!(census.alive(), 0);
    });
}

/// [slot 1: revocation against taking]
#[test]
fn a_blocking_request_that_times_out_is_executed_or_comes_back() {
    explore(|| {
        let (server, client) = channel();
        let server = thread::spawn(move || {
            let taken = server.try_pop().ok().flatten();
            let executed = taken.is_some();
            if let Some((n, rctx)) = taken {
                answer(n, rctx);
            }
            (executed, server)
        });
        let outcome = client.request(1).deadline(some_day()).wait();
        let (executed, server) = server.join().unwrap();
        match outcome {
            Ok(reply) => assert!(executed && reply == 2),
            Err(RequestError::TimeoutTaken) => assert!(executed),
            Err(RequestError::TimeoutQueued(message)) => assert!(!executed && message == 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_settled(server.stats());
    });
}

#[test]
fn an_async_request_that_times_out_is_executed_or_comes_back() {
    explore(|| {
        let (server, client) = channel();
        let server = thread::spawn(move || {
            let taken = server.try_pop().ok().flatten();
            let executed = taken.is_some();
            if let Some((n, rctx)) = taken {
                answer(n, rctx);
            }
            (executed, server)
        });
        let outcome = block_on(async { client.request(1).deadline(some_day()).await });
        let (executed, server) = server.join().unwrap();
        match outcome {
            Ok(reply) => assert!(executed && reply == 2),
            Err(RequestError::TimeoutTaken) => assert!(executed),
            Err(RequestError::TimeoutQueued(message)) => assert!(!executed && message == 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_settled(server.stats());
    });
}

/// [slot 3: a waiter exchanged while the outcome is published]
#[test]
fn a_reply_polled_before_and_after_it_comes_is_not_lost() {
    explore(|| {
        let (server, client) = channel();
        let mut reply = client.req_async(1).unwrap();
        let handler = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        });
        if poll_once(&mut reply).is_pending() {
            // This polls with another waker, which must be woken.
            assert_eq!(block_on(reply), Ok(2));
        }
        handler.join().unwrap();
    });
}

/// [slot 3: the waker of a task is exchanged for a thread while the outcome is published]
#[test]
fn a_polled_reply_that_is_then_waited_for_is_not_lost() {
    explore(|| {
        let (server, client) = channel();
        let mut reply = client.req_async(1).unwrap();
        let polled = poll_once(&mut reply);
        assert!(polled.is_pending(), "nobody serves");
        let handler = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        });
        assert_eq!(reply.wait(), Ok(2));
        handler.join().unwrap();
    });
}

/// [slot 3, 5: the handler's waiter]
#[test]
fn a_handler_sees_that_its_caller_has_left() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            block_on(rctx.cancelled());
            assert_eq!(rctx.answer(Ok(2)), Err(Ok(2)));
        });
        drop(reply);
        handler.join().unwrap();
        assert_eq!(server.stats().cancelled_taken, 1);
    });
}

#[test]
fn a_server_that_goes_ends_what_is_queued() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = thread::spawn(move || drop(server));
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        server.join().unwrap();
        assert_settled(client.stats());
    });
}

#[test]
fn a_post_is_handled_or_dropped_with_the_server() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        let server = thread::spawn(move || {
            if let Ok(Some((_, rctx))) = server.try_pop() {
                rctx.reply(()).unwrap();
            }
        });
        let _ = client.post(census.born()).wait();
        server.join().unwrap();
        assert_settled(client.stats());
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn the_last_client_wakes_a_server_that_waits() {
    explore(|| {
        let (server, client) = channel();
        let other = client.clone();
        let other = thread::spawn(move || drop(other));
        let server = spawn_server(server);
        drop(client);
        assert!(server.join().unwrap().0.is_empty());
        other.join().unwrap();
    });
}

/// The thread that gets its outcome last drops the client. Then both slots are back in the pool,
/// and the server sees that the last client has left.
#[test]
fn requests_that_own_their_client_release_it_with_the_outcome() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        server.close();
        let client = Arc::new(client);
        let ask = |client, n| {
            let mut asking = Client::request_owned(client, n).into_future();
            let outcome = poll_once(&mut asking);
            assert!(
                matches!(outcome, Poll::Ready(Err(RequestError::ServerDisappeared(m))) if m == n)
            );
        };
        let other = Arc::clone(&client);
        let asking = thread::spawn(move || ask(other, 1));
        ask(client, 2);
        asking.join().unwrap();
        assert_settled(server.stats());
    });
}

/// The dropped request is the last owner of the client while a handler answers it.
#[test]
fn a_request_that_owns_its_client_and_is_dropped_is_cancelled_or_too_late() {
    explore(|| {
        let (server, client) = channel();
        let server = spawn_server(server);
        let mut asking = Client::request_owned(Arc::new(client), 1).into_future();
        let _ = poll_once(&mut asking);
        drop(asking);
        let (taken, server) = server.join().unwrap();
        assert!(taken.len() <= 1);
        assert_settled(server.stats());
    });
}

#[test]
fn a_weak_client_never_reopens_the_channel() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let weak = client.weak();
        let last = thread::spawn(move || drop(client));
        let upgraded = weak.upgrade();
        let revived = upgraded.is_some();
        last.join().unwrap();
        assert_eq!(server.try_pop().is_ok(), revived);
        drop(upgraded);
        assert!(weak.upgrade().is_none());
        assert!(server.wait().is_err());
    });
}

/// [a task that yields has not registered its waker and need not pass a wake-up on; in a model only
/// the second of two waits yields]
#[test]
fn a_receiver_that_yields_and_leaves_takes_no_wake_up() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        assert!(poll_once(&mut Box::pin(server.async_wait())).is_pending());
        let server = loom::sync::Arc::new(server);
        let mut leaving = Box::pin(server.async_wait());
        assert!(poll_once(&mut leaving).is_pending());
        let staying = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = block_on(server.async_wait()).unwrap();
                answer(n, rctx);
            })
        };
        let reply = client.req_async(1).unwrap();
        drop(leaving);
        assert_eq!(reply.wait(), Ok(2));
        staying.join().unwrap();
    });
}

/// [a caller that yields has not registered its waker either, and finds the reply]
#[test]
fn a_caller_that_yields_finds_the_reply() {
    explore_large(|| {
        let (server, client) = channel();
        let server = spawn_server(server);
        for n in 0..2 {
            assert_eq!(quietly(client.areq(n)), Ok(n + 1));
        }
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [0, 1]);
        assert_settled(server.stats());
    });
}

/// [a woken receiver that leaves without taking wakes the next] Explored with two preemptions less:
/// with one less it takes many minutes.
#[test]
fn a_server_that_stops_waiting_passes_its_wake_up_on() {
    explore_with_less(2, || {
        let (server, client) = channel::<u32, u32, ()>();
        let server = loom::sync::Arc::new(server);
        let waiting = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = server.wait().unwrap();
                answer(n, rctx);
            })
        };
        let leaving = {
            let server = server.clone();
            thread::spawn(move || {
                let mut requests = server.stream();
                let next = futures_next(&mut requests);
                drop(requests);
                if let Some((n, rctx)) = next {
                    // This receiver was quicker. The other one waits for a second request.
                    answer(n, rctx);
                    return true;
                }
                false
            })
        };
        assert_eq!(client.req(1), Ok(2));
        if leaving.join().unwrap() {
            assert_eq!(client.req(2), Ok(3));
        }
        waiting.join().unwrap();
    });
}

/// Polls the stream once.
fn futures_next(
    requests: &mut ump::Requests<'_, u32, u32, ()>,
) -> Option<(u32, ump::ReplyContext<u32, ()>)> {
    use std::task::{Context, Poll, Waker};

    match requests.poll_wait(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(job)) => Some(job),
        _ => None,
    }
}

#[test]
fn a_full_queue_lets_each_sender_in_when_there_is_room() {
    explore(|| {
        let (server, client) = ump::bounded(1).unwrap();
        client.post(1).wait().unwrap();
        let other = client.clone();
        let other = thread::spawn(move || other.post(2).wait().unwrap());
        let server = thread::spawn(move || (serve(&server), server));
        other.join().unwrap();
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

#[test]
fn a_sender_that_gives_up_passes_the_room_on() {
    explore(|| {
        let (server, client) = ump::bounded::<u32, u32, ()>(1).unwrap();
        client.post(1).wait().unwrap();
        let waiting = client.clone();
        let waiting = thread::spawn(move || waiting.post(2).wait().unwrap());
        let taking = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
            server
        });
        let mut leaving = Box::pin(async { client.post(3).await });
        let let_in = poll_once(&mut leaving).is_ready();
        drop(leaving);
        let server = taking.join().unwrap();
        if let_in {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        }
        waiting.join().unwrap();
        assert_eq!(server.len(), 1);
    });
}

/// [slot 4: a batch is linked outside the lock while its callers try to withdraw]
#[test]
fn a_batch_is_answered_while_its_callers_leave() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, u32, ()>();
        let first = client.req_async(census.born()).unwrap();
        let second = client.req_async(census.born()).unwrap();
        let server = thread::spawn(move || {
            let mut batch = Vec::new();
            let taken = server.wait_many(&mut batch, 2).unwrap_or(0);
            assert_eq!(taken, batch.len());
            for (message, rctx) in batch {
                drop(message);
                let _ = rctx.reply(0);
            }
            server
        });
        drop(second);
        assert_eq!(first.wait(), Ok(0));
        let server = server.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(server.stats().accepted, 2);
        assert_eq!(census.alive(), 0);
    });
}

/// [a request that enters wakes a receiver: one each]
#[test]
fn two_waiting_servers_get_one_request_each() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = loom::sync::Arc::new(server);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || {
                    let (n, rctx) = server.wait().unwrap();
                    answer(n, rctx);
                })
            })
            .collect();
        client.post(1).wait().unwrap();
        client.post(2).wait().unwrap();
        for server in waiting {
            server.join().unwrap();
        }
        assert_settled(server.stats());
    });
}

/// [both lanes]
#[test]
fn an_urgent_request_overtakes_and_both_are_answered() {
    explore(|| {
        let (server, client) = channel();
        let urgent = client.clone();
        let urgent = thread::spawn(move || {
            assert_eq!(urgent.request(10).urgent().wait().unwrap(), 11);
        });
        client.post(1).wait().unwrap();
        let server = spawn_server(server);
        urgent.join().unwrap();
        drop(client);
        let (mut taken, server) = server.join().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [1, 10]);
        assert_settled(server.stats());
    });
}

/// One waiter gathers replies from two threads.
#[test]
fn gathered_replies_all_come() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut replies = ump::Gather::new();
        replies.push('a', client.req_async(1).unwrap());
        replies.push('b', client.req_async(2).unwrap());
        let (_, first) = server.try_pop().unwrap().unwrap();
        let (_, second) = server.try_pop().unwrap().unwrap();
        let other = thread::spawn(move || first.reply(10).unwrap());
        second.reply(20).unwrap();
        let mut outcomes = [replies.wait(), replies.wait()];
        outcomes.sort_unstable_by_key(|outcome| outcome.map(|(key, _)| key));
        assert_eq!(outcomes, [Some(('a', Ok(10))), Some(('b', Ok(20)))]);
        assert_eq!(replies.wait(), None);
        other.join().unwrap();
    });
}
