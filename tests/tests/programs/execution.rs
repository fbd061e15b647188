//! Executes a program: each step runs on a real channel, polled by hand, and on the model; then
//! both are compared.

macro_rules! same {
    ($real:expr, $model:expr, $what:literal) => {
        match (&$real, &$model) {
            (real, model) if real == model => {}
            (real, model) => {
                return Err(format!("{}: {real:?}, but should be {model:?}", $what));
            }
        }
    };
}

mod callers;
mod contexts;
mod receivers;

use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tests::{CountingWaker, block_on, eventually, pass, poll_once};
use ump::{Builder, Client, Error, ReplyContext, Server, Spin, WeakClient};

use self::{
    callers::{PendingReply, RequestTask},
    contexts::CancelledTask,
    receivers::ReceiveTask,
};
use crate::{
    model::{Mismatch, Model},
    payload::{Payload, Register},
    program::{Before, Deadline, Program, RequestKind, Step, Waker},
};

type TestClient = Client<Payload, Payload, Payload>;
type TestServer = Server<Payload, Payload, Payload>;
type RequestContext = ReplyContext<Payload, Payload>;
type Job = (Payload, RequestContext);

/// The number of exchanges before a program: more than enough for the preparation.
const EXCHANGES: u32 = 32;

/// A task: the counter of its last poll, and its future.
struct Task<T> {
    counter: usize,
    future: Pin<Box<dyn Future<Output = T>>>,
}

pub(crate) struct Execution {
    model: Model,
    register: Register,
    counters: Vec<Arc<CountingWaker>>,
    start: Instant,
    near: Instant,
    passed: bool,
    weak: WeakClient<Payload, Payload, Payload>,
    clients: Vec<(usize, Arc<TestClient>)>,
    server: Option<Arc<TestServer>>,
    /// The counter of the task that polls the server in place.
    poller: usize,
    callers: Vec<RequestTask>,
    waiting: Vec<PendingReply>,
    receiving: Vec<ReceiveTask>,
    contexts: Vec<(usize, RequestContext)>,
    watching: Vec<CancelledTask>,
}

/// Executes a program. Returns `None` if the execution took too long and the near deadline passed
/// too early.
pub(crate) fn run(program: &Program, time: Duration) -> Option<Result<(), Mismatch>> {
    let mut execution = Execution::new(program, Instant::now() + time);
    let result = execution.run(program);
    let hurried = execution.passed || Instant::now() < execution.near || !uses_near(program);
    (hurried || result.is_ok()).then_some(result)
}

fn uses_near(program: &Program) -> bool {
    program.steps.iter().any(|step| match step {
        Step::Ask { options, .. } | Step::PostMany { options, .. } => {
            options.deadline == Deadline::Near
        }
        _ => false,
    })
}

impl Execution {
    fn new(program: &Program, near: Instant) -> Self {
        let capacity = program.capacity.unwrap_or(usize::MAX);
        let builder = Builder::new().capacity(capacity).spin(program.spin);
        let (server, client) = builder.build().expect("not zero");
        let mut model = Model::new(program.capacity, program.spin != Spin::Never);
        let counter = model.new_counter();
        Self {
            model,
            register: Register::default(),
            counters: vec![CountingWaker::new()],
            start: Instant::now(),
            near,
            passed: false,
            weak: client.weak(),
            clients: vec![(0, Arc::new(client))],
            server: Some(Arc::new(server)),
            poller: counter,
            callers: Vec::new(),
            waiting: Vec::new(),
            receiving: Vec::new(),
            contexts: Vec::new(),
            watching: Vec::new(),
        }
    }

    fn run(&mut self, program: &Program) -> Result<(), Mismatch> {
        self.exchange(program.before);
        let steps = program.steps.iter().enumerate();
        for (at, step) in steps {
            self.step(*step)
                .and_then(|()| self.compare())
                .and_then(|()| if program.watched { self.look() } else { Ok(()) })
                .map_err(|wrong| format!("step {at}, {step:?}: {wrong}"))?;
        }
        self.finish()
            .map_err(|wrong| format!("at the end: {wrong}"))
    }

    // ---- before and after

