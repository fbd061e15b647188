//! Waiting for the first of several events, as a thread and as a task.

use std::{
    future::{IntoFuture, pending},
    pin::pin,
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::Duration,
};

use ump_router::{
    Call, Received, RecvError, RequestMessage, Router, Subscription, ump,
    ump::{Clock, ManualClock, ReplyContext},
};

use crate::{LONG, Number, block_on, counting_waker::poll_once, drain, publish};

#[derive(Debug)]
struct Double(u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = ();
    const PREFIX: &'static str = "double";
}

#[derive(Debug)]
enum Event {
    Number(u64),
    Call(u64, ReplyContext<u64, ()>),
    Reply(u64),
    End,
}

fn number(received: Result<Received<Number>, RecvError>) -> Event {
    received.map_or(Event::End, |number| Event::Number(number.0))
}

fn call(received: Result<(Call<Double>, ReplyContext<u64, ()>), ump::Error<()>>) -> Event {
    received.map_or(Event::End, |(call, rctx)| Event::Call(call.message.0, rctx))
}

fn numbers<const N: usize>(router: &Router, topics: [&str; N]) -> [Subscription<Number>; N] {
    topics.map(|topic| router.subscribe(topic).unwrap())
}

#[test]
fn a_thread_waits_for_subscriptions_and_a_server() {
    let router = Router::new();
    let [mut one, mut two] = numbers(&router, ["a", "b"]);
    let server = router.serve::<Double>("c").unwrap();
    let (seen, log) = mpsc::channel();
    let selecting = {
        let router = router.clone();
        thread::spawn(move || {
            let mut select = router.select();
            let (mut one_is_open, mut two_is_open, mut server_is_open) = (true, true, true);
            while one_is_open || two_is_open || server_is_open {
                let event = select
                    .on_if(one_is_open, one.recv(), |it| (1, number(it)))
                    .on_if(two_is_open, two.recv(), |it| (2, number(it)))
                    .on_if(server_is_open, pin!(server.async_wait()), |it| {
                        (3, call(it))
                    })
                    .wait();
                match event {
                    (from, Event::Number(number)) => seen.send((from, number)).unwrap(),
                    (_, Event::Call(number, rctx)) => rctx.reply(2 * number).unwrap(),
                    (1, _) => one_is_open = false,
                    (2, _) => two_is_open = false,
                    (_, _) => server_is_open = false,
                }
            }
        })
    };
    publish(&router, "a", 1);
    assert_eq!(log.recv_timeout(LONG), Ok((1, 1)));
    publish(&router, "b", 2);
    assert_eq!(log.recv_timeout(LONG), Ok((2, 2)));
    let request = router.request("c", Double(4));
    assert_eq!(block_on(request.into_future()).unwrap(), 8);
    router.close();
    selecting.join().unwrap();
}

#[test]
fn a_task_waits_for_the_first_of_several() {
    let router = Router::new();
    let [mut one, mut two] = numbers(&router, ["a", "b"]);
    let server = router.serve::<Double>("c").unwrap();
    let mut select = router.select();
    let waker = Arc::default();
    {
        let first = select
            .on(one.recv(), number)
            .on(two.recv(), number)
            .on_request(&server, call);
        let mut first = Box::pin(first.into_future());
        assert!(poll_once(first.as_mut(), &waker).is_pending());
        publish(&router, "b", 1);
        assert_eq!(waker.wakes(), 1);
        let event = poll_once(first.as_mut(), &waker);
        assert!(matches!(event, Poll::Ready(Event::Number(1))), "{event:?}");
    }
    // Those that did not come first leave no waker behind.
    assert_eq!(Arc::strong_count(&waker), 1);
    let request = router.request("c", Double(3));
    let mut request = pin!(request.into_future());
    assert!(poll_once(request.as_mut(), &waker).is_pending());
    let event = block_on(
        select
            .on_request(&server, call)
            .on(one.recv(), number)
            .into_future(),
    );
    let Event::Call(3, rctx) = event else {
        panic!("{event:?}")
    };
    rctx.reply(6).unwrap();
    // A request can be waited for, too; it is made only once it is polled.
    let event = select
        .on(request, |reply| Event::Reply(reply.unwrap()))
        .on(two.recv(), number)
        .wait();
    assert!(matches!(event, Event::Reply(6)), "{event:?}");
}

