//! Panics of wakers, when they are called and when they are dropped.

use std::{
    future::Future,
    ops::ControlFlow,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context as Polled, Wake, Waker},
};

use ump_server::{
    Client, ReplyContext, Restart, TestClock,
    system::{Attributes, ComponentContext, Group, System},
    thread,
};

use crate::support::{LONG, Throw, in_each_way};

in_each_way! {
    waker_of_a_wait_for_a_failure
    waker_of_a_wait_for_a_failure_when_dropped
    waker_of_an_advancing_test_clock
}

/// A waker that panics when it is called.
struct Woken(Throw);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.throw();
    }
}

/// A waker that panics when its last reference is dropped, also after it was called.
struct Dropped(Throw);

impl Wake for Dropped {
    fn wake(self: Arc<Self>) {
        drop(self);
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.throw();
    }
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Starts a system with two components in a group that gives up at once.
fn fails() -> System {
    let group = Group::new("pair")
        .members(["a", "b"])
        .restart(Restart::new().limit(0, LONG));
    let panics = |_: &ComponentContext<(), (), ()>| {
        Ok(
            |(): (), rctx: ReplyContext<'_, (), ()>| -> ControlFlow<()> {
                drop(rctx);
                panic!("as asked")
            },
        )
    };
    System::builder()
        .thread("a", Attributes::new(), panics)
        .thread("b", Attributes::new(), panics)
        .group(group)
        .start(LONG)
        .wait()
        .unwrap()
}

/// Makes one component of the group fail while these wakers wait for it.
fn fail_while_awaited<const N: usize>(system: &System, wakers: [Waker; N]) {
    let mut waiting: Vec<_> = wakers.iter().map(|_| system.failed()).collect();
    for (waiting, waker) in waiting.iter_mut().zip(wakers) {
        let polled = pin!(waiting).poll(&mut Polled::from_waker(&waker));
        assert!(polled.is_pending());
        // The thread that calls the last waker drops it.
    }
    let client = system.client::<(), (), ()>("a").unwrap();
    let other = system.client::<(), (), ()>("b").unwrap();
    assert!(client.req(()).is_err());
    other.closed().wait();
    assert_eq!(system.failed().wait().component, "a");
    for waiting in waiting {
        assert_eq!(waiting.wait().component, "a");
    }
}

fn waker_of_a_wait_for_a_failure(way: Throw) {
    let system = fails();
    let healthy = Arc::new(Counts::default());
    fail_while_awaited(
        &system,
        [
            Arc::new(Woken(way)).into(),
            Arc::new(Woken(way)).into(),
            Arc::clone(&healthy).into(),
        ],
    );
    assert_eq!(healthy.0.load(Ordering::SeqCst), 1);
}

fn waker_of_a_wait_for_a_failure_when_dropped(way: Throw) {
    let system = fails();
    fail_while_awaited(
        &system,
        [Arc::new(Dropped(way)).into(), Arc::new(Dropped(way)).into()],
    );
}

fn waker_of_an_advancing_test_clock(way: Throw) {
    let clock = TestClock::new();
    let (go, gone) = mpsc::channel::<()>();
    let (is_here, here) = mpsc::channel();
    let (client, handle) = thread::Builder::new()
        .test_clock(&clock)
        .spawn(move |_: &Client<(), (), ()>| {
            Ok(move |(): (), rctx: ReplyContext<'_, (), ()>| {
                is_here.send(()).unwrap();
                let _ = gone.recv();
                let _ = rctx.reply(());
                ControlFlow::<()>::Continue(())
            })
        })
        .unwrap();
    let asked = client.req_async(()).unwrap();
    here.recv().unwrap();
    // The loop is busy. It calls these wakers once it is idle.
    let mut waiting: Vec<_> = (0..2)
        .map(|_| Box::pin(clock.advance_async(LONG)))
        .collect();
    let broken: Waker = Arc::new(Woken(way)).into();
    for waiting in &mut waiting {
        let polled = waiting.as_mut().poll(&mut Polled::from_waker(&broken));
        assert!(polled.is_pending());
    }
    go.send(()).unwrap();
    assert_eq!(asked.wait(), Ok(()));
    drop(waiting);
    clock.advance(LONG);
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}
