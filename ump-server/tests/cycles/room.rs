//! Waits for room in the queue of a bounded channel.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread::{self, yield_now},
    time::Duration,
};

use super::scene::{
    Job, LONG, Own, Running, assert_told, awaiting, job, must_end, on_task, on_thread, outcome,
    plain, pool, sent, task_pool,
};

/// Fills the queue, which has room for one request.
fn fill(client: &Own) {
    client.post(Job::Nothing).if_room().wait().unwrap();
}

#[test]
fn a_post_into_ones_own_full_queue_is_told() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            fill(&own);
            sent(own.post(Job::Nothing).wait())
        }));
        assert_told(&said, &["own"]);
        assert_eq!(own.told_to(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn a_submission_into_ones_own_full_queue_is_told() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            fill(&own);
            sent(own.request(Job::Nothing).submit().wait())
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn a_request_that_waits_for_room_is_told() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            fill(&own);
            outcome(own.request(Job::Nothing).wait())
        }));
        assert_told(&said, &["own"]);
        let said = own.told_to(job(|own| {
            fill(&own);
            plain(own.req(Job::Nothing))
        }));
        assert!(
            said.contains("the caller would have waited for itself"),
            "{said}"
        );
    });
}

#[test]
fn urgent_room_is_told_as_well() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            own.post(Job::Nothing).urgent().wait().unwrap();
            // The other lane has room.
            fill(&own);
            sent(own.post(Job::Nothing).urgent().wait())
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn a_deadline_does_not_help_who_makes_room() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            fill(&own);
            sent(own.post(Job::Nothing).timeout(LONG * 60).wait())
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn an_awaited_post_is_told() {
    must_end(|| {
        let own = on_task("own", 1);
        let said = own.told_to(awaiting(async |own: Own| {
            fill(&own);
            sent(own.post(Job::Nothing).await)
        }));
        assert_told(&said, &["own"]);
        assert_eq!(own.told_to(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn an_awaited_submission_is_told() {
    must_end(|| {
        let own = on_task("own", 1);
        let said = own.told_to(awaiting(async |own: Own| {
            fill(&own);
            sent(own.request(Job::Nothing).submit().await)
        }));
        assert_told(&said, &["own"]);
    });
}

#[test]
fn an_awaited_request_without_room_is_told() {
    must_end(|| {
        let own = on_task("own", 1);
        for timeout in [None, Some(LONG * 60)] {
            let said = own.told_to(awaiting(async move |own: Own| {
                fill(&own);
                let request = own.request(Job::Nothing);
                match timeout {
                    Some(timeout) => outcome(request.timeout(timeout).await),
                    None => outcome(request.await),
                }
            }));
            assert_told(&said, &["own"]);
        }
        let said = own.told_to(awaiting(async |own: Own| {
            fill(&own);
            plain(own.areq(Job::Nothing).await)
        }));
        assert!(
            said.contains("the caller would have waited for itself"),
            "{said}"
        );
    });
}

/// The first request is queued and awaited. The second one waits for the room of the first.
#[test]
fn two_awaited_requests_without_room_are_told() {
    must_end(|| {
        let own = on_task("own", 1);
        let said = own.told_to(awaiting(async |own: Own| {
            let (one, two) = tokio::join!(own.request(Job::Nothing), own.request(Job::Nothing));
            let said = [outcome(one), outcome(two)];
            said.into_iter()
                .find(|it| it.starts_with("deadlock"))
                .unwrap()
        }));
        assert_told(&said, &["own"]);
    });
}

/// Two servers post to each other at the same time, each more requests than the other has room for.
fn fill_each_other<B>(
    (a, b): (&Running, &Running),
    barrier: fn(usize) -> B,
    fill: fn(Own, Arc<B>) -> Job,
) {
    for _ in 0..100 {
        let meeting = Arc::new(barrier(2));
        let begin = |from: &Running, to: &Running| {
            let fill = fill(to.client(), Arc::clone(&meeting));
            from.0.req_async(fill).unwrap()
        };
        let replies = [begin(a, b), begin(b, a)];
        let mut said = replies.map(|reply| reply.wait().unwrap());
        said.sort();
        assert_told(&said[0], &["a", "b"]);
        assert_eq!(said[1], "sent", "the other one goes on");
    }
}

#[test]
fn two_that_fill_each_other_are_told() {
    must_end(|| {
        let (a, b) = (on_thread("a", 2), on_thread("b", 2));
        fill_each_other((&a, &b), Barrier::new, |to, meeting| {
            job(move |_| {
                meeting.wait();
                let said = (0..20).map(|_| sent(to.post(Job::Nothing).wait()));
                let failed = { said }.find(|said| said != "sent");
                failed.unwrap_or_else(|| "sent".to_owned())
            })
        });
    });
}

#[test]
fn two_tasks_that_fill_each_other_are_told() {
    must_end(|| {
        let (a, b) = (on_task("a", 2), on_task("b", 2));
        fill_each_other((&a, &b), tokio::sync::Barrier::new, |to, meeting| {
            awaiting(async move |_| {
                meeting.wait().await;
                for _ in 0..20 {
                    let said = sent(to.post(Job::Nothing).await);
                    if said != "sent" {
                        return said;
                    }
                }
                "sent".to_owned()
            })
        });
    });
}

// ---- waits that are not refused

#[test]
fn a_free_worker_makes_room() {
    must_end(|| {
        let own = pool("own", 2, 1);
        let said = own.told_to(job(|own| {
            for _ in 0..100 {
                own.post(Job::Nothing).wait().unwrap();
            }
            "fine".to_owned()
        }));
        assert_eq!(said, "fine");
        let own = task_pool("own", 2, 1);
        let said = own.told_to(awaiting(async |own: Own| {
            for _ in 0..100 {
                own.post(Job::Nothing).await.unwrap();
            }
            "fine".to_owned()
        }));
        assert_eq!(said, "fine");
    });
}

#[test]
fn a_deadline_in_the_queue_makes_room() {
    must_end(|| {
        let own = on_thread("own", 1);
        let said = own.told_to(job(|own| {
            let late = own.clone();
            let late = thread::spawn(move || {
                let timeout = Duration::from_millis(30);
                outcome(late.request(Job::Nothing).timeout(timeout).wait())
            });
            while own.stats().queued == 0 && !late.is_finished() {
                yield_now();
            }
            let said = sent(own.post(Job::Nothing).wait());
            assert!(late.join().unwrap().contains("deadline"));
            said
        }));
        assert_eq!(said, "sent");
    });
}

#[test]
fn a_caller_that_leaves_makes_room() {
    must_end(|| {
        for is_task in [false, true] {
            let own = if is_task {
                on_task("own", 1)
            } else {
                on_thread("own", 1)
            };
            let (enter, entered) = mpsc::channel();
            let (fill, filled) = mpsc::channel::<()>();
            let reply = own.0.req_async(if is_task {
                awaiting(async move |own: Own| {
                    enter.send(()).unwrap();
                    filled.recv().unwrap();
                    sent(own.post(Job::Nothing).await)
                })
            } else {
                job(move |own| {
                    enter.send(()).unwrap();
                    filled.recv().unwrap();
                    sent(own.post(Job::Nothing).wait())
                })
            });
            let reply = reply.unwrap();
            entered.recv().unwrap();
            let fickle = own.0.req_async(Job::Nothing).unwrap();
            fill.send(()).unwrap();
            let reply = reply.wait_timeout(Duration::from_millis(30)).unwrap_err();
            drop(fickle);
            assert_eq!(reply.wait().unwrap(), "sent");
        }
    });
}

#[test]
fn who_waits_for_room_and_a_timer_is_not_told() {
    must_end(|| {
        let own = on_task("own", 1);
        let said = own.told_to(awaiting(async |own: Own| {
            fill(&own);
            tokio::select! {
                it = own.post(Job::Nothing) => sent(it),
                () = tokio::time::sleep(Duration::from_millis(30)) => "later".to_owned(),
            }
        }));
        assert_eq!(said, "later");
    });
}

#[test]
fn a_server_at_work_makes_room() {
    must_end(|| {
        let (a, b) = (on_thread("a", 1), on_thread("b", 1));
        let to_b = b.client();
        let said = a.told_to(job(move |_| {
            let mut said = Vec::new();
            for _ in 0..1000 {
                said.push(sent(to_b.post(Job::Nothing).wait()));
            }
            said.retain(|it| it != "sent");
            said.join(", ")
        }));
        assert_eq!(said, "");
    });
}

/// `b` gives up in time and then makes room, so `a` may wait for it.
#[test]
fn who_gives_up_waiting_for_room_in_time_is_waited_for() {
    must_end(|| {
        let (a, b) = (on_thread("a", 1), on_thread("b", 1));
        let (to_a, to_b) = (a.client(), b.client());
        let reply = b.0.req_async(job(move |_| {
            // The queue may be full already.
            let _ = to_a.post(Job::Nothing).if_room().wait();
            sent(
                to_a.post(Job::Nothing)
                    .timeout(Duration::from_millis(50))
                    .wait(),
            )
        }));
        let said = a.told_to(job(move |_| {
            let first = sent(to_b.post(Job::Nothing).wait());
            let second = sent(to_b.post(Job::Nothing).wait());
            format!("{first}, {second}")
        }));
        let other = reply.unwrap().wait().unwrap();
        // One of them waited first: it got the deadlock, was late, or found room.
        assert!(
            !(said.contains("deadlock") && other.contains("deadlock")),
            "{said}; {other}"
        );
    });
}
