//! The controller and its workers.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use ump_server::{
    Decision, InHand, JoinErrorKind, OnPanic, Restart, TestClock, WorkerState,
    sans_io::{
        Controller, ControllerBuilder, Input, Io, Limits, NoNetwork, NoSockets, Output, Placement,
        Refused, Report, Task, Unused, WorkerEnd, WorkerSummary,
    },
    ump::RequestError,
};

use crate::support::{Act, MS, Said, Scripted};

const MINUTE: Duration = Duration::from_secs(60);

fn builder(workers: usize) -> ControllerBuilder {
    ControllerBuilder::new().workers(workers.try_into().unwrap())
}

fn start(builder: ControllerBuilder) -> Controller<Scripted> {
    builder.start(|_| Ok(NoSockets)).unwrap()
}

#[test]
fn tasks_go_to_the_least_loaded_worker() {
    let controller = start(builder(3));
    controller.spawn_on(1, Scripted::default()).wait().unwrap();
    let mut spawned: Vec<_> = (0..5)
        .map(|_| controller.spawn(Scripted::default()).wait().unwrap().worker)
        .collect();
    spawned.sort_unstable();
    assert_eq!(spawned, [0, 0, 1, 2, 2]);
    assert!(controller.status().iter().all(|worker| worker.tasks == 2));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn commands_and_events_are_exchanged() {
    let controller = start(builder(2));
    let tasks = [0, 1].map(|worker| {
        controller
            .spawn_on(worker, Scripted::default())
            .wait()
            .unwrap()
    });
    for (task, n) in tasks.into_iter().zip([10, 11]) {
        controller.command(task, Act::Say(vec![n])).wait().unwrap();
    }
    let mut events = [(); 2].map(|()| match controller.next_report().wait() {
        Some(Report::Event { from, event }) => (from, event),
        report => panic!("{report:?}"),
    });
    events.sort_by_key(|(from, _)| *from);
    assert_eq!(
        events,
        [(tasks[0], Said::Number(10)), (tasks[1], Said::Number(11))]
    );
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_refused_command_comes_back() {
    let controller = start(builder(1));
    let task = controller.spawn(Scripted::default()).wait().unwrap();
    controller
        .command(task, Act::Do(Output::Done))
        .wait()
        .unwrap();
    let refused = controller
        .command(task, Act::Say(vec![7]))
        .wait()
        .unwrap_err();
    let RequestError::App(Refused::NoTask(Act::Say(n))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(n, [7]);
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_full_worker_gives_the_task_back() {
    let controller = start(builder(1).limits(Limits::new().tasks(1)));
    controller.spawn(Scripted::default()).wait().unwrap();
    let task = Scripted {
        ticks: 7,
        ..Scripted::default()
    };
    match controller.spawn(task).wait() {
        Err(RequestError::App(Refused::Full(task))) => assert_eq!(task.ticks, 7),
        other => panic!("{other:?}"),
    }
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn spawned_tasks_stay_or_spread() {
    for (placement, expected) in [
        (Placement::SameWorker, [4, 0]),
        (Placement::LeastLoaded, [2, 2]),
    ] {
        let controller = start(builder(2).place_spawns(placement));
        let parent = controller.spawn_on(0, Scripted::default()).wait().unwrap();
        for _ in 0..3 {
            let child = Act::Do(Output::Spawn(Scripted::default()));
            controller.command(parent, child).wait().unwrap();
            // The worker of the child may be another one: wait until it has it.
            while controller.status().iter().map(|it| it.tasks).sum::<usize>() == 1 {
                std::thread::yield_now();
            }
        }
        while controller.status().iter().map(|it| it.tasks).sum::<usize>() < 4 {
            std::thread::yield_now();
        }
        let tasks: Vec<_> = controller.status().iter().map(|it| it.tasks).collect();
        if placement == Placement::SameWorker {
            assert_eq!(tasks, expected);
        } else {
            assert!(tasks[1] > 0, "{tasks:?}");
        }
        assert!(controller.stop(MINUTE).wait().is_clean());
    }
}

#[test]
fn spawned_tasks_that_no_worker_has_got_yet_count() {
    let controller = start(builder(4).place_spawns(Placement::LeastLoaded));
    let parent = controller.spawn_on(0, Scripted::default()).wait().unwrap();
    // The other workers take nothing from their queues.
    let blocked: Vec<_> = (1..4)
        .map(|worker| {
            let (until, blocks) = mpsc::channel();
            let task = controller.spawn_on(worker, Scripted::default()).wait();
            let block = controller.command(task.unwrap(), Act::Block(blocks));
            drop(block.post().wait());
            until
        })
        .collect();
    let children = (0..12).map(|_| Output::Spawn(Scripted::default()));
    let children = Act::DoAll(children.collect());
    controller.command(parent, children).wait().unwrap();
    let tasks = || -> Vec<usize> { controller.status().iter().map(|it| it.tasks).collect() };
    assert_eq!(tasks(), [4; 4]);
    drop(blocked);
    let arrived = |it: &WorkerSummary| it.stats.group.tasks;
    while controller.status().iter().map(arrived).sum::<usize>() < 16 {
        std::thread::yield_now();
    }
    assert_eq!(tasks(), [4; 4]);
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_panic_of_a_task_is_reported_and_the_others_go_on() {
    let controller = start(builder(1));
    let [a, b] = [(); 2].map(|()| controller.spawn(Scripted::default()).wait().unwrap());
    let outcome = controller.command(a, Act::Panic).wait();
    assert!(
        matches!(outcome, Err(RequestError::NoReply(_))),
        "{outcome:?}"
    );
    match controller.next_report().wait() {
        Some(Report::TaskPanicked {
            task,
            name,
            message,
        }) => {
            assert_eq!((task, &*name), (a, "Scripted"));
            assert!(message.unwrap().to_string().contains("as told"));
        }
        report => panic!("{report:?}"),
    }
    controller.command(b, Act::Say(vec![1])).wait().unwrap();
    let said = controller.next_report().wait();
    let expected = Report::Event {
        from: b,
        event: Said::Number(1),
    };
    assert_eq!(said, Some(expected));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_dead_worker_is_reported_with_its_tasks() {
    let controller = start(builder(2).on_panic(OnPanic::Stop));
    let [a, b] = [(); 2].map(|()| controller.spawn_on(1, Scripted::default()).wait().unwrap());
    let alive = controller.spawn_on(0, Scripted::default()).wait().unwrap();
    controller.command(a, Act::Panic).wait().unwrap_err();
    let Some(Report::WorkerFailed(failure)) = controller.next_report().wait() else {
        panic!("the failure comes first")
    };
    assert_eq!((failure.worker, failure.decision), (1, Decision::End));
    assert!(matches!(failure.failure, JoinErrorKind::Panicked(_)));
    let mut tasks: Vec<_> = failure.tasks.iter().map(|task| task.address).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, [a, b]);
    assert!(failure.to_string().contains("Scripted"), "{failure}");
    // Its callers get a definite error, and new tasks go elsewhere.
    let refused = controller.command(b, Act::Say(vec![1])).wait().unwrap_err();
    assert!(
        matches!(refused, RequestError::ServerDisappeared(_)),
        "{refused:?}"
    );
    while controller.status()[1].state != WorkerState::Ended {
        std::thread::yield_now();
    }
    assert_eq!(controller.status()[1].failure.as_ref(), Some(&failure));
    controller.command(alive, Act::Say(vec![1])).wait().unwrap();
    let report = controller.stop(MINUTE).wait();
    assert!(matches!(report.workers[0].end, WorkerEnd::Ended));
    assert!(matches!(report.workers[1].end, WorkerEnd::Failed(_)));
    assert!(!report.is_clean());
}

#[test]
fn a_rebuilt_worker_begins_without_tasks() {
    let restart = OnPanic::Restart(Restart::new().pause(Duration::ZERO, Duration::ZERO));
    let controller = start(builder(1).on_panic(restart));
    let task = controller.spawn(Scripted::default()).wait().unwrap();
    controller.command(task, Act::Panic).wait().unwrap_err();
    let Some(Report::WorkerFailed(failure)) = controller.next_report().wait() else {
        panic!("the failure comes first")
    };
    assert_eq!(failure.tasks[0].address, task);
    let task = controller.spawn(Scripted::default()).wait().unwrap();
    controller.command(task, Act::Say(vec![5])).wait().unwrap();
    assert!(matches!(
        controller.next_report().wait(),
        Some(Report::Event { .. })
    ));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_stop_takes_the_last_events() {
    let controller = start(builder(2));
    for _ in 0..10 {
        controller.spawn(Scripted::default()).wait().unwrap();
    }
    let report = controller.stop(MINUTE).wait();
    assert!(report.is_clean(), "{report}");
    let said = report.reports.iter().filter(|report| {
        matches!(
            report,
            Report::Event {
                event: Said::ShutDown,
                ..
            }
        )
    });
    assert_eq!(said.count(), 10);
}

#[test]
fn a_stop_names_the_tasks_that_do_not_end() {
    let controller = start(builder(1));
    let lingers = Scripted {
        lingers: true,
        ..Scripted::default()
    };
    let task = controller.spawn(lingers).wait().unwrap();
    controller.spawn(Scripted::default()).wait().unwrap();
    let report = controller.stop(MS * 80).wait();
    let left: Vec<_> = report.workers[0]
        .tasks
        .iter()
        .map(|task| task.address)
        .collect();
    assert_eq!(left, [task]);
    assert!(
        report.to_string().contains("without the end of Scripted"),
        "{report}"
    );
}

/// A task that does not return before it is let go.
struct Blocks(mpsc::Receiver<()>);

impl Task for Blocks {
    type Io = Io<(), Unused, Unused, Unused, NoNetwork>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, _: Input<'_, Self::Io>) {
        let _ = self.0.recv();
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        None
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_stop_returns_in_time_although_a_task_does_not() {
    let (let_go, blocked) = mpsc::channel();
    let controller: Controller<Blocks> = builder(1).start(|_| Ok(NoSockets)).unwrap();
    let task = controller.spawn(Blocks(blocked)).wait().unwrap();
    controller.command(task, ()).post().wait().unwrap();
    // Before it, the worker may still have the spawn in hand.
    let is_in_it = |in_hand: &InHand| in_hand.kind == "command";
    while !controller.status()[0]
        .in_hand
        .as_ref()
        .is_some_and(is_in_it)
    {
        std::thread::yield_now();
    }
    let report = controller.stop(MS * 80).wait();
    assert_eq!(report.workers[0].tasks[0].address, task);
    match &report.workers[0].end {
        WorkerEnd::Late(Some(call)) => assert_eq!(call.kind, "command"),
        end => panic!("{end:?}"),
    }
    drop(let_go);
}

#[test]
fn a_slow_application_slows_the_tasks_and_loses_nothing() {
    let controller = start(builder(1).reports(4));
    let task = controller.spawn(Scripted::default()).wait().unwrap();
    for n in 0..10 {
        let say = Act::Say((n * 10..(n + 1) * 10).collect());
        controller.command(task, say).wait().unwrap();
    }
    let said: Vec<_> = (0..100)
        .map(|_| match controller.next_report().wait() {
            Some(Report::Event {
                event: Said::Number(n),
                ..
            }) => n,
            report => panic!("{report:?}"),
        })
        .collect();
    assert_eq!(said, (0..100).collect::<Vec<_>>());
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_stuck_task_is_reported_by_its_name() {
    let controller = start(builder(1));
    let stuck = Scripted {
        deadline: Some(Instant::now()),
        is_stuck: true,
        ..Scripted::default()
    };
    let it = controller.spawn(stuck).wait().unwrap();
    match controller.next_report().wait() {
        Some(Report::TaskStuck { task, name, .. }) => {
            assert_eq!((task, &*name), (it, "Scripted"));
        }
        report => panic!("{report:?}"),
    }
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn workers_follow_a_virtual_clock() {
    let clock = TestClock::new();
    let controller = start(builder(2).test_clock(&clock));
    let hour = Duration::from_secs(3_600);
    let tasks = [1, 2].map(|hours| {
        let task = Scripted {
            deadline: Some(clock.now() + hour * hours),
            ..Scripted::default()
        };
        controller.spawn(task).wait().unwrap()
    });
    clock.advance(hour);
    let ticked = |report| match report {
        Some(Report::Event {
            from,
            event: Said::Tick(1),
        }) => Some(from),
        _ => None,
    };
    assert_eq!(ticked(controller.try_report()), Some(tasks[0]));
    assert_eq!(controller.try_report(), None);
    clock.advance(hour);
    assert_eq!(ticked(controller.try_report()), Some(tasks[1]));
    let status = controller.status();
    assert!(status.iter().all(|worker| worker.max_lateness.is_zero()));
}
