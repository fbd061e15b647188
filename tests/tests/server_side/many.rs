//! Batches: `wait_many` and `async_wait_many`.

use super::*;

// ---- wait_many, async_wait_many

trait Many {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>>;
}

struct Blocking;
struct Async;

impl Many for Blocking {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>> {
        server.wait_many(batch, max)
    }
}

impl Many for Async {
    fn many(
        server: &Server<u32, u32, ()>,
        batch: &mut Vec<Job>,
        max: usize,
    ) -> Result<usize, Error<()>> {
        block_on(server.async_wait_many(batch, max))
    }
}

fn a_batch_is_limited_to_what_is_queued<M: Many>() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..5);
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 2), Ok(2));
    assert_eq!(messages(&batch), [0, 1]);
    assert_eq!(server.len(), 3);
    assert_eq!(M::many(&server, &mut batch, usize::MAX), Ok(3));
    assert_eq!(messages(&batch), [0, 1, 2, 3, 4]);
    let expected = stats_with(|stats| (stats.accepted, stats.taken) = (5, 5));
    assert_eq!(server.stats(), expected);
}

fn a_batch_of_nothing_takes_nothing_and_does_not_wait<M: Many>() {
    let (server, client): Ends = ump::channel();
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    post(&client, [7]);
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    assert_eq!(server.len(), 1);
    drop(client);
    drop(server.try_pop());
    assert_eq!(M::many(&server, &mut batch, 0), Ok(0));
    assert!(batch.is_empty());
}

fn a_batch_waits_for_its_first_request<M: Many>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let mut batch = Vec::new();
            while batch.len() < 5 {
                let count = M::many(&server, &mut batch, 3).unwrap();
                assert!((1..=3).contains(&count));
            }
            messages(&batch)
        });
        post(&client, 0..5);
        assert_eq!(taken.join().unwrap(), [0, 1, 2, 3, 4]);
    });
}

fn a_batch_is_left_alone_when_no_client_is_left<M: Many>() {
    let (server, client): Ends = ump::channel();
    post(&client, [1, 2]);
    drop(client);
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 9), Ok(2));
    assert_eq!(
        M::many(&server, &mut batch, 9),
        Err(Error::ClientsDisappeared)
    );
    assert_eq!(messages(&batch), [1, 2]);
}

fn each_request_of_a_batch_has_its_own_context<M: Many>() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..10).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(M::many(&server, &mut batch, 10), Ok(10));
    for (n, rctx) in batch.into_iter().rev() {
        match n % 3 {
            0 => rctx.reply(n).unwrap(),
            1 => rctx.fail(()).unwrap(),
            _ => drop(rctx),
        }
    }
    for (n, reply) in (0..).zip(replies) {
        let expected = match n % 3 {
            0 => Ok(n),
            1 => Err(Error::App(())),
            _ => Err(Error::NoReply),
        };
        assert_eq!(reply.wait(), expected);
    }
}

mod cases {
    use super::*;

    for_each!(
        blocking = Blocking,
        asynchronous = Async
        => {
            a_batch_is_limited_to_what_is_queued,
            a_batch_of_nothing_takes_nothing_and_does_not_wait,
            a_batch_waits_for_its_first_request,
            a_batch_is_left_alone_when_no_client_is_left,
            each_request_of_a_batch_has_its_own_context,
        }
    );
}
