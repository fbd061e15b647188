use super::*;

/// Drop counters of messages and replies, and the ends of a channel for them.
type Ends = (Server<Counted, Counted, ()>, Client<Counted, Counted, ()>);

/// Answers queued requests until it is dropped.
struct Answerer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Answerer {
    fn of(server: &Arc<Server<Counted, Counted, ()>>, replies: &DropCounter) -> Self {
        let (server, replies) = (Arc::clone(server), replies.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let failure = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !failure.load(Ordering::SeqCst) {
                answer_all(&server, &replies);
                thread::yield_now();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer_all(server: &Server<Counted, Counted, ()>, replies: &DropCounter) {
    loop {
        // A panicking waker may unwind the first check.
        match caught(|| server.try_pop()) {
            Ok(Ok(Some((_, rctx)))) => drop(rctx.reply(replies.value())),
            Ok(_) => return,
            Err(_) => {}
        }
    }
}

/// Checks that all requests have ended and all values were dropped once.
#[track_caller]
fn assert_settled(stats: Stats, messages: &DropCounter, replies: &DropCounter) {
    assert_quiet(stats);
    assert_eq!(messages.dropped(), messages.created(), "messages");
    assert_eq!(replies.dropped(), replies.created(), "replies");
}

/// Sends by `send` to a server that waits with a waker that panics.
fn sent_to_a_panicking_waker(
    send: impl FnOnce(&Client<Counted, Counted, ()>, Counted) + Send + 'static,
) {
    must_end(|| {
        let (server, client): Ends = channel();
        let server = Arc::new(server);
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_by(&mut receiving, &bomb()).is_pending());
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
fn of_a_receiver_woken_by_req_leaves_nothing_behind() {
    sent_to_a_panicking_waker(|client, message| drop(client.req(message)));
}

#[test]
fn of_a_receiver_woken_by_a_deadline_request_is_clean() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.request(message).timeout(LONG).wait());
    });
}

#[test]
fn of_a_receiver_woken_by_areq_leaves_nothing_behind() {
    sent_to_a_panicking_waker(|client, message| drop(block_on(client.areq(message))));
}

#[test]
fn of_a_receiver_woken_by_req_async_is_clean() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.req_async(message).unwrap().wait());
    });
}

#[test]
fn of_a_receiver_woken_by_submit_is_clean() {
    sent_to_a_panicking_waker(|client, message| {
        drop(client.request(message).submit().wait().unwrap().wait());
    });
}

#[test]
fn of_a_receiver_woken_by_an_awaited_submit_is_clean() {
    sent_to_a_panicking_waker(|client, message| {
        drop(block_on(client.request(message).submit()));
    });
}

#[test]
fn of_a_receiver_woken_by_post_leaves_nothing_behind() {
    sent_to_a_panicking_waker(|client, message| drop(client.post(message).wait()));
}

#[test]
fn of_a_receiver_woken_by_an_awaited_post_is_clean() {
    sent_to_a_panicking_waker(|client, message| drop(block_on(client.post(message))));
}

