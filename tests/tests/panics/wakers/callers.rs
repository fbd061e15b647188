//! Callers and handlers whose wakers panic.

use super::*;

#[test]
fn a_panicking_caller_does_not_hide_the_end() {
    let (server, client): Ends = channel();
    let messages = DropCounter::default();
    let counter = CountingWaker::new();
    let mut first = client.req_async(messages.value()).unwrap();
    assert!(poll_by(&mut first, &panicking_waker()).is_pending());
    let mut second = client.req_async(messages.value()).unwrap();
    assert!(poll_with(&mut second, &counter).is_pending());
    let _ = caught(|| drop(server));
    assert_eq!(counter.wakes(), 1, "another caller was forgotten");
    assert!(matches!(
        poll_once(&mut first),
        Poll::Ready(Err(Error::ServerDisappeared))
    ));
    assert!(matches!(
        poll_with(&mut second, &counter),
        Poll::Ready(Err(Error::ServerDisappeared))
    ));
    drop((first, second));
    assert_settled(client.stats(), &messages, &DropCounter::default());
}

#[test]
fn a_panicking_expired_caller_loses_no_other_request() {
    let (server, client): Ends = channel();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let at = Instant::now() + Duration::from_millis(50);
    let mut late: Vec<_> = (0..3)
        .map(|_| {
            client
                .request(messages.value())
                .deadline(at)
                .submit()
                .wait()
                .unwrap()
        })
        .collect();
    for reply in &mut late {
        let _ = poll_by(reply, &panicking_waker());
    }
    let live = client.req_async(messages.value()).unwrap();
    eventually(|| Instant::now() > at);
    answer_all(&server, &replies);
    assert!(late.iter().all(WaitReply::is_ready));
    assert!(live.is_ready(), "a request was lost in silence");
    drop((late, live));
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_panicking_caller_keeps_its_reply() {
    let (server, client): Ends = channel();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let mut reply = client.req_async(messages.value()).unwrap();
    assert!(poll_by(&mut reply, &panicking_waker()).is_pending());
    let (message, rctx) = server.wait().unwrap();
    drop(message);
    let _ = caught(|| rctx.reply(replies.value()));
    let Poll::Ready(Ok(value)) = poll_once(&mut reply) else {
        panic!("it was answered");
    };
    assert_eq!(replies.dropped(), 0);
    drop((value, reply));
    assert_eq!(client.stats().replied, 1);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_panicking_handler_does_not_keep_its_caller() {
    let (server, client): Ends = channel();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let reply = client.req_async(messages.value()).unwrap();
    let (message, mut rctx) = server.wait().unwrap();
    drop(message);
    {
        let mut cancelled = rctx.cancelled();
        assert!(poll_by(&mut cancelled, &panicking_waker()).is_pending());
        let _ = caught(|| drop(reply));
        assert!(poll_once(&mut cancelled).is_ready());
    }
    assert!(rctx.is_cancelled());
    assert!(rctx.answer(Ok(replies.value())).is_err());
    assert_eq!(client.stats().cancelled_taken, 1);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_panicking_task_does_not_stop_other_timers() {
    let (_server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let at = Instant::now() + Duration::from_millis(10);
    let mut first = Box::pin(client.request(1).deadline(at).into_future());
    let mut second = Box::pin(client.request(2).deadline(at).into_future());
    let mut third = Box::pin(client.request(3).deadline(at).into_future());
    let _ = poll_by(&mut first, &panicking_waker());
    let waits = poll_with(&mut second, &counter).is_pending();
    let _ = poll_by(&mut third, &panicking_waker());
    eventually(|| !waits || counter.wakes() > 0);
    drop((first, third));
    let later = Instant::now() + Duration::from_millis(10);
    let outcome = block_on(client.request(4).deadline(later));
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(4))));
}

#[test]
fn a_panicking_gather_loses_no_outcome() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather: Gather<_, _, _> = (0..3).map(|n| (n, client.req_async(n).unwrap())).collect();
    assert!(poll_by(&mut next(&mut gather), &panicking_waker()).is_pending());
    while let Some((n, rctx)) = server.try_pop().unwrap() {
        let _ = caught(|| rctx.reply(n + 1));
    }
    for n in 0..3 {
        assert_eq!(gather.wait(), Some((n, Ok(n + 1))));
    }
}
