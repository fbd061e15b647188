//! A handler's view of its caller, and the use of its context.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::mpsc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{
    CountingWaker, LONG, before_deadline, block_on, drop_in_a_panic, ends::*, eventually, for_each,
    must_end, pass, poll_once, poll_with, stats_with, with_growing_time,
};
use ump::{Client, Error, ReplyContext, Server, WaitReply};

type Ends = (Server<u32, String, String>, Client<u32, String, String>);
type Rctx = ReplyContext<String, String>;

fn reply() -> String {
    "reply".to_owned()
}

/// Takes a request of kind `B`, and passes it to `look` with the value that cancels it.
fn taken<B: Begin>(look: impl FnOnce(Box<dyn Droppable + '_>, Rctx)) {
    let (server, client): Ends = ump::channel();
    let begun = B::begin(&client, 7);
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    look(begun, rctx);
}

// ---- the caller leaves

fn the_handler_sees_its_caller_leave<B: Begin>() {
    taken::<B>(|begun, rctx| {
        assert!(!rctx.is_cancelled());
        drop(begun);
        assert!(rctx.is_cancelled());
    });
}

fn the_answer_comes_back_if_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.answer(Ok(reply())), Err(Ok(reply())));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.answer(Err(reply())), Err(Err(reply())));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.reply(reply()), Err(Error::OriginDisappeared));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.fail(reply()), Err(Error::OriginDisappeared));
    });
}

fn cancelled_resolves_once_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let counter = CountingWaker::new();
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &counter).is_pending());
        assert_eq!(counter.wakes(), 0);
        drop(begun);
        assert_eq!(counter.wakes(), 1);
        assert!(poll_with(&mut cancelled, &counter).is_ready());
        drop(cancelled);
        assert_eq!(counter.wakers(), 0);
        // From now on the context stays cancelled.
        assert!(poll_once(&mut rctx.cancelled()).is_ready());
    });
}

fn cancelled_can_be_dropped_and_called_again<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let (first, second) = (CountingWaker::new(), CountingWaker::new());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &first).is_pending());
        drop(cancelled);
        assert_eq!(first.wakers(), 0);
        assert!(!rctx.is_cancelled());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &second).is_pending());
        drop(begun);
        assert_eq!((first.wakes(), second.wakes()), (0, 1));
        assert!(poll_once(&mut cancelled).is_ready());
    });
}

fn the_task_that_polled_cancelled_last_is_woken<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let (first, last) = (CountingWaker::new(), CountingWaker::new());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &first).is_pending());
        assert!(poll_with(&mut cancelled, &last).is_pending());
        assert_eq!(first.wakers(), 0);
        drop(begun);
        assert_eq!((first.wakes(), last.wakes()), (0, 1));
    });
}

fn no_task_is_woken_if_the_handler_replies_first<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let counter = CountingWaker::new();
        assert!(poll_with(&mut rctx.cancelled(), &counter).is_pending());
        rctx.reply(reply()).unwrap();
        drop(begun);
        assert_eq!((counter.wakes(), counter.wakers()), (0, 0));
    });
}

fn wait_cancelled_sees_that_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        thread::scope(|scope| {
            let handler = scope.spawn(move || rctx.wait_cancelled(LONG));
            drop(begun);
            assert!(handler.join().unwrap());
        });
    });
    taken::<B>(|begun, mut rctx| {
        drop(begun);
        assert!(rctx.wait_cancelled(Duration::ZERO));
        assert!(rctx.wait_cancelled(Duration::MAX));
    });
}

fn wait_cancelled_gives_up_after_its_time<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let start = Instant::now();
        let time = Duration::from_millis(2);
        assert!(!rctx.wait_cancelled(time));
        assert!(start.elapsed() >= time);
        assert!(!rctx.wait_cancelled(Duration::ZERO));
        drop(begun);
        assert!(rctx.wait_cancelled(LONG));
    });
}

