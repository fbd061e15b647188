//! Receivers and senders that stop waiting pass their wake-up on.

use loom::{future::block_on, thread};
use loom_tests::{answer, assert_settled, explore, explore_with_less, poll_once, serve};
use ump::channel;

/// [a task that yields has not registered its waker and need not pass a wake-up on; in a model only
/// the second of two waits yields]
#[test]
fn a_receiver_that_yields_and_leaves_takes_no_wake_up() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        assert!(poll_once(&mut Box::pin(server.async_wait())).is_pending());
        let server = loom::sync::Arc::new(server);
        let mut leaving = Box::pin(server.async_wait());
        assert!(poll_once(&mut leaving).is_pending());
        let staying = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = block_on(server.async_wait()).unwrap();
                answer(n, rctx);
            })
        };
        let reply = client.req_async(1).unwrap();
        drop(leaving);
        assert_eq!(reply.wait(), Ok(2));
        staying.join().unwrap();
    });
}

/// [a woken receiver that leaves without taking wakes the next] Explored with two preemptions less:
/// with one less it takes many minutes.
#[test]
fn a_server_that_stops_waiting_passes_its_wake_up_on() {
    explore_with_less(2, || {
        let (server, client) = channel::<u32, u32, ()>();
        let server = loom::sync::Arc::new(server);
        let waiting = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = server.wait().unwrap();
                answer(n, rctx);
            })
        };
        let leaving = {
            let server = server.clone();
            thread::spawn(move || {
                let mut requests = server.stream();
                let next = futures_next(&mut requests);
                drop(requests);
                if let Some((n, rctx)) = next {
                    // This receiver was quicker. The other one waits for a second request.
                    answer(n, rctx);
                    return true;
                }
                false
            })
        };
        assert_eq!(client.req(1), Ok(2));
        if leaving.join().unwrap() {
            assert_eq!(client.req(2), Ok(3));
        }
        waiting.join().unwrap();
    });
}

/// Polls the stream once.
fn futures_next(
    requests: &mut ump::Requests<'_, u32, u32, ()>,
) -> Option<(u32, ump::ReplyContext<u32, ()>)> {
    use std::task::{Context, Poll, Waker};

    match requests.poll_wait(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(job)) => Some(job),
        _ => None,
    }
}

#[test]
fn a_full_queue_lets_each_sender_in_when_there_is_room() {
    explore(|| {
        let (server, client) = ump::bounded(1).unwrap();
        client.post(1).wait().unwrap();
        let other = client.clone();
        let other = thread::spawn(move || other.post(2).wait().unwrap());
        let server = thread::spawn(move || (serve(&server), server));
        other.join().unwrap();
        drop(client);
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

#[test]
fn a_sender_that_gives_up_passes_the_room_on() {
    explore(|| {
        let (server, client) = ump::bounded::<u32, u32, ()>(1).unwrap();
        client.post(1).wait().unwrap();
        let waiting = client.clone();
        let waiting = thread::spawn(move || waiting.post(2).wait().unwrap());
        let taking = thread::spawn(move || {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
            server
        });
        let mut leaving = Box::pin(async { client.post(3).await });
        let let_in = poll_once(&mut leaving).is_ready();
        drop(leaving);
        let server = taking.join().unwrap();
        if let_in {
            let (n, rctx) = server.wait().unwrap();
            answer(n, rctx);
        }
        waiting.join().unwrap();
        assert_eq!(server.len(), 1);
    });
}

/// [a request that enters wakes a receiver: one each]
#[test]
fn two_waiting_servers_get_one_request_each() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = loom::sync::Arc::new(server);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                thread::spawn(move || {
                    let (n, rctx) = server.wait().unwrap();
                    answer(n, rctx);
                })
            })
            .collect();
        client.post(1).wait().unwrap();
        client.post(2).wait().unwrap();
        for server in waiting {
            server.join().unwrap();
        }
        assert_settled(server.stats());
    });
}
