//! A handler on a task whose request may be answered, by another thread or in time, gets no
//! `WouldDeadlock`.
#![cfg(feature = "tokio")]

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use ump_server::{Refused, ReplyContext, WeakClient, channel, task, ump::ManualClock};

#[macro_use]
mod job_runner;
use job_runner::{
    DAY, Duty, ask, awaiting, fine, giving_away, let_others_run, must_end, on_task, outcome_text,
    task_by, task_pool, when,
};

on_each_runtime! {
    a_pool_with_a_free_worker_is_no_deadlock,
    worker_that_is_still_starting_may_answer,
    request_answered_by_a_subtask_is_waited_for,
    request_with_a_detached_context_is_waited_for,
    a_server_without_a_loop_is_not_known,
}

async fn a_pool_with_a_free_worker_is_no_deadlock() {
    let own = task_pool("own", 2);
    for _ in 0..100 {
        let client = own.client();
        let asking = awaiting(async move { ask(&client, fine()).await });
        assert_eq!(ask(&own.0, asking).await, "fine");
    }
    own.checked_stats();
}

/// The first worker sends a request in its `init`. The last one is free to answer, although its
/// `init` has not run.
async fn worker_that_is_still_starting_may_answer() {
    struct First(bool, Arc<AtomicUsize>);

    impl task::Handler<(), (), Refused> for First {
        async fn init(&mut self, own: WeakClient<(), (), Refused>) {
            if self.0 {
                let own = own.upgrade().unwrap();
                let outcome = own.request(()).await;
                assert!(outcome.is_ok(), "{outcome:?}");
            }
            self.1.fetch_add(1, SeqCst);
        }

        async fn proc_req(
            &mut self,
            (): (),
            rctx: ReplyContext<'_, (), Refused>,
        ) -> ControlFlow<()> {
            let _ = rctx.reply(());
            ControlFlow::Continue(())
        }
    }

    for _ in 0..50 {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let workers = NonZeroUsize::new(2).unwrap();
        let (client, handle) = task::Builder::new()
            .spawn_pool(workers, move |cx| {
                Ok(First(cx.worker() == 0, Arc::clone(&counted)))
            })
            .unwrap();
        while begun.load(SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        drop(client);
        handle.await.unwrap();
    }
}

/// `a` sends a request to `b`, and `elsewhere` answers it after all tasks have run. Meanwhile `b`
/// sends a request to `a`.
async fn answered_elsewhere(elsewhere: fn(Duty, oneshot::Receiver<()>)) {
    let (a, b) = (on_task("a"), on_task("b"));
    let (to_a, to_b) = (a.client(), b.client());
    let (go, goes) = oneshot::channel();
    let (tell_other, other) = oneshot::channel();
    let giving = giving_away(async move |duty| {
        elsewhere(duty, goes);
        let _ = tell_other.send(ask(&to_a, fine()).await);
    });
    let asking = awaiting(async move { ask(&to_b, giving).await });
    let outcome = a.0.request(asking).submit().await.unwrap();
    let_others_run().await;
    go.send(()).unwrap();
    assert_eq!(outcome_text(outcome.await), "from elsewhere");
    assert_eq!(other.await.unwrap(), "fine");
    for server in [a, b] {
        let stats = server.checked_stats();
        let deadlocks = (stats.would_deadlock_queued, stats.would_deadlock_taken);
        assert_eq!(deadlocks, (0, 0));
    }
}

async fn request_answered_by_a_subtask_is_waited_for() {
    answered_elsewhere(|duty, goes| {
        tokio::spawn(async move { duty.reply(when(goes).await).unwrap() });
    })
    .await;
}

async fn request_with_a_detached_context_is_waited_for() {
    answered_elsewhere(|duty, goes| {
        std::thread::spawn(move || {
            goes.blocking_recv().unwrap();
            duty.reply("from elsewhere".to_owned()).unwrap();
        });
    })
    .await;
}

async fn a_server_without_a_loop_is_not_known() {
    let own = on_task("own");
    let (server, client) = channel::<u32, u32, Refused>();
    let by_hand = tokio::spawn(async move {
        while let Ok((n, rctx)) = server.async_wait().await {
            let_others_run().await;
            let _ = rctx.reply(n + 1);
        }
    });
    let asking = awaiting(async move { client.request(1).await.unwrap().to_string() });
    assert_eq!(ask(&own.0, asking).await, "2");
    by_hand.await.unwrap();
}

/// `a` sends a request to `b`, and `b` sends one with a deadline to `a`. On a runtime of one thread
/// `b` sleeps before `a` does.
async fn with_a_deadline(
    clock_of_a: &ManualClock,
    clock_of_b: &ManualClock,
    timeout: Option<Duration>,
) -> String {
    let task_of = |name, clock: &ManualClock| {
        task_by(task::Builder::new().name(name).clock(clock.clock()), 1)
    };
    let (a, b) = (task_of("a", clock_of_a), task_of("b", clock_of_b));
    let (to_a, to_b) = (a.client(), b.client());
    let (go, goes) = oneshot::channel();
    let back = awaiting(async move { outcome_text(to_a.request(fine()).timeout(DAY).await) });
    let asking = awaiting(async move {
        let mut request = to_b.request(back);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let reply = request.submit().await.unwrap();
        goes.await.unwrap();
        outcome_text(reply.await)
    });
    let outcome = a.0.request(asking).submit().await.unwrap();
    while clock_of_a.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    let_others_run().await;
    clock_of_a.advance(DAY);
    let text = outcome_text(outcome.await);
    for server in [a, b] {
        server.checked_stats();
    }
    text
}

#[test]
fn wait_that_times_out_first_is_waited_for() {
    must_end(1, async {
        let clock = ManualClock::new();
        let text = with_a_deadline(&clock, &clock, None).await;
        assert!(text.starts_with("the deadline passed before"), "{text}");
        let text = with_a_deadline(&clock, &clock, Some(2 * DAY)).await;
        assert!(text.starts_with("the deadline passed before"), "{text}");
    });
}

/// The deadline of `b` passes, although it is the later one by the times of the two clocks.
#[test]
fn deadlines_by_another_clock_may_come_at_any_time() {
    must_end(1, async {
        let (clock_of_a, clock_of_b) = (ManualClock::new(), ManualClock::new());
        let text = with_a_deadline(&clock_of_a, &clock_of_b, Some(DAY / 2)).await;
        assert!(text.starts_with("the deadline passed before"), "{text}");
    });
}
