//! A waiting task yields and polls again before it registers its waker, where that has paid off.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
};

use tests::{CountingWaker, LONG, poll_once, poll_with};
use ump::{Builder, Client, Error, Gather, Server, Spin};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

/// The number of waits that register before yielding is tried.
const FIRST: u32 = 16;
/// The largest number of polls before it registers.
const MANY: usize = 2_000;
/// The number of failures before yielding is no longer tried.
const MAX_FAILURES: u32 = 8_192;

/// A channel on which tasks have exchanged requests on this thread.
fn after_exchanges(spin: Spin) -> Ends {
    let (server, client) = Builder::new().spin(spin).build().unwrap();
    for n in 0..2 * FIRST {
        let mut taking = Box::pin(server.async_wait());
        assert!(poll_once(&mut taking).is_pending());
        let mut asking = Box::pin(client.areq(n));
        assert!(poll_once(&mut asking).is_pending());
        let Poll::Ready(Ok((_, rctx))) = poll_once(&mut taking) else {
            panic!("it has been asked")
        };
        rctx.reply(n + 1).unwrap();
        assert_eq!(poll_once(&mut asking), Poll::Ready(Ok(n + 1)));
    }
    (server, client)
}

#[test]
fn the_first_waits_register_at_once() {
    let (server, client) = ump::channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    for _ in 1..FIRST {
        let mut taking = Box::pin(server.async_wait());
        assert!(poll_with(&mut taking, &counter).is_pending());
        assert_eq!((counter.wakes(), counter.wakers()), (0, 1));
    }
    for n in 1..FIRST {
        let mut asking = Box::pin(client.areq(n));
        assert!(poll_with(&mut asking, &counter).is_pending());
        assert_eq!((counter.wakes(), counter.wakers()), (0, 1));
    }
}

#[test]
fn a_lone_receiver_rechecks_and_registers() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut taking = Box::pin(server.async_wait());
    assert!(poll_with(&mut taking, &counter).is_pending());
    assert_eq!((counter.wakes(), counter.wakers()), (1, 0), "to look again");
    assert!(poll_with(&mut taking, &counter).is_pending());
    assert_eq!(
        (counter.wakes(), counter.wakers()),
        (1, 1),
        "it has left word"
    );
    assert!(poll_with(&mut taking, &counter).is_pending());
    assert_eq!(
        (counter.wakes(), counter.wakers()),
        (1, 1),
        "and leaves it there"
    );
    client.post(1).wait().unwrap();
    assert_eq!(counter.wakes(), 2);
    assert!(poll_with(&mut taking, &counter).is_ready());
    assert_eq!(counter.wakers(), 0);
}

#[test]
fn a_lone_caller_rechecks_and_registers() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut asking = Box::pin(client.areq(1));
    assert!(poll_with(&mut asking, &counter).is_pending());
    assert_eq!((counter.wakes(), counter.wakers()), (1, 0), "to look again");
    assert!(poll_with(&mut asking, &counter).is_pending());
    assert_eq!(
        (counter.wakes(), counter.wakers()),
        (1, 1),
        "it has left word"
    );
    server.wait().unwrap().1.reply(2).unwrap();
    assert_eq!(counter.wakes(), 2);
    assert_eq!(poll_with(&mut asking, &counter), Poll::Ready(Ok(2)));
    assert_eq!(counter.wakers(), 0);
}

#[test]
fn a_request_meanwhile_is_found_without_a_wake_up() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let [server_bell, client_bell] = [CountingWaker::new(), CountingWaker::new()];
    let mut taking = Box::pin(server.async_wait());
    assert!(poll_with(&mut taking, &server_bell).is_pending());
    let mut asking = Box::pin(client.areq(1));
    assert!(poll_with(&mut asking, &client_bell).is_pending());
    let Poll::Ready(Ok((1, rctx))) = poll_with(&mut taking, &server_bell) else {
        panic!("it has been asked")
    };
    rctx.reply(2).unwrap();
    assert_eq!(poll_with(&mut asking, &client_bell), Poll::Ready(Ok(2)));
    // Each end has its own wake-up.
    assert_eq!([server_bell.wakes(), client_bell.wakes()], [1, 1]);
}

#[test]
fn a_reply_awaited_alone_is_rechecked() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut reply = client.req_async(1).unwrap();
    assert!(poll_with(&mut reply, &counter).is_pending());
    assert_eq!((counter.wakes(), counter.wakers()), (1, 0));
    server.wait().unwrap().1.reply(2).unwrap();
    assert_eq!(counter.wakes(), 1, "nobody is to be woken");
    assert_eq!(poll_with(&mut reply, &counter), Poll::Ready(Ok(2)));
}

#[test]
fn a_future_dropped_while_yielding_takes_nothing() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let mut leaving = Box::pin(server.async_wait());
    assert!(poll_once(&mut leaving).is_pending());
    let counter = CountingWaker::new();
    let mut staying = Box::pin(server.async_wait());
    while counter.wakers() == 0 {
        assert!(poll_with(&mut staying, &counter).is_pending());
    }
    let wakes = counter.wakes();
    drop(leaving);
    let reply = client.req_async(1).unwrap();
    assert_eq!(counter.wakes(), wakes + 1);
    assert!(poll_with(&mut staying, &counter).is_ready());
    drop(reply);

    let mut leaving = Box::pin(client.areq(2));
    assert!(poll_once(&mut leaving).is_pending());
    drop(leaving);
    assert!(server.try_pop().unwrap().is_none(), "it was cancelled");
}

