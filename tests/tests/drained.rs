//! Waiting until nothing is left and nothing will come: whatever ends the last request, who waits learns of it.

use std::{sync::Arc, thread, time::Duration};

use tests::{Bell, Census, assert_balanced, block_on, must_end, poll_once, poll_with};
use ump::{Builder, Client, Error, ManualClock, RequestError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

const SECOND: Duration = Duration::from_secs(1);

fn bounded() -> Ends {
    ump::bounded(3).unwrap()
}

#[test]
fn without_clients_and_requests_it_is_ready_at_once() {
    let (server, client): Ends = ump::channel();
    let bell = Bell::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &bell).is_pending());
    drop(client);
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut drained, &bell).is_ready());
    assert!(poll_with(&mut drained, &bell).is_ready());
    server.drained().wait();
    block_on(server.drained());
}

#[test]
fn cancelled_requests_end_it() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let asked = [1, 2].map(|n| client.req_async(n).unwrap());
        let urgent = client.request(3).urgent().submit().wait().unwrap();
        drop(client);
        let bell = Bell::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &bell).is_pending());
        drop(asked);
        assert!(poll_with(&mut drained, &bell).is_pending());
        let rings = bell.rings();
        drop(urgent);
        assert_eq!(bell.rings(), rings + 1);
        assert!(poll_with(&mut drained, &bell).is_ready());
        assert_eq!(bell.wakers(), 0);
        assert_balanced(&server.stats());
    }
}

#[test]
fn taken_requests_end_it() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let asked = client.req_async(1).unwrap();
        drop(client);
        let bell = Bell::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &bell).is_pending());
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        // That it is in hand does not matter.
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut drained, &bell).is_ready());
        rctx.reply(n).unwrap();
        assert_eq!(asked.wait(), Ok(1));
    }
}

#[test]
fn expired_requests_end_it() {
    for capacity in [usize::MAX, 9] {
        let clock = ManualClock::new();
        let builder = Builder::new().clock(clock.clock()).capacity(capacity);
        let (server, client) = builder.build::<_, u32, ()>().unwrap();
        let census = Census::default();
        let post = |seconds| client.post(census.born()).timeout(seconds * SECOND).wait();
        for seconds in [2, 5, 1] {
            post(seconds).unwrap();
        }
        let request = client.request(census.born()).timeout(3 * SECOND).urgent();
        let request = request.submit().wait().unwrap();
        drop(client);
        let bell = Bell::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &bell).is_pending());
        // Of what is queued: 2, 3, then 5.
        for (seconds, left) in [(2, 3), (3, 3), (5, 1)] {
            let rings = bell.rings();
            let at = drained.expiry().unwrap();
            clock.advance_to(at);
            assert_eq!(bell.rings(), rings + 1, "after {seconds} s");
            let polled = poll_with(&mut drained, &bell);
            assert_eq!(polled.is_ready(), seconds == 5);
            assert_eq!(census.births() - census.deaths(), left);
        }
        assert_eq!(drained.expiry(), None);
        let outcome = request.wait();
        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(_))));
        drop(outcome);
        assert_eq!(server.stats().timeout_queued, 4);
        assert_balanced(&server.stats());
        assert_eq!(census.births(), census.deaths());
        assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
        assert_eq!(bell.wakers(), 0);
    }
}

/// What is behind it has a deadline.
#[test]
fn a_request_without_a_deadline_is_cancelled_before_others_expire() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock());
    let (server, client) = builder.build::<u32, u32, ()>().unwrap();
    let first = client.req_async(1).unwrap();
    client.post(2).timeout(SECOND).wait().unwrap();
    drop(client);
    let bell = Bell::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &bell).is_pending());
    assert_eq!(drained.expiry(), None);
    drop(first);
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut drained, &bell).is_pending());
    clock.advance(SECOND);
    assert_eq!(bell.rings(), 2);
    assert!(poll_with(&mut drained, &bell).is_ready());
}

#[test]
fn the_end_of_the_server_ends_it() {
    let (server, client): Ends = ump::channel();
    let _asked = client.req_async(1).unwrap();
    drop(client);
    let bell = Bell::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &bell).is_pending());
    drop(server);
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut drained, &bell).is_ready());
}

#[test]
fn a_dropped_wait_leaves_nothing() {
    let (server, client): Ends = ump::channel();
    let asked = client.request(1).timeout(60 * SECOND).submit();
    let asked = asked.wait().unwrap();
    drop(client);
    let bell = Bell::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &bell).is_pending());
    drop(drained);
    drop(asked);
    assert_eq!((bell.wakers(), bell.rings()), (0, 0));
    assert!(poll_once(&mut server.drained()).is_ready());
}

#[test]
fn threads_that_cancel_never_leave_it_waiting() {
    must_end(|| {
        for round in 0..1_000_u64 {
            let (server, client): Ends = ump::channel();
            let server = Arc::new(server);
            let asked = [1, 2, 3].map(|n| client.req_async(n).unwrap());
            let leaving = asked.map(|asked| {
                let client = client.clone();
                thread::spawn(move || {
                    (0..round % 5).for_each(|_| thread::yield_now());
                    drop((client, asked));
                })
            });
            drop(client);
            let taking = {
                let server = Arc::clone(&server);
                thread::spawn(move || drop(server.try_pop()))
            };
            server.drained().wait();
            assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
            taking.join().unwrap();
            for thread in leaving {
                thread.join().unwrap();
            }
        }
    });
}
