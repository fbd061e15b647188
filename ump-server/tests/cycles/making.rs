//! Waits while a handler is being made.

use std::{num::NonZeroUsize, sync::mpsc};

use ump_server::{
    Context, Refused, SpawnError, WeakClient,
    system::{Attributes, ComponentContext, System},
    task, thread,
};

use super::scene::{Job, LONG, Obedient, Own, assert_told, job, must_end, on_thread, outcome};

fn ask(client: &Own) -> String {
    outcome(client.request(Job::Nothing).wait())
}

fn ask_weakly(client: &WeakClient<Job, String, Refused>) -> String {
    client
        .upgrade()
        .map_or_else(|| "gone".to_owned(), |client| ask(&client))
}

#[test]
fn who_builds_a_loop_and_asks_it_is_told() {
    must_end(|| {
        let (tell, told) = mpsc::channel();
        let say = tell.clone();
        let (client, _handle) = thread::Builder::new()
            .name("new")
            .spawn(move |new: &Own| {
                say.send(ask(new)).unwrap();
                Ok(Obedient(new.weak()))
            })
            .unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        let (client, _handle) = task::Builder::new()
            .name("new")
            .spawn(move |new: &Own| {
                tell.send(ask(new)).unwrap();
                Ok(Obedient(new.weak()))
            })
            .unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");
    });
}

#[test]
fn a_factory_that_asks_its_loop_is_told() {
    must_end(|| {
        let (tell, told) = mpsc::channel();
        let say = tell.clone();
        let factory = move |cx: &Context<_, _, _>| {
            say.send(ask_weakly(&cx.weak_client())).unwrap();
            Ok(Obedient(cx.weak_client()))
        };
        let made = thread::Builder::new()
            .name("new")
            .spawn_with(factory.clone());
        let (client, _handle) = made.unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        let (client, _handle) = task::Builder::new()
            .name("new")
            .spawn_with(factory)
            .unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");

        // All handlers are made before one begins.
        let say = std::sync::Mutex::new(tell);
        let pool = task::Builder::new().name("new").spawn_pool(
            NonZeroUsize::new(2).unwrap(),
            move |cx: &Context<_, _, _>| {
                say.lock()
                    .unwrap()
                    .send(ask_weakly(&cx.weak_client()))
                    .unwrap();
                Ok(Obedient(cx.weak_client()))
            },
        );
        let (client, _handle) = pool.unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_told(&told.recv().unwrap(), &["new"]);
        assert_eq!(ask(&client), "fine");
    });
}

#[test]
fn a_components_factory_that_asks_it_is_told() {
    must_end(|| {
        let (tell, told) = mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let make = move |setup: &ComponentContext<Job, String, Refused>| {
            let said = ask_weakly(&setup.weak_client());
            tell.lock().unwrap().send(said).unwrap();
            Ok(Obedient(setup.weak_client()))
        };
        let system = System::builder().task("new", Attributes::new(), make);
        let system = system.start(LONG).wait().unwrap();
        assert_told(&told.recv().unwrap(), &["new"]);
        drop(system);
    });
}

/// The handler that builds another one waits for it, so both would wait.
#[test]
fn who_builds_within_a_handler_is_told_of_both() {
    must_end(|| {
        let own = on_thread("own", usize::MAX);
        let said = own.told_to(job(|own| {
            let mut said = Vec::new();
            let made = thread::Builder::new().name("new").spawn(|new: &Own| {
                said.push(ask(new));
                said.push(ask(&own));
                Ok(Obedient(new.weak()))
            });
            let _new = made.unwrap();
            said.join(", ")
        }));
        let both = "deadlock: own → new → own";
        assert_eq!(said, format!("{both}, {both}"));
    });
}

/// The factory runs on the new thread, and the spawning handler waits for it.
#[test]
fn a_factory_that_asks_who_spawns_it_is_told() {
    must_end(|| {
        for _ in 0..100 {
            let own = on_thread("own", usize::MAX);
            let to_own = own.client();
            let said = own.told_to(job(move |_| {
                let (tell, told) = mpsc::channel();
                let made = thread::Builder::new().name("new").spawn_with(
                    move |cx: &Context<Job, String, Refused>| {
                        tell.send(ask(&to_own)).unwrap();
                        Ok(Obedient(cx.weak_client()))
                    },
                );
                match made {
                    Ok(_) => told.recv().unwrap(),
                    Err(SpawnError::WouldDeadlock(it)) => super::scene::cycle(&it),
                    Err(error) => error.to_string(),
                }
            }));
            assert_told(&said, &["own", "new"]);
        }
    });
}

/// A factory's requests to other servers are answered.
#[test]
fn a_factory_may_ask_others() {
    must_end(|| {
        let other = on_thread("other", usize::MAX);
        let to_other = other.client();
        let own = on_thread("own", usize::MAX);
        let said = own.told_to(job(move |_| {
            let mut said = String::new();
            let made = thread::Builder::new().spawn(|new: &Own| {
                said = ask(&to_other);
                Ok(Obedient(new.weak()))
            });
            let (client, _handle) = made.unwrap();
            format!("{said}, {}", ask(&client))
        }));
        assert_eq!(said, "fine, fine");
    });
}
