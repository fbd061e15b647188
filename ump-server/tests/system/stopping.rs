//! How systems end.

use std::{sync::mpsc, task::Poll, time::Duration};

use ump_server::{
    Error, OnPanic, Restart, Stop,
    system::{Attributes, LookupError, Operation, Report, StopOutcome, System},
    ump::{ManualClock, RequestError},
};

use crate::support::{LONG, Log, On, Op, ProbeClient, Probes, hold, on_each_kind, poll};

on_each_kind! {
    dependents_are_stopped_before_what_they_need
    drain_serves_queued_requests
    refuse_rejects_queued_requests
    late_component_is_refused_and_reported
    end_within_the_grace_is_not_still_running
    one_deadline_is_for_all
    component_that_ended_by_itself_is_reported_so
    failed_component_is_reported_so
    component_that_failed_too_often_says_so
    a_component_is_stopped_with_its_dependents
    two_stops_at_the_same_time_both_report
    a_component_is_renewed_alone
    a_directory_renews_and_stops_components
    dropped_system_ends_with_its_last_clients
}

const DEADLINE: Duration = Duration::from_secs(5);

fn client(system: &System, name: &str) -> ProbeClient {
    system.client(name).unwrap()
}

/// Returns the text of how each instance ended.
fn outcomes(report: &Report) -> Vec<String> {
    report.instances.iter().map(ToString::to_string).collect()
}

fn dependents_are_stopped_before_what_they_need(on: On) {
    let log = Log::default();
    let builder = on.add_all(System::builder(), &log, &["a", "b:a", "c:a", "d:b"]);
    let system = builder.start(LONG).wait().unwrap();
    let report = system.stop(Stop::Drain, LONG).wait();
    assert!(report.is_clean(), "{report}");
    assert_eq!(log.of("term"), ["d", "c", "b", "a"]);
    let components: Vec<_> = report.instances.iter().map(|it| &*it.component).collect();
    assert_eq!(components, ["d", "c", "b", "a"]);
}

fn drain_serves_queued_requests(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    let go = hold(&a);
    let queued: Vec<_> = (0..10).map(|n| a.req_async(Op::Echo(n)).unwrap()).collect();
    let mut stop = system.stop(Stop::Drain, LONG);
    assert!(poll(&mut stop).is_pending());
    assert!(a.is_closed(), "nothing more is accepted");
    drop(go);
    assert!(stop.wait().is_clean());
    for (n, reply) in (0..).zip(queued) {
        assert_eq!(reply.wait(), Ok(n));
    }
}

fn refuse_rejects_queued_requests(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    let go = hold(&a);
    let queued = a.request(Op::Echo(1)).submit().wait().unwrap();
    let mut stop = system.stop(Stop::Refuse, LONG);
    assert!(poll(&mut stop).is_pending());
    assert!(matches!(
        queued.wait(),
        Err(RequestError::ServerDisappeared(Op::Echo(1)))
    ));
    drop(go);
    assert!(stop.wait().is_clean(), "it stops in order");
}

/// Polls until the stop waits only for the time, and advances the clock until it is done.
fn let_time_pass(clock: &ManualClock, stop: &mut Operation<Report>) -> Report {
    loop {
        if let Poll::Ready(report) = poll(stop) {
            return report;
        }
        clock.advance(Duration::from_secs(1));
    }
}

