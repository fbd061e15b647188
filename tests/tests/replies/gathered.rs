//! Gathered replies.

use super::*;

// ---- gathered

type Gathered = Gather<u32, u32, String>;

/// Makes taken requests, and a gather of their replies with their numbers as keys.
fn gathered(count: u32) -> (Ends, Gathered, Vec<Option<ReplyContext<u32, String>>>) {
    let (server, client): Ends = ump::channel();
    let gather = (0..count)
        .map(|n| (n, client.req_async(n).unwrap()))
        .collect();
    let jobs = (0..count).map(|_| Some(take(&server).1)).collect();
    ((server, client), gather, jobs)
}

fn answer(jobs: &mut [Option<ReplyContext<u32, String>>], n: u32) {
    let rctx = jobs[n as usize].take().expect("not answered yet");
    rctx.reply(n * 10).unwrap();
}

/// A way to get the next ready outcome.
trait Next {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)>;
}

struct Wait;
struct WaitTimeout;
struct TryNext;
struct Streamed;

impl Next for Wait {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        gather.wait()
    }
}

impl Next for WaitTimeout {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        gather.wait_timeout(LONG)
    }
}

impl Next for TryNext {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        while !gather.is_empty() {
            if let Some(outcome) = gather.try_next() {
                return Some(outcome);
            }
            thread::yield_now();
        }
        None
    }
}

impl Next for Streamed {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        next(gather)
    }
}

fn outcomes_come_in_the_order_in_which_they_arrive<N: Next>() {
    let (_ends, mut gather, mut jobs) = gathered(5);
    for n in [3, 0, 4] {
        answer(&mut jobs, n);
    }
    for n in [3, 0, 4] {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    answer(&mut jobs, 2);
    answer(&mut jobs, 1);
    for n in [2, 1] {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    assert_eq!(N::next(&mut gather), None);
}

fn ready_outcomes_come_in_insertion_order<N: Next>() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..3).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 3), Ok(3));
    for (n, rctx) in batch.into_iter().rev() {
        rctx.reply(n * 10).unwrap();
    }
    let mut gather: Gathered = (0..).zip(replies).collect();
    for n in 0..3 {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    assert_eq!(N::next(&mut gather), None);
}

fn every_kind_of_outcome_is_gathered<N: Next>() {
    let ((server, client), mut gather, mut jobs) = gathered(4);
    gather.push(4, client.req_async(4).unwrap());
    let mut end = |n: usize| jobs[n].take().unwrap();
    end(0).reply(1).unwrap();
    end(1).fail(no()).unwrap();
    drop(end(2));
    drop_in_a_panic(end(3));
    drop(server);
    assert_eq!(N::next(&mut gather), Some((0, Ok(1))));
    assert_eq!(N::next(&mut gather), Some((1, Err(Error::App(no())))));
    assert_eq!(N::next(&mut gather), Some((2, Err(Error::NoReply))));
    assert_eq!(N::next(&mut gather), Some((3, Err(Error::NoReply))));
    assert_eq!(
        N::next(&mut gather),
        Some((4, Err(Error::ServerDisappeared)))
    );
    assert_eq!(N::next(&mut gather), None);
}

fn outcomes_of_other_threads_are_waited_for<N: Next>() {
    let (_ends, mut gather, mut jobs) = gathered(50);
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..50 {
                // The jobs are answered in another order, which reaches all of them.
                answer(&mut jobs, n * 7 % 50);
                if n % 5 == 0 {
                    thread::yield_now();
                }
            }
        });
        for n in 0..50 {
            let n = n * 7 % 50;
            assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
        }
    });
    assert_eq!(N::next(&mut gather), None);
}

fn more_can_be_added_at_any_time<N: Next>() {
    let (server, client): Ends = ump::channel();
    let mut gather = Gathered::new();
    assert_eq!(N::next(&mut gather), None);
    // The gather grows, shrinks to nothing, and grows again.
    for round in 0..3 {
        for n in 0..10 {
            gather.push(n, client.req_async(n).unwrap());
            if n % 2 == 0 {
                let (n, rctx) = take(&server);
                rctx.reply(n + round).unwrap();
                assert_eq!(N::next(&mut gather), Some((n, Ok(n + round))));
            }
        }
        assert_eq!(gather.len(), 5);
        for left in (0..5).rev() {
            let (n, rctx) = take(&server);
            rctx.reply(n + round).unwrap();
            assert_eq!(N::next(&mut gather), Some((n, Ok(n + round))));
            assert_eq!(gather.len(), left);
        }
        assert_eq!(N::next(&mut gather), None);
    }
}

fn the_same_key_can_be_used_twice<N: Next>() {
    let (server, client): Ends = ump::channel();
    let mut gather = Gathered::new();
    for n in 0..3 {
        gather.push(7, client.req_async(n).unwrap());
    }
    drop(server);
    for _ in 0..3 {
        assert_eq!(
            N::next(&mut gather),
            Some((7, Err(Error::ServerDisappeared)))
        );
    }
    assert_eq!(N::next(&mut gather), None);
}

