//! Permits: room that is reserved before the message is made.

use std::{future::IntoFuture, sync::Arc, task::Poll, thread, time::Duration};

use tests::{CountingWaker, assert_balanced, block_on, eventually, must_end, poll_once, poll_with};
use ump::{Builder, Client, ManualClock, RequestError, SendError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn full() -> Ends {
    ump::bounded(1).unwrap()
}

#[test]
fn a_permit_counts_in_the_capacity() {
    let (server, client) = ump::bounded::<u32, u32, ()>(2).unwrap();
    client.post(0).wait().unwrap();
    let permit = client.reserve().wait().unwrap();
    assert_eq!(client.stats().reserved, 1);
    let refused = client.request(1).if_room().wait();
    assert_eq!(refused, Err(RequestError::Full(1)));
    let refused = client.reserve().if_room().wait();
    assert_eq!(refused.unwrap_err(), SendError::Full(()));
    // The other lane has its own room.
    client.request(2).urgent().post().if_room().wait().unwrap();

    permit.request(3).post().wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.reserved, stats.accepted, stats.queued), (0, 3, 3));
    assert_eq!(stats.refused, 2);
    let taken: Vec<u32> = (0..3).map(|_| server.wait().unwrap().0).collect();
    assert_eq!(taken, [2, 0, 3]);
    assert_balanced(&client.stats());
}

#[test]
fn a_request_by_permit_is_sent_in_every_way() {
    let (server, client) = full();
    let serving = thread::spawn(move || {
        for (n, rctx) in &server {
            let _ = rctx.reply(n + 1);
        }
    });
    let asked = client.reserve().wait().unwrap().request(1).wait();
    assert_eq!(asked, Ok(2));
    let asked = block_on(block_on(client.reserve()).unwrap().request(2));
    assert_eq!(asked, Ok(3));
    let submitted = client.reserve().wait().unwrap().request(3).submit().wait();
    assert_eq!(submitted.unwrap().wait(), Ok(4));
    let submitted = block_on(client.reserve().wait().unwrap().request(4).submit());
    assert_eq!(block_on(submitted.unwrap()), Ok(5));
    let permit = block_on(client.reserve().urgent()).unwrap();
    block_on(permit.request(5).post()).unwrap();
    let owned = Client::reserve_owned(Arc::new(client.clone()));
    let permit = owned.wait().unwrap();
    let asked = thread::spawn(move || permit.request(6).wait());
    assert_eq!(asked.join().unwrap(), Ok(7));
    eventually(|| client.stats().taken == 0 && client.stats().queued == 0);
    assert_eq!(client.stats().reserved, 0);
    drop(client);
    must_end(move || serving.join().unwrap());
}

#[test]
fn a_dropped_permit_wakes_the_next_sender() {
    let (server, client) = full();
    let permit = client.reserve().wait().unwrap();
    let counter = CountingWaker::new();
    let mut first = client.request(1).post().into_future();
    assert!(poll_with(&mut first, &counter).is_pending());
    let other = CountingWaker::new();
    let mut second = client.reserve().into_future();
    assert!(poll_with(&mut second, &other).is_pending());
    drop(permit);
    assert_eq!((counter.wakes(), other.wakes()), (1, 0));
    assert_eq!(poll_once(&mut first), Poll::Ready(Ok(())));
    assert!(poll_with(&mut second, &other).is_pending());
    assert_eq!(server.wait().unwrap().0, 1);
    assert_eq!(other.wakes(), 1);
    let Poll::Ready(Ok(permit)) = poll_once(&mut second) else {
        panic!("there is room")
    };
    // A request that is never sent returns the room as well.
    drop(permit.request(2));
    assert_eq!(client.stats().reserved, 0);
    client.post(3).if_room().wait().unwrap();
}

#[test]
fn a_thread_gets_the_room_of_a_dropped_permit() {
    let (_server, client) = full();
    let permit = client.reserve().wait().unwrap();
    let waiting = {
        let client = client.clone();
        thread::spawn(move || client.reserve().wait().unwrap().request(7).post().wait())
    };
    drop(permit);
    must_end(move || waiting.join().unwrap().unwrap());
    assert_eq!(client.len(), 1);
}

#[test]
fn a_dropped_reservation_passes_the_room_on() {
    let (_server, client) = full();
    let permit = client.reserve().wait().unwrap();
    let mut first = client.reserve().into_future();
    assert!(poll_once(&mut first).is_pending());
    let counter = CountingWaker::new();
    let mut second = client.reserve().into_future();
    assert!(poll_with(&mut second, &counter).is_pending());
    drop(permit);
    // The sender is woken and leaves.
    drop(first);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_once(&mut second).is_ready());
    assert_eq!(client.stats().refused, 1);
}

