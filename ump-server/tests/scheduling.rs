//! Priorities and CPUs of threads: what the loops request from the operating system, and what it
//! refuses.

#![cfg(feature = "scheduling")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ump_server::{
    Context, OnRefusal, SpawnError, Stop,
    system::{Attributes, ComponentContext, StartError, System},
    thread::{self, Builder, answer},
};

/// CPU numbers beyond those of any machine, and beyond the size of a CPU set.
const NO_CPU: [usize; 2] = [1023, 70_000];
/// One above the highest priority.
const NO_PRIORITY: u8 = 100;

fn refused(builder: Builder) -> ump_server::AttributeRefused {
    let factory = |_: &Context<u8, u8, &'static str>| Ok(answer(Ok));
    match builder.spawn_with(factory) {
        Err(SpawnError::Attribute(refused)) => refused,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn unknown_cpu_is_an_error_that_names_it() {
    for cpu in NO_CPU {
        let refused = refused(Builder::new().affinity([cpu]));
        assert_eq!((refused.key, refused.value), ("affinity", cpu));
        let expected = format!("the operating system refused affinity {cpu}: ");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }
}

#[test]
fn unknown_priority_is_an_error_that_names_it() {
    let refused = refused(Builder::new().priority(NO_PRIORITY));
    assert_eq!((refused.key, refused.value), ("priority", 100));
}

#[test]
fn refusal_fails_the_spawn_of_a_built_handler() {
    let build = |_: &ump_server::Client<u8, u8, &'static str>| Ok(answer(Ok));
    let error = Builder::new()
        .affinity([NO_CPU[0]])
        .spawn(build)
        .unwrap_err();
    assert!(matches!(error, SpawnError::Attribute(_)));
}

#[test]
fn warning_gets_the_refusal_and_the_loop_runs() {
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&refusals);
    let (client, handle) = Builder::new()
        .priority(NO_PRIORITY)
        .affinity([NO_CPU[0]])
        .on_refusal(OnRefusal::warn(move |refused| {
            reported.lock().unwrap().push((refused.key, refused.value));
        }))
        .spawn_with(|_: &Context<u8, u8, &'static str>| Ok(answer(Ok)))
        .unwrap();
    assert_eq!(client.req(7), Ok(7));
    assert_eq!(
        *refusals.lock().unwrap(),
        [("priority", 100), ("affinity", 1023)]
    );
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

#[test]
fn a_system_names_the_component_and_the_attribute() {
    let attributes = Attributes::new().affinity(NO_CPU);
    let error = System::builder()
        .thread("a", attributes, |_: &ComponentContext<u8, u8, ()>| {
            Ok(answer(Ok))
        })
        .start(Duration::from_secs(60))
        .wait()
        .unwrap_err();
    assert!(matches!(&error, StartError::Component { component, .. } if component == "a"));
    let expected = "component a did not start: the operating system refused affinity 1023: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::num::NonZeroUsize;

    use super::*;

    /// Reads a file about the calling thread from `/proc`.
    fn of_this_thread(file: &str) -> String {
        std::fs::read_to_string(format!("/proc/thread-self/{file}")).unwrap()
    }

    /// Returns the thread's niceness, the 19th field. The second field may contain anything in its
    /// parentheses.
    fn niceness() -> i64 {
        let stat = of_this_thread("stat");
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    fn cpus() -> String {
        let status = of_this_thread("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        line.unwrap().trim().to_owned()
    }

    /// Returns the CPUs that the test may use.
    fn allowed() -> Vec<usize> {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let ranges = cpus();
        let range = |range: &str| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        };
        ranges.split(',').flat_map(range).collect()
    }

    #[test]
    fn the_handler_is_made_and_runs_with_them() {
        let before = niceness();
        let cpu = allowed()[0];
        let expected = (19, cpu.to_string());
        let at_first = expected.clone();
        let (client, _handle) = Builder::new()
            .priority(0)
            .affinity([cpu])
            .spawn_with(move |_: &Context<(), (i64, String), &'static str>| {
                assert_eq!((niceness(), cpus()), at_first);
                Ok(answer(|()| Ok((niceness(), cpus()))))
            })
            .unwrap();
        assert_eq!(client.req(()), Ok(expected));
        assert_eq!(niceness(), before, "it is only that thread's");
    }

    /// The outcome depends on the privileges of the user who runs the test.
    #[test]
    fn highest_priority_is_granted_or_refused() {
        let spawned = Builder::new()
            .priority(99)
            .spawn_with(|_: &Context<(), i64, &'static str>| Ok(answer(|()| Ok(niceness()))));
        match spawned {
            Ok((client, _handle)) => assert_eq!(client.req(()), Ok(-20)),
            Err(SpawnError::Attribute(refused)) => {
                assert_eq!((refused.key, refused.value), ("priority", 99));
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn refusal_of_one_worker_fails_the_pool() {
        let builder = Builder::new().affinity([allowed()[0], NO_CPU[0]]);
        let factory = |_: &Context<u8, u8, &'static str>| Ok(answer(Ok));
        let error = builder.spawn_pool(NonZeroUsize::new(2).unwrap(), factory);
        assert!(matches!(error, Err(SpawnError::Attribute(refused)) if refused.value == NO_CPU[0]));
    }

    #[test]
    fn instances_and_workers_take_the_cpus_in_turn() {
        let cpus_there = allowed();
        let attributes = Attributes::new().instances(3).affinity(cpus_there.clone());
        let system = System::builder()
            .thread("a", attributes, |_: &ComponentContext<(), String, ()>| {
                Ok(thread::answer(|()| Ok(cpus())))
            })
            .start(Duration::from_secs(60))
            .wait()
            .unwrap();
        for number in 0..3 {
            let client = system.instance::<(), String, ()>("a", number).unwrap();
            let expected = cpus_there[number % cpus_there.len()];
            assert_eq!(client.req(()), Ok(expected.to_string()));
        }
        assert!(
            system
                .stop(Stop::Drain, Duration::from_secs(60))
                .wait()
                .is_clean()
        );
    }
}