fn each_of_ten_thousand_replies_comes_once<N: Next>() {
    const COUNT: u32 = 10_000;
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let workers = Arc::new(server);
        for _ in 0..2 {
            let server = Arc::clone(&workers);
            scope.spawn(move || {
                let mut held = Vec::new();
                for (n, rctx) in &*server {
                    held.push((n, rctx));
                    // The requests are answered in small groups, the last ones first.
                    if held.len() == 7 {
                        for (n, rctx) in held.drain(..).rev() {
                            rctx.reply(n + 1).unwrap();
                        }
                    }
                }
                for (n, rctx) in held {
                    rctx.reply(n + 1).unwrap();
                }
            });
        }
        drop(workers);
        let mut gather: Gathered = (0..COUNT)
            .map(|n| (n, client.req_async(n).unwrap()))
            .collect();
        drop(client);
        let mut seen = vec![false; COUNT as usize];
        for left in (0..COUNT as usize).rev() {
            let (n, outcome) = N::next(&mut gather).expect("there are more");
            assert_eq!(outcome, Ok(n + 1));
            assert!(
                !std::mem::replace(&mut seen[n as usize], true),
                "{n} came twice"
            );
            assert_eq!(gather.len(), left);
        }
        assert_eq!(N::next(&mut gather), None);
    });
}

fn dropping_a_gather_cancels_what_has_not_ended<N: Next>() {
    let ((server, client), mut gather, mut jobs) = gathered(3);
    gather.push(3, client.req_async(3).unwrap());
    answer(&mut jobs, 1);
    answer(&mut jobs, 2);
    assert_eq!(N::next(&mut gather), Some((1, Ok(10))));
    drop(gather);
    assert!(jobs[0].as_ref().unwrap().is_cancelled());
    assert!(server.is_empty());
    let expected = stats_with(|stats| {
        stats.accepted = 4;
        stats.replied = 2;
        stats.cancelled_queued = 1;
        stats.cancelled_taken = 1;
    });
    assert_eq!(server.stats(), expected);
}

mod gather {
    use super::*;

    for_each!(
        wait = Wait,
        wait_timeout = WaitTimeout,
        try_next = TryNext,
        stream = Streamed
        => {
            outcomes_come_in_the_order_in_which_they_arrive,
            ready_outcomes_come_in_insertion_order,
            every_kind_of_outcome_is_gathered,
            outcomes_of_other_threads_are_waited_for,
            more_can_be_added_at_any_time,
            the_same_key_can_be_used_twice,
            each_of_ten_thousand_replies_comes_once,
            dropping_a_gather_cancels_what_has_not_ended,
        }
    );
}

#[test]
fn an_empty_gather_has_nothing_to_wait_for() {
    let mut gather = Gathered::default();
    assert!(gather.is_empty());
    assert_eq!(gather.wait(), None);
    assert_eq!(gather.wait_timeout(Duration::MAX), None);
    assert_eq!(gather.try_next(), None);
    assert_eq!(next(&mut gather), None);
    assert_eq!(gather.size_hint(), (0, Some(0)));
}

#[test]
fn a_gather_gives_up_after_its_time_and_keeps_all() {
    let (_ends, mut gather, mut jobs) = gathered(2);
    let start = Instant::now();
    let time = Duration::from_millis(2);
    assert_eq!(gather.wait_timeout(time), None);
    assert!(start.elapsed() >= time);
    assert_eq!(gather.wait_timeout(Duration::ZERO), None);
    assert_eq!(gather.try_next(), None);
    assert_eq!(gather.len(), 2);
    assert_eq!(gather.size_hint(), (2, Some(2)));
    answer(&mut jobs, 1);
    assert_eq!(gather.wait_timeout(Duration::ZERO), Some((1, Ok(10))));
    answer(&mut jobs, 0);
    assert_eq!(gather.wait_timeout(Duration::MAX), Some((0, Ok(0))));
}

fn poll_gather(gather: &mut Gathered, counter: &Arc<CountingWaker>) -> Poll<Option<u32>> {
    Pin::new(gather)
        .poll_next(&mut Context::from_waker(&counter.waker()))
        .map(|next| next.map(|(n, _)| n))
}

#[test]
fn a_gathering_task_is_woken_by_any_reply() {
    let (_ends, mut gather, mut jobs) = gathered(3);
    let (first, last) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_gather(&mut gather, &first).is_pending());
    assert!(poll_gather(&mut gather, &last).is_pending());
    assert_eq!((first.wakers(), last.wakers()), (0, 1));
    answer(&mut jobs, 2);
    assert_eq!((first.wakes(), last.wakes()), (0, 1));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(2)));
    assert!(poll_gather(&mut gather, &last).is_pending());
    answer(&mut jobs, 0);
    answer(&mut jobs, 1);
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(0)));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(1)));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(None));
    assert_eq!((first.wakers(), last.wakers()), (0, 0));
}

