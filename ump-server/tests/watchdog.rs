//! The watchdog reports the handlers that do not return control, and no others: which, since when,
//! and for which caller. Time is moved by hand.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    panic::Location,
    sync::{Arc, LazyLock, mpsc},
    time::Duration,
};

use tokio::runtime::Runtime;
use ump_server::{
    Client, Context, JoinHandle, OnPanic, ReplyContext, WeakClient, WorkerState, WorkerStatus,
    task, thread,
    ump::ManualClock,
    watchdog::{Stage, Stall},
};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// A runtime with spare workers, since handlers block theirs.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(16)
        .build()
        .expect("the system lets us have threads")
});

/// The handler's end of a visit: the handler reports that it has started, and waits to be released.
struct Gate {
    here: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
}

/// The test's end of a visit.
struct Visit {
    here: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

fn gate() -> (Gate, Visit) {
    let (here, seen) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    (
        Gate { here, go },
        Visit {
            here: seen,
            go: let_go,
        },
    )
}

impl Gate {
    fn stay(self) {
        self.here.send(()).expect("the test waits for it");
        let _ = self.go.recv();
    }
}

impl Visit {
    fn wait(&self) {
        self.here.recv_timeout(LONG).expect("the handler is called");
    }

    fn let_go(self) {
        let _ = self.go.send(());
    }
}

enum Op {
    Stay(Gate),
    StayAndPanic(Gate),
    /// Awaits the gate without having control, if it is on a task.
    Await(ump::WaitReply<(), ()>, mpsc::Sender<()>),
    Quick,
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::Stay(_) => "stay",
        Op::StayAndPanic(_) => "panic",
        Op::Await(..) => "await",
        Op::Quick => "quick",
    }
}

struct Guest {
    at_start: Option<Gate>,
}

impl Guest {
    fn handle(op: Op) {
        match op {
            Op::Stay(gate) => gate.stay(),
            Op::StayAndPanic(gate) => {
                gate.stay();
                panic!("as asked");
            }
            Op::Await(..) | Op::Quick => {}
        }
    }
}

impl thread::Handler<Op, (), ()> for Guest {
    fn init(&mut self, _: WeakClient<Op, (), ()>) {
        self.at_start.take().into_iter().for_each(Gate::stay);
    }

    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        Self::handle(op);
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    fn kind(&self, op: &Op) -> &'static str {
        name(op)
    }
}

impl task::Handler<Op, (), ()> for Guest {
    async fn init(&mut self, _: WeakClient<Op, (), ()>) {
        self.at_start.take().into_iter().for_each(Gate::stay);
    }

    async fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        if let Op::Await(gate, here) = op {
            here.send(()).expect("the test waits for it");
            gate.await.expect("the test lets it go");
        } else {
            Self::handle(op);
        }
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    fn kind(&self, op: &Op) -> &'static str {
        name(op)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loop {
    Thread,
    Task,
    Threads,
    Tasks,
}

struct Fixture {
    time: ManualClock,
    client: Client<Op, (), ()>,
    handle: JoinHandle<()>,
    stalls: mpsc::Receiver<Stall>,
}

impl Fixture {
    /// Starts a loop with a threshold of one second.
    fn new(kind: Loop) -> Self {
        Self::with(kind, None, |_| {})
    }

    fn with(kind: Loop, gate: Option<Gate>, also: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        let time = ManualClock::new();
        let (sender, stalls) = mpsc::channel();
        let on_stall = Arc::new(move |stall: &Stall| {
            let _ = sender.send(stall.clone());
            also(stall);
        });
        let same = Arc::clone(&on_stall);
        let has_gate = usize::from(gate.is_some());
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let make = move |_: &Context<_, _, _>| {
            let at_start = gate.lock().unwrap().take();
            Ok(Guest { at_start })
        };
        let workers = NonZeroUsize::new(2).unwrap();
        let threads = thread::Builder::new()
            .name("guest")
            .clock(time.clock())
            .on_panic(OnPanic::Continue)
            .watchdog(SECOND)
            .on_stall(move |stall| on_stall(stall));
        let tasks = task::Builder::new()
            .name("guest")
            .runtime(RUNTIME.handle().clone())
            .clock(time.clock())
            .on_panic(OnPanic::Continue)
            .watchdog(SECOND)
            .on_stall(move |stall| same(stall));
        let made = match kind {
            Loop::Thread => threads.spawn_with(make),
            Loop::Task => tasks.spawn_with(make),
            Loop::Threads => threads.spawn_pool(workers, make),
            Loop::Tasks => tasks.spawn_pool(workers, make),
        };
        let (client, handle) = made.expect("it can be made");
        let fixture = Self {
            time,
            client,
            handle,
            stalls,
        };
        // Otherwise the start itself may take too long.
        fixture.await_started(has_gate);
        fixture
    }

