//! Handler calls on tasks that never end by themselves: a stop aborts them, or they time out.

use std::{
    future::pending,
    ops::ControlFlow,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tokio::runtime::Runtime;
use ump_server::{
    Client, Context, Error, JoinErrorKind, OnPanic, ReplyContext, Restart, SpawnError, Stop,
    system::{Attributes, ComponentContext, Group, Report, StopOutcome, System},
    task::{self, OnTimeout},
    thread,
    ump::{ManualClock, NoReply, RequestError},
};

const LONG: Duration = Duration::from_secs(60);

/// The requests to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Echo,
    /// Waits for ever while it owes the reply.
    Stick,
    /// Waits for ever after it has detached the reply context.
    Detach,
    /// Waits for ever after it has replied.
    Answer,
    /// Waits for ever after it has forgotten the reply context.
    Forget,
}

/// Reports where it is stuck, and what happens to it.
struct Sticks {
    told: mpsc::Sender<&'static str>,
    in_init: bool,
    in_term: bool,
}

impl Sticks {
    async fn stick(&self, at: &'static str) {
        self.told.send(at).unwrap();
        pending::<()>().await;
    }
}

impl Drop for Sticks {
    fn drop(&mut self) {
        let _ = self.told.send("dropped");
    }
}

impl task::Handler<Op, Op, (), &'static str> for Sticks {
    async fn init(&mut self, _: ump_server::WeakClient<Op, Op, ()>) {
        if self.in_init {
            self.stick("init").await;
        }
    }

    async fn proc_req(
        &mut self,
        op: Op,
        rctx: ReplyContext<'_, Op, ()>,
    ) -> ControlFlow<&'static str> {
        match op {
            Op::Echo => {
                let _ = rctx.reply(op);
            }
            Op::Stick => {
                let _rctx = rctx;
                self.stick("call").await;
            }
            Op::Detach => {
                let _rctx = rctx.detach();
                self.stick("call").await;
            }
            Op::Answer => {
                let _ = rctx.reply(op);
                self.stick("call").await;
            }
            Op::Forget => {
                std::mem::forget(rctx);
                self.stick("call").await;
            }
        }
        ControlFlow::Continue(())
    }

    async fn term(&mut self, _: Option<&'static str>) -> Option<&'static str> {
        if self.in_term {
            self.stick("term").await;
        }
        Some("term")
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

fn sticks() -> (Sticks, mpsc::Receiver<&'static str>) {
    let (told, stuck) = mpsc::channel();
    let handler = Sticks {
        told,
        in_init: false,
        in_term: false,
    };
    (handler, stuck)
}

/// Runs a wait that may hang, and fails if it does.
fn bounded<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(wait()));
    is_done.recv_timeout(LONG).expect("it does not hang")
}

fn why<S>(outcome: Result<Op, RequestError<S, ()>>) -> Result<Op, NoReply> {
    outcome.map_err(|error| match error {
        RequestError::NoReply(why) => why,
        other => panic!("{:?}", other.without_message()),
    })
}

#[test]
fn an_abort_drops_what_is_in_hand() {
    for op in [Op::Stick, Op::Detach, Op::Answer, Op::Forget] {
        let runtime = runtime();
        let (handler, stuck) = sticks();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn(|_: &Client<_, _, _>| Ok(handler))
            .unwrap();
        let asked = client.request(op).submit().wait().unwrap();
        assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
        let queued = client.request(Op::Echo).submit().wait().unwrap();
        handle.stopper().stop(Stop::Abort);
        let expected = match op {
            Op::Answer => Ok(op),
            _ => Err(NoReply::Aborted),
        };
        assert_eq!(why(bounded(|| asked.wait())), expected, "{op:?}");
        assert!(matches!(
            queued.wait(),
            Err(RequestError::ServerDisappeared(Op::Echo))
        ));
        assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
        assert_eq!(stuck.recv_timeout(LONG), Ok("dropped"));
    }
}

#[test]
fn plain_callers_get_no_reply() {
    let runtime = runtime();
    let (handler, stuck) = sticks();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.req_async(Op::Stick).unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    handle.stopper().stop(Stop::Abort);
    assert_eq!(bounded(|| asked.wait()), Err(Error::NoReply));
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
}

