//! Models of the direct handoff: a client that was just served leaves its next request in its slot,
//! where the receiver looks.
//!
//! Most models begin with a slot that is already armed ([`warm`]), so that few steps are left to
//! explore. The guards in brackets are the invariants at the top of `ump/src/channel/handoff.rs`
//! and the bits in the table of `ump/src/slot/mod.rs`.
#![cfg(loom)]

use std::{
    future::IntoFuture,
    time::{Duration, Instant},
};

use loom::{future::block_on, sync::Arc, thread};
use loom_tests::{
    Census, NumberServer, answer, assert_settled, explore, explore_large, poll_once, serve,
    some_day, spawn_server, spawn_server_for, warm, warm_up, warm_up_free,
};
use ump::{Error, RequestError, channel};

/// A receiver that polls (an event loop) sleeps as well. [2]
#[test]
fn a_handed_over_request_is_not_missed_by_a_polling_receiver() {
    explore(|| {
        let (server, client) = warm();
        let caller = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        let (n, rctx) = block_on(std::future::poll_fn(|cx| server.poll_wait(cx))).unwrap();
        answer(n, rctx);
        caller.join().unwrap();
        assert_settled(server.stats());
    });
}

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

/// [ORPHAN against disarming]
#[test]
fn a_client_goes_while_its_slot_is_armed() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
        client.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [ORPHAN against disarming]
#[test]
fn both_ends_go_while_a_slot_is_armed() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        drop(server);
        client.join().unwrap();
    });
}

/// [ORPHAN: the handoff frees the slot when it moves to another one]
#[test]
fn an_orphaned_slot_makes_room_for_another_client() {
    explore(|| {
        let (server, client) = warm();
        let other = client.clone();
        let client = thread::spawn(move || drop(client));
        let server = spawn_server(server);
        assert_eq!(other.req(1), Ok(2));
        drop(other);
        client.join().unwrap();
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

/// [HANDED against disarming]
#[test]
fn a_server_that_goes_ends_a_handed_over_request() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || drop(server));
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        server.join().unwrap();
        let stats = client.stats();
        assert_settled(stats);
        assert_eq!(stats.server_disappeared + stats.refused, 1);
    });
}

/// [slot 1: the message of a direct request comes back]
#[test]
fn a_server_that_goes_gives_back_a_handed_over_message() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        warm_up_free(&server, &client, census.born(), drop);
        let reply = client.request(census.born()).submit().wait().unwrap();
        let server = thread::spawn(move || drop(server));
        match reply.wait() {
            Err(RequestError::ServerDisappeared(message)) => drop(message),
            other => panic!("{other:?}"),
        }
        server.join().unwrap();
        assert_eq!(census.alive(), 0);
        assert_settled(client.stats());
    });
}

/// [3: the handoff moves from one slot to another, unless a request is in the first]
#[test]
fn the_handoff_moves_while_its_client_sends() {
    explore(|| {
        let (server, client) = warm();
        let other = client.clone();
        let reply = other.req_async(10).unwrap();
        let caller = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        for _ in 0..2 {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        }
        assert_eq!(reply.wait(), Ok(11));
        caller.join().unwrap();
        assert_settled(server.stats());
    });
}

/// A receiver that does not wait sees a direct request, and takes it.
#[test]
fn try_pop_sees_and_takes_a_handed_over_request() {
    explore(|| {
        let (server, client) = warm();
        let caller = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        let before = server.stats();
        let len = server.len();
        assert_eq!(before.accepted, 1 + before.queued);
        assert!(len as u64 >= before.queued && len <= 1);
        let taken = server.try_pop().unwrap();
        assert!(taken.is_some() || len == 0);
        let (n, rctx) = taken.unwrap_or_else(|| server.wait().unwrap());
        let after = server.stats();
        assert_eq!((after.accepted, after.queued, after.taken), (2, 0, 1));
        answer(n, rctx);
        caller.join().unwrap();
        assert_settled(server.stats());
    });
}

/// One of two receivers that do not wait finds the direct request, even if the other one has looked
/// before.
#[test]
fn one_of_two_try_pops_takes_a_handed_over_request() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let reply = client.req_async(1).unwrap();
        let server = Arc::new(server);
        let other = {
            let server = server.clone();
            thread::spawn(move || server.try_pop().unwrap())
        };
        let here = server.try_pop().unwrap();
        let there = other.join().unwrap();
        assert!(here.is_some() != there.is_some());
        here.into_iter()
            .chain(there)
            .for_each(|(n, rctx)| answer(n, rctx));
        assert_eq!(reply.wait(), Ok(2));
        assert_settled(server.stats());
        drop(client);
    });
}

#[test]
fn a_dropped_context_fails_a_handed_over_request() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || {
            drop(server.wait().unwrap());
            server
        });
        assert_eq!(client.req(1), Err(Error::NoReply));
        let server = server.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(server.stats().no_reply, 1);
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

/// The last client leaves right after it has handed a request over.
#[test]
fn a_handed_over_request_is_answered_though_its_client_goes() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let server = thread::spawn(move || serve(&server));
        let reply = client.req_async(1).unwrap();
        drop(client);
        assert_eq!(reply.wait(), Ok(2));
        assert_eq!(server.join().unwrap(), [1]);
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

/// [2: handing over against disarming; COMMITTED]
#[test]
fn a_request_is_handed_over_or_queued() {
    explore(|| {
        let (server, client) = warm();
        let server = spawn_server_for(server, 1);
        assert_eq!(client.req(1), Ok(2));
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
        assert_eq!(server.stats().replied, 2);
    });
}

