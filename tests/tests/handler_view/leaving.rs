//! The caller leaves.

use super::*;

fn the_handler_sees_its_caller_leave<B: Begin>() {
    taken::<B>(|begun, rctx| {
        assert!(!rctx.is_cancelled());
        drop(begun);
        assert!(rctx.is_cancelled());
    });
}

fn the_answer_comes_back_if_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.answer(Ok(reply())), Err(Ok(reply())));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.answer(Err(reply())), Err(Err(reply())));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.reply(reply()), Err(Error::OriginDisappeared));
    });
    taken::<B>(|begun, rctx| {
        drop(begun);
        assert_eq!(rctx.fail(reply()), Err(Error::OriginDisappeared));
    });
}

fn cancelled_resolves_once_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let counter = CountingWaker::new();
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &counter).is_pending());
        assert_eq!(counter.wakes(), 0);
        drop(begun);
        assert_eq!(counter.wakes(), 1);
        assert!(poll_with(&mut cancelled, &counter).is_ready());
        drop(cancelled);
        assert_eq!(counter.wakers(), 0);
        // From now on the context stays cancelled.
        assert!(poll_once(&mut rctx.cancelled()).is_ready());
    });
}

fn cancelled_can_be_dropped_and_called_again<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let (first, second) = (CountingWaker::new(), CountingWaker::new());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &first).is_pending());
        drop(cancelled);
        assert_eq!(first.wakers(), 0);
        assert!(!rctx.is_cancelled());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &second).is_pending());
        drop(begun);
        assert_eq!((first.wakes(), second.wakes()), (0, 1));
        assert!(poll_once(&mut cancelled).is_ready());
    });
}

fn the_task_that_polled_cancelled_last_is_woken<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let (first, last) = (CountingWaker::new(), CountingWaker::new());
        let mut cancelled = rctx.cancelled();
        assert!(poll_with(&mut cancelled, &first).is_pending());
        assert!(poll_with(&mut cancelled, &last).is_pending());
        assert_eq!(first.wakers(), 0);
        drop(begun);
        assert_eq!((first.wakes(), last.wakes()), (0, 1));
    });
}

fn no_task_is_woken_if_the_handler_replies_first<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let counter = CountingWaker::new();
        assert!(poll_with(&mut rctx.cancelled(), &counter).is_pending());
        rctx.reply(reply()).unwrap();
        drop(begun);
        assert_eq!((counter.wakes(), counter.wakers()), (0, 0));
    });
}

fn wait_cancelled_sees_that_the_caller_has_left<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        thread::scope(|scope| {
            let handler = scope.spawn(move || rctx.wait_cancelled(LONG));
            drop(begun);
            assert!(handler.join().unwrap());
        });
    });
    taken::<B>(|begun, mut rctx| {
        drop(begun);
        assert!(rctx.wait_cancelled(Duration::ZERO));
        assert!(rctx.wait_cancelled(Duration::MAX));
    });
}

fn wait_cancelled_gives_up_after_its_time<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        let start = Instant::now();
        let time = Duration::from_millis(2);
        assert!(!rctx.wait_cancelled(time));
        assert!(start.elapsed() >= time);
        assert!(!rctx.wait_cancelled(Duration::ZERO));
        drop(begun);
        assert!(rctx.wait_cancelled(LONG));
    });
}

/// A caller without a deadline does not leave by itself.
fn a_handler_waiting_for_cancel_can_still_answer<B: Begin>() {
    taken::<B>(|begun, mut rctx| {
        assert!(poll_once(&mut rctx.cancelled()).is_pending());
        assert!(!rctx.wait_cancelled(Duration::ZERO));
        assert_eq!(rctx.reply(reply()), Ok(()));
        drop(begun);
    });
}

for_each!(
    areq = Areq,
    req_async = ReqAsyncWait,
    req_async_await = ReqAsyncAwait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait
    => {
        the_handler_sees_its_caller_leave,
        the_answer_comes_back_if_the_caller_has_left,
        cancelled_resolves_once_the_caller_has_left,
        cancelled_can_be_dropped_and_called_again,
        the_task_that_polled_cancelled_last_is_woken,
        no_task_is_woken_if_the_handler_replies_first,
        wait_cancelled_sees_that_the_caller_has_left,
        wait_cancelled_gives_up_after_its_time,
        a_handler_waiting_for_cancel_can_still_answer,
    }
);
