//! A handler on a task that awaits a server which waits for that handler gets `WouldDeadlock`.
#![cfg(feature = "tokio")]

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Poll, Waker},
};

use tokio::sync::oneshot;
use ump_server::{
    OnPanic, Refused, Restart, TestClock, Timers, task, thread,
    ump::{self, ManualClock},
};

#[macro_use]
mod job_runner;
use job_runner::{
    DAY, JobRunner, LONG, Running, ask, assert_deadlock, awaiting, blocking, fine, must_end,
    on_task, on_thread, outcome_text, task_by, task_pool, thread_by,
};

on_each_runtime! {
    awaiting_itself_is_a_deadlock,
    awaiting_itself_by_a_plain_call_has_no_reply,
    awaiting_its_own_pending_reply_is_a_deadlock,
    awaiting_itself_with_a_deadline_is_a_deadlock,
    two_handlers_that_await_each_other_deadlock,
    three_handlers_that_await_each_other_deadlock,
    threads_and_tasks_make_cycles_too,
    blocking_for_a_task_that_awaits_it_is_a_deadlock,
    pool_whose_workers_all_await_it_is_a_deadlock,
    one_of_several_joined_requests_gets_the_deadlock,
    deadlock_is_detected_after_many_requests,
    simultaneous_requests_to_each_other_both_end,
    deadlocks_in_init_and_after_the_reply_are_detected,
    deadlock_is_detected_after_a_panic,
}

async fn awaiting_itself_is_a_deadlock() {
    let own = on_task("own");
    let client = own.client();
    let outcome = ask(&own.0, awaiting(async move { ask(&client, fine()).await })).await;
    assert_eq!(outcome, "deadlock: own → own");
    assert_eq!(ask(&own.0, fine()).await, "fine", "the loop goes on");
    assert_eq!(own.checked_stats().would_deadlock_queued, 1);
}

async fn awaiting_itself_by_a_plain_call_has_no_reply() {
    let own = on_task("own");
    let client = own.client();
    let asking = awaiting(async move { client.areq(fine()).await.unwrap_err().to_string() });
    assert!(ask(&own.0, asking).await.starts_with("no reply"));
}

async fn awaiting_its_own_pending_reply_is_a_deadlock() {
    let own = on_task("own");
    let client = own.client();
    let asking = awaiting(async move {
        let reply = client.request(fine()).submit().await.unwrap();
        tokio::task::yield_now().await;
        outcome_text(reply.await)
    });
    assert_eq!(ask(&own.0, asking).await, "deadlock: own → own");
}

async fn awaiting_itself_with_a_deadline_is_a_deadlock() {
    let own = on_task("own");
    let client = own.client();
    let asking = awaiting(async move { outcome_text(client.request(fine()).timeout(LONG).await) });
    assert_eq!(ask(&own.0, asking).await, "deadlock: own → own");
    assert_eq!(own.checked_stats().would_deadlock_queued, 1);
}

async fn two_handlers_that_await_each_other_deadlock() {
    let (a, b) = (on_task("a"), on_task("b"));
    let (to_a, to_b) = (a.client(), b.client());
    let back = awaiting(async move { ask(&to_a, fine()).await });
    let outcome = ask(&a.0, awaiting(async move { ask(&to_b, back).await })).await;
    assert_deadlock(&outcome, &["a", "b"]);
    for server in [&a, &b] {
        assert_eq!(ask(&server.0, fine()).await, "fine");
        server.checked_stats();
    }
}

async fn three_handlers_that_await_each_other_deadlock() {
    let (a, b, c) = (on_task("a"), on_task("b"), on_task("c"));
    let (to_a, to_b, to_c) = (a.client(), b.client(), c.client());
    let back = awaiting(async move { ask(&to_a, fine()).await });
    let on = awaiting(async move { ask(&to_c, back).await });
    let outcome = ask(&a.0, awaiting(async move { ask(&to_b, on).await })).await;
    assert_deadlock(&outcome, &["a", "b", "c"]);
}

