//! Waiting until no request is left and none will come: the end of the last request wakes the
//! waiter, in whichever way it ends.

use std::{sync::Arc, thread, time::Duration};

use tests::{
    CountingWaker, DropCounter, assert_balanced, block_on, must_end, poll_once, poll_with,
};
use ump::{Builder, Client, Error, ManualClock, RequestError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

const SECOND: Duration = Duration::from_secs(1);

fn bounded() -> Ends {
    ump::bounded(3).unwrap()
}

#[test]
fn drained_is_ready_without_clients_and_requests() {
    let (server, client): Ends = ump::channel();
    let counter = CountingWaker::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &counter).is_pending());
    drop(client);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut drained, &counter).is_ready());
    assert!(poll_with(&mut drained, &counter).is_ready());
    server.drained().wait();
    block_on(server.drained());
}

#[test]
fn cancelled_requests_wake_the_waiter() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let asked = [1, 2].map(|n| client.req_async(n).unwrap());
        let urgent = client.request(3).urgent().submit().wait().unwrap();
        drop(client);
        let counter = CountingWaker::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &counter).is_pending());
        drop(asked);
        assert!(poll_with(&mut drained, &counter).is_pending());
        let wakes = counter.wakes();
        drop(urgent);
        assert_eq!(counter.wakes(), wakes + 1);
        assert!(poll_with(&mut drained, &counter).is_ready());
        assert_eq!(counter.wakers(), 0);
        assert_balanced(&server.stats());
    }
}

#[test]
fn taken_requests_wake_the_waiter() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let asked = client.req_async(1).unwrap();
        drop(client);
        let counter = CountingWaker::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &counter).is_pending());
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        // A request that a handler holds does not count.
        assert_eq!(counter.wakes(), 1);
        assert!(poll_with(&mut drained, &counter).is_ready());
        rctx.reply(n).unwrap();
        assert_eq!(asked.wait(), Ok(1));
    }
}

#[test]
fn expired_requests_wake_the_waiter() {
    for capacity in [usize::MAX, 9] {
        let clock = ManualClock::new();
        let builder = Builder::new().clock(clock.clock()).capacity(capacity);
        let (server, client) = builder.build::<_, u32, ()>().unwrap();
        let drop_counter = DropCounter::default();
        let post = |seconds| {
            client
                .post(drop_counter.value())
                .timeout(seconds * SECOND)
                .wait()
        };
        for seconds in [2, 5, 1] {
            post(seconds).unwrap();
        }
        let request = client
            .request(drop_counter.value())
            .timeout(3 * SECOND)
            .urgent();
        let request = request.submit().wait().unwrap();
        drop(client);
        let counter = CountingWaker::new();
        let mut drained = server.drained();
        assert!(poll_with(&mut drained, &counter).is_pending());
        // The expiries of the queued requests: after 2 s, 3 s, then 5 s.
        for (seconds, left) in [(2, 3), (3, 3), (5, 1)] {
            let wakes = counter.wakes();
            let at = drained.expiry().unwrap();
            clock.advance_to(at);
            assert_eq!(counter.wakes(), wakes + 1, "after {seconds} s");
            let polled = poll_with(&mut drained, &counter);
            assert_eq!(polled.is_ready(), seconds == 5);
            assert_eq!(drop_counter.created() - drop_counter.dropped(), left);
        }
        assert_eq!(drained.expiry(), None);
        let outcome = request.wait();
        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(_))));
        drop(outcome);
        assert_eq!(server.stats().timeout_queued, 4);
        assert_balanced(&server.stats());
        assert_eq!(drop_counter.created(), drop_counter.dropped());
        assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
        assert_eq!(counter.wakers(), 0);
    }
}

/// The request behind it has a deadline.
#[test]
fn a_cancelled_request_wakes_to_find_an_expiry() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock());
    let (server, client) = builder.build::<u32, u32, ()>().unwrap();
    let first = client.req_async(1).unwrap();
    client.post(2).timeout(SECOND).wait().unwrap();
    drop(client);
    let counter = CountingWaker::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &counter).is_pending());
    assert_eq!(drained.expiry(), None);
    drop(first);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut drained, &counter).is_pending());
    clock.advance(SECOND);
    assert_eq!(counter.wakes(), 2);
    assert!(poll_with(&mut drained, &counter).is_ready());
}

#[test]
fn the_end_of_the_server_wakes_the_waiter() {
    let (server, client): Ends = ump::channel();
    let _asked = client.req_async(1).unwrap();
    drop(client);
    let counter = CountingWaker::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &counter).is_pending());
    drop(server);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut drained, &counter).is_ready());
}

#[test]
fn a_dropped_wait_leaves_nothing() {
    let (server, client): Ends = ump::channel();
    let asked = client.request(1).timeout(60 * SECOND).submit();
    let asked = asked.wait().unwrap();
    drop(client);
    let counter = CountingWaker::new();
    let mut drained = server.drained();
    assert!(poll_with(&mut drained, &counter).is_pending());
    drop(drained);
    drop(asked);
    assert_eq!((counter.wakers(), counter.wakes()), (0, 0));
    assert!(poll_once(&mut server.drained()).is_ready());
}

#[test]
fn racing_cancellations_wake_the_waiter() {
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