#[test]
fn a_gathering_task_sees_replies_added_meanwhile() {
    let ((server, client), mut gather, _jobs) = gathered(1);
    let counter = CountingWaker::new();
    assert!(poll_gather(&mut gather, &counter).is_pending());
    // A pending reply is added.
    gather.push(5, client.req_async(5).unwrap());
    let wakes = counter.wakes();
    take(&server).1.reply(50).unwrap();
    assert!(counter.wakes() > wakes);
    assert_eq!(poll_gather(&mut gather, &counter), Poll::Ready(Some(5)));
    assert!(poll_gather(&mut gather, &counter).is_pending());
    // A ready reply is added.
    let reply = client.req_async(6).unwrap();
    take(&server).1.reply(60).unwrap();
    let wakes = counter.wakes();
    gather.push(6, reply);
    assert!(counter.wakes() > wakes);
    assert_eq!(poll_gather(&mut gather, &counter), Poll::Ready(Some(6)));
}

/// A reused entry belongs to the new request only.
#[test]
fn a_reply_in_a_reused_entry_is_not_confused() {
    let ((server, client), mut gather, mut jobs) = gathered(3);
    answer(&mut jobs, 1);
    assert_eq!(gather.wait(), Some((1, Ok(10))));
    gather.push(5, client.req_async(5).unwrap());
    assert_eq!(gather.try_next(), None);
    answer(&mut jobs, 0);
    assert_eq!(gather.try_next(), Some((0, Ok(0))));
    gather.push(6, client.req_async(6).unwrap());
    assert_eq!(gather.try_next(), None);
    let (five, six) = (take(&server), take(&server));
    six.1.reply(60).unwrap();
    answer(&mut jobs, 2);
    five.1.reply(50).unwrap();
    assert_eq!(gather.wait(), Some((6, Ok(60))));
    assert_eq!(gather.wait(), Some((2, Ok(20))));
    assert_eq!(gather.wait(), Some((5, Ok(50))));
    assert_eq!(gather.wait(), None);
}

#[test]
fn a_thread_and_a_task_can_wait_in_turn() {
    let (_ends, mut gather, mut jobs) = gathered(3);
    let counter = CountingWaker::new();
    assert!(poll_gather(&mut gather, &counter).is_pending());
    assert_eq!(gather.wait_timeout(Duration::from_micros(1)), None);
    assert_eq!(counter.wakers(), 0);
    assert!(poll_gather(&mut gather, &counter).is_pending());
    answer(&mut jobs, 0);
    assert_eq!(counter.wakes(), 1);
    assert_eq!(gather.wait(), Some((0, Ok(0))));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| gather.wait());
        answer(&mut jobs, 1);
        assert_eq!(waiter.join().unwrap(), Some((1, Ok(10))));
    });
    assert!(poll_gather(&mut gather, &counter).is_pending());
    answer(&mut jobs, 2);
    assert_eq!(counter.wakes(), 2);
}

#[test]
fn replies_with_options_are_gathered_with_errors() {
    let (server, client): Ends = ump::channel();
    let submit = |n| client.request(n).submit().wait().unwrap();
    let mut gather = Gather::new();
    gather.extend([("a", submit(1)), ("b", submit(2))]);
    take(&server).1.fail(no()).unwrap();
    drop(server);
    assert!(matches!(
        gather.wait(),
        Some(("a", Err(RequestError::App(error)))) if error == no()
    ));
    assert!(matches!(
        gather.wait(),
        Some(("b", Err(RequestError::ServerDisappeared(2))))
    ));
    assert!(gather.wait().is_none());
}

/// One task sends requests to many servers and takes the replies as they come.
#[tokio::test]
async fn a_task_gathers_from_several_servers() {
    let mut gather = Gather::<_, u32, String>::new();
    for caller in 0..3 {
        let (server, client): Ends = ump::channel();
        for n in 0..10 {
            gather.push((caller, n), client.req_async(n).unwrap());
        }
        tokio::spawn(async move {
            while let Ok((n, rctx)) = server.async_wait().await {
                rctx.reply(n + caller).unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut gather = pin!(gather);
    while let Some(((caller, n), outcome)) =
        std::future::poll_fn(|cx| gather.as_mut().poll_next(cx)).await
    {
        assert_eq!(outcome, Ok(n + caller));
        assert!(seen.insert((caller, n)));
    }
    assert_eq!(seen.len(), 30);
}

/// A reply can move between tasks and threads like any future.
#[test]
fn a_reply_can_move_between_threads_while_polled() {
    let ((server, _client), mut reply) = asked::<ReqAsync>();
    let counter = CountingWaker::new();
    assert!(poll_with(&mut reply, &counter).is_pending());
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut reply = Box::pin(reply);
            loop {
                if let Poll::Ready(outcome) = reply.as_mut().poll(&mut cx) {
                    break outcome;
                }
                thread::yield_now();
            }
        });
        eventually(|| counter.wakers() == 0);
        take(&server).1.reply(8).unwrap();
        assert_eq!(other.join().unwrap(), Ok(8));
    });
    assert_eq!(counter.wakes(), 0);
}