#[test]
fn a_request_by_permit_learns_of_the_end() {
    for is_gone in [false, true] {
        let (server, client) = full();
        let permits = [
            client.reserve().wait().unwrap(),
            client.reserve().urgent().wait().unwrap(),
        ];
        let mut waiting = client.reserve().into_future();
        assert!(poll_once(&mut waiting).is_pending());
        let kept = if is_gone {
            drop(server);
            None
        } else {
            server.close();
            Some(server)
        };
        let [normal, urgent] = permits;
        let sent = normal.request(1).wait();
        assert_eq!(sent, Err(RequestError::ServerDisappeared(1)));
        let sent = block_on(urgent.request(2).post());
        assert_eq!(sent, Err(SendError::ServerDisappeared(2)));
        let Poll::Ready(Err(error)) = poll_once(&mut waiting) else {
            panic!("there is no server")
        };
        assert_eq!(error, SendError::ServerDisappeared(()));
        let stats = client.stats();
        assert_eq!((stats.reserved, stats.accepted, stats.refused), (0, 0, 3));
        drop(kept);
    }
}

#[test]
fn waiting_for_a_permit_ends_in_time() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock()).capacity(1);
    let (_server, client) = builder.build::<u32, u32, ()>().unwrap();
    let _permit = client.reserve().wait().unwrap();
    let second = Duration::from_secs(1);
    let mut awaited = client.reserve().timeout(second).into_future();
    assert!(poll_once(&mut awaited).is_pending());
    let waiting = {
        let client = client.clone().with_timeout(second);
        thread::spawn(move || client.reserve().wait().map(drop))
    };
    clock.wait_for_sleepers(2);
    clock.advance(second);
    let blocked = must_end(move || waiting.join().unwrap());
    assert_eq!(blocked, Err(SendError::TimeoutQueued(())));
    let Poll::Ready(Err(error)) = poll_once(&mut awaited) else {
        panic!("it is too late")
    };
    assert_eq!(error, SendError::TimeoutQueued(()));
    assert_eq!(client.stats().refused, 2);
}

#[test]
fn a_request_by_permit_may_be_too_late() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock()).capacity(1);
    let (_server, client) = builder.build::<u32, u32, ()>().unwrap();
    let second = Duration::from_secs(1);
    let late = client.reserve().wait().unwrap().request(1).timeout(second);
    clock.advance(second);
    assert_eq!(late.wait(), Err(RequestError::TimeoutQueued(1)));
    let late = client.reserve().wait().unwrap().request(2).timeout(second);
    clock.advance(second);
    assert_eq!(block_on(late), Err(RequestError::TimeoutQueued(2)));
    assert_eq!(client.stats().reserved, 0);
}

#[test]
fn a_request_of_the_other_lane_gives_the_room_back() {
    let (server, client) = full();
    let permit = client.reserve().wait().unwrap();
    permit.request(1).urgent().post().wait().unwrap();
    assert_eq!(client.stats().reserved, 0);
    client.post(2).if_room().wait().unwrap();
    assert_eq!((server.wait().unwrap().0, server.wait().unwrap().0), (1, 2));
}

#[test]
fn an_unbounded_channel_has_room_for_any_number() {
    let (server, client) = ump::channel::<u32, u32, ()>();
    let permits: Vec<_> = (0..100)
        .map(|_| client.reserve().if_room().wait().unwrap())
        .collect();
    assert_eq!(client.stats().reserved, 100);
    for (n, permit) in (0..).zip(permits) {
        permit.request(n).post().wait().unwrap();
    }
    assert_eq!(client.stats().reserved, 0);
    for n in 0..100 {
        assert_eq!(server.wait().unwrap().0, n);
    }
    assert_balanced(&client.stats());
}

#[test]
fn requests_by_permit_keep_the_order_while_armed() {
    let (server, client) = ump::channel::<u32, u32, ()>();
    let serving = thread::spawn(move || {
        for (n, rctx) in &server {
            let _ = rctx.reply(n);
        }
    });
    for n in 0..2_000 {
        assert_eq!(client.req(n), Ok(n));
        let permit = client.reserve().wait().unwrap();
        assert_eq!(permit.request(n).wait(), Ok(n));
    }
    assert_eq!(client.stats().replied, 4_000);
    assert_balanced(&client.stats());
    drop(client);
    must_end(move || serving.join().unwrap());
}
