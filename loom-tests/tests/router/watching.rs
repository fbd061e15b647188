//! Models of publishers that watch whether anybody subscribes.

use loom::thread;
use loom_tests::{block_on::nervously, explore_fully};
use ump_router::{RecvError, Router, SubscribeOptions, WhenFull};

use super::{Number, Seen, publish};

/// [watch 2, 3]
#[test]
fn a_thread_that_watches_is_woken_by_the_first_subscriber() {
    explore_fully(|| {
        let router = Router::new();
        let mut watch = router.watch_subscribers::<Number>("a").unwrap();
        let watcher = thread::spawn(move || watch.changed().wait());
        let _subscription = router.subscribe::<Number>("a").unwrap();
        assert_eq!(watcher.join().unwrap(), Ok(true));
    });
}

/// [watch 2, 3: the owner looks again, also after a spurious wake-up]
#[test]
fn a_task_that_watches_is_woken_by_the_last_subscriber() {
    explore_fully(|| {
        let router = Router::new();
        let subscription = router.subscribe::<Number>("a").unwrap();
        let mut watch = router.watch_subscribers::<Number>("a").unwrap();
        assert_eq!(watch.try_changed(), Ok(Some(true)));
        let watcher = thread::spawn(move || nervously(watch.changed()));
        drop(subscription);
        assert_eq!(watcher.join().unwrap(), Ok(false));
    });
}

/// [watch 1: a subscription that comes meanwhile is counted once, and a watch that comes meanwhile
/// counts it; the last value is received]
#[test]
fn a_watch_ends_with_the_last_value() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let other = {
            let router = router.clone();
            thread::spawn(move || {
                drop(router.subscribe::<Number>("a").unwrap());
                router.subscribe::<Number>("a").unwrap()
            })
        };
        let mut watch = router.watch_subscribers::<Number>("*").unwrap();
        let first = watch.try_changed().unwrap();
        let subscription = other.join().unwrap();
        let second = watch.try_changed().unwrap();
        assert_eq!(second.or(first), Some(true));
        drop(subscription);
        assert_eq!(watch.try_changed(), Ok(Some(false)));
        add.add((first, second));
    });
    seen.exactly(&[
        (None, Some(true)),
        (Some(true), None),
        (Some(true), Some(true)),
        (Some(false), Some(true)),
    ]);
}

/// [watch 1: a subscription that is disconnected and dropped at the same time is subtracted once]
#[test]
fn a_disconnected_subscription_is_subtracted_once() {
    explore_fully(|| {
        let router = Router::new();
        let options = SubscribeOptions::new().capacity(1);
        let options = options.when_full(WhenFull::Disconnect);
        let subscription = router.subscribe_with::<Number>("a", options).unwrap();
        let mut watch = router.watch_subscribers::<Number>("a").unwrap();
        assert_eq!(watch.try_changed(), Ok(Some(true)));
        publish(&router, 1);
        let publisher = {
            let router = router.clone();
            thread::spawn(move || publish(&router, 2))
        };
        drop(subscription);
        publisher.join().unwrap();
        assert_eq!(watch.try_changed(), Ok(Some(false)));
        let next = router.subscribe::<Number>("a").unwrap();
        assert_eq!(watch.try_changed(), Ok(Some(true)));
        drop(next);
        assert!(!watch.has_subscribers());
    });
}

/// [watch 3: also when the bus is closed]
#[test]
fn a_thread_that_watches_learns_of_close() {
    explore_fully(|| {
        let router = Router::new();
        let mut watch = router.watch_subscribers::<Number>("a").unwrap();
        let watcher = thread::spawn(move || watch.changed().wait());
        router.close();
        assert_eq!(watcher.join().unwrap(), Err(RecvError::Closed));
    });
}