    /// Waits until all workers but `but` have started.
    fn await_started(&self, but: usize) {
        let stopper = self.handle.stopper();
        let starting = |worker: &WorkerStatus| worker.state == WorkerState::Starting;
        while stopper
            .workers()
            .iter()
            .filter(|worker| starting(worker))
            .count()
            > but
        {
            std::thread::yield_now();
        }
    }

    /// Holds a handler until the visit ends.
    #[track_caller]
    fn stay(&self) -> (Visit, Location<'static>) {
        self.post(Op::Stay)
    }

    #[track_caller]
    fn post(&self, op: impl FnOnce(Gate) -> Op) -> (Visit, Location<'static>) {
        let (gate, visit) = gate();
        self.client.post(op(gate)).wait().unwrap();
        visit.wait();
        (visit, *Location::caller())
    }

    /// Waits until no worker has a request in hand.
    fn await_idle(&self) {
        let stopper = self.handle.stopper();
        while stopper
            .workers()
            .iter()
            .any(|worker| worker.in_hand.is_some())
        {
            std::thread::yield_now();
        }
    }

    fn next(&self) -> Stall {
        self.stalls
            .recv_timeout(LONG)
            .expect("the stall is reported")
    }

    /// Ends the loop, and returns the remaining reports.
    fn end(self) -> Vec<Stall> {
        let Self {
            client,
            handle,
            stalls,
            ..
        } = self;
        drop(client);
        handle.join().unwrap();
        // The monitor releases the callback, and with it the sender.
        stalls.iter().collect()
    }
}

fn stall_names_the_server_the_time_and_the_caller(kind: Loop) {
    let fixture = Fixture::new(kind);
    let (visit, caller) = fixture.stay();
    fixture.time.advance(SECOND);
    let stall = fixture.next();
    assert_eq!(&*stall.name, "guest");
    assert_eq!((stall.kind, stall.stage), ("stay", Stage::Noticed));
    assert_eq!(stall.caller, Some(&caller));
    assert_eq!((stall.elapsed, stall.threshold), (SECOND, SECOND));
    fixture.time.advance(SECOND / 2);
    visit.let_go();
    let over = fixture.next();
    assert_eq!((over.kind, over.stage), ("stay", Stage::Over));
    assert_eq!((over.caller, over.elapsed), (Some(&caller), SECOND * 3 / 2));
    assert_eq!(over.worker, stall.worker);
    assert_eq!(fixture.end(), []);
}

fn call_that_ends_in_time_is_not_reported(kind: Loop) {
    let fixture = Fixture::new(kind);
    for _ in 0..10 {
        let (visit, _) = fixture.stay();
        fixture.time.advance(Duration::from_millis(999));
        visit.let_go();
        fixture.await_idle();
    }
    fixture.time.advance(LONG);
    fixture.client.req(Op::Quick).unwrap();
    assert_eq!(fixture.end(), []);
}

fn stall_is_reported_again_at_each_doubling(kind: Loop) {
    let fixture = Fixture::new(kind);
    let (visit, _) = fixture.stay();
    let elapsed: Vec<_> = [1, 1, 2, 4]
        .into_iter()
        .map(|step| {
            fixture.time.advance(step * SECOND);
            let stall = fixture.next();
            (stall.stage, stall.elapsed.as_secs())
        })
        .collect();
    let expected = [
        (Stage::Noticed, 1),
        (Stage::Persists, 2),
        (Stage::Persists, 4),
        (Stage::Persists, 8),
    ];
    assert_eq!(elapsed, expected);
    visit.let_go();
    assert_eq!(fixture.next().stage, Stage::Over);
    assert_eq!(fixture.end(), []);
}

fn survives_a_handler_that_panics(kind: Loop) {
    let fixture = Fixture::new(kind);
    let (visit, _) = fixture.post(Op::StayAndPanic);
    fixture.time.advance(SECOND);
    assert_eq!(fixture.next().kind, "panic");
    visit.let_go();
    let over = fixture.next();
    assert_eq!((over.kind, over.stage), ("panic", Stage::Over));
    let (visit, _) = fixture.stay();
    fixture.time.advance(SECOND);
    assert_eq!(fixture.next().kind, "stay");
    visit.let_go();
    assert_eq!(fixture.next().stage, Stage::Over);
    assert_eq!(fixture.end(), []);
}

fn survives_a_callback_that_panics(kind: Loop) {
    let fixture = Fixture::with(kind, None, |_| panic!("the callback is meant to panic"));
    for _ in 0..2 {
        let (visit, _) = fixture.stay();
        fixture.time.advance(SECOND);
        assert_eq!(fixture.next().stage, Stage::Noticed);
        visit.let_go();
        assert_eq!(fixture.next().stage, Stage::Over);
    }
    assert_eq!(fixture.end(), []);
}

fn watches_the_beginning_as_well(kind: Loop) {
    let (gate, visit) = gate();
    let fixture = Fixture::with(kind, Some(gate), |_| {});
    visit.wait();
    fixture.time.advance(SECOND);
    let stall = fixture.next();
    assert_eq!((stall.kind, stall.caller), ("init", None));
    visit.let_go();
    assert_eq!(fixture.next().stage, Stage::Over);
    assert_eq!(fixture.end(), []);
}

fn call_in_hand_is_seen_without_stopping_it(kind: Loop) {
    let fixture = Fixture::new(kind);
    let stopper = fixture.handle.stopper();
    let (visit, caller) = fixture.stay();
    fixture.time.advance(SECOND / 2);
    let in_hand: Vec<_> = stopper
        .workers()
        .into_iter()
        .filter_map(|worker| worker.in_hand)
        .collect();
    assert_eq!(in_hand.len(), 1);
    assert_eq!(in_hand[0].kind, "stay");
    assert_eq!(in_hand[0].caller, Some(&caller));
    assert_eq!(in_hand[0].age, Some(SECOND / 2));
    assert!(in_hand[0].is_running);
    visit.let_go();
    fixture.client.req(Op::Quick).unwrap();
    assert_eq!(fixture.end(), []);
    let after = stopper.workers();
    assert!(after.iter().all(|worker| worker.in_hand.is_none()));
    assert!(
        after
            .iter()
            .all(|worker| worker.state == WorkerState::Ended)
    );
    assert_eq!(after.iter().map(|worker| worker.processed).sum::<u64>(), 2);
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

on_every_loop! {
    stall_names_the_server_the_time_and_the_caller
    call_that_ends_in_time_is_not_reported
    stall_is_reported_again_at_each_doubling
    survives_a_handler_that_panics
    survives_a_callback_that_panics
    watches_the_beginning_as_well
    call_in_hand_is_seen_without_stopping_it
}

#[test]
fn awaiting_is_not_a_stall() {
    let fixture = Fixture::new(Loop::Task);
    let stopper = fixture.handle.stopper();
    let (answers, asks) = ump_server::channel::<(), (), ()>();
    let gate = asks.req_async(()).unwrap();
    let (here, seen) = mpsc::channel();
    fixture.client.post(Op::Await(gate, here)).wait().unwrap();
    seen.recv_timeout(LONG).expect("the handler is called");
    while stopper.workers()[0]
        .in_hand
        .is_none_or(|call| call.is_running)
    {
        std::thread::yield_now();
    }
    fixture.time.advance(LONG);
    let in_hand = stopper.workers()[0].in_hand.expect("it still awaits");
    assert_eq!((in_hand.kind, in_hand.age), ("await", Some(LONG)));
    let ((), go) = answers.wait().unwrap();
    go.reply(()).expect("it still awaits");
    fixture.client.req(Op::Quick).unwrap();
    assert_eq!(fixture.end(), []);
}

#[test]
fn stalls_of_two_workers_are_both_reported() {
    let fixture = Fixture::new(Loop::Threads);
    let (first, _) = fixture.stay();
    let (second, _) = fixture.stay();
    fixture.time.advance(SECOND);
    let mut workers = [fixture.next().worker, fixture.next().worker];
    workers.sort_unstable();
    assert_eq!(workers, [0, 1]);
    first.let_go();
    second.let_go();
    assert_eq!(
        [fixture.next().stage, fixture.next().stage],
        [Stage::Over; 2]
    );
    assert_eq!(fixture.end(), []);
}

#[test]
fn a_server_that_is_idle_does_not_hide_another() {
    let idle = Fixture::new(Loop::Thread);
    let busy = Fixture::new(Loop::Thread);
    let (visit, _) = busy.stay();
    idle.time.advance(LONG);
    busy.time.advance(SECOND);
    assert_eq!(busy.next().stage, Stage::Noticed);
    visit.let_go();
    assert_eq!(busy.next().stage, Stage::Over);
    assert_eq!(busy.end(), []);
    assert_eq!(idle.end(), []);
}
