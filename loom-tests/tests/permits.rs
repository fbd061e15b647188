//! Models of reserved room: next to a waiting sender, next to the end of the server, and dropped
//! while woken.

#![cfg(loom)]

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use loom::{future::block_on, thread};
use loom_tests::{block_on::quietly, explore, poll_once};
use ump::{
    Client, RequestError, SendError,
    hooks::{self, Cycle, Wait, Watcher},
};

/// The room of a dropped permit goes to the waiting sender, whether it blocks or awaits.
#[test]
fn a_dropped_permit_lets_a_waiting_sender_in() {
    for awaits in [false, true] {
        loom::model(move || {
            let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
            let permit = client.reserve().wait().unwrap();
            let other = client.clone();
            let sending = thread::spawn(move || {
                let sent = if awaits {
                    block_on(std::future::IntoFuture::into_future(other.post(1)))
                } else {
                    other.post(1).wait()
                };
                sent.unwrap();
            });
            drop(permit);
            sending.join().unwrap();
            assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
            assert_eq!(client.stats().reserved, 0);
        });
    }
}

/// A second reservation waits until the request of the first one is taken.
#[test]
fn a_waiting_reservation_gets_the_room_of_a_taken_request() {
    loom::model(|| {
        let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
        let permit = client.reserve().wait().unwrap();
        let other = client.clone();
        let reserving = thread::spawn(move || {
            let permit = other.reserve().wait().unwrap();
            permit.request(2).post().wait().unwrap();
        });
        permit.request(1).post().wait().unwrap();
        assert_eq!(server.wait().unwrap().0, 1);
        assert_eq!(server.wait().unwrap().0, 2);
        reserving.join().unwrap();
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.replied + stats.no_reply), (2, 2));
    });
}

/// If the server ends, a request by permit still ends exactly once, and never waits.
#[test]
fn a_request_by_permit_beside_the_end_of_the_server() {
    loom::model(|| {
        let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
        let permit = client.reserve().wait().unwrap();
        let closing = thread::spawn(move || drop(server));
        let ended = permit.request(7).wait();
        assert_eq!(ended, Err(RequestError::ServerDisappeared(7)));
        closing.join().unwrap();
        let stats = client.stats();
        assert_eq!(stats.reserved, 0);
        assert_eq!(stats.accepted, stats.server_disappeared);
        assert_eq!(stats.accepted + stats.refused, 1);
    });
}

/// A sender that waits to reserve room sees the end of the server.
#[test]
fn a_waiting_reservation_beside_the_end_of_the_server() {
    loom::model(|| {
        let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
        let permit = client.reserve().wait().unwrap();
        let other = client.clone();
        let reserving = thread::spawn(move || other.reserve().wait().map(drop));
        server.close();
        drop(permit);
        let reserved = reserving.join().unwrap();
        assert!(matches!(
            reserved,
            Ok(()) | Err(SendError::ServerDisappeared(()))
        ));
        assert_eq!(client.stats().reserved, 0);
        drop(server);
    });
}

/// Waits for room in one of two ways, and sends.
fn sending(client: Client<u32, (), ()>, reserves: bool) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        if reserves {
            let permit = client.reserve().await.unwrap();
            permit.request(2).post().await.unwrap();
        } else {
            client.post(2).await.unwrap();
        }
    })
}

/// A future that waits for room is polled with one waker and then with another one, which is woken:
/// that of a task, or that of a thread which drives it.
#[test]
fn room_wakes_the_latest_waker() {
    for (reserves, drives) in [(false, false), (false, true), (true, false), (true, true)] {
        explore(move || {
            let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
            client.post(1).wait().unwrap();
            let clock = client.clock().clone();
            let mut sending = sending(client, reserves);
            assert!(poll_once(&mut sending).is_pending());
            let taking = thread::spawn(move || {
                assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
                server
            });
            if drives {
                clock.block_on(sending, None).unwrap();
            } else {
                quietly(sending);
            }
            let server = taking.join().unwrap();
            assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
        });
    }
}

/// Exchanges each waker for one that counts.
struct Exchanges(Arc<AtomicUsize>);

impl Watcher for Exchanges {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        Ok(())
    }

    fn polled(&self, _: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
        let (woken, task) = (Arc::clone(&self.0), waker.clone());
        Ok(Some(Waker::from(Arc::new(Counts { woken, task }))))
    }
}

struct Counts {
    woken: Arc<AtomicUsize>,
    task: Waker,
}

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

/// A future that waits for room is woken by the waker that the watcher has returned, also if it was
/// polled with another one before.
#[test]
fn room_wakes_the_exchanged_waker() {
    for (reserves, is_polled) in [(false, false), (false, true), (true, false), (true, true)] {
        explore(move || {
            let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
            client.post(1).wait().unwrap();
            let mut sending = sending(client, reserves);
            if is_polled {
                assert!(poll_once(&mut sending).is_pending());
            }
            let taking = thread::spawn(move || {
                assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
                server
            });
            let woken = Arc::<AtomicUsize>::default();
            let watched = hooks::watch(Arc::new(Exchanges(Arc::clone(&woken))));
            let mut pending = 0;
            quietly(poll_fn(|cx| {
                let polled = sending.as_mut().poll(cx);
                pending += usize::from(polled.is_pending());
                polled
            }));
            drop(watched);
            assert_eq!(woken.load(Ordering::SeqCst), pending);
            let server = taking.join().unwrap();
            assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
        });
    }
}