/// Starts with an idle channel: the receiver itself arms the handoff.
#[test]
fn a_served_client_hands_over() {
    explore(|| {
        let (server, client) = channel();
        let server = spawn_server_for(server, 2);
        assert_eq!(client.req(1), Ok(2));
        assert_eq!(client.req(2), Ok(3));
        assert_settled(server.join().unwrap().1.stats());
    });
}

/// [2; a direct request that is not COMMITTED]
#[test]
fn requests_of_a_task_are_handed_over_or_queued() {
    explore(|| {
        let (server, client) = warm();
        let server = spawn_server_for(server, 1);
        assert_eq!(block_on(client.areq(1)), Ok(2));
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

/// A receiving task takes the direct requests of a thread. [2]
#[test]
fn requests_to_a_task_are_handed_over_or_queued() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || {
            let (n, rctx) = block_on(server.async_wait()).unwrap();
            answer(n, rctx);
            server
        });
        assert_eq!(client.req(1), Ok(2));
        let server = server.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [1: a post does not overtake a direct request either]
#[test]
fn a_handed_over_request_is_taken_before_the_post_that_follows_it() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let server = spawn_server_for(server, 2);
        let reply = client.req_async(1).unwrap();
        client.post(2).wait().unwrap();
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1, 2]);
        assert_eq!(reply.wait(), Ok(2));
        assert_settled(server.stats());
    });
}

/// An urgent request is queued although the client's slot is armed.
#[test]
fn an_urgent_request_of_an_armed_client_is_queued() {
    explore(|| {
        let (server, client) = warm();
        let server = spawn_server_for(server, 1);
        assert_eq!(client.request(1).urgent().wait().unwrap(), 2);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

/// [COMMITTED, PARITY: an answered request is not taken again while its handler still has it]
#[test]
fn a_handed_over_request_is_taken_once_while_its_handler_works() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        warm_up(&server, &client, census.born(), |message| message);
        let caller = {
            let message = census.born();
            thread::spawn(move || {
                drop(client.req(message).unwrap());
                client
            })
        };
        let (message, rctx) = server.wait().unwrap();
        // None of these finds another request.
        assert!(server.is_empty());
        assert!(server.try_pop().unwrap().is_none());
        assert!(server.wait_deadline(some_day()).unwrap().is_none());
        rctx.reply(message).unwrap();
        drop(caller.join().unwrap());
        assert_eq!(census.alive(), 0);
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

/// [slot 3, with LOCKED held while the request is answered]
#[test]
fn a_handed_over_request_polled_before_and_after_its_reply_is_not_lost() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let mut reply = client.req_async(1).unwrap();
        let handler = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        });
        if poll_once(&mut reply).is_pending() {
            assert_eq!(reply.wait(), Ok(2));
        }
        handler.join().unwrap();
    });
}

/// [1, and no client starves]
#[test]
fn a_second_client_queues_while_the_first_one_hands_over() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let other = client.clone();
        let other = thread::spawn(move || other.post(10).wait().unwrap());
        let reply = client.req_async(1).unwrap();
        let (mut taken, server) = spawn_server_for(server, 2).join().unwrap();
        other.join().unwrap();
        assert_eq!(reply.wait(), Ok(2));
        taken.sort_unstable();
        assert_eq!(taken, [1, 10]);
        assert_settled(server.stats());
    });
}

/// [1: for a receiver that looks at the queue, urgent requests come before the direct one]
#[test]
fn an_urgent_and_a_handed_over_request_are_both_answered() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let reply = client.req_async(1).unwrap();
        let urgent = thread::spawn(move || client.post(10).urgent().wait().unwrap());
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        answer(n, rctx);
        let (m, rctx) = server.wait().unwrap();
        answer(m, rctx);
        urgent.join().unwrap();
        assert_eq!(reply.wait(), Ok(2));
        assert!((n, m) == (1, 10) || (n, m) == (10, 1));
        assert_settled(server.stats());
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

/// [2: a receiver that is about to sleep sets DISARMING on the slot that another one watches]
#[test]
fn two_receivers_miss_no_handed_over_request() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let reply = client.req_async(1).unwrap();
        let server = Arc::new(server);
        let other = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = server.wait().unwrap();
                answer(n, rctx);
            })
        };
        // This receiver takes at most one request, and does not come back.
        let taken = server.wait_deadline(some_day()).unwrap();
        let is_first = taken.is_some();
        if let Some((n, rctx)) = taken {
            answer(n, rctx);
        }
        assert_eq!(reply.wait(), Ok(2));
        if is_first {
            assert_eq!(client.req_async(2).unwrap().wait(), Ok(3));
        }
        other.join().unwrap();
    });
}

/// [2: a receiver that takes an urgent request instead returns the lease, and the other one gets
/// the direct request]
#[test]
fn two_receivers_miss_no_handed_over_request_beside_an_urgent_one() {
    explore_large(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let reply = client.req_async(1).unwrap();
        let server = Arc::new(server);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || {
                    let (n, rctx) = server.wait().unwrap();
                    answer(n, rctx);
                    n
                })
            })
            .collect();
        client.post(10).urgent().wait().unwrap();
        assert_eq!(reply.wait(), Ok(2));
        let taken = receivers
            .into_iter()
            .map(|receiver| receiver.join().unwrap());
        assert_eq!(taken.sum::<u32>(), 11);
        assert_settled(server.stats());
    });
}

/// [1: a direct request does not overtake requests that its client has queued]
#[test]
fn a_post_is_taken_before_the_handed_over_request_that_follows_it() {
    explore(|| {
        let (server, client) = warm();
        let server = spawn_server_for(server, 2);
        client.post(1).wait().unwrap();
        let mut request = client.request(2).into_future();
        let _ = poll_once(&mut request);
        let (taken, server) = server.join().unwrap();
        drop(request);
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}
