//! The status of the components of a system.

use std::{sync::mpsc, thread, time::Duration};

use ump_server::{
    Decision, Error, OnPanic, Restart, Stop, TestClock,
    system::{Attributes, Group, InstanceStatus, State, System},
    ump::ManualClock,
    watchdog::Stage,
};

use crate::support::{LONG, Log, On, Op, ProbeClient, Probes, hold, on_each_kind};

on_each_kind! {
    a_status_says_how_each_component_is
    queued_and_taken_requests_are_seen
    restarts_and_their_reason_are_seen
    the_last_failures_are_kept_with_their_ages
    the_time_in_service_is_that_of_the_clock
    a_component_that_stops_is_seen_to
    calls_in_hand_of_each_worker_are_seen
    a_component_has_a_watchdog
}

fn of(system: &System, name: &str) -> InstanceStatus {
    let status = system.status();
    let component = status.iter().find(|it| it.name == name).unwrap();
    component.instances[0].clone()
}

fn a_status_says_how_each_component_is(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a", "b:a"]);
    let attributes = Attributes::new().instances(2).capacity(7);
    let builder = on.add(builder, "c", attributes, Probes::new(&Log::default()));
    let group = Group::new("g").members(["c"]);
    let system = builder.group(group).start(LONG).wait().unwrap();
    let [a, b, c] = &system.status()[..] else {
        panic!("there are three")
    };
    assert_eq!((&*a.name, &*b.name, &*c.name), ("a", "b", "c"));
    assert_eq!((a.needs.len(), &b.needs[..]), (0, &["a".to_owned()][..]));
    assert_eq!((&a.group, c.group.as_deref()), (&None, Some("g")));
    assert_eq!(c.instances.len(), 2);
    assert_eq!(c.instances[1].capacity, Some(7), "and not eight");
    assert_eq!(a.instances[0].capacity, None);
    assert!(c.instances.iter().all(|it| it.state == State::Up));
    drop(system);
}

fn queued_and_taken_requests_are_seen(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let a: ProbeClient = system.client("a").unwrap();
    assert_eq!(a.req(Op::Echo(1)), Ok(1));
    assert_eq!(a.req(Op::Arm), Ok(0));
    let go = hold(&a);
    let queued = a.req_async(Op::Echo(2)).unwrap();
    let status = of(&system, "a");
    let requests = status.requests;
    assert_eq!((requests.queued, requests.taken), (1, 1));
    assert_eq!((requests.accepted, requests.processed()), (4, 2));
    assert_eq!(status.timers, 1);
    drop(go);
    assert_eq!(queued.wait(), Ok(2));
}

fn restarts_and_their_reason_are_seen(on: On) {
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let attributes = Attributes::new().on_panic(OnPanic::Restart(restart));
    let probes = Probes::new(&Log::default());
    let builder = on.add(System::builder(), "a", attributes, probes);
    let system = builder.start(LONG).wait().unwrap();
    let a: ProbeClient = system.client("a").unwrap();
    assert_eq!(a.req(Op::Arm), Ok(0));
    assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    assert_eq!(a.req(Op::Generation), Ok(1));
    let status = of(&system, "a");
    assert_eq!((status.state, status.restarts), (State::Up, 1));
    assert_eq!(
        status.timers, 0,
        "they were those of the handler that failed"
    );
    assert_eq!(status.requests.panicked, 1);
    assert_eq!(
        status.last_failure.as_deref(),
        Some("the handler panicked: as asked")
    );
}