#[test]
fn an_abort_after_a_refusal_and_of_the_clean_up() {
    let runtime = runtime();
    let (mut handler, stuck) = sticks();
    handler.in_term = true;
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    let stopper = handle.stopper();
    for how in [Stop::Drain, Stop::Refuse, Stop::Abort] {
        stopper.stop(how);
    }
    assert_eq!(why(bounded(|| asked.wait())), Err(NoReply::Aborted));
    assert_eq!(stuck.recv_timeout(LONG), Ok("term"));
    stopper.stop(Stop::Abort);
    let error = bounded(|| handle.join()).unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Aborted);
}

#[test]
fn an_abort_of_an_idle_loop_lets_it_clean_up() {
    for _ in 0..50 {
        let runtime = runtime();
        let (handler, _stuck) = sticks();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn(|_: &Client<_, _, _>| Ok(handler))
            .unwrap();
        assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
        handle.stopper().stop(Stop::Abort);
        assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
    }
}

#[test]
fn an_abort_finds_a_handler_in_its_init() {
    let runtime = runtime();
    let (mut handler, stuck) = sticks();
    handler.in_init = true;
    let (_client, mut handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("init"));
    handle.stopper().stop(Stop::Abort);
    assert!(bounded(move || (handle.wait_started(LONG), handle.join())).1 == Ok(Some("term")));
}

#[test]
fn an_abort_of_a_thread_waits_for_its_handler() {
    let (go, gone) = mpsc::channel::<()>();
    let (here, is_here) = mpsc::channel();
    let (client, handle) = thread::spawn(move |_: &Client<u8, u8, ()>| {
        Ok(move |n, rctx: ReplyContext<'_, u8, ()>| {
            here.send(()).unwrap();
            let _ = gone.recv();
            let _ = rctx.reply(n);
            ControlFlow::<()>::Continue(())
        })
    })
    .unwrap();
    let asked = client.req_async(1).unwrap();
    is_here.recv_timeout(LONG).unwrap();
    handle.stopper().stop(Stop::Abort);
    assert!(!handle.is_finished());
    go.send(()).unwrap();
    assert_eq!(asked.wait(), Ok(1));
    assert_eq!(bounded(|| handle.join()), Ok(None));
}

#[test]
fn a_runtime_that_is_shut_down_aborts_what_is_in_hand() {
    let runtime = runtime();
    let (handler, stuck) = sticks();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    drop(runtime);
    assert_eq!(why(asked.wait()), Err(NoReply::Aborted));
    let error = handle.join().unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Aborted);
}

/// A loop on a manual clock, with a call limit of one second.
struct Timed {
    runtime: Runtime,
    clock: ManualClock,
    stuck: mpsc::Receiver<&'static str>,
    builder: task::Builder,
    handlers: Arc<Mutex<mpsc::Sender<&'static str>>>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Timed {
    fn new(policy: OnTimeout) -> Self {
        let runtime = runtime();
        let clock = ManualClock::new();
        let (handler, stuck) = mpsc::channel();
        let builder = task::Builder::new()
            .runtime(runtime.handle().clone())
            .clock(clock.clock())
            .request_timeout(SECOND)
            .on_timeout(policy);
        Self {
            runtime,
            clock,
            stuck,
            builder,
            handlers: Arc::new(Mutex::new(handler)),
        }
    }

    fn factory(&self) -> impl FnMut(&Context<Op, Op, ()>) -> Result<Sticks, ()> + use<> {
        let handlers = Arc::clone(&self.handlers);
        move |_| {
            Ok(Sticks {
                told: handlers.lock().unwrap().clone(),
                in_init: false,
                in_term: false,
            })
        }
    }

    /// Sends a request that times out.
    fn time_out(&self, client: &Client<Op, Op, ()>) {
        let asked = client.request(Op::Stick).submit().wait().unwrap();
        assert_eq!(self.stuck.recv_timeout(LONG), Ok("call"));
        // The loop may not sleep until the limit yet, so the clock advances until it does.
        let clock = self.clock.clone();
        let (told, is_told) = mpsc::channel();
        let outcome = std::thread::spawn(move || {
            let outcome = asked.wait();
            let _ = told.send(());
            outcome
        });
        let begun = std::time::Instant::now();
        while is_told.try_recv().is_err() {
            assert!(begun.elapsed() < LONG, "it does not hang");
            clock.advance(SECOND);
            std::thread::yield_now();
        }
        assert_eq!(why(outcome.join().unwrap()), Err(NoReply::TimedOut));
    }
}

