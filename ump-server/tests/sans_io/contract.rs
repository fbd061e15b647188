//! The contract between a group and its tasks. (`Scripted` asserts its side of it.)

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use ump_server::{
    sans_io::{Group, GroupOutput, Input, InputRefused, IntoTask, Limits, Output, Task, TaskEnd},
    task_kinds,
};

use crate::support::{Act, MS, PanicOnDrop, Said, Scripted, ScriptedIo, act, drain, say, turn};

#[test]
fn outputs_of_a_new_task_come_before_its_first_input() {
    let now = Instant::now();
    let mut group = Group::new();
    let mut task = Scripted::default();
    task.outputs
        .extend([1, 2].map(|n| Output::App(Said::Number(n))));
    let id = group.spawn(now, task).unwrap();
    group.on_input(now, id, say(3)).unwrap();
    let said = drain(&mut group, now).said;
    assert_eq!(said, [1, 2, 3].map(|n| (id, Said::Number(n))));
}

#[test]
fn an_input_to_a_busy_task_waits_until_its_outputs_are_taken() {
    let now = Instant::now();
    let mut group = Group::new();
    let id = group.spawn(now, Scripted::default()).unwrap();
    drain(&mut group, now);
    group
        .on_input(now, id, Input::App(Act::Say(vec![1, 2])))
        .unwrap();
    for n in 3..6 {
        group.on_input(now, id, say(n)).unwrap();
    }
    let said = drain(&mut group, now).said;
    assert_eq!(said, [1, 2, 3, 4, 5].map(|n| (id, Said::Number(n))));
}

#[test]
fn a_full_inbox_gives_the_input_back() {
    let now = Instant::now();
    let mut group = Group::with_limits(Limits::new().inbox(2));
    let id = group.spawn(now, Scripted::default()).unwrap();
    for n in 0..2 {
        group.on_input(now, id, say(n)).unwrap();
    }
    assert!(!group.has_room(id));
    let refused = group.on_input(now, id, say(2)).unwrap_err();
    assert!(matches!(refused, InputRefused::Full(Input::App(Act::Say(n))) if n == [2]));
    assert_eq!(group.stats().refused, 1);
    drain(&mut group, now);
    assert!(group.has_room(id));
}

#[test]
fn an_id_of_an_ended_task_is_not_that_of_its_successor() {
    let now = Instant::now();
    let mut group = Group::new();
    let first = group.spawn(now, Scripted::default()).unwrap();
    drain(&mut group, now);
    group.on_input(now, first, act(Output::Done)).unwrap();
    assert_eq!(drain(&mut group, now).ended, [(first, TaskEnd::Done)]);
    let second = group.spawn(now, Scripted::default()).unwrap();
    drain(&mut group, now);
    assert!(matches!(
        group.on_input(now, first, say(1)),
        Err(InputRefused::NoTask(_))
    ));
    group.on_input(now, second, say(2)).unwrap();
    assert_eq!(drain(&mut group, now).said, [(second, Said::Number(2))]);
}

#[test]
fn only_tasks_that_are_due_are_ticked() {
    let now = Instant::now();
    let mut group = Group::new();
    let ids: Vec<_> = (0..1_000)
        .map(|n| {
            let task = Scripted {
                deadline: Some(now + MS * (n + 1)),
                ..Scripted::default()
            };
            group.spawn(now, task).unwrap()
        })
        .collect();
    drain(&mut group, now);
    assert_eq!(group.next_deadline(), Some(now + MS));
    let said = drain(&mut group, now + MS * 3).said;
    let ticked: Vec<_> = said.iter().map(|(id, _)| *id).collect();
    assert_eq!(ticked, ids[..3]);
    assert_eq!(group.stats().ticks, 3);
    assert_eq!(group.stats().max_lateness, MS * 2);
    assert_eq!(group.next_deadline(), Some(now + MS * 4));
}

