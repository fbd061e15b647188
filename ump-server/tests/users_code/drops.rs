//! Panics when values are dropped or cloned: results, tokens, messages, errors.

use std::{num::NonZeroUsize, ops::ControlFlow, sync::mpsc, time::Duration};

use ump_server::{
    Client, Context, OnPanic, ReplyContext, SpawnError, TestClock,
    system::{Attributes, ComponentContext, System},
    task, thread,
    ump::{NoReply, RequestError},
};

use crate::support::{Bomb, LONG, TWO, Throw, in_each_way, runtime};

in_each_way! {
    ignored_value_of_a_pool_of_threads
    ignored_value_of_a_pool_of_tasks
    value_of_a_loop_that_is_not_joined
    values_in_a_system_that_is_dropped
    tokens_of_timers_at_the_end
    token_that_can_be_neither_cloned_nor_dropped
    messages_left_in_a_batch
    errors_of_the_factories_of_a_pool
}

/// Ends the loop at its first request.
struct BreaksOff(Throw);

impl thread::Handler<(), (), (), Bomb> for BreaksOff {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<Bomb> {
        let _ = rctx.reply(());
        ControlFlow::Break(Bomb(self.0))
    }

    fn term(&mut self, rv: Option<Bomb>) -> Option<Bomb> {
        rv.or_else(|| Some(Bomb(self.0)))
    }
}

impl task::Handler<(), (), (), Bomb> for BreaksOff {
    async fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<Bomb> {
        let _ = rctx.reply(());
        ControlFlow::Break(Bomb(self.0))
    }

    async fn term(&mut self, rv: Option<Bomb>) -> Option<Bomb> {
        rv.or_else(|| Some(Bomb(self.0)))
    }
}

fn ignored_value_of_a_pool_of_threads(way: Throw) {
    let (client, handle) = thread::Builder::new()
        .spawn_pool(TWO, move |_| Ok(BreaksOff(way)))
        .unwrap();
    client.req(()).unwrap();
    let outcome = handle.join().expect("one of them said something");
    std::mem::forget(outcome.expect("each of them did"));
}

fn ignored_value_of_a_pool_of_tasks(way: Throw) {
    let runtime = runtime();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn_pool(TWO, move |_| Ok(BreaksOff(way)))
        .unwrap();
    client.req(()).unwrap();
    let outcome = handle.join().expect("one of them said something");
    std::mem::forget(outcome.expect("each of them did"));
}

fn value_of_a_loop_that_is_not_joined(way: Throw) {
    let clock = TestClock::new();
    let (client, handle) = thread::Builder::new()
        .test_clock(&clock)
        .spawn(move |_: &Client<(), (), ()>| Ok(BreaksOff(way)))
        .unwrap();
    drop(handle);
    client.req(()).unwrap();
    client.closed().wait();
    clock.advance(LONG);
}

fn values_in_a_system_that_is_dropped(way: Throw) {
    let make = move |_: &ComponentContext<(), (), ()>| Ok(BreaksOff(way));
    let system = System::builder()
        .thread("a", Attributes::new(), make)
        .thread("b", Attributes::new(), make)
        .start(LONG)
        .wait()
        .unwrap();
    for name in ["a", "b"] {
        let client = system.client::<(), (), ()>(name).unwrap();
        client.req(()).unwrap();
        client.closed().wait();
    }
    drop(system);
}

fn tokens_of_timers_at_the_end(way: Throw) {
    let (client, handle) = thread::Builder::new()
        .spawn_with(move |cx| {
            for _ in 0..3 {
                cx.timers().once(LONG, Bomb(way));
            }
            Ok(Answers)
        })
        .unwrap();
    client.req(()).unwrap();
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

/// The token of a periodic timer.
#[derive(Debug)]
struct Fragile(Bomb, mpsc::Sender<()>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        self.1.send(()).unwrap();
        self.0.0.throw();
    }
}

fn token_that_can_be_neither_cloned_nor_dropped(way: Throw) {
    let (cloned, is_cloned) = mpsc::channel();
    let (client, handle) = thread::Builder::new()
        .on_panic(OnPanic::Continue)
        .spawn_with(move |cx| {
            let token = Fragile(Bomb(way), cloned.clone());
            cx.timers().every(Duration::from_millis(1), token);
            Ok(Answers)
        })
        .unwrap();
    is_cloned.recv_timeout(LONG).unwrap();
    client.req(()).unwrap();
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

struct Answers;

impl<T> thread::Handler<(), (), (), (), T> for Answers {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }
}

/// Leaves all requests in the batch if any of them has a bomb.
struct Leaves(Option<mpsc::Receiver<()>>);

impl thread::BatchService for Leaves {
    type Request = Option<Bomb>;
    type Reply = ();
    type Error = ();
    type Output = ();
    type Timer = ();

    fn init(&mut self, _: &Context<Option<Bomb>, (), ()>) {
        if let Some(go) = self.0.take() {
            let _ = go.recv();
        }
    }

    fn handle(&mut self, batch: &mut thread::Batch<Option<Bomb>, (), ()>) -> ControlFlow<()> {
        if batch.iter().all(|(bomb, _)| bomb.is_none()) {
            for (_, rctx) in batch.drain() {
                let _ = rctx.reply(());
            }
        }
        ControlFlow::Continue(())
    }
}

fn messages_left_in_a_batch(way: Throw) {
    let (go, gone) = mpsc::channel();
    let mut gone = Some(gone);
    let (client, handle) = thread::Builder::new()
        .spawn_batches(NonZeroUsize::MAX, move |_| Ok(Leaves(gone.take())))
        .unwrap();
    let asked: Vec<_> = (0..3)
        .map(|_| client.request(Some(Bomb(way))).submit().wait().unwrap())
        .collect();
    go.send(()).unwrap();
    for asked in asked {
        let outcome = asked.wait();
        assert!(matches!(
            outcome,
            Err(RequestError::NoReply(NoReply::Dropped))
        ));
    }
    assert_eq!(client.req(None), Ok(()));
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

fn errors_of_the_factories_of_a_pool(way: Throw) {
    let spawned = thread::Builder::new().spawn_pool(
        NonZeroUsize::new(3).unwrap(),
        move |_: &Context<(), (), Bomb>| -> Result<Unmade, Bomb> { Err(Bomb(way)) },
    );
    let Err(SpawnError::Handler(error)) = spawned else {
        panic!("it says which error");
    };
    std::mem::forget(error);
}

struct Unmade;

impl thread::Handler<(), (), Bomb> for Unmade {
    fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), Bomb>) -> ControlFlow<()> {
        unreachable!()
    }
}