    fn exchange(&mut self, before: Before) {
        let server = self.server.clone().expect("it begins with one");
        let client = Arc::clone(&self.clients[0].1);
        let (rounds, tasks) = match before {
            Before::Nothing => return,
            Before::Tasks => (EXCHANGES, true),
            Before::Thread => (4, false),
        };
        for _ in 0..rounds {
            let mut taking = Box::pin(server.async_wait());
            if tasks {
                assert!(poll_once(&mut taking).is_pending());
            }
            let mut callers = pin!(client.areq(self.payload()));
            assert!(poll_once(&mut callers).is_pending());
            let (message, rctx) = if tasks {
                block_on(taking).expect("it has asked")
            } else {
                server.wait().expect("it has asked")
            };
            assert!(rctx.reply(message).is_ok());
            assert!(poll_once(&mut callers).is_ready());
            let payload = self.model.dropped.len() - 1;
            self.model.dropped[payload] += 1;
        }
        let rounds = u64::from(rounds);
        self.model.stats.accepted = rounds;
        self.model.stats.replied = rounds;
        self.model.set_waits(EXCHANGES);
    }

    fn payload(&mut self) -> Payload {
        self.model.new_payload();
        self.register.payload()
    }

    /// Drops everything.
    fn finish(&mut self) -> Result<(), Mismatch> {
        while !self.receiving.is_empty() {
            self.drop_receiving(0);
            self.compare()?;
        }
        self.drop_server();
        self.compare()?;
        while !self.callers.is_empty() {
            self.drop_asking(0);
            self.compare()?;
        }
        while !self.waiting.is_empty() {
            self.drop_reply(0);
            self.compare()?;
        }
        while !self.watching.is_empty() {
            self.drop_watching(0);
            self.compare()?;
        }
        while !self.contexts.is_empty() {
            self.drop_context(0, false);
            self.compare()?;
        }
        self.look()?;
        self.clients.clear();
        let dropped = self.register.dropped();
        same!(dropped, vec![1; dropped.len()], "drops");
        let wakers: Vec<_> = self.counters.iter().map(CountingWaker::wakers).collect();
        same!(wakers, vec![0; wakers.len()], "wakers that are left");
        Ok(())
    }

    // ---- comparing

    fn compare(&mut self) -> Result<(), Mismatch> {
        let wakes: Vec<_> = self
            .counters
            .iter()
            .map(|counter| counter.wakes())
            .collect();
        for (counter, real) in wakes.iter().enumerate() {
            let least = self.model.wakes[counter];
            let most = least + mem::take(&mut self.model.spare[counter]);
            if !(least..=most).contains(real) {
                return Err(format!(
                    "waker {counter} was woken {real} times, but should have been {least} to {most} times"
                ));
            }
        }
        self.model.wakes = wakes;
        same!(self.register.dropped(), self.model.dropped, "drops");
        Ok(())
    }

    /// Compares the counters.
    fn look(&self) -> Result<(), Mismatch> {
        let (stats, len) = match (&self.server, self.clients.first()) {
            (Some(server), _) => (server.stats(), server.len()),
            (_, Some((_, client))) => {
                same!(client.is_closed(), !self.model.is_open(), "closed");
                (client.stats(), client.len())
            }
            _ => return Ok(()),
        };
        let expected = self.model.stats();
        same!(stats, expected, "the counters");
        same!(len, self.model.len(), "length");
        same!(
            stats.accepted,
            stats.queued + stats.taken + stats.ended(),
            "the balance"
        );
        Ok(())
    }

    // ---- counters

    fn new_counter(&mut self) -> usize {
        self.counters.push(CountingWaker::new());
        self.model.new_counter()
    }

    fn counter(&mut self, counter: &mut usize, waker: Waker) {
        if let Waker::Fresh = waker {
            *counter = self.new_counter();
        }
    }

    /// Polls, and also returns how often the future woke itself.
    fn poll<F: Future + ?Sized>(
        &mut self,
        future: Pin<&mut F>,
        counter: usize,
    ) -> (Poll<F::Output>, usize) {
        let before = self.counters[counter].wakes();
        let waker = self.counters[counter].waker();
        let polled = future.poll(&mut Context::from_waker(&waker));
        let own = self.counters[counter].wakes() - before;
        self.model.wakes[counter] += own;
        (polled, own)
    }