/// A caller that unwinds must not free the slot of its request while the handler has it.
#[test]
fn of_a_receiver_does_not_free_the_handlers_slot() {
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
        assert!(poll_by(&mut sending, &bomb()).is_pending());
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
fn of_a_sender_woken_by_try_pop_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| server.try_pop().unwrap().unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn of_a_sender_woken_by_wait_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| server.wait().unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn of_a_sender_woken_by_async_wait_loses_no_request() {
    taken_with_a_panicking_sender(
        |server| block_on(server.async_wait()).unwrap(),
        |(_, rctx), replies| rctx.reply(replies.value()).unwrap(),
    );
}

#[test]
fn of_a_sender_woken_by_wait_many_loses_no_request() {
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
fn of_a_sender_woken_by_a_withdrawal_leaks_nothing() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let queued = client.req_async(messages.value()).unwrap();
    let mut sending = Box::pin(client.request(messages.value()).into_future());
    assert!(poll_by(&mut sending, &bomb()).is_pending());
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
fn of_a_sender_woken_by_a_timeout_leaks_nothing() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let queued = client
        .request(messages.value())
        .timeout(Duration::from_millis(50))
        .submit()
        .wait()
        .unwrap();
    let mut sending = Box::pin(client.request(messages.value()).into_future());
    assert!(poll_by(&mut sending, &bomb()).is_pending());
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
fn of_a_sender_passing_room_on_keeps_the_order() {
    let (server, client): Ends = bounded(1).unwrap();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    client.post(messages.value()).wait().unwrap();
    let mut a = Box::pin(client.post(messages.value()).into_future());
    let mut b = Box::pin(client.post(messages.value()).into_future());
    let mut c = Box::pin(client.post(messages.value()).into_future());
    let counter = CountingWaker::new();
    assert!(poll_once(&mut a).is_pending());
    assert!(poll_by(&mut b, &bomb()).is_pending());
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
fn of_a_receiver_passing_a_wake_up_keeps_the_order() {
    let (server, client): Ends = channel();
    let messages = DropCounter::default();
    let counter = CountingWaker::new();
    let mut a = Box::pin(server.async_wait());
    let mut b = Box::pin(server.async_wait());
    let mut c = Box::pin(server.async_wait());
    assert!(poll_once(&mut a).is_pending());
    assert!(poll_by(&mut b, &bomb()).is_pending());
    assert!(poll_with(&mut c, &counter).is_pending());
    client.post(messages.value()).wait().unwrap();
    let _ = caught(|| drop(a));
    drop(b);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut c, &counter).is_ready());
    assert_settled(client.stats(), &messages, &DropCounter::default());
}

#[test]
fn of_one_receiver_does_not_keep_the_poller_asleep() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_by(&mut receiving, &bomb()).is_pending());
    let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
    assert!(poll_with(&mut polling, &counter).is_pending());
    let _ = caught(|| client.post(1).wait());
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut polling, &counter).is_ready());
}

