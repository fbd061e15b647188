//! Waits while a handler is being made.

use std::{num::NonZeroUsize, sync::mpsc};

use ump_server::{
    Context, Refused, SpawnError, WeakClient,
    system::{Attributes, ComponentContext, System},
    task, thread,
};

use super::support::{
    Job, JobClient, JobRunner, LONG, assert_deadlock, job, must_end, on_thread, outcome,
};

fn ask(client: &JobClient) -> String {
    outcome(client.request(Job::Nothing).wait())
}

fn ask_weakly(client: &WeakClient<Job, String, Refused>) -> String {
    client
        .upgrade()
        .map_or_else(|| "gone".to_owned(), |client| ask(&client))
}

#[test]
fn request_to_a_loop_being_built_is_a_deadlock() {
    must_end(|| {
        let (sender, receiver) = mpsc::channel();
        let first_sender = sender.clone();
        let (client, _handle) = thread::Builder::new()
            .name("new")
            .spawn(move |new: &JobClient| {
                first_sender.send(ask(new)).unwrap();
                Ok(JobRunner(new.weak()))
            })
            .unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        let (client, _handle) = task::Builder::new()
            .name("new")
            .spawn(move |new: &JobClient| {
                sender.send(ask(new)).unwrap();
                Ok(JobRunner(new.weak()))
            })
            .unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");
    });
}

#[test]
fn factory_that_asks_its_own_loop_is_a_deadlock() {
    must_end(|| {
        let (sender, receiver) = mpsc::channel();
        let first_sender = sender.clone();
        let factory = move |cx: &Context<_, _, _>| {
            first_sender.send(ask_weakly(&cx.weak_client())).unwrap();
            Ok(JobRunner(cx.weak_client()))
        };
        let made = thread::Builder::new()
            .name("new")
            .spawn_with(factory.clone());
        let (client, _handle) = made.unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        let (client, _handle) = task::Builder::new()
            .name("new")
            .spawn_with(factory)
            .unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        // All handlers are made before one begins.
        let sender = std::sync::Mutex::new(sender);
        let pool =
            task::Builder::new()
                .name("new")
                .spawn_pool(NonZeroUsize::new(2).unwrap(), move |cx| {
                    sender
                        .lock()
                        .unwrap()
                        .send(ask_weakly(&cx.weak_client()))
                        .unwrap();
                    Ok(JobRunner(cx.weak_client()))
                });
        let (client, _handle) = pool.unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");
    });
}

#[test]
fn factory_that_asks_its_component_is_a_deadlock() {
    must_end(|| {
        let (sender, receiver) = mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let make = move |setup: &ComponentContext<Job, String, Refused>| {
            let text = ask_weakly(&setup.weak_client());
            sender.lock().unwrap().send(text).unwrap();
            Ok(JobRunner(setup.weak_client()))
        };
        let system = System::builder().task("new", Attributes::new(), make);
        let system = system.start(LONG).wait().unwrap();
        assert_deadlock(&receiver.recv().unwrap(), &["new"]);
        drop(system);
    });
}

/// The handler that builds another one waits for it, so both would wait.
#[test]
fn deadlock_of_a_nested_build_names_both_loops() {
    must_end(|| {
        let own = on_thread("own", usize::MAX);
        let text = own.run(job(|own| {
            let mut text = Vec::new();
            let made = thread::Builder::new().name("new").spawn(|new: &JobClient| {
                text.push(ask(new));
                text.push(ask(&own));
                Ok(JobRunner(new.weak()))
            });
            let _new = made.unwrap();
            text.join(", ")
        }));
        let both = "deadlock: own → new → own";
        assert_eq!(text, format!("{both}, {both}"));
    });
}

/// The factory runs on the new thread, and the spawning handler waits for it.
#[test]
fn factory_that_asks_its_spawner_is_a_deadlock() {
    must_end(|| {
        for _ in 0..100 {
            let own = on_thread("own", usize::MAX);
            let to_own = own.client();
            let text = own.run(job(move |_| {
                let (sender, receiver) = mpsc::channel();
                let made = thread::Builder::new().name("new").spawn_with(move |cx| {
                    sender.send(ask(&to_own)).unwrap();
                    Ok(JobRunner(cx.weak_client()))
                });
                match made {
                    Ok(_) => receiver.recv().unwrap(),
                    Err(SpawnError::WouldDeadlock(it)) => super::support::cycle(&it),
                    Err(error) => error.to_string(),
                }
            }));
            assert_deadlock(&text, &["own", "new"]);
        }
    });
}

/// A factory's requests to other servers are answered.
#[test]
fn factory_may_ask_other_loops() {
    must_end(|| {
        let other = on_thread("other", usize::MAX);
        let to_other = other.client();
        let own = on_thread("own", usize::MAX);
        let text = own.run(job(move |_| {
            let mut text = String::new();
            let made = thread::Builder::new().spawn(|new: &JobClient| {
                text = ask(&to_other);
                Ok(JobRunner(new.weak()))
            });
            let (client, _handle) = made.unwrap();
            format!("{text}, {}", ask(&client))
        }));
        assert_eq!(text, "fine, fine");
    });
}
