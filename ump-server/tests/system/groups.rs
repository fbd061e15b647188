//! Components that are supervised together.

use std::{sync::mpsc, thread, time::Duration};

use ump_server::{
    Error, OnPanic, Restart, Stop, TestClock,
    system::{Attributes, Builder, Escalation, Group, State, StopOutcome, Strategy, System},
};

use crate::support::{LONG, Log, On, Op, ProbeClient, Probes, RUNTIME, hold, on_each_kind};

on_each_kind! {
    one_for_one_concerns_the_failed_member_only
    rest_for_one_concerns_later_members
    rest_for_one_leaves_siblings_alone
    one_for_all_concerns_all
    queued_requests_survive
    failed_member_is_rebuilt_after_a_pause
    a_pause_ends_when_the_last_client_leaves
    too_many_failures_stop_the_group
    too_many_failures_stop_the_system_by_escalation
    failures_of_all_members_count_together
    failures_long_ago_do_not_count
    a_member_that_continues_does_not_fail
    a_factory_that_refuses_counts_as_a_failure
    one_for_all_rebuilds_all_workers_of_an_instance
    first_handler_that_fails_in_init_is_rebuilt
}

const PAUSE: Duration = Duration::from_millis(10);

fn at_once() -> Restart {
    Restart::new()
        .limit(3, LONG)
        .pause(Duration::ZERO, Duration::ZERO)
}

fn group(strategy: Strategy) -> Group {
    Group::new("g")
        .members(["a", "b", "c"])
        .strategy(strategy)
        .restart(at_once())
}

/// Starts a system with the members a, b and c, and one component outside the group.
fn start(on: On, builder: Builder, group: Group) -> System {
    let builder = on.add_all(builder, &Log::default(), &["none", "a", "b:a", "c:b"]);
    builder.group(group).start(LONG).wait().unwrap()
}

fn client(system: &System, name: &str) -> ProbeClient {
    system.client(name).unwrap()
}

/// Returns how many handlers each component had before its current one, once all are at rest.
fn generations(system: &System) -> [u64; 4] {
    ["none", "a", "b", "c"].map(|name| {
        let client = client(system, name);
        // A handler that is about to be replaced may serve one more request.
        client.req(Op::Generation).unwrap();
        client.req(Op::Generation).unwrap()
    })
}

/// Makes a component fail, and waits until the supervisor has acted.
fn fail(system: &System, name: &str) {
    let client = client(system, name);
    assert_eq!(client.req(Op::Panic), Err(Error::NoReply));
    // The next handler replies. The other members have been notified by then.
    client.req(Op::Generation).unwrap();
}

