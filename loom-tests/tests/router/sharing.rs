//! Models of members that share a subscription.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use loom::thread;
use loom_tests::{block_on::quietly, explore_fully, poll_once};
use ump_router::{Router, SubscribeOptions, Subscription};

use super::{Number, Seen, drain, numbers, publish};

fn join(router: &Router) -> Subscription<Number> {
    let options = SubscribeOptions::new();
    router.subscribe_shared("w", "a", options).unwrap()
}

/// [queue 2, sleepers 2: each message wakes a member]
#[test]
fn each_of_two_members_receives_a_message() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let [mut one, mut other] = [(); 2].map(|()| join(&router));
        let thread = thread::spawn(move || one.recv().wait().unwrap().0);
        assert_eq!([publish(&router, 1), publish(&router, 2)], [(1, 1, 0); 2]);
        let received = quietly(other.recv()).unwrap().0;
        add.add([thread.join().unwrap(), received]);
    });
    seen.exactly(&[[1, 2], [2, 1]]);
}

/// A waker that notes that it was called.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// [sleepers 2: a member that was woken and does not receive wakes another one]
#[test]
fn a_cancelled_member_passes_its_wake_up_on() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let [mut one, mut other] = [(); 2].map(|()| join(&router));
        let cancelled = thread::spawn(move || {
            let mut waits = one.recv();
            let received = poll_once(&mut waits).is_ready();
            drop(waits);
            received
        });
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut waits = pin!(other.recv());
        let mut cx = Context::from_waker(&waker);
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        publish(&router, 1);
        let is_received = cancelled.join().unwrap();
        if !is_received {
            // It does not look again unless it is woken.
            assert!(flag.0.load(Ordering::Relaxed));
            assert!(waits.poll(&mut cx).is_ready());
        }
        add.add(is_received);
    });
    seen.exactly(&[true, false]);
}

/// [sleepers 2: the same, with a member that sleeps in a thread]
#[test]
fn a_dropped_member_leaves_the_message_to_another() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let [mut one, mut other] = [(); 2].map(|()| join(&router));
        assert!(poll_once(&mut one.recv()).is_pending());
        let leaver = thread::spawn(move || {
            let mut waits = one.recv();
            let received = poll_once(&mut waits).is_ready();
            drop(waits);
            drop(one);
            received
        });
        publish(&router, 1);
        if leaver.join().unwrap() {
            assert_eq!(drain(&mut other), []);
            add.add(1);
        } else {
            assert_eq!(drain(&mut other), numbers([1]));
            add.add(2);
        }
    });
    seen.exactly(&[1, 2]);
}

/// [bus: the group ends with its last member, and a member that comes meanwhile begins it anew]
#[test]
fn a_member_that_comes_as_the_last_leaves_gets_the_messages() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let last = join(&router);
        publish(&router, 1);
        let leaver = thread::spawn(move || drop(last));
        let mut new = join(&router);
        leaver.join().unwrap();
        assert_eq!(publish(&router, 2), (1, 1, 0));
        add.add(drain(&mut new));
        assert_eq!(router.subscriptions().len(), 1);
        drop(new);
        assert!(router.subscriptions().is_empty());
    });
    seen.exactly(&[numbers([2]), numbers([1, 2])]);
}
