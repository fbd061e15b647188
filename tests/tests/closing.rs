//! Closing a server: later requests are refused, queued ones are served, then it ends, for all ways
//! of waiting.

use std::{
    future::IntoFuture,
    sync::{Arc, Barrier},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{
    Counted, CountingWaker, DropCounter, LONG, assert_balanced, block_on, ends::*, eventually,
    for_each, must_end, poll_with, stats_with,
};
use ump::{Client, Error, SendError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn post(client: &Client<u32, u32, ()>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        client.post(message).wait().unwrap();
    }
}

// ---- every way of taking

fn queued_requests_are_taken_before_the_end<T: Take>() {
    let (server, client): Ends = ump::channel();
    let urgent = client.request(2).urgent().submit().wait().unwrap();
    post(&client, [3, 4]);
    server.close();
    assert!(client.is_closed());
    assert_eq!(client.len(), 3);
    for n in 2..=4 {
        let (taken, rctx) = T::take(&server).unwrap();
        assert_eq!(taken, n);
        rctx.reply(n * 10).unwrap();
    }
    assert_eq!(urgent.wait().unwrap(), 20);
    // A call that missed the end would block for ever.
    for _ in 0..3 {
        assert!(T::take(&server).is_none());
    }
    drop(client);
    assert!(T::take(&server).is_none());
}

fn a_receiver_that_waits_gets_the_end<T: Take>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).is_none());
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        server.close();
        assert!(taken.join().unwrap());
    });
    drop(client);
}

fn a_pool_that_waits_gets_the_end<T: Take>() {
    let (server, client): Ends = ump::channel();
    let server = Arc::new(server);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                let mut taken = 0;
                while let Some((n, rctx)) = T::take(&server) {
                    taken += 1;
                    let _ = rctx.reply(n);
                }
                taken
            })
        })
        .collect();
    post(&client, 0..100);
    server.close();
    let taken: u32 = workers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(taken, 100);
    assert_eq!(client.stats().replied, 100);
}

/// Serves a client until its requests are handed off directly, then closes between two of them.
fn a_frequently_served_client_is_refused<T: Take>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some((n, rctx)) = T::take(&server) {
                rctx.reply(n + 1).unwrap();
            }
        });
        for n in 0..100 {
            assert_eq!(client.req(n), Ok(n + 1));
        }
        server.close();
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        assert_eq!(
            block_on(client.areq(1)).err(),
            Some(Error::ServerDisappeared)
        );
    });
    assert_eq!((client.stats().replied, client.stats().refused), (100, 2));
}

for_each!(
    wait = Wait,
    async_wait = AsyncWait,
    try_pop = TryPop,
    wait_many = WaitMany,
    async_wait_many = AsyncWaitMany,
    iterate = Iterate,
    streamed = Streamed,
    poll_wait = PollWait
    => {
        queued_requests_are_taken_before_the_end,
        a_receiver_that_waits_gets_the_end,
        a_frequently_served_client_is_refused,
    }
);

/// All but `poll_wait`, which only one task at a time can use.
mod pools {
    use super::*;

    for_each!(
        wait = Wait,
        async_wait = AsyncWait,
        try_pop = TryPop,
        wait_many = WaitMany,
        async_wait_many = AsyncWaitMany,
        iterate = Iterate,
        streamed = Streamed
        => { a_pool_that_waits_gets_the_end }
    );
}

#[test]
fn a_wait_with_a_deadline_gets_the_end() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let waits = Arc::clone(&server);
        let waiting = thread::spawn(move || waits.wait_timeout(LONG).map(|job| job.is_some()));
        for _ in 0..20 {
            assert!(!waiting.is_finished());
            thread::yield_now();
        }
        server.close();
        assert_eq!(waiting.join().unwrap(), Err(Error::ClientsDisappeared));
        drop(client);
    });
}

