//! A handler that waits for virtual time does not keep the time from passing; a handler that waits
//! for something else does.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::yield_now};
use ump_server::{
    Client, Clock, JoinHandle, TestClock, task,
    ump::{Builder, RequestError, SendError},
};

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Spawns a loop on a task under the clock, which runs `act` with each number. It replies with the
/// number of hours that have passed by then.
fn spawn<A>(
    clock: &TestClock,
    name: &str,
    act: impl Fn(u32) -> A + Send + 'static,
) -> (Client<u32, u32, ()>, JoinHandle<()>)
where
    A: Future<Output = ()> + Send + 'static,
{
    let (time, start) = (clock.clock(), clock.now());
    task::Builder::new()
        .name(name)
        .test_clock(clock)
        .spawn(move |_| {
            Ok(task::answer(move |n| {
                let (time, acting) = (time.clone(), act(n));
                async move {
                    acting.await;
                    let passed = time.now() - start;
                    Ok(u32::try_from(passed.as_secs() / HOUR.as_secs()).unwrap())
                }
            }))
        })
        .unwrap()
}

/// Runs a test on a runtime of one thread. It hangs no longer than the clock's patience.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(test)
}

/// Handles a request while a week passes. Returns the reply.
async fn a_week_passes(clock: &TestClock, client: &Client<u32, u32, ()>) -> u32 {
    let start = clock.now();
    let reply = client.request(1).submit().wait().unwrap();
    clock.advance_async(WEEK).await;
    assert_eq!(clock.now() - start, WEEK);
    reply.try_get().expect("it has been handled").unwrap()
}

#[test]
fn handler_that_sleeps_on_the_clock_is_quiet() {
    run(async {
        let clock = TestClock::new();
        let time = clock.clock();
        let (client, _handle) = spawn(&clock, "sleeper", move |_| {
            let sleep = time.sleep_until(time.now() + HOUR);
            async move { sleep.await.unwrap() }
        });
        assert_eq!(a_week_passes(&clock, &client).await, 1);
    });
}

#[test]
fn handler_that_sleeps_is_quiet_for_a_blocking_test() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let clock = TestClock::new();
    let time = clock.clock();
    let (client, _handle) = spawn(&clock, "sleeper", move |n| {
        let time = time.clone();
        async move {
            for _ in 0..n {
                time.sleep_until(time.now() + HOUR).await.unwrap();
                yield_now().await;
            }
        }
    });
    let reply = client.req_async(100).unwrap();
    clock.advance(99 * HOUR);
    let reply = reply.try_get().expect_err("an hour is left");
    clock.advance(HOUR);
    assert_eq!(reply.wait(), Ok(100));
}

/// The server has no loop, and never replies.
#[test]
fn handler_that_asks_with_a_deadline_is_quiet() {
    run(async {
        let clock = TestClock::new();
        let builder = Builder::new().clock(clock.clock()).capacity(1);
        let (_stuck, peer) = builder.build::<u32, u32, ()>().unwrap();
        let (client, _handle) = spawn(&clock, "asker", move |n| {
            let peer = peer.clone();
            async move {
                let late = peer.request(n).timeout(HOUR).await;
                assert!(matches!(late, Err(RequestError::TimeoutQueued(_))));
                peer.post(n).await.unwrap();
                // Now the queue is full.
                let late = peer.post(n).timeout(HOUR).await;
                assert!(matches!(late, Err(SendError::TimeoutQueued(_))));
            }
        });
        assert_eq!(a_week_passes(&clock, &client).await, 2);
    });
}

#[test]
fn handler_that_awaits_a_sleeping_loop_is_quiet() {
    run(async {
        let clock = TestClock::new();
        let time = clock.clock();
        let (sleeper, _sleeping) = spawn(&clock, "sleeper", move |_| {
            let time = time.clone();
            async move { time.sleep_until(time.now() + HOUR).await.unwrap() }
        });
        let (client, _handle) = spawn(&clock, "asker", move |n| {
            let sleeper = sleeper.clone();
            async move { assert_eq!(sleeper.areq(n).await, Ok(1)) }
        });
        assert_eq!(a_week_passes(&clock, &client).await, 1);
    });
}

/// The time does not pass while a handler that got its reply has not continued.
#[test]
fn time_stands_still_while_handlers_work() {
    run(async {
        let clock = TestClock::new();
        let (time, start) = (clock.clock(), clock.now());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (busy, _handle) = spawn(&clock, "busy", |_| async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        let written = Arc::clone(&log);
        let (client, _handle) = spawn(&clock, "worker", move |_| {
            let (time, busy, log) = (time.clone(), busy.clone(), Arc::clone(&written));
            async move {
                for hour in 1..=24 {
                    let at = start + hour * HOUR;
                    let (slept, asked) = tokio::join!(time.sleep_until(at), busy.areq(1));
                    assert!(slept.is_ok() && asked.is_ok());
                    assert_eq!(busy.areq(1).await, Ok(hour));
                    log.lock().unwrap().push(time.now() - start);
                }
            }
        });
        assert_eq!(a_week_passes(&clock, &client).await, 24);
        let hours: Vec<_> = (1..=24).map(|hour| hour * HOUR).collect();
        assert_eq!(*log.lock().unwrap(), hours);
    });
}

/// The time waits for work on another thread, unless the handler also sleeps on the clock.
#[test]
fn handler_that_awaits_something_else_is_waited_for() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let clock = TestClock::new();
    let (time, start) = (clock.clock(), clock.now());
    let (client, _handle) = spawn(&clock, "elsewhere", move |n| {
        let time = time.clone();
        async move {
            let elsewhere = tokio::task::spawn_blocking(move || n);
            assert_eq!(elsewhere.await.unwrap(), n);
            assert_eq!(time.now(), start);
        }
    });
    let reply = client.req_async(1).unwrap();
    clock.advance(WEEK);
    assert_eq!(reply.wait(), Ok(0));
}

/// A sleep on another clock does not make a handler quiet on this one.
#[test]
fn busy_loops_are_named_when_patience_is_over() {
    let clock = TestClock::new().patience(Duration::from_secs(1));
    let other = Clock::system();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let (client, _handle) = spawn(&clock, "stuck", move |_| {
                let sleep = other.sleep_until(Instant::now() + WEEK);
                async move {
                    let _ = sleep.await;
                    pending::<()>().await;
                }
            });
            let _reply = client.request(1).submit().await.unwrap();
            clock.advance_async(WEEK).await;
        });
    }));
    let message = panic.expect_err("it does not wait for ever");
    let message = message.downcast_ref::<String>().expect("it says why");
    let why = "after 1s of real time these loops are still busy: stuck (its handler awaits something that this clock does not observe)";
    assert_eq!(message, why);
}
