//! Waiting for the end of a server: each waiter is woken, however it ends, and keeps nothing alive.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, Mutex},
    task::Context,
    thread,
};

use tests::{CountingWaker, Hook, block_on, must_end, poll_once, poll_with};
use ump::{Client, Error, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

const ENDS: [fn(Server<u32, u32, ()>); 3] =
    [drop, |server| server.close(), |server| server.refuse()];

#[test]
fn every_waiter_learns_how_the_server_ends() {
    for end in ENDS {
        let (server, client): Ends = ump::channel();
        let other = client.clone();
        let waiting = thread::spawn(move || other.closed().wait());
        let counter = CountingWaker::new();
        let mut closed = [client.closed(), client.closed()];
        for closed in &mut closed {
            assert!(poll_with(closed, &counter).is_pending());
        }
        end(server);
        assert_eq!(counter.wakes(), 2);
        for mut closed in closed {
            assert!(poll_with(&mut closed, &counter).is_ready());
            assert!(poll_with(&mut closed, &counter).is_ready(), "and stays so");
        }
        waiting.join().unwrap();
        assert_eq!(counter.wakers(), 0);
    }
}

#[test]
fn a_late_waiter_is_ready_at_once() {
    for end in ENDS {
        let (server, client): Ends = ump::channel();
        end(server);
        assert!(poll_once(&mut client.closed()).is_ready());
        client.closed().wait();
        block_on(client.closed());
    }
}

#[test]
fn a_wait_for_the_end_keeps_nothing_alive() {
    let (server, client): Ends = ump::channel();
    let mut closed = client.closed();
    drop(client);
    assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
    assert!(poll_once(&mut closed).is_pending());
    drop(server);
    assert!(poll_once(&mut closed).is_ready());
}

#[test]
fn the_latest_task_to_poll_is_woken() {
    let (server, client): Ends = ump::channel();
    let (early, late) = (CountingWaker::new(), CountingWaker::new());
    let mut closed = client.closed();
    assert!(poll_with(&mut closed, &early).is_pending());
    assert!(poll_with(&mut closed, &late).is_pending());
    assert_eq!(early.wakers(), 0);
    drop(server);
    assert_eq!((early.wakes(), late.wakes()), (0, 1));
}

#[test]
fn a_dropped_waiter_leaves_nothing() {
    let (server, client): Ends = ump::channel();
    let counter = CountingWaker::new();
    let mut closed = client.closed();
    assert!(poll_with(&mut closed, &counter).is_pending());
    drop(closed);
    assert_eq!(counter.wakers(), 0);
    drop(server);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn waiters_are_woken_before_requests_are_refused() {
    fn poll<F: Future + Unpin>(
        future: &mut F,
        order: &Arc<Mutex<Vec<&'static str>>>,
        what: &'static str,
    ) {
        let order = Arc::clone(order);
        let waker = Hook::on_wake(move || order.lock().unwrap().push(what));
        let polled = Pin::new(future).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let (server, client): Ends = ump::channel();
    let order = Arc::default();
    let mut asking = client.request(1).into_future();
    poll(&mut asking, &order, "refused");
    poll(&mut client.closed(), &order, "gone");
    let mut closed = client.closed();
    poll(&mut closed, &order, "closed");
    drop(server);
    assert_eq!(*order.lock().unwrap(), ["closed", "refused"]);
}

#[test]
fn a_waker_may_use_the_channel() {
    let (server, client): Ends = ump::channel();
    let client = Arc::new(client);
    let hook = || {
        let client = Arc::clone(&client);
        move || {
            let _ = client.is_closed();
            let _ = poll_once(&mut client.closed());
        }
    };
    let mut all = [(); 3].map(|()| client.closed());
    let wakers = [
        Hook::on_wake(hook()),
        Hook::on_clone(hook()),
        Hook::on_drop(hook()),
    ];
    for waker in [&wakers[0], &wakers[1], &wakers[2], &wakers[0]] {
        for closed in &mut all {
            let polled = Pin::new(closed).poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending());
        }
    }
    let [_, gone, _] = all;
    drop(gone);
    must_end(move || drop(server));
}
