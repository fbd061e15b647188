//! Models made for seeded faults that no other test catches: see `faults` and `.ci/faults`.
//!
//! The allocator overwrites memory before it frees it. A later access finds values that loom's
//! primitives do not accept as their own.
#![cfg(loom)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::IntoFuture,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
};

use loom::{sync::Arc, thread};
use loom_tests::{
    answer, assert_settled, awake, explore, explore_fully, explore_large, poll_once, serve,
    spawn_server_for, warm,
};
use ump::{Error, channel};

/// An allocator that overwrites the memory that it frees.
struct Spoiler;

#[global_allocator]
static SPOILER: Spoiler = Spoiler;

// SAFETY: each call is forwarded to `System` unchanged.
unsafe impl GlobalAlloc for Spoiler {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same for `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`: the block has this size and is no
        // longer used. `black_box` hides from the compiler that nothing reads the bytes.
        unsafe { black_box(memory).write_bytes(0xA5, layout.size()) };
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same for `System`.
        unsafe { System.dealloc(black_box(memory), layout) }
    }
}

/// [handoff 1: requests on their way from the injector into the queue do not make the queue look
/// empty]
#[test]
fn a_handed_over_request_does_not_overtake_the_injected_post_of_its_thread() {
    explore_fully(|| {
        let (server, client) = warm();
        let other = client.clone();
        let server = spawn_server_for(server, 2);
        other.post(1).wait().unwrap();
        let mut request = client.request(2).into_future();
        let _ = poll_once(&mut request);
        let (taken, server) = server.join().unwrap();
        drop(request);
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

/// [handoff 3: a request that one receiver has answered without the lock is known to the next
/// receiver, by the lease alone]
///
/// The second receiver looks only if the first one has the request. It reads a flag that loom does
/// not see, so the flag orders nothing in the model.
#[test]
fn a_request_taken_by_one_receiver_is_not_taken_by_another() {
    explore_large(|| {
        let (server, client) = warm();
        let server = Arc::new(server);
        let taken = std::sync::Arc::new(AtomicBool::new(false));
        let second = {
            let (server, taken) = (server.clone(), taken.clone());
            thread::spawn(move || {
                if taken.load(Ordering::SeqCst) {
                    assert!(server.try_pop().unwrap().is_none());
                }
            })
        };
        let first = {
            let server = server.clone();
            thread::spawn(move || {
                let (n, rctx) = server.wait().unwrap();
                taken.store(true, Ordering::SeqCst);
                answer(n, rctx);
            })
        };
        assert_eq!(client.req(1), Ok(2));
        first.join().unwrap();
        second.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [ORPHAN: the memory stays until the handoff has released the slot]
#[test]
fn the_slot_of_a_client_that_goes_stays_while_it_is_watched() {
    explore(|| {
        let (server, client) = warm();
        let client = thread::spawn(move || drop(client));
        assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
        client.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [ORPHAN: a slot whose last request was queued stays as well]
#[test]
fn the_slot_of_a_client_that_queued_stays_while_it_is_watched() {
    explore(|| {
        let (server, client) = warm();
        let mut request = client.request(1).urgent().into_future();
        assert!(poll_once(&mut request).is_pending());
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        answer(n, rctx);
        assert_eq!(
            poll_once(&mut request).map(Result::ok),
            Poll::Ready(Some(2))
        );
        drop(request);
        let client = thread::spawn(move || drop(client));
        assert_eq!(server.wait().err(), Some(Error::ClientsDisappeared));
        client.join().unwrap();
        assert_settled(server.stats());
    });
}

/// [pool: one thread has the right to the first slot]
#[test]
fn two_that_share_a_client_have_a_slot_each() {
    explore(|| {
        let (server, client) = awake();
        let client = Arc::new(client);
        let other = {
            let client = client.clone();
            thread::spawn(move || client.post(1).wait().unwrap())
        };
        client.post(2).wait().unwrap();
        other.join().unwrap();
        drop(client);
        let mut taken = serve(&server);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert_settled(server.stats());
    });
}

/// [pool: the first slot is put back after its outcome was read, by a store that its next use pairs
/// with]
#[test]
fn a_slot_is_not_used_again_before_its_outcome_was_read() {
    explore(|| {
        let (server, client) = channel();
        let client = Arc::new(client);
        let other = {
            let client = client.clone();
            thread::spawn(move || assert_eq!(client.req(1), Ok(2)))
        };
        let (n, rctx) = server.wait().unwrap();
        answer(n, rctx);
        let mut request = client.request(10).into_future();
        assert!(poll_once(&mut request).is_pending());
        let (n, rctx) = server.wait().unwrap();
        answer(n, rctx);
        assert_eq!(
            poll_once(&mut request).map(Result::ok),
            Poll::Ready(Some(11))
        );
        other.join().unwrap();
        assert_settled(server.stats());
    });
}
