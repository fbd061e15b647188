//! Panics in a handler's factory, and in the tokens of its timers.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use ump_server::{Context, JoinErrorKind, ReplyContext, SpawnError, task, thread, timer::Periodic};

use crate::support::RUNTIME;

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Never replies, but has timers.
struct Idle;

impl<T> thread::Handler<(), (), (), (), T> for Idle {
    fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<T: Send> task::Handler<(), (), (), (), T> for Idle {
    async fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn panics(_: &Context<(), (), ()>) -> Result<Idle, ()> {
    panic!("no handler")
}

#[test]
fn panic_of_a_factory_on_a_thread_fails_the_spawn() {
    let one = thread::Builder::new().spawn_with(panics).map(drop);
    let pool = thread::Builder::new().spawn_pool(TWO, panics).map(drop);
    for error in [one.unwrap_err(), pool.unwrap_err()] {
        let SpawnError::Panicked(message) = error else {
            panic!("{error:?}")
        };
        assert_eq!(message, "no handler".into());
    }
}

#[test]
fn a_factory_of_tasks_panics_where_it_is_called() {
    let tasks = || task::Builder::new().runtime(RUNTIME.handle().clone());
    let one = catch_unwind(AssertUnwindSafe(|| tasks().spawn_with(panics).map(drop)));
    let pool = catch_unwind(AssertUnwindSafe(|| {
        tasks().spawn_pool(TWO, panics).map(drop)
    }));
    for payload in [one.unwrap_err(), pool.unwrap_err()] {
        assert_eq!(payload.downcast_ref(), Some(&"no handler"));
    }
}

/// A token whose clone panics.
struct Token;

impl Clone for Token {
    fn clone(&self) -> Self {
        panic!("no copy")
    }
}

#[test]
fn panic_in_the_clone_of_a_token_is_the_handlers() {
    let make = |cx: &Context<(), (), (), Token>| {
        let at_once = Periodic::new(Duration::from_secs(1)).first_after(Duration::ZERO);
        cx.timers().every(at_once, Token);
        Ok(Idle)
    };
    let on_a_thread = thread::Builder::new().spawn_with(make).unwrap();
    let on_a_task = task::Builder::new()
        .runtime(RUNTIME.handle().clone())
        .spawn_with(make)
        .unwrap();
    // The clients stay alive: otherwise the loops may end before the timers come.
    for (_client, handle) in [on_a_thread, on_a_task] {
        let error = handle.join().unwrap_err();
        assert_eq!(*error.kind(), JoinErrorKind::Panicked("no copy".into()));
    }
}