fn the_last_failures_are_kept_with_their_ages(on: On) {
    let clock = TestClock::new();
    let restart = Restart::new()
        .pause(Duration::ZERO, Duration::ZERO)
        .limit(20, 100 * LONG);
    let attributes = Attributes::new().on_panic(OnPanic::Restart(restart));
    let probes = Probes::new(&Log::default());
    let builder = System::builder().test_clock(&clock);
    let builder = on.add(builder, "a", attributes, probes);
    let system = builder.start(LONG).wait().unwrap();
    let a: ProbeClient = system.client("a").unwrap();
    assert_eq!(of(&system, "a").failures, []);
    for generation in 1..=20 {
        assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
        assert_eq!(a.req(Op::Generation), Ok(generation));
        clock.advance(LONG);
    }
    assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    while of(&system, "a").state != State::Failed {
        thread::yield_now();
    }
    let failures = of(&system, "a").failures;
    assert_eq!(failures.len(), 16, "the first five are forgotten");
    let (last, earlier) = failures.split_last().unwrap();
    for (n, failure) in (1..).zip(earlier.iter().rev()) {
        assert_eq!(failure.age, n * LONG, "the oldest is the first");
        assert_eq!(failure.reason, "the handler panicked: as asked");
        let pause = Duration::ZERO;
        assert_eq!(failure.decision, Decision::Restart { pause });
    }
    assert_eq!(
        (last.age, last.decision),
        (Duration::ZERO, Decision::GiveUp)
    );
}

fn the_time_in_service_is_that_of_the_clock(on: On) {
    let clock = TestClock::new();
    let builder = System::builder().test_clock(&clock);
    let builder = on.add_all(builder, &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    assert_eq!(of(&system, "a").in_service, Some(Duration::ZERO));
    clock.advance(LONG);
    assert_eq!(of(&system, "a").in_service, Some(LONG));
}

fn a_component_that_stops_is_seen_to(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let directory = system.directory();
    let a: ProbeClient = system.client("a").unwrap();
    let go = hold(&a);
    let mut stop = system.stop(Stop::Drain, LONG);
    assert!(crate::support::poll(&mut stop).is_pending());
    assert_eq!(directory.status()[0].instances[0].state, State::Stopping);
    drop(go);
    assert!(stop.wait().is_clean());
}

fn calls_in_hand_of_each_worker_are_seen(on: On) {
    let clock = TestClock::new();
    let attributes = Attributes::new().workers(2);
    let builder = System::builder().test_clock(&clock);
    let builder = on.add(builder, "a", attributes, Probes::new(&Log::default()));
    let system = builder.start(LONG).wait().unwrap();
    let a: ProbeClient = system.client("a").unwrap();
    let go = hold(&a);
    let workers = of(&system, "a").workers;
    assert_eq!(workers.len(), 2);
    assert_eq!([workers[0].worker, workers[1].worker], [0, 1]);
    let in_hand: Vec<_> = workers.iter().filter_map(|it| it.in_hand).collect();
    let [in_hand] = &in_hand[..] else {
        panic!("one of the two has the request: {workers:?}")
    };
    assert!(in_hand.caller.is_some());
    assert_eq!(in_hand.age, Some(Duration::ZERO));
    drop(go);
}

fn a_component_has_a_watchdog(on: On) {
    let clock = ManualClock::new();
    let (stalls, stalled) = mpsc::channel();
    let threshold = Duration::from_millis(5);
    let attributes = Attributes::new().watchdog(threshold);
    let builder = System::builder()
        .clock(clock.clock())
        .on_stall(move |stall| drop(stalls.send(stall.clone())));
    let builder = on.add(builder, "a", attributes, Probes::new(&Log::default()));
    let builder = on.add_all(builder, &Log::default(), &["unwatched"]);
    let system = builder.start(LONG).wait().unwrap();
    let unwatched: ProbeClient = system.client("unwatched").unwrap();
    let a: ProbeClient = system.client("a").unwrap();
    let (other, go) = (hold(&unwatched), hold(&a));
    clock.advance(2 * threshold);
    let stall = stalled.recv_timeout(LONG).unwrap();
    assert_eq!((&*stall.name, stall.threshold), ("a", threshold));
    let kept = of(&system, "a").stalls;
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].kind, kept[0].caller), (stall.kind, stall.caller));
    assert_eq!(kept[0].elapsed, 2 * threshold);
    drop((other, go));
    // The last report is that the handler has returned control. It replaces the first one.
    while stalled.recv_timeout(LONG).unwrap().stage != Stage::Over {}
    let kept = of(&system, "a").stalls;
    assert_eq!((kept.len(), kept[0].stage), (1, Stage::Over));
    assert_eq!(of(&system, "unwatched").stalls, []);
}
