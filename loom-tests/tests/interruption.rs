//! Models of interruptions: none is lost, and none loses a request.
#![cfg(loom)]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use loom_tests::{answer, assert_settled, explore, explore_large, some_day, warm};
use ump::{Error, channel, hooks::LoopView};

/// One thread sets a flag, then interrupts. The receiver reads the flag before each wait.
#[test]
fn what_was_set_before_is_seen() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let shared = Arc::new((server, AtomicBool::new(false)));
        let raising = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(true, Ordering::Relaxed);
                shared.0.interrupt();
            })
        };
        let (server, flag) = &*shared;
        while !flag.load(Ordering::Relaxed) {
            assert!(server.wait_until(None).unwrap().is_none());
        }
        raising.join().unwrap();
        drop(client);
    });
}

/// Sends a request at the same time as an interruption.
fn with_a_request(ends: (loom_tests::NumberServer, loom_tests::NumberClient)) {
    let (server, client) = ends;
    let shared = Arc::new((server, AtomicBool::new(false)));
    let raising = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            shared.1.store(true, Ordering::Relaxed);
            shared.0.interrupt();
        })
    };
    let asking = thread::spawn(move || {
        assert_eq!(client.req(1), Ok(2));
        client
    });
    let (server, flag) = &*shared;
    let mut served = 0;
    while served == 0 || !flag.load(Ordering::Relaxed) {
        if let Some((n, rctx)) = server.wait_until(None).unwrap() {
            answer(n, rctx);
            served += 1;
        } else {
            assert!(flag.load(Ordering::Relaxed));
        }
    }
    raising.join().unwrap();
    drop(asking.join().unwrap());
    assert_settled(server.stats());
}

#[test]
fn an_interruption_loses_no_queued_request() {
    explore_large(|| with_a_request(channel()));
}

#[test]
fn an_interruption_loses_no_handed_over_request() {
    explore_large(|| with_a_request(warm()));
}

/// Whichever comes first, the request is taken, and the interruption is seen before the next sleep.
#[test]
fn an_interruption_that_meets_a_request_is_kept() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let other = {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                client.post(1).wait().unwrap();
                server.interrupt();
                client
            })
        };
        let (mut served, mut interrupted) = (0, 0);
        while served + interrupted < 2 {
            match server.wait_until(None).unwrap() {
                Some((n, rctx)) => {
                    answer(n, rctx);
                    served += 1;
                }
                None => interrupted += 1,
            }
        }
        assert_eq!((served, interrupted), (1, 1));
        let client = other.join().unwrap();
        assert_settled(client.stats());
    });
}

/// The wait has a deadline which may pass.
#[test]
fn one_that_is_late_and_interrupted_comes_back_once_or_twice() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let raising = {
            let server = Arc::clone(&server);
            thread::spawn(move || server.interrupt())
        };
        assert!(server.wait_deadline(some_day()).unwrap().is_none());
        raising.join().unwrap();
        drop(client);
        // The interruption may still be pending or not.
        let end = server.wait_until(None);
        assert_eq!(end.err(), Some(Error::ClientsDisappeared));
    });
}

/// The interruption wakes the receiver that it concerns, although another receiver sleeps as well.
#[test]
fn it_wakes_the_one_that_it_is_for() {
    explore_large(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let waiting = {
            let server = Arc::clone(&server);
            thread::spawn(move || server.wait().err())
        };
        let limited = {
            let server = Arc::clone(&server);
            thread::spawn(move || server.wait_until(None).unwrap().is_none())
        };
        server.interrupt();
        assert!(limited.join().unwrap());
        drop(client);
        assert_eq!(waiting.join().unwrap(), Some(Error::ClientsDisappeared));
    });
}

/// Two workers both see what one interruption announces.
#[test]
fn workers_that_know_how_many_there_were_miss_none() {
    explore_large(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let shared = Arc::new((server, AtomicBool::new(false)));
        let work = |shared: Arc<(ump::Server<u32, u32, ()>, AtomicBool)>| {
            let (server, flag) = &*shared;
            loop {
                let known = LoopView::new(server).interruptions();
                if flag.load(Ordering::Relaxed) {
                    break;
                }
                assert!(
                    LoopView::new(server)
                        .wait_since(known, None)
                        .unwrap()
                        .is_none()
                );
            }
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(shared))
        };
        let raising = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1.store(true, Ordering::Relaxed);
                shared.0.interrupt();
            })
        };
        work(shared);
        other.join().unwrap();
        raising.join().unwrap();
        drop(client);
    });
}
