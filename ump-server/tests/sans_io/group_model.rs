//! Random programs: a group and a naive model, which asks all tasks all the time, give out the
//! same.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use ump_server::sans_io::{Group, Input, Limits, Output, TaskEnd, TaskId};

use crate::support::{Act, Said, Scripted, drain};

#[derive(Clone, Debug)]
enum Step {
    Spawn,
    Say(usize, u64),
    Deadline(usize, u64),
    Done(usize),
    Remove(usize),
    Advance(u64),
    ShutDown,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Spawn),
        6 => (0..8_usize, 0..100_u64).prop_map(|(task, n)| Step::Say(task, n)),
        4 => (0..8_usize, 0..50_u64).prop_map(|(task, ms)| Step::Deadline(task, ms)),
        1 => (0..8_usize).prop_map(Step::Done),
        1 => (0..8_usize).prop_map(Step::Remove),
        4 => (0..30_u64).prop_map(Step::Advance),
        1 => Just(Step::ShutDown),
    ];
    prop::collection::vec(step, 0..60)
}

/// A task of the model.
struct ModelTask {
    id: TaskId,
    deadline: Option<Instant>,
    ticks: u64,
}

proptest! {
    #[test]
    fn a_group_does_what_its_tasks_do(steps in steps(), batch in 1..5_usize, turn in 1..20_usize) {
        let start = Instant::now();
        let mut now = start;
        let mut group = Group::with_limits(Limits::new().batch(batch).turn(turn).inbox(1_000));
        let mut model: Vec<ModelTask> = Vec::new();
        let mut ids: Vec<TaskId> = Vec::new();
        for step in steps {
            let mut said = Vec::new();
            let mut ended = Vec::new();
            let at = |task: usize| ids.get(task % ids.len().max(1)).copied();
            match step {
                Step::Spawn => {
                    let id = group.spawn(now, Scripted::default()).unwrap();
                    ids.push(id);
                    model.push(ModelTask { id, deadline: None, ticks: 0 });
                }
                Step::Say(task, n) => if let Some(id) = at(task) {
                    let given = group.on_input(now, id, Input::App(Act::Say(vec![n, n + 1]))).is_ok();
                    let exists = model.iter().any(|it| it.id == id);
                    prop_assert_eq!(given, exists);
                    if exists {
                        said.extend([n, n + 1].map(|n| (id, Said::Number(n))));
                    }
                },
                Step::Deadline(task, ms) => if let Some(id) = at(task) {
                    let deadline = Some(start + Duration::from_millis(ms));
                    let given = group.on_input(now, id, Input::App(Act::Deadline(deadline))).is_ok();
                    let found = model.iter_mut().find(|it| it.id == id);
                    prop_assert_eq!(given, found.is_some());
                    if let Some(found) = found {
                        found.deadline = deadline;
                    }
                },
                Step::Done(task) => if let Some(id) = at(task) {
                    let _ = group.on_input(now, id, Input::App(Act::Do(Output::Done)));
                    if let Some(index) = model.iter().position(|it| it.id == id) {
                        model.remove(index);
                        ended.push((id, TaskEnd::Done));
                    }
                },
                Step::Remove(task) => if let Some(id) = at(task) {
                    let removed = group.remove(id).is_some();
                    let index = model.iter().position(|it| it.id == id);
                    prop_assert_eq!(removed, index.is_some());
                    if let Some(index) = index {
                        model.remove(index);
                    }
                },
                Step::Advance(ms) => now += Duration::from_millis(ms),
                Step::ShutDown => {
                    group.shut_down();
                    for task in model.drain(..) {
                        if task.deadline.is_some_and(|at| at <= now) {
                            unreachable!("what is due was done");
                        }
                        said.push((task.id, Said::ShutDown));
                        ended.push((task.id, TaskEnd::ShutDown));
                    }
                }
            }
            for task in &mut model {
                if task.deadline.is_some_and(|at| at <= now) {
                    task.deadline = None;
                    task.ticks += 1;
                    said.push((task.id, Said::Tick(task.ticks)));
                }
            }
            let mut seen = drain(&mut group, now);
            // Of different tasks the order is the group's; of one task it is that of the inputs.
            seen.said.sort_by_key(|(id, _)| *id);
            said.sort_by_key(|(id, _)| *id);
            seen.ended.sort_by_key(|(id, _)| *id);
            ended.sort_by_key(|(id, _)| *id);
            prop_assert_eq!(&seen.said, &said);
            prop_assert_eq!(&seen.ended, &ended);
            prop_assert_eq!(group.len(), model.len());
            let next = model.iter().filter_map(|it| it.deadline).min();
            prop_assert_eq!(group.next_deadline(), next);
            prop_assert!(!group.is_ready());
        }
    }
}
