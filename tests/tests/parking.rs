//! Blocking calls while user code uses up the park token of their thread: between the moment when a
//! call registers and the moment when it parks, or while a future is polled. In each test the
//! awaited event happens there, on the waiting thread, so that the order is certain.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{Hook, LONG, must_end};
use ump::{
    Client, Clock, Error, Gather, ManualClock, ReplyContext, Server, WaitReply, bounded, channel,
    hooks::{self, Cycle, Wait, Watcher},
};

/// Runs an event that unparks this thread, and consumes the park token.
fn used_up(event: impl FnOnce()) {
    // Consumes an earlier token.
    thread::park_timeout(Duration::ZERO);
    event();
    thread::park_timeout(Duration::ZERO);
}

/// A request that a handler has taken.
fn taken() -> (
    WaitReply<u32, ()>,
    ReplyContext<u32, ()>,
    (Server<u32, u32, ()>, Client<u32, u32, ()>),
) {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let (_, rctx) = server.wait().unwrap();
    (reply, rctx, (server, client))
}

fn answer(server: &Server<u32, u32, ()>) {
    let (n, rctx) = server.wait().unwrap();
    rctx.reply(n + 1).unwrap();
}

/// A waker whose drop, or the drop of its first clone, runs an event and consumes the park token.
fn once_on_drop(event: impl FnOnce() + Send + 'static) -> Waker {
    let event = Mutex::new(Some(event));
    Hook::on_drop(move || {
        let event = event.lock().unwrap().take();
        if let Some(event) = event {
            used_up(event);
        }
    })
}

/// Polls with a waker that is kept, so only clones of it are dropped.
fn poll_and_keep<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls a reply that is woken while it is polled.
fn polled_twice(reply: WaitReply<u32, ()>, event: impl FnOnce()) -> impl Future<Output = u32> {
    let (mut reply, mut event, mut polls) = (reply, Some(event), 0);
    poll_fn(move |cx| {
        let poll = Pin::new(&mut reply).poll(cx);
        polls += 1;
        // At the first poll the waker may be one that does nothing.
        if polls == 2 {
            used_up(event.take().unwrap());
        }
        poll.map(Result::unwrap)
    })
}

#[test]
fn block_on_sees_wake_ups_during_a_poll() {
    must_end(|| {
        for clock in [Clock::system(), ManualClock::new().clock()] {
            for deadline in [None, Some(clock.now() + LONG)] {
                let (reply, rctx, _ends) = taken();
                let future = polled_twice(reply, || rctx.reply(2).unwrap());
                assert_eq!(clock.block_on(future, deadline), Some(2));
            }
        }
    });
}

/// The awaited reply comes from the hook of the other call, which is about to park.
#[test]
fn block_on_joins_awaiting_and_blocking_futures() {
    must_end(|| {
        let [(a, ask_a), (b, ask_b), (c, ask_c)] = [(); 3].map(|()| channel::<u32, u32, ()>());
        let (about_to_park, parks) = mpsc::channel();
        let serving = thread::spawn(move || {
            answer(&c);
            parks.recv().unwrap();
            answer(&b);
        });
        let answer_a = move || {
            answer(&a);
            about_to_park.send(()).unwrap();
        };
        let joined = async move {
            tokio::join!(ask_a.areq(1), async {
                let third = ask_c.areq(3).await;
                (third, watched(answer_a, || ask_b.req(2)))
            })
        };
        let outcome = Clock::system().block_on(joined, None);
        assert_eq!(outcome, Some((Ok(2), (Ok(4), Ok(3)))));
        serving.join().unwrap();
    });
}

/// The channels of the standard library park the thread as well.
#[test]
fn block_on_survives_a_channel_in_the_future() {
    must_end(|| {
        let (reply, rctx, _ends) = taken();
        let (_sender, receiver) = mpsc::channel::<()>();
        let future = polled_twice(reply, move || {
            rctx.reply(2).unwrap();
            let nothing = receiver.recv_timeout(Duration::from_millis(1));
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        });
        assert_eq!(Clock::system().block_on(future, None), Some(2));
    });
}

/// A task that always wakes itself does not keep the deadline from passing.
#[test]
fn block_on_ends_at_its_deadline_although_woken() {
    must_end(|| {
        let busy = poll_fn::<(), _>(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(Clock::system().block_on(busy, Some(soon)), None);
    });
}

#[test]
fn wait_rechecks_after_a_wakers_drop() {
    must_end(|| {
        let (mut reply, rctx, _ends) = taken();
        let waker = once_on_drop(move || rctx.reply(2).unwrap());
        assert!(poll_and_keep(&mut reply, &waker).is_pending());
        assert_eq!(reply.wait(), Ok(2));
    });
}

#[test]
fn gather_rechecks_after_a_wakers_drop() {
    must_end(|| {
        let (reply, rctx, _ends) = taken();
        let mut replies = Gather::new();
        replies.push((), reply);
        let waker = once_on_drop(move || rctx.reply(2).unwrap());
        let cx = &mut Context::from_waker(&waker);
        assert!(Pin::new(&mut replies).poll_next(cx).is_pending());
        assert_eq!(replies.wait(), Some(((), Ok(2))));
    });
}

#[test]
fn wait_cancelled_rechecks_after_a_wakers_drop() {
    must_end(|| {
        let (reply, mut rctx, _ends) = taken();
        let waker = once_on_drop(move || drop(reply));
        let mut cancelled = Box::pin(rctx.cancelled());
        assert!(poll_and_keep(&mut cancelled, &waker).is_pending());
        // Dropping the future would drop the waker.
        std::mem::forget(cancelled);
        let start = Instant::now();
        assert!(rctx.wait_cancelled(2 * LONG));
        assert!(start.elapsed() < LONG, "it slept until it was late");
    });
}

/// Runs an event before the first wait, and consumes the park token.
struct Once<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Watcher for Once<F> {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        let event = self.0.lock().unwrap().take();
        if let Some(event) = event {
            used_up(event);
        }
        Ok(())
    }
}

fn watched<T>(event: impl FnOnce() + Send + 'static, call: impl FnOnce() -> T) -> T {
    let _watched = hooks::watch(Arc::new(Once(Mutex::new(Some(event)))));
    call()
}

#[test]
fn send_rechecks_after_its_watcher() {
    must_end(|| {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        let server = Arc::new(server);
        let other = Arc::clone(&server);
        watched(
            move || drop(other.try_pop().unwrap().expect("the post")),
            || client.post(1).wait().unwrap(),
        );
        assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
    });
}

#[test]
fn send_sees_the_end_after_its_watcher() {
    must_end(|| {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        let refused = watched(move || drop(server), || client.req_async(1).map(drop));
        assert_eq!(refused, Err(Error::ServerDisappeared));
    });
}

#[test]
fn wait_rechecks_after_its_watcher() {
    must_end(|| {
        let (reply, rctx, _ends) = taken();
        let event = move || rctx.reply(2).unwrap();
        assert_eq!(watched(event, || reply.wait()), Ok(2));
    });
}
