//! Loops under a test clock: a week passes at once, and each event happens at its time.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use ump_server::{
    Client, Clock, Context, JoinHandle, OnPanic, ReplyContext, Restart, Stop, TestClock, Timers,
    task, thread,
    timer::Periodic,
    ump::{NoReply, RequestError},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Clone, Debug)]
enum Op {
    /// Replies with the number of ticks.
    Ticks,
    /// Ticks periodically, from now on.
    Every(Duration),
    /// Ticks once, later.
    In(Duration),
    Panic,
}

type Log = Arc<Mutex<Vec<Duration>>>;

/// Logs when it ticks.
struct Ticker {
    timers: Timers<()>,
    clock: Clock,
    start: Instant,
    log: Log,
    ticks: usize,
}

impl Ticker {
    fn handle(&mut self, op: &Op, rctx: ReplyContext<'_, usize, ()>) -> ControlFlow<()> {
        match op {
            Op::Ticks => {}
            Op::Every(period) => drop(self.timers.every(Periodic::new(*period), ())),
            Op::In(delay) => drop(self.timers.once(*delay, ())),
            Op::Panic => panic!("as asked"),
        }
        let _ = rctx.reply(self.ticks);
        ControlFlow::Continue(())
    }

    fn tick(&mut self) -> ControlFlow<()> {
        self.ticks += 1;
        let since = self.clock.now().duration_since(self.start);
        self.log.lock().unwrap().push(since);
        ControlFlow::Continue(())
    }
}

impl thread::Handler<Op, usize, ()> for Ticker {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, usize, ()>) -> ControlFlow<()> {
        self.handle(&op, rctx)
    }

    fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.tick()
    }
}

impl task::Handler<Op, usize, ()> for Ticker {
    async fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, usize, ()>) -> ControlFlow<()> {
        self.handle(&op, rctx)
    }

    async fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        self.tick()
    }
}

#[derive(Clone, Copy, Debug)]
enum Loop {
    Thread,
    Task,
    Pool,
}

struct Running {
    clock: TestClock,
    client: Client<Op, usize, ()>,
    handle: JoinHandle<()>,
    log: Log,
    _runtime: tokio::runtime::Runtime,
}

impl Loop {
    fn start(self, policy: OnPanic) -> Running {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clock = TestClock::new();
        let log = Log::default();
        let (start, written) = (clock.now(), Arc::clone(&log));
        let make = move |cx: &Context<Op, usize, ()>| {
            Ok(Ticker {
                timers: cx.timers(),
                clock: cx.clock(),
                start,
                log: Arc::clone(&written),
                ticks: 0,
            })
        };
        let (client, handle) = match self {
            Self::Thread => thread::Builder::new()
                .test_clock(&clock)
                .on_panic(policy)
                .spawn_with(make),
            Self::Pool => thread::Builder::new()
                .test_clock(&clock)
                .on_panic(policy)
                .spawn_pool(NonZeroUsize::new(2).unwrap(), make),
            Self::Task => task::Builder::new()
                .runtime(runtime.handle().clone())
                .test_clock(&clock)
                .on_panic(policy)
                .spawn_with(make),
        }
        .unwrap();
        Running {
            clock,
            client,
            handle,
            log,
            _runtime: runtime,
        }
    }
}