#[test]
fn a_request_that_times_out_leaves_the_loop_going() {
    let timed = Timed::new(OnTimeout::Continue);
    let factory = timed.factory();
    let (client, handle) = timed.builder.clone().spawn_with(factory).unwrap();
    for _ in 0..3 {
        assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
        timed.time_out(&client);
    }
    assert_eq!(client.stats().no_reply, 3);
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
    drop(timed.runtime);
}

#[test]
fn a_request_that_times_out_fails_the_loop_if_so_told() {
    let timed = Timed::new(OnTimeout::Fail);
    let factory = timed.factory();
    let (client, handle) = timed.builder.clone().spawn_with(factory).unwrap();
    timed.time_out(&client);
    let error = bounded(|| handle.join()).unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::TimedOut);
    assert_eq!(timed.stuck.recv_timeout(LONG), Ok("dropped"));
}

#[test]
fn a_request_that_times_out_restarts_the_handler_if_so_told() {
    let timed = Timed::new(OnTimeout::Fail);
    let restart = Restart::new()
        .limit(9, LONG)
        .pause(Duration::ZERO, Duration::ZERO);
    let factory = timed.factory();
    let builder = timed.builder.clone().on_panic(OnPanic::Restart(restart));
    let (client, handle) = builder.spawn_with(factory).unwrap();
    timed.time_out(&client);
    assert_eq!(timed.stuck.recv_timeout(LONG), Ok("dropped"));
    assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
    assert_eq!(handle.stopper().workers()[0].restarts, 1);
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
}

#[test]
fn a_request_in_time_is_answered() {
    let timed = Timed::new(OnTimeout::Fail);
    let (client, handle) = timed
        .builder
        .clone()
        .spawn(|_: &Client<u8, u8, ()>| {
            Ok(task::answer(async |n: u8| {
                tokio::task::yield_now().await;
                Ok(n)
            }))
        })
        .unwrap();
    for n in 0..100 {
        assert_eq!(client.req(n), Ok(n));
        timed.clock.advance(SECOND / 2);
    }
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(None));
}

/// Adds a component on a task whose handler gets stuck.
fn component(
    system: ump_server::system::Builder,
    in_term: bool,
) -> (ump_server::system::Builder, mpsc::Receiver<&'static str>) {
    let (handler, stuck) = mpsc::channel();
    let handler = Mutex::new(handler);
    let system = system.task(
        "sticks",
        Attributes::new(),
        move |_: &ComponentContext<_, _, _>| {
            Ok(Sticks {
                told: handler.lock().unwrap().clone(),
                in_init: false,
                in_term,
            })
        },
    );
    (system, stuck)
}

fn stopped(system: System, how: Stop, within: Duration) -> Report {
    bounded(move || system.stop(how, within).wait())
}

#[test]
fn a_system_aborts_what_is_left_at_its_end() {
    for (in_term, how) in [
        (false, Stop::Drain),
        (false, Stop::Refuse),
        (false, Stop::Abort),
        (true, Stop::Drain),
    ] {
        let runtime = runtime();
        let builder = System::builder()
            .runtime(runtime.handle().clone())
            .grace(Duration::from_millis(10));
        let (builder, stuck) = component(builder, in_term);
        let system = builder.start(LONG).wait().unwrap();
        let client = system.client::<Op, Op, ()>("sticks").unwrap();
        let asked = client.request(Op::Stick).submit().wait().unwrap();
        assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
        let within = if how == Stop::Abort {
            LONG
        } else {
            Duration::ZERO
        };
        let report = stopped(system, how, within);
        assert_eq!(why(asked.wait()), Err(NoReply::Aborted));
        let StopOutcome::Aborted { in_hand, .. } = &report.instances[0].how else {
            panic!("{report}");
        };
        assert_eq!(in_hand.len(), if in_term { 2 } else { 1 }, "{report}");
        assert!(!report.is_clean() && report.to_string().contains("was aborted"));
        assert_eq!(report.still_running().count(), 0);
    }
}

#[test]
fn a_thread_that_is_left_is_reported_as_running() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let (here, is_here) = mpsc::channel();
    let here = Mutex::new(here);
    let system = System::builder()
        .grace(Duration::from_millis(10))
        .thread(
            "stuck",
            Attributes::new(),
            move |_: &ComponentContext<u8, u8, ()>| {
                let gone = gone.lock().unwrap().take().unwrap();
                let here = here.lock().unwrap().clone();
                Ok(thread::answer(move |n| {
                    here.send(()).unwrap();
                    let _ = gone.recv();
                    Ok(n)
                }))
            },
        )
        .start(LONG)
        .wait()
        .unwrap();
    let client = system.client::<u8, u8, ()>("stuck").unwrap();
    let asked = client.req_async(1).unwrap();
    is_here.recv_timeout(LONG).unwrap();
    let report = stopped(system, Stop::Drain, Duration::ZERO);
    assert_eq!(report.still_running().count(), 1, "{report}");
    go.send(()).unwrap();
    assert_eq!(asked.wait(), Ok(1));
}

