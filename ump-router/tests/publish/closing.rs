//! What a closed router still does, and what it refuses.

use ump_router::{Bytes, Error, Router};

use crate::{Number, drain, publish};

#[test]
fn queued_messages_outlive_the_router() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 1);
    drop(router);
    assert_eq!(drain(&mut numbers), ["1", "Closed"]);
}

#[test]
fn a_closed_router_refuses_every_operation() {
    let router = Router::new();
    let _numbers = router.subscribe::<Number>("a").unwrap();
    router.close();
    let refused = router.publish("a", Number(1)).wait().unwrap_err();
    assert_eq!((refused.message, refused.error), (Number(1), Error::Closed));
    assert_eq!(router.subscribe::<Number>("a").unwrap_err(), Error::Closed);
    assert_eq!(router.subscribe::<Bytes>("a").unwrap_err(), Error::Closed);
    assert_eq!(
        router.remove_retained::<Number>("a").unwrap_err(),
        Error::Closed
    );
    assert_eq!(
        router.remove_retained::<Bytes>("a").unwrap_err(),
        Error::Closed
    );
    router.close();
}
