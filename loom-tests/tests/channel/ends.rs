//! The server or the last client goes.

use std::{future::IntoFuture, task::Poll};

use loom::{sync::Arc, thread};
use loom_tests::{Census, assert_settled, explore, poll_once, spawn_server};
use ump::{Client, Error, RequestError, channel};

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
