//! How systems start.

use std::{
    sync::{Mutex, mpsc},
    task::Poll,
    time::Duration,
};

use ump_server::{
    Stop,
    system::{Attributes, PlanError, StartError, StartFailure, StopOutcome, System},
    ump::ManualClock,
};

use crate::support::{LONG, Log, On, Op, Probes, RUNTIME, make, on_each_kind, poll};

on_each_kind! {
    components_start_by_need_then_by_definition
    needs_have_started_before_a_component_is_made
    a_system_can_be_started_and_stopped_by_a_task
    all_workers_of_all_instances_have_to_start
    a_factory_that_refuses_ends_the_start_and_says_why
    a_factory_that_panics_ends_the_start_and_says_why
    an_init_that_panics_ends_the_start_and_says_why
    failed_start_stops_components_in_reverse_order
    component_that_is_late_is_named
    a_start_that_is_dropped_leaves_nothing_behind
}

fn components_start_by_need_then_by_definition(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["c:a", "a", "b", "d:b,c"]);
    let system = builder.start(LONG).wait().unwrap();
    assert_eq!(log.of("init"), ["a", "c", "b", "d"]);
    drop(system);
}

fn needs_have_started_before_a_component_is_made(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a"]);
    let probes = Probes::new(&log);
    let builder = on.add_with(builder, "b", Attributes::new().needs("a"), move |setup| {
        assert_eq!(probes.log.of("init"), ["a"]);
        let a = setup.client::<Op, u64, &'static str>("a")?;
        // The component is up, so it accepts requests. A task would await the reply.
        drop(a.req_async(Op::Echo(1)));
        make(&probes, setup)
    });
    let system = builder.start(LONG).wait().unwrap();
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

fn a_system_can_be_started_and_stopped_by_a_task(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a", "b:a"]);
    RUNTIME.block_on(async {
        let system = builder.start(LONG).await.unwrap();
        let b = system.client::<Op, u64, &'static str>("b").unwrap();
        assert_eq!(b.areq(Op::Echo(3)).await, Ok(3));
        assert!(system.stop(Stop::Drain, LONG).await.is_clean());
    });
    assert_eq!(log.of("term"), ["b", "a"]);
}

fn all_workers_of_all_instances_have_to_start(on: On) {
    let log = Log::default();
    let attributes = Attributes::new().instances(2).workers(3);
    let builder = on.add(System::builder(), "a", attributes, Probes::new(&log));
    let system = builder.start(LONG).wait().unwrap();
    let mut started = log.of("init");
    started.sort();
    assert_eq!(started, ["a-0", "a-0", "a-0", "a-1", "a-1", "a-1"]);
    drop(system);
}

fn why(error: &StartError) -> (&str, usize, &StartFailure) {
    match error {
        StartError::Component {
            component,
            instance,
            why,
            ..
        } => (component, *instance, why),
        other => panic!("{other}"),
    }
}

fn a_factory_that_refuses_ends_the_start_and_says_why(on: On) {
    let attributes = Attributes::new().instances(3);
    let probes = Probes::new(&Log::default()).refuse(|_| true);
    let builder = on.add(System::builder(), "a", attributes, probes);
    let error = builder.start(LONG).wait().unwrap_err();
    let (component, _, why) = why(&error);
    assert_eq!(component, "a");
    assert!(matches!(why, StartFailure::Refused(_)));
    assert!(
        error
            .to_string()
            .ends_with("its factory returned an error: not now"),
        "{error}"
    );
}

fn a_factory_that_panics_ends_the_start_and_says_why(on: On) {
    let builder = on.add_with(System::builder(), "a", Attributes::new(), |_| panic!("oh"));
    let error = builder.start(LONG).wait().unwrap_err();
    assert!(matches!(why(&error), ("a", 0, StartFailure::Panicked(_))));
    assert_eq!(
        error.to_string(),
        "component a did not start: its factory panicked: oh"
    );
}

fn an_init_that_panics_ends_the_start_and_says_why(on: On) {
    let probes = Probes::new(&Log::default()).init(|_| panic!("oh"));
    let builder = on.add(System::builder(), "a", Attributes::new(), probes);
    let error = builder.start(LONG).wait().unwrap_err();
    assert!(matches!(why(&error), ("a", 0, StartFailure::Failed(_))));
    assert_eq!(
        error.to_string(),
        "component a did not start: the handler panicked: oh"
    );
}

fn failed_start_stops_components_in_reverse_order(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a", "b"]);
    let refusing = Probes::new(&log).refuse(|_| true);
    let builder = on.add(builder, "c", Attributes::new().needs("a"), refusing);
    let builder = on.add_all(builder, &log, &["d:c"]);
    let error = builder.start(LONG).wait().unwrap_err();
    assert_eq!(log.of("term"), ["b", "a"]);
    assert_eq!(log.of("make"), ["a", "b", "c"], "d was not tried");
    let StartError::Component { stopped, .. } = error else {
        panic!("{error}");
    };
    let ended: Vec<_> = stopped.instances.iter().map(|it| &*it.component).collect();
    assert_eq!(ended, ["c", "b", "a"]);
    assert_eq!(stopped.still_running().count(), 0);
}

fn component_that_is_late_is_named(on: On) {
    let log = Log::default();
    let clock = ManualClock::new();
    let (go, wait) = mpsc::channel::<()>();
    let (ended, is_over) = mpsc::channel();
    let wait = Mutex::new(wait);
    let slow = Probes::new(&log)
        .init(move |_| wait.lock().unwrap().recv().unwrap_or_default())
        .until(ended);
    let builder = System::builder().clock(clock.clock());
    let builder = on.add_all(builder, &log, &["quick"]);
    let builder = on.add(builder, "slow", Attributes::new(), slow);
    let mut start = builder.start(Duration::from_secs(5));
    // Advances the clock past the deadline, and then past the grace period.
    let error = loop {
        if let Poll::Ready(outcome) = poll(&mut start) {
            break outcome.unwrap_err();
        }
        if log.of("make").len() == 2 {
            clock.advance(Duration::from_secs(1));
        }
        std::thread::yield_now();
    };
    // The other component may still be running, too.
    let expected = "component slow did not start: it was not ready within 5s; still running: slow";
    assert!(error.to_string().starts_with(expected), "{error}");
    let StartError::Component { stopped, .. } = error else {
        unreachable!()
    };
    assert!(matches!(
        stopped.instances[0].how,
        StopOutcome::StillRunning { .. }
    ));
    // Once released, it ends by itself.
    drop(go);
    assert!(
        is_over
            .recv_timeout(LONG)
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
}

fn a_start_that_is_dropped_leaves_nothing_behind(on: On) {
    let log = Log::default();
    let (go, wait) = mpsc::channel::<()>();
    let (ended, is_over) = mpsc::channel();
    let wait = Mutex::new(wait);
    let first = Probes::new(&log).until(ended.clone());
    let second = Probes::new(&log)
        .init(move |_| wait.lock().unwrap().recv().unwrap_or_default())
        .until(ended);
    let builder = on.add(System::builder(), "a", Attributes::new(), first);
    let builder = on.add(builder, "b", Attributes::new(), second);
    let mut start = builder.start(LONG);
    while log.of("init").len() < 2 {
        assert!(poll(&mut start).is_pending());
        std::thread::yield_now();
    }
    drop(start);
    drop(go);
    assert!(
        is_over
            .recv_timeout(LONG)
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
}

fn plan_error(builder: ump_server::system::Builder) -> PlanError {
    match builder.start(LONG).wait() {
        Err(StartError::Plan(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_need_is_named() {
    let log = Log::default();
    let error = plan_error(On::Thread.add_all(System::builder(), &log, &["a", "b:a,x"]));
    assert_eq!(
        error.to_string(),
        "component b needs x, which is not defined; the components are a, b"
    );
    assert!(log.of("make").is_empty(), "nothing was started");
}

#[test]
fn a_cycle_is_named() {
    let all = ["z", "a:b", "b:z,c", "c:a", "d:a"];
    let error = plan_error(On::Thread.add_all(System::builder(), &Log::default(), &all));
    assert_eq!(
        error.to_string(),
        "components need each other in a cycle: a needs b needs c needs a; remove one of these needs"
    );
    let error = plan_error(On::Thread.add_all(System::builder(), &Log::default(), &["a:a"]));
    assert_eq!(
        error.to_string(),
        "components need each other in a cycle: a needs a; remove one of these needs"
    );
}

#[test]
fn two_components_cannot_have_one_name() {
    let error = plan_error(On::Thread.add_all(System::builder(), &Log::default(), &["a", "a"]));
    assert_eq!(
        error.to_string(),
        "two components are named a: rename one of them"
    );
}

#[test]
fn a_component_needs_a_name() {
    for name in ["", "a\0b"] {
        let error = plan_error(On::Thread.add_all(System::builder(), &Log::default(), &[name]));
        assert!(matches!(error, PlanError::Name { .. }));
    }
}

#[test]
fn attributes_that_make_no_sense_are_named() {
    let probes = Probes::new(&Log::default());
    for (attributes, expected) in [
        (
            Attributes::new().instances(0),
            "component a, instances: it must be at least 1",
        ),
        (
            Attributes::new().workers(0),
            "component a, workers: it must be at least 1",
        ),
        (
            Attributes::new().capacity(0),
            "component a, capacity: it must be at least 1",
        ),
        (
            Attributes::new().stack_size(1 << 20),
            "component a, stack_size: only threads have it, because a task has no thread of its own",
        ),
        #[cfg(feature = "scheduling")]
        (
            Attributes::new().priority(1),
            "component a, priority: only threads have it, because a task has no thread of its own",
        ),
        #[cfg(feature = "scheduling")]
        (
            Attributes::new().affinity([0]),
            "component a, affinity: only threads have it, because a task has no thread of its own",
        ),
        #[cfg(feature = "scheduling")]
        (
            Attributes::new().affinity([]),
            "component a, affinity: it must name at least one CPU",
        ),
    ] {
        let builder = On::Task.add(System::builder(), "a", attributes, probes.clone());
        assert_eq!(plan_error(builder).to_string(), expected);
    }
}

#[test]
fn tasks_without_a_runtime_are_an_error() {
    let builder = System::builder().task(
        "a",
        Attributes::new(),
        |_: &ump_server::system::ComponentContext<(), (), ()>| {
            Ok(ump_server::task::answer(async |()| Ok(())))
        },
    );
    let error = builder.start(LONG).wait().unwrap_err();
    assert!(matches!(why(&error), ("a", 0, StartFailure::Spawn(_))));
}

#[test]
fn a_system_of_nothing_starts_and_stops() {
    let system = System::builder().start(Duration::ZERO).wait().unwrap();
    assert!(system.status().is_empty());
    assert!(system.stop(Stop::Drain, Duration::ZERO).wait().is_clean());
}
