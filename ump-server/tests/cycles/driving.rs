//! Futures that a handler blocks on.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ump_server::{Clock, ump::RequestError};

use super::scene::{
    Job, LONG, assert_told, cycle, job, must_end, on_task, on_thread, outcome, sent,
};

#[test]
fn a_thread_that_drives_a_request_to_itself_is_told() {
    must_end(|| {
        let own = on_thread("own", 8);
        let deadlines = [None, Some(Instant::now() + LONG * 60)];
        for deadline in deadlines {
            let said = own.told_to(job(move |own| {
                let request = own.request(Job::Nothing).into_future();
                let said = Clock::system().block_on(request, deadline);
                outcome(said.expect("it is told before"))
            }));
            assert_told(&said, &["own"]);
        }
        assert_eq!(own.told_to(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn a_thread_that_drives_several_is_told() {
    must_end(|| {
        let own = on_thread("own", 8);
        let said = own.told_to(job(|own| {
            let both = async { tokio::join!(own.request(Job::Nothing), own.request(Job::Nothing)) };
            let (one, two) = Clock::system().block_on(both, None).unwrap();
            let said = [outcome(one), outcome(two)];
            assert!(said.iter().all(|it| it.starts_with("deadlock")), "{said:?}");
            said[0].clone()
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn a_thread_that_drives_a_post_without_room_is_told() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            own.post(Job::Nothing).wait().unwrap();
            let post = own.post(Job::Nothing).into_future();
            sent(Clock::system().block_on(post, None).unwrap())
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn a_task_that_drives_a_request_to_itself_is_told() {
    must_end(|| {
        let own = on_task("own", 8);
        let said = own.told_to(job(|own| {
            let request = own.request(Job::Nothing).into_future();
            outcome(Clock::system().block_on(request, None).unwrap())
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn two_that_drive_requests_to_each_other_are_told() {
    must_end(|| {
        let (a, b) = (on_thread("a", 8), on_thread("b", 8));
        for _ in 0..200 {
            let cross = |to: &super::scene::Running| {
                let to = to.client();
                job(move |_| {
                    let request = to.request(Job::Nothing).into_future();
                    outcome(Clock::system().block_on(request, None).unwrap())
                })
            };
            let replies = [a.0.req_async(cross(&b)), b.0.req_async(cross(&a))];
            let said = replies.map(|reply| reply.unwrap().wait().unwrap());
            let told = said.iter().filter(|it| it.starts_with("deadlock")).count();
            assert!(told <= 1, "{said:?}");
        }
    });
}

// ---- waits that are not refused

#[test]
fn what_else_the_future_waits_for_ends_it() {
    must_end(|| {
        let own = on_thread("own", 8);
        let said = own.told_to(job(|own| {
            let clock = Clock::system();
            let soon = clock.now() + Duration::from_millis(30);
            let either = async {
                tokio::select! {
                    said = own.request(Job::Nothing) => outcome(said),
                    _ = clock.sleep_until(soon) => "later".to_owned(),
                }
            };
            clock.block_on(either, None).unwrap()
        }));
        assert_eq!(said, "later");
    });
}

#[test]
fn a_request_to_another_server_is_answered() {
    must_end(|| {
        let (a, b) = (on_thread("a", 8), on_thread("b", 1));
        let to_b = b.client();
        let said = a.told_to(job(move |_| {
            for _ in 0..1000 {
                let request = to_b.request(Job::Nothing).into_future();
                let said = outcome(Clock::system().block_on(request, None).unwrap());
                assert_eq!(said, "fine");
            }
            "fine".to_owned()
        }));
        assert_eq!(said, "fine");
    });
}

/// A thread that wakes the future lets it continue, although the request cannot be answered.
#[test]
fn a_waker_elsewhere_ends_it() {
    must_end(|| {
        let own = on_thread("own", 8);
        let said = own.told_to(job(|own| {
            let (goes, gone) = tokio::sync::oneshot::channel();
            let (go, when) = mpsc::channel::<()>();
            let other = thread::spawn(move || {
                let _ = when.recv_timeout(Duration::from_millis(30));
                goes.send(()).unwrap();
            });
            let either = async {
                tokio::select! {
                    said = own.request(Job::Nothing) => match said {
                        Err(RequestError::WouldDeadlock(_, it)) => cycle(&it),
                        other => outcome(other),
                    },
                    _ = gone => "from elsewhere".to_owned(),
                }
            };
            let said = Clock::system().block_on(either, None).unwrap();
            drop(go);
            other.join().unwrap();
            said
        }));
        assert_eq!(said, "from elsewhere");
    });
}
