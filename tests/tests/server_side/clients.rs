//! Clients that come and go, and the length of the queue that they see.

use super::*;

// ---- clients that come and go

/// Many threads upgrade a weak client while the last strong client goes: once one upgrade has
/// failed, all later ones fail.
#[test]
fn a_weak_client_never_revives_a_channel_in_a_race() {
    must_end(|| {
        for _ in 0..200 {
            let (server, client): Ends = ump::channel();
            let weak = client.weak();
            let start = Barrier::new(4);
            let gone = AtomicBool::new(false);
            let revived = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..3 {
                    let weak = weak.clone();
                    let (start, gone, revived) = (&start, &gone, &revived);
                    scope.spawn(move || {
                        start.wait();
                        for _ in 0..20 {
                            let was_gone = gone.load(Ordering::SeqCst);
                            if let Some(client) = weak.upgrade() {
                                revived.fetch_add(usize::from(was_gone), Ordering::SeqCst);
                                client.post(1).wait().unwrap();
                            } else {
                                gone.store(true, Ordering::SeqCst);
                            }
                        }
                    });
                }
                start.wait();
                drop(client);
                // The server ends when the last client has gone, after all requests of these
                // clients.
                while server.wait().is_ok() {}
            });
            assert_eq!(revived.into_inner(), 0);
            assert!(weak.upgrade().is_none());
            assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
            assert_balanced(&server.stats());
            assert_eq!(server.stats().queued, 0);
        }
    });
}

/// The server sees the end exactly when no client is left.
#[test]
fn cloning_clients_on_many_threads_keeps_count() {
    must_end(|| {
        for _ in 0..100 {
            let (server, client): Ends = ump::channel();
            let start = Barrier::new(4);
            thread::scope(|scope| {
                let server = server;
                for _ in 0..3 {
                    let (client, start) = (client.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        let clones: Vec<_> = (0..10).map(|_| client.clone()).collect();
                        drop(client);
                        for client in clones {
                            client.post(1).wait().unwrap();
                        }
                    });
                }
                drop(client);
                start.wait();
                assert_eq!(server.iter().count(), 30);
            });
        }
    });
}

#[test]
fn a_client_sees_that_the_server_is_gone() {
    let (server, client): Ends = ump::channel();
    assert!(!client.is_closed());
    let kept = client.req_async(7).unwrap();
    let (_, rctx) = server.wait().unwrap();
    drop(server);
    assert!(client.is_closed());
    assert!(client.clone().is_closed());
    assert!(client.weak().upgrade().unwrap().is_closed());
    rctx.reply(8).unwrap();
    assert!(client.is_closed());
    assert_eq!(kept.wait(), Ok(8));
}

// ---- the length

#[test]
fn both_ends_see_the_length_of_both_lanes() {
    let (server, client): Ends = ump::channel();
    let check = |len| {
        assert_eq!((server.len(), client.len()), (len, len));
        assert_eq!(server.is_empty(), len == 0);
        assert_eq!(server.was_empty(), len == 0);
        assert_eq!(client.is_empty(), len == 0);
        assert_eq!(server.stats().queued, len as u64);
        assert_eq!(server.stats(), client.stats());
    };
    check(0);
    let kept = client.req_async(1).unwrap();
    check(1);
    client.post(2).urgent().wait().unwrap();
    check(2);
    client.post(3).wait().unwrap();
    check(3);
    drop(kept);
    check(2);
    let held = server.try_pop().unwrap().unwrap();
    check(1);
    drop(held);
    check(1);
    assert_eq!(server.wait().unwrap().0, 3);
    check(0);
    assert!(server.try_pop().unwrap().is_none());
    check(0);
}

#[test]
fn a_server_that_is_gone_leaves_nothing_in_the_queue() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..3);
    drop(server);
    assert!(client.is_empty());
    assert!(client.post(4).wait().is_err());
    assert_eq!(client.len(), 0);
}
