//! Waits for the end of a loop.

use std::{sync::mpsc, time::Duration};

use ump_server::{
    JoinErrorKind, JoinHandle, Stop,
    system::{Attributes, ComponentContext, Report, StopOutcome, System},
};

use super::scene::{
    Job, LONG, Obedient, Own, assert_told, awaiting, cycle, job, must_end, on_task, on_thread,
    outcome, pool,
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
fn who_joins_its_own_loop_is_told() {
    must_end(|| {
        for how in [Stop::Drain, Stop::Refuse] {
            let mut own = on_thread("own", 1);
            let handle = own.take_handle();
            let said = own.told_to(job(move |_| {
                handle.stopper().stop(how);
                ended(handle.join())
            }));
            assert_told(&said, &["own"]);
        }
    });
}

#[test]
fn who_awaits_its_own_loop_is_told() {
    must_end(|| {
        for how in [Stop::Drain, Stop::Refuse] {
            let mut own = on_task("own", 1);
            let handle = own.take_handle();
            let said = own.told_to(awaiting(async move |_| {
                handle.stopper().stop(how);
                ended(handle.await)
            }));
            assert_told(&said, &["own"]);
        }
    });
}

#[test]
fn a_worker_that_joins_its_pool_is_told() {
    must_end(|| {
        let mut own = pool("own", 3, 1);
        let handle = own.take_handle();
        let said = own.told_to(job(move |_| {
            handle.stopper().stop(Stop::Drain);
            ended(handle.join())
        }));
        assert_told(&said, &["own"]);
    });
}

/// Makes the child send a request to its parent, and the parent join the child.
fn join_one_that_asks(join: impl FnOnce(JoinHandle<()>) -> Job) {
    let parent = on_task("parent", 8);
    let mut child = on_thread("child", 8);
    let to_parent = parent.client();
    let asks = child.0.req_async(job(move |_| {
        outcome(to_parent.request(Job::Nothing).wait())
    }));
    let handle = child.take_handle();
    handle.stopper().stop(Stop::Drain);
    let said = parent.told_to(join(handle));
    let asked = asks.unwrap().wait().unwrap();
    // Whichever of the two waits last gets the deadlock. If the child was answered before, neither
    // does.
    match (said.as_str(), asked.as_str()) {
        ("ended", "fine") => {}
        ("ended", told) => assert_told(told, &["child", "parent"]),
        (told, "fine") => assert_told(told, &["parent", "child"]),
        both => panic!("{both:?}"),
    }
}

#[test]
fn a_supervisor_that_joins_who_asks_it_is_told() {
    must_end(|| {
        for _ in 0..100 {
            join_one_that_asks(|handle| job(move |_| ended(handle.join())));
            join_one_that_asks(|handle| awaiting(async move |_| ended(handle.await)));
        }
    });
}

/// This order determines which of the two gets the deadlock.
#[test]
fn one_who_joins_last_is_told() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = on_thread("child", 8);
        let handle = child.take_handle();
        let (to_parent, to_child) = (parent.client(), child.client());
        let said = parent.told_to(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                outcome(to_parent.request(Job::Nothing).wait())
            }));
            let asks = asks.unwrap();
            handle.stopper().stop(Stop::Drain);
            let said = ended(handle.join());
            drop(asks);
            said
        }));
        // Otherwise the child got the deadlock, and then ended.
        if said != "ended" {
            assert_told(&said, &["parent", "child"]);
        }
    });
}

/// A pool ends when all its workers have ended, so one waiting worker is enough.
#[test]
fn one_worker_that_asks_keeps_its_pool() {
    must_end(|| {
        let parent = on_thread("parent", 8);
        let mut child = pool("child", 3, 8);
        let handle = child.take_handle();
        let (to_parent, to_child) = (parent.client(), child.client());
        let (begin, begun) = mpsc::channel();
        let said = parent.told_to(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                begin.send(()).unwrap();
                outcome(to_parent.request(Job::Nothing).wait())
            }));
            begun.recv().unwrap();
            handle.stopper().stop(Stop::Drain);
            let said = ended(handle.join());
            drop(asks);
            said
        }));
        if said != "ended" {
            assert_told(&said, &["parent", "child"]);
        }
    });
}

// ---- waits that are not refused

#[test]
fn one_that_is_stopped_from_elsewhere_is_joined() {
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
fn who_waits_for_its_own_end_or_a_timer_is_not_told() {
    must_end(|| {
        let mut own = on_task("own", 1);
        let handle = own.take_handle();
        let said = own.told_to(awaiting(async move |_| {
            handle.stopper().stop(Stop::Drain);
            tokio::select! {
                it = handle => ended(it),
                () = tokio::time::sleep(Duration::from_millis(30)) => "later".to_owned(),
            }
        }));
        assert_eq!(said, "later");
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
        let said = parent.told_to(job(move |_| {
            let asks = to_child.req_async(job(move |_| {
                let request = to_parent.request(Job::Nothing);
                outcome(request.timeout(Duration::from_millis(30)).wait())
            }));
            handle.stopper().stop(Stop::Drain);
            let said = ended(handle.join());
            drop(asks);
            said
        }));
        assert_eq!(said, "ended");
    });
}

// ---- systems

fn report(report: &Report) -> String {
    let told = report.instances.iter().find_map(|ended| match &ended.how {
        StopOutcome::WouldDeadlock(it) => Some(cycle(it)),
        _ => None,
    });
    told.unwrap_or_else(|| report.to_string())
}

/// Starts a component that gets its own system, and makes it stop that system.
fn stop_within(is_task: bool, stop: impl FnOnce(System) -> Job + Send) -> String {
    let builder = System::builder();
    let none = Attributes::new;
    let make = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
        Ok(Obedient(setup.weak_client()))
    };
    let builder = if is_task {
        builder.task("own", none(), make)
    } else {
        builder.thread("own", none(), make)
    };
    let other = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
        Ok(Obedient(setup.weak_client()))
    };
    let builder = builder.thread("other", none(), other);
    let system = builder.start(LONG).wait().unwrap();
    let own: Own = system.client("own").unwrap();
    outcome(own.request(stop(system)).wait())
}

#[test]
fn a_component_that_stops_its_system_is_told() {
    must_end(|| {
        let within = LONG * 60;
        for how in [Stop::Drain, Stop::Refuse] {
            let said = stop_within(false, |system| {
                job(move |_| report(&system.stop(how, within).wait()))
            });
            assert_told(&said, &["own"]);
            let said = stop_within(true, |system| {
                awaiting(async move |_| report(&system.stop(how, within).await))
            });
            assert_told(&said, &["own"]);
        }
    });
}

#[test]
fn a_system_stopped_from_outside_is_clean() {
    must_end(|| {
        let make = |setup: &ComponentContext<Job, String, ump_server::Refused>| {
            Ok(Obedient(setup.weak_client()))
        };
        let builder = System::builder().thread("own", Attributes::new(), make);
        let system = builder.start(LONG).wait().unwrap();
        let report = system.stop(Stop::Drain, LONG).wait();
        assert!(report.is_clean(), "{report}");
    });
}
