//! Models of a server that is closed while other threads send, hand requests over directly, wait
//! for room or wait for requests. Each request is served or refused, and every waiter sees the end.
//!
//! The ways in are those of `ump/src/channel/mod.rs`: the queue, the injector ([`awake`]), the
//! direct handoff ([`warm`]), and the wait for room.
#![cfg(loom)]

use std::future::IntoFuture;

use loom::{future::block_on, sync::Arc, thread};
use loom_tests::{
    NumberClient, NumberServer, answer, assert_settled, awake, explore, explore_fully,
    explore_large, poll_once, serve, some_day, warm, warm_up_free,
};
use ump::{Error, RequestError, SendError, bounded, channel};

/// Asserts that the channel is closed for both ends, and stays closed.
fn assert_closed(server: &NumberServer, client: &NumberClient) {
    assert!(client.is_closed());
    assert_eq!(client.req(7), Err(Error::ServerDisappeared));
    assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
    assert_settled(server.stats());
}

/// One thread sends a request. The other closes the server and serves the rest.
fn a_request_against_close((server, client): (NumberServer, NumberClient)) {
    let asking = thread::spawn(move || (client.req(1), client));
    server.close();
    let taken = serve(&server);
    let (outcome, client) = asking.join().unwrap();
    match outcome {
        Ok(reply) => assert_eq!((reply, &taken[..]), (2, &[1][..])),
        Err(error) => {
            assert_eq!(error, Error::ServerDisappeared);
            assert!(taken.is_empty());
        }
    }
    assert_closed(&server, &client);
}

#[test]
fn a_request_that_queues_is_served_or_refused() {
    explore(|| a_request_against_close(channel()));
}

#[test]
fn a_request_that_enters_the_injector_is_served_or_refused() {
    explore(|| a_request_against_close(awake()));
}

#[test]
fn a_handed_over_request_is_served_or_refused() {
    explore(|| a_request_against_close(warm()));
}

/// One receiver watches the armed slot while another thread closes the server.
#[test]
fn a_request_handed_to_a_waiting_receiver_is_served_or_refused() {
    explore_large(|| {
        let (server, client) = warm();
        let server = Arc::new(server);
        let serving = {
            let server = Arc::clone(&server);
            thread::spawn(move || serve(&server))
        };
        let asking = thread::spawn(move || (client.req(1), client));
        server.close();
        let (outcome, client) = asking.join().unwrap();
        let taken = serving.join().unwrap();
        match outcome {
            Ok(reply) => assert_eq!((reply, &taken[..]), (2, &[1][..])),
            Err(error) => {
                assert_eq!(error, Error::ServerDisappeared);
                assert!(taken.is_empty());
            }
        }
        assert_closed(&server, &client);
    });
}

/// Nothing opens the injector or arms the handoff again: neither taking a request nor having served
/// the same client before.
#[test]
fn what_is_served_after_the_close_opens_nothing() {
    explore(|| {
        let (server, client) = warm();
        client.post(1).wait().unwrap();
        server.close();
        let asking = thread::spawn(move || {
            let (taken, rctx) = server.wait().unwrap();
            answer(taken, rctx);
            server
        });
        let refused = client.post(2).wait();
        assert!(matches!(refused, Err(SendError::ServerDisappeared(2))));
        let server = asking.join().unwrap();
        assert_closed(&server, &client);
    });
}

#[test]
fn a_handed_over_request_is_taken_before_the_end() {
    explore(|| {
        let (server, client) = warm();
        let mut call = client.request(1).into_future();
        assert!(poll_once(&mut call).is_pending());
        let serving = thread::spawn(move || {
            server.close();
            (serve(&server), server)
        });
        assert_eq!(block_on(call).ok(), Some(2));
        let (taken, server) = serving.join().unwrap();
        assert_eq!(taken, [1]);
        assert_closed(&server, &client);
    });
}

#[test]
fn a_withdrawn_handed_over_request_leaves_nothing_to_serve() {
    explore(|| {
        let (server, client) = warm();
        let mut call = client.request(1).into_future();
        assert!(poll_once(&mut call).is_pending());
        let serving = thread::spawn(move || {
            server.close();
            (serve(&server), server)
        });
        drop(call);
        let (taken, server) = serving.join().unwrap();
        let stats = server.stats();
        assert_eq!(
            stats.cancelled_queued + stats.cancelled_taken + stats.replied,
            2
        );
        assert_eq!(taken.len() as u64, 1 - stats.cancelled_queued);
        assert_closed(&server, &client);
    });
}

