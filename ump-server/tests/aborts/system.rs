//! Components with calls that never end by themselves.

use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::{Mutex, mpsc},
    task::{Context, Poll, Waker},
    time::Duration,
};

use ump_server::{
    Client, ReplyContext, Restart, SpawnError, Stop,
    system::{Attributes, ComponentContext, Group, Operation, Report, StopOutcome, System},
    task::{self, OnTimeout},
    thread,
    ump::{ManualClock, NoReply},
};

use crate::support::{LONG, Op, Sticks, bounded, runtime, why};

const GRACE: Duration = Duration::from_millis(10);

fn poll<T>(waiting: &mut Operation<T>) -> Poll<T> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

/// Adds a component on a task whose handler gets stuck.
fn component(
    system: ump_server::system::Builder,
    in_term: bool,
) -> (ump_server::system::Builder, mpsc::Receiver<&'static str>) {
    let (handler, stuck) = mpsc::channel();
    let handler = Mutex::new(handler);
    let system = system.task("sticks", Attributes::new(), move |_| {
        Ok(Sticks {
            events: handler.lock().unwrap().clone(),
            in_init: false,
            in_term,
        })
    });
    (system, stuck)
}

fn stopped(system: System, how: Stop, within: Duration) -> Report {
    bounded(move || system.stop(how, within).wait())
}

#[test]
fn system_aborts_the_remaining_calls_at_its_end() {
    for (in_term, how) in [
        (false, Stop::Drain),
        (false, Stop::Refuse),
        (false, Stop::Abort),
        (true, Stop::Drain),
    ] {
        let runtime = runtime();
        let clock = ManualClock::new();
        let builder = System::builder()
            .runtime(runtime.handle().clone())
            .clock(clock.clock())
            .grace(GRACE);
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
        let mut stop = system.stop(how, within);
        if how != Stop::Abort {
            assert!(poll(&mut stop).is_pending());
            clock.advance(GRACE); // then it aborts the call
        }
        if in_term {
            assert!(poll(&mut stop).is_pending());
            assert_eq!(stuck.recv_timeout(LONG), Ok("term"));
            clock.advance(GRACE); // then it aborts the clean-up
        }
        // The time stands still: only the end of the component can end the wait.
        let report = bounded(move || stop.wait());
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
fn thread_that_does_not_end_is_reported_as_running() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let (here, is_here) = mpsc::channel();
    let here = Mutex::new(here);
    let system = System::builder()
        .grace(GRACE)
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
        .task("sticks", limit.clone(), move |_| {
            Ok(Sticks {
                events: handler.lock().unwrap().clone(),
                in_init: false,
                in_term: false,
            })
        })
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
        "component other, request_timeout: only tasks have it, because a call on a thread cannot be interrupted"
    );
}

#[test]
fn sibling_that_a_group_stopped_is_reported_so() {
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
        .thread("other", Attributes::new(), |_| {
            Ok(|n, rctx: ReplyContext<'_, u8, ()>| {
                let _ = rctx.reply(n);
                ControlFlow::Break(())
            })
        })
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
fn spawning_on_a_shut_down_runtime_is_an_error() {
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
        "component late did not start: the tokio runtime of the task has been shut down"
    );
}
