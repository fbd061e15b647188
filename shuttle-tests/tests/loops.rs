//! Models of loops on threads, with all that ask them: what a loop adds to the channel. Each request ends once and in an outcome that fits, the
//! books add up, whoever joins is told, and nobody sleeps for ever: not while a loop ends, is stopped, or makes its handlers anew.
//!
//! No handler panics here: others cannot run while a thread unwinds, and shuttle takes each panic for the end. A factory that refuses is a failure
//! as well, with the same pause after it.
#![cfg(shuttle)]

use std::{num::NonZeroUsize, ops::ControlFlow, time::Duration};

use shuttle_tests::{
    Client,
    actor::{Actor, join},
    book::{Book, End, Ends, Message, Reply},
    caller::{self, Caller, Way},
    chance::{any, below, one_in},
    explore,
    quarantine::Quarantine,
    worker::{let_go, refuse, reply},
};
use ump_server::{
    Context, JoinErrorKind, JoinHandle, OnPanic, ReplyContext, Restart, Stop, Stopper, WeakClient,
    thread::{Batch, BatchService, Builder, Handler},
};

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// What one sees of most models.
const USUAL: &[End] = &[
    End::Replied,
    End::Failed,
    End::NoReply,
    End::TimeoutQueued,
    End::TimeoutTaken,
    End::Left,
    End::Posted,
    End::Unsent,
];
/// What comes of a stop.
const TURNED_DOWN: &[End] = &[End::Replied, End::ServerDisappeared];
const CAPACITIES: &[usize] = &[usize::MAX, 1, 2];
const ANYHOW: &[Stop] = &[Stop::Drain, Stop::Refuse];
/// A pause that is over when chance will have it.
const LONG: Duration = Duration::from_secs(3600);

type Plain<T = ()> = Context<Message, Reply, Reply, T>;

/// Answers in some way, or not at all. May break off after one in so many.
struct Answering(Option<u32>);

impl Handler<Message, Reply, Reply, u32> for Answering {
    fn init(&mut self, _: WeakClient<Message, Reply, Reply>) {
        shuttle::thread::yield_now();
    }

    fn proc_req(
        &mut self,
        message: Message,
        rctx: ReplyContext<'_, Reply, Reply>,
    ) -> ControlFlow<u32> {
        let answer = message.take();
        match below(6) {
            0 => refuse(&answer, rctx.detach()),
            1 => let_go(&answer, rctx.detach()),
            2 => {
                // Lent, and not made use of.
                if rctx.is_post() {
                    answer.book().welcome(true);
                }
            }
            _ => {
                if rctx.answer(Ok(answer.make())).is_ok() {
                    answer.book().welcome(true);
                }
            }
        }
        match self.0 {
            Some(times) if one_in(times) => ControlFlow::Break(7),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Answers all of a batch at its end.
struct Batching;

impl BatchService for Batching {
    type Request = Message;
    type Reply = Reply;
    type Error = Reply;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, batch: &mut Batch<Message, Reply, Reply>) -> ControlFlow<()> {
        // All that come together are noted before anybody else runs.
        let taken: Vec<_> = batch
            .drain()
            .map(|(message, duty)| (message.take(), duty))
            .collect();
        for (answer, duty) in taken {
            reply(&answer, duty);
        }
        ControlFlow::Continue(())
    }
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("it is not zero")
}

/// Callers of these numbers, who each ask so often with a client of its own, in ways like these.
fn callers(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    book: &Book,
    ways: &'static [Way],
    times: usize,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, book);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.ask_times(&client, ways, times).await;
        })
    };
    numbers.map(call).collect()
}

/// Those who ask until there is nobody to be asked.
fn until_gone(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    book: &Book,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, book);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.ask_until_gone(&client, caller::ANY).await;
        })
    };
    numbers.map(call).collect()
}

/// Somebody who stops it, at some time and in one of these ways, and perhaps again.
fn stops(stopper: Stopper, how: &'static [Stop]) -> Actor<()> {
    Actor::thread(async move {
        (0..below(8)).for_each(|_| shuttle::thread::yield_now());
        stopper.stop(any(how));
        if one_in(2) {
            stopper.stop(Stop::Refuse);
        }
    })
}

