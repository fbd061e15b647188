//! Wakers that panic or make requests when they are cloned, by a receiving task that a client uses
//! for direct handoff.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
};

use tests::{CountingWaker, Hook, eventually, must_end, poll_with};
use ump::{
    Client, RequestError, Server, channel,
    hooks::{self, Cycle, Wait, Watcher},
};

type Ends = (Arc<Server<u32, u32, ()>>, Arc<Client<u32, u32, ()>>);

/// A blocking client and a task that serves it, long enough for direct handoff.
fn armed() -> Ends {
    let (server, client) = channel::<u32, u32, ()>();
    let (server, client) = (Arc::new(server), Arc::new(client));
    for n in 0..4 {
        let asking = Arc::clone(&client);
        let asking = thread::spawn(move || asking.req(n));
        eventually(|| !server.is_empty());
        let taken = pin!(server.async_wait()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok((n, rctx))) = taken else {
            panic!("it is queued");
        };
        rctx.reply(n + 1).unwrap();
        assert_eq!(asking.join().unwrap(), Ok(n + 1));
    }
    (server, client)
}

fn poll<F: Future>(future: F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(waker))
}

/// A waker that runs a function at its first clone.
fn once_on_clone(event: impl FnOnce() + Send + 'static) -> Waker {
    let event = Mutex::new(Some(event));
    Hook::on_clone(move || {
        let event = event.lock().unwrap().take();
        if let Some(event) = event {
            event();
        }
    })
}

/// A request comes while the waker of a receiver is cloned; another receiver goes to sleep; then
/// the clone panics.
#[test]
fn a_panicking_clone_strands_no_request() {
    must_end(|| {
        let (server, client) = armed();
        let (counter, own) = (CountingWaker::new(), Arc::clone(&server));
        let seen = Arc::new(Mutex::new(None));
        let waker = {
            let (server, counter, seen) =
                (Arc::clone(&server), Arc::clone(&counter), Arc::clone(&seen));
            once_on_clone(move || {
                let asking = thread::spawn(move || client.req(7));
                eventually(|| !server.is_empty());
                let mut other = Box::pin(async move { server.async_wait().await });
                let found = poll_with(&mut other, &counter);
                seen.lock().unwrap().replace((asking, other, found));
                panic!("on purpose");
            })
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            poll(own.async_wait(), &waker).is_ready()
        }));
        assert!(panicked.is_err());
        let (asking, mut other, mut found) = seen.lock().unwrap().take().unwrap();
        if found.is_pending() {
            assert!(counter.wakes() > 0, "nobody was woken for the request");
            found = poll_with(&mut other, &counter);
        }
        let Poll::Ready(Ok((7, rctx))) = found else {
            panic!("it was not found");
        };
        rctx.reply(8).unwrap();
        assert_eq!(asking.join().unwrap(), Ok(8));
    });
}

/// Reports a cycle for each wait.
struct Refuses;

impl Watcher for Refuses {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        Err(Cycle::new(["own"]))
    }
}

#[test]
fn a_clone_may_request_and_be_refused() {
    must_end(|| {
        let (server, client) = armed();
        let _client = Arc::clone(&client);
        let _watched = hooks::watch(Arc::new(Refuses));
        let refused = Arc::new(Mutex::new(None));
        let waker = {
            let refused = Arc::clone(&refused);
            once_on_clone(move || {
                refused.lock().unwrap().replace(client.request(7).wait());
            })
        };
        assert!(poll(server.async_wait(), &waker).is_pending());
        let refused = refused.lock().unwrap().take();
        assert!(matches!(
            refused,
            Some(Err(RequestError::WouldDeadlock(7, _)))
        ));
    });
}

/// A request that comes while the waker is cloned is taken by the same poll.
#[test]
fn a_request_during_the_clone_is_taken() {
    must_end(|| {
        let (server, client) = armed();
        let (asking, own) = (Arc::new(Mutex::new(None)), Arc::clone(&server));
        let waker = {
            let asking = Arc::clone(&asking);
            once_on_clone(move || {
                let asks = thread::spawn(move || client.req(7));
                eventually(|| !server.is_empty());
                asking.lock().unwrap().replace(asks);
            })
        };
        let Poll::Ready(Ok((7, rctx))) = poll(own.async_wait(), &waker) else {
            panic!("it was there");
        };
        rctx.reply(8).unwrap();
        let asks = asking.lock().unwrap().take().unwrap();
        assert_eq!(asks.join().unwrap(), Ok(8));
    });
}
