//! Models of reserved room: next to a waiting sender, next to the end of the server, and dropped
//! while woken.

#![cfg(loom)]

use loom::{future::block_on, thread};
use ump::{RequestError, SendError};

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