#[test]
fn a_handed_over_request_with_a_deadline_ends_once() {
    explore(|| {
        let (server, client) = warm();
        let serving = thread::spawn(move || {
            server.close();
            (serve(&server), server)
        });
        let outcome = client.request(1).deadline(some_day()).wait();
        let (taken, server) = serving.join().unwrap();
        match outcome {
            Ok(reply) => assert_eq!((reply, &taken[..]), (2, &[1][..])),
            Err(RequestError::TimeoutTaken) => assert_eq!(taken, [1]),
            Err(
                RequestError::ServerDisappeared(message) | RequestError::TimeoutQueued(message),
            ) => {
                assert_eq!(message, 1);
                assert!(taken.is_empty());
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_closed(&server, &client);
    });
}

#[test]
fn a_thread_that_waits_learns_of_the_end() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let waiting = {
            let server = Arc::clone(&server);
            thread::spawn(move || server.wait().err())
        };
        server.close();
        assert_eq!(waiting.join().unwrap(), Some(Error::ClientsDisappeared));
        assert_closed(&server, &client);
    });
}

#[test]
fn a_task_that_waits_learns_of_the_end() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let waiting = {
            let server = Arc::clone(&server);
            thread::spawn(move || block_on(server.async_wait()).err())
        };
        server.close();
        assert_eq!(waiting.join().unwrap(), Some(Error::ClientsDisappeared));
        assert_closed(&server, &client);
    });
}

#[test]
fn a_polling_receiver_sees_the_end() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let polling = {
            let server = Arc::clone(&server);
            let poll = move || block_on(std::future::poll_fn(|cx| server.poll_wait(cx))).err();
            thread::spawn(poll)
        };
        server.close();
        assert_eq!(polling.join().unwrap(), Some(Error::ClientsDisappeared));
        assert_closed(&server, &client);
    });
}

#[test]
fn closed_resolves_when_the_server_goes() {
    explore_fully(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let waiting = thread::spawn(move || {
            block_on(client.closed());
            assert!(client.is_closed());
        });
        drop(server);
        waiting.join().unwrap();
    });
}

#[test]
fn a_dropped_closed_future_is_not_woken() {
    explore_fully(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut closed = client.closed();
        let is_late = poll_once(&mut closed).is_ready();
        let going = thread::spawn(move || drop(server));
        drop(closed);
        going.join().unwrap();
        assert!(!is_late && poll_once(&mut client.closed()).is_ready());
    });
}

#[test]
fn deserted_resolves_when_the_last_client_goes() {
    explore_fully(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let leaving = thread::spawn(move || drop(client));
        block_on(server.deserted());
        assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
        leaving.join().unwrap();
    });
}

#[test]
fn what_the_last_client_sent_is_found_when_it_has_left() {
    for ends in [channel::<u32, u32, ()>, awake] {
        explore(move || {
            let (server, client) = ends();
            let leaving = thread::spawn(move || client.post(1).wait().unwrap());
            block_on(server.deserted());
            assert!(!server.is_empty());
            assert_eq!(serve(&server), [1]);
            leaving.join().unwrap();
        });
    }
}