#[test]
fn a_refused_receiver_is_woken_once() {
    let (server, client): Ends = ump::channel();
    let (queued, poller) = (CountingWaker::new(), CountingWaker::new());
    let mut waiting = Box::pin(server.async_wait());
    assert!(poll_with(&mut waiting, &queued).is_pending());
    let mut polling = std::future::poll_fn(|cx| server.poll_wait(cx));
    assert!(poll_with(&mut polling, &poller).is_pending());
    server.close();
    server.close();
    assert_eq!((queued.wakes(), poller.wakes()), (1, 1));
    assert!(matches!(
        poll_with(&mut waiting, &queued),
        Poll::Ready(Err(Error::ClientsDisappeared))
    ));
    assert!(matches!(
        poll_with(&mut polling, &poller),
        Poll::Ready(Err(Error::ClientsDisappeared))
    ));
    drop(waiting);
    assert_eq!((queued.wakers(), poller.wakers()), (0, 0));
    drop(client);
}

// ---- every way of requesting

fn a_later_request_is_refused_and_comes_back<A: Ask>() {
    let (server, client): Ends = ump::channel();
    server.close();
    let failure = A::ask(&client, 7, Options::default()).unwrap_err();
    assert_eq!(failure.why, Reason::ServerDisappeared);
    assert_eq!(failure.message, A::DETAILED.then_some(7));
    let stats = client.stats();
    assert_eq!(
        stats,
        stats_with(|stats| stats.refused = 1),
        "it was never accepted"
    );
    assert!(server.is_empty());
}

fn a_sender_waiting_for_room_is_refused<A: Ask>() {
    let (server, client) = ump::bounded::<u32, u32, ()>(1).unwrap();
    post(&client, [1]);
    thread::scope(|scope| {
        let asking = scope.spawn(|| A::ask(&client, 7, Options::default()).unwrap_err());
        for _ in 0..20 {
            assert!(!asking.is_finished());
            thread::yield_now();
        }
        server.close();
        let failure = asking.join().unwrap();
        assert_eq!(failure.why, Reason::ServerDisappeared);
        assert_eq!(failure.message, A::DETAILED.then_some(7));
    });
    let (n, rctx) = server.wait().unwrap();
    assert_eq!(n, 1);
    rctx.reply(0).unwrap();
    assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
    assert_eq!((client.stats().accepted, client.stats().refused), (1, 1));
}

/// Each request is served or refused; the accepted requests are the served ones.
fn requests_racing_with_close_are_served_or_refused<A: Ask>() {
    for round in 0..30 {
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut taken = 0_u64;
                while let Ok((n, rctx)) = server.wait() {
                    taken += 1;
                    rctx.reply(n + 1).unwrap();
                }
                taken
            });
            let askers: Vec<_> = (0..2)
                .map(|_| {
                    let client = client.clone();
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        let mut served = 0;
                        loop {
                            match A::ask(&client, 7, Options::default()) {
                                Ok(reply) => {
                                    assert_eq!(reply, 8);
                                    served += 1;
                                }
                                Err(failure) => {
                                    assert_eq!(failure.why, Reason::ServerDisappeared);
                                    assert_eq!(failure.message, A::DETAILED.then_some(7));
                                    break served;
                                }
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                start.wait();
                eventually(|| client.stats().accepted >= round * 7);
                server.close();
            });
            start.wait();
            let served: u64 = askers.into_iter().map(|a| a.join().unwrap()).sum();
            assert_eq!(worker.join().unwrap(), served);
        });
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!(stats.accepted, stats.replied);
        assert_eq!(stats.refused, 2);
    }
}

for_each!(
    req = Req,
    areq = Areq,
    req_async_wait = ReqAsyncWait,
    req_async_await = ReqAsyncAwait,
    request_wait = RequestWait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait
    => {
        a_later_request_is_refused_and_comes_back,
        a_sender_waiting_for_room_is_refused,
        requests_racing_with_close_are_served_or_refused,
    }
);

