//! Messages and wakers that panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Wake, Waker},
};

use ump_router::{Bytes, Message, RecvError, Router, SubscribeOptions, WhenFull};

use crate::{Number, counting_waker::CountingWaker, options, publish};

/// A message that panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Message for Bomb {
    const PREFIX: &'static str = "bomb";
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panicking_drop_does_not_reach_the_publisher() {
    let router = Router::new();
    let options = options(1, WhenFull::DropOldest);
    let [mut one, mut other] =
        [(); 2].map(|()| router.subscribe_with::<Bomb>("a", options).unwrap());
    router.publish("a", Bomb).wait().unwrap();
    assert_eq!(router.publish("a", Bomb).wait().unwrap().queued, 2);
    for subscription in [&mut one, &mut other] {
        assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Missed(1));
    }
    let second = one.try_recv().unwrap().unwrap();
    drop(other);
    assert!(
        catch_unwind(AssertUnwindSafe(|| drop(second))).is_err(),
        "the last holder drops the message"
    );
}

#[test]
fn panicking_drops_of_a_group_are_contained_without_a_router() {
    let router = Router::new();
    let options = SubscribeOptions::new();
    let joins = router.subscribe_shared::<Bomb>("group", "a", options);
    let member = joins.unwrap();
    for _ in 0..2 {
        router.publish("a", Bomb).wait().unwrap();
    }
    drop(router);
    drop(member);
}

#[test]
fn panicking_drops_do_not_prevent_close() {
    let router = Router::new();
    for topic in ["a", "b"] {
        router.publish(topic, Bomb).retain().wait().unwrap();
    }
    // Types are closed in no fixed order.
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    let mut bytes = router.subscribe::<Bytes>("a").unwrap();
    router.close();
    assert_eq!(numbers.recv().wait().unwrap_err(), RecvError::Closed);
    assert_eq!(bytes.recv().wait().unwrap_err(), RecvError::Closed);
}

#[test]
fn a_panicking_waker_does_not_reach_the_publisher() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let router = Router::new();
    let [mut one, mut other] = [(); 2].map(|()| router.subscribe::<Number>("a").unwrap());
    let (broken, counting) = (
        Waker::from(Arc::new(Broken)),
        Arc::new(CountingWaker::default()),
    );
    assert!(
        one.poll_recv(&mut Context::from_waker(&broken))
            .is_pending()
    );
    assert!(
        other
            .poll_recv(&mut Context::from_waker(&Waker::from(Arc::clone(
                &counting
            ))))
            .is_pending()
    );
    assert_eq!(publish(&router, "a", 1).queued, 2);
    assert_eq!(counting.wakes(), 1);
}
