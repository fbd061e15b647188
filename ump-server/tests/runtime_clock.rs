//! The clock of a tokio runtime: its users follow paused time, and a thread that blocks on it does
//! not hang.

use std::{
    future::{Future, pending},
    ops::ControlFlow,
    panic, thread as std_thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc, time};
use ump_server::{
    Client, Clock, JoinErrorKind, OnPanic, ReplyContext, Restart, Stop, WeakClient,
    system::{Attributes, ComponentContext, StartError, StartFailure, System},
    task::{self, runtime_clock},
    thread,
    ump::{Builder, RequestError},
    watchdog::Stage,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const LONG: Duration = Duration::from_secs(60);

/// Runs a test on a runtime of one thread with paused time. The test must not wait for a week in
/// real time.
fn paused<F: Future<Output = ()>>(test: impl FnOnce(Clock) -> F + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    let thread = std_thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = runtime_clock(&Handle::current());
            test(clock).await;
        });
        let _ = done.send(());
    });
    let hangs = ended.recv_timeout(LONG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it waits in real time");
    if let Err(panic) = thread.join() {
        panic::resume_unwind(panic);
    }
}

#[test]
fn awaited_deadlines_follow_paused_time() {
    paused(async |clock| {
        let start = time::Instant::now();
        let builder = Builder::new().clock(clock.clone());
        let (_server, client) = builder.build::<u32, u32, ()>().unwrap();
        let late = client.request(1).timeout(WEEK).await;
        assert!(matches!(late, Err(RequestError::TimeoutQueued(1))));
        assert_eq!(start.elapsed().as_secs(), WEEK.as_secs());
        clock.sleep_until(clock.now() + WEEK).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 2 * WEEK.as_secs());
    });
}

/// Counts hours, and panics if it is asked for fewer.
struct Hours(u32);

impl task::Handler<u32, u32, ()> for Hours {
    async fn proc_req(&mut self, most: u32, rctx: ReplyContext<'_, u32, ()>) -> ControlFlow<()> {
        assert!(self.0 <= most, "as asked");
        let _ = rctx.reply(self.0);
        ControlFlow::Continue(())
    }

    async fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn loops_follow_paused_time() {
    paused(async |clock| {
        let start = clock.now();
        let again = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
        let (client, _handle) = task::Builder::new()
            .clock(clock.clone())
            .on_panic(again)
            .spawn_with(|cx| {
                cx.timers().every(HOUR, ());
                Ok(Hours(0))
            })
            .unwrap();
        time::sleep(WEEK + SECOND).await;
        assert_eq!(client.areq(1000).await, Ok(168));
        assert!(client.areq(1).await.is_err(), "it panics");
        // The loop pauses for an hour, and counts from zero.
        assert_eq!(client.areq(1000).await, Ok(0));
        let hours = (clock.now() - start).as_secs() / HOUR.as_secs();
        assert_eq!(hours, 169);
    });
}

#[test]
fn watchdog_follows_paused_time() {
    paused(async |clock| {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (go, until) = std::sync::mpsc::channel::<()>();
        let (client, _handle) = thread::Builder::new()
            .clock(clock)
            .watchdog(HOUR)
            .on_stall(move |stall| {
                let _ = sender.send((stall.stage, stall.elapsed));
            })
            .spawn(|_| Ok(thread::answer(move |()| until.recv().map_err(drop))))
            .unwrap();
        let reply = client.req_async(()).unwrap();
        let (stage, elapsed) = receiver.recv().await.unwrap();
        assert!(stage == Stage::Noticed && elapsed >= HOUR);
        go.send(()).unwrap();
        assert_eq!(reply.await, Ok(()));
    });
}

/// A handler that never becomes ready.
struct Stuck;

impl task::Handler<(), (), ()> for Stuck {
    async fn init(&mut self, _: WeakClient<(), (), ()>) {
        pending::<()>().await;
    }

    async fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        unreachable!("it never gets that far")
    }
}

