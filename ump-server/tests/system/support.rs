//! One handler for components of all kinds, which logs what happens to it.

use std::{
    fmt,
    future::Future,
    num::NonZeroUsize,
    ops::ControlFlow,
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::runtime::Runtime;
use ump_server::{
    Client, ReplyContext, WeakClient,
    system::{Attributes, BoxError, Builder, ComponentContext, Operation},
    task,
    thread::{self, Batch},
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
    /// Replies with the same number.
    Echo(u64),
    Panic,
    /// Ends the loop.
    End,
    /// Reports that it has started, then waits to be released.
    Hold(mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Replies with the number of handlers of this component made before this one.
    Generation,
    /// Arms a timer that never comes.
    Arm,
}

pub(crate) type ProbeClient = Client<Op, u64, &'static str>;
pub(crate) type Made<'a> = ComponentContext<'a, Op, u64, &'static str>;

/// The kind of loop that a component has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Thread,
    /// A thread that takes batches of one.
    Batches,
    Task,
}

/// Makes a test of each function on each kind of component.
macro_rules! on_each_kind {
    ($($name:ident)*) => {
        mod on_threads { $( #[test] fn $name() { super::$name(super::On::Thread); } )* }
        mod in_batches { $( #[test] fn $name() { super::$name(super::On::Batches); } )* }
        mod on_tasks { $( #[test] fn $name() { super::$name(super::On::Task); } )* }
    };
}

pub(crate) use on_each_kind;

/// A log of events, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.0.lock().unwrap().push(what.to_string());
    }

    /// Returns the events that begin with this word, without it.
    pub(crate) fn of(&self, verb: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let these = all.iter().filter_map(|what| what.strip_prefix(verb));
        these.map(|what| what.trim().to_owned()).collect()
    }
}

/// A handler that does what its requests say.
pub(crate) struct Probe {
    name: String,
    generation: u64,
    log: Log,
    init: Arc<dyn Fn(u64) + Send + Sync>,
    timers: ump_server::Timers<()>,
    /// Dropped with the handler, to signal its end.
    _ended: Option<mpsc::Sender<()>>,
}

/// Makes probes.
#[derive(Clone)]
pub(crate) struct Probes {
    pub(crate) log: Log,
    made: Arc<AtomicU64>,
    init: Arc<dyn Fn(u64) + Send + Sync>,
    refuse: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    ended: Option<mpsc::Sender<()>>,
}

impl Probes {
    pub(crate) fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            made: Arc::default(),
            init: Arc::new(|_| {}),
            refuse: Arc::new(|_| false),
            ended: None,
        }
    }

    /// Sets a function that `init` calls with the number of handlers made before.
    pub(crate) fn init(mut self, init: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.init = Arc::new(init);
        self
    }

    /// Sets whether the factory fails, given the number of handlers made before.
    pub(crate) fn refuse(mut self, refuse: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        self.refuse = Arc::new(refuse);
        self
    }

    /// Sets a sender that is disconnected when all probes are gone.
    pub(crate) fn until(mut self, ended: mpsc::Sender<()>) -> Self {
        self.ended = Some(ended);
        self
    }

    fn make(&self, setup: &Made<'_>) -> Result<Probe, BoxError> {
        let generation = self.made.fetch_add(1, Ordering::SeqCst);
        self.log.note(format_args!("make {}", setup.name()));
        if (self.refuse)(generation) {
            return Err("not now".into());
        }
        Ok(Probe {
            name: setup.name().to_owned(),
            generation,
            log: self.log.clone(),
            init: Arc::clone(&self.init),
            timers: setup.timers(),
            _ended: self.ended.clone(),
        })
    }
}

impl On {
    /// Adds a component of probes.
    pub(crate) fn add(
        self,
        builder: Builder,
        name: &str,
        attributes: Attributes,
        probes: Probes,
    ) -> Builder {
        self.add_with(builder, name, attributes, move |setup| probes.make(setup))
    }

    /// Adds a component of probes, made by another factory.
    pub(crate) fn add_with(
        self,
        builder: Builder,
        name: &str,
        attributes: Attributes,
        make: impl Fn(&Made<'_>) -> Result<Probe, BoxError> + Send + Sync + 'static,
    ) -> Builder {
        let builder = builder.runtime(RUNTIME.handle().clone());
        match self {
            Self::Thread => builder.thread(name, attributes, make),
            Self::Batches => builder.batches(name, attributes, NonZeroUsize::MIN, make),
            Self::Task => builder.task(name, attributes, make),
        }
    }

    /// Adds a plain component for each name, which needs the components after the colon.
    pub(crate) fn add_all(self, builder: Builder, log: &Log, all: &[&str]) -> Builder {
        all.iter().fold(builder, |builder, described| {
            let (name, needs) = described.split_once(':').unwrap_or((described, ""));
            let needs = needs.split(',').filter(|need| !need.is_empty());
            let attributes = needs.fold(Attributes::new(), Attributes::needs);
            self.add(builder, name, attributes, Probes::new(log))
        })
    }
}

pub(crate) fn make(probes: &Probes, setup: &Made<'_>) -> Result<Probe, BoxError> {
    probes.make(setup)
}

impl Probe {
    fn begin(&self) {
        self.log.note(format_args!("init {}", self.name));
        (self.init)(self.generation);
    }

    /// Returns the reply, and whether the loop continues.
    fn handle(&mut self, op: &Op) -> (u64, ControlFlow<()>) {
        let reply = match op {
            Op::Echo(n) => *n,
            Op::Panic => panic!("as asked"),
            Op::End => return (0, ControlFlow::Break(())),
            Op::Hold(here, go) => {
                here.send(()).expect("the test waits for it");
                let _ = go.recv();
                0
            }
            Op::Generation => self.generation,
            Op::Arm => {
                self.timers.once(Duration::MAX, ());
                0
            }
        };
        (reply, ControlFlow::Continue(()))
    }

    fn end(&self) {
        self.log.note(format_args!("term {}", self.name));
    }
}

impl thread::Handler<Op, u64, &'static str> for Probe {
    fn init(&mut self, _: WeakClient<Op, u64, &'static str>) {
        self.begin();
    }

    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, u64, &'static str>) -> ControlFlow<()> {
        let (reply, flow) = self.handle(&op);
        let _ = rctx.reply(reply);
        flow
    }

    fn term(&mut self, rv: Option<()>) -> Option<()> {
        self.end();
        rv
    }
}

impl thread::BatchService for Probe {
    type Request = Op;
    type Reply = u64;
    type Error = &'static str;
    type Output = ();
    type Timer = ();

    fn init(&mut self, _: &ump_server::Context<Op, u64, &'static str>) {
        self.begin();
    }

    fn handle(&mut self, batch: &mut Batch<Op, u64, &'static str>) -> ControlFlow<()> {
        let [(op, _)] = &*batch.iter().collect::<Vec<_>>() else {
            panic!("batches of one were asked for")
        };
        let (reply, flow) = self.handle(op);
        for (_, rctx) in batch.drain() {
            let _ = rctx.reply(reply);
        }
        flow
    }

    fn term(&mut self, rv: Option<()>) -> Option<()> {
        self.end();
        rv
    }
}

impl task::Handler<Op, u64, &'static str> for Probe {
    async fn init(&mut self, _: WeakClient<Op, u64, &'static str>) {
        tokio::task::yield_now().await;
        self.begin();
    }

    async fn proc_req(
        &mut self,
        op: Op,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        let (reply, flow) = self.handle(&op);
        let _ = rctx.reply(reply);
        flow
    }

    async fn term(&mut self, rv: Option<()>) -> Option<()> {
        tokio::task::yield_now().await;
        self.end();
        rv
    }
}

/// Holds the handler within a request until the result is dropped.
pub(crate) fn hold(client: &ProbeClient) -> mpsc::Sender<()> {
    let (here, is_here) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    client.post(Op::Hold(here, wait)).wait().unwrap();
    is_here.recv().unwrap();
    go
}

/// Polls an operation once.
pub(crate) fn poll<T>(waiting: &mut Operation<T>) -> Poll<T> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}
