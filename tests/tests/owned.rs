//! A request that owns its client keeps the channel alive.

use std::{future::IntoFuture, sync::Arc, task::Poll, thread};

use tests::{CountingWaker, assert_balanced, block_on, poll_once, poll_with};
use ump::{Client, Error, RequestError, RequestFuture, SendError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

/// The request owns the last client.
fn with_the_last_client_in_a_request()
-> (Server<u32, u32, ()>, RequestFuture<'static, u32, u32, ()>) {
    let (server, client): Ends = ump::channel();
    let asking = Client::request_owned(Arc::new(client), 1).into_future();
    (server, asking)
}

fn has_ended(server: &Server<u32, u32, ()>) -> bool {
    matches!(server.try_pop(), Err(Error::ClientsDisappeared))
}

#[test]
fn an_owned_request_needs_no_other_client() {
    let (server, asking) = with_the_last_client_in_a_request();
    let serving = thread::spawn(move || {
        for (n, rctx) in &server {
            rctx.reply(n + 1).unwrap();
        }
        server.stats()
    });
    assert_eq!(block_on(asking).unwrap(), 2);
    // The client was dropped, so the server has ended.
    assert_balanced(&serving.join().unwrap());
}

#[test]
fn an_owned_request_can_block() {
    let (server, client): Ends = ump::channel();
    let serving = thread::spawn(move || {
        for (n, rctx) in &server {
            rctx.reply(n + 1).unwrap();
        }
    });
    let client = Arc::new(client);
    let reply = Client::request_owned(Arc::clone(&client), 1).wait();
    assert_eq!(reply.unwrap(), 2);
    assert_eq!(Client::request_owned(client, 2).wait().unwrap(), 3);
    serving.join().unwrap();
}

#[test]
fn the_channel_lives_until_the_reply() {
    let counter = CountingWaker::new();
    let (server, mut asking) = with_the_last_client_in_a_request();
    assert!(poll_with(&mut asking, &counter).is_pending());
    let (_, rctx) = server.try_pop().unwrap().expect("it was sent");
    assert!(!has_ended(&server));
    rctx.reply(2).unwrap();
    assert_eq!(counter.wakes(), 1);
    assert!(matches!(
        poll_with(&mut asking, &counter),
        Poll::Ready(Ok(2))
    ));
    drop(asking);
    assert!(has_ended(&server));
    assert_eq!(counter.wakers(), 0);
    assert_balanced(&server.stats());
}

#[test]
fn a_dropped_request_is_cancelled_and_ends_the_channel() {
    for is_taken in [true, false] {
        let (server, mut asking) = with_the_last_client_in_a_request();
        assert!(poll_once(&mut asking).is_pending());
        let taken = is_taken.then(|| server.try_pop().unwrap().expect("it was sent"));
        drop(asking);
        if let Some((_, rctx)) = taken {
            assert!(rctx.is_cancelled());
        }
        assert!(has_ended(&server));
        assert_balanced(&server.stats());
    }
}

#[test]
fn an_unsent_request_leaves_nothing() {
    let (server, asking) = with_the_last_client_in_a_request();
    assert!(!has_ended(&server));
    drop(asking);
    assert!(has_ended(&server));
    assert_eq!(server.stats().accepted, 0);
}

#[test]
fn a_request_waiting_for_room_keeps_the_channel() {
    let (server, client) = ump::bounded::<u32, u32, ()>(1).unwrap();
    let client = Arc::new(client);
    let owned = |n| Client::request_owned(Arc::clone(&client), n);
    owned(1).post().wait().unwrap();
    assert!(matches!(
        owned(2).if_room().post().wait(),
        Err(SendError::Full(2))
    ));
    let mut asking = owned(3).into_future();
    drop(client);
    assert!(poll_once(&mut asking).is_pending());
    assert_eq!(server.try_pop().unwrap().expect("the post").0, 1);
    assert!(!has_ended(&server));
    assert!(poll_once(&mut asking).is_pending());
    let (message, rctx) = server.try_pop().unwrap().expect("it has found room");
    rctx.reply(message + 1).unwrap();
    assert!(matches!(poll_once(&mut asking), Poll::Ready(Ok(4))));
}

#[test]
fn a_submitted_request_drops_its_client() {
    let (server, client): Ends = ump::channel();
    let request = Client::request_owned(Arc::new(client), 1);
    let reply = request.submit().wait().unwrap();
    let (_, rctx) = server.try_pop().unwrap().expect("it was submitted");
    assert!(has_ended(&server));
    rctx.reply(2).unwrap();
    assert_eq!(reply.wait().unwrap(), 2);
}

#[test]
fn a_server_that_is_gone_is_reported() {
    let (server, mut asking) = with_the_last_client_in_a_request();
    drop(server);
    assert!(matches!(
        poll_once(&mut asking),
        Poll::Ready(Err(RequestError::ServerDisappeared(1)))
    ));
}

#[test]
fn one_client_can_have_many_owned_requests() {
    let (server, client): Ends = ump::channel();
    let client = Arc::new(client);
    let mut all: Vec<_> = (0..100)
        .map(|n| Client::request_owned(Arc::clone(&client), n).into_future())
        .collect();
    drop(client);
    for asking in &mut all {
        assert!(poll_once(asking).is_pending());
    }
    while let Some((n, rctx)) = server.try_pop().unwrap() {
        rctx.reply(n + 1).unwrap();
    }
    for (n, asking) in (0..).zip(all) {
        assert_eq!(block_on(asking).unwrap(), n + 1);
    }
    assert!(has_ended(&server));
}
