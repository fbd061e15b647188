//! One handler for all loops, and the ways to run it.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::runtime::Runtime;
use ump_server::{
    Client, Context, JoinHandle, OnPanic, ReplyContext, Restart, SpawnError, WeakClient, task,
    thread,
};

/// Longer than any step of a test that passes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A runtime with spare workers, since a held handler of these tests blocks its worker.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(16)
        .enable_time()
        .build()
        .expect("the system lets us have threads")
});

#[derive(Debug)]
pub(crate) enum Op {
    /// Adds, and replies with the sum.
    Add(u64),
    Refuse,
    /// Drops the reply context.
    Drop,
    Forget,
    Panic(&'static str),
    /// Replies, then ends the loop.
    End(u64),
    /// Replies from another thread.
    Delegate(u64),
    /// Reports that it has started, then waits to be released.
    Hold(mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Replies with the number of handlers made before this one.
    Generation,
}

pub(crate) type AdderClient = Client<Op, u64, &'static str>;
pub(crate) type AdderHandle = JoinHandle<u64>;

/// The traces that the handlers of a test leave behind.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(crate) made: AtomicU64,
    pub(crate) initialised: AtomicU64,
    pub(crate) terminated: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// How many handlers, after the first one, panic in `init` or fail to be made.
    pub(crate) panics_in_init: AtomicU64,
    pub(crate) factory_errors: AtomicU64,
    /// How many handlers found in `term` that the queued requests had ended.
    pub(crate) drained: AtomicU64,
}

impl Traces {
    fn take_one(counter: &AtomicU64) -> bool {
        counter
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

pub(crate) struct Adder {
    sum: u64,
    generation: u64,
    traces: Arc<Traces>,
    client: WeakClient<Op, u64, &'static str>,
}

impl Adder {
    pub(crate) fn new(
        traces: &Arc<Traces>,
        client: WeakClient<Op, u64, &'static str>,
    ) -> Result<Self, &'static str> {
        let generation = traces.made.fetch_add(1, Ordering::SeqCst);
        if generation > 0 && Traces::take_one(&traces.factory_errors) {
            return Err("not now");
        }
        Ok(Self {
            sum: 0,
            generation,
            traces: Arc::clone(traces),
            client,
        })
    }

    fn begin(&self) {
        assert!(
            !(self.generation > 0 && Traces::take_one(&self.traces.panics_in_init)),
            "init panics as asked"
        );
        self.traces.initialised.fetch_add(1, Ordering::SeqCst);
    }

    fn handle(&mut self, op: Op, rctx: ReplyContext<'_, u64, &'static str>) -> ControlFlow<u64> {
        match op {
            Op::Add(n) => {
                self.sum += n;
                let _ = rctx.reply(self.sum);
            }
            Op::Refuse => drop(rctx.fail("as asked")),
            Op::Drop => drop(rctx),
            Op::Forget => std::mem::forget(rctx),
            Op::Panic(message) => panic!("{message}"),
            Op::End(n) => {
                let _ = rctx.reply(n);
                return ControlFlow::Break(n);
            }
            Op::Delegate(n) => {
                let rctx = rctx.detach();
                std::thread::spawn(move || rctx.reply(n));
            }
            Op::Hold(here, go) => {
                here.send(()).expect("the test waits for it");
                let _ = go.recv();
                let _ = rctx.reply(0);
            }
            Op::Generation => drop(rctx.reply(self.generation)),
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, rv: Option<u64>) -> Option<u64> {
        self.traces.terminated.fetch_add(1, Ordering::SeqCst);
        if self
            .client
            .upgrade()
            .is_none_or(|client| client.is_closed() && client.is_empty())
        {
            self.traces.drained.fetch_add(1, Ordering::SeqCst);
        }
        rv
    }
}

impl Drop for Adder {
    fn drop(&mut self) {
        self.traces.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl thread::Handler<Op, u64, &'static str, u64> for Adder {
    fn init(&mut self, _: WeakClient<Op, u64, &'static str>) {
        self.begin();
    }

    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, u64, &'static str>) -> ControlFlow<u64> {
        self.handle(op, rctx)
    }

    fn term(&mut self, rv: Option<u64>) -> Option<u64> {
        self.end(rv)
    }
}

impl task::Handler<Op, u64, &'static str, u64> for Adder {
    async fn init(&mut self, _: WeakClient<Op, u64, &'static str>) {
        tokio::task::yield_now().await;
        self.begin();
    }

    async fn proc_req(
        &mut self,
        op: Op,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<u64> {
        tokio::task::yield_now().await;
        self.handle(op, rctx)
    }

    async fn term(&mut self, rv: Option<u64>) -> Option<u64> {
        tokio::task::yield_now().await;
        self.end(rv)
    }
}

/// A way to run handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Thread,
    Task,
    Threads,
    Tasks,
}

const WORKERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

impl Loop {
    pub(crate) fn workers(self) -> u64 {
        match self {
            Self::Thread | Self::Task => 1,
            Self::Threads | Self::Tasks => WORKERS.get() as u64,
        }
    }

    pub(crate) fn start(self, policy: OnPanic, traces: &Arc<Traces>) -> (AdderClient, AdderHandle) {
        self.try_start(policy, traces).expect("it can be made")
    }

    pub(crate) fn try_start(
        self,
        policy: OnPanic,
        traces: &Arc<Traces>,
    ) -> Result<(AdderClient, AdderHandle), SpawnError<&'static str>> {
        let traces = Arc::clone(traces);
        let make = move |cx: &Context<_, _, _>| Adder::new(&traces, cx.weak_client());
        let threads = thread::Builder::new()
            .name("adder")
            .on_panic(policy.clone());
        let tasks = task::Builder::new()
            .name("adder")
            .on_panic(policy)
            .runtime(RUNTIME.handle().clone());
        match self {
            Self::Thread => threads.spawn_with(make),
            Self::Task => tasks.spawn_with(make),
            Self::Threads => threads.spawn_pool(WORKERS, make),
            Self::Tasks => tasks.spawn_pool(WORKERS, make),
        }
    }
}

/// A policy that restarts at once.
pub(crate) fn restarts(limit: u32) -> OnPanic {
    let restart = Restart::new()
        .limit(limit, LONG)
        .pause(Duration::ZERO, Duration::ZERO);
    OnPanic::Restart(restart)
}

/// Makes a test of each function on each loop.
macro_rules! on_every_loop {
    ($($name:ident)*) => {
        mod on_a_thread { $( #[test] fn $name() { super::$name(super::Loop::Thread); } )* }
        mod on_a_task { $( #[test] fn $name() { super::$name(super::Loop::Task); } )* }
        mod on_a_pool_of_threads { $( #[test] fn $name() { super::$name(super::Loop::Threads); } )* }
        mod on_a_pool_of_tasks { $( #[test] fn $name() { super::$name(super::Loop::Tasks); } )* }
    };
}

pub(crate) use on_every_loop;