#[test]
fn of_one_receiver_does_not_hide_the_end_from_others() {
    let (server, client) = channel::<u32, u32, ()>();
    let counters = [
        CountingWaker::new(),
        CountingWaker::new(),
        CountingWaker::new(),
    ];
    let mut receiving = Box::pin(server.async_wait());
    assert!(poll_by(&mut receiving, &bomb()).is_pending());
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

#[test]
fn of_one_sender_does_not_hide_the_end_from_others() {
    let (server, client): Ends = bounded(1).unwrap();
    let messages = DropCounter::default();
    let queued = client.req_async(messages.value()).unwrap();
    let counter = CountingWaker::new();
    let mut sending = Box::pin(client.post(messages.value()).into_future());
    assert!(poll_by(&mut sending, &bomb()).is_pending());
    let mut other = Box::pin(client.post(messages.value()).into_future());
    assert!(poll_with(&mut other, &counter).is_pending());
    let _ = caught(|| drop(server));
    assert_eq!(counter.wakes(), 1, "another sender was forgotten");
    assert!(queued.is_ready(), "a queued request was forgotten");
    drop((queued, sending, other));
    assert_settled(client.stats(), &messages, &DropCounter::default());
}

#[test]
fn of_one_caller_does_not_hide_the_end_from_others() {
    let (server, client): Ends = channel();
    let messages = DropCounter::default();
    let counter = CountingWaker::new();
    let mut first = client.req_async(messages.value()).unwrap();
    assert!(poll_by(&mut first, &bomb()).is_pending());
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
fn of_an_expired_caller_loses_no_other_request() {
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
        let _ = poll_by(reply, &bomb());
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
fn of_a_caller_does_not_take_its_reply_away() {
    let (server, client): Ends = channel();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let mut reply = client.req_async(messages.value()).unwrap();
    assert!(poll_by(&mut reply, &bomb()).is_pending());
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
fn of_a_handler_does_not_keep_its_caller() {
    let (server, client): Ends = channel();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    let reply = client.req_async(messages.value()).unwrap();
    let (message, mut rctx) = server.wait().unwrap();
    drop(message);
    {
        let mut cancelled = rctx.cancelled();
        assert!(poll_by(&mut cancelled, &bomb()).is_pending());
        let _ = caught(|| drop(reply));
        assert!(poll_once(&mut cancelled).is_ready());
    }
    assert!(rctx.is_cancelled());
    assert!(rctx.answer(Ok(replies.value())).is_err());
    assert_eq!(client.stats().cancelled_taken, 1);
    assert_settled(client.stats(), &messages, &replies);
}

#[test]
fn of_one_task_does_not_stop_other_timers() {
    let (_server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let at = Instant::now() + Duration::from_millis(10);
    let mut first = Box::pin(client.request(1).deadline(at).into_future());
    let mut second = Box::pin(client.request(2).deadline(at).into_future());
    let mut third = Box::pin(client.request(3).deadline(at).into_future());
    let _ = poll_by(&mut first, &bomb());
    let waits = poll_with(&mut second, &counter).is_pending();
    let _ = poll_by(&mut third, &bomb());
    eventually(|| !waits || counter.wakes() > 0);
    drop((first, third));
    let later = Instant::now() + Duration::from_millis(10);
    let outcome = block_on(client.request(4).deadline(later));
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(4))));
}

#[test]
fn of_the_reader_of_a_gather_loses_no_outcome() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut gather: Gather<_, _, _> = (0..3).map(|n| (n, client.req_async(n).unwrap())).collect();
    assert!(poll_by(&mut next(&mut gather), &bomb()).is_pending());
    while let Some((n, rctx)) = server.try_pop().unwrap() {
        let _ = caught(|| rctx.reply(n + 1));
    }
    for n in 0..3 {
        assert_eq!(gather.wait(), Some((n, Ok(n + 1))));
    }
}

/// Two panics at once: revoking a request while unwinding would wake another waker that panics.
#[test]
fn two_panics_in_one_call_do_not_abort() {
    let name = "wakers::two_panics_in_one_call_do_not_abort";
    in_its_own_process(name, || {
        must_end(|| {
            let (server, client): Ends = bounded(1).unwrap();
            let server = Arc::new(server);
            let (messages, replies) = (DropCounter::default(), DropCounter::default());
            client.post(messages.value()).wait().unwrap();
            let mut quiet = Box::pin(client.post(messages.value()).into_future());
            let mut sending = Box::pin(client.post(messages.value()).into_future());
            assert!(poll_once(&mut quiet).is_pending());
            assert!(poll_by(&mut sending, &bomb()).is_pending());
            // The first sender is woken and does nothing; the second still waits though there is
            // room.
            answer_all(&server, &replies);
            let mut receiving = Box::pin(server.async_wait());
            assert!(poll_by(&mut receiving, &bomb()).is_pending());
            let answerer = Answerer::of(&server, &replies);
            let _ = caught(|| client.req(messages.value()));
            drop(answerer);
            drop((quiet, sending, receiving));
            assert_settled(client.stats(), &messages, &replies);
        });
    });
}

#[test]
fn whose_payload_panics_spares_other_timers() {
    let name = "wakers::whose_payload_panics_spares_other_timers";
    in_its_own_process(name, || {
        must_end(|| {
            let (_server, client) = channel::<u32, u32, ()>();
            let waker = Hook::on_wake(|| panic_any(PanicsAgain));
            let tiny = Duration::from_millis(50);
            let mut first = client.request(1).timeout(tiny).into_future();
            let _ = poll_by(&mut first, &waker);
            let outcome = block_on(client.request(2).timeout(2 * tiny));
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
            let outcome = block_on(client.request(3).timeout(tiny));
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(3))));
        });
    });
}

#[test]
fn whose_payload_panics_loses_no_request() {
    let name = "wakers::whose_payload_panics_loses_no_request";
    in_its_own_process(name, || {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let queued = client.req_async(messages.value()).unwrap();
        let waker = Hook::on_wake(|| panic_any(PanicsAgain));
        let mut sending = client.post(messages.value()).into_future();
        assert!(poll_by(&mut sending, &waker).is_pending());
        answer_all(&server, &replies);
        assert!(queued.is_ready(), "a request was lost in silence");
        assert!(poll_once(&mut sending).is_ready());
        answer_all(&server, &replies);
        drop((queued, sending));
        assert_settled(client.stats(), &messages, &replies);
    });
}
