//! Receivers whose wakers panic.

use super::*;

/// Sends by `send` to a server that waits with a waker that panics.
fn sent_to_a_panicking_waker(
    send: impl FnOnce(&Client<Counted, Counted, ()>, Counted) + Send + 'static,
) {
    must_end(|| {
        let (server, client): Ends = channel();
        let server = Arc::new(server);
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_by(&mut receiving, &panicking_waker()).is_pending());
        let answerer = Answerer::of(&server, &replies);
        let _ = caught(|| send(&client, messages.value()));
        drop(receiving);
        // The server continues.
        drop(client.req(messages.value()).unwrap());
        drop(answerer);
        answer_all(&server, &replies);
        drop(server);
        let stats = client.stats();
        drop(client);
        assert_settled(stats, &messages, &replies);
    });
}

#[test]
fn a_receiver_woken_by_req_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| drop(client.req(message)));
}

#[test]
fn a_receiver_woken_by_a_deadline_request_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.request(message).timeout(LONG).wait());
    });
}

#[test]
fn a_receiver_woken_by_areq_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| drop(block_on(client.areq(message))));
}

#[test]
fn a_receiver_woken_by_req_async_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.req_async(message).unwrap().wait());
    });
}

#[test]
fn a_receiver_woken_by_submit_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.request(message).submit().wait().unwrap().wait());
    });
}

#[test]
fn a_receiver_woken_by_an_awaited_submit_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| {
        drop(block_on(client.request(message).submit()));
    });
}

#[test]
fn a_receiver_woken_by_post_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| drop(client.post(message).wait()));
}

#[test]
fn a_receiver_woken_by_an_awaited_post_leaks_nothing() {
    sent_to_a_panicking_waker(|client, message| drop(block_on(client.post(message))));
}

/// A caller that unwinds must not free the slot of its request while the handler has it.
#[test]
fn a_panicking_receiver_does_not_free_the_handlers_slot() {
    must_end(|| {
        let (server, client): Ends = channel();
        let server = Arc::new(server);
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let (give, given) = mpsc::channel();
        let taker = Arc::downgrade(&server);
        let waker = Hook::on_wake(move || {
            let server = taker.upgrade().unwrap();
            give.send(server.try_pop().unwrap().unwrap()).unwrap();
            panic!("the waker is meant to panic");
        });
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_by(&mut receiving, &waker).is_pending());
        thread::scope(|scope| {
            let asking = scope.spawn(|| caught(|| client.req(messages.value())));
            let (message, rctx) = given.recv_timeout(LONG).unwrap();
            // Gives a caller that does not wait time to unwind.
            (0..1000).for_each(|_| thread::yield_now());
            assert!(!asking.is_finished());
            assert!(!rctx.is_cancelled());
            drop(message);
            rctx.reply(replies.value()).unwrap();
            let _ = asking.join().unwrap();
        });
        drop(receiving);
        assert_settled(client.stats(), &messages, &replies);
        assert_eq!(client.stats().replied, 1);
    });
}

#[test]
fn a_panicking_receiver_keeps_the_order_of_wake_ups() {
    let (server, client): Ends = channel();
    let messages = DropCounter::default();
    let counter = CountingWaker::new();
    let mut a = Box::pin(server.async_wait());
    let mut b = Box::pin(server.async_wait());
    let mut c = Box::pin(server.async_wait());
    assert!(poll_once(&mut a).is_pending());
    assert!(poll_by(&mut b, &panicking_waker()).is_pending());
    assert!(poll_with(&mut c, &counter).is_pending());
    client.post(messages.value()).wait().unwrap();
    let _ = caught(|| drop(a));
    drop(b);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut c, &counter).is_ready());
    assert_settled(client.stats(), &messages, &DropCounter::default());
}

#[test]
fn a_panicking_receiver_does_not_keep_the_poller_asleep() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_by(&mut receiving, &panicking_waker()).is_pending());
    let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
    assert!(poll_with(&mut polling, &counter).is_pending());
    let _ = caught(|| client.post(1).wait());
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut polling, &counter).is_ready());
}

#[test]
fn a_panicking_receiver_does_not_hide_the_end() {
    let (server, client) = channel::<u32, u32, ()>();
    let counters = [
        CountingWaker::new(),
        CountingWaker::new(),
        CountingWaker::new(),
    ];
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_by(&mut receiving, &panicking_waker()).is_pending());
    let mut others = [Box::pin(server.async_wait()), Box::pin(server.async_wait())];
    for (other, counter) in others.iter_mut().zip(&counters) {
        assert!(poll_with(other, counter).is_pending());
    }
    let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
    assert!(poll_with(&mut polling, &counters[2]).is_pending());
    let _ = caught(|| drop(client));
    assert_eq!(
        counters.each_ref().map(|counter| counter.wakes()),
        [1, 1, 1]
    );
}
