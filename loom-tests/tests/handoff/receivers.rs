//! Which receiver takes a request, once, and before or after which other one.

use std::future::IntoFuture;

use loom::{sync::Arc, thread};
use loom_tests::{
    Census, answer, assert_settled, explore, explore_large, poll_once, some_day, spawn_server_for,
    warm, warm_up, warm_up_free,
};
use ump::channel;

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