    // ---- the steps

    fn step(&mut self, step: Step) -> Result<(), Mismatch> {
        match step {
            Step::CloneClient(n) => self.clone_client(n),
            Step::DropClient(n) => self.drop_client(n),
            Step::Upgrade => return self.upgrade(),
            Step::Ask {
                client,
                kind,
                options,
                poll,
            } => return self.ask(client, kind, options, poll),
            Step::PostMany { size, options } => {
                for _ in 0..size {
                    self.ask(0, RequestKind::PostNow, options, false)?;
                }
            }
            Step::PollAsking(n, waker) => {
                if let Some(n) = choose(n, &self.callers) {
                    return self.poll_asking(n, waker);
                }
            }
            Step::DropAsking(n) => {
                if let Some(n) = choose(n, &self.callers) {
                    self.drop_asking(n);
                }
            }
            Step::PollReply(n, _)
            | Step::TryGet(n)
            | Step::WaitNoTime(n)
            | Step::Wait(n)
            | Step::DropReply(n) => {
                if let Some(n) = choose(n, &self.waiting) {
                    return self.reply_step(n, step);
                }
            }
            Step::TryPop => return self.take(1, |server, _| server.try_pop().map(Vec::from_iter)),
            Step::Take => {
                return self.take(1, |server, some| {
                    let job = if some {
                        server.wait().map(Some)
                    } else {
                        server.wait_timeout(Duration::ZERO)
                    };
                    job.map(Vec::from_iter)
                });
            }
            Step::Next => {
                return self.take(1, |server, some| {
                    if some {
                        server
                            .iter()
                            .next()
                            .map(|job| vec![job])
                            .ok_or(Error::ClientsDisappeared)
                    } else {
                        server.wait_deadline(Instant::now()).map(Vec::from_iter)
                    }
                });
            }
            Step::TakeMany(max) => return self.take_many(usize::from(max)),
            Step::PollServer(waker) => return self.poll_server(waker),
            Step::Receive(what, poll) => return self.receive(what, poll),
            Step::PollReceiving(n, waker) => {
                if let Some(n) = choose(n, &self.receiving) {
                    return self.poll_receiving(n, waker);
                }
            }
            Step::DropReceiving(n) => {
                if let Some(n) = choose(n, &self.receiving) {
                    self.drop_receiving(n);
                }
            }
            Step::DropServer => self.drop_server(),
            Step::Reply(n)
            | Step::Fail(n)
            | Step::Answer(n, _)
            | Step::DropContext(n)
            | Step::Panic(n)
            | Step::IsCancelled(n)
            | Step::Watch(n) => {
                if let Some(n) = choose(n, &self.contexts) {
                    return self.context_step(n, step);
                }
            }
            Step::PollWatching(n, waker) => {
                if let Some(n) = choose(n, &self.watching) {
                    return self.poll_watching(n, waker);
                }
            }
            Step::DropWatching(n) => {
                if let Some(n) = choose(n, &self.watching) {
                    self.drop_watching(n);
                }
            }
            Step::Pass => self.pass(),
            Step::Look => return self.look(),
        }
        Ok(())
    }

    // ---- time

    /// Lets the near deadline pass, and waits until all its wake-ups have happened.
    fn pass(&mut self) {
        if mem::replace(&mut self.passed, true) {
            return;
        }
        // On a slow machine the deadline has passed already; then this program does not count.
        self.passed = Instant::now() < self.near;
        pass(self.near);
        self.model.pass();
        let (counters, wakes) = (&self.counters, &self.model.wakes);
        eventually(|| {
            let mut all = counters.iter().zip(wakes);
            all.all(|(counter, wakes)| counter.wakes() >= *wakes)
        });
    }
}

/// Chooses an element of `among`, if there are any.
fn choose<T>(n: u8, among: &[T]) -> Option<usize> {
    usize::from(n).checked_rem(among.len())
}

/// Returns a future that is pending once, so that a task is made but not started.
fn pause() -> impl Future<Output = ()> {
    let mut paused = false;
    poll_fn(move |_| {
        if mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}
