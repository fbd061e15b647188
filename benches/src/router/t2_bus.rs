//! The published crate `t2_bus` in memory, used as in its examples.

use serde::{Deserialize, Serialize};
use t2_bus::{prelude::*, transport::memory};
use tokio::runtime::Runtime;

use super::{
    Lap, Watch, in_task, one_thread,
    workload::{BURST, Payload, WARM_UP},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plus(u64);

impl RequestProtocol for Plus {
    type Rsp = u64;

    fn prefix() -> &'static str {
        "plus"
    }
}

impl PublishProtocol for Payload {
    fn prefix() -> &'static str {
        "payload"
    }
}

pub(super) fn request(times: u32, watch: Watch, runtime: &Runtime) -> Lap {
    in_task(runtime, async move {
        let (_stopper, connector) = memory::serve().expect("a bus");
        let server = memory::connect(&connector).expect("a client");
        let client = memory::connect(&connector).expect("a client");
        let mut requests = server
            .serve::<Plus>("a/b/c")
            .await
            .expect("nobody else serves");
        let serving = tokio::spawn(async move {
            while let Some((_, id, Plus(n))) = requests.recv().await {
                if server.respond::<Plus>(id, &(n + 1)).await.is_err() {
                    return;
                }
            }
        });
        ask(&client, WARM_UP / 10).await;
        let running = watch.start();
        ask(&client, times).await;
        let lap = running.stop(times);
        serving.abort();
        lap
    })
}

async fn ask(client: &Client, times: u32) {
    for n in 0..u64::from(times) {
        let reply = client.request("a/b/c", &Plus(n)).await;
        assert_eq!(reply.expect("it is served"), n + 1);
    }
}

pub(super) fn fan_out(times: u32, watch: Watch, subscribers: u32) -> Lap {
    one_thread().block_on(async {
        let (_stopper, connector) = memory::serve().expect("a bus");
        let publisher = memory::connect(&connector).expect("a client");
        let mut subscriptions = Vec::new();
        for _ in 0..subscribers {
            let client = memory::connect(&connector).expect("a client");
            let subscription = client.subscribe::<Payload>("a/b/c").await;
            subscriptions.push((subscription.expect("a subscription"), client));
        }
        let mut number = 0;
        let mut rounds = async |rounds: u32| {
            for _ in 0..rounds {
                let first = number;
                for _ in 0..BURST {
                    let published = publisher.publish("a/b/c", &Payload::of(number)).await;
                    published.expect("it is published");
                    number += 1;
                }
                for (subscription, _) in &mut subscriptions {
                    for expected in first..number {
                        let (_, payload) = subscription.recv().await.expect("it comes");
                        payload.check(expected);
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