#[test]
fn a_component_has_a_limit_for_requests() {
    let runtime = runtime();
    let (handler, stuck) = mpsc::channel();
    let handler = Mutex::new(handler);
    let limit = Attributes::new()
        .request_timeout(Duration::from_millis(1))
        .on_timeout(OnTimeout::Fail);
    let system = System::builder()
        .runtime(runtime.handle().clone())
        .task(
            "sticks",
            limit.clone(),
            move |_: &ComponentContext<_, _, _>| {
                Ok(Sticks {
                    told: handler.lock().unwrap().clone(),
                    in_init: false,
                    in_term: false,
                })
            },
        )
        .start(LONG)
        .wait()
        .unwrap();
    let client = system.client::<Op, Op, ()>("sticks").unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    assert_eq!(why(bounded(|| asked.wait())), Err(NoReply::TimedOut));
    let failure = bounded(move || system.failed().wait());
    assert_eq!(failure.component, "sticks");
    assert!(failure.why.contains("took longer"), "{failure}");

    let error = System::builder()
        .thread("other", limit, |_: &ComponentContext<u8, u8, ()>| {
            Ok(thread::answer(Ok))
        })
        .start(LONG)
        .wait()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "component other, request_timeout: a thread cannot be stopped from outside"
    );
}

#[test]
fn what_a_group_stopped_is_reported_as_stopped() {
    let group = Group::new("pair")
        .members(["fails", "sibling"])
        .restart(Restart::new().limit(0, LONG));
    let system = System::builder()
        .thread(
            "fails",
            Attributes::new(),
            |_: &ComponentContext<u8, u8, ()>| {
                Ok(|_, _: ReplyContext<'_, u8, ()>| -> ControlFlow<()> { panic!("as asked") })
            },
        )
        .thread(
            "sibling",
            Attributes::new(),
            |_: &ComponentContext<u8, u8, ()>| Ok(thread::answer(Ok)),
        )
        .thread(
            "other",
            Attributes::new(),
            |_: &ComponentContext<u8, u8, ()>| {
                Ok(|n, rctx: ReplyContext<'_, u8, ()>| {
                    let _ = rctx.reply(n);
                    ControlFlow::Break(())
                })
            },
        )
        .group(group)
        .start(LONG)
        .wait()
        .unwrap();
    assert_eq!(system.client::<u8, u8, ()>("other").unwrap().req(1), Ok(1));
    let sibling = system.client::<u8, u8, ()>("sibling").unwrap();
    assert!(
        system
            .client::<u8, u8, ()>("fails")
            .unwrap()
            .req(1)
            .is_err()
    );
    sibling.closed().wait();
    let report = stopped(system, Stop::Drain, LONG);
    let how = |name: &str| {
        let mut instances = report.instances.iter();
        &instances.find(|it| it.component == name).unwrap().how
    };
    assert!(matches!(how("fails"), StopOutcome::Failed(_)), "{report}");
    assert!(
        matches!(how("sibling"), StopOutcome::StoppedByGroup { group } if group == "pair"),
        "{report}"
    );
    assert!(
        matches!(how("other"), StopOutcome::Earlier | StopOutcome::InOrder),
        "{report}"
    );
}

#[test]
fn a_runtime_that_is_gone_is_told_when_a_loop_is_spawned() {
    let runtime = runtime();
    let gone = runtime.handle().clone();
    drop(runtime);
    let builder = task::Builder::new().runtime(gone.clone());
    let spawned = builder
        .clone()
        .spawn(|_: &Client<u8, u8, ()>| Ok(task::answer(async |n: u8| Ok(n))));
    assert!(matches!(spawned, Err(SpawnError::RuntimeShutDown)));
    let error = System::builder()
        .runtime(gone)
        .task(
            "late",
            Attributes::new(),
            |_: &ComponentContext<u8, u8, ()>| Ok(task::answer(async |n: u8| Ok(n))),
        )
        .start(LONG)
        .wait()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "component late did not come up: the runtime that was to run its task has been shut down"
    );
}
