//! A caller leaves its request, by a deadline or by a drop.

use loom::{future::block_on, thread};
use loom_tests::{Census, answer, assert_settled, explore, some_day};
use ump::{RequestError, channel};

/// [slot 5: ABANDONED against DONE]
#[test]
fn a_reply_that_is_dropped_is_cancelled_or_too_late() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, _, ()>();
        let reply = client.req_async(census.born()).unwrap();
        let handler = {
            let census = census.clone();
            thread::spawn(move || {
                if let Ok(Some((message, rctx))) = server.try_pop() {
                    drop(message);
                    let _ = rctx.answer(Ok(census.born()));
                }
                server
            })
        };
        drop(reply);
        let server = handler.join().unwrap();
        let stats = server.stats();
        assert_settled(stats);
        assert_eq!(
            stats.replied + stats.cancelled_queued + stats.cancelled_taken,
            1
        );
        assert_eq!(census.alive(), 0);
    });
}

/// [slot 1: revocation against taking]
#[test]
fn a_blocking_request_that_times_out_is_executed_or_comes_back() {
    explore(|| {
        let (server, client) = channel();
        let server = thread::spawn(move || {
            let taken = server.try_pop().ok().flatten();
            let executed = taken.is_some();
            if let Some((n, rctx)) = taken {
                answer(n, rctx);
            }
            (executed, server)
        });
        let outcome = client.request(1).deadline(some_day()).wait();
        let (executed, server) = server.join().unwrap();
        match outcome {
            Ok(reply) => assert!(executed && reply == 2),
            Err(RequestError::TimeoutTaken) => assert!(executed),
            Err(RequestError::TimeoutQueued(message)) => assert!(!executed && message == 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_settled(server.stats());
    });
}

#[test]
fn an_async_request_that_times_out_is_executed_or_comes_back() {
    explore(|| {
        let (server, client) = channel();
        let server = thread::spawn(move || {
            let taken = server.try_pop().ok().flatten();
            let executed = taken.is_some();
            if let Some((n, rctx)) = taken {
                answer(n, rctx);
            }
            (executed, server)
        });
        let outcome = block_on(async { client.request(1).deadline(some_day()).await });
        let (executed, server) = server.join().unwrap();
        match outcome {
            Ok(reply) => assert!(executed && reply == 2),
            Err(RequestError::TimeoutTaken) => assert!(executed),
            Err(RequestError::TimeoutQueued(message)) => assert!(!executed && message == 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_settled(server.stats());
    });
}

/// [slot 3, 5: the handler's waiter]
#[test]
fn a_handler_sees_that_its_caller_has_left() {
    explore(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        let handler = thread::spawn(move || {
            block_on(rctx.cancelled());
            assert_eq!(rctx.answer(Ok(2)), Err(Ok(2)));
        });
        drop(reply);
        handler.join().unwrap();
        assert_eq!(server.stats().cancelled_taken, 1);
    });
}

/// [slot 4: a batch is linked outside the lock while its callers try to withdraw]
#[test]
fn a_batch_is_answered_while_its_callers_leave() {
    explore(|| {
        let census = Census::default();
        let (server, client) = channel::<_, u32, ()>();
        let first = client.req_async(census.born()).unwrap();
        let second = client.req_async(census.born()).unwrap();
        let server = thread::spawn(move || {
            let mut batch = Vec::new();
            let taken = server.wait_many(&mut batch, 2).unwrap_or(0);
            assert_eq!(taken, batch.len());
            for (message, rctx) in batch {
                drop(message);
                let _ = rctx.reply(0);
            }
            server
        });
        drop(second);
        assert_eq!(first.wait(), Ok(0));
        let server = server.join().unwrap();
        assert_settled(server.stats());
        assert_eq!(server.stats().accepted, 2);
        assert_eq!(census.alive(), 0);
    });
}
