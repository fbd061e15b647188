//! A sink of posts.

mod support;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_util::{Sink, SinkExt, StreamExt, stream};
use support::{CountingWaker, must_end, poll_once};
use ump::{Builder, Client, Error, ManualClock, RequestError, SendError, Server};
use ump_tower::PostSink;

type TestServer = Server<u32, (), ()>;
type TestClient = Client<u32, (), ()>;
type TestSink = PostSink<u32, (), ()>;

fn bounded(capacity: usize) -> (TestServer, TestClient, TestSink) {
    let (server, client) = ump::bounded(capacity).unwrap();
    (server, client.clone(), PostSink::new(client))
}

fn poll_ready(sink: &mut TestSink) -> Poll<Result<(), SendError<Option<u32>>>> {
    Pin::new(sink).poll_ready(&mut Context::from_waker(Waker::noop()))
}

fn start_send(sink: &mut TestSink, n: u32) -> Result<(), SendError<Option<u32>>> {
    Pin::new(sink).start_send(n)
}

#[tokio::test]
async fn a_stream_is_forwarded_in_order_and_the_end_is_seen() {
    for capacity in [1, 3, usize::MAX] {
        let (server, client, sink) = bounded(capacity);
        drop(client);
        let receiving = thread::spawn(move || {
            let mut received = Vec::new();
            loop {
                match server.wait() {
                    Ok((n, rctx)) => {
                        assert!(rctx.is_post() && server.len() <= capacity);
                        received.push(n);
                    }
                    Err(end) => return (received, end),
                }
            }
        });
        must_end(stream::iter(0..100).map(Ok).forward(sink))
            .await
            .unwrap();
        let received = tokio::task::spawn_blocking(|| receiving.join().unwrap());
        let (received, end) = must_end(received).await.unwrap();
        assert!((0..100).eq(received));
        assert_eq!(end, Error::ClientsDisappeared);
    }
}

#[test]
fn a_sink_waits_for_room() {
    let (server, client, mut sink) = bounded(1);
    client.post(0).wait().unwrap();
    let counter = CountingWaker::new();
    let waker = Waker::from(counter.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_pending());
    drop(server.wait().unwrap());
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll_ready(&mut sink), Poll::Ready(Ok(())));
    // The room is the sink's.
    assert_eq!(
        client.request(7).if_room().wait(),
        Err(RequestError::Full(7))
    );
    start_send(&mut sink, 1).unwrap();
    assert_eq!(server.wait().unwrap().0, 1);
}

#[test]
fn an_item_that_is_not_sent_comes_back() {
    let (server, client, mut sink) = bounded(1);
    client.post(0).wait().unwrap();
    assert_eq!(start_send(&mut sink, 1), Err(SendError::Full(Some(1))));

    drop(server.wait().unwrap());
    assert_eq!(poll_ready(&mut sink), Poll::Ready(Ok(())));
    drop(server);
    assert_eq!(
        start_send(&mut sink, 2),
        Err(SendError::ServerDisappeared(Some(2)))
    );
    assert_eq!(
        poll_ready(&mut sink),
        Poll::Ready(Err(SendError::ServerDisappeared(None)))
    );
}

#[test]
fn a_deadline_in_the_wait_for_room_fails_one_item() {
    let clock = ManualClock::new();
    let ends = Builder::new().clock(clock.clock()).capacity(1).build();
    let (server, client): (TestServer, TestClient) = ends.unwrap();
    let mut sink = PostSink::new(client.clone()).timeout(Duration::from_secs(1));
    client.post(0).wait().unwrap();
    assert!(poll_ready(&mut sink).is_pending());
    clock.advance(Duration::from_secs(2));
    assert_eq!(poll_ready(&mut sink), Poll::Ready(Ok(())));
    assert_eq!(
        start_send(&mut sink, 1),
        Err(SendError::TimeoutQueued(Some(1)))
    );
    assert_eq!(server.wait().unwrap().0, 0);
    assert_eq!(poll_ready(&mut sink), Poll::Ready(Ok(())));
    start_send(&mut sink, 2).unwrap();
    assert_eq!(server.wait().unwrap().0, 2);
}

#[test]
fn an_item_that_is_not_taken_in_time_expires() {
    let clock = ManualClock::new();
    let ends = Builder::new().clock(clock.clock()).build();
    let (server, client): (TestServer, TestClient) = ends.unwrap();
    let mut sink = PostSink::new(client).timeout(Duration::from_secs(1));
    start_send(&mut sink, 1).unwrap();
    clock.advance(Duration::from_secs(2));
    start_send(&mut sink, 2).unwrap();
    assert_eq!(server.wait().unwrap().0, 2);
}

#[tokio::test]
async fn a_closed_sink_sends_nothing_and_keeps_no_client() {
    let (server, client, mut sink) = bounded(1);
    drop(client);
    sink.send(1).await.unwrap();
    assert_eq!(
        poll_once(&mut SinkExt::<u32>::flush(&mut sink)),
        Poll::Ready(Ok(()))
    );
    SinkExt::<u32>::close(&mut sink).await.unwrap();
    SinkExt::<u32>::close(&mut sink).await.unwrap();
    assert_eq!(sink.send(2).await, Err(SendError::ServerDisappeared(None)));
    assert_eq!(
        start_send(&mut sink, 3),
        Err(SendError::ServerDisappeared(Some(3)))
    );
    assert_eq!(server.wait().unwrap().0, 1);
    assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
}

#[test]
fn unused_room_is_given_back() {
    type GiveBack = fn(&mut TestSink);
    let released: GiveBack = TestSink::release;
    let closed: GiveBack = |sink| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(sink).poll_close(&mut cx).is_ready());
    };
    for give_back in [released, closed] {
        let (_server, client, mut sink) = bounded(1);
        assert_eq!(poll_ready(&mut sink), Poll::Ready(Ok(())));
        // A clone has none.
        assert!(poll_ready(&mut sink.clone()).is_pending());
        give_back(&mut sink);
        client.post(1).if_room().wait().unwrap();
    }
}
