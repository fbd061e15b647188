//! A handler on a task that also awaits something else gets no `WouldDeadlock`.
#![cfg(feature = "tokio")]

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::sync::oneshot;
use ump_server::{Context as LoopContext, Refused, task};

#[macro_use]
mod job_runner;
use job_runner::{
    Job, JobClient, Running, ask, awaiting, fine, let_others_run, must_end, on_task, outcome_text,
    when,
};

on_each_runtime! {
    awaiting_a_timer_as_well_is_no_deadlock,
    awaiting_a_channel_as_well_is_no_deadlock,
    storing_the_waker_elsewhere_is_no_deadlock,
    awaiting_a_subtask_as_well_is_no_deadlock,
    awaiting_its_cancellation_is_no_deadlock,
    request_polled_by_another_waker_is_no_deadlock,
    request_polled_by_another_waker_wakes_that,
    handler_that_woke_itself_is_no_deadlock,
    too_many_awaited_requests_are_no_deadlock,
    dropped_request_is_not_waited_for,
    request_in_the_slot_of_a_dropped_one_is_ignored,
    request_in_the_slot_of_a_deadlocked_one_is_waited,
}

/// Awaits a request to its own server and something else, whichever comes first. The request is
/// then cancelled.
async fn either(own: &JobClient, other: impl Future<Output = String>) -> String {
    tokio::select! {
        biased;
        text = ask(own, fine()) => text,
        text = other => text,
    }
}

/// Makes the handler send a request to its own server while it also awaits `other`, which becomes
/// ready after all other tasks have run.
async fn ends_by_another_event<F: Future<Output = String> + Send + 'static>(
    other: impl FnOnce(oneshot::Receiver<()>) -> F,
) {
    let own = on_task("own");
    let client = own.client();
    let (go, goes) = oneshot::channel();
    let other = other(goes);
    let asking = awaiting(async move { either(&client, other).await });
    let outcome = own.0.request(asking).submit().await.unwrap();
    let_others_run().await;
    let _ = go.send(());
    assert_eq!(outcome_text(outcome.await), "from elsewhere");
    assert_eq!(ask(&own.0, fine()).await, "fine");
    assert_eq!(own.checked_stats().would_deadlock_queued, 0);
}

async fn awaiting_a_timer_as_well_is_no_deadlock() {
    ends_by_another_event(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        "from elsewhere".to_owned()
    })
    .await;
}

async fn awaiting_a_channel_as_well_is_no_deadlock() {
    ends_by_another_event(when).await;
}

async fn storing_the_waker_elsewhere_is_no_deadlock() {
    let left: Arc<Mutex<Option<Waker>>> = Arc::default();
    let goes_on = Arc::new(AtomicBool::new(false));
    let leaves = Arc::clone(&left);
    let looks = Arc::clone(&goes_on);
    ends_by_another_event(move |goes| {
        tokio::spawn(async move {
            goes.await.unwrap();
            goes_on.store(true, SeqCst);
            let waker = left.lock().unwrap().take();
            waker.unwrap().wake();
        });
        // Stores the waker only once, even if the future is polled again.
        let mut once = Some(());
        poll_fn(move |cx| {
            if looks.load(SeqCst) {
                return Poll::Ready("from elsewhere".to_owned());
            }
            if once.take().is_some() {
                *leaves.lock().unwrap() = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    })
    .await;
}

async fn awaiting_a_subtask_as_well_is_no_deadlock() {
    ends_by_another_event(|goes| {
        let subtask = tokio::spawn(when(goes));
        async { subtask.await.unwrap() }
    })
    .await;
}

async fn awaiting_its_cancellation_is_no_deadlock() {
    let own = on_task("own");
    let client = own.client();
    let (report, outcome_of_handler) = oneshot::channel();
    let (begin, begun) = oneshot::channel();
    let lending = Job::Lend(Box::new(move |mut rctx| {
        Box::pin(async move {
            begin.send(()).unwrap();
            let left = async {
                rctx.cancelled().await;
                "from elsewhere".to_owned()
            };
            let _ = report.send(either(&client, left).await);
        })
    }));
    let outcome = own.0.request(lending).submit().await.unwrap();
    begun.await.unwrap();
    let_others_run().await;
    drop(outcome);
    assert_eq!(outcome_of_handler.await.unwrap(), "from elsewhere");
    own.checked_stats();
}

/// Notes that it was woken, and wakes the inner waker.
struct Forward(Waker, AtomicBool);

impl Wake for Forward {
    fn wake(self: Arc<Self>) {
        self.1.store(true, SeqCst);
        self.0.wake_by_ref();
    }
}

/// `FuturesUnordered` and streams of replies poll with wakers of their own, too.
async fn request_polled_by_another_waker_is_no_deadlock() {
    let own = on_task("own");
    let client = own.client();
    ends_by_another_event_of(&own, |goes| async move {
        let mut reply = client.req_async(fine()).unwrap();
        let mut goes = pin!(when(goes));
        poll_fn(move |cx| {
            let forward = Arc::new(Forward(cx.waker().clone(), AtomicBool::new(false)));
            let forward = Waker::from(forward);
            let polled = Pin::new(&mut reply).poll(&mut Context::from_waker(&forward));
            assert!(polled.is_pending());
            goes.as_mut().poll(cx)
        })
        .await
    })
    .await;
}

async fn request_polled_by_another_waker_wakes_that() {
    let (own, other) = (on_task("own"), on_task("other"));
    let client = other.client();
    let asking = awaiting(async move {
        let slow = awaiting(async {
            let_others_run().await;
            "fine".to_owned()
        });
        let mut reply = client.req_async(slow).unwrap();
        let mut left = None;
        poll_fn(move |cx| {
            let waker = || Arc::new(Forward(cx.waker().clone(), AtomicBool::new(true)));
            let forward = left.get_or_insert_with(waker);
            if !forward.1.swap(false, SeqCst) {
                return Poll::Pending;
            }
            let waker = Waker::from(Arc::clone(forward));
            let polled = Pin::new(&mut reply).poll(&mut Context::from_waker(&waker));
            polled.map(Result::unwrap)
        })
        .await
    });
    assert_eq!(ask(&own.0, asking).await, "fine");
}

async fn handler_that_woke_itself_is_no_deadlock() {
    ends_by_another_event(|_| {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 3 {
                return Poll::Pending;
            }
            Poll::Ready("from elsewhere".to_owned())
        })
    })
    .await;
}

async fn too_many_awaited_requests_are_no_deadlock() {
    let own = on_task("own");
    let client = own.client();
    ends_by_another_event_of(&own, |goes| async move {
        let mut many: Vec<_> = (0..20).map(|_| client.req_async(fine()).unwrap()).collect();
        let mut goes = pin!(when(goes));
        poll_fn(move |cx| {
            for reply in &mut many {
                assert!(Pin::new(reply).poll(cx).is_pending());
            }
            goes.as_mut().poll(cx)
        })
        .await
    })
    .await;
}

/// Makes this server's handler await `text`, which ends after all other tasks have run.
async fn ends_by_another_event_of<F: Future<Output = String> + Send + 'static>(
    own: &Running,
    text: impl FnOnce(oneshot::Receiver<()>) -> F,
) {
    let (go, goes) = oneshot::channel();
    let outcome = own.0.request(awaiting(text(goes))).submit().await.unwrap();
    let_others_run().await;
    go.send(()).unwrap();
    assert_eq!(outcome_text(outcome.await), "from elsewhere");
    assert_eq!(ask(&own.0, fine()).await, "fine");
    let stats = own.checked_stats();
    assert_eq!(stats.would_deadlock_queued, 0);
}

