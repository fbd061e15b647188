//! Models of futures that yield to other tasks although they may be ready. No request and no
//! wake-up is lost.
#![cfg(loom)]

use std::{
    future::{Future, poll_fn},
    task::Poll,
};

use loom::{sync::Arc, thread};
use loom_tests::{
    NumberClient, NumberServer, answer, assert_settled, block_on::quietly, explore, explore_large,
    poll_once, spawn_server,
};
use ump::{Error, channel, coop};

/// Polls a future without any budget: it yields before each check, except for the check right after
/// a yield.
fn yielding<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| coop::with_budget(0, || future.as_mut().poll(cx)))
}

#[test]
fn a_receiver_that_yields_gets_each_request() {
    explore(|| {
        let (server, client): (NumberServer, NumberClient) = channel();
        let asking = thread::spawn(move || client.req(1));
        let mut taken = Vec::new();
        while let Ok((n, rctx)) = quietly(yielding(server.async_wait())) {
            taken.push(n);
            answer(n, rctx);
        }
        assert_eq!(asking.join().unwrap(), Ok(2));
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

#[test]
fn a_caller_that_yields_gets_its_reply() {
    explore(|| {
        let (server, client): (NumberServer, NumberClient) = channel();
        let serving = spawn_server(server);
        assert_eq!(quietly(yielding(client.areq(1))), Ok(2));
        drop(client);
        let (taken, server) = serving.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

#[test]
fn a_wait_for_the_end_that_yields_ends() {
    explore(|| {
        let (server, client): (NumberServer, NumberClient) = channel();
        let closing = thread::spawn(move || server.close());
        quietly(yielding(client.closed()));
        closing.join().unwrap();
    });
}

/// A woken receiver yields and is dropped: the other one is woken instead.
#[test]
fn a_receiver_that_yields_passes_its_wake_up_on() {
    explore_large(|| {
        let (server, client): (NumberServer, NumberClient) = channel();
        let server = Arc::new(server);
        let other = {
            let server = Arc::clone(&server);
            thread::spawn(move || quietly(server.async_wait()).map(|(n, rctx)| answer(n, rctx)))
        };
        let posting = thread::spawn(move || {
            client.post(1).wait().unwrap();
            client
        });
        let mut waiting = Box::pin(server.async_wait());
        let taken = poll_once(&mut waiting).is_ready();
        if !taken {
            let again = coop::with_budget(0, || poll_once(&mut waiting));
            assert!(matches!(again, Poll::Pending));
        }
        drop(waiting);
        let client = posting.join().unwrap();
        if taken {
            // No request is left for the other receiver.
            drop(client);
            assert_eq!(other.join().unwrap(), Err(Error::ClientsDisappeared));
        } else {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
    });
}
