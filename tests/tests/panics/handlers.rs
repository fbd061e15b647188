//! Handlers that panic.

use super::*;

type Echo = (Server<u32, u32, Refused>, Client<u32, u32, Refused>);

/// Takes one request and panics.
fn panics_on_a_thread(server: &Arc<Server<u32, u32, Refused>>) {
    let server = Arc::clone(server);
    let handler = thread::spawn(move || {
        let (_n, _rctx) = server.wait().unwrap();
        panic!("the handler is meant to panic");
    });
    assert!(handler.join().is_err());
}

/// Takes one request and panics.
fn panics_in_a_task(server: &Arc<Server<u32, u32, Refused>>) {
    let server = Arc::clone(server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handler = runtime.spawn(async move {
        let (_n, _rctx) = server.async_wait().await.unwrap();
        tokio::task::yield_now().await;
        panic!("the handler is meant to panic");
    });
    assert!(runtime.block_on(handler).unwrap_err().is_panic());
}

fn caller_of(
    handler: fn(&Arc<Server<u32, u32, Refused>>),
    ask: fn(&Client<u32, u32, Refused>) -> Result<u32, String>,
    error: &str,
) {
    let (server, client): Echo = channel();
    let server = Arc::new(server);
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&client));
        handler(&server);
        assert_eq!(asking.join().unwrap().unwrap_err(), error);
    });
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.panicked, stats.no_reply), (1, 1, 0));
    assert_quiet(stats);
    // The server still works: the next worker continues.
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&client));
        let (n, rctx) = server.wait().unwrap();
        rctx.reply(n + 1).unwrap();
        assert_eq!(asking.join().unwrap(), Ok(2));
    });
    assert_quiet(client.stats());
}

macro_rules! callers {
    ($($name:ident: $ask:expr, $error:expr;)*) => {$(
        mod $name {
            #[test]
            fn learns_that_the_handler_panicked_on_a_thread() {
                super::caller_of(super::panics_on_a_thread, $ask, $error);
            }

            #[test]
            fn learns_that_the_handler_panicked_in_a_task() {
                super::caller_of(super::panics_in_a_task, $ask, $error);
            }
        }
    )*};
}

const PLAIN: &str = "no reply: the handler dropped the request, panicked or was not allowed to finish, the client's default time-out passed, or the caller would have waited for itself";
const FULL: &str = "no reply: the handler panicked";

callers! {
    req: |c| c.req(1).map_err(|e| e.to_string()), super::PLAIN;
    areq: |c| tests::block_on(c.areq(1)).map_err(|e| e.to_string()), super::PLAIN;
    req_async_wait: |c| c.req_async(1).unwrap().wait().map_err(|e| e.to_string()), super::PLAIN;
    req_async_await: |c| tests::block_on(c.req_async(1).unwrap()).map_err(|e| e.to_string()), super::PLAIN;
    request_wait: |c| c.request(1).wait().map_err(|e| e.to_string()), super::FULL;
    request_await: |c| tests::block_on(c.request(1)).map_err(|e| e.to_string()), super::FULL;
    request_with_deadline_wait: |c| c.request(1).timeout(tests::LONG).wait().map_err(|e| e.to_string()), super::FULL;
    request_with_deadline_await: |c| tests::block_on(c.request(1).timeout(tests::LONG)).map_err(|e| e.to_string()), super::FULL;
    submit_wait: |c| c.request(1).submit().wait().unwrap().wait().map_err(|e| e.to_string()), super::FULL;
    submit_await: |c| tests::block_on(async { c.request(1).submit().await.unwrap().await }).map_err(|e| e.to_string()), super::FULL;
}

#[test]
fn a_post_with_a_panicking_handler_is_counted() {
    let (server, client) = channel::<u32, u32, ()>();
    client.post(1).wait().unwrap();
    let handling = caught(|| {
        let (_n, _rctx) = server.wait().unwrap();
        panic!("the handler is meant to panic");
    });
    assert!(handling.is_err());
    assert_eq!(client.stats().panicked, 1);
    assert_quiet(client.stats());
}

