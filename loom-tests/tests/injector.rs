//! Models of the injector and of the slot pool: requests that enter without the channel's lock, and
//! slots that are used again.
//!
//! The guards in brackets are those of `ump/src/channel/injector.rs` and
//! `ump/src/inflight/pool.rs`. The models begin with an open injector ([`awake`]).
#![cfg(loom)]

use std::future::IntoFuture;

use loom::{future::block_on, thread};
use loom_tests::{
    Census, answer, assert_settled, awake, explore, poll_once, serve, spawn_server, warm_up_free,
};
use ump::{Error, channel};

/// [shut before the last check]
#[test]
fn what_enters_while_the_receiver_falls_asleep_is_taken() {
    explore(|| {
        let (server, client) = awake();
        let server = spawn_server(server);
        client.post(1).wait().unwrap();
        assert_eq!(client.req(2), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

/// [shut before the last check; neither a second request nor a leaving client helps]
#[test]
fn a_receiver_that_goes_to_sleep_misses_no_request() {
    explore(|| {
        let (server, client) = awake();
        let receiver = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        });
        assert_eq!(client.req(1), Ok(2));
        receiver.join().unwrap();
    });
}

/// [shut before the last check, by a task]
#[test]
fn one_request_is_not_missed_by_a_task() {
    explore(|| {
        let (server, client) = awake();
        let receiver = thread::spawn(move || {
            let (n, rctx) = block_on(server.async_wait()).unwrap();
            answer(n, rctx);
        });
        assert_eq!(client.req(1), Ok(2));
        receiver.join().unwrap();
    });
}

/// [shut before the last check, by an event loop]
#[test]
fn a_polling_receiver_misses_no_request() {
    explore(|| {
        let (server, client) = awake();
        let asking = thread::spawn(move || assert_eq!(client.req(1), Ok(2)));
        let (n, rctx) = block_on(std::future::poll_fn(|cx| server.poll_wait(cx))).unwrap();
        answer(n, rctx);
        asking.join().unwrap();
    });
}

/// [shut for ever]
#[test]
fn what_enters_while_the_server_goes_is_refused_or_ended() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        client.post(census.born()).wait().unwrap();
        drop(server.wait().unwrap());
        let server = thread::spawn(move || drop(server));
        let entered = client.post(census.born()).wait().is_ok();
        server.join().unwrap();
        assert_eq!(census.alive(), 0);
        let stats = client.stats();
        assert_settled(stats);
        assert_eq!(stats.server_disappeared, u64::from(entered));
        assert_eq!(stats.refused, u64::from(!entered));
    });
}

#[test]
fn a_request_that_enters_while_the_server_goes_ends() {
    explore(|| {
        let (server, client) = awake();
        let server = thread::spawn(move || drop(server));
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        server.join().unwrap();
        assert_settled(client.stats());
    });
}

/// [1: a request is withdrawn from the middle of the batch that was just reversed]
#[test]
fn what_has_entered_is_withdrawn_or_taken() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        client.post(census.born()).wait().unwrap();
        drop(server.wait().unwrap());
        let first = client.req_async(census.born()).unwrap();
        let second = client.req_async(census.born()).unwrap();
        let third = client.req_async(census.born()).unwrap();
        let server = thread::spawn(move || {
            let mut batch = Vec::new();
            let taken = server.wait_many(&mut batch, 3).unwrap();
            assert_eq!(taken, batch.len());
            for (message, rctx) in batch {
                drop(message);
                let _ = rctx.reply(());
            }
            server
        });
        drop(second);
        assert_eq!(first.wait(), Ok(()));
        assert_eq!(third.wait(), Ok(()));
        let server = server.join().unwrap();
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 4);
        assert_eq!(census.alive(), 0);
    });
}

