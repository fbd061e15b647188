//! Models of a router that is closed, or whose last clone is dropped.

use loom::thread;
use loom_tests::explore_fully;
use ump_router::{
    Change,
    ChangeKind::{Subscribed, Unsubscribed},
    Error, RecvError, RequestError, Router, ServeOptions,
};

use super::{
    Ask, Got,
    Got::{End, Gap},
    Number, SOME_TIME, Seen, ask_and_wait_for_server, change_kinds, counts, drain, full, one,
    publish,
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

/// [queue 2: also at the end; a handle ends the subscription, from outside]
#[test]
fn a_waiting_subscriber_is_closed_from_outside() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut subscription = router.subscribe::<Number>("a").unwrap();
        let handle = subscription.close_handle();
        let subscriber = thread::spawn(move || {
            let end = subscription.recv().wait().unwrap_err();
            assert_eq!(end, RecvError::Unsubscribed);
            subscription
        });
        handle.close();
        let published = publish(&router, 1);
        let _subscription = subscriber.join().unwrap();
        assert!(handle.is_closed() && router.subscriptions().is_empty());
        add.add(published);
    });
    seen.exactly(&[(0, 0, 0)]);
}

/// [queue: Open, Unsubscribed, Dropped; the subscription leaves the bus once]
#[test]
fn a_message_before_the_close_is_received_once() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut changes = router.subscribe::<Change>("**").unwrap();
        let mut subscription = router.subscribe::<Number>("a").unwrap();
        let handle = subscription.close_handle();
        let publisher = {
            let router = router.clone();
            thread::spawn(move || publish(&router, 1))
        };
        handle.close();
        let mut got = vec![one(&mut subscription)];
        let published = publisher.join().unwrap();
        got.extend(drain(&mut subscription));
        drop(subscription);
        assert_eq!(change_kinds(&mut changes), [Subscribed, Unsubscribed]);
        add.add((published, got[0].clone()));
        assert_eq!(got.last(), Some(&End));
    });
    seen.exactly(&[((1, 1, 0), Got::Number(1)), ((0, 0, 0), End)]);
}

/// [queue: Unsubscribed, Dropped at the same time; bus: removed once]
#[test]
fn a_close_against_a_drop_ends_once() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut changes = router.subscribe::<Change>("**").unwrap();
        let subscription = router.subscribe::<Number>("a").unwrap();
        let handle = subscription.close_handle();
        let leaver = thread::spawn(move || drop(subscription));
        handle.close();
        leaver.join().unwrap();
        assert!(handle.is_closed());
        assert_eq!(router.subscriptions().len(), 1, "that of changes");
        add.add(change_kinds(&mut changes));
    });
    seen.exactly(&[vec![Subscribed, Unsubscribed]]);
}

/// [claims 1: a claim is released once, by its handle or with its server]
#[test]
fn a_claim_closed_from_outside_ends_its_server() {
    explore_fully(|| {
        let router = Router::new();
        let standby = ServeOptions::new().standby();
        let server = router.serve::<Ask>("a").unwrap();
        let next = router.serve_with::<Ask>("a", standby).unwrap();
        let handle = server.close_handle();
        let serving = thread::spawn(move || assert!(server.wait().is_err()));
        handle.close();
        serving.join().unwrap();
        assert!(next.is_serving());
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
