//! Models of requests that are ended because their caller would wait for itself: see `ump::hooks`.
//! Their special case is a direct request that was COMMITTED.
//!
//! The guards in brackets are those of `ump/src/channel/handoff.rs` and the bits in the table of
//! `ump/src/slot/mod.rs`.
#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::{
    Census, NumberClient, NumberServer, answer, assert_settled, awake, explore, explore_large,
    serve, spawn_server, warm,
};
use ump::{
    RequestError, channel,
    hooks::{self, Cycle, LoopView, Wait, Watcher},
};

/// A watcher that finds a cycle in every wait.
struct Refuses;

impl Watcher for Refuses {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        Err(Cycle::new(["a"]))
    }
}

/// Sends a request under a watcher that refuses to let the caller sleep.
fn ask(client: &NumberClient, message: u32) -> Result<u32, RequestError<u32, ()>> {
    let _watched = hooks::watch(Arc::new(Refuses));
    client.request(message).wait()
}

/// Sends a request while another thread serves, and asserts that the outcome matches what happened.
fn refused_request_matches_the_counters((server, client): (NumberServer, NumberClient)) {
    let before = server.stats().accepted;
    let server = spawn_server(server);
    let outcome = ask(&client, 1);
    drop(client);
    let (taken, server) = server.join().unwrap();
    let stats = server.stats();
    assert_settled(stats);
    assert_eq!(stats.accepted, before + 1);
    let told = (stats.would_deadlock_queued, stats.would_deadlock_taken);
    match outcome {
        Ok(reply) => assert_eq!((reply, taken, told), (2, vec![1], (0, 0))),
        Err(RequestError::WouldDeadlock(message, _)) => {
            assert_eq!((message, taken, told), (1, vec![], (1, 0)));
        }
        Err(RequestError::WouldDeadlockTaken(_)) => {
            assert_eq!((taken, told), (vec![1], (0, 1)));
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// [COMMITTED: cleared by the caller against answered, and against a receiver that is about to
/// sleep]
#[test]
fn a_committed_request_is_answered_or_withdrawn() {
    explore(|| refused_request_matches_the_counters(warm()));
}

#[test]
fn a_request_in_the_injector_is_answered_or_withdrawn() {
    explore(|| refused_request_matches_the_counters(awake()));
}

#[test]
fn a_request_in_the_queue_is_answered_or_withdrawn() {
    explore(|| refused_request_matches_the_counters(channel()));
}

/// [PARITY; no trace of COMMITTED is left]
#[test]
fn a_request_after_a_withdrawn_committed_one_is_answered() {
    explore(|| {
        let (server, client) = warm();
        assert!(matches!(
            ask(&client, 1),
            Err(RequestError::WouldDeadlock(1, _))
        ));
        let server = spawn_server(server);
        assert_eq!(client.req(2), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [2]);
        assert_settled(server.stats());
        assert_eq!(server.stats().would_deadlock_queued, 1);
    });
}

/// [a slot whose committed request was abandoned is used again]
#[test]
fn a_request_after_an_abandoned_committed_one_is_answered() {
    explore(|| {
        let (server, client) = warm();
        let server = spawn_server(server);
        let first = ask(&client, 1);
        assert_eq!(client.req(2), Ok(3));
        drop(client);
        let (taken, server) = server.join().unwrap();
        let executed = !matches!(first, Err(RequestError::WouldDeadlock(1, _)));
        assert_eq!(taken.len(), 1 + usize::from(executed));
        assert_settled(server.stats());
    });
}

/// [lease: the caller holds it while a receiver is about to sleep]
#[test]
fn a_committed_request_is_withdrawn_while_two_receivers_go_to_sleep() {
    explore_large(|| {
        let (server, client) = warm();
        let server = loom::sync::Arc::new(server);
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || serve(&server).len())
            })
            .collect();
        let outcome = ask(&client, 1);
        drop(client);
        let taken: usize = workers.into_iter().map(|w| w.join().unwrap()).sum();
        let executed = !matches!(outcome, Err(RequestError::WouldDeadlock(1, _)));
        assert_eq!(taken, usize::from(executed));
        assert_settled(server.stats());
    });
}

/// Message and reply are dropped once, whichever end is quicker.
#[test]
fn a_withdrawn_committed_request_drops_its_message_once() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        loom_tests::warm_up(&server, &client, census.born(), |message| message);
        let handler = thread::spawn(move || {
            while let Ok((message, rctx)) = server.wait() {
                let _ = rctx.answer(Ok(message));
            }
        });
        let outcome = {
            let _watched = hooks::watch(Arc::new(Refuses));
            client.request(census.born()).wait()
        };
        drop((outcome, client));
        handler.join().unwrap();
        assert_eq!(census.alive(), 0);
    });
}

/// The watcher serves the request itself, so the caller's thread is also the receiver.
#[test]
fn a_request_is_queued_until_it_is_taken() {
    /// Checks on the server, from the same thread, that it has the request.
    struct Asks(NumberServer);

    impl Watcher for Asks {
        fn before(&self, wait: &Wait) -> Result<(), Cycle> {
            assert!(LoopView::new(&self.0).is_queued(wait.request()));
            let (n, rctx) = self.0.wait().unwrap();
            assert_eq!(rctx.id(), wait.request());
            assert!(!LoopView::new(&self.0).is_queued(wait.request()));
            answer(n, rctx);
            Err(Cycle::new(["a"]))
        }
    }

    for ends in [warm, awake, channel] {
        explore(move || {
            let (server, client) = ends();
            let _watched = hooks::watch(Arc::new(Asks(server)));
            assert!(
                matches!(client.request(1).wait(), Ok(2)),
                "it has been answered"
            );
        });
    }
}