/// A caller without a deadline does not leave by itself.
fn a_handler_waiting_for_cancel_can_still_answer<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        assert!(poll_once(&mut rctx.cancelled()).is_pending());
        assert!(!rctx.wait_cancelled(Duration::ZERO));
        assert_eq!(rctx.reply(reply()), Ok(()));
        drop(begun);
    });
}

for_each!(
    areq = Areq,
    req_async = ReqAsyncWait,
    req_async_await = ReqAsyncAwait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait
    => {
        the_handler_sees_its_caller_leave,
        the_answer_comes_back_if_the_caller_has_left,
        cancelled_resolves_once_the_caller_has_left,
        cancelled_can_be_dropped_and_called_again,
        the_task_that_polled_cancelled_last_is_woken,
        no_task_is_woken_if_the_handler_replies_first,
        wait_cancelled_sees_that_the_caller_has_left,
        wait_cancelled_gives_up_after_its_time,
        a_handler_waiting_for_cancel_can_still_answer,
    }
);

// ---- the deadline passes, noticed by the caller or not

/// A request that a handler has taken, and its deadline, which is near.
fn with_a_deadline() -> (
    Ends,
    WaitReply<String, String, ump::RequestError<u32, String>>,
    Rctx,
    Instant,
) {
    let (client, server, reply, (_, rctx), deadline) = with_growing_time(|time| {
        let (server, client): Ends = ump::channel();
        let deadline = Instant::now() + time;
        let request = client.request(7).deadline(deadline);
        let reply = request.submit().wait().ok()?;
        let job = server.try_pop().unwrap()?;
        Some((client, server, reply, job, deadline))
    });
    ((server, client), reply, rctx, deadline)
}

#[test]
fn the_handler_sees_the_deadline_pass() {
    let (_ends, _reply, rctx, deadline) = with_a_deadline();
    assert_eq!(rctx.deadline(), Some(deadline));
    let seen = rctx.is_cancelled();
    assert!(!seen || Instant::now() >= deadline);
    pass(deadline);
    assert!(rctx.is_cancelled());
    assert_eq!(rctx.deadline(), Some(deadline));
}

#[test]
fn cancelled_resolves_at_the_deadline() {
    must_end(|| {
        let (_ends, _reply, mut rctx, deadline) = with_a_deadline();
        block_on(rctx.cancelled());
        assert!(Instant::now() >= deadline);
        assert!(rctx.is_cancelled());
    });
}

#[test]
fn cancelled_wakes_its_task_at_the_deadline() {
    let (_ends, _reply, mut rctx, deadline) = with_a_deadline();
    let counter = CountingWaker::new();
    let mut cancelled = rctx.cancelled();
    if poll_with(&mut cancelled, &counter).is_pending() {
        eventually(|| counter.wakes() > 0);
        assert!(Instant::now() >= deadline);
        assert!(poll_with(&mut cancelled, &counter).is_ready());
    }
    drop(cancelled);
    // The timer thread drops the waker after it has called it.
    eventually(|| counter.wakers() == 0);
}

#[test]
fn a_dropped_cancelled_future_leaves_no_timer() {
    let (server, client): Ends = ump::channel();
    let _reply = client.request(7).timeout(LONG).submit().wait().unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let counter = CountingWaker::new();
    assert!(poll_with(&mut rctx.cancelled(), &counter).is_pending());
    assert_eq!(counter.wakers(), 0);
}

#[test]
fn wait_cancelled_returns_at_the_deadline() {
    for time in [LONG, Duration::MAX] {
        let (_ends, _reply, mut rctx, deadline) = with_a_deadline();
        assert!(rctx.wait_cancelled(time));
        assert!(Instant::now() >= deadline);
    }
}

#[test]
fn wait_cancelled_ends_before_a_later_deadline() {
    let (server, client): Ends = ump::channel();
    let _reply = client.request(7).timeout(LONG).submit().wait().unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    assert!(!rctx.wait_cancelled(Duration::from_millis(1)));
}

