//! The events that `on_failure` reports, for loops on threads and on tasks and for systems.

#![cfg(feature = "tokio")]

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ump_server::{
    Context, Decision, FailureEvent, JoinErrorKind, OnPanic, Refused, ReplyContext, Restart, Stop,
    system::{Attributes, Group, System},
    task, thread,
};

const LONG: Duration = Duration::from_secs(60);

/// A request that makes the handler fail in the given way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Work,
    Panic,
    PanicInTerm,
}

struct Worker {
    panics_in_term: bool,
}

impl Worker {
    fn new() -> Self {
        Self {
            panics_in_term: false,
        }
    }

    fn execute(&mut self, order: Order) {
        match order {
            Order::Work => {}
            Order::Panic => panic!("no 7"),
            Order::PanicInTerm => self.panics_in_term = true,
        }
    }
}

impl thread::Handler<Order, (), Refused, ()> for Worker {
    fn kind(&self, _: &Order) -> &'static str {
        "order"
    }

    fn proc_req(&mut self, order: Order, rctx: ReplyContext<'_, (), Refused>) -> ControlFlow<()> {
        self.execute(order);
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    fn term(&mut self, rv: Option<()>) -> Option<()> {
        assert!(!self.panics_in_term, "not in term");
        rv
    }
}

/// The handler on a task.
struct Tasked(Worker);

impl task::Handler<Order, (), Refused, ()> for Tasked {
    fn kind(&self, _: &Order) -> &'static str {
        "order"
    }

    async fn proc_req(
        &mut self,
        order: Order,
        rctx: ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<()> {
        self.0.execute(order);
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }
}

/// The reported events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<FailureEvent>>>);

impl Log {
    fn hook(&self) -> impl Fn(&FailureEvent) + Send + Sync + 'static {
        let Self(events) = self.clone();
        move |event| events.lock().unwrap().push(event.clone())
    }

    fn take(&self) -> Vec<FailureEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    #[track_caller]
    fn single(&self) -> FailureEvent {
        let mut events = self.take();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

fn restart(limit: u32) -> OnPanic {
    OnPanic::Restart(
        Restart::new()
            .limit(limit, LONG)
            .pause(Duration::ZERO, LONG),
    )
}

fn panicked(text: &str) -> JoinErrorKind {
    JoinErrorKind::Panicked(text.into())
}

#[test]
fn a_restart_is_reported_with_all_that_is_known() {
    let log = Log::default();
    let (client, handle) = thread::Builder::new()
        .name("store")
        .on_panic(restart(9))
        .on_failure(log.hook())
        .spawn_with(|_| Ok(Worker::new()))
        .unwrap();
    client.req(Order::Work).unwrap();
    assert!(log.take().is_empty());
    for nth in 1..4 {
        let line = line!() + 1;
        client.req(Order::Panic).unwrap_err();
        client.req(Order::Work).unwrap();
        let event = log.single();
        assert_eq!((&*event.name, event.worker), ("store", 0));
        assert_eq!(event.failure, panicked("no 7"));
        assert_eq!(event.during, "order");
        assert_eq!(event.caller.unwrap().line(), line);
        assert!(matches!(event.decision, Decision::Restart { .. }));
        assert_eq!((event.failures, event.restarts), (nth, nth - 1));
        assert!(event.to_string().contains("no 7"), "{event}");
    }
    drop(client);
    handle.join().unwrap();
}

#[test]
fn each_policy_reports_its_decision() {
    for (policy, expected) in [
        (OnPanic::Stop, Decision::End),
        (OnPanic::Continue, Decision::Continue),
        (restart(0), Decision::GiveUp),
    ] {
        let log = Log::default();
        let (client, handle) = thread::Builder::new()
            .on_panic(policy.clone())
            .on_failure(log.hook())
            .spawn_with(|_| Ok(Worker::new()))
            .unwrap();
        client.req(Order::Panic).unwrap_err();
        drop(client);
        let ended = handle.join();
        assert_eq!(ended.is_ok(), expected == Decision::Continue);
        // The event is reported before a join returns.
        let event = log.single();
        assert_eq!(event.decision, expected, "{policy:?}");
        assert_eq!(event.failure, panicked("no 7"));
    }
}

#[test]
fn a_task_reports_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let (client, handle) = task::Builder::new()
            .name("tasked")
            .on_panic(restart(1))
            .on_failure(log.hook())
            .spawn_with(|_| Ok(Tasked(Worker::new())))
            .unwrap();
        client.areq(Order::Panic).await.unwrap_err();
        client.areq(Order::Panic).await.unwrap_err();
        handle.await.unwrap_err();
        let events = log.take();
        let decisions: Vec<_> = events.iter().map(|event| event.decision).collect();
        assert!(matches!(
            decisions[..],
            [Decision::Restart { .. }, Decision::GiveUp]
        ));
        assert_eq!(&*events[1].name, "tasked");
        assert_eq!(events[1].failures, 2);
    });
}