async fn threads_and_tasks_make_cycles_too() {
    let (a, b, c) = (on_task("a"), on_thread("b"), on_task("c"));
    let (to_a, to_b, to_c) = (a.client(), b.client(), c.client());
    let back = awaiting(async move { ask(&to_a, fine()).await });
    let on = blocking(move || outcome_text(to_c.request(back).wait()));
    let outcome = ask(&a.0, awaiting(async move { ask(&to_b, on).await })).await;
    assert_deadlock(&outcome, &["a", "b", "c"]);
    for server in [&a, &b, &c] {
        assert_eq!(ask(&server.0, fine()).await, "fine");
        server.checked_stats();
    }
}

/// The task is asleep: nothing else runs on its thread before it sleeps.
#[test]
fn thread_closing_a_cycle_with_a_task_is_a_deadlock() {
    must_end(1, async {
        let (a, b) = (on_task("a"), on_thread("b"));
        let (to_a, to_b) = (a.client(), b.client());
        let (taken, is_taken) = oneshot::channel();
        let (go, goes) = mpsc::channel();
        let back = blocking(move || {
            taken.send(()).unwrap();
            goes.recv().unwrap();
            outcome_text(to_a.request(fine()).wait())
        });
        let asking = awaiting(async move { ask(&to_b, back).await });
        let outcome = a.0.request(asking).submit().await.unwrap();
        is_taken.await.unwrap();
        go.send(()).unwrap();
        assert_eq!(outcome_text(outcome.await), "deadlock: b → a → b");
    });
}

/// The clock counts the thread as asleep. The thread's deadline, by which the clock counts it, is
/// later than the task's.
#[test]
fn task_closing_a_cycle_with_a_thread_is_a_deadlock() {
    must_end(1, async {
        let clock = ManualClock::new();
        let a = task_by(task::Builder::new().name("a").clock(clock.clock()), 1);
        let b = thread_by(thread::Builder::new().name("b").clock(clock.clock()));
        let (to_a, to_b) = (a.client(), b.client());
        let back = awaiting(async move { outcome_text(to_b.request(fine()).timeout(DAY).await) });
        let asking = blocking(move || outcome_text(to_a.request(back).timeout(2 * DAY).wait()));
        let outcome = b.0.request(asking).submit().await.unwrap();
        clock.wait_for_sleepers(1);
        assert_eq!(outcome_text(outcome.await), "deadlock: a → b → a");
    });
}

async fn blocking_for_a_task_that_awaits_it_is_a_deadlock() {
    // `b` has its own runtime, since it blocks that runtime.
    let other = job_runner::runtime(2);
    let a = on_task("a");
    let b = {
        let builder = task::Builder::new().name("b");
        task_by(builder.runtime(other.handle().clone()), 1)
    };
    let (to_a, to_b) = (a.client(), b.client());
    let back = blocking(move || outcome_text(to_a.request(fine()).wait()));
    let outcome = ask(&a.0, awaiting(async move { ask(&to_b, back).await })).await;
    assert_deadlock(&outcome, &["a", "b"]);
    drop(b);
    other.shutdown_background();
}

async fn pool_whose_workers_all_await_it_is_a_deadlock() {
    let own = task_pool("own", 2);
    let (first, second) = (own.client(), own.client());
    let again = awaiting(async move { ask(&second, fine()).await });
    let outcome = ask(&own.0, awaiting(async move { ask(&first, again).await })).await;
    assert_deadlock(&outcome, &["own"]);
}

async fn one_of_several_joined_requests_gets_the_deadlock() {
    let (a, b) = (on_task("a"), on_task("b"));
    let (to_a, own) = (b.client(), a.client());
    let back = {
        let a = a.client();
        awaiting(async move { ask(&a, fine()).await })
    };
    let asking = awaiting(async move {
        let (one, other) = tokio::join!(ask(&to_a, back), ask(&own, fine()));
        format!("{one}; {other}")
    });
    let outcome = ask(&a.0, asking).await;
    // Both requests wait for replies that only `a` can give. If `b` closes the cycle, its caller
    // continues, and must then get `WouldDeadlock` for the other request.
    let deadlocks = outcome.matches("deadlock").count();
    assert!(deadlocks >= 1, "{outcome}");
    assert_eq!(ask(&a.0, fine()).await, "fine");
    assert_eq!(ask(&b.0, fine()).await, "fine");
}