#[test]
fn a_post_is_refused_and_comes_back() {
    let (server, client) = ump::bounded::<u32, u32, ()>(1).unwrap();
    post(&client, [1]);
    let counter = CountingWaker::new();
    let mut posting = client.post(2).into_future();
    assert!(poll_with(&mut posting, &counter).is_pending());
    server.close();
    assert_eq!(counter.wakes(), 1);
    assert!(matches!(
        poll_with(&mut posting, &counter),
        Poll::Ready(Err(SendError::ServerDisappeared(2)))
    ));
    assert!(matches!(
        client.post(3).if_room().wait(),
        Err(SendError::ServerDisappeared(3))
    ));
    assert_eq!(server.wait().unwrap().0, 1);
}

#[test]
fn a_queued_request_can_still_be_cancelled() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(1).unwrap();
    server.close();
    drop(reply);
    assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
    assert_eq!(client.stats().cancelled_queued, 1);
}

#[test]
fn a_queued_request_can_still_expire() {
    let (server, client): Ends = ump::channel();
    let deadline = Instant::now() + Duration::from_millis(20);
    let reply = client.request(1).deadline(deadline).submit().wait();
    server.close();
    tests::pass(deadline);
    assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
    assert!(reply.unwrap().wait().unwrap_err().is_timeout());
    assert_eq!(client.stats().timeout_queued, 1);
}

#[test]
fn untaken_requests_end_when_the_server_goes() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(1).unwrap();
    server.close();
    assert!(!reply.is_ready());
    drop(server);
    assert_eq!(reply.wait(), Err(Error::ServerDisappeared));
    assert_eq!(client.stats().server_disappeared, 1);
}

#[test]
fn a_weak_client_of_a_closed_server_is_refused() {
    let (server, client): Ends = ump::channel();
    server.close();
    let again = client.weak().upgrade().unwrap();
    assert!(again.is_closed());
    assert_eq!(again.req(1), Err(Error::ServerDisappeared));
}

#[test]
fn returned_messages_are_dropped_once() {
    let drop_counter = DropCounter::default();
    let (server, client) = ump::bounded::<Counted, (), ()>(1).unwrap();
    client.post(drop_counter.value()).wait().unwrap();
    let waits = client.clone();
    let message = drop_counter.value();
    let waiting = thread::spawn(move || drop(waits.post(message).wait()));
    for _ in 0..20 {
        thread::yield_now();
    }
    server.close();
    waiting.join().unwrap();
    assert_eq!((drop_counter.created(), drop_counter.dropped()), (2, 1));
    drop(server);
    assert_eq!(drop_counter.dropped(), 2);
}

// ---- a server that refuses

#[test]
fn refusing_ends_queued_and_later_requests() {
    let drop_counter = DropCounter::default();
    let (server, client) = ump::channel::<Counted, Counted, ()>();
    let normal = client
        .request(drop_counter.value())
        .submit()
        .wait()
        .unwrap();
    let urgent = client
        .request(drop_counter.value())
        .urgent()
        .submit()
        .wait()
        .unwrap();
    server.refuse();
    for reply in [normal, urgent] {
        let error = reply.wait().unwrap_err();
        assert!(error.into_message().is_some(), "it comes back");
    }
    assert!(matches!(
        client.post(drop_counter.value()).wait(),
        Err(SendError::ServerDisappeared(_))
    ));
    assert!(server.wait().is_err());
    assert!(client.is_closed());
    assert_eq!(drop_counter.dropped(), drop_counter.created());
    assert_eq!(server.stats().server_disappeared, 2);
    server.refuse();
    assert_balanced(&server.stats());
}

#[test]
fn refusing_does_not_affect_taken_requests() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(1).unwrap();
    let (n, rctx) = server.wait().unwrap();
    server.refuse();
    rctx.reply(n + 1).unwrap();
    assert_eq!(reply.wait(), Ok(2));
}

#[test]
fn refusing_wakes_waiting_receivers() {
    let (server, _client): Ends = ump::channel();
    thread::scope(|scope| {
        let waiting = [scope.spawn(|| server.wait()), scope.spawn(|| server.wait())];
        server.refuse();
        for worker in waiting {
            assert!(matches!(
                worker.join().unwrap(),
                Err(Error::ClientsDisappeared)
            ));
        }
    });
}