#[test]
fn two_clients_leave_and_the_last_one_wakes() {
    explore_large(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let leaving = [client.clone(), client].map(|it| thread::spawn(move || drop(it)));
        block_on(server.deserted());
        assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
        for thread in leaving {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_dropped_wait_for_the_last_client_leaves_nothing() {
    explore_fully(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut deserted = server.deserted();
        let is_late = poll_once(&mut deserted).is_ready();
        let leaving = thread::spawn(move || drop(client));
        drop(deserted);
        leaving.join().unwrap();
        assert!(!is_late && poll_once(&mut server.deserted()).is_ready());
    });
}

/// Creates a channel that hands over directly the next request of
/// [`Client::req_async`](ump::Client::req_async).
fn warm_free() -> (NumberServer, NumberClient) {
    let (server, client) = channel();
    warm_up_free(&server, &client, 0, |n| n + 1);
    (server, client)
}

/// Both the client and its request are gone in the end.
#[test]
fn a_cancelled_request_wakes_the_drain() {
    for ends in [channel::<u32, u32, ()>, awake, warm_free] {
        explore(move || {
            let (server, client) = ends();
            let asked = client.req_async(1).unwrap();
            let leaving = thread::spawn(move || {
                drop(client);
                drop(asked);
            });
            block_on(server.drained());
            assert_eq!(server.try_pop().err(), Some(Error::ClientsDisappeared));
            leaving.join().unwrap();
            assert_settled(server.stats());
        });
    }
}

#[test]
fn a_request_that_another_takes_wakes_the_drain() {
    for ends in [channel::<u32, u32, ()>, awake, warm_free] {
        explore(move || {
            let (server, client) = ends();
            let server = Arc::new(server);
            let asked = client.req_async(1).unwrap();
            drop(client);
            let taking = {
                let server = Arc::clone(&server);
                thread::spawn(move || serve(&server))
            };
            block_on(server.drained());
            assert_eq!(asked.wait(), Ok(2));
            assert_eq!(taking.join().unwrap(), [1]);
            assert_settled(server.stats());
        });
    }
}

/// Two receivers share one request: the one that takes it and the one that does not both see the
/// end.
#[test]
fn two_receivers_learn_of_the_end() {
    explore_large(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let waiting = {
            let server = Arc::clone(&server);
            thread::spawn(move || serve(&server))
        };
        let closing = {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                client.post(1).wait().unwrap();
                server.close();
                client
            })
        };
        let mut taken = serve(&server);
        let client = closing.join().unwrap();
        taken.extend(waiting.join().unwrap());
        assert_eq!(taken, [1]);
        assert_closed(&server, &client);
    });
}

#[test]
fn one_that_waits_for_room_is_served_or_refused() {
    explore(|| {
        let (server, client) = bounded(1).unwrap();
        client.post(1).wait().unwrap();
        let posting = thread::spawn(move || (client.post(2).wait(), client));
        server.close();
        let (refused, client) = posting.join().unwrap();
        assert!(matches!(refused, Err(SendError::ServerDisappeared(2))));
        assert_eq!(serve(&server), [1]);
        assert_closed(&server, &client);
    });
}

/// A sender is woken for room, but the server is closed before the sender can use it.
#[test]
fn one_that_is_woken_for_room_is_served_or_refused() {
    explore(|| {
        let (server, client) = bounded(1).unwrap();
        client.post(1).wait().unwrap();
        let posting = thread::spawn(move || (block_on(client.post(2).into_future()), client));
        let (n, rctx) = server.wait().unwrap();
        answer(n, rctx);
        server.close();
        let taken = serve(&server);
        let (outcome, client) = posting.join().unwrap();
        match outcome {
            Ok(()) => assert_eq!(taken, [2]),
            Err(SendError::ServerDisappeared(2)) => assert!(taken.is_empty()),
            Err(other) => panic!("{other:?}"),
        }
        assert_closed(&server, &client);
    });
}

/// The armed slot is freed by the end that lets go of it last.
#[test]
fn a_client_goes_while_the_server_is_closed() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        server.close();
        assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
        drop(server);
        client.join().unwrap();
    });
}

/// A queued request ends although no receiver serves it.
#[test]
fn a_server_that_is_closed_and_goes_ends_what_came_before() {
    explore(|| {
        let (server, client) = warm();
        let going = thread::spawn(move || {
            server.close();
            drop(server);
        });
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        going.join().unwrap();
        assert_settled(client.stats());
    });
}

/// Invariant 2 of the handoff: one thread refuses all requests while another one holds the lease.
/// The direct request is answered or rejected.
#[test]
fn a_request_handed_over_while_a_thread_refuses_ends_once() {
    explore_large(|| {
        let (server, client) = warm();
        let server = Arc::new(server);
        let refusing = {
            let server = Arc::clone(&server);
            thread::spawn(move || server.refuse())
        };
        let asking = thread::spawn(move || match client.req(1) {
            Ok(reply) => assert_eq!(reply, 2),
            Err(error) => assert_eq!(error, Error::ServerDisappeared),
        });
        while let Ok((n, rctx)) = server.wait() {
            answer(n, rctx);
        }
        refusing.join().unwrap();
        asking.join().unwrap();
        assert_settled(server.stats());
    });
}