macro_rules! on_every_loop {
    ($($name:ident)*) => {
        mod on_a_thread { $( #[test] fn $name() { super::$name(super::Loop::Thread); } )* }
        mod on_a_task { $( #[test] fn $name() { super::$name(super::Loop::Task); } )* }
        mod in_a_pool { $( #[test] fn $name() { super::$name(super::Loop::Pool); } )* }
    };
}

on_every_loop! {
    a_week_of_hours_has_168_and_none_drifts
    nothing_happens_too_early
    a_timer_that_a_request_arms_is_waited_for
    a_deadline_passes_when_the_clock_says_so
    a_restart_comes_after_its_pause
    requests_queued_in_a_pause_are_served_after_it
    a_pause_without_clients_goes_on_if_any_is_queued
    a_pause_without_clients_takes_no_time
    a_pause_without_clients_ends_when_requests_expire
    the_clock_goes_on_when_a_loop_has_ended
}

fn a_week_of_hours_has_168_and_none_drifts(on: Loop) {
    let it = on.start(OnPanic::Stop);
    it.client.req(Op::Every(HOUR)).unwrap();
    it.clock.advance(WEEK);
    let expected: Vec<Duration> = (1..=168).map(|n| n * HOUR).collect();
    assert_eq!(*it.log.lock().unwrap(), expected);
}

fn nothing_happens_too_early(on: Loop) {
    let it = on.start(OnPanic::Stop);
    it.client.req(Op::In(HOUR)).unwrap();
    it.clock.advance(Duration::new(3599, 999_999_999));
    assert_eq!(*it.log.lock().unwrap(), []);
    it.clock.advance(Duration::from_nanos(1));
    assert_eq!(*it.log.lock().unwrap(), [HOUR]);
}

fn a_timer_that_a_request_arms_is_waited_for(on: Loop) {
    let it = on.start(OnPanic::Stop);
    // No caller waits for the reply, but the clock does.
    it.client.post(Op::In(SECOND)).wait().unwrap();
    it.client.post(Op::In(2 * SECOND)).wait().unwrap();
    it.clock.advance(HOUR);
    assert_eq!(*it.log.lock().unwrap(), [SECOND, 2 * SECOND]);
}

fn a_deadline_passes_when_the_clock_says_so(on: Loop) {
    let pause = OnPanic::Restart(Restart::new().pause(2 * HOUR, 2 * HOUR));
    let it = on.start(pause);
    // All workers pause, so none takes the next request.
    for _ in 0..2 {
        it.client.post(Op::Panic).wait().unwrap();
    }
    it.clock.wait_until_quiet();
    let late = it
        .client
        .request(Op::Ticks)
        .timeout(HOUR)
        .submit()
        .wait()
        .unwrap();
    it.clock.advance(3599 * SECOND);
    let late = late.try_get().expect_err("it is not late yet");
    it.clock.advance(SECOND);
    let outcome = late.wait();
    assert!(outcome.is_err_and(|error| error.is_timeout()));
}

fn a_restart_comes_after_its_pause(on: Loop) {
    let pause = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
    let it = on.start(pause);
    it.client.req(Op::Every(HOUR / 2)).unwrap();
    let error = it.client.request(Op::Panic).wait().unwrap_err();
    assert!(matches!(error, RequestError::NoReply(NoReply::Panicked(_))));
    if !matches!(on, Loop::Pool) {
        // The handler's timers were dropped with it.
        it.clock.advance(WEEK);
        assert_eq!(*it.log.lock().unwrap(), []);
    }
    assert_eq!(it.client.req(Op::Ticks).map(|_| ()), Ok(()));
}

fn requests_queued_in_a_pause_are_served_after_it(on: Loop) {
    if matches!(on, Loop::Pool) {
        return; // the other worker takes it
    }
    let pause = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
    let it = on.start(pause);
    assert!(it.client.req(Op::Panic).is_err());
    let queued = it.client.req_async(Op::Ticks).unwrap();
    it.clock.advance(3599 * SECOND);
    let queued = queued.try_get().expect_err("it pauses");
    it.clock.advance(SECOND);
    assert_eq!(queued.wait(), Ok(0));
}

fn a_pause_without_clients_goes_on_if_any_is_queued(on: Loop) {
    if matches!(on, Loop::Pool) {
        return; // the other worker takes it
    }
    let pause = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
    let it = on.start(pause);
    assert!(it.client.req(Op::Panic).is_err());
    it.clock.wait_until_quiet();
    let queued = it.client.req_async(Op::Ticks).unwrap();
    drop(it.client);
    it.clock.advance(3599 * SECOND);
    let queued = queued.try_get().expect_err("it pauses");
    assert!(!it.handle.is_finished());
    it.clock.advance(SECOND);
    assert_eq!(queued.wait(), Ok(0));
    assert_eq!(it.handle.join(), Ok(None));
}

fn a_pause_without_clients_takes_no_time(on: Loop) {
    let pause = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
    let it = on.start(pause);
    for _ in 0..2 {
        it.client.post(Op::Panic).wait().unwrap();
    }
    it.clock.wait_until_quiet();
    if !matches!(on, Loop::Pool) {
        // The second request is queued.
        it.clock.advance(HOUR);
    }
    let paused = it.clock.now();
    drop(it.client);
    let (ended, outcome) = mpsc::channel();
    std::thread::spawn(move || ended.send(it.handle.join()));
    let outcome = outcome.recv_timeout(60 * SECOND);
    assert_eq!(outcome.expect("it goes on pausing"), Ok(None));
    assert_eq!(it.clock.now(), paused);
}

fn a_pause_without_clients_ends_when_requests_expire(on: Loop) {
    let pause = OnPanic::Restart(Restart::new().pause(HOUR, HOUR));
    let it = on.start(pause);
    for _ in 0..2 {
        it.client.post(Op::Panic).wait().unwrap();
    }
    it.clock.wait_until_quiet();
    if !matches!(on, Loop::Pool) {
        // The second request is queued.
        it.clock.advance(HOUR);
    }
    let paused = it.clock.now();
    let late = |seconds| it.client.post(Op::Ticks).timeout(seconds * SECOND).wait();
    for seconds in [20, 60, 10] {
        late(seconds).unwrap();
    }
    drop(it.client);
    it.clock.advance(59 * SECOND);
    assert!(!it.handle.is_finished());
    it.clock.advance(SECOND);
    assert_eq!(it.handle.join(), Ok(None));
    assert_eq!(it.clock.now(), paused + 60 * SECOND);
}

fn the_clock_goes_on_when_a_loop_has_ended(on: Loop) {
    let it = on.start(OnPanic::Stop);
    it.client.req(Op::Every(HOUR)).unwrap();
    it.handle.stopper().stop(Stop::Refuse);
    assert_eq!(it.handle.join(), Ok(None));
    it.clock.advance(WEEK);
    assert_eq!(*it.log.lock().unwrap(), []);
}

#[tokio::test(flavor = "current_thread")]
async fn advance_async_waits_for_tasks_of_its_thread() {
    let clock = TestClock::new();
    let log = Log::default();
    let (start, written) = (clock.now(), Arc::clone(&log));
    let (client, handle) = task::Builder::new()
        .test_clock(&clock)
        .spawn_with(move |cx| {
            cx.timers().every(HOUR, ());
            Ok(Ticker {
                timers: cx.timers(),
                clock: cx.clock(),
                start,
                log: Arc::clone(&written),
                ticks: 0,
            })
        })
        .unwrap();
    clock.advance_async(WEEK).await;
    assert_eq!(client.areq(Op::Ticks).await, Ok(168));
    drop(client);
    assert_eq!(handle.await, Ok(None));
}

/// Sends a request once a second.
struct Sender(Client<(), usize, ()>, usize);

impl thread::Handler<(), usize, ()> for Sender {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, usize, ()>) -> ControlFlow<()> {
        let _ = rctx.reply(self.1);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.1 = self.0.req(()).expect("it counts");
        ControlFlow::Continue(())
    }
}

/// Two loops: each second one of them sends a request, and the other one counts.
#[test]
fn loops_that_work_for_each_other_take_turns() {
    let clock = TestClock::new();
    let (counter, _counting) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(move |cx| {
            let mut count = 0;
            let _ = cx;
            Ok(thread::answer(move |()| {
                count += 1;
                Ok(count)
            }))
        })
        .unwrap();
    let (sender, _sending) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(move |cx| {
            cx.timers().every(SECOND, ());
            Ok(Sender(counter.clone(), 0))
        })
        .unwrap();
    clock.advance(HOUR);
    assert_eq!(sender.req(()), Ok(3600));
}

#[test]
fn clock_goes_on_after_a_queued_request_is_cancelled() {
    let clock = TestClock::new();
    let (client, _handle) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(|cx: &Context<bool, bool, ()>| {
            let own = cx.weak_client().clone();
            Ok(thread::answer(move |ask: bool| {
                let own = own.upgrade().expect("its client waits");
                let outcome = ask.then(|| own.request(false).wait());
                Ok(matches!(
                    outcome,
                    Some(Err(RequestError::WouldDeadlock(..)))
                ))
            }))
        })
        .unwrap();
    assert_eq!(client.req(true), Ok(true));
    let start = clock.now();
    clock.advance(WEEK);
    assert_eq!(clock.now() - start, WEEK);
}
