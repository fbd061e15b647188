//! The deadline passes, noticed by the caller or not.

use super::*;

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