/// A caller whose deadline has passed has left.
#[test]
fn a_caller_that_times_out_wakes_the_handler() {
    must_end(|| {
        let (_ends, reply, mut rctx, _) = with_a_deadline();
        thread::scope(|scope| {
            let handler = scope.spawn(move || {
                let gone = rctx.wait_cancelled(LONG);
                (gone, rctx.answer(Ok(self::reply())))
            });
            // Either end may see the deadline first; both agree on the outcome.
            let outcome = reply.wait();
            let (gone, answer) = handler.join().unwrap();
            assert!(gone);
            match answer {
                Ok(()) => assert_eq!(outcome.unwrap(), self::reply()),
                Err(back) => {
                    assert_eq!(back, Ok(self::reply()));
                    assert!(matches!(outcome, Err(ump::RequestError::TimeoutTaken)));
                }
            }
        });
    });
}

#[test]
fn a_request_without_a_deadline_has_none() {
    let (server, client): Ends = ump::channel();
    let _reply = client.req_async(7).unwrap();
    assert_eq!(server.wait().unwrap().1.deadline(), None);
}

// ---- a caller that cannot leave

#[test]
fn a_blocking_caller_is_always_there() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            let server = server;
            let caller = scope.spawn(|| client.req(7));
            let (_, mut rctx) = server.wait().unwrap();
            assert!(!rctx.is_cancelled());
            assert_eq!(rctx.deadline(), None);
            assert!(!rctx.is_post());
            assert!(poll_once(&mut rctx.cancelled()).is_pending());
            assert!(!rctx.wait_cancelled(Duration::from_millis(1)));
            rctx.reply(reply()).unwrap();
            assert_eq!(caller.join().unwrap(), Ok(reply()));
        });
    });
}

// ---- posts

#[test]
fn only_a_post_is_a_post() {
    let (server, client): Ends = ump::channel();
    client.post(0).wait().unwrap();
    block_on(client.request(1).urgent().post()).unwrap();
    let kept = client.req_async(2).unwrap();
    let is_post = |n| {
        let (taken, rctx) = server.wait().unwrap();
        assert_eq!(taken, n);
        rctx.is_post()
    };
    assert!(is_post(1));
    assert!(is_post(0));
    assert!(!is_post(2));
    drop(kept);
}

#[test]
fn any_reply_to_a_post_succeeds() {
    let (server, client): Ends = ump::channel();
    for n in 0..4 {
        client.post(n).wait().unwrap();
    }
    let next = || server.wait().unwrap().1;
    assert_eq!(next().reply(reply()), Ok(()));
    assert_eq!(next().fail(reply()), Ok(()));
    assert_eq!(next().answer(Ok(reply())), Ok(()));
    assert_eq!(next().answer(Err(reply())), Ok(()));
}

/// A post has no caller that could leave, so it is not cancelled.
#[test]
fn a_post_is_never_cancelled() {
    let ((server, client, post, job), deadline) = before_deadline(|deadline| {
        let (server, client): Ends = ump::channel();
        let post = client.post(7).deadline(deadline).wait();
        let job = server.try_pop().unwrap();
        (server, client, post, job)
    });
    post.unwrap();
    let (_, mut rctx) = job.unwrap();
    pass(deadline);
    drop(client);
    drop(server);
    assert_eq!(rctx.deadline(), Some(deadline));
    assert!(!rctx.is_cancelled());
    assert!(!rctx.wait_cancelled(Duration::from_millis(1)));
    let counter = CountingWaker::new();
    let mut cancelled = rctx.cancelled();
    assert!(poll_with(&mut cancelled, &counter).is_pending());
    drop(cancelled);
    assert_eq!(counter.wakers(), 0);
    assert_eq!(rctx.reply(reply()), Ok(()));
}

// ---- a detached context

fn a_context_outlives_everything_else<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let caller = thread::spawn(move || A::ask(&client, 7, Options::default()));
    let (_, rctx) = server.wait().unwrap();
    drop(server);
    assert!(!rctx.is_cancelled());
    rctx.reply(reply()).unwrap();
    assert_eq!(caller.join().unwrap(), Ok(reply()));
}

