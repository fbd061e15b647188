//! Tests of every future of the channel, for each scenario: polls without an event, changing
//! wakers, and the drop of a waiting future.

use super::*;

fn spurious_polls(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    for _ in 0..5 {
        assert!(poll_with(&mut future, &counter).is_pending());
    }
    assert_eq!(counter.wakes(), 0, "nothing has happened");
    event();
    assert_eq!(counter.wakes(), 1, "woken, and once only");
    assert!(poll_with(&mut future, &counter).is_ready());
    drop(future);
    assert_eq!(counter.wakers(), 0);
}

fn changing_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let (first, second, third) = (
        CountingWaker::new(),
        CountingWaker::new(),
        CountingWaker::new(),
    );
    assert!(poll_with(&mut future, &first).is_pending());
    assert!(poll_with(&mut future, &second).is_pending());
    assert_eq!(first.wakers(), 0, "replaced, so released");
    assert!(poll_with(&mut future, &third).is_pending());
    assert_eq!(second.wakers(), 0, "replaced, so released");
    assert!(third.wakers() > 0);
    event();
    assert_eq!((first.wakes(), second.wakes(), third.wakes()), (0, 0, 1));
    assert!(poll_with(&mut future, &first).is_ready());
    drop(future);
    assert_eq!(first.wakers() + second.wakers() + third.wakers(), 0);
}

fn many_wakers(mut future: Polled<'_>, event: Event<'_>) {
    let mut counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    let kept = counter.wakers();
    for _ in 0..10_000 {
        let before = std::mem::replace(&mut counter, CountingWaker::new());
        assert!(poll_with(&mut future, &counter).is_pending());
        assert_eq!(before.wakers(), 0);
        assert_eq!(
            counter.wakers(),
            kept,
            "no more after many polls than after one"
        );
    }
    event();
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut future, &counter).is_ready());
    drop(future);
    assert_eq!(counter.wakers(), 0);
}

fn dropped_while_waiting(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(counter.wakers() > 0);
    drop(future);
    assert_eq!(counter.wakers(), 0);
    drop(event);
    assert_eq!(counter.wakes(), 0);
}

/// The waker of a dropped task stays with the polled object, but not for longer.
fn dropped_with_what_it_polled(mut future: Polled<'_>, event: Event<'_>) {
    let counter = CountingWaker::new();
    assert!(poll_with(&mut future, &counter).is_pending());
    assert!(poll_with(&mut future, &counter).is_pending());
    drop(future);
    assert!(counter.wakers() <= 1);
    event();
    assert_eq!(counter.wakers(), 0);
}

macro_rules! every_future {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn spurious_polls_stay_pending_and_keep_the_wake_up() {
                super::scenarios::$name(&super::spurious_polls);
            }
            #[test]
            fn only_the_latest_waker_is_woken() {
                super::scenarios::$name(&super::changing_wakers);
            }
            #[test]
            fn ten_thousand_polls_with_fresh_wakers_keep_one() {
                super::scenarios::$name(&super::many_wakers);
            }
        }
    )*};
}

every_future! {
    request request_with_deadline request_without_room areq wait_reply wait_reply_with_deadline
    submit submit_with_deadline post urgent_post_with_deadline
    async_wait async_wait_for_the_last_client async_wait_many stream
    cancelled cancelled_with_deadline
    server_stream server_stream_for_the_last_client poll_wait gather
}

mod dropped_while_waiting {
    use super::{dropped_while_waiting as test, scenarios};

    macro_rules! releases_its_waker {
        ($($name:ident)*) => {$(
            #[test]
            fn $name() {
                scenarios::$name(&test);
            }
        )*};
    }

    releases_its_waker! {
        request request_with_deadline request_without_room areq wait_reply wait_reply_with_deadline
        submit submit_with_deadline post urgent_post_with_deadline
        async_wait async_wait_many stream cancelled cancelled_with_deadline
    }
}

mod dropped_while_waiting_its_waker_stays_until_the_next_event {
    use super::{dropped_with_what_it_polled as test, scenarios};

    #[test]
    fn server_stream() {
        scenarios::server_stream(&test);
    }

    #[test]
    fn poll_wait() {
        scenarios::poll_wait(&test);
    }

    #[test]
    fn gather() {
        scenarios::gather(&test);
    }
}
