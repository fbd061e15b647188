//! A caller that blocks the executor which must run the server it waits for gets an error after it
//! has waited in vain.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use ump_server::{
    Client, JoinHandle, LoopStartError, Stop, TestClock,
    system::{Attributes, ComponentContext, StartError, StartFailure, System},
    task,
};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);
const WHY: &str = "the waiting thread is that of a current-thread runtime, whose tasks do not run while the thread blocks: await instead";

fn one_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn system() -> ump_server::system::Builder {
    System::builder().grace(SOON).task(
        "echo",
        Attributes::new(),
        |_: &ComponentContext<u32, u32, ()>| Ok(task::answer(async |n: u32| Ok(n))),
    )
}

fn echo(clock: &TestClock) -> (Client<u32, u32, ()>, JoinHandle<()>) {
    let builder = task::Builder::new().name("echo").test_clock(clock);
    builder
        .spawn(|_| Ok(task::answer(async |n: u32| Ok(n))))
        .unwrap()
}

#[test]
fn start_that_blocks_its_executor_says_so() {
    let error = one_thread().block_on(async { system().start(SOON).wait().unwrap_err() });
    assert!(error.to_string().contains(WHY), "{error}");
    let StartError::Component { why, stopped, .. } = error else {
        panic!("a component is not up");
    };
    assert!(matches!(why, StartFailure::Blocked(SOON)));
    assert!(stopped.executor_was_blocked);
}

#[test]
fn stop_that_blocks_its_executor_says_so() {
    let report = one_thread().block_on(async {
        let system = system().start(LONG).await.unwrap();
        system.stop(Stop::Drain, SOON).wait()
    });
    assert_eq!(report.still_running().count(), 1);
    assert!(report.executor_was_blocked);
    assert!(report.to_string().contains(WHY), "{report}");
}

#[test]
fn wait_for_a_start_that_blocks_its_executor_says_so() {
    one_thread().block_on(async {
        let (_client, mut handle) = echo(&TestClock::new());
        let error = handle.wait_started(SOON).unwrap_err();
        assert_eq!(error, LoopStartError::Blocked);
        assert!(error.to_string().contains(WHY));
        assert_eq!(handle.started().await, Ok(()));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().expect("it says why")
}

#[test]
fn clock_that_blocks_its_executor_says_so() {
    one_thread().block_on(async {
        let clock = TestClock::new().patience(SOON);
        let (_client, _handle) = echo(&clock);
        let advance = AssertUnwindSafe(|| clock.advance(SOON));
        let panic = catch_unwind(advance).expect_err("it does not wait for ever");
        let expected = format!("after 20ms of real time these loops are still busy: echo; {WHY}");
        assert_eq!(message(&*panic), expected);
        clock.advance_async(SOON).await;
    });
}

#[test]
fn runtime_with_other_threads_is_not_blocked() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build();
    let report = runtime.unwrap().block_on(async {
        let system = system().start(LONG).wait().unwrap();
        system.stop(Stop::Drain, LONG).wait()
    });
    assert!(
        report.is_clean() && !report.executor_was_blocked,
        "{report}"
    );
}
