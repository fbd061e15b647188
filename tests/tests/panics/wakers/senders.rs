//! Senders that wait for room with wakers that panic.

use super::*;

/// Takes by `take` from a full queue for whose room a sender waits with a waker that panics.
fn taken_with_a_panicking_sender<T>(
    take: impl FnOnce(&Server<Counted, Counted, ()>) -> T + Send + 'static,
    answer: impl FnOnce(T, &DropCounter) + Send + 'static,
) {
    must_end(|| {
        let (server, client): Ends = bounded(2).unwrap();
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let first = client.req_async(messages.value()).unwrap();
        let second = client.req_async(messages.value()).unwrap();
        let mut sending = Box::pin(client.request(messages.value()).into_future());
        assert!(poll_by(&mut sending, &panicking_waker()).is_pending());
        if let Ok(taken) = caught(|| take(&server)) {
            answer(taken, &replies);
        }
        answer_all(&server, &replies);
        assert!(first.is_ready(), "a request was lost in silence");
        assert!(second.is_ready(), "a request was lost in silence");
        // The sender continues when it is polled.
        assert!(poll_once(&mut sending).is_pending());
        answer_all(&server, &replies);
        assert!(poll_once(&mut sending).is_ready());
        drop((first, second, sending));
        assert_settled(client.stats(), &messages, &replies);
    });
}

#[test]
fn a_sender_woken_by_try_pop_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| server.try_pop().unwrap().unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn a_sender_woken_by_wait_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| server.wait().unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn a_sender_woken_by_async_wait_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| block_on(server.async_wait()).unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn a_sender_woken_by_wait_many_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| {
            let mut batch = Vec::new();
            server.wait_many(&mut batch, 8).unwrap();
            batch
        },
        |batch, replies| {
            for (_, rctx) in batch {
                rctx.reply(replies.value()).unwrap();
            }
        },
    );
}

#[test]
fn a_sender_woken_by_a_withdrawal_leaks_nothing() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let queued = client.req_async(messages.value()).unwrap();
    let mut sending = Box::pin(client.request(messages.value()).into_future());
    assert!(poll_by(&mut sending, &panicking_waker()).is_pending());
    let _ = caught(|| drop(queued));
    assert_eq!(messages.dropped(), 1);
    assert_eq!(client.stats().cancelled_queued, 1);
    assert!(poll_once(&mut sending).is_pending());
    answer_all(&server, &replies);
    assert!(poll_once(&mut sending).is_ready());
    drop(sending);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_sender_woken_by_a_timeout_leaks_nothing() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let queued = client
        .request(messages.value())
        .timeout(Duration::from_millis(50))
        .submit()
        .wait()
        .unwrap();
    let mut sending = Box::pin(client.request(messages.value()).into_future());
    assert!(poll_by(&mut sending, &panicking_waker()).is_pending());
    let _ = caught(|| drop(queued.wait()));
    assert_eq!(messages.dropped(), 1);
    assert_eq!(client.stats().timeout_queued, 1);
    assert!(poll_once(&mut sending).is_pending());
    answer_all(&server, &replies);
    assert!(poll_once(&mut sending).is_ready());
    drop(sending);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_panicking_sender_keeps_the_order_of_room() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    client.post(messages.value()).wait().unwrap();
    let mut a = Box::pin(client.post(messages.value()).into_future());
    let mut b = Box::pin(client.post(messages.value()).into_future());
    let mut c = Box::pin(client.post(messages.value()).into_future());
    let counter = CountingWaker::new();
    assert!(poll_once(&mut a).is_pending());
    assert!(poll_by(&mut b, &panicking_waker()).is_pending());
    assert!(poll_with(&mut c, &counter).is_pending());
    answer_all(&server, &replies);
    let _ = caught(|| drop(a));
    drop(b);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut c, &counter).is_ready());
    drop(c);
    answer_all(&server, &replies);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn a_panicking_sender_does_not_hide_the_end() {
    let (server, client): Ends = bounded(1).unwrap();
    let messages = DropCounter::default();
    let queued = client.req_async(messages.value()).unwrap();
    let counter = CountingWaker::new();
    let mut sending = Box::pin(client.post(messages.value()).into_future());
    assert!(poll_by(&mut sending, &panicking_waker()).is_pending());
    let mut other = Box::pin(client.post(messages.value()).into_future());
    assert!(poll_with(&mut other, &counter).is_pending());
    let _ = caught(|| drop(server));
    assert_eq!(counter.wakes(), 1, "another sender was forgotten");
    assert!(queued.is_ready(), "a queued request was forgotten");
    drop((queued, sending, other));
    assert_settled(client.stats(), &messages, &DropCounter::default());
}
