//! Calls that take longer than their loop allows.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tokio::runtime::Runtime;
use ump_server::{
    Client, Context, JoinErrorKind, OnPanic, Restart,
    task::{self, OnTimeout},
    ump::{ManualClock, NoReply},
};

use crate::support::{LONG, Op, Sticks, bounded, runtime, why};

/// A loop on a manual clock, with a call limit of one second.
struct Timed {
    runtime: Runtime,
    clock: ManualClock,
    stuck: mpsc::Receiver<&'static str>,
    builder: task::Builder,
    handlers: Arc<Mutex<mpsc::Sender<&'static str>>>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Timed {
    fn new(policy: OnTimeout) -> Self {
        let runtime = runtime();
        let clock = ManualClock::new();
        let (handler, stuck) = mpsc::channel();
        let builder = task::Builder::new()
            .runtime(runtime.handle().clone())
            .clock(clock.clock())
            .request_timeout(SECOND)
            .on_timeout(policy);
        Self {
            runtime,
            clock,
            stuck,
            builder,
            handlers: Arc::new(Mutex::new(handler)),
        }
    }

    fn factory(&self) -> impl FnMut(&Context<Op, Op, ()>) -> Result<Sticks, ()> + use<> {
        let handlers = Arc::clone(&self.handlers);
        move |_| {
            Ok(Sticks {
                events: handlers.lock().unwrap().clone(),
                in_init: false,
                in_term: false,
            })
        }
    }

    /// Sends a request that times out.
    fn time_out(&self, client: &Client<Op, Op, ()>) {
        let asked = client.request(Op::Stick).submit().wait().unwrap();
        assert_eq!(self.stuck.recv_timeout(LONG), Ok("call"));
        // The loop may not sleep until the limit yet, so the clock advances until it does.
        let clock = self.clock.clone();
        let (done, is_done) = mpsc::channel();
        let outcome = std::thread::spawn(move || {
            let outcome = asked.wait();
            let _ = done.send(());
            outcome
        });
        let begun = std::time::Instant::now();
        while is_done.try_recv().is_err() {
            assert!(begun.elapsed() < LONG, "it does not hang");
            clock.advance(SECOND);
            std::thread::yield_now();
        }
        assert_eq!(why(outcome.join().unwrap()), Err(NoReply::TimedOut));
    }
}

#[test]
fn timed_out_request_leaves_the_loop_running() {
    let timed = Timed::new(OnTimeout::Continue);
    let factory = timed.factory();
    let (client, handle) = timed.builder.clone().spawn_with(factory).unwrap();
    for _ in 0..3 {
        assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
        timed.time_out(&client);
    }
    assert_eq!(client.stats().no_reply, 3);
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
    drop(timed.runtime);
}

#[test]
fn timed_out_request_fails_the_loop_by_policy() {
    let timed = Timed::new(OnTimeout::Fail);
    let factory = timed.factory();
    let (client, handle) = timed.builder.clone().spawn_with(factory).unwrap();
    timed.time_out(&client);
    let error = bounded(|| handle.join()).unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::TimedOut);
    assert_eq!(timed.stuck.recv_timeout(LONG), Ok("dropped"));
}

#[test]
fn timed_out_request_restarts_the_handler_by_policy() {
    let timed = Timed::new(OnTimeout::Fail);
    let restart = Restart::new()
        .limit(9, LONG)
        .pause(Duration::ZERO, Duration::ZERO);
    let factory = timed.factory();
    let builder = timed.builder.clone().on_panic(OnPanic::Restart(restart));
    let (client, handle) = builder.spawn_with(factory).unwrap();
    timed.time_out(&client);
    assert_eq!(timed.stuck.recv_timeout(LONG), Ok("dropped"));
    assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
    assert_eq!(handle.stopper().workers()[0].restarts, 1);
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
}

#[test]
fn a_request_in_time_is_answered() {
    let timed = Timed::new(OnTimeout::Fail);
    let (client, handle) = timed
        .builder
        .clone()
        .spawn(|_: &Client<u8, u8, ()>| {
            Ok(task::answer(async |n: u8| {
                tokio::task::yield_now().await;
                Ok(n)
            }))
        })
        .unwrap();
    for n in 0..100 {
        assert_eq!(client.req(n), Ok(n));
        timed.clock.advance(SECOND / 2);
    }
    drop(client);
    assert_eq!(bounded(|| handle.join()), Ok(None));
}
