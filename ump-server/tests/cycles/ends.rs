//! Waits for the end of a loop.

use std::{sync::mpsc, time::Duration};

use ump_server::{
    JoinErrorKind, JoinHandle, Stop,
    system::{Attributes, ComponentContext, Report, StopOutcome, System},
};

use super::support::{
    Job, JobClient, JobRunner, LONG, assert_deadlock, awaiting, cycle, job, must_end, on_task,
    on_thread, outcome, pool,
};

fn ended(outcome: Result<Option<()>, ump_server::JoinError>) -> String {
    match outcome {
        Ok(_) => "ended".to_owned(),
        Err(error) => match error.kind() {
            JoinErrorKind::WouldDeadlock(it) => cycle(it),
            _ => error.to_string(),
        },
    }
}

#[test]
fn joining_its_own_loop_is_a_deadlock() {
    must_end(|| {
        for how in [Stop::Drain, Stop::Refuse] {
            let mut own = on_thread("own", 1);
            let handle = own.take_handle();
            let text = own.run(job(move |_| {
                handle.stopper().stop(how);
                ended(handle.join())
            }));
            assert_deadlock(&text, &["own"]);
        }
    });
}

#[test]
fn awaiting_the_end_of_its_own_loop_is_a_deadlock() {
    must_end(|| {
        for how in [Stop::Drain, Stop::Refuse] {
            let mut own = on_task("own", 1);
            let handle = own.take_handle();
            let text = own.run(awaiting(async move |_| {
                handle.stopper().stop(how);
                ended(handle.await)
            }));
            assert_deadlock(&text, &["own"]);
        }
    });
}

#[test]
fn joining_its_own_pool_is_a_deadlock() {
    must_end(|| {
        let mut own = pool("own", 3, 1);
        let handle = own.take_handle();
        let text = own.run(job(move |_| {
            handle.stopper().stop(Stop::Drain);
            ended(handle.join())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

/// Makes the child send a request to its parent, and the parent join the child.
fn join_a_loop_that_waits_for_the_joiner(join: impl FnOnce(JoinHandle<()>) -> Job) {
    let parent = on_task("parent", 8);
    let mut child = on_thread("child", 8);
    let to_parent = parent.client();
    let asks = child.0.req_async(job(move |_| {
        outcome(to_parent.request(Job::Nothing).wait())
    }));
    let handle = child.take_handle();
    handle.stopper().stop(Stop::Drain);
    let text = parent.run(join(handle));
    let asked = asks.unwrap().wait().unwrap();
    // Whichever of the two waits last gets the deadlock. If the child was answered before, neither
    // does.
    match (text.as_str(), asked.as_str()) {
        ("ended", "fine") => {}
        ("ended", outcome) => assert_deadlock(outcome, &["child", "parent"]),
        (outcome, "fine") => assert_deadlock(outcome, &["parent", "child"]),
        both => panic!("{both:?}"),
    }
}

#[test]
fn joining_a_loop_that_waits_for_the_joiner_ends() {
    must_end(|| {
        for _ in 0..100 {
            join_a_loop_that_waits_for_the_joiner(|handle| job(move |_| ended(handle.join())));
            join_a_loop_that_waits_for_the_joiner(|handle| {
                awaiting(async move |_| ended(handle.await))
            });
        }
    });
}

/// This order determines which of the two gets the deadlock.
#[test]
fn join_that_closes_the_cycle_gets_the_deadlock() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = on_thread("child", 8);
        let handle = child.take_handle();
        let (to_parent, to_child) = (parent.client(), child.client());
        let text = parent.run(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                outcome(to_parent.request(Job::Nothing).wait())
            }));
            let asks = asks.unwrap();
            handle.stopper().stop(Stop::Drain);
            let text = ended(handle.join());
            drop(asks);
            text
        }));
        // Otherwise the child got the deadlock, and then ended.
        if text != "ended" {
            assert_deadlock(&text, &["parent", "child"]);
        }
    });
}

