//! Defects of the published `ump` 0.13 that this crate does not have, side by side.
//!
//! In each test the first half shows the defect in the published crate. If a later version fixes
//! the defect, that half fails, and the test can be removed.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tests::{CountingWaker, Hook, LONG, Meter, poll_with};

#[global_allocator]
static METER: Meter = Meter::new();

/// Long enough to see that something does not happen before the wait is over.
const MOMENT: Duration = Duration::from_millis(100);

#[test]
fn a_repolled_receiver_leaves_no_waker_behind() {
    let (server, _client) = ump_published::channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut receiving = Box::pin(server.async_wait());
    for polls in 1..=1000 {
        assert!(poll_with(&mut receiving, &counter).is_pending());
        assert_eq!(counter.wakers(), polls);
    }
    drop(receiving);
    assert_eq!(
        counter.wakers(),
        999,
        "published: all but the last stay, for ever"
    );

    let (server, _client) = ump::channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut receiving = Box::pin(server.async_wait());
    for _ in 0..1000 {
        assert!(poll_with(&mut receiving, &counter).is_pending());
        assert_eq!(counter.wakers(), 1);
    }
    drop(receiving);
    assert_eq!(counter.wakers(), 0);
}

#[test]
fn a_dropped_repolled_receiver_takes_no_wake_up() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let (counter, gone) = (CountingWaker::new(), CountingWaker::new());
    let mut waiting = Box::pin(server.async_wait());
    assert!(poll_with(&mut waiting, &counter).is_pending());
    {
        let mut other = Box::pin(server.async_wait());
        assert!(poll_with(&mut other, &gone).is_pending());
        assert!(poll_with(&mut other, &gone).is_pending());
    }
    let _reply = client.req_async(1).unwrap();
    assert!(!server.was_empty());
    assert_eq!(
        (counter.wakes(), gone.wakes()),
        (0, 1),
        "published: a request is queued, its server sleeps, and a dropped receiver was woken"
    );

    let (server, client) = ump::channel::<u32, u32, ()>();
    let (counter, gone) = (CountingWaker::new(), CountingWaker::new());
    let mut waiting = Box::pin(server.async_wait());
    assert!(poll_with(&mut waiting, &counter).is_pending());
    {
        let mut other = Box::pin(server.async_wait());
        assert!(poll_with(&mut other, &gone).is_pending());
        assert!(poll_with(&mut other, &gone).is_pending());
    }
    let _reply = client.req_async(1).unwrap();
    assert_eq!((counter.wakes(), gone.wakes()), (1, 0));
}

#[test]
fn a_dropped_woken_receiver_passes_the_wake_up_on() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let mut first = Box::pin(server.async_wait());
    let mut second = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_with(&mut second, &counters[1]).is_pending());
    let _reply = client.req_async(1).unwrap();
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [0, 1]);
    drop(second);
    assert!(!server.was_empty());
    assert_eq!(counters[0].wakes(), 0, "published: the other sleeps on");

    let (server, client) = ump::channel::<u32, u32, ()>();
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let mut first = Box::pin(server.async_wait());
    let mut second = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_with(&mut second, &counters[1]).is_pending());
    let _reply = client.req_async(1).unwrap();
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 0]);
    drop(first);
    assert_eq!(counters[1].wakes(), 1);
    assert!(poll_with(&mut second, &counters[1]).is_ready());
}

/// A probe that lets another thread use the channel, and waits until it has.
///
/// If the other thread cannot use the channel during that wait, the lock of the channel is held. So
/// a message that owned a client, and used the channel itself, would wait for ever. (This is tested
/// indirectly, because a thread that hangs could not be joined.)
struct Probe {
    ask: Sender<()>,
    done: Mutex<Receiver<()>>,
    limit: Duration,
    /// Whether the other thread could use the channel.
    found: Sender<bool>,
}

impl Probe {
    /// Returns a probe and its result. `touch` runs on a thread of its own.
    fn new(limit: Duration, touch: impl Fn() + Send + 'static) -> (Self, Receiver<bool>) {
        let (ask, asked) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let (found, finding) = mpsc::channel();
        thread::spawn(move || {
            for () in asked {
                touch();
                let _ = tell.send(());
            }
        });
        let done = Mutex::new(done);
        (
            Self {
                ask,
                done,
                limit,
                found,
            },
            finding,
        )
    }

    fn look(&self) {
        self.ask.send(()).unwrap();
        let done = self.done.lock().unwrap().recv_timeout(self.limit);
        let _ = self.found.send(done.is_ok());
    }
}

/// A message that probes when it is dropped.
struct Looks(Probe);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.look();
    }
}

/// A message that makes a request when it is dropped.
struct Owns(Option<ump::Client<Owns, (), ()>>);

impl Drop for Owns {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            let _ = client.req(Owns(None));
        }
    }
}

#[test]
fn queued_messages_are_dropped_outside_the_lock() {
    let (server, client) = ump_published::channel::<Looks, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(MOMENT, move || drop(other.clone()));
    let _reply = client.req_async(Looks(probe)).ok().unwrap();
    drop(server);
    assert!(!finding.recv().unwrap(), "published: the lock is held");

    let (server, client) = ump::channel::<Looks, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(LONG, move || drop((other.clone(), other.stats())));
    client.post(Looks(probe)).wait().ok().unwrap();
    drop(server);
    assert!(finding.recv().unwrap());

    // This message uses the channel itself.
    tests::must_end(|| {
        let (server, client) = ump::channel::<Owns, (), ()>();
        client.post(Owns(Some(client.clone()))).wait().ok().unwrap();
        drop(client);
        drop(server);
    });
}

