//! A request is handed over or queued, and is answered either way.

use loom::{future::block_on, thread};
use loom_tests::{
    answer, assert_settled, explore, poll_once, spawn_server_for, warm, warm_up_free,
};
use ump::channel;

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
