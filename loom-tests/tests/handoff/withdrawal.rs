//! A caller leaves its request, by a deadline or by a drop.

use std::{
    future::IntoFuture,
    time::{Duration, Instant},
};

use loom::thread;
use loom_tests::{
    Census, NumberServer, answer, assert_settled, explore, poll_once, some_day, spawn_server, warm,
    warm_up_free,
};
use ump::{RequestError, channel};

/// [HANDED: taken back against answered]
#[test]
fn a_handed_over_request_that_times_out_is_executed_or_comes_back() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || {
            let taken = server.wait_deadline(some_day()).unwrap();
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
        assert_eq!(server.stats().accepted, 2);
    });
}

/// [PARITY: a request that was taken back does not count]
#[test]
fn a_request_after_a_withdrawn_one_is_answered() {
    explore(|| {
        let (server, client) = warm();
        let mut left = client.request(1).into_future();
        assert!(poll_once(&mut left).is_pending());
        drop(left);
        let server = spawn_server(server);
        assert_eq!(client.req(2), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [2]);
        assert_settled(server.stats());
        assert_eq!(server.stats().cancelled_queued, 1);
    });
}

/// Message and reply are dropped once, whichever end is quicker.
#[test]
fn a_dropped_reply_of_a_handed_over_request_is_cancelled_or_too_late() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        warm_up_free(&server, &client, census.born(), |message| message);
        let reply = client.req_async(census.born()).unwrap();
        let handler = thread::spawn(move || {
            if let Ok(Some((message, rctx))) = server.wait_deadline(some_day()) {
                let _ = rctx.answer(Ok(message));
            }
            server
        });
        drop(reply);
        let server = handler.join().unwrap();
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 2);
        assert_eq!(
            stats.replied + stats.cancelled_queued + stats.cancelled_taken,
            2
        );
        assert_eq!(census.alive(), 0);
        drop(client);
    });
}

/// [ABANDONED, then ORPHAN by the handler, against disarming]
#[test]
fn a_caller_and_its_client_leave_a_taken_request() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        warm_up_free(&server, &client, census.born(), |message| message);
        let reply = client.req_async(census.born()).unwrap();
        let (message, rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            let _ = rctx.answer(Ok(message));
        });
        let client = thread::spawn(move || {
            drop(client);
            drop(reply);
        });
        assert!(server.wait().is_err());
        handler.join().unwrap();
        client.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(census.alive(), 0);
    });
}

/// [arming against withdrawal: the slot of a taken request is armed while its caller leaves]
#[test]
fn a_caller_leaves_while_its_slot_is_being_armed() {
    explore(|| {
        let (server, client): (NumberServer, _) = channel();
        let mut left = client.request(1).into_future();
        assert!(poll_once(&mut left).is_pending());
        let server = thread::spawn(move || {
            let first = server.wait().unwrap();
            answer(first.0, first.1);
            server
        });
        drop(left);
        assert_eq!(client.post(2).wait().map_err(drop), Ok(()));
        let server = server.join().unwrap();
        let rest = server.try_pop().unwrap();
        if let Some((n, rctx)) = rest {
            answer(n, rctx);
        }
        assert_settled(server.stats());
        assert_eq!(server.stats().accepted, 2);
    });
}

/// [ABANDONED while ARMED: the handler returns the slot to the pool, and the next request is handed
/// over in it]
#[test]
fn a_caller_leaves_a_taken_request_and_sends_the_next() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        warm_up_free(&server, &client, census.born(), |message| message);
        let left = client.req_async(census.born()).unwrap();
        let (message, rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            let _ = rctx.answer(Ok(message));
            let (message, rctx) = server.wait().unwrap();
            rctx.reply(message).unwrap();
            server
        });
        drop(left);
        let reply = client.req_async(census.born()).unwrap();
        let server = handler.join().unwrap();
        drop(reply.wait().unwrap());
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 3);
        assert_eq!(census.alive(), 0);
    });
}

/// The caller leaves while the receiver finds that the direct request has expired.
/// [HANDED, taken without the channel's lock]
///
/// Here the deadline does pass, before the exploration starts.
#[test]
fn an_overdue_handed_over_request_is_refused_or_withdrawn() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        warm_up_free(&server, &client, census.born(), drop);
        let deadline = Instant::now() + Duration::from_millis(5);
        let request = client.request(census.born()).deadline(deadline);
        let reply = request.submit().wait().unwrap();
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let caller = thread::spawn(move || drop(reply));
        assert!(server.wait_deadline(some_day()).unwrap().is_none());
        caller.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(server.stats().accepted, 2);
        assert_eq!(census.alive(), 0);
    });
}

/// [HANDED: taken back while the receiver looks, with another direct request after it: PARITY]
#[test]
fn a_handed_over_request_is_withdrawn_while_the_receiver_looks() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let left = client.req_async(1).unwrap();
        let server = spawn_server(server);
        drop(left);
        assert_eq!(client.req_async(2).unwrap().wait(), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken.last(), Some(&2));
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 3);
        assert_eq!(stats.cancelled_queued == 1, taken == [2], "{stats:?}");
    });
}