fn late_component_is_refused_and_reported(on: On) {
    let clock = ManualClock::new();
    let builder = System::builder().clock(clock.clock());
    let attributes = Attributes::new().needs("a").instances(2);
    let builder = on.add_all(builder, &Log::default(), &["a"]);
    let (ended, is_over) = mpsc::channel();
    let probes = Probes::new(&Log::default()).until(ended);
    let builder = on.add(builder, "b", attributes, probes);
    let system = builder.start(LONG).wait().unwrap();
    let b: ProbeClient = system.instance("b", 1).unwrap();
    let (a, other): (ProbeClient, ProbeClient) =
        (client(&system, "a"), system.instance("b", 0).unwrap());
    // The other instances have ended before the clock is advanced.
    let go = hold(&b);
    let queued: Vec<_> = (0..3).map(|n| b.req_async(Op::Echo(n)).unwrap()).collect();
    let mut stop = system.stop(Stop::Drain, DEADLINE);
    assert!(poll(&mut stop).is_pending());
    while !other.is_closed() {
        std::thread::yield_now();
    }
    assert!(!a.is_closed(), "it is needed");
    let report = let_time_pass(&clock, &mut stop);
    for reply in queued {
        assert_eq!(reply.wait(), Err(Error::ServerDisappeared));
    }
    assert!(a.is_closed());
    assert!(!report.is_clean());
    let running: Vec<_> = report.still_running().map(ToString::to_string).collect();
    // The report names the request's type, where the request was made, and how long it has been in
    // hand.
    let begin = "b, instance 1, is still running; queued requests refused: 3; in hand: system::support::Op from ";
    assert!(
        running
            .iter()
            .any(|it| it.starts_with(begin) && it.contains("support.rs:") && it.contains(", for ")),
        "{report}"
    );
    // The instance ends once its handler returns.
    drop(go);
    assert!(
        is_over
            .recv_timeout(LONG)
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
}

fn end_within_the_grace_is_not_still_running(on: On) {
    let clock = ManualClock::new();
    let builder = System::builder().clock(clock.clock());
    let builder = on.add_all(builder, &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    let go = hold(&a);
    let queued = a.req_async(Op::Echo(1)).unwrap();
    let mut stop = system.stop(Stop::Drain, DEADLINE);
    assert!(poll(&mut stop).is_pending());
    clock.advance(DEADLINE);
    assert!(poll(&mut stop).is_pending());
    assert_eq!(queued.wait(), Err(Error::ServerDisappeared));
    drop(go);
    // The time stands still: only the end of the loop can end the wait.
    let report = stop.wait();
    assert_eq!(
        outcomes(&report),
        ["a, instance 0, ended late; queued requests refused: 1"]
    );
    assert!(!report.is_clean());
    assert_eq!(report.took, DEADLINE);
}

fn one_deadline_is_for_all(on: On) {
    let clock = ManualClock::new();
    let builder = System::builder().clock(clock.clock()).grace(DEADLINE);
    let builder = on.add_all(builder, &Log::default(), &["a", "b:a"]);
    let system = builder.start(LONG).wait().unwrap();
    let (a, b) = (client(&system, "a"), client(&system, "b"));
    let (hold_a, hold_b) = (hold(&a), hold(&b));
    let mut stop = system.stop(Stop::Drain, DEADLINE);
    assert!(poll(&mut stop).is_pending());
    clock.advance(4 * DEADLINE / 5);
    drop(hold_b);
    while !a.is_closed() {
        assert!(poll(&mut stop).is_pending());
        std::thread::yield_now();
    }
    // A fifth of the deadline is left.
    clock.advance(DEADLINE / 5);
    assert!(poll(&mut stop).is_pending());
    drop(hold_a);
    let report = stop.wait();
    assert!(
        report.is_clean(),
        "both ended with nothing turned down: {report}"
    );
    assert_eq!(report.took, DEADLINE);
}

fn component_that_ended_by_itself_is_reported_so(on: On) {
    let (ended, is_over) = mpsc::channel();
    let probes = Probes::new(&Log::default()).until(ended);
    let builder = on.add(System::builder(), "a", Attributes::new(), probes);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    assert_eq!(a.req(Op::End), Ok(0));
    while !matches!(
        &system.status()[0].instances[0].state,
        ump_server::system::State::Ended
    ) {
        std::thread::yield_now();
    }
    let report = system.stop(Stop::Drain, LONG).wait();
    assert!(matches!(report.instances[0].how, StopOutcome::Earlier));
    assert!(report.is_clean());
    drop(is_over);
}

fn failed_component_is_reported_so(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a", "b"]);
    let system = builder.start(LONG).wait().unwrap();
    let failed = system.failed();
    assert_eq!(client(&system, "b").req(Op::Panic), Err(Error::NoReply));
    let failure = failed.wait();
    assert_eq!(
        failure.to_string(),
        "component b, instance 0, failed: the handler panicked: as asked"
    );
    assert_eq!(client(&system, "a").req(Op::Echo(1)), Ok(1), "it goes on");
    let report = system.stop(Stop::Drain, LONG).wait();
    assert_eq!(
        outcomes(&report),
        [
            "b, instance 0, failed: the handler panicked: as asked",
            "a, instance 0, ended in order"
        ]
    );
    assert_eq!(report.failures, [failure]);
    assert!(!report.is_clean());
}

fn component_that_failed_too_often_says_so(on: On) {
    let restart = Restart::new()
        .limit(1, LONG)
        .pause(Duration::ZERO, Duration::ZERO);
    let attributes = Attributes::new().on_panic(OnPanic::Restart(restart));
    let probes = Probes::new(&Log::default());
    let builder = on.add(System::builder(), "a", attributes, probes);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    assert_eq!(a.req(Op::Panic), Err(Error::NoReply));
    assert_eq!(
        system.failed().wait().why,
        "it failed too often; the last failure: the handler panicked: as asked"
    );
}

fn dropped_system_ends_with_its_last_clients(on: On) {
    let (ended, is_over) = mpsc::channel();
    let probes = Probes::new(&Log::default()).until(ended);
    let builder = on.add(System::builder(), "a", Attributes::new(), probes);
    let system = builder.start(LONG).wait().unwrap();
    let (a, directory) = (client(&system, "a"), system.directory());
    drop(system);
    assert_eq!(a.req(Op::Echo(1)), Ok(1));
    assert!(directory.status().is_empty());
    drop(a);
    assert!(
        is_over
            .recv_timeout(LONG)
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
}

fn a_component_is_stopped_with_its_dependents(on: On) {
    let log = Log::default();
    let all = ["a", "b:a", "c:a", "d:b", "e"];
    let builder = on.add_all(System::builder(), &log, &all);
    let system = builder.start(LONG).wait().unwrap();
    let b = client(&system, "b");
    let report = system
        .stop_component("b", Stop::Drain, LONG)
        .unwrap()
        .wait();
    assert!(report.is_clean(), "{report}");
    assert_eq!(
        outcomes(&report),
        [
            "d, instance 0, ended in order",
            "b, instance 0, ended in order"
        ]
    );
    assert_eq!(log.of("term"), ["d", "b"]);
    assert_eq!(b.req(Op::Echo(1)), Err(Error::ServerDisappeared));
    for name in ["a", "c", "e"] {
        assert_eq!(client(&system, name).req(Op::Echo(1)), Ok(1));
    }
    let report = system.stop(Stop::Drain, LONG).wait();
    assert!(report.is_clean(), "{report}");
    let outcomes = outcomes(&report);
    assert!(outcomes.contains(&"b, instance 0, had been stopped by `stop_component`".to_owned()));
    assert!(outcomes.contains(&"a, instance 0, ended in order".to_owned()));
}

/// The second stop waits for the same instance as the first one.
fn two_stops_at_the_same_time_both_report(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let a = client(&system, "a");
    let go = hold(&a);
    let mut first = system.stop_component("a", Stop::Drain, LONG).unwrap();
    let mut dropped = system.stop_component("a", Stop::Drain, LONG).unwrap();
    let mut second = system.stop(Stop::Drain, LONG);
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut dropped).is_pending());
    assert!(poll(&mut second).is_pending());
    drop(dropped);
    let first = std::thread::spawn(move || first.wait());
    drop(go);
    assert!(second.wait().is_clean());
    assert!(first.join().unwrap().is_clean());
}

fn a_component_is_renewed_alone(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a", "b:a"]);
    let system = builder.start(LONG).wait().unwrap();
    system.renew("a").unwrap();
    let [a, b] = ["a", "b"].map(|name| client(&system, name));
    a.req(Op::Generation).unwrap();
    assert_eq!(a.req(Op::Generation), Ok(1));
    assert_eq!(b.req(Op::Generation), Ok(0));
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
}

fn a_directory_renews_and_stops_components(on: On) {
    let builder = on.add_all(System::builder(), &Log::default(), &["a", "b:a"]);
    let system = builder.start(LONG).wait().unwrap();
    let (directory, a) = (system.directory(), client(&system, "a"));
    directory.renew("a").unwrap();
    a.req(Op::Generation).unwrap();
    assert_eq!(a.req(Op::Generation), Ok(1));
    let report = directory.stop_component("a", Stop::Drain, LONG);
    assert_eq!(report.unwrap().wait().instances.len(), 2);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
    let is_gone = |error: LookupError| matches!(error, LookupError::Gone);
    assert!(directory.renew("a").is_err_and(is_gone));
    let stop = directory.stop_component("a", Stop::Drain, LONG);
    assert!(stop.is_err_and(is_gone));
}

#[test]
fn unknown_component_is_neither_stopped_nor_renewed() {
    let builder = On::Thread.add_all(System::builder(), &Log::default(), &["a"]);
    let system = builder.start(LONG).wait().unwrap();
    let is_unknown = |error: LookupError| matches!(error, LookupError::Unknown { .. });
    assert!(system.renew("x").is_err_and(is_unknown));
    assert!(
        system
            .stop_component("x", Stop::Drain, LONG)
            .is_err_and(is_unknown)
    );
    drop(system);
}