#[test]
fn a_stuck_task_is_reported_once_and_never_spins() {
    let start = Instant::now();
    let mut group = Group::new();
    let stuck = Scripted {
        deadline: Some(start),
        is_stuck: true,
        ..Scripted::default()
    };
    let id = group.spawn(start, stuck).unwrap();
    let other = group.spawn(start, Scripted::default()).unwrap();
    let mut reports = Vec::new();
    let mut now = start;
    let mut turns = 0;
    while now < start + Duration::from_secs(10) {
        turns += 1;
        assert!(turns < 1_000, "the loop spins");
        reports.extend(turn(&mut group, now).stuck);
        if !group.is_ready() {
            now = now.max(group.next_deadline().unwrap());
        }
    }
    assert_eq!(reports, [id]);
    assert!(group.get(id).unwrap().ticks < 40);
    // The others are not affected, and an input does not end the pauses.
    group.on_input(now, other, say(1)).unwrap();
    group.on_input(now, id, say(2)).unwrap();
    let ticks = group.get(id).unwrap().ticks;
    let said = drain(&mut group, now).said;
    assert!(said.contains(&(other, Said::Number(1))) && said.contains(&(id, Said::Number(2))));
    assert!(group.get(id).unwrap().ticks <= ticks + 1);
    // A deadline that advances does.
    group
        .on_input(now, id, Input::App(Act::Deadline(Some(now + MS))))
        .unwrap();
    drain(&mut group, now);
    assert_eq!(group.next_deadline(), Some(now + MS));
}

#[test]
fn a_task_is_ticked_once_a_turn() {
    let now = Instant::now();
    let mut group = Group::new();
    let task = Scripted {
        deadline: Some(now),
        is_stuck: true,
        ..Scripted::default()
    };
    let id = group.spawn(now, task).unwrap();
    for ticks in 0..5 {
        // The first turn takes the outputs of the new task.
        let _ = turn(&mut group, now);
        assert_eq!(group.get(id).unwrap().ticks, ticks);
    }
}

#[test]
fn a_panic_removes_only_the_task_that_panicked() {
    let now = Instant::now();
    let mut group = Group::new();
    let ids = [0; 3].map(|_| group.spawn(now, Scripted::default()).unwrap());
    drain(&mut group, now);
    let panics = AssertUnwindSafe(|| {
        let _ = group.on_input(now, ids[1], Input::App(Act::Panic));
    });
    catch_unwind(panics).unwrap_err();
    assert!(group.is_ready());
    group.on_input(now, ids[2], say(7)).unwrap();
    let seen = drain(&mut group, now);
    assert_eq!(seen.ended, [(ids[1], TaskEnd::Panicked)]);
    assert_eq!(seen.said, [(ids[2], Said::Number(7))]);
    assert_eq!(group.len(), 2);
}

#[test]
fn a_task_whose_inputs_panic_when_dropped_ends_once() {
    let now = Instant::now();
    let with_inputs = || {
        let mut group = Group::new();
        let id = group.spawn(now, Scripted::default()).unwrap();
        drain(&mut group, now);
        group.on_input(now, id, act(Output::Done)).unwrap();
        for _ in 0..2 {
            let input = Act::PanicOnDrop(PanicOnDrop);
            group.on_input(now, id, Input::App(input)).unwrap();
        }
        (group, id)
    };
    // It ends by itself.
    let (mut group, id) = with_inputs();
    let mut ended = Vec::new();
    let mut panics = 0;
    while group.is_ready() {
        match catch_unwind(AssertUnwindSafe(|| turn(&mut group, now))) {
            Ok(seen) => ended.extend(seen.ended),
            Err(_) => panics += 1,
        }
    }
    assert_eq!((panics, ended), (2, vec![(id, TaskEnd::Panicked)]));
    assert_eq!((group.len(), group.stats().panicked), (0, 1));
    assert_eq!(group.stats().discarded, 2);
    // It is removed.
    let (mut group, id) = with_inputs();
    let mut removed = 0;
    while catch_unwind(AssertUnwindSafe(|| group.remove(id).is_some())).is_err() {
        removed += 1;
    }
    assert_eq!(removed, 2);
    assert_eq!(drain(&mut group, now).ended, [(id, TaskEnd::Panicked)]);
}

