//! Publishers and subscribers on several threads.

use std::thread;

use ump_router::{RecvError, Router, WhenFull};

use crate::{LONG, Number, counts, options, publish};

#[test]
fn each_publisher_is_received_in_order_by_all() {
    const EACH: u64 = 2_000;
    let router = Router::new();
    let subscriptions: Vec<_> = (0..3)
        .map(|_| {
            router
                .subscribe_with::<Number>("**", options(64, WhenFull::Block(LONG)))
                .unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for publisher in 0..3 {
            let router = router.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let topic = format!("p{publisher}/{}", number % 3);
                    let published = publish(&router, &topic, publisher * EACH + number);
                    assert_eq!(counts(published), (3, 3, 0));
                }
            });
        }
        for mut subscription in subscriptions {
            scope.spawn(move || {
                let mut next = [0; 3];
                for received in subscription.iter().take(3 * usize::try_from(EACH).unwrap()) {
                    let number = received.unwrap().0;
                    let publisher = usize::try_from(number / EACH).unwrap();
                    assert_eq!(number % EACH, next[publisher]);
                    next[publisher] += 1;
                }
                assert_eq!(next, [EACH; 3]);
            });
        }
    });
}

#[test]
fn short_subscriptions_report_every_gap() {
    const ALL: u64 = 3_000;
    let router = Router::new();
    thread::scope(|scope| {
        let router = &router;
        let publisher = scope.spawn(move || {
            for number in 0..ALL {
                router
                    .publish("a/b", Number(number))
                    .retain()
                    .wait()
                    .unwrap();
            }
        });
        scope.spawn(move || {
            let mut last = 0;
            while !publisher.is_finished() {
                let mut passing = router
                    .subscribe_with::<Number>("a/*", options(4, WhenFull::DropOldest))
                    .unwrap();
                let mut next = None;
                for _ in 0..8 {
                    match passing.try_recv() {
                        Ok(None) => {}
                        Ok(Some(received)) => {
                            assert!(
                                received.0 >= last,
                                "a new subscription receives the last value first"
                            );
                            assert!(
                                next.is_none_or(|next| next == received.0),
                                "{next:?} {received:?}"
                            );
                            last = received.0;
                            next = Some(received.0 + 1);
                        }
                        Err(RecvError::Missed(missing)) => next = next.map(|next| next + missing),
                        Err(end) => panic!("{end}"),
                    }
                }
            }
        });
    });
    assert!(router.subscriptions().is_empty());
}
