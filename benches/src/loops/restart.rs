//! The time until a loop serves again after its handler has panicked.
//!
//! Two requests are queued, and the handler panics on the first. The time is from there until the
//! new handler replies to the second. No loop pauses in between.

use std::{
    hint::black_box,
    ops::ControlFlow,
    panic::{self, catch_unwind, panic_any},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kameo::{
    actor::{Actor, ActorRef, Spawn},
    error::Infallible,
    mailbox,
};
use tokio::{
    join,
    runtime::{Builder, Runtime},
    sync::oneshot,
};
use ump_server::{OnPanic, ReplyContext, Restart, task, thread};

use super::Contender;

/// The number of panics in a round.
const PANICS: usize = 100;

pub(super) const CONTENDERS: [Contender; 4] = [
    ("floor: catch_unwind", caught),
    ("ump-server, thread", on_thread),
    ("ump-server, task", on_task),
    ("kameo, supervised", with_kameo),
];

/// The panic message.
const TOLD: &str = "as it was told to";

/// Stops printing expected panics.
pub(super) fn silence() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref() != Some(&TOLD) {
            usual(panic);
        }
    }));
}

enum Question {
    /// Panic once the next request is queued.
    Panic(oneshot::Receiver<()>),
    /// Reply with the time since the panic.
    When,
}

/// The time of the last panic, which each handler shares with its successor.
#[derive(Clone)]
struct Fragile(Arc<Mutex<Instant>>);

impl Fragile {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn panic(&self) -> ! {
        *self.0.lock().expect("nobody panics with it") = Instant::now();
        panic_any(TOLD)
    }

    /// Returns the time since the panic in nanoseconds.
    fn since(&self) -> i64 {
        let elapsed = self.0.lock().expect("nobody panics with it").elapsed();
        i64::try_from(elapsed.as_nanos()).expect("it is short")
    }
}

impl thread::Handler<Question, i64, ()> for Fragile {
    fn proc_req(&mut self, question: Question, rctx: ReplyContext<'_, i64, ()>) -> ControlFlow<()> {
        match question {
            Question::Panic(queued) => {
                queued.blocking_recv().expect("the next one is queued");
                self.panic()
            }
            Question::When => rctx.reply(self.since()).expect("it is waited for"),
        }
        ControlFlow::Continue(())
    }
}

impl task::Handler<Question, i64, ()> for Fragile {
    async fn proc_req(
        &mut self,
        question: Question,
        rctx: ReplyContext<'_, i64, ()>,
    ) -> ControlFlow<()> {
        match question {
            Question::Panic(queued) => {
                queued.await.expect("the next one is queued");
                self.panic()
            }
            Question::When => rctx.reply(self.since()).expect("it is waited for"),
        }
        ControlFlow::Continue(())
    }
}

fn on_thread(_: u64) -> Vec<i64> {
    let fragile = Fragile::new();
    let (client, handle) = thread::Builder::new()
        .on_panic(at_once())
        .spawn_with(move |_| Ok(fragile.clone()))
        .expect("a thread");
    let samples = sample(|| {
        let (is_queued, queued) = oneshot::channel();
        let panics = client.request(Question::Panic(queued)).submit();
        let panics = panics.wait().expect("it is accepted");
        let when = client.request(Question::When).submit();
        let when = when.wait().expect("it is accepted");
        is_queued.send(()).expect("it is waited for");
        panics.wait().expect_err("it panics");
        when.wait().expect("it is made anew")
    });
    drop(client);
    handle.join().expect("it ends in order");
    samples
}

fn on_task(_: u64) -> Vec<i64> {
    let runtime = runtime();
    let fragile = Fragile::new();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .on_panic(at_once())
        .spawn_with(move |_| Ok(fragile.clone()))
        .expect("a runtime");
    let samples = sample(|| {
        let (is_queued, queued) = oneshot::channel();
        let panics = client.areq(Question::Panic(queued));
        let when = client.areq(Question::When);
        // In this order.
        let all = async { join!(panics, when, async { is_queued.send(()) }) };
        let (panicked, when, _) = runtime.block_on(all);
        panicked.expect_err("it panics");
        when.expect("it is made anew")
    });
    drop(client);
    runtime.block_on(handle).expect("it ends in order");
    samples
}

struct Supervisor;

impl Actor for Supervisor {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(supervisor: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(supervisor)
    }
}

impl Actor for Fragile {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(fragile: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(fragile)
    }
}

impl kameo::message::Message<Question> for Fragile {
    type Reply = i64;

    async fn handle(
        &mut self,
        question: Question,
        _: &mut kameo::message::Context<Self, i64>,
    ) -> i64 {
        match question {
            Question::Panic(queued) => {
                queued.await.expect("the next one is queued");
                self.panic()
            }
            Question::When => self.since(),
        }
    }
}

fn with_kameo(_: u64) -> Vec<i64> {
    let runtime = runtime();
    let fragile = Fragile::new();
    let (supervisor, actor) = runtime.block_on(async {
        let supervisor = Supervisor::spawn(Supervisor);
        let actor = Fragile::supervise_with(&supervisor, move || fragile.clone())
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::unbounded())
            .await;
        // What comes before that is kept elsewhere, and lost in a panic.
        actor.wait_for_startup().await;
        (supervisor, actor)
    });
    let samples = sample(|| {
        let (is_queued, queued) = oneshot::channel();
        let panics = actor.ask(Question::Panic(queued));
        let when = actor.ask(Question::When);
        let all = async {
            join!(panics.into_future(), when.into_future(), async {
                is_queued.send(())
            })
        };
        let (panicked, when, _) = runtime.block_on(all);
        assert!(panicked.is_err(), "it panics");
        when.expect("it is made anew")
    });
    supervisor.kill();
    samples
}

/// The floor: what the language can do.
fn caught(_: u64) -> Vec<i64> {
    let fragile = Fragile::new();
    sample(|| {
        let caught = catch_unwind(|| black_box(&fragile).panic());
        drop(caught);
        fragile.since()
    })
}

/// Restarts for ever, without a pause.
fn at_once() -> OnPanic {
    let policy = Restart::new().limit(1, Duration::ZERO); // none is within a window of nothing
    OnPanic::Restart(policy.pause(Duration::ZERO, Duration::ZERO))
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("it needs nothing")
}

fn sample(mut once: impl FnMut() -> i64) -> Vec<i64> {
    (0..PANICS).map(|_| once()).collect()
}