async fn deadlock_is_detected_after_many_requests() {
    let (own, other) = (on_task("own"), on_task("other"));
    for _ in 0..200 {
        let (client, to_other) = (own.client(), other.client());
        let asking = awaiting(async move {
            let text = ask(&to_other, fine()).await;
            format!("{text}, {}", ask(&client, fine()).await)
        });
        assert_eq!(ask(&own.0, asking).await, "fine, deadlock: own → own");
    }
    assert_eq!(own.checked_stats().would_deadlock_queued, 200);
}

async fn simultaneous_requests_to_each_other_both_end() {
    let (a, b) = (on_task("a"), on_task("b"));
    for _ in 0..200 {
        let (here, there) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let cross = |from: &Running, to: &Running, here: oneshot::Sender<()>, there| {
            let to = to.client();
            from.0
                .req_async(awaiting(async move {
                    here.send(()).unwrap();
                    let _: Result<(), _> = there.await;
                    ask(&to, fine()).await
                }))
                .unwrap()
        };
        let first = cross(&a, &b, here.0, there.1);
        let second = cross(&b, &a, there.0, here.1);
        let outcomes = [first.await.unwrap(), second.await.unwrap()];
        let count = |text: fn(&str) -> bool| outcomes.iter().filter(|it| text(it)).count();
        let deadlocks = count(|it| it.starts_with("deadlock"));
        assert_eq!(
            (deadlocks, count(|it| it == "fine")),
            (1, 1),
            "{outcomes:?}"
        );
    }
    for server in [a, b] {
        server.checked_stats();
    }
}

/// Sends a request to itself before it is ready, and after it has replied.
struct Eager(
    Option<ump::WeakClient<(), String, Refused>>,
    oneshot::Sender<String>,
);

impl task::Handler<(), String, Refused> for Eager {
    async fn init(&mut self, own: ump::WeakClient<(), String, Refused>) {
        let error = own.upgrade().unwrap().request(()).await.unwrap_err();
        let (closed, _) = oneshot::channel();
        let _ = std::mem::replace(&mut self.1, closed).send(error.to_string());
        self.0 = Some(own);
    }

    async fn proc_req(
        &mut self,
        (): (),
        rctx: ump_server::ReplyContext<'_, String, Refused>,
    ) -> std::ops::ControlFlow<()> {
        let own = self.0.as_ref().unwrap().upgrade().unwrap();
        let _ = rctx.reply("answered before".to_owned());
        let error = own.request(()).await.unwrap_err();
        assert!(error.cycle().is_some());
        std::ops::ControlFlow::Continue(())
    }
}

async fn deadlocks_in_init_and_after_the_reply_are_detected() {
    let (report, reported) = oneshot::channel();
    let (client, handle) = task::Builder::new()
        .name("eager")
        .spawn(|_| Ok(Eager(None, report)))
        .unwrap();
    assert!(reported.await.unwrap().ends_with("eager → eager"));
    assert_eq!(client.areq(()).await.unwrap(), "answered before");
    drop(client);
    handle.await.unwrap();
}

async fn deadlock_is_detected_after_a_panic() {
    let restart = Restart::new().pause(std::time::Duration::ZERO, std::time::Duration::ZERO);
    for policy in [OnPanic::Continue, OnPanic::Restart(restart)] {
        let own = task_by(task::Builder::new().name("own").on_panic(policy), 1);
        let panicking = awaiting(async {
            tokio::task::yield_now().await;
            panic!("once")
        });
        assert!(ask(&own.0, panicking).await.ends_with("once"));
        let client = own.client();
        let asking = awaiting(async move { ask(&client, fine()).await });
        assert_eq!(ask(&own.0, asking).await, "deadlock: own → own");
    }
}