/// [1: two clients push at the same time]
#[test]
fn two_clients_that_enter_at_once_keep_their_order() {
    explore(|| {
        let (server, client) = awake();
        let other = client.clone();
        let other = thread::spawn(move || {
            other.post(10).wait().unwrap();
            other.post(11).wait().unwrap();
        });
        client.post(1).wait().unwrap();
        client.post(2).wait().unwrap();
        drop(client);
        let taken = serve(&server);
        other.join().unwrap();
        let (these, those): (Vec<_>, Vec<_>) = taken.into_iter().partition(|n| *n < 10);
        assert_eq!((&these[..], &those[..]), (&[1, 2][..], &[10, 11][..]));
        assert_settled(server.stats());
    });
}

/// All requests in the injector are taken at once, in order.
#[test]
fn several_are_taken_at_once() {
    explore(|| {
        let (server, client) = awake();
        let asking = thread::spawn(move || {
            client.post(1).wait().unwrap();
            client.post(2).wait().unwrap();
        });
        let mut batch = Vec::new();
        while server.wait_many(&mut batch, 2).is_ok() {}
        asking.join().unwrap();
        let taken: Vec<_> = batch.iter().map(|(n, _)| *n).collect();
        assert_eq!(taken, [1, 2]);
        for (n, rctx) in batch {
            answer(n, rctx);
        }
        assert_settled(server.stats());
    });
}

/// A thread that reads the length or the statistics sees the requests that it has pushed itself.
#[test]
fn what_has_entered_is_counted() {
    explore(|| {
        let (server, client) = awake();
        let receiver = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
            server
        });
        client.post(1).wait().unwrap();
        let stats = client.stats();
        assert_eq!(stats.accepted, 2);
        assert!(client.len() <= 1);
        let server = receiver.join().unwrap();
        assert_settled(server.stats());
    });
}

/// The last client leaves right after its post has entered: the receiver takes the post before it
/// sees that the client has left.
#[test]
fn what_has_entered_is_taken_though_its_client_goes() {
    explore(|| {
        let (server, client) = awake();
        let posting = thread::spawn(move || client.post(1).wait().unwrap());
        assert_eq!(serve(&server), [1]);
        posting.join().unwrap();
    });
}

/// A receiver that does not wait also takes the post before it sees that the last client has left.
#[test]
fn try_pop_finds_what_has_entered_though_its_client_goes() {
    explore(|| {
        let (server, client) = awake();
        let posting = thread::spawn(move || client.post(1).wait().unwrap());
        let mut taken = Vec::new();
        // It checks at most three times: loom cannot know that it would continue.
        for _ in 0..3 {
            match server.try_pop() {
                Ok(Some((n, rctx))) => {
                    taken.push(n);
                    answer(n, rctx);
                }
                Ok(None) => thread::yield_now(),
                Err(_) => {
                    assert_eq!(taken, [1]);
                    break;
                }
            }
        }
        posting.join().unwrap();
        taken.extend(serve(&server));
        assert_eq!(taken, [1]);
    });
}

// ---- the slot pool

/// [pool closed while a caller returns a slot]
#[test]
fn a_client_goes_while_its_reply_is_read() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let reply = client.req_async(1).unwrap();
        let (n, rctx) = server.wait().unwrap();
        answer(n, rctx);
        let reader = thread::spawn(move || assert_eq!(reply.wait(), Ok(2)));
        drop(client);
        reader.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [pool closed while a handler returns the first slot]
#[test]
fn a_client_goes_while_its_first_slot_is_abandoned() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        let mut left = client.request(census.born()).into_future();
        assert!(poll_once(&mut left).is_pending());
        let (message, rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            let _ = rctx.answer(Ok(message));
        });
        drop(left);
        drop(client);
        handler.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(census.alive(), 0);
    });
}

/// [posts have slots of their own, which the receiver returns]
#[test]
fn a_post_brings_its_slot_home_while_the_client_goes() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        client.post(census.born()).wait().unwrap();
        let (message, rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            drop(message);
            rctx.reply(()).unwrap();
        });
        client.post(census.born()).wait().unwrap();
        drop(client);
        handler.join().unwrap();
        drop(server);
        assert_eq!(census.alive(), 0);
    });
}