#[test]
fn a_shutdown_takes_the_last_outputs() {
    let now = Instant::now();
    let mut group = Group::new();
    let ready = group.spawn(now, Scripted::default()).unwrap();
    let lingers = Scripted {
        lingers: true,
        ..Scripted::default()
    };
    let waits = group.spawn(now, lingers).unwrap();
    drain(&mut group, now);
    group
        .on_input(now, ready, Input::App(Act::Say(vec![1, 2])))
        .unwrap();
    group.shut_down();
    let seen = drain(&mut group, now);
    let said = [
        (ready, Said::Number(1)),
        (ready, Said::Number(2)),
        (ready, Said::ShutDown),
        (waits, Said::ShutDown),
    ];
    assert!(said.iter().all(|it| seen.said.contains(it)), "{seen:?}");
    assert_eq!(seen.ended, [(ready, TaskEnd::ShutDown)]);
    // The other one still gets inputs, and ends when it is done.
    group.on_input(now, waits, act(Output::Done)).unwrap();
    assert_eq!(drain(&mut group, now).ended, [(waits, TaskEnd::Done)]);
    assert!(group.is_empty());
}

#[test]
fn tasks_that_come_and_go_leave_no_memory_in_the_ready_queue() {
    let now = Instant::now();
    let mut group = Group::new();
    for _ in 0..100_000 {
        let id = group.spawn(now, Scripted::default()).unwrap();
        group.remove(id).unwrap();
    }
    assert!(group.stats().ready <= 65, "{:?}", group.stats());
}

/// A task of another type than `Scripted`, with the same interface.
struct Silent;

impl Task for Silent {
    type Io = ScriptedIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, _: Input<'_, ScriptedIo>) {}

    fn pop_output(&mut self, _: Instant) -> Option<Output<ScriptedIo>> {
        None
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

impl IntoTask<Either> for Scripted {
    fn into_task(self) -> Either {
        Either::Scripted(self)
    }
}

task_kinds! {
    enum Either, EitherCommand, EitherEvent {
        Scripted(Scripted),
        Silent(Silent),
    }
}

#[test]
fn a_command_of_another_kind_comes_back() {
    let now = Instant::now();
    let mut group: Group<Box<Either>> = Group::new();
    let silent = group.spawn(now, Box::new(Either::Silent(Silent))).unwrap();
    let wrong = EitherCommand::Scripted(Act::Say(vec![7]));
    let refused = group.on_input(now, silent, Input::App(wrong)).unwrap_err();
    let InputRefused::WrongKind(Input::App(EitherCommand::Scripted(Act::Say(n)))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(n, [7]);
    assert_eq!(group.stats().refused, 1);
    let right = EitherCommand::Silent(Act::Say(vec![8]));
    group.on_input(now, silent, Input::App(right)).unwrap();
    let mut turn = group.begin_turn(now);
    assert!(group.next_output(&mut turn).is_none());
    assert_eq!(group.stats().inputs, 1);
}

#[test]
fn boxed_tasks_of_several_types_are_in_one_group() {
    let now = Instant::now();
    let mut group: Group<Box<dyn Task<Io = ScriptedIo>>> = Group::new();
    let scripted = group.spawn(now, Box::new(Scripted::default())).unwrap();
    let silent = group.spawn(now, Box::new(Silent)).unwrap();
    for id in [silent, scripted] {
        group.on_input(now, id, say(1)).unwrap();
    }
    let mut turn = group.begin_turn(now);
    let mut said = Vec::new();
    while let Some(output) = group.next_output(&mut turn) {
        match output {
            GroupOutput::Task(id, Output::App(it)) => said.push((id, it)),
            output => panic!("{output:?}"),
        }
    }
    assert_eq!(said, [(scripted, Said::Number(1))]);
    assert_eq!(group.get(silent).unwrap().name(), "Silent");
}
