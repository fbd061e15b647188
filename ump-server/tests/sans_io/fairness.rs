//! One greedy task among a thousand.

use std::time::Instant;

use ump_server::sans_io::{Group, GroupOutput, Input, Limits};

use crate::support::{Act, Said, Scripted, say, turn};

#[test]
fn a_flooding_task_gets_no_more_than_its_batch() {
    let now = Instant::now();
    let mut group = Group::with_limits(Limits::new().batch(8).turn(100_000));
    let flood = Scripted {
        floods: true,
        ..Scripted::default()
    };
    let greedy = group.spawn(now, flood).unwrap();
    let ids: Vec<_> = (0..1_000)
        .map(|_| group.spawn(now, Scripted::default()).unwrap())
        .collect();
    let _ = turn(&mut group, now);
    for round in 0..10 {
        for &id in &ids {
            group.on_input(now, id, say(round)).unwrap();
        }
        let seen = turn(&mut group, now);
        let of_greedy = seen.said.iter().filter(|(id, _)| *id == greedy).count();
        assert_eq!(of_greedy, 8);
        let others: Vec<_> = seen.said.iter().filter(|(id, _)| *id != greedy).collect();
        assert_eq!(others.len(), 1_000);
        assert!(others.iter().all(|(_, said)| *said == Said::Number(round)));
    }
}

#[test]
fn the_limit_of_a_turn_does_not_favour_low_indexes() {
    let now = Instant::now();
    // Each task is busy for ever; a turn has room for seven of a hundred.
    let mut group = Group::with_limits(Limits::new().batch(4).turn(28));
    let ids: Vec<_> = (0..100)
        .map(|_| {
            let flood = Scripted {
                floods: true,
                ..Scripted::default()
            };
            group.spawn(now, flood).unwrap()
        })
        .collect();
    let mut counts = vec![0_u32; ids.len()];
    for _ in 0..100 {
        for (id, _) in turn(&mut group, now).said {
            counts[ids.iter().position(|&it| it == id).unwrap()] += 1;
        }
    }
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 4, "from {least} to {most}");
}

#[test]
fn turns_that_break_off_do_not_favour_the_first_task() {
    let now = Instant::now();
    let mut group = Group::with_limits(Limits::new().batch(4));
    let ids: Vec<_> = (0..10)
        .map(|_| {
            let flood = Scripted {
                floods: true,
                ..Scripted::default()
            };
            group.spawn(now, flood).unwrap()
        })
        .collect();
    let mut counts = vec![0_u32; ids.len()];
    for _ in 0..400 {
        let mut turn = group.begin_turn(now);
        let Some(GroupOutput::Task(id, _)) = group.next_output(&mut turn) else {
            panic!("all are busy")
        };
        counts[ids.iter().position(|&it| it == id).unwrap()] += 1;
    }
    assert_eq!(counts, [40; 10]);
}

#[test]
fn memory_of_a_flooded_task_is_bounded() {
    let now = Instant::now();
    let mut group = Group::with_limits(Limits::new().inbox(16));
    let flood = Scripted {
        floods: true,
        ..Scripted::default()
    };
    let greedy = group.spawn(now, flood).unwrap();
    let mut accepted = 0;
    for n in 0..10_000 {
        accepted += u32::from(group.on_input(now, greedy, say(n)).is_ok());
        let _ = turn(&mut group, now);
    }
    assert_eq!(accepted, 16);
    assert_eq!(group.stats().refused, 10_000 - 16);
}

#[test]
fn ticks_do_not_starve_inputs_nor_inputs_ticks() {
    let now = Instant::now();
    let mut group = Group::new();
    let stuck = Scripted {
        deadline: Some(now),
        is_stuck: true,
        ..Scripted::default()
    };
    let id = group.spawn(now, stuck).unwrap();
    let mut said = 0;
    for n in 0..1_000 {
        let _ = group.on_input(now, id, Input::App(Act::Say(vec![n])));
        said += turn(&mut group, now).said.len();
    }
    said += crate::support::drain(&mut group, now).said.len();
    assert_eq!(said, 1_000);
    assert!(group.get(id).unwrap().ticks > 0);
}
