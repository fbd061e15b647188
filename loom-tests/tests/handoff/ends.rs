//! A client, the server or a handler goes.

use loom::thread;
use loom_tests::{Census, assert_settled, explore, serve, spawn_server, warm, warm_up_free};
use ump::{Error, RequestError, channel};

/// [ORPHAN against disarming]
#[test]
fn a_client_goes_while_its_slot_is_armed() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
        client.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [ORPHAN against disarming]
#[test]
fn both_ends_go_while_a_slot_is_armed() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        drop(server);
        client.join().unwrap();
    });
}

/// [ORPHAN: the handoff frees the slot when it moves to another one]
#[test]
fn an_orphaned_slot_makes_room_for_another_client() {
    explore(|| {
        let (server, client) = warm();
        let other = client.clone();
        let client = thread::spawn(move || drop(client));
        let server = spawn_server(server);
        assert_eq!(other.req(1), Ok(2));
        drop(other);
        client.join().unwrap();
        let (taken, server) = server.join().unwrap();
        assert_eq!(taken, [1]);
        assert_settled(server.stats());
    });
}

/// [HANDED against disarming]
#[test]
fn a_server_that_goes_ends_a_handed_over_request() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || drop(server));
        assert_eq!(client.req(1), Err(Error::ServerDisappeared));
        server.join().unwrap();
        let stats = client.stats();
        assert_settled(stats);
        assert_eq!(stats.server_disappeared + stats.refused, 1);
    });
}

/// [slot 1: the message of a direct request comes back]
#[test]
fn a_server_that_goes_gives_back_a_handed_over_message() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, (), ()>();
        warm_up_free(&server, &client, census.born(), drop);
        let reply = client.request(census.born()).submit().wait().unwrap();
        let server = thread::spawn(move || drop(server));
        match reply.wait() {
            Err(RequestError::ServerDisappeared(message)) => drop(message),
            other => panic!("{other:?}"),
        }
        server.join().unwrap();
        assert_eq!(census.alive(), 0);
        assert_settled(client.stats());
    });
}

#[test]
fn a_dropped_context_fails_a_handed_over_request() {
    explore(|| {
        let (server, client) = warm();
        let server = thread::spawn(move || {
            drop(server.wait().unwrap());
            server
        });
        assert_eq!(client.req(1), Err(Error::NoReply));
        let server = server.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(server.stats().no_reply, 1);
    });
}

/// The last client leaves right after it has handed a request over.
#[test]
fn a_handed_over_request_is_answered_though_its_client_goes() {
    explore(|| {
        let (server, client) = channel();
        warm_up_free(&server, &client, 0, |n| n + 1);
        let server = thread::spawn(move || serve(&server));
        let reply = client.req_async(1).unwrap();
        drop(client);
        assert_eq!(reply.wait(), Ok(2));
        assert_eq!(server.join().unwrap(), [1]);
    });
}
