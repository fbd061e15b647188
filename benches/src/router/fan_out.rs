//! Messages of 64 bytes to many subscribers: a burst is published, then each subscriber receives
//! it, all on one thread. A round is a burst.

use std::sync::Arc;

use tokio::sync::broadcast;
use ump_router::{Router, Subscription, Topic};

use super::{
    Case, Contender, Lap, Watch, one_thread, t2_bus,
    workload::{BURST, Payload},
};

pub(super) const CASES: [Case; 2] = [
    Case {
        title: "One publishes to 8",
        contenders: &[
            Contender {
                name: "tokio::sync::broadcast",
                times: 1_500,
                run: |times, watch| broadcast(times, watch, 8),
            },
            Contender {
                name: "ump-router",
                times: 1_500,
                run: |times, watch| router(times, watch, 8),
            },
            Contender {
                name: "t2_bus",
                times: 15,
                run: |times, watch| t2_bus::fan_out(times, watch, 8),
            },
        ],
    },
    Case {
        title: "One publishes to 1,000",
        contenders: &[
            Contender {
                name: "tokio::sync::broadcast",
                times: 15,
                run: |times, watch| broadcast(times, watch, 1_000),
            },
            Contender {
                name: "ump-router",
                times: 15,
                run: |times, watch| router(times, watch, 1_000),
            },
            Contender {
                name: "t2_bus",
                times: 1,
                run: |times, watch| t2_bus::fan_out(times, watch, 1_000),
            },
        ],
    },
];

fn router(times: u32, watch: Watch, subscribers: u32) -> Lap {
    one_thread().block_on(async {
        let router = Router::new();
        let topic: Topic = "a/b/c".parse().expect("a topic");
        let subscribe = |_| router.subscribe(&topic).expect("a subscription");
        let mut subscriptions: Vec<Subscription<Payload>> =
            (0..subscribers).map(subscribe).collect();
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let first = number;
                for _ in 0..BURST {
                    let published = router.publish(&topic, Payload::of(number)).await;
                    assert_eq!(
                        published.expect("it is published").queued,
                        subscribers as usize
                    );
                    number += 1;
                }
                for subscription in &mut subscriptions {
                    for expected in first..number {
                        let payload = subscription.recv().await;
                        payload.expect("it comes").check(expected);
                    }
                }
            }
        };
        rounds(times.div_ceil(10)).await;
        let running = watch.start();
        rounds(times).await;
        running.stop(times * BURST * subscribers)
    })
}

/// Each receiver gets a clone of what was sent: of an `Arc`, so that the message is shared here,
/// too.
fn broadcast(times: u32, watch: Watch, subscribers: u32) -> Lap {
    one_thread().block_on(async {
        let (sender, _) = broadcast::channel::<Arc<Payload>>(1024);
        let mut subscriptions: Vec<_> = (0..subscribers).map(|_| sender.subscribe()).collect();
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let first = number;
                for _ in 0..BURST {
                    let reached = sender.send(Arc::new(Payload::of(number)));
                    assert_eq!(reached.expect("it is sent"), subscribers as usize);
                    number += 1;
                }
                for subscription in &mut subscriptions {
                    for expected in first..number {
                        subscription.recv().await.expect("it comes").check(expected);
                    }
                }
            }
        };
        rounds(times.div_ceil(10)).await;
        let running = watch.start();
        rounds(times).await;
        running.stop(times * BURST * subscribers)
    })
}
