//! Each future and stream lets other tasks run, even when it is always ready.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tests::{CountingWaker, LONG, must_end};
use ump::{Clock, channel, coop};
use ump_server::{ReplyContext, TestClock, task};

use super::{alone, table::table};

/// The results of one turn. Some entries wait at times, and each wait may restore the budget once.
const MOST: u32 = 4 * coop::BUDGET;

/// Polls a task that counts. Checks that it yields and is woken, and that it does a bounded amount
/// of work in between.
fn yields_in_time(name: &str, count: &Cell<u32>, task: impl Future<Output = ()>) {
    let counter = CountingWaker::new();
    let waker = counter.waker();
    let mut task = pin!(task);
    for turn in 0..3 {
        let (wakes, before) = (counter.wakes(), count.get());
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending(), "{name} has not yielded");
        assert!(counter.wakes() > wakes, "{name} sleeps, turn {turn}");
        assert!(count.get() - before <= MOST, "{name}, turn {turn}");
    }
}

#[test]
fn a_future_that_is_always_ready_yields() {
    let _alone = alone();
    for mut entry in table() {
        let count = Cell::new(0);
        yields_in_time(entry.name, &count, async {
            // Without a budget the task would never end.
            while count.get() < 10 * MOST {
                (entry.ready)().await;
                count.set(count.get() + 1);
            }
        });
    }
}

#[test]
fn a_stream_that_is_always_ready_yields() {
    let _alone = alone();
    let (server, client) = channel::<u32, (), ()>();
    let count = Cell::new(0);
    let mut requests = server.stream();
    yields_in_time("Requests", &count, async {
        while count.get() < 10 * MOST {
            client.post(1).wait().unwrap();
            let _ = poll_fn(|cx| requests.poll_wait(cx)).await.unwrap();
            count.set(count.get() + 1);
        }
    });
}

#[test]
fn a_select_of_busy_streams_yields() {
    let _alone = alone();
    let ends = [(); 3].map(|()| channel::<u32, (), ()>());
    let count = Cell::new(0);
    yields_in_time("select", &count, async {
        while count.get() < 10 * MOST {
            for (_, client) in &ends {
                client.post(1).wait().unwrap();
            }
            tokio::select! {
                biased;
                job = ends[0].0.async_wait() => drop(job),
                job = ends[1].0.async_wait() => drop(job),
                job = ends[2].0.async_wait() => drop(job),
            }
            count.set(count.get() + 1);
        }
    });
}

#[test]
fn a_batch_counts_each_of_its_requests() {
    let _alone = alone();
    let (server, client) = channel::<u32, (), ()>();
    let count = Cell::new(0);
    yields_in_time("async_wait_many", &count, async {
        let mut batch = Vec::new();
        while count.get() < 10 * MOST {
            (0..32).for_each(|n| client.post(n).wait().unwrap());
            server.async_wait_many(&mut batch, 32).await.unwrap();
            count.set(count.get() + u32::try_from(batch.drain(..).count()).unwrap());
        }
    });
}

#[test]
fn an_interrupted_yield_loses_no_request() {
    let _alone = alone();
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let waker = counter.waker();
    let mut cx = Context::from_waker(&waker);
    let mut waiting = pin!(server.async_wait());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    let mut other = Box::pin(server.async_wait());
    assert!(other.as_mut().poll(&mut cx).is_pending());
    client.post(7).wait().unwrap();
    // The first receiver was woken, yields instead, and is dropped: the wake-up goes to the other
    // receiver.
    let wakes = counter.wakes();
    let yields = coop::with_budget(0, || waiting.as_mut().poll(&mut cx));
    assert!(yields.is_pending());
    assert_eq!(counter.wakes(), wakes + 1);
    let wakes = counter.wakes();
    waiting.set(server.async_wait());
    assert_eq!(counter.wakes(), wakes + 1);
    let Poll::Ready(Ok((7, _))) = other.as_mut().poll(&mut cx) else {
        panic!("it is lost")
    };
}