fn one_for_one_concerns_the_failed_member_only(on: On) {
    let system = start(on, System::builder(), group(Strategy::OneForOne));
    fail(&system, "b");
    assert_eq!(generations(&system), [0, 0, 1, 0]);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

fn rest_for_one_concerns_later_members(on: On) {
    let system = start(on, System::builder(), group(Strategy::RestForOne));
    fail(&system, "b");
    assert_eq!(generations(&system), [0, 0, 1, 1]);
    fail(&system, "c");
    assert_eq!(generations(&system), [0, 0, 1, 2]);
    fail(&system, "a");
    assert_eq!(generations(&system), [0, 1, 2, 3]);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

/// The first of two instances of `a` fails. `b`, which starts later, gets a new handler; the second
/// instance does not.
fn rest_for_one_leaves_siblings_alone(on: On) {
    let log = Log::default();
    let probes = Probes::new(&log);
    let builder = on.add(
        System::builder(),
        "a",
        Attributes::new().instances(2),
        probes,
    );
    let builder = on.add_all(builder, &log, &["b:a"]);
    let group = Group::new("g")
        .members(["a", "b"])
        .strategy(Strategy::RestForOne)
        .restart(at_once());
    let system = builder.group(group).start(LONG).wait().unwrap();
    let first: ProbeClient = system.instance("a", 0).unwrap();
    let second: ProbeClient = system.instance("a", 1).unwrap();
    let generation = second.req(Op::Generation);
    assert_eq!(first.req(Op::Panic), Err(Error::NoReply));
    first.req(Op::Generation).unwrap();
    let b = client(&system, "b");
    b.req(Op::Generation).unwrap();
    assert_eq!(b.req(Op::Generation), Ok(1));
    second.req(Op::Generation).unwrap();
    assert_eq!(
        second.req(Op::Generation),
        generation,
        "it was not made anew"
    );
    assert_eq!(log.of("make a-1").len(), 1);
    assert_eq!(log.of("make a-0").len(), 2);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

fn one_for_all_concerns_all(on: On) {
    let system = start(on, System::builder(), group(Strategy::OneForAll));
    fail(&system, "c");
    assert_eq!(generations(&system), [0, 1, 1, 1]);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

fn queued_requests_survive(on: On) {
    let system = start(on, System::builder(), group(Strategy::OneForAll));
    let (b, c) = (client(&system, "b"), client(&system, "c"));
    let go = hold(&c);
    let queued: Vec<_> = (0..10).map(|n| c.req_async(Op::Echo(n)).unwrap()).collect();
    b.post(Op::Panic).wait().unwrap();
    assert_eq!(b.req(Op::Generation), Ok(1));
    drop(go);
    for (n, reply) in (0..).zip(queued) {
        assert_eq!(reply.wait(), Ok(n));
    }
    assert_eq!(c.req(Op::Generation), Ok(1));
}

fn failed_member_is_rebuilt_after_a_pause(on: On) {
    let clock = TestClock::new();
    let group =
        group(Strategy::OneForOne).restart(Restart::new().limit(3, LONG).pause(PAUSE, PAUSE));
    let system = start(on, System::builder().test_clock(&clock), group);
    let a = client(&system, "a");
    assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    let reply = a.req_async(Op::Generation).unwrap();
    clock.advance(PAUSE / 2);
    assert!(!reply.is_ready());
    clock.advance(PAUSE / 2);
    assert_eq!(reply.wait(), Ok(1));
}

fn a_pause_ends_when_the_last_client_leaves(on: On) {
    let long = Restart::new().pause(60 * LONG, 60 * LONG);
    let group = group(Strategy::OneForOne).restart(long);
    let system = start(on, System::builder(), group);
    let (a, c) = (client(&system, "a"), client(&system, "c"));
    assert_eq!(c.req(Op::Panic), Err(Error::NoReply));
    // The factory of c's handlers owns the last client of b, and so on.
    let closed = [c.closed(), a.closed()];
    drop((system, a, c));
    let (done, ends) = mpsc::channel();
    thread::spawn(move || {
        for closed in closed {
            closed.wait();
            let _ = done.send(());
        }
    });
    for _ in 0..2 {
        ends.recv_timeout(LONG).expect("it goes on pausing");
    }
}

fn fail_until_it_gives_up(system: &System, name: &str) {
    for _ in 0..3 {
        fail(system, name);
    }
    assert_eq!(client(system, name).req(Op::Panic), Err(Error::NoReply));
    let failure = system.failed().wait();
    assert_eq!(
        failure.to_string(),
        format!(
            "component {name}, instance 0, failed: the handler panicked: as asked; \
             group g has failed too often, and was stopped"
        )
    );
}

fn too_many_failures_stop_the_group(on: On) {
    let system = start(on, System::builder(), group(Strategy::OneForOne));
    fail_until_it_gives_up(&system, "b");
    for name in ["a", "b", "c"] {
        while !client(&system, name).is_closed() {
            std::thread::yield_now();
        }
    }
    assert_eq!(
        client(&system, "none").req(Op::Echo(1)),
        Ok(1),
        "it is no member"
    );
    let failed = system.failed().wait();
    let report = system.stop(Stop::Drain, LONG).wait();
    assert_eq!(report.failures, [failed]);
    let StopOutcome::Failed(error) = &report.instances[1].how else {
        panic!("{report}")
    };
    assert_eq!(
        error.to_string(),
        "server b ended: it failed too often; the last failure: the handler panicked: as asked"
    );
}

fn too_many_failures_stop_the_system_by_escalation(on: On) {
    let group = group(Strategy::OneForOne).escalation(Escalation::System);
    let system = start(on, System::builder(), group);
    fail_until_it_gives_up(&system, "a");
    while !client(&system, "none").is_closed() {
        std::thread::yield_now();
    }
    let report = system.stop(Stop::Drain, LONG).wait();
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.still_running().count(), 0);
}

fn failures_of_all_members_count_together(on: On) {
    let system = start(on, System::builder(), group(Strategy::OneForOne));
    for name in ["a", "b", "c"] {
        fail(&system, name);
    }
    assert_eq!(client(&system, "a").req(Op::Panic), Err(Error::NoReply));
    assert_eq!(system.failed().wait().component, "a");
}

fn failures_long_ago_do_not_count(on: On) {
    let clock = TestClock::new();
    let system = start(
        on,
        System::builder().test_clock(&clock),
        group(Strategy::OneForOne),
    );
    for _ in 0..4 {
        fail(&system, "a");
        clock.advance(LONG / 2);
    }
    assert_eq!(generations(&system), [0, 4, 0, 0]);
}

fn a_member_that_continues_does_not_fail(on: On) {
    let attributes = Attributes::new().on_panic(OnPanic::Continue);
    let builder = on.add(
        System::builder(),
        "a",
        attributes,
        Probes::new(&Log::default()),
    );
    let group = Group::new("g").members(["a"]).restart(at_once());
    let system = builder.group(group).start(LONG).wait().unwrap();
    let a = client(&system, "a");
    for _ in 0..10 {
        assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    }
    assert_eq!(a.req(Op::Generation), Ok(0));
}

fn a_factory_that_refuses_counts_as_a_failure(on: On) {
    let probes = Probes::new(&Log::default()).refuse(|generation| generation > 0);
    let builder = on.add(System::builder(), "a", Attributes::new(), probes);
    let group = Group::new("g").members(["a"]).restart(at_once());
    let system = builder.group(group).start(LONG).wait().unwrap();
    assert_eq!(client(&system, "a").req(Op::Panic), Err(Error::NoReply));
    let failure = system.failed().wait();
    assert_eq!(failure.why, "the factory returned an error: not now");
    assert_eq!(failure.group.as_deref(), Some("g"));
    while system.status()[0].instances[0].state != State::Failed {
        std::thread::yield_now();
    }
    assert_eq!(
        system.status()[0].instances[0].last_failure,
        Some(failure.why)
    );
}

fn one_for_all_rebuilds_all_workers_of_an_instance(on: On) {
    let clock = TestClock::new();
    let log = Log::default();
    let attributes = Attributes::new().workers(3);
    let builder = System::builder().test_clock(&clock);
    let builder = on.add(builder, "a", attributes, Probes::new(&log));
    let group = Group::new("g")
        .members(["a"])
        .strategy(Strategy::OneForAll)
        .restart(at_once());
    let system = builder.group(group).start(LONG).wait().unwrap();
    assert_eq!(client(&system, "a").req(Op::Panic), Err(Error::NoReply));
    while log.of("init").len() < 6 {
        std::thread::yield_now();
    }
    clock.wait_until_quiet();
    assert_eq!(log.of("init").len(), 6, "each of them once");
}

fn first_handler_that_fails_in_init_is_rebuilt(on: On) {
    let probes = Probes::new(&Log::default()).init(|generation| assert_ne!(generation, 0));
    let builder = on.add(System::builder(), "a", Attributes::new(), probes);
    let group = Group::new("g").members(["a"]).restart(at_once());
    let system = builder.group(group).start(LONG).wait().unwrap();
    assert_eq!(client(&system, "a").req(Op::Generation), Ok(1));
}

#[test]
fn unknown_member_is_named() {
    let builder = On::Thread.add_all(System::builder(), &Log::default(), &["a", "b"]);
    let group = Group::new("g").members(["a", "x"]);
    let error = builder.group(group).start(LONG).wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "group g has the member x, which is not defined; the components are a, b"
    );
}

#[test]
fn a_component_is_in_one_group_only() {
    let _guard = RUNTIME.enter();
    let builder = On::Thread.add_all(System::builder(), &Log::default(), &["a"]);
    let (one, other) = (Group::new("g"), Group::new("h"));
    let builder = builder
        .group(one.members(["a"]))
        .group(other.members(["a"]));
    assert_eq!(
        builder.start(LONG).wait().unwrap_err().to_string(),
        "component a is a member of group g and of group h: list it once"
    );
}
