//! Requests by topic: one client sends a number to one server, which replies with the next number.

use std::thread;

use tokio::runtime::Runtime;
use ump_router::{Call, RequestMessage, Router};

use super::{
    Case, Contender, Lap, Watch, in_task, one_thread, t2_bus, two_threads, workload::WARM_UP,
};

pub(super) const CASES: [Case; 3] = [
    Case {
        title: "A thread asks a thread",
        contenders: &[
            Contender {
                name: "ump",
                times: 100_000,
                run: bare_thread,
            },
            Contender {
                name: "ump-router",
                times: 100_000,
                run: named_thread,
            },
        ],
    },
    Case {
        title: "A task asks a task on the same executor thread",
        contenders: &[
            Contender {
                name: "ump",
                times: 100_000,
                run: |times, watch| bare_task(times, watch, &one_thread()),
            },
            Contender {
                name: "ump-router",
                times: 100_000,
                run: |times, watch| named_task(times, watch, &one_thread()),
            },
            Contender {
                name: "t2_bus",
                times: 1_000,
                run: |times, watch| t2_bus::request(times, watch, &one_thread()),
            },
        ],
    },
    Case {
        title: "A task asks a task, two executor threads",
        contenders: &[
            Contender {
                name: "ump",
                times: 100_000,
                run: |times, watch| bare_task(times, watch, &two_threads()),
            },
            Contender {
                name: "ump-router",
                times: 100_000,
                run: |times, watch| named_task(times, watch, &two_threads()),
            },
            Contender {
                name: "t2_bus",
                times: 1_000,
                run: |times, watch| t2_bus::request(times, watch, &two_threads()),
            },
        ],
    },
];

const TOPIC: &str = "a/b/c";

#[derive(Debug)]
struct Plus(u64);

impl RequestMessage for Plus {
    type Reply = u64;
    type Error = ();
    const PREFIX: &'static str = "plus";
}

fn bare_thread(times: u32, watch: Watch) -> Lap {
    let (server, client) = ump::channel::<Plus, u64, ()>();
    let serving = thread::spawn(move || {
        for (Plus(n), rctx) in &server {
            let _ = rctx.reply(n + 1);
        }
    });
    let ask = |n| client.request(Plus(n)).wait().expect("it is served");
    let lap = repeat(times, watch, ask);
    drop(client);
    serving.join().expect("it does not panic");
    lap
}

fn named_thread(times: u32, watch: Watch) -> Lap {
    let router = Router::new();
    let server = router.serve::<Plus>(TOPIC).expect("nobody else serves");
    let serving = thread::spawn(move || {
        for (
            Call {
                message: Plus(n), ..
            },
            rctx,
        ) in &*server
        {
            let _ = rctx.reply(n + 1);
        }
    });
    let ask = |n| router.request(TOPIC, Plus(n)).wait().expect("it is served");
    let lap = repeat(times, watch, ask);
    drop(router);
    serving.join().expect("it does not panic");
    lap
}

fn repeat(times: u32, watch: Watch, ask: impl Fn(u64) -> u64) -> Lap {
    for n in 0..u64::from(WARM_UP) {
        ask(n);
    }
    let running = watch.start();
    for n in 0..u64::from(times) {
        assert_eq!(ask(n), n + 1);
    }
    running.stop(times)
}

/// A macro, because the future of an async closure is not known to be `Send`.
macro_rules! repeat_awaiting {
    ($times:expr, $watch:expr, |$n:ident| $ask:expr) => {{
        for $n in 0..u64::from(WARM_UP) {
            $ask.await.expect("it is served");
        }
        let running = $watch.start();
        for $n in 0..u64::from($times) {
            assert_eq!($ask.await.expect("it is served"), $n + 1);
        }
        running.stop($times)
    }};
}

fn bare_task(times: u32, watch: Watch, runtime: &Runtime) -> Lap {
    in_task(runtime, async move {
        let (server, client) = ump::channel::<Plus, u64, ()>();
        let serving = tokio::spawn(async move {
            while let Ok((Plus(n), rctx)) = server.async_wait().await {
                let _ = rctx.reply(n + 1);
            }
        });
        let lap = repeat_awaiting!(times, watch, |n| client.request(Plus(n)));
        drop(client);
        serving.await.expect("it does not panic");
        lap
    })
}

fn named_task(times: u32, watch: Watch, runtime: &Runtime) -> Lap {
    in_task(runtime, async move {
        let router = Router::new();
        let server = router.serve::<Plus>(TOPIC).expect("nobody else serves");
        let serving = tokio::spawn(async move {
            while let Ok((
                Call {
                    message: Plus(n), ..
                },
                rctx,
            )) = server.async_wait().await
            {
                let _ = rctx.reply(n + 1);
            }
        });
        let lap = repeat_awaiting!(times, watch, |n| router.request(TOPIC, Plus(n)));
        drop(router);
        serving.await.expect("it does not panic");
        lap
    })
}