/// A pool ends when all its workers have ended, so one waiting worker is enough.
#[test]
fn one_waiting_worker_keeps_its_pool_from_ending() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = pool("child", 3, 8);
        let handle = child.take_handle();
        let (to_parent, to_child) = (parent.client(), child.client());
        let (begin, begun) = mpsc::channel();
        let text = parent.run(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                begin.send(()).unwrap();
                outcome(to_parent.request(Job::Nothing).wait())
            }));
            begun.recv().unwrap();
            handle.stopper().stop(Stop::Drain);
            let text = ended(handle.join());
            drop(asks);
            text
        }));
        if text != "ended" {
            assert_deadlock(&text, &["parent", "child"]);
        }
    });
}

// ---- waits that are not refused

#[test]
fn loop_stopped_from_elsewhere_is_joined() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = on_thread("child", 8);
        let handle = child.take_handle();
        let stopper = handle.stopper();
        let reply = parent
            .0
            .req_async(job(move |_| ended(handle.join())))
            .unwrap();
        let reply = reply.wait_timeout(Duration::from_millis(30)).unwrap_err();
        stopper.stop(Stop::Drain);
        assert_eq!(reply.wait().unwrap(), "ended");
    });
}

#[test]
fn awaiting_its_own_end_or_a_timer_is_no_deadlock() {
    must_end(|| {
        let mut own = on_task("own", 1);
        let handle = own.take_handle();
        let text = own.run(awaiting(async move |_| {
            handle.stopper().stop(Stop::Drain);
            tokio::select! {
                it = handle => ended(it),
                () = tokio::time::sleep(Duration::from_millis(30)) => "later".to_owned(),
            }
        }));
        assert_eq!(text, "later");
    });
}

/// The child's own request to its parent has a deadline, so it ends in time.
#[test]
fn a_child_that_gives_up_in_time_is_joined() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = on_thread("child", 8);
        let to_parent = parent.client();
        let handle = child.take_handle();
        let to_child = child.client();
        let text = parent.run(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                let request = to_parent.request(Job::Nothing);
                outcome(request.timeout(Duration::from_millis(30)).wait())
            }));
            handle.stopper().stop(Stop::Drain);
            let text = ended(handle.join());
            drop(asks);
            text
        }));
        assert_eq!(text, "ended");
    });
}

// ---- systems

fn report(report: &Report) -> String {
    let deadlock = report.instances.iter().find_map(|ended| match &ended.how {
        StopOutcome::WouldDeadlock(it) => Some(cycle(it)),
        _ => None,
    });
    deadlock.unwrap_or_else(|| report.to_string())
}

/// Starts a component that gets its own system, and makes it stop that system.
fn stop_within(is_task: bool, stop: impl FnOnce(System) -> Job + Send) -> String {
    let builder = System::builder();
    let none = Attributes::new;
    let make = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
        Ok(JobRunner(setup.weak_client()))
    };
    let builder = if is_task {
        builder.task("own", none(), make)
    } else {
        builder.thread("own", none(), make)
    };
    let other = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
        Ok(JobRunner(setup.weak_client()))
    };
    let builder = builder.thread("other", none(), other);
    let system = builder.start(LONG).wait().unwrap();
    let own: JobClient = system.client("own").unwrap();
    outcome(own.request(stop(system)).wait())
}

#[test]
fn component_that_stops_its_system_is_a_deadlock() {
    must_end(|| {
        let within = LONG * 60;
        for how in [Stop::Drain, Stop::Refuse] {
            let text = stop_within(false, |system| {
                job(move |_| report(&system.stop(how, within).wait()))
            });
            assert_deadlock(&text, &["own"]);
            let text = stop_within(true, |system| {
                awaiting(async move |_| report(&system.stop(how, within).await))
            });
            assert_deadlock(&text, &["own"]);
        }
    });
}

#[test]
fn a_system_stopped_from_outside_is_clean() {
    must_end(|| {
        let make = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
            Ok(JobRunner(setup.weak_client()))
        };
        let builder = System::builder().thread("own", Attributes::new(), make);
        let system = builder.start(LONG).wait().unwrap();
        let report = system.stop(Stop::Drain, LONG).wait();
        assert!(report.is_clean(), "{report}");
    });
}
