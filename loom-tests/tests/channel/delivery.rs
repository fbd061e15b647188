//! A request is answered, in order, whichever end blocks or awaits.

use loom::{future::block_on, thread};
use loom_tests::{
    answer, assert_settled, block_on::quietly, explore, explore_large, poll_once, spawn_server,
};
use ump::channel;

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