#[test]
fn systems_follow_paused_time() {
    paused(async |clock| {
        let start = time::Instant::now();
        let system =
            System::builder()
                .clock(clock)
                .grace(HOUR)
                .task("stuck", Attributes::new(), |_| Ok(Stuck));
        let error = system.start(WEEK).await.unwrap_err();
        let StartError::Component { why, .. } = error else {
            panic!("{error}");
        };
        assert!(matches!(why, StartFailure::Late(..)));
        assert!(start.elapsed() >= WEEK && start.elapsed() <= WEEK + 2 * HOUR);
    });
}

#[test]
fn system_stops_in_order_by_the_clock() {
    paused(async |clock| {
        let system = System::builder().clock(clock).task(
            "echo",
            Attributes::new(),
            |_: &ComponentContext<u32, u32, ()>| Ok(task::answer(async |n: u32| Ok(n))),
        );
        let system = system.start(WEEK).await.unwrap();
        let client = system.client::<u32, u32, ()>("echo").unwrap();
        assert_eq!(client.areq(1).await, Ok(1));
        let report = system.stop(Stop::Drain, WEEK).await;
        assert!(report.is_clean(), "{report}");
    });
}

/// Reports that its timer has come.
struct TimerReporter(mpsc::UnboundedSender<()>);

impl thread::Handler<(), (), ()> for TimerReporter {
    fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        let _ = self.0.send(());
        ControlFlow::Continue(())
    }
}

#[test]
fn timer_of_a_thread_follows_paused_time() {
    paused(async |clock| {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (_client, _handle) = thread::Builder::new()
            .clock(clock)
            .spawn_with(move |cx| {
                cx.timers().once(WEEK, ());
                Ok(TimerReporter(sender.clone()))
            })
            .unwrap();
        assert_eq!(receiver.recv().await, Some(()));
    });
}

fn is_late(client: &Client<u32, u32, ()>, timeout: Duration) -> bool {
    let late = client.request(1).timeout(timeout).wait();
    matches!(late, Err(RequestError::TimeoutQueued(1)))
}

#[test]
fn thread_that_blocks_is_woken_by_the_runtime() {
    paused(async |clock| {
        let builder = Builder::new().clock(clock);
        let (_server, client) = builder.build().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std_thread::spawn(move || sender.send(is_late(&client, WEEK)));
        assert!(receiver.await.unwrap());
    });
}

/// No other thread could make the time pass.
#[test]
fn blocking_the_runtime_itself_ends_in_real_time() {
    paused(async |clock| {
        let start = clock.now();
        let builder = Builder::new().clock(clock.clone());
        let (_server, client) = builder.build().unwrap();
        assert!(is_late(&client, Duration::from_millis(5)));
        clock.wait_until(start + Duration::from_millis(5));
        assert_eq!(clock.now(), start);
    });
}

#[test]
fn sleep_ends_in_an_error_when_its_runtime_is_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let clock = runtime_clock(runtime.handle());
    let mut sleep = clock.sleep_until(clock.now() + WEEK);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::Pin::new(&mut sleep).poll(&mut cx).is_pending());
    drop(runtime);
    let ended = Clock::system().block_on(sleep, None).unwrap();
    assert!(ended.is_err());
    // A blocking thread does not hang either.
    let builder = Builder::new().clock(clock);
    let (_server, client) = builder.build().unwrap();
    assert!(is_late(&client, Duration::from_millis(5)));
}

#[test]
fn loop_fails_when_the_runtime_of_its_clock_is_gone() {
    let new_runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap()
    };
    let (runtime, runtime_of_clock) = (new_runtime(), new_runtime());
    let (_client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .clock(runtime_clock(runtime_of_clock.handle()))
        .spawn_with(|cx| {
            cx.timers().once(WEEK, ());
            Ok(Hours(0))
        })
        .unwrap();
    drop(runtime_of_clock);
    let error = handle.join().unwrap_err();
    let JoinErrorKind::Panicked(message) = error.kind() else {
        panic!("{error}");
    };
    let expected = "the loop has no timers: its clock failed: \
        the tokio runtime of the clock has been shut down";
    assert_eq!(message.as_str(), Some(expected));
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn runtime_without_a_timer_has_no_clock() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _ = runtime_clock(runtime.handle());
}
