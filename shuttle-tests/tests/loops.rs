//! Models of loops on threads and their callers: what a loop adds to the channel. Each request has
//! one outcome that fits, the counts agree, `join` returns the outcome of the loop, and no thread
//! sleeps for ever: not while a loop ends, is stopped, or restarts its handlers.
//!
//! No handler panics here: other threads cannot run while one unwinds, and shuttle treats each
//! panic as a failed model. A factory that fails is a failure of the loop as well, with the same
//! pause after it.
#![cfg(shuttle)]

use std::{num::NonZeroUsize, ops::ControlFlow, time::Duration};

use shuttle_tests::{
    Client,
    actor::{Actor, join},
    caller::{self, Caller, RequestKind},
    explore,
    quarantine::Quarantine,
    rng::{any, below, one_in},
    tracker::{Message, Outcome, Outcomes, Reply, Tracker},
    worker::{drop_request, fail, reply},
};
use ump_server::{
    Context, JoinErrorKind, JoinHandle, OnPanic, ReplyContext, Restart, Stop, Stopper, WeakClient,
    thread::{Batch, BatchService, Builder, Handler},
};

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// The outcomes that most models have.
const USUAL: &[Outcome] = &[
    Outcome::Replied,
    Outcome::Failed,
    Outcome::NoReply,
    Outcome::TimeoutQueued,
    Outcome::TimeoutTaken,
    Outcome::Left,
    Outcome::Posted,
    Outcome::Unsent,
];
/// The outcomes of a stop.
const STOPPED: &[Outcome] = &[Outcome::Replied, Outcome::ServerDisappeared];
const CAPACITIES: &[usize] = &[usize::MAX, 1, 2];
const ANY_STOP: &[Stop] = &[Stop::Drain, Stop::Refuse];
/// A pause that ends when the schedule lets it.
const LONG: Duration = Duration::from_secs(3600);

type Plain<T = ()> = Context<Message, Reply, Reply, T>;

/// Handles requests in random ways, and breaks off after one in this many.
struct RandomHandler(Option<u32>);

impl Handler<Message, Reply, Reply, u32> for RandomHandler {
    fn init(&mut self, _: WeakClient<Message, Reply, Reply>) {
        shuttle::thread::yield_now();
    }

    fn proc_req(
        &mut self,
        message: Message,
        rctx: ReplyContext<'_, Reply, Reply>,
    ) -> ControlFlow<u32> {
        let token = message.take();
        match below(6) {
            0 => fail(&token, rctx.detach()),
            1 => drop_request(&token, rctx.detach()),
            2 => {
                // Dropped without a reply.
                if rctx.is_post() {
                    token.tracker().accept(true);
                }
            }
            _ => {
                if rctx.answer(Ok(token.make())).is_ok() {
                    token.tracker().accept(true);
                }
            }
        }
        match self.0 {
            Some(times) if one_in(times) => ControlFlow::Break(7),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Replies to a whole batch at its end.
struct ReplyToBatch;

impl BatchService for ReplyToBatch {
    type Request = Message;
    type Reply = Reply;
    type Error = Reply;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, batch: &mut Batch<Message, Reply, Reply>) -> ControlFlow<()> {
        // The whole batch is recorded before another thread runs.
        let taken: Vec<_> = batch
            .drain()
            .map(|(message, rctx)| (message.take(), rctx))
            .collect();
        for (token, rctx) in taken {
            reply(&token, rctx);
        }
        ControlFlow::Continue(())
    }
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("it is not zero")
}

/// Spawns callers, each with its own client and number, that make requests of these kinds.
fn callers(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    tracker: &Tracker,
    kinds: &'static [RequestKind],
    times: usize,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, tracker);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.request_times(&client, kinds, times).await;
        })
    };
    numbers.map(call).collect()
}

/// Spawns callers that make requests until the server has gone.
fn until_gone(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    tracker: &Tracker,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, tracker);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.request_until_gone(&client, caller::ANY).await;
        })
    };
    numbers.map(call).collect()
}

/// Spawns a thread that stops the loop at some time in one of these ways, and sometimes twice.
fn stops(stopper: Stopper, how: &'static [Stop]) -> Actor<()> {
    Actor::thread(async move {
        (0..below(8)).for_each(|_| shuttle::thread::yield_now());
        stopper.stop(any(how));
        if one_in(2) {
            stopper.stop(Stop::Refuse);
        }
    })
}

