//! Waiting for the last client to leave: each waiter is woken, and nothing stays behind.

use std::{future::Future, pin::Pin, sync::Arc, task::Context, thread};

use tests::{CountingWaker, Hook, block_on, must_end, poll_once, poll_with};
use ump::{Client, Error, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn bounded() -> Ends {
    ump::bounded(1).unwrap()
}

#[test]
fn all_waiters_learn_that_the_last_client_left() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let server = Arc::new(server);
        let waiting = {
            let server = Arc::clone(&server);
            thread::spawn(move || must_end(move || server.deserted().wait()))
        };
        let counter = CountingWaker::new();
        let mut deserted = [server.deserted(), server.deserted()];
        for deserted in &mut deserted {
            assert!(poll_with(deserted, &counter).is_pending());
        }
        let other = client.clone();
        drop(client);
        assert_eq!(counter.wakes(), 0, "there is another");
        drop(other);
        assert_eq!(counter.wakes(), 2);
        for mut deserted in deserted {
            assert!(poll_with(&mut deserted, &counter).is_ready());
            assert!(poll_with(&mut deserted, &counter).is_ready());
        }
        waiting.join().unwrap();
        assert_eq!(counter.wakers(), 0);
    }
}

#[test]
fn deserted_is_ready_without_clients() {
    let (server, client): Ends = ump::channel();
    drop(client);
    assert!(poll_once(&mut server.deserted()).is_ready());
    server.deserted().wait();
    block_on(server.deserted());
}

#[test]
fn weak_clients_do_not_count() {
    let (server, client): Ends = ump::channel();
    let weak = client.weak();
    let mut deserted = server.deserted();
    let upgraded = weak.upgrade().unwrap();
    drop(client);
    assert!(poll_once(&mut deserted).is_pending());
    drop(upgraded);
    assert!(poll_once(&mut deserted).is_ready());
    assert!(weak.upgrade().is_none());
}

#[test]
fn queued_requests_do_not_matter_and_stay() {
    for ends in [ump::channel, bounded] {
        let (server, client): Ends = ends();
        let counter = CountingWaker::new();
        let mut deserted = server.deserted();
        assert!(poll_with(&mut deserted, &counter).is_pending());
        let asked = client.req_async(1).unwrap();
        assert_eq!(counter.wakes(), 0);
        drop(client);
        assert_eq!(counter.wakes(), 1);
        assert!(poll_with(&mut deserted, &counter).is_ready());
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        rctx.reply(n).unwrap();
        assert_eq!(asked.wait(), Ok(1));
        assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
    }
}

#[test]
fn the_end_of_the_server_does_not_matter() {
    let (server, client): Ends = ump::channel();
    let mut deserted = server.deserted();
    server.close();
    assert!(poll_once(&mut deserted).is_pending());
    drop(server);
    assert!(client.is_closed(), "it keeps no server going");
    assert!(poll_once(&mut deserted).is_pending());
    drop(client);
    assert!(poll_once(&mut deserted).is_ready());
}

#[test]
fn a_waiter_and_a_receiver_are_both_woken() {
    let (server, client): Ends = ump::channel();
    let [receives, waits] = [CountingWaker::new(), CountingWaker::new()];
    let mut receiving = Box::pin(server.async_wait());
    let mut deserted = server.deserted();
    assert!(poll_with(&mut receiving, &receives).is_pending());
    assert!(poll_with(&mut deserted, &waits).is_pending());
    drop(client);
    assert_eq!((receives.wakes(), waits.wakes()), (1, 1));
}

#[test]
fn the_latest_task_to_poll_is_woken() {
    let (server, client): Ends = ump::channel();
    let (early, late) = (CountingWaker::new(), CountingWaker::new());
    let mut deserted = server.deserted();
    assert!(poll_with(&mut deserted, &early).is_pending());
    assert!(poll_with(&mut deserted, &late).is_pending());
    assert_eq!(early.wakers(), 0);
    drop(client);
    assert_eq!((early.wakes(), late.wakes()), (0, 1));
}

#[test]
fn a_dropped_wait_leaves_nothing() {
    let (server, client): Ends = ump::channel();
    let counter = CountingWaker::new();
    let mut deserted = server.deserted();
    assert!(poll_with(&mut deserted, &counter).is_pending());
    drop(deserted);
    assert_eq!(counter.wakers(), 0);
    drop(client);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn a_waker_may_use_the_channel() {
    let (server, client): Ends = ump::channel();
    let server = Arc::new(server);
    let hook = || {
        let server = Arc::clone(&server);
        move || {
            let _ = server.is_empty();
            let _ = poll_once(&mut server.deserted());
        }
    };
    let mut all = [(); 3].map(|()| server.deserted());
    let wakers = [
        Hook::on_wake(hook()),
        Hook::on_clone(hook()),
        Hook::on_drop(hook()),
    ];
    for waker in [&wakers[0], &wakers[1], &wakers[2], &wakers[0]] {
        for deserted in &mut all {
            let polled = Pin::new(deserted).poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending());
        }
    }
    let [_, gone, _] = all;
    drop(gone);
    must_end(move || drop(client));
}

#[test]
fn no_thread_misses_the_last_client() {
    must_end(|| {
        for round in 0..1_000_u64 {
            let (server, client): Ends = ump::channel();
            let leaving = thread::spawn(move || {
                (0..round % 7).for_each(|_| thread::yield_now());
                drop(client);
            });
            let clock = server.clock().clone();
            // One wait gives up at once.
            let _ = clock.block_on(server.deserted(), Some(clock.now()));
            server.deserted().wait();
            leaving.join().unwrap();
        }
    });
}