#[test]
fn a_factory_that_fails_is_reported() {
    let log = Log::default();
    let is_first = AtomicBool::new(true);
    let (client, handle) = thread::Builder::new()
        .on_panic(restart(1))
        .on_failure(log.hook())
        .spawn_with(move |_| {
            if is_first.swap(false, Ordering::Relaxed) {
                Ok(Worker::new())
            } else {
                Err(Refused)
            }
        })
        .unwrap();
    client.req(Order::Panic).unwrap_err();
    handle.join().unwrap_err();
    let events = log.take();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[1].during, "factory");
    assert_eq!(events[1].decision, Decision::GiveUp);
    assert!(!matches!(events[1].failure, JoinErrorKind::Panicked(_)));

    // The first factory call is reported, too.
    let make = |_: &Context<Order, (), Refused>| -> Result<Worker, Refused> { panic!("no device") };
    let never = thread::Builder::new()
        .on_failure(log.hook())
        .spawn_with(make);
    assert!(never.is_err());
    let event = log.single();
    assert_eq!((event.during, event.decision), ("factory", Decision::End));
    assert_eq!(event.failure, panicked("no device"));
}

#[test]
fn a_panic_in_term_is_reported() {
    let log = Log::default();
    let (client, handle) = thread::Builder::new()
        .on_failure(log.hook())
        .spawn(|_| Ok(Worker::new()))
        .unwrap();
    client.req(Order::PanicInTerm).unwrap();
    drop(client);
    handle.join().unwrap_err();
    let event = log.single();
    assert_eq!((event.during, event.decision), ("term", Decision::End));
    assert_eq!(event.failure, panicked("not in term"));
}

#[test]
fn panicking_hook_is_contained() {
    let log = Log::default();
    let (client, handle) = thread::Builder::new()
        .on_panic(restart(9))
        .on_failure(|_| panic!("the hook's own"))
        .on_failure(log.hook())
        .spawn_with(|_| Ok(Worker::new()))
        .unwrap();
    for _ in 0..3 {
        client.req(Order::Panic).unwrap_err();
        client.req(Order::Work).unwrap();
    }
    assert_eq!(log.take().len(), 3);
    drop(client);
    handle.join().unwrap();
}

#[test]
fn a_hook_may_use_the_loop() {
    let stopper = Arc::new(Mutex::new(None::<ump_server::Stopper>));
    let shared = Arc::clone(&stopper);
    let (client, handle) = thread::Builder::new()
        .on_panic(restart(9))
        .on_failure(move |_| {
            let stopper = shared.lock().unwrap().clone().unwrap();
            assert_eq!(stopper.workers().len(), 1);
            stopper.stop(Stop::Refuse);
        })
        .spawn_with(|_| Ok(Worker::new()))
        .unwrap();
    *stopper.lock().unwrap() = Some(handle.stopper());
    client.req(Order::Panic).unwrap_err();
    // The loop was stopped, so it ends instead of making a new handler.
    handle.join().unwrap();
}

#[test]
fn a_system_reports_for_its_components() {
    let log = Log::default();
    let system = System::builder()
        .thread(
            "alone",
            Attributes::new().instances(2).on_panic(restart(9)),
            |_| Ok(Worker::new()),
        )
        .thread("member", Attributes::new(), |_| Ok(Worker::new()))
        .group(
            Group::new("group")
                .members(["member"])
                .restart(Restart::new().limit(1, LONG).pause(Duration::ZERO, LONG)),
        )
        .on_failure(log.hook())
        .start(LONG)
        .wait()
        .unwrap();
    let alone = system.instance::<Order, (), Refused>("alone", 1).unwrap();
    alone.req(Order::Panic).unwrap_err();
    alone.req(Order::Work).unwrap();
    let event = log.single();
    assert_eq!(&*event.name, "alone-1");
    assert!(matches!(event.decision, Decision::Restart { .. }));

    let member = system.client::<Order, (), Refused>("member").unwrap();
    member.req(Order::Panic).unwrap_err();
    member.req(Order::Panic).unwrap_err();
    member.closed().wait();
    drop((alone, member));
    let _ = system.stop(Stop::Drain, LONG).wait();
    let events = log.take();
    let decisions: Vec<_> = events.iter().map(|event| event.decision).collect();
    assert!(matches!(
        decisions[..],
        [Decision::Restart { .. }, Decision::GiveUp]
    ));
    assert!(events.iter().all(|event| &*event.name == "member"));
}