#[test]
fn wakers_are_called_without_the_lock_of_the_queue() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(MOMENT, move || drop(other.clone()));
    let waker = Hook::on_wake(move || probe.look());
    let mut receiving = pin!(server.async_wait());
    assert!(
        receiving
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let _reply = client.req_async(1).unwrap();
    assert!(
        !finding.recv().unwrap(),
        "published: an executor that polls at once would hang"
    );

    let (server, client) = ump::channel::<u32, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(LONG, move || drop((other.clone(), other.stats())));
    let waker = Hook::on_wake(move || probe.look());
    let mut receiving = pin!(server.async_wait());
    assert!(
        receiving
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let _reply = client.req_async(1).unwrap();
    assert!(finding.recv().unwrap());
}

#[test]
fn wakers_are_cloned_without_the_lock_of_the_queue() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(MOMENT, move || drop(other.clone()));
    let waker = Hook::on_clone(move || probe.look());
    let mut receiving = pin!(server.async_wait());
    assert!(
        receiving
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(!finding.recv().unwrap(), "published: the lock is held");
    drop(client);

    let (server, client) = ump::channel::<u32, u32, ()>();
    let other = client.clone();
    let (probe, finding) = Probe::new(LONG, move || drop((other.clone(), other.stats())));
    let waker = Hook::on_clone(move || probe.look());
    let mut receiving = pin!(server.async_wait());
    assert!(
        receiving
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(finding.recv().unwrap());
    drop(client);
}

#[test]
fn a_weak_client_does_not_revive_a_channel() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let weak = client.weak();
    drop(client);
    assert!(matches!(
        server.wait(),
        Err(ump_published::Error::ClientsDisappeared)
    ));
    let revived = weak.upgrade().expect("published: back from the dead");
    let _reply = revived.req_async(1).unwrap();
    assert_eq!(
        server.wait().ok().unwrap().0,
        1,
        "published: after the end there is more"
    );

    let (server, client) = ump::channel::<u32, u32, ()>();
    let weak = client.weak();
    drop(client);
    assert!(matches!(server.wait(), Err(ump::Error::ClientsDisappeared)));
    assert!(weak.upgrade().is_none());
    assert!(matches!(server.wait(), Err(ump::Error::ClientsDisappeared)));
}

#[test]
fn an_abandoned_request_is_not_executed() {
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    drop(client.req_async(1).unwrap());
    let executed = server.try_pop().ok().unwrap();
    assert!(executed.is_some(), "published: executed for nobody");

    let (server, client) = ump::channel::<u32, u32, ()>();
    drop(client.req_async(1).unwrap());
    assert!(server.try_pop().unwrap().is_none());
}

#[test]
fn an_awaited_request_that_is_dropped_is_not_executed() {
    fn polled_and_dropped<F: Future>(future: F) {
        let mut future = pin!(future);
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
    }
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    polled_and_dropped(client.areq(1));
    let executed = server.try_pop().ok().unwrap();
    assert!(executed.is_some(), "published: executed for nobody");

    let (server, client) = ump::channel::<u32, u32, ()>();
    polled_and_dropped(client.areq(1));
    assert!(server.try_pop().unwrap().is_none());
}

#[test]
fn the_memory_of_a_burst_is_given_back() {
    const BURST: u32 = 100_000;
    // Other tests run meanwhile. They allocate little, except one backtrace of a panic.
    const NOISE: usize = 200_000;
    const TIMES: usize = 5;

    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let before = METER.live();
    for n in 0..BURST {
        drop(client.req_async(n).unwrap());
    }
    while let Some(job) = server.try_pop().ok().unwrap() {
        drop(job);
    }
    let kept = METER.live().saturating_sub(before);
    assert!(
        kept > 1_000_000,
        "published: {kept} bytes stay as long as the channel"
    );

    let kept = (0..TIMES).map(|_| {
        let (server, client) = ump::channel::<u32, u32, ()>();
        let before = METER.live();
        for n in 0..BURST {
            client.post(n).wait().unwrap();
        }
        let grown = METER.live().saturating_sub(before);
        assert!(grown > 1_000_000, "{grown} bytes are no burst");
        while let Some(job) = server.try_pop().unwrap() {
            drop(job);
        }
        METER.live().saturating_sub(before)
    });
    let kept = kept.min().unwrap();
    assert!(kept < NOISE, "{kept} bytes were kept");
}

#[test]
fn a_handlers_panic_is_reported_to_its_caller() {
    // In the published crate the context of a handler that panics is like any other dropped
    // context.
    let (server, client) = ump_published::channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let handling = thread::spawn(move || {
        let _job = server.wait().ok().unwrap();
        panic!("the handler is meant to panic");
    });
    assert!(handling.join().is_err());
    let outcome = reply.wait();
    assert!(matches!(outcome, Err(ump_published::Error::NoReply)));

    let (server, client) = ump::channel::<u32, u32, ()>();
    let reply = client.request(1).submit().wait().unwrap();
    let handling = thread::spawn(move || {
        let _job = server.wait().unwrap();
        panic!("the handler is meant to panic");
    });
    assert!(handling.join().is_err());
    let outcome = reply.wait();
    assert!(matches!(
        outcome,
        Err(ump::RequestError::NoReply(ump::NoReply::Panicked(_)))
    ));
}