/// Ends a model: the loop drains its queue, then the counts are compared.
fn end<RV>(
    callers: Vec<Actor<()>>,
    client: &Client,
    handle: JoinHandle<RV>,
    tracker: &Tracker,
) -> Outcomes {
    join(callers);
    handle.stopper().stop(Stop::Drain);
    assert!(handle.join().is_ok_and(|rv| rv.is_none()));
    tracker.close(client.stats())
}

#[test]
fn a_loop_serves_all_kinds_of_callers_in_order() {
    explore(USUAL, || {
        let tracker = Tracker::default();
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn(|_| Ok(RandomHandler(None)))
            .unwrap();
        let callers = callers(0..6, &client, &tracker, caller::ANY, 3);
        let outcomes = end(callers, &client, handle, &tracker);
        tracker.assert_in_order();
        outcomes
    });
}

#[test]
fn a_stopped_or_broken_pool_leaves_no_caller_waiting() {
    explore(STOPPED, || {
        let tracker = Tracker::default();
        // Either one worker breaks off, which ends the others; or the loop is stopped.
        let breaks_off = one_in(2);
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn_pool(some(3), move |cx: &Plain| {
                let is_the_one = breaks_off && cx.worker() == 0;
                Ok(RandomHandler(is_the_one.then_some(4)))
            })
            .unwrap();
        let callers = until_gone(0..4, &client, &tracker);
        let stopping = (!breaks_off).then(|| stops(handle.stopper(), ANY_STOP));
        join(callers);
        join(stopping);
        assert_eq!(handle.join(), Ok(breaks_off.then_some(7)));
        tracker.close(client.stats())
    });
}

/// The handlers of a pool are renewed while the factory may fail: it is called again after a pause.
#[test]
fn queued_requests_survive_handler_restarts() {
    explore(USUAL, || {
        let tracker = Tracker::default();
        let pause = any(&[Duration::ZERO, LONG]);
        let policy = Restart::new().limit(u32::MAX, LONG).pause(pause, pause);
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .on_panic(OnPanic::Restart(policy))
            .spawn_pool(some(1 + below(2)), |cx: &Plain| {
                let fails = cx.restarts() > 0 && one_in(3);
                if fails {
                    Err(failure())
                } else {
                    Ok(RandomHandler(None))
                }
            })
            .unwrap();
        let mut actors = callers(0..5, &client, &tracker, caller::ANY, 3);
        let stopper = handle.stopper();
        actors.push(Actor::thread(async move {
            for _ in 0..3 {
                assert!(stopper.renew(), "it has a factory");
                (0..below(4)).for_each(|_| shuttle::thread::yield_now());
            }
        }));
        let outcomes = end(actors, &client, handle, &tracker);
        assert!(!outcomes.contains_key(&Outcome::ServerDisappeared));
        outcomes
    });
}

/// Makes the error of a factory that fails.
fn failure() -> Reply {
    let message = Caller::new(0, &Tracker::default()).write(false);
    message.take().make()
}

/// A drain waits until the pause ends, so a pause without end is tested with `Refuse` only.
#[test]
fn a_stop_racing_with_failures_has_one_outcome() {
    explore(&[Outcome::ServerDisappeared], || {
        let tracker = Tracker::default();
        let (pause, how) = any(&[(LONG, ANY_STOP), (Duration::MAX, &[Stop::Refuse])]);
        let policy = Restart::new().limit(2, LONG).pause(pause, pause);
        let (client, handle) = Builder::new()
            .on_panic(OnPanic::Restart(policy))
            .spawn_pool(some(2), |cx: &Plain| {
                if cx.restarts() > 0 && one_in(2) {
                    return Err(failure());
                }
                Ok(RandomHandler(None))
            })
            .unwrap();
        let callers = until_gone(0..3, &client, &tracker);
        let stopper = handle.stopper();
        let renewing = Actor::thread(async move {
            (0..4).for_each(|_| assert!(stopper.renew()));
        });
        let stopping = stops(handle.stopper(), how);
        join(callers);
        renewing.join();
        stopping.join();
        match handle.join() {
            Ok(rv) => assert_eq!(rv, None),
            Err(error) => assert!(matches!(error.kind(), JoinErrorKind::GaveUp(_))),
        }
        tracker.close(client.stats())
    });
}

#[test]
fn batches_are_in_order_and_a_drain_empties_the_queue() {
    explore(&[Outcome::Replied, Outcome::Posted], || {
        let tracker = Tracker::default();
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn_batches(some(3), |_: &Plain| Ok(ReplyToBatch))
            .unwrap();
        let callers = callers(0..6, &client, &tracker, caller::ANY, 3);
        let outcomes = end(callers, &client, handle, &tracker);
        tracker.assert_in_order();
        outcomes
    });
}