#[test]
fn test_clock_advances_after_a_deadlock() {
    must_end(2, async {
        let clock = TestClock::new();
        let own = task_by(task::Builder::new().name("own").test_clock(&clock), 1);
        let client = own.client();
        let asking =
            awaiting(async move { outcome_text(client.request(fine()).timeout(DAY).await) });
        assert_eq!(ask(&own.0, asking).await, "deadlock: own → own");
        let before = clock.now();
        clock.advance(DAY);
        assert_eq!(clock.now() - before, DAY);
        assert_eq!(ask(&own.0, fine()).await, "fine");
    });
}

/// The outcome reaches the handler in one more poll, so the loop checks again what the handler did
/// in between.
#[test]
fn reply_in_the_last_poll_is_no_deadlock() {
    must_end(1, async {
        let (a, b) = (on_task("a"), on_task("b"));
        let (to_a, to_b) = (a.client(), b.client());
        // `b` holds the request that `a` waits for, and sends a request to `a`. When it is polled
        // again it replies first.
        let giving = job_runner::Job::Lend(Box::new(move |rctx| {
            Box::pin(async move {
                let mut rctx = Some(rctx);
                let mut asking = pin!(ask(&to_a, fine()));
                let mut polls = 0;
                poll_fn(move |cx| {
                    polls += 1;
                    if polls == 2 {
                        let _ = rctx.take().unwrap().reply("at last".to_owned());
                    }
                    match asking.as_mut().poll(cx) {
                        Poll::Ready(text) => {
                            assert_eq!(text, "fine");
                            Poll::Ready(())
                        }
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await;
            })
        }));
        let outcome = ask(&a.0, awaiting(async move { ask(&to_b, giving).await })).await;
        assert_eq!(outcome, "at last");
        assert_eq!(ask(&b.0, fine()).await, "fine");
        assert_eq!(b.checked_stats().would_deadlock_taken, 0);
        assert_eq!(a.checked_stats().would_deadlock_queued, 0);
    });
}

/// Therefore it cannot get the outcome; nor is it polled again and again.
#[test]
fn handler_ignoring_the_outcome_is_polled_once_more() {
    must_end(1, async {
        let own = on_task("own");
        let client = own.client();
        let looks = Arc::new(AtomicBool::new(true));
        let its_looks = Arc::clone(&looks);
        let asking = awaiting(async move {
            let mut reply = client.req_async(fine()).unwrap();
            let mut polls = 0;
            let text = poll_fn(move |cx| {
                polls += 1;
                if !its_looks.swap(false, SeqCst) {
                    return Poll::Pending;
                }
                let polled = Pin::new(&mut reply).poll(cx);
                polled.map(|outcome| format!("{polls} polls, {}", outcome.unwrap_err()))
            });
            text.await
        });
        let outcome = own.0.request(asking).submit().await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        looks.store(true, SeqCst);
        own.stop();
        let text = outcome_text(outcome.await);
        assert!(
            text.starts_with("3 polls, the server disappeared"),
            "{text}"
        );
    });
}

/// Something else that it awaited is dropped without a wake-up. The loop notices at its next poll,
/// which may be for a timer.
#[test]
fn dropped_waker_is_a_deadlock_at_the_next_poll() {
    must_end(1, async {
        let (timers, its_timers) = mpsc::channel();
        let spawned = task::Builder::new().name("own").spawn_with(move |cx| {
            timers.send(cx.timers()).unwrap();
            Ok(JobRunner)
        });
        let own = Running::new(spawned.unwrap());
        let timers: Timers<()> = its_timers.recv().unwrap();
        // The loop waits for timers after it has had nothing to do.
        assert_eq!(ask(&own.0, fine()).await, "fine");
        tokio::task::yield_now().await;
        let client = own.client();
        let (leave, left) = mpsc::channel();
        let asking = awaiting(async move {
            poll_fn(|cx| {
                let _ = leave.send(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            ask(&client, fine()).await
        });
        let outcome = own.0.request(asking).submit().await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let waker: Waker = left.recv().unwrap();
        assert!(!outcome.is_ready(), "it may be woken");
        drop(waker);
        timers.once(DAY, ());
        assert_eq!(outcome_text(outcome.await), "deadlock: own → own");
    });
}
