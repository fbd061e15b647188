//! Work divided among four members of a shared subscription, beside one subscription, and beside
//! one whose owner passes the messages on to four channels. A burst is published, then received,
//! all on one thread.

use tokio::sync::mpsc;
use ump_router::{Router, SubscribeOptions, Subscription};

use super::{
    Case, Contender, Lap, Watch, one_thread,
    workload::{BURST, Payload},
};

pub(super) const CASES: [Case; 1] = [Case {
    title: "Each message to one of 4",
    contenders: &[
        Contender {
            name: "one subscription, not shared",
            times: 6_000,
            run: |times, watch| members(times, watch, 1),
        },
        Contender {
            name: "shared by 4 (`subscribe_shared`)",
            times: 6_000,
            run: |times, watch| members(times, watch, 4),
        },
        Contender {
            name: "one subscription, and 4 channels (`tokio::sync::mpsc`)",
            times: 6_000,
            run: by_hand,
        },
    ],
}];

const TOPIC: &str = "a/b/c";

/// The members receive by turns. One alone is not shared.
fn members(times: u32, watch: Watch, members: usize) -> Lap {
    one_thread().block_on(async {
        let router = Router::new();
        let subscribe = |_| {
            let options = SubscribeOptions::new();
            if members == 1 {
                return router.subscribe_with(TOPIC, options);
            }
            router.subscribe_shared("workers", TOPIC, options)
        };
        let all: Result<Vec<Subscription<Payload>>, _> = (0..members).map(subscribe).collect();
        let mut all = all.expect("subscriptions");
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let first = number;
                publish(&router, &mut number).await;
                for (expected, turn) in (first..number).zip((0..members).cycle()) {
                    let payload = all[turn].recv().await;
                    payload.expect("it comes").check(expected);
                }
            }
        };
        rounds(times.div_ceil(10)).await;
        let running = watch.start();
        rounds(times).await;
        running.stop(times * BURST)
    })
}

async fn publish(router: &Router, number: &mut u64) {
    for _ in 0..BURST {
        let published = router.publish(TOPIC, Payload::of(*number)).await;
        assert_eq!(published.expect("it is published").queued, 1);
        *number += 1;
    }
}

/// One subscription, whose owner gives each message to the next worker.
fn by_hand(times: u32, watch: Watch) -> Lap {
    one_thread().block_on(async {
        let router = Router::new();
        let mut jobs: Subscription<Payload> = router.subscribe(TOPIC).expect("a subscription");
        let channels = (0..4).map(|_| mpsc::unbounded_channel());
        let (senders, mut workers): (Vec<_>, Vec<_>) = channels.unzip();
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let first = number;
                publish(&router, &mut number).await;
                for sender in senders.iter().cycle().take(BURST as usize) {
                    let job = jobs.recv().await.expect("it comes");
                    sender.send(job).expect("the worker is there");
                }
                for (expected, turn) in (first..number).zip((0..4_usize).cycle()) {
                    let job = workers[turn].recv().await;
                    job.expect("it comes").check(expected);
                }
            }
        };
        rounds(times.div_ceil(10)).await;
        let running = watch.start();
        rounds(times).await;
        running.stop(times * BURST)
    })
}
