//! Futures that a handler blocks on.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ump_server::{Clock, ump::RequestError};

use super::support::{
    Job, LONG, assert_deadlock, cycle, job, must_end, on_task, on_thread, outcome, sent,
};

#[test]
fn thread_driving_a_request_to_itself_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 8);
        let deadlines = [None, Some(Instant::now() + LONG * 60)];
        for deadline in deadlines {
            let text = own.run(job(move |own| {
                let request = own.request(Job::Nothing).into_future();
                let text = Clock::system().block_on(request, deadline);
                outcome(text.expect("it gets the deadlock before"))
            }));
            assert_deadlock(&text, &["own"]);
        }
        assert_eq!(own.run(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn thread_driving_several_requests_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 8);
        let text = own.run(job(|own| {
            let both = async { tokio::join!(own.request(Job::Nothing), own.request(Job::Nothing)) };
            let (one, two) = Clock::system().block_on(both, None).unwrap();
            let text = [outcome(one), outcome(two)];
            assert!(text.iter().all(|it| it.starts_with("deadlock")), "{text:?}");
            text[0].clone()
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn thread_driving_a_post_without_room_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            own.post(Job::Nothing).wait().unwrap();
            let post = own.post(Job::Nothing).into_future();
            sent(Clock::system().block_on(post, None).unwrap())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn task_driving_a_request_to_itself_is_a_deadlock() {
    must_end(|| {
        let own = on_task("own", 8);
        let text = own.run(job(|own| {
            let request = own.request(Job::Nothing).into_future();
            outcome(Clock::system().block_on(request, None).unwrap())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn two_driving_requests_to_each_other_deadlock() {
    must_end(|| {
        let (a, b) = (on_thread("a", 8), on_thread("b", 8));
        for _ in 0..200 {
            let cross = |to: &super::support::Running| {
                let to = to.client();
                job(move |_| {
                    let request = to.request(Job::Nothing).into_future();
                    outcome(Clock::system().block_on(request, None).unwrap())
                })
            };
            let replies = [a.0.req_async(cross(&b)), b.0.req_async(cross(&a))];
            let text = replies.map(|reply| reply.unwrap().wait().unwrap());
            let deadlocks = text.iter().filter(|it| it.starts_with("deadlock")).count();
            assert!(deadlocks <= 1, "{text:?}");
        }
    });
}

// ---- waits that are not refused

#[test]
fn another_event_of_the_future_ends_the_wait() {
    must_end(|| {
        let own = on_thread("own", 8);
        let text = own.run(job(|own| {
            let clock = Clock::system();
            let soon = clock.now() + Duration::from_millis(30);
            let either = async {
                tokio::select! {
                    text = own.request(Job::Nothing) => outcome(text),
                    _ = clock.sleep_until(soon) => "later".to_owned(),
                }
            };
            clock.block_on(either, None).unwrap()
        }));
        assert_eq!(text, "later");
    });
}

#[test]
fn a_request_to_another_server_is_answered() {
    must_end(|| {
        let (a, b) = (on_thread("a", 8), on_thread("b", 1));
        let to_b = b.client();
        let text = a.run(job(move |_| {
            for _ in 0..1000 {
                let request = to_b.request(Job::Nothing).into_future();
                let text = outcome(Clock::system().block_on(request, None).unwrap());
                assert_eq!(text, "fine");
            }
            "fine".to_owned()
        }));
        assert_eq!(text, "fine");
    });
}

/// A thread that wakes the future lets it continue, although the request cannot be answered.
#[test]
fn a_waker_elsewhere_ends_it() {
    must_end(|| {
        let own = on_thread("own", 8);
        let text = own.run(job(|own| {
            let (goes, gone) = tokio::sync::oneshot::channel();
            let (go, when) = mpsc::channel::<()>();
            let other = thread::spawn(move || {
                let _ = when.recv_timeout(Duration::from_millis(30));
                goes.send(()).unwrap();
            });
            let either = async {
                tokio::select! {
                    text = own.request(Job::Nothing) => match text {
                        Err(RequestError::WouldDeadlock(_, it)) => cycle(&it),
                        other => outcome(other),
                    },
                    _ = gone => "from elsewhere".to_owned(),
                }
            };
            let text = Clock::system().block_on(either, None).unwrap();
            drop(go);
            other.join().unwrap();
            text
        }));
        assert_eq!(text, "from elsewhere");
    });
}
