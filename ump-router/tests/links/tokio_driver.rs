//! Links that a task of a tokio runtime drives. (Most tests have their links on tasks as well, if
//! `LINKS_ON_TOKIO` is set.)

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::runtime::{Builder, Runtime};
use ump::Executed;
use ump_router::{
    RecvError, RequestError, RequestMessage, Router,
    link::{
        sockets::{LinkSetupError, LinkState, Rules},
        wire::Failure,
    },
};

use crate::support::{
    Double, LONG, Price, SocketPath, await_server, await_subscriber, carrying, next, publish, serve,
};

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_io().build().unwrap()
}

fn two_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_io().build().unwrap()
}

fn carrying_on(runtime: &Runtime) -> Router {
    let router = Router::new();
    router.drive_links_on(runtime.handle()).unwrap();
    router.carry::<Price>().unwrap();
    router.carry_requests::<Double>().unwrap();
    router
}

/// The threads that have encoded or decoded.
static CODED: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

struct Noted(u32);

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CODED.lock().unwrap().push(thread::current().id());
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Noted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CODED.lock().unwrap().push(thread::current().id());
        u32::deserialize(deserializer).map(Self)
    }
}

impl RequestMessage for Noted {
    type Reply = Noted;
    type Error = String;
    const PREFIX: &str = "noted";
}

#[test]
fn tasks_of_one_thread_are_served_by_it() {
    let runtime = one_thread();
    runtime.block_on(async {
        let (hub, leaf) = (Router::new(), Router::new());
        for router in [&hub, &leaf] {
            router.drive_links_on(runtime.handle()).unwrap();
            router.carry_requests::<Noted>().unwrap();
        }
        // These would wait for ever if they waited for the task.
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let server = hub.serve::<Noted>("a").unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().await);
        let serving = tokio::spawn(async move {
            while let Ok((call, reply)) = server.async_wait().await {
                let _ = reply.reply(Noted(call.message.0 + 1));
            }
        });
        for number in 0..100 {
            let Noted(reply) = leaf.request("a", Noted(number)).await.unwrap();
            assert_eq!(reply, number + 1);
        }
        let coded = CODED.lock().unwrap().clone();
        assert_eq!(coded.len(), 400);
        assert!(coded.iter().all(|id| *id == thread::current().id()));
        hub.close();
        serving.await.unwrap();
    });
}

#[test]
fn links_and_a_server_on_one_thread_let_it_sleep() {
    const REQUESTS: usize = 500;
    let runtime = one_thread();
    let polls = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let (hub, leaf) = (carrying_on(&runtime), carrying_on(&runtime));
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().await);
        let server = hub.serve::<Double>("a").unwrap();
        let counted = Arc::clone(&polls);
        let serving = tokio::spawn(async move {
            loop {
                let mut next = pin!(server.async_wait());
                let next = poll_fn(|cx| {
                    counted.fetch_add(1, Relaxed);
                    next.as_mut().poll(cx)
                });
                let Ok((call, reply)) = next.await else {
                    return;
                };
                let _ = reply.reply(2 * call.message.0);
            }
        });
        while leaf.pin::<Double>("a").unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        for number in 1..=REQUESTS as u64 {
            let reply = leaf.request("a", Double(number)).await.unwrap();
            assert_eq!(reply, 2 * number);
        }
        hub.close();
        serving.await.unwrap();
    });
    // Some polls for each request: the server waits, looks again, and takes it.
    let polls = polls.load(Relaxed);
    assert!(polls < 20 * REQUESTS, "{polls} polls");
}

#[test]
fn a_thread_of_the_runtime_gets_answers_of_the_links_at_once() {
    let runtime = one_thread();
    let path = SocketPath::new();
    runtime.block_on(async {
        let (hub, leaf) = (carrying_on(&runtime), carrying_on(&runtime));
        for _ in 0..3 {
            // The path is free as soon as the former listener is dropped.
            let listener = hub.listen(path.address()).unwrap();
            let link = leaf.connect(listener.address()).unwrap();
            assert!(link.opened().await);
            assert_eq!(link.status().state, link.state());
            assert!(matches!(link.state(), LinkState::Open { .. }));
            assert_eq!(link.last_failure(), None);
            assert_eq!(listener.links().len(), 1);
            listener.set_rules(Rules::allow_by_default());
            let refused = hub.listen(path.address()).unwrap_err();
            assert_eq!(refused, LinkSetupError::InUse(path.0.clone()));
            assert!(link.close().await);
        }
        assert!(hub.close_links().await);
    });
}

#[test]
fn messages_and_requests_go_both_ways_between_both_drivers() {
    let runtime = two_threads();
    for on_tasks in [[true, true], [true, false], [false, true]] {
        let router = |on_task| {
            if on_task {
                carrying_on(&runtime)
            } else {
                carrying()
            }
        };
        let [hub, leaf] = on_tasks.map(router);
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        for (from, to, topic) in [(&hub, &leaf, "b"), (&leaf, &hub, "c")] {
            let mut prices = to.subscribe::<Price>("a").unwrap();
            await_subscriber(from, "a");
            let _server = serve(to, topic);
            await_server(from, topic);
            for number in 1..100 {
                publish(from, "a", number);
                assert_eq!(next(&mut prices), Ok(number));
                let blocking = from.request(topic, Double(number)).wait();
                assert_eq!(blocking.unwrap(), 2 * number);
                let awaited = runtime.block_on(async { from.request(topic, Double(number)).await });
                assert_eq!(awaited.unwrap(), 2 * number);
            }
            drop(prices);
        }
    }
}