#[test]
fn a_ready_future_is_not_late_at_the_deadline() {
    let _alone = alone();
    let (server, client) = channel::<u32, (), ()>();
    let clock = Clock::system();
    let past = Some(clock.now());
    for n in 0..3 * coop::BUDGET {
        client.post(n).wait().unwrap();
        let taken = clock.block_on(server.async_wait(), past);
        assert_eq!(taken.expect("it is there").unwrap().0, n);
    }
}

#[test]
fn a_poll_by_hand_with_a_silent_waker_never_yields() {
    let _alone = alone();
    let (server, client) = channel::<u32, (), ()>();
    for n in 0..3 * coop::BUDGET {
        client.post(n).wait().unwrap();
        let mut taken = pin!(server.async_wait());
        assert!(tests::poll_once(&mut taken).is_ready());
    }
}

/// Lets ready tasks run. (tokio's `yield_now` runs all of them about sixty times.)
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A task that alternates with another one, which counts its work in each turn.
async fn turns(done: Arc<AtomicUsize>, most: usize) {
    for _ in 0..20 {
        let before = done.load(Ordering::Relaxed);
        yield_now().await;
        let turn = done.load(Ordering::Relaxed) - before;
        assert!(turn <= most, "{turn} in one turn");
    }
}

/// Two threads keep a loop's queue full while another task of the same executor runs.
fn shares_its_executor(builder: task::Builder, most: usize) {
    must_end(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let handled = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (counted, ends) = (Arc::clone(&handled), Arc::clone(&over));
        let handler = move |_: u32, rctx: ump::ReplyContext<(), ()>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = rctx.reply(());
            std::future::ready(if ends.load(Ordering::Relaxed) {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            })
        };
        let (client, _handle) = runtime.block_on(async { builder.spawn(|_| Ok(handler)).unwrap() });
        // Two threads post without a pause, on top of a backlog, so there is always a request.
        let posting: Vec<_> = [client.clone(), client.clone()]
            .into_iter()
            .map(|client| thread::spawn(move || while client.post(1).wait().is_ok() {}))
            .collect();
        (0..1_000).for_each(|_| client.post(1).wait().unwrap());
        runtime.block_on(async {
            let turns = tokio::spawn(turns(handled, most));
            turns.await.unwrap();
            over.store(true, Ordering::Relaxed);
            while !client.is_closed() {
                yield_now().await;
            }
        });
        for thread in posting {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_loop_that_is_always_busy_shares_its_executor() {
    let _alone = alone();
    shares_its_executor(task::Builder::new(), coop::BUDGET as usize);
}

#[test]
fn the_budget_of_a_loop_can_be_chosen() {
    let _alone = alone();
    shares_its_executor(task::Builder::new().budget(7), 7);
    shares_its_executor(task::Builder::new().budget(1_000), 1_000);
}

/// A handler whose timer is always due.
struct Ticks(Arc<AtomicUsize>);

impl task::Handler<(), (), (), (), ()> for Ticks {
    async fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Break(())
    }

    async fn on_timer(&mut self, (): ()) -> std::ops::ControlFlow<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::ops::ControlFlow::Continue(())
    }
}

#[test]
fn a_timer_without_a_period_shares_its_executor() {
    let _alone = alone();
    must_end(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let ticks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ticks);
        runtime.block_on(async {
            let (client, handle) = task::Builder::new()
                .spawn_with(move |cx| {
                    for _ in 0..3 {
                        let _ = cx.timers().every(Duration::ZERO, ());
                    }
                    Ok(Ticks(Arc::clone(&counted)))
                })
                .unwrap();
            let turns = tokio::spawn(turns(ticks, coop::BUDGET as usize));
            turns.await.unwrap();
            let _ = client.areq(()).await;
            handle.await.unwrap();
        });
    });
}

#[test]
fn a_test_clock_waits_for_a_loop_that_yields() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let clock = TestClock::new();
    runtime.block_on(async {
        let (client, _handle) = task::Builder::new()
            .test_clock(&clock)
            .budget(1)
            .spawn(|_| Ok(task::reply(async |n: u32| n)))
            .unwrap();
        let replies: Vec<_> = (0..100).map(|n| client.req_async(n).unwrap()).collect();
        clock.advance_async(LONG).await;
        assert!(replies.iter().all(ump::WaitReply::is_ready));
    });
}