#[test]
fn gathered_replies_come_in_order_of_arrival() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let mut gather = Gather::new();
    for n in 0..3 {
        gather.push(n, client.req_async(n).unwrap());
    }
    let mut jobs = Vec::new();
    server.wait_many(&mut jobs, 3).unwrap();
    for (n, rctx) in jobs.into_iter().rev() {
        rctx.reply(n).unwrap();
    }
    for n in (0..3).rev() {
        assert_eq!(gather.try_next(), Some((n, Ok(n))));
    }
    assert!(gather.is_empty());
}

#[test]
fn two_yielding_receivers_register_in_the_end() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let mut receivers = [Box::pin(server.async_wait()), Box::pin(server.async_wait())];
    let mut polls = 0;
    while counters.iter().any(|counter| counter.wakers() == 0) {
        for (receiver, counter) in receivers.iter_mut().zip(&counters) {
            assert!(poll_with(receiver, counter).is_pending());
        }
        polls += 1;
        assert!(polls < MANY, "for ever");
    }
    assert!(polls > 10, "it is no company if one gives up at once");
    let wakes = counters.each_ref().map(|counter| counter.wakes());
    client.post(1).wait().unwrap();
    assert_eq!(
        counters[0].wakes() + counters[1].wakes(),
        wakes[0] + wakes[1] + 1
    );
}

#[test]
fn a_future_moved_to_another_thread_registers() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut asking = Box::pin(client.areq(1));
    assert!(poll_with(&mut asking, &counter).is_pending());
    assert_eq!(counter.wakers(), 0);
    thread::scope(|scope| {
        scope.spawn(|| assert!(poll_with(&mut asking, &counter).is_pending()));
    });
    assert_eq!((counter.wakes(), counter.wakers()), (1, 1));
    server.wait().unwrap().1.reply(2).unwrap();
    assert_eq!(counter.wakes(), 2);
}

#[test]
fn without_spinning_a_task_never_wakes_itself() {
    let (server, client) = after_exchanges(Spin::Never);
    let counter = CountingWaker::new();
    for n in 0..FIRST {
        let mut taking = Box::pin(server.async_wait());
        assert!(poll_with(&mut taking, &counter).is_pending());
        drop(taking);
        let mut asking = Box::pin(client.areq(n));
        assert!(poll_with(&mut asking, &counter).is_pending());
    }
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn a_request_of_a_loop_registers_at_once() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut asking = std::future::IntoFuture::into_future(client.request(1));
    ump::internal::register_at_once(&mut asking);
    for _ in 0..2 {
        assert!(poll_with(&mut asking, &counter).is_pending());
        assert_eq!((counter.wakes(), counter.wakers()), (0, 1));
    }
    let (n, rctx) = server.try_pop().unwrap().unwrap();
    rctx.reply(n + 1).unwrap();
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll_with(&mut asking, &counter), Poll::Ready(Ok(2)));
}

#[test]
fn a_future_with_a_deadline_registers_at_once() {
    let (_server, client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    let mut asking = Box::pin(std::future::IntoFuture::into_future(
        client.request(1).timeout(LONG),
    ));
    assert!(poll_with(&mut asking, &counter).is_pending());
    assert_eq!(counter.wakes(), 0);
    assert!(counter.wakers() > 0);
}

#[test]
fn an_end_before_the_poll_is_found() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    drop(client);
    let mut taking = Box::pin(server.async_wait());
    let Poll::Ready(Err(Error::ClientsDisappeared)) = poll_once(&mut taking) else {
        panic!("nobody is left")
    };

    let (server, client) = after_exchanges(Spin::Adaptive);
    drop(server);
    let mut asking = Box::pin(client.areq(1));
    assert_eq!(
        poll_once(&mut asking),
        Poll::Ready(Err(Error::ServerDisappeared))
    );
}

#[test]
fn an_end_during_a_yield_is_found() {
    let (server, client) = after_exchanges(Spin::Adaptive);
    let mut taking = Box::pin(server.async_wait());
    assert!(poll_once(&mut taking).is_pending());
    drop(client);
    let Poll::Ready(Err(Error::ClientsDisappeared)) = poll_once(&mut taking) else {
        panic!("nobody is left")
    };

    let (server, client) = after_exchanges(Spin::Adaptive);
    let mut asking = Box::pin(client.areq(1));
    assert!(poll_once(&mut asking).is_pending());
    drop(server);
    assert_eq!(
        poll_once(&mut asking),
        Poll::Ready(Err(Error::ServerDisappeared))
    );
}

#[test]
fn yielding_in_vain_is_given_up() {
    let (server, _client) = after_exchanges(Spin::Adaptive);
    let counter = CountingWaker::new();
    for _ in 0..2 * MAX_FAILURES {
        let mut taking = Box::pin(server.async_wait());
        assert!(poll_with(&mut taking, &counter).is_pending());
        assert!(poll_with(&mut taking, &counter).is_pending());
    }
    let wakes = counter.wakes();
    assert!(wakes <= MAX_FAILURES as usize, "{wakes}");
    let mut taking = Box::pin(server.async_wait());
    assert!(poll_with(&mut taking, &counter).is_pending());
    assert_eq!((counter.wakes(), counter.wakers()), (wakes, 1));
}

#[test]
fn a_panicking_waker_does_not_stop_the_wait() {
    struct PanickingWaker;
    impl Wake for PanickingWaker {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let (server, client) = after_exchanges(Spin::Adaptive);
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut cx = Context::from_waker(&waker);
    let mut taking = Box::pin(server.async_wait());
    assert!(taking.as_mut().poll(&mut cx).is_pending());
    let mut asking = Box::pin(client.areq(1));
    assert!(asking.as_mut().poll(&mut cx).is_pending());
    let Poll::Ready(Ok((1, rctx))) = taking.as_mut().poll(&mut cx) else {
        panic!("it has been asked")
    };
    rctx.reply(2).unwrap();
    assert_eq!(asking.as_mut().poll(&mut cx), Poll::Ready(Ok(2)));
}
