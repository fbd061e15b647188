//! A message that nobody receives, beside the look-up; among a thousand subscriptions to other
//! topics. And one to a subscription with many topics.

use ump_router::{Pattern, Router, Subscription, index::TopicIndex};

use super::{Case, Contender, Lap, Watch, one_thread, workload::Payload};

pub(super) const CASES: [Case; 2] = [
    Case {
        title: "A message to nobody",
        contenders: &[
            Contender {
                name: "a look-up (`TopicIndex`)",
                times: 200_000,
                run: look_up,
            },
            Contender {
                name: "`has_subscribers`",
                times: 200_000,
                run: has_subscribers,
            },
            Contender {
                name: "`publish`, awaited",
                times: 200_000,
                run: publish,
            },
            Contender {
                name: "`publish`, blocking",
                times: 200_000,
                run: publish_blocking,
            },
        ],
    },
    Case {
        title: "A message to one subscription of many topics",
        contenders: &[
            Contender {
                name: "1 topic",
                times: 100_000,
                run: |times, watch| to_one(times, watch, 1),
            },
            Contender {
                name: "1,000 topics",
                times: 100_000,
                run: |times, watch| to_one(times, watch, 1_000),
            },
        ],
    },
];

const OTHERS: u32 = 1_000;
const TOPIC: &str = "a/b/c";

fn others() -> impl Iterator<Item = Pattern> {
    let text = |nth| match nth % 10 {
        0 => format!("other/{nth}/*"),
        _ => format!("other/{nth}/c"),
    };
    (0..OTHERS).map(move |nth| text(nth).parse().expect("a pattern"))
}

fn router() -> (Router, Vec<Subscription<Payload>>) {
    let router = Router::new();
    let subscribe = |pattern| router.subscribe(pattern).expect("a subscription");
    let subscriptions = others().map(subscribe).collect();
    (router, subscriptions)
}

fn repeat(times: u32, watch: Watch, mut once: impl FnMut(u64)) -> Lap {
    (0..u64::from(times.div_ceil(10))).for_each(&mut once);
    let running = watch.start();
    (0..u64::from(times)).for_each(once);
    running.stop(times)
}

fn look_up(times: u32, watch: Watch) -> Lap {
    let mut index = TopicIndex::new();
    for pattern in others() {
        index.insert(&pattern, ());
    }
    let topic: Pattern = TOPIC.parse().expect("a topic");
    repeat(times, watch, |_| {
        let topic = std::hint::black_box(&topic);
        index.for_each_intersecting(topic, |()| panic!("nobody subscribes"));
    })
}

fn has_subscribers(times: u32, watch: Watch) -> Lap {
    let (router, _others) = router();
    let topic: Pattern = TOPIC.parse().expect("a topic");
    repeat(times, watch, |_| {
        assert_eq!(router.has_subscribers::<Payload>(&topic), Ok(false));
    })
}

fn publish_blocking(times: u32, watch: Watch) -> Lap {
    let (router, _others) = router();
    let topic: Pattern = TOPIC.parse().expect("a topic");
    repeat(times, watch, |n| {
        let published = router.publish(&topic, Payload::of(n)).wait();
        assert_eq!(published.expect("it is published").matched, 0);
    })
}

fn publish(times: u32, watch: Watch) -> Lap {
    let (router, _others) = router();
    let topic: Pattern = TOPIC.parse().expect("a topic");
    one_thread().block_on(async {
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let published = router.publish(&topic, Payload::of(number)).await;
                assert_eq!(published.expect("it is published").matched, 0);
                number += 1;
            }
        };
        rounds(times.div_ceil(10)).await;
        let running = watch.start();
        rounds(times).await;
        running.stop(times)
    })
}

/// The message is on the last topic.
fn to_one(times: u32, watch: Watch, topics: u32) -> Lap {
    let router = Router::new();
    let texts: Vec<_> = (1..topics)
        .map(|nth| format!("other/{nth}/c"))
        .chain([TOPIC.to_owned()])
        .collect();
    let mut subscription: Subscription<Payload> = router.subscribe(texts).expect("a subscription");
    let topic: Pattern = TOPIC.parse().expect("a topic");
    repeat(times, watch, |n| {
        let published = router.publish(&topic, Payload::of(n)).wait();
        assert_eq!(published.expect("it is published").queued, 1);
        let received = subscription.try_recv().expect("it goes on");
        received.expect("it comes").check(n);
    })
}
