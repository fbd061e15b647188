//! Models of a router that is closed, or whose last clone is dropped.

use loom::thread;
use loom_tests::explore_fully;
use ump_router::{Error, RequestError, Router};

use super::{
    Ask, Got,
    Got::{End, Gap},
    Number, SOME_TIME, Seen, ask_and_wait_for_server, counts, drain, full, one,
};

/// [queue: Open, Closed]
#[test]
fn messages_before_close_are_received() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut subscription = router.subscribe("a").unwrap();
        let publisher = {
            let router = router.clone();
            thread::spawn(move || match router.publish("a", Number(1)).wait() {
                Ok(published) => Some(counts(published)),
                Err(refused) => {
                    assert_eq!((refused.message.0, refused.error), (1, Error::Closed));
                    None
                }
            })
        };
        router.close();
        let published = publisher.join().unwrap();
        add.add((published, drain(&mut subscription)));
    });
    seen.exactly(&[
        (Some((1, 1, 0)), vec![Got::Number(1), End]),
        (None, vec![End]),
    ]);
}

/// [queue 2: also at the end; bus: dropping the last router closes it]
#[test]
fn a_waiting_subscriber_learns_of_close() {
    explore_fully(|| {
        let router = Router::new();
        let mut subscription = router.subscribe("a").unwrap();
        let subscriber = thread::spawn(move || one(&mut subscription));
        let other = router.clone();
        let other = thread::spawn(move || drop(other));
        drop(router);
        assert_eq!(subscriber.join().unwrap(), End);
        other.join().unwrap();
    });
}

/// [queue 4, wait queue: refused; after the end there is no gap]
#[test]
fn a_waiting_publisher_learns_of_close() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let (router, mut subscription) = full(SOME_TIME);
        let publisher = {
            let router = router.clone();
            thread::spawn(move || router.publish("a", Number(2)).wait().map(counts).ok())
        };
        router.close();
        assert_eq!(one(&mut subscription), Got::Number(1));
        let mut got = vec![one(&mut subscription)];
        let published = publisher.join().unwrap();
        got.extend(drain(&mut subscription));
        add.add((published, got));
    });
    seen.exactly(&[
        (None, vec![End, End]),
        (Some((0, 0, 0)), vec![End, End]),
        (Some((1, 0, 1)), vec![Gap(1), End]),
    ]);
}

/// [bus: a subscription that comes too late is refused, an earlier one ends]
#[test]
fn subscribe_during_close_is_refused_or_ends() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        drop(router.subscribe::<Number>("b")); // the type is known
        let closer = router.clone();
        let closer = thread::spawn(move || closer.close());
        let subscription = router.subscribe::<Number>("a");
        let refused = subscription.as_ref().err().cloned();
        let end = subscription.map(|mut subscription| one(&mut subscription));
        closer.join().unwrap();
        add.add((refused, end.ok()));
    });
    seen.exactly(&[(None, Some(End)), (Some(Error::Closed), None)]);
}

/// [servers: a server that comes too late is refused, an earlier one ends]
#[test]
fn serve_during_close_is_refused_or_ends() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        drop(router.serve::<Ask>("b")); // the type is known
        let closer = router.clone();
        let closer = thread::spawn(move || closer.close());
        let is_served = match router.serve::<Ask>("a") {
            Ok(server) => {
                assert!(server.wait().is_err());
                true
            }
            Err(error) => {
                assert_eq!(error, Error::Closed);
                false
            }
        };
        closer.join().unwrap();
        add.add(is_served);
    });
    seen.exactly(&[true, false]);
}

/// [protocols: refused or ended, for a message type that the router has not seen before]
#[test]
fn a_new_type_during_close_is_refused_or_ends() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let closer = router.clone();
        let closer = thread::spawn(move || closer.close());
        let end = router
            .subscribe("a")
            .map(|mut subscription| one(&mut subscription));
        closer.join().unwrap();
        add.add(end.is_ok_and(|end| end == End));
    });
    seen.exactly(&[true, false]);
}

#[test]
fn a_request_waiting_for_a_server_learns_of_close() {
    explore_fully(|| {
        let router = Router::new();
        let asker = {
            let router = router.clone();
            thread::spawn(move || ask_and_wait_for_server(&router).unwrap_err())
        };
        router.close();
        let error = asker.join().unwrap();
        assert!(matches!(
            error,
            RequestError::NotMade(Ask(1), Error::Closed)
        ));
    });
}
