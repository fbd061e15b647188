//! Waits for room in the queue of a bounded channel.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread::{self, yield_now},
    time::Duration,
};

use super::support::{
    Job, JobClient, LONG, Running, assert_deadlock, awaiting, job, must_end, on_task, on_thread,
    outcome, plain, pool, sent, task_pool,
};

/// Fills the queue, which has room for one request.
fn fill(client: &JobClient) {
    client.post(Job::Nothing).if_room().wait().unwrap();
}

#[test]
fn post_into_its_own_full_queue_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            fill(&own);
            sent(own.post(Job::Nothing).wait())
        }));
        assert_deadlock(&text, &["own"]);
        assert_eq!(own.run(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn submission_into_its_own_full_queue_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            fill(&own);
            sent(own.request(Job::Nothing).submit().wait())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn request_that_waits_for_room_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            fill(&own);
            outcome(own.request(Job::Nothing).wait())
        }));
        assert_deadlock(&text, &["own"]);
        let text = own.run(job(|own| {
            fill(&own);
            plain(own.req(Job::Nothing))
        }));
        assert!(
            text.contains("the caller would have waited for itself"),
            "{text}"
        );
    });
}

#[test]
fn waiting_for_urgent_room_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            own.post(Job::Nothing).urgent().wait().unwrap();
            // The other lane has room.
            fill(&own);
            sent(own.post(Job::Nothing).urgent().wait())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn waiting_for_room_with_a_deadline_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            fill(&own);
            sent(own.post(Job::Nothing).timeout(LONG * 60).wait())
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn awaited_post_without_room_is_a_deadlock() {
    must_end(|| {
        let own = on_task("own", 1);
        let text = own.run(awaiting(async |own: JobClient| {
            fill(&own);
            sent(own.post(Job::Nothing).await)
        }));
        assert_deadlock(&text, &["own"]);
        assert_eq!(own.run(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn awaited_submission_without_room_is_a_deadlock() {
    must_end(|| {
        let own = on_task("own", 1);
        let text = own.run(awaiting(async |own: JobClient| {
            fill(&own);
            sent(own.request(Job::Nothing).submit().await)
        }));
        assert_deadlock(&text, &["own"]);
    });
}

#[test]
fn awaited_request_without_room_is_a_deadlock() {
    must_end(|| {
        let own = on_task("own", 1);
        for timeout in [None, Some(LONG * 60)] {
            let text = own.run(awaiting(async move |own: JobClient| {
                fill(&own);
                let request = own.request(Job::Nothing);
                match timeout {
                    Some(timeout) => outcome(request.timeout(timeout).await),
                    None => outcome(request.await),
                }
            }));
            assert_deadlock(&text, &["own"]);
        }
        let text = own.run(awaiting(async |own: JobClient| {
            fill(&own);
            plain(own.areq(Job::Nothing).await)
        }));
        assert!(
            text.contains("the caller would have waited for itself"),
            "{text}"
        );
    });
}

/// The first request is queued and awaited. The second one waits for the room of the first.
#[test]
fn two_awaited_requests_without_room_deadlock() {
    must_end(|| {
        let own = on_task("own", 1);
        let text = own.run(awaiting(async |own: JobClient| {
            let (one, two) = tokio::join!(own.request(Job::Nothing), own.request(Job::Nothing));
            let text = [outcome(one), outcome(two)];
            text.into_iter()
                .find(|it| it.starts_with("deadlock"))
                .unwrap()
        }));
        assert_deadlock(&text, &["own"]);
    });
}

/// Two servers post to each other at the same time, each more requests than the other has room for.
fn fill_each_other<B>(
    (a, b): (&Running, &Running),
    barrier: fn(usize) -> B,
    fill: fn(JobClient, Arc<B>) -> Job,
) {
    for _ in 0..100 {
        let meeting = Arc::new(barrier(2));
        let begin = |from: &Running, to: &Running| {
            let fill = fill(to.client(), Arc::clone(&meeting));
            from.0.req_async(fill).unwrap()
        };
        let replies = [begin(a, b), begin(b, a)];
        let mut text = replies.map(|reply| reply.wait().unwrap());
        text.sort();
        assert_deadlock(&text[0], &["a", "b"]);
        assert_eq!(text[1], "sent", "the other one goes on");
    }
}

#[test]
fn two_threads_that_fill_each_other_deadlock() {
    must_end(|| {
        let (a, b) = (on_thread("a", 2), on_thread("b", 2));
        fill_each_other((&a, &b), Barrier::new, |to, meeting| {
            job(move |_| {
                meeting.wait();
                let text = (0..20).map(|_| sent(to.post(Job::Nothing).wait()));
                let failed = { text }.find(|text| text != "sent");
                failed.unwrap_or_else(|| "sent".to_owned())
            })
        });
    });
}

#[test]
fn two_tasks_that_fill_each_other_deadlock() {
    must_end(|| {
        let (a, b) = (on_task("a", 2), on_task("b", 2));
        fill_each_other((&a, &b), tokio::sync::Barrier::new, |to, meeting| {
            awaiting(async move |_| {
                meeting.wait().await;
                for _ in 0..20 {
                    let text = sent(to.post(Job::Nothing).await);
                    if text != "sent" {
                        return text;
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
        let text = own.run(job(|own| {
            for _ in 0..100 {
                own.post(Job::Nothing).wait().unwrap();
            }
            "fine".to_owned()
        }));
        assert_eq!(text, "fine");
        let own = task_pool("own", 2, 1);
        let text = own.run(awaiting(async |own: JobClient| {
            for _ in 0..100 {
                own.post(Job::Nothing).await.unwrap();
            }
            "fine".to_owned()
        }));
        assert_eq!(text, "fine");
    });
}

#[test]
fn a_deadline_in_the_queue_makes_room() {
    must_end(|| {
        let own = on_thread("own", 1);
        let text = own.run(job(|own| {
            let late = own.clone();
            let late = thread::spawn(move || {
                let timeout = Duration::from_millis(30);
                outcome(late.request(Job::Nothing).timeout(timeout).wait())
            });
            while own.stats().queued == 0 && !late.is_finished() {
                yield_now();
            }
            let text = sent(own.post(Job::Nothing).wait());
            assert!(late.join().unwrap().contains("deadline"));
            text
        }));
        assert_eq!(text, "sent");
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
                awaiting(async move |own: JobClient| {
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
fn waiting_for_room_and_a_timer_is_no_deadlock() {
    must_end(|| {
        let own = on_task("own", 1);
        let text = own.run(awaiting(async |own: JobClient| {
            fill(&own);
            tokio::select! {
                it = own.post(Job::Nothing) => sent(it),
                () = tokio::time::sleep(Duration::from_millis(30)) => "later".to_owned(),
            }
        }));
        assert_eq!(text, "later");
    });
}

#[test]
fn a_server_at_work_makes_room() {
    must_end(|| {
        let (a, b) = (on_thread("a", 1), on_thread("b", 1));
        let to_b = b.client();
        let text = a.run(job(move |_| {
            let mut text = Vec::new();
            for _ in 0..1000 {
                text.push(sent(to_b.post(Job::Nothing).wait()));
            }
            text.retain(|it| it != "sent");
            text.join(", ")
        }));
        assert_eq!(text, "");
    });
}

/// `b` gives up in time and then makes room, so `a` may wait for it.
#[test]
fn wait_for_room_that_times_out_is_waited_for() {
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
        let text = a.run(job(move |_| {
            let first = sent(to_b.post(Job::Nothing).wait());
            let second = sent(to_b.post(Job::Nothing).wait());
            format!("{first}, {second}")
        }));
        let other = reply.unwrap().wait().unwrap();
        // One of them waited first: it got the deadlock, was late, or found room.
        assert!(
            !(text.contains("deadlock") && other.contains("deadlock")),
            "{text}; {other}"
        );
    });
}