/// Ends a model whose loop serves whatever its callers have left in the queue.
fn end<RV>(callers: Vec<Actor<()>>, client: &Client, handle: JoinHandle<RV>, book: &Book) -> Ends {
    join(callers);
    handle.stopper().stop(Stop::Drain);
    assert!(handle.join().is_ok_and(|rv| rv.is_none()));
    book.close(client.stats())
}

#[test]
fn a_loop_serves_all_kinds_of_callers_in_order() {
    explore(USUAL, || {
        let book = Book::default();
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn(|_| Ok(Answering(None)))
            .unwrap();
        let callers = callers(0..6, &client, &book, caller::ANY, 3);
        let ends = end(callers, &client, handle, &book);
        book.assert_in_order();
        ends
    });
}

#[test]
fn a_stopped_or_broken_pool_leaves_no_caller_waiting() {
    explore(TURNED_DOWN, || {
        let book = Book::default();
        // One of the workers does, and the others end on account of that; or somebody stops it.
        let breaks_off = one_in(2);
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn_pool(some(3), move |cx: &Plain| {
                let is_the_one = breaks_off && cx.worker() == 0;
                Ok(Answering(is_the_one.then_some(4)))
            })
            .unwrap();
        let callers = until_gone(0..4, &client, &book);
        let stopping = (!breaks_off).then(|| stops(handle.stopper(), ANYHOW));
        join(callers);
        join(stopping);
        assert_eq!(handle.join(), Ok(breaks_off.then_some(7)));
        book.close(client.stats())
    });
}

/// The workers of a pool are told to make their handlers anew, and the factory may refuse: that is a failure, and another one is made after a pause.
#[test]
fn queued_requests_survive_handler_restarts() {
    explore(USUAL, || {
        let book = Book::default();
        let pause = any(&[Duration::ZERO, LONG]);
        let policy = Restart::new().limit(u32::MAX, LONG).pause(pause, pause);
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .on_panic(OnPanic::Restart(policy))
            .spawn_pool(some(1 + below(2)), |cx: &Plain| {
                let refuses = cx.restarts() > 0 && one_in(3);
                let refusal = || book_of_nobody();
                if refuses {
                    Err(refusal())
                } else {
                    Ok(Answering(None))
                }
            })
            .unwrap();
        let mut actors = callers(0..5, &client, &book, caller::ANY, 3);
        let stopper = handle.stopper();
        actors.push(Actor::thread(async move {
            for _ in 0..3 {
                assert!(stopper.renew(), "it has a factory");
                (0..below(4)).for_each(|_| shuttle::thread::yield_now());
            }
        }));
        let ends = end(actors, &client, handle, &book);
        assert!(!ends.contains_key(&End::ServerDisappeared));
        ends
    });
}

/// What a factory refuses with, which nobody looks at.
fn book_of_nobody() -> Reply {
    let message = Caller::new(0, &Book::default()).write(false);
    message.take().make()
}

/// A drain waits until the pause is over, so there is none against a pause without end.
#[test]
fn a_stop_racing_with_failures_has_one_outcome() {
    explore(&[End::ServerDisappeared], || {
        let book = Book::default();
        let (pause, how) = any(&[(LONG, ANYHOW), (Duration::MAX, &[Stop::Refuse])]);
        let policy = Restart::new().limit(2, LONG).pause(pause, pause);
        let (client, handle) = Builder::new()
            .on_panic(OnPanic::Restart(policy))
            .spawn_pool(some(2), |cx: &Plain| {
                if cx.restarts() > 0 && one_in(2) {
                    return Err(book_of_nobody());
                }
                Ok(Answering(None))
            })
            .unwrap();
        let callers = until_gone(0..3, &client, &book);
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
        book.close(client.stats())
    });
}

#[test]
fn batches_are_in_order_and_a_drain_empties_the_queue() {
    explore(&[End::Replied, End::Posted], || {
        let book = Book::default();
        let (client, handle) = Builder::new()
            .capacity(any(CAPACITIES))
            .spawn_batches(some(3), |_: &Plain| Ok(Batching))
            .unwrap();
        let callers = callers(0..6, &client, &book, caller::ANY, 3);
        let ends = end(callers, &client, handle, &book);
        book.assert_in_order();
        ends
    });
}
