//! Threads and tasks that wait for a message.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_core::Stream;
use ump_router::{RecvError, Router, ump::ManualClock};

use crate::{LONG, Number, block_on, counting_waker::CountingWaker, publish};

#[test]
fn a_waiting_thread_is_woken() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    let receiver = thread::spawn(move || {
        let received: Vec<_> = numbers
            .iter()
            .take(2)
            .map(|number| number.unwrap().0)
            .collect();
        (received, numbers.recv().wait())
    });
    publish(&router, "a", 1);
    block_on(router.publish("a", Number(2)).into_future()).unwrap();
    router.close();
    let (received, end) = receiver.join().unwrap();
    assert_eq!(
        (received, end.unwrap_err()),
        (vec![1, 2], RecvError::Closed)
    );
}

#[test]
fn a_waiting_task_is_woken_once() {
    let router = Router::new();
    let mut numbers = pin!(router.subscribe::<Number>("a").unwrap());
    let counting = Arc::new(CountingWaker::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut cx = Context::from_waker(&waker);
    assert!(numbers.as_mut().poll_next(&mut cx).is_pending());
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    assert_eq!(counting.wakes(), 1);
    for number in [1, 2] {
        let Poll::Ready(Some(Ok(received))) = numbers.as_mut().poll_next(&mut cx) else {
            panic!()
        };
        assert_eq!(received.0, number);
    }
    assert!(numbers.as_mut().poll_next(&mut cx).is_pending());
    router.close();
    assert_eq!(counting.wakes(), 2);
    assert!(matches!(
        numbers.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
    assert!(matches!(
        numbers.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
}

#[test]
fn receiving_times_out() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    assert!(
        numbers
            .recv()
            .wait_timeout(Duration::ZERO)
            .unwrap()
            .is_none()
    );
    let receiver = thread::spawn(move || {
        let first = numbers
            .recv()
            .wait_timeout(LONG)
            .unwrap()
            .map(|number| number.0);
        (
            first,
            numbers
                .recv()
                .wait_timeout(LONG)
                .unwrap()
                .map(|number| number.0),
        )
    });
    clock.wait_for_sleepers(1);
    publish(&router, "a", 1);
    clock.wait_for_sleepers(1);
    // The receiver may be between its two waits.
    while !receiver.is_finished() {
        clock.advance(LONG);
        thread::yield_now();
    }
    assert_eq!(receiver.join().unwrap(), (Some(1), None));
}