#[test]
fn every_context_of_a_panicking_handler_is_panicked() {
    let (server, client) = channel::<Counted, u32, ()>();
    let messages = DropCounter::default();
    let mut replies: Vec<_> = (0..10)
        .map(|_| client.request(messages.value()).submit().wait().unwrap())
        .collect();
    let handling = caught(|| {
        let mut batch = Vec::new();
        assert_eq!(server.wait_many(&mut batch, 8).unwrap(), 8);
        for (place, (_message, rctx)) in batch.into_iter().enumerate() {
            assert!(place < 3, "the handler is meant to panic");
            rctx.reply(1).unwrap();
        }
    });
    assert!(handling.is_err());
    assert_eq!(messages.dropped(), 8);
    for reply in replies.drain(..3) {
        assert_eq!(reply.try_get().expect("it ended").unwrap(), 1);
    }
    for reply in replies.drain(..5) {
        let outcome = reply.try_get().expect("it ended");
        assert!(matches!(
            outcome,
            Err(RequestError::NoReply(NoReply::Panicked(_)))
        ));
    }
    // The requests that the handler had not taken are still queued.
    assert_eq!(server.len(), 2);
    let stats = client.stats();
    assert_eq!((stats.replied, stats.panicked, stats.queued), (3, 5, 2));
    for _ in 0..2 {
        server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
    }
    for reply in replies {
        assert_eq!(reply.try_get().expect("it ended").unwrap(), 2);
    }
    assert_quiet(client.stats());
    assert_eq!(messages.dropped(), 10);
}

#[test]
fn a_server_panic_separates_taken_from_queued() {
    let (server, client) = channel::<u32, u32, ()>();
    let taken = client.request(1).submit().wait().unwrap();
    let queued = client.request(2).submit().wait().unwrap();
    let serving = thread::spawn(move || {
        let (_n, _rctx) = server.wait().unwrap();
        panic!("the handler is meant to panic");
    });
    assert!(serving.join().is_err());
    let outcome = taken.try_get().expect("it ended");
    assert!(matches!(
        outcome,
        Err(RequestError::NoReply(NoReply::Panicked(_)))
    ));
    let outcome = queued.try_get().expect("it ended");
    assert!(matches!(outcome, Err(RequestError::ServerDisappeared(2))));
    let stats = client.stats();
    assert_eq!((stats.panicked, stats.server_disappeared), (1, 1));
    assert_quiet(stats);
}

#[test]
fn the_other_workers_of_a_pool_go_on() {
    let (server, client) = channel::<u32, u32, ()>();
    let server = Arc::new(server);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                for (n, rctx) in server.iter() {
                    assert!(n % 100 != 0, "the handler is meant to panic");
                    let _ = rctx.reply(n + 1);
                }
            })
        })
        .collect();
    drop(server);
    for n in 1..=300 {
        let expected = if n % 100 == 0 {
            Err(Error::NoReply)
        } else {
            Ok(n + 1)
        };
        assert_eq!(client.req(n), expected);
    }
    let stats = client.stats();
    assert_eq!((stats.replied, stats.panicked), (297, 3));
    drop(client);
    let panicked = workers.into_iter().map(|worker| worker.join().is_err());
    assert_eq!(panicked.filter(|panicked| *panicked).count(), 3);
}

#[test]
fn a_caught_panic_does_not_end_the_request() {
    let (server, client) = channel::<u32, u32, ()>();
    let first = client.request(1).submit().wait().unwrap();
    let second = client.request(2).submit().wait().unwrap();
    let (_, rctx) = server.wait().unwrap();
    assert!(caught(|| panic!("on purpose")).is_err());
    rctx.reply(7).unwrap();
    assert_eq!(first.wait().unwrap(), 7);
    let (_, rctx) = server.wait().unwrap();
    assert!(caught(|| panic!("on purpose")).is_err());
    drop(rctx);
    let outcome = second.wait();
    assert!(matches!(
        outcome,
        Err(RequestError::NoReply(NoReply::Dropped))
    ));
}

#[test]
fn an_answer_given_while_unwinding_is_an_answer() {
    struct AnswersWhenDropped(Option<ump::ReplyContext<u32, ()>>);
    impl Drop for AnswersWhenDropped {
        fn drop(&mut self) {
            self.0.take().unwrap().reply(7).unwrap();
        }
    }
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let handling = caught(|| {
        let (_, rctx) = server.wait().unwrap();
        let _answers = AnswersWhenDropped(Some(rctx));
        panic!("the handler is meant to panic");
    });
    assert!(handling.is_err());
    assert_eq!(reply.wait(), Ok(7));
    assert_eq!(client.stats().panicked, 0);
}

#[test]
fn a_caller_that_panics_cancels_its_request() {
    let (server, client) = channel::<Counted, u32, ()>();
    let messages = DropCounter::default();
    let taken = client.req_async(messages.value()).unwrap();
    let (message, rctx) = server.wait().unwrap();
    let queued = client.req_async(messages.value()).unwrap();
    let calling = caught(|| {
        let _replies = (taken, queued);
        panic!("the caller is meant to panic");
    });
    assert!(calling.is_err());
    assert_eq!(messages.dropped(), 1);
    drop(message);
    assert!(rctx.is_cancelled());
    assert_eq!(rctx.answer(Ok(1)), Err(Ok(1)));
    assert!(server.is_empty());
    let stats = client.stats();
    assert_eq!((stats.cancelled_queued, stats.cancelled_taken), (1, 1));
    assert_quiet(stats);
}