/// Polls once, with the waker of the call.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
}

async fn dropped_request_is_not_waited_for() {
    let own = on_task("own");
    let client = own.client();
    ends_by_another_event_of(&own, |goes| async move {
        let mut dropped = client.req_async(fine()).unwrap();
        assert!(!poll_once(&mut dropped).await);
        drop(dropped);
        when(goes).await
    })
    .await;
}

/// The second request has the same number, and nothing awaits it.
async fn request_in_the_slot_of_a_dropped_one_is_ignored() {
    let own = on_task("own");
    let client = own.client();
    ends_by_another_event_of(&own, |goes| async move {
        let mut dropped = client.req_async(fine()).unwrap();
        assert!(!poll_once(&mut dropped).await);
        drop(dropped);
        let _other = client.req_async(fine()).unwrap();
        when(goes).await
    })
    .await;
}

/// The second request has the same number, but the handler also awaits something else.
async fn request_in_the_slot_of_a_deadlocked_one_is_waited() {
    let own = on_task("own");
    let client = own.client();
    ends_by_another_event_of(&own, |goes| async move {
        let ask_again = || Some(client.req_async(fine()).unwrap());
        let mut reply = ask_again();
        let mut goes = pin!(when(goes));
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            if polls == 1 {
                return match Pin::new(reply.as_mut().unwrap()).poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(outcome) => Poll::Ready(format!("{outcome:?}")),
                };
            }
            if polls == 2 {
                reply = None;
                reply = ask_again();
            }
            for _ in 0..2 {
                let polled = Pin::new(reply.as_mut().unwrap()).poll(cx);
                if let Poll::Ready(outcome) = polled {
                    return Poll::Ready(format!("{outcome:?}"));
                }
            }
            goes.as_mut().poll(cx)
        })
        .await
    })
    .await;
}

/// Therefore the handler can only continue because of something that it awaits.
#[test]
fn a_handler_is_polled_for_nothing_but_its_own_wakers() {
    must_end(1, async {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let (timers, its_timers) = std::sync::mpsc::channel();
        let (client, _handle) = task::Builder::new()
            .spawn_with(move |cx: &LoopContext<(), (), Refused>| {
                timers.send(cx.timers().clone()).unwrap();
                let counted = Arc::clone(&counted);
                Ok(task::answer(move |()| {
                    let counted = Arc::clone(&counted);
                    async move {
                        let mut waits = pin!(tokio::time::sleep(Duration::from_millis(20)));
                        poll_fn(|cx| {
                            counted.fetch_add(1, SeqCst);
                            waits.as_mut().poll(cx)
                        })
                        .await;
                        Ok(())
                    }
                }))
            })
            .unwrap();
        let timers = its_timers.recv().unwrap();
        // The loop waits for timers after it has had nothing to do.
        let_others_run().await;
        let reply = client.req_async(()).unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
            timers.once(Duration::from_secs(3600), ());
        }
        reply.await.unwrap();
        assert_eq!(polls.load(SeqCst), 2);
    });
}
