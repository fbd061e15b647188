//! The futures of loops and systems.

use std::{
    cell::RefCell,
    future::Future,
    ops::ControlFlow,
    rc::Rc,
    sync::mpsc,
    time::{Duration, Instant},
};

use tests::LONG;
use ump_server::{
    OnPanic, Refused, TestClock,
    sans_io::{
        Controller, ControllerBuilder, Input, Io, NoNetwork, NoSockets, Output, Task, Unused,
    },
    system::{Attributes, System},
    thread::{self, Handler},
};

use super::{Entry, entry, made, polled};

/// Handles its request until the sender is dropped.
struct Holds(mpsc::Receiver<()>);

impl Handler<(), (), Refused> for Holds {
    fn init(&mut self, _: ump::WeakClient<(), (), Refused>) {
        let _ = self.0.recv();
    }

    fn proc_req(
        &mut self,
        (): (),
        _: ump_server::ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn running() -> (mpsc::Sender<()>, Rc<RefCell<ump_server::JoinHandle<()>>>) {
    let (go, holds) = mpsc::channel();
    let (client, handle) = thread::spawn(|_| Ok(Holds(holds))).unwrap();
    drop(client);
    (go, Rc::new(RefCell::new(handle)))
}

/// Returns the handle of a loop that has started and has ended.
fn over() -> ump_server::JoinHandle<()> {
    let (go, handle) = running();
    drop(go);
    let handle = Rc::into_inner(handle).unwrap().into_inner();
    while !handle.is_finished() {
        std::thread::yield_now();
    }
    handle
}

pub(super) fn loops() -> Vec<Entry> {
    let (holds, handle) = running();
    let (starts, starting) = running();
    let started = Rc::new(RefCell::new(over()));
    let await_start = |handle: &Rc<RefCell<ump_server::JoinHandle<()>>>| {
        let handle = Rc::clone(handle);
        made(async move { handle.borrow_mut().started().await })
    };
    let (sound, failed) = (system(), system());
    let panicking = failed.client::<bool, (), ()>("only").unwrap();
    panicking.req(true).unwrap_err();
    failed.failed().wait();
    let (clock, busy_clock) = (TestClock::new(), TestClock::new());
    let (busy, holds_still) = mpsc::channel();
    let busy_loop = thread::Builder::new()
        .test_clock(&busy_clock)
        .spawn(|_| Ok(Holds(holds_still)))
        .unwrap();
    let (silent, over_and_empty) = (controller(), failed_controller());
    vec![
        entry(
            "ump_server::NextReport",
            {
                let silent = Rc::new(silent);
                move || {
                    let silent = Rc::clone(&silent);
                    made(async move { silent.next_report().await })
                }
            },
            {
                let ended = Rc::new(over_and_empty);
                move || {
                    let ended = Rc::clone(&ended);
                    made(async move { ended.next_report().await })
                }
            },
        ),
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_server::JoinHandle",
                move || {
                    let _kept = &holds;
                    polled(&handle, Future::poll)
                },
                || made(over()),
            )
        },
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_server::started",
                move || {
                    let _kept = &starts;
                    await_start(&starting)
                },
                move || await_start(&started),
            )
        },
        entry(
            "ump_server::Operation",
            move || made(sound.failed()),
            move || made(failed.failed()),
        ),
        entry(
            "ump_server::advance_async",
            {
                let clock = busy_clock;
                move || {
                    let _kept = (&busy, &busy_loop);
                    let clock = clock.clone();
                    made(async move { clock.advance_async(Duration::from_secs(1)).await })
                }
            },
            move || {
                let clock = clock.clone();
                made(async move { clock.advance_async(Duration::from_secs(1)).await })
            },
        ),
    ]
}

/// A task that panics on command.
struct Idle;

impl Task for Idle {
    type Io = Io<(), (), Unused, Unused, NoNetwork>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, _: Input<'_, Self::Io>) {
        panic!("as asked")
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        None
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

fn controller() -> Controller<Idle> {
    let builder = ControllerBuilder::new().on_panic(OnPanic::Stop);
    builder.start(|_| Ok(NoSockets)).unwrap()
}

/// Returns a controller without workers and without reports.
fn failed_controller() -> Controller<Idle> {
    let controller = controller();
    let task = controller.spawn(Idle).wait().unwrap();
    controller.command(task, ()).wait().unwrap_err();
    while controller.next_report().wait().is_some() {}
    controller
}

/// A system with one component, which panics on request.
fn system() -> System {
    System::builder()
        .thread("only", Attributes::new().on_panic(OnPanic::Stop), |_| {
            Ok(thread::answer(|panics: bool| {
                assert!(!panics, "as asked");
                Ok::<(), ()>(())
            }))
        })
        .start(LONG)
        .wait()
        .unwrap()
}
