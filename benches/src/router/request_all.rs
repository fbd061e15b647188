//! A request to all servers of a pattern, beside as many single requests. The servers are tasks on
//! the same executor thread. And what it would take to look at all topics to find these servers.

use std::future::IntoFuture;

use futures_util::future::join_all;
use ump_router::{Pattern, RequestMessage, Router, Server, Topic};

use super::{Case, Contender, Lap, Watch, in_task, one_thread};

pub(super) const CASES: [Case; 1] = [Case {
    title: "One asks 16 servers",
    contenders: &[
        Contender {
            name: "16 requests, one after the other",
            times: 6_000,
            run: |times, watch| ask(times, watch, How::ByTurns, 0),
        },
        Contender {
            name: "16 requests at once (`join_all`)",
            times: 6_000,
            run: |times, watch| ask(times, watch, How::AtOnce, 0),
        },
        Contender {
            name: "`request_all`",
            times: 6_000,
            run: |times, watch| ask(times, watch, How::All, 0),
        },
        Contender {
            name: "`request_all`, 10,000 other topics are served",
            times: 6_000,
            run: |times, watch| ask(times, watch, How::All, 10_000),
        },
        Contender {
            name: "finding 16 of 10,000 topics by `Pattern::matches`, without a request",
            times: 50,
            run: find_by_matching,
        },
    ],
}];

const SERVERS: u32 = 16;

#[derive(Clone, Debug)]
struct Plus(u64);

impl RequestMessage for Plus {
    type Reply = u64;
    type Error = ();
    const PREFIX: &'static str = "plus";
}

#[derive(Clone, Copy)]
enum How {
    ByTurns,
    AtOnce,
    All,
}

fn serve(router: &Router, topic: String) -> Server<Plus> {
    router.serve(topic).expect("nobody else serves")
}

fn topics(others: u32) -> impl Iterator<Item = String> {
    (0..others).map(|nth| format!("other/{}/{}", nth / 100, nth % 100))
}

/// A repetition is a request to each of the servers.
fn ask(times: u32, watch: Watch, how: How, others: u32) -> Lap {
    in_task(&one_thread(), async move {
        let router = Router::new();
        let topics: Vec<_> = (0..SERVERS).map(|nth| format!("a/{nth}/c")).collect();
        for topic in &topics {
            let server = serve(&router, topic.clone());
            tokio::spawn(async move {
                while let Ok((call, rctx)) = server.async_wait().await {
                    let _ = rctx.reply(call.message.0 + 1);
                }
            });
        }
        let _others: Vec<_> = self::topics(others)
            .map(|topic| serve(&router, topic))
            .collect();
        let pattern: Pattern = "a/*/c".parse().expect("a pattern");
        let mut running = None;
        let warm_up = u64::from(times.div_ceil(10));
        for n in 0..warm_up + u64::from(times) {
            if n == warm_up {
                running = Some(watch.start());
            }
            let mut sum = 0;
            match how {
                How::ByTurns => {
                    for topic in &topics {
                        let reply = router.request(topic, Plus(n)).await;
                        sum += reply.expect("it is served");
                    }
                }
                How::AtOnce => {
                    let requests = topics.iter();
                    let requests =
                        requests.map(|topic| router.request(topic, Plus(n)).into_future());
                    for reply in join_all(requests).await {
                        sum += reply.expect("it is served");
                    }
                }
                How::All => {
                    let all = router.request_all(&pattern, Plus(n)).await;
                    for answer in all.expect("they are asked") {
                        sum += answer.outcome.expect("it is served");
                    }
                }
            }
            assert_eq!(sum, u64::from(SERVERS) * (n + 1));
        }
        let lap = running.expect("it is running").stop(times * SERVERS);
        router.close();
        lap
    })
}

/// The time that each request with a wildcard would take if there were no index of the topics.
fn find_by_matching(times: u32, watch: Watch) -> Lap {
    let wanted = (0..SERVERS).map(|nth| format!("a/{nth}/c"));
    let topics = topics(10_000).chain(wanted).map(|topic| topic.parse());
    let topics: Vec<Topic> = topics.map(|topic| topic.expect("a topic")).collect();
    let pattern: Pattern = "a/*/c".parse().expect("a pattern");
    let running = watch.start();
    for _ in 0..times {
        let found = topics.iter().filter(|topic| pattern.matches(topic));
        assert_eq!(found.count(), SERVERS as usize);
    }
    running.stop(times * SERVERS)
}