fn a_context_can_be_answered_from_another_thread<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let (send, receive) = mpsc::channel::<(u32, Rctx)>();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for (n, rctx) in receive {
                rctx.reply(n.to_string()).unwrap();
            }
        });
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        send.send(server.wait().unwrap()).unwrap();
        drop(send);
        assert_eq!(caller.join().unwrap(), Ok("7".to_owned()));
        worker.join().unwrap();
    });
}

fn a_context_can_be_answered_from_a_task<A: Ask>() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        let (n, rctx) = server.wait().unwrap();
        runtime.spawn(async move {
            tokio::task::yield_now().await;
            rctx.reply(n.to_string())
        });
        assert_eq!(caller.join().unwrap(), Ok("7".to_owned()));
    });
}

fn a_context_dropped_on_another_thread_is_no_reply<A: Ask>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        let (_, rctx) = server.wait().unwrap();
        scope.spawn(move || drop_in_a_panic(rctx));
        let failure = caller.join().unwrap().unwrap_err();
        assert!(matches!(
            failure.why,
            Reason::NoReply(None | Some(ump::NoReply::Panicked(_)))
        ));
    });
}

mod duty {
    use super::*;

    for_each!(
        req = Req,
        areq = Areq,
        req_async_wait = ReqAsyncWait,
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait_await = SubmitWaitAwait
        => {
            a_context_outlives_everything_else,
            a_context_can_be_answered_from_another_thread,
            a_context_can_be_answered_from_a_task,
            a_context_dropped_on_another_thread_is_no_reply,
        }
    );
}

/// The contexts can be answered in any order, long after they were taken.
#[test]
fn many_contexts_can_be_kept_at_a_time() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..100).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 100), Ok(100));
    let expected = stats_with(|stats| (stats.accepted, stats.taken) = (100, 100));
    assert_eq!(server.stats(), expected);
    drop(server);
    for (n, rctx) in batch.into_iter().rev() {
        rctx.reply(n.to_string()).unwrap();
    }
    for (n, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.wait(), Ok(n.to_string()));
    }
}

/// This is the intended use of `cancelled`.
#[tokio::test]
async fn work_can_be_raced_against_the_caller_s_leaving() {
    async fn handle(mut rctx: Rctx, work: tokio::sync::oneshot::Receiver<String>) -> bool {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            () = rctx.cancelled() => false,
            done = &mut work => {
                rctx.reply(done.unwrap()).unwrap();
                true
            }
        }
    }
    let (server, client): Ends = ump::channel();

    let (done, work) = tokio::sync::oneshot::channel();
    let kept = client.req_async(1).unwrap();
    let handler = tokio::spawn(handle(server.wait().unwrap().1, work));
    tokio::task::yield_now().await;
    done.send(reply()).unwrap();
    assert_eq!(kept.await, Ok(reply()));
    assert!(handler.await.unwrap());

    let (done, work) = tokio::sync::oneshot::channel();
    let dropped = client.req_async(2).unwrap();
    let handler = tokio::spawn(handle(server.wait().unwrap().1, work));
    tokio::task::yield_now().await;
    drop(dropped);
    assert!(!handler.await.unwrap());
    assert!(done.is_closed());
}

/// Before the reply nothing is decided, however often the caller polls.
#[test]
fn looking_does_not_change_what_there_is_to_see() {
    let (server, client): Ends = ump::channel();
    let mut future = client.request(7).timeout(LONG).into_future();
    assert!(poll_once(&mut future).is_pending());
    let (_, rctx) = server.wait().unwrap();
    for _ in 0..3 {
        assert!(poll_once(&mut future).is_pending());
        assert!(!rctx.is_cancelled());
        let text = format!("{rctx:?}");
        assert!(
            text.contains("cancelled: false") && text.contains("post: false"),
            "{text}"
        );
    }
    rctx.reply(reply()).unwrap();
    assert!(matches!(poll_once(&mut future), Poll::Ready(Ok(_))));
}
