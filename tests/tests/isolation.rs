//! Broken user code of one participant must not harm the others.
#![allow(missing_docs)]

use std::{
    future::IntoFuture,
    panic::{self, AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
    thread,
    time::{Duration, Instant},
};

use tests::{LONG, block_on, poll_once};
use ump::{Error, Gather, RequestError, channel};

/// A message whose drop panics, if set, with a payload whose drop panics as well.
struct Message {
    number: u32,
    broken: bool,
}

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic::panic_any("the payload is meant to panic");
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.broken && !thread::panicking() {
            panic::panic_any(Payload);
        }
    }
}

fn sound(number: u32) -> Message {
    let broken = false;
    Message { number, broken }
}

fn broken() -> Message {
    let (number, broken) = (0, true);
    Message { number, broken }
}

#[test]
fn dropping_an_expired_post_spares_the_next_request() {
    let (server, client) = channel::<Message, u32, ()>();
    let deadline = Instant::now() + Duration::from_millis(20);
    for _ in 0..2 {
        client
            .post(broken())
            .deadline(deadline)
            .wait()
            .ok()
            .unwrap();
    }
    let reply = client.req_async(sound(7)).unwrap();
    while Instant::now() < deadline {
        thread::yield_now();
    }
    let (message, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(message.number, 7);
    rctx.reply(8).unwrap();
    assert_eq!(reply.wait(), Ok(8));
    assert_eq!(server.stats().timeout_queued, 2);
}

#[test]
fn dropping_posts_does_not_hide_the_servers_end() {
    let (server, client) = channel::<Message, u32, ()>();
    client.post(broken()).wait().ok().unwrap();
    client.post(broken()).wait().ok().unwrap();
    let reply = client.req_async(sound(7)).unwrap();
    drop(server);
    assert_eq!(reply.wait(), Err(Error::ServerDisappeared));
    let stats = client.stats();
    assert_eq!((stats.queued, stats.server_disappeared), (0, 3));
}

#[test]
fn a_gather_goes_on_after_a_panicking_drop() {
    let (server, client) = channel::<Message, u32, ()>();
    let mut replies = Gather::new();
    replies.push("broken", client.req_async(broken()).unwrap());
    replies.push("sound", client.req_async(sound(7)).unwrap());
    drop(server);
    let first = catch_unwind(AssertUnwindSafe(|| replies.wait()));
    std::mem::forget(first.expect_err("the drop is meant to panic"));
    assert_eq!(
        replies.wait(),
        Some(("sound", Err(Error::ServerDisappeared)))
    );
    assert_eq!(replies.wait(), None);
}

/// A waker with the functions of `VTABLE`, because [`std::task::Wake`] cannot express them.
fn waker(vtable: &'static RawWakerVTable, data: *const ()) -> Waker {
    // SAFETY: the functions below use `data` only while it is alive, and are thread-safe.
    unsafe { Waker::new(data, vtable) }
}

#[test]
fn a_doubly_panicking_waker_spares_other_deadlines() {
    static PANICKING: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &PANICKING),
        |_| panic::panic_any(Payload),
        |_| panic::panic_any(Payload),
        |_| {},
    );
    let (server, client) = channel::<u32, u32, ()>();
    let soon = Instant::now() + Duration::from_millis(10);
    let mut doomed = pin!(client.request(1).deadline(soon).into_future());
    let panicking_waker = waker(&PANICKING, std::ptr::null());
    assert!(
        doomed
            .as_mut()
            .poll(&mut Context::from_waker(&panicking_waker))
            .is_pending()
    );
    let outcome = block_on(client.request(2).deadline(soon + Duration::from_millis(10)));
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
    drop(server);
}

/// A request comes between the two checks of a poll: the waker is not needed, and is dropped
/// outside the lock.
#[test]
fn an_unneeded_waker_is_dropped_outside_the_lock() {
    type Ends = (ump::Server<u32, u32, ()>, ump::Client<u32, u32, ()>);

    // Its clone sends a request, which wakes the first waiter; its drop reads the length of the
    // queue.
    static REENTRANT: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: the ends outlive the wakers.
            let (_, client) = unsafe { &*data.cast::<Ends>() };
            client.post(1).wait().unwrap();
            RawWaker::new(data, &REENTRANT)
        },
        |_| {},
        |_| {},
        |data| {
            // SAFETY: `data` points to the ends, which outlive the wakers.
            let (_, client) = unsafe { &*data.cast::<Ends>() };
            let _ = client.len();
        },
    );
    let done = thread::spawn(|| {
        let ends: Ends = channel();
        {
            let (server, _) = &ends;
            // The request wakes the first waiter, so the second still has its entry when it finds
            // the request.
            let mut first = pin!(server.async_wait());
            assert!(poll_once(&mut first).is_pending());
            let mut waiting = pin!(server.async_wait());
            assert!(poll_once(&mut waiting).is_pending());
            let reentrant = waker(&REENTRANT, (&raw const ends).cast());
            let polled = waiting.as_mut().poll(&mut Context::from_waker(&reentrant));
            assert!(matches!(polled, Poll::Ready(Ok((1, _)))));
        }
    });
    let start = Instant::now();
    while !done.is_finished() {
        assert!(start.elapsed() < LONG, "it hangs");
        thread::yield_now();
    }
    done.join().unwrap();
}

/// A post whose drop posts another one, which is overdue when it is checked.
struct Phoenix<'a>(&'a AtomicBool, ump::WeakClient<Phoenix<'a>, (), ()>);

impl Drop for Phoenix<'_> {
    fn drop(&mut self) {
        let (true, Some(client)) = (self.0.load(Ordering::Relaxed), self.1.upgrade()) else {
            return;
        };
        let mut next = Phoenix(self.0, self.1.clone());
        let mut soon = Duration::from_micros(5);
        while let Err(late) = client.post(next).timeout(soon).wait() {
            next = late.into_message();
            soon *= 2;
        }
    }
}

#[test]
fn a_timed_wait_ends_despite_endless_overdue_posts() {
    let burning = AtomicBool::new(true);
    let (server, client) = channel();
    let soon = Instant::now() + Duration::from_millis(50);
    for _ in 0..500 {
        let phoenix = Phoenix(&burning, client.weak());
        client.post(phoenix).deadline(soon).wait().ok().unwrap();
    }
    while Instant::now() < soon {
        thread::yield_now();
    }
    for _ in 0..20 {
        // The call may find a post that is not overdue. It must end.
        drop(server.wait_timeout(Duration::from_millis(1)));
    }
    burning.store(false, Ordering::Relaxed);
}