#[test]
fn every_event_gets_its_turn() {
    let router = Router::new();
    let [mut one, mut two, mut three] = numbers(&router, ["a", "b", "c"]);
    for number in 0..9 {
        for topic in ["a", "b", "c"] {
            publish(&router, topic, number);
        }
    }
    let mut select = router.select();
    for _ in 0..6 {
        select
            .on(one.recv(), drop)
            .on(two.recv(), drop)
            .on(three.recv(), drop)
            .wait();
    }
    assert_eq!([&one, &two, &three].map(Subscription::len), [7, 7, 7]);
}

#[test]
fn events_that_do_not_come_first_are_kept() {
    let router = Router::new();
    let [mut one, mut two] = numbers(&router, ["a", "b"]);
    publish(&router, "a", 1);
    publish(&router, "b", 2);
    let mut select = router.select();
    let first = select.on(one.recv(), number).on(two.recv(), number).wait();
    let rest = [drain(&mut one), drain(&mut two)].concat();
    match first {
        Event::Number(1) => assert_eq!(rest, ["2"]),
        Event::Number(2) => assert_eq!(rest, ["1"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_kept_by_reference_and_cancelled_by_value() {
    let router = Router::new();
    let [mut one] = numbers(&router, ["a"]);
    let server = router.serve::<Double>("c").unwrap();
    let mut select = router.select();
    let mut request = router.request("c", Double(4)).into_future();
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    let mut replies = 0;
    // The message or the request comes first; the request is polled once in two turns at least.
    for _ in 0..2 {
        let event = select
            .on(&mut request, |reply| Event::Reply(reply.unwrap()))
            .on(one.recv(), number)
            .wait();
        replies += usize::from(matches!(event, Event::Reply(_)));
    }
    assert_eq!((replies, one.len(), server.len()), (0, 0, 1));
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    rctx.reply(8).unwrap();
    let event = select
        .on(&mut request, |reply| Event::Reply(reply.unwrap()))
        .on(one.recv(), number)
        .wait();
    assert!(matches!(event, Event::Reply(8)), "{event:?}");

    for _ in 0..2 {
        publish(&router, "a", 3);
        let request = router.request("c", Double(5));
        let event = select
            .on(request, |reply| Event::Reply(reply.unwrap()))
            .on(one.recv(), number)
            .wait();
        assert!(matches!(event, Event::Number(3)), "{event:?}");
    }
    assert!(server.is_empty(), "those that were sent are revoked");
}

#[test]
fn a_wait_for_events_has_a_limit() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let [mut one] = numbers(&router, ["a"]);
    let mut select = router.select();
    let now = clock.clock().now();
    assert!(select.on(one.recv(), number).wait_deadline(now).is_none());
    assert!(
        select
            .on(one.recv(), number)
            .wait_timeout(Duration::ZERO)
            .is_none()
    );
    publish(&router, "a", 1);
    let late = select.on(one.recv(), number).wait_deadline(now);
    assert!(matches!(late, Some(Event::Number(1))));
    // No event is enabled, but the time is limited.
    let none = select.on_if(false, one.recv(), number).wait_deadline(now);
    assert!(none.is_none());
    // Any future will do.
    let mut select = Router::with_clock(Clock::system()).select();
    let never = pin!(pending::<()>());
    let never = select.on(never, |()| Event::End);
    assert!(never.wait_timeout(Duration::from_millis(1)).is_none());
}

#[test]
#[should_panic(expected = "without an enabled event")]
fn a_wait_for_nothing_panics() {
    let router = Router::new();
    let [mut one] = numbers(&router, ["a"]);
    router.select().on_if(false, one.recv(), number).wait();
}
