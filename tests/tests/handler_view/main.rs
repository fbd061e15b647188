//! A handler's view of its caller, and the use of its context.

mod deadline;
mod detached;
mod leaving;

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

/// This is the intended use of `cancelled`.
#[tokio::test]
async fn work_can_race_against_cancellation() {
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
fn polling_and_checking_do_not_change_the_outcome() {
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