#[test]
fn a_runtime_without_an_io_driver_is_an_error_that_says_so() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let router = carrying_on(&runtime);
    let error = router.listen("tcp:127.0.0.1:0").unwrap_err();
    assert!(matches!(error, LinkSetupError::Runtime(_)), "{error:?}");
    assert!(error.to_string().contains("enable_io"), "{error}");
    assert_eq!(router.connect("tcp:127.0.0.1:1").unwrap_err(), error);
    // So it may have another one.
    let other = one_thread();
    router.drive_links_on(other.handle()).unwrap();
    drop(router.listen("tcp:127.0.0.1:0").unwrap());
}

#[test]
fn the_driver_is_chosen_before_the_first_link() {
    let runtime = one_thread();
    let router = carrying_on(&runtime);
    router.drive_links_on(runtime.handle()).unwrap();
    let _link = router.connect("tcp:127.0.0.1:1").unwrap();
    let late = router.drive_links_on(runtime.handle());
    assert_eq!(late, Err(LinkSetupError::AlreadyRunning));
    router.close();
    let closed = router.drive_links_on(runtime.handle());
    assert_eq!(closed, Err(LinkSetupError::Closed));

    let on_thread = Router::new();
    let _link = on_thread.connect("tcp:127.0.0.1:1").unwrap();
    let late = on_thread.drive_links_on(runtime.handle());
    assert_eq!(late, Err(LinkSetupError::AlreadyRunning));
}

#[test]
fn the_shutdown_of_the_runtime_loses_all_links() {
    for is_listening in [false, true] {
        let path = SocketPath::new();
        let runtime = two_threads();
        let (lost, other) = (carrying_on(&runtime), carrying());
        let (hub, leaf) = if is_listening {
            (&lost, &other)
        } else {
            (&other, &lost)
        };
        let listener = hub.listen(path.address()).unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        let mut here = lost.subscribe::<Price>("a").unwrap();
        let mut there = other.subscribe::<Price>("a").unwrap();
        for router in [&lost, &other] {
            await_subscriber(router, "a");
        }
        let server = other.serve::<Double>("a").unwrap();
        await_server(&lost, "a");
        let handle = runtime.handle().clone();
        thread::scope(|scope| {
            // One leads the link, the others do not.
            let lost = &lost;
            let callers: Vec<_> = (0..4)
                .map(|number| scope.spawn(move || lost.request("a", Double(number)).wait()))
                .collect();
            let awaited = scope.spawn(|| {
                let own = Builder::new_current_thread().build().unwrap();
                own.block_on(async { lost.request("a", Double(5)).await })
            });
            while server.len() < 5 {
                thread::yield_now();
            }
            drop(runtime);
            for caller in callers.into_iter().chain([awaited]) {
                let error = caller.join().unwrap().unwrap_err();
                let link = error.link().unwrap_or_else(|| panic!("{error}"));
                assert_eq!(link.failure, Failure::LinkLost);
                assert_eq!(link.executed, Executed::Perhaps);
            }
        });
        assert_eq!(next(&mut here), Err(RecvError::Interrupted));
        assert_eq!(next(&mut there), Err(RecvError::Interrupted));
        let gone = lost.request("a", Double(1)).wait().unwrap_err();
        assert_eq!(gone, RequestError::NoServer(Double(1)));
        let again = lost.listen("tcp:127.0.0.1:0").unwrap_err();
        assert_eq!(again, LinkSetupError::RuntimeShutDown);
        assert_eq!(lost.connect("tcp:127.0.0.1:1").unwrap_err(), again);
        assert!(!lost.close_links().timeout(LONG).wait());
        if is_listening {
            assert!(listener.links().is_empty());
            // The path is free.
            drop(other.listen(path.address()).unwrap());
        } else {
            assert_eq!(link.state(), LinkState::Closed);
            assert_eq!(link.status().state, LinkState::Closed);
            assert!(!link.opened().timeout(LONG).wait());
        }
        drop((link, listener));

        // A runtime that was shut down before is none; another one is.
        lost.drive_links_on(&handle).unwrap();
        let shut_down = lost.listen("tcp:127.0.0.1:0").unwrap_err();
        assert_eq!(shut_down, LinkSetupError::RuntimeShutDown);
        let next_runtime = two_threads();
        lost.drive_links_on(next_runtime.handle()).unwrap();
        let listener = lost.listen("tcp:127.0.0.1:0").unwrap();
        let link = other.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        await_server(&lost, "a");
    }
}

#[test]
fn a_closed_router_ends_its_task() {
    let runtime = one_thread();
    let metrics = runtime.handle().metrics();
    runtime.block_on(async {
        let (hub, leaf) = (carrying_on(&runtime), carrying_on(&runtime));
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().await);
        assert_eq!(metrics.num_alive_tasks(), 2);
        drop((hub, leaf));
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(link.state(), LinkState::Closed);
        assert!(!link.opened().await);
    });
}

#[test]
fn other_tasks_run_beside_links_under_load() {
    let runtime = one_thread();
    let is_over = AtomicBool::new(false);
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    thread::scope(|scope| {
        runtime.block_on(async {
            let leaf = carrying_on(&runtime);
            let prices = leaf.subscribe::<Price>("**").unwrap();
            let link = leaf.connect(address).unwrap();
            assert!(link.opened().await);
            let (hub, is_over) = (&hub, &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    publish(hub, "a", 1);
                }
            });
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            while prices.is_empty() {
                tokio::task::yield_now().await;
            }
            is_over.store(true, Relaxed);
        });
    });
}
