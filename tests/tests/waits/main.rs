//! Requests that would deadlock are refused: see `ump::hooks`.

mod calls;
mod cycles;
mod refused;
mod room;
mod tasks;

use std::{
    collections::HashMap,
    future::IntoFuture,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use tests::{CountingWaker, assert_balanced, must_end, poll_once, poll_with, stats_with};
use ump::{
    Builder, Client, Error, Executed, Gather, ManualClock, Refused, ReplyContext, RequestError,
    SendError, Server,
    hooks::{self, ChannelId, Cycle, LoopView, Wait, Watcher},
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn cycle() -> Cycle {
    Cycle::new(["a", "b"])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HookCall {
    Before(Wait),
    After(Wait),
    Polled(Wait),
}

/// A watcher that records its calls and returns `ask`.
struct Recorder {
    calls: Mutex<Vec<HookCall>>,
    ask: Box<dyn Fn(&Wait) -> Result<(), Cycle> + Send + Sync>,
}

impl Recorder {
    fn new(ask: impl Fn(&Wait) -> Result<(), Cycle> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            ask: Box::new(ask),
        })
    }

    /// Makes both ends sleep.
    fn permissive() -> Arc<Self> {
        Self::new(|_| Ok(()))
    }

    /// Reports a cycle for each wait.
    fn strict() -> Arc<Self> {
        Self::new(|_| Err(cycle()))
    }

    fn calls(&self) -> Vec<HookCall> {
        self.calls.lock().unwrap().clone()
    }

    fn note(&self, calls: HookCall) {
        self.calls.lock().unwrap().push(calls);
    }
}

impl Watcher for Recorder {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.note(HookCall::Before(*wait));
        (self.ask)(wait)
    }

    fn after(&self, wait: &Wait) {
        self.note(HookCall::After(*wait));
    }

    fn polled(&self, wait: &Wait, _: &Waker) -> Result<Option<Waker>, Cycle> {
        self.note(HookCall::Polled(*wait));
        Ok(None)
    }
}

/// Lets the next blocking request be handed off directly instead of queued.
fn arm(server: &Server<u32, u32, ()>, client: &Client<u32, u32, ()>) {
    for n in 0..3 {
        let mut request = client.request(n).into_future();
        assert!(poll_once(&mut request).is_pending());
        server.wait().unwrap().1.reply(n).unwrap();
        assert!(poll_once(&mut request).is_ready());
    }
}

fn armed() -> Ends {
    let (server, client) = ump::channel();
    arm(&server, &client);
    (server, client)
}

fn full() -> Ends {
    let (server, client) = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    (server, client)
}
