//! Contexts that outlive their server, or are used by another thread or task.

use super::*;

fn a_context_outlives_everything_else<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let caller = thread::spawn(move || A::ask(&client, 7, Options::default()));
    let (_, rctx) = server.wait().unwrap();
    drop(server);
    assert!(!rctx.is_cancelled());
    rctx.reply(reply()).unwrap();
    assert_eq!(caller.join().unwrap(), Ok(reply()));
}

fn a_context_can_be_answered_from_another_thread<A: Ask>() {
    let (server, client): Ends = ump::channel();
    let (send, receive) = mpsc::channel::<(u32, Rctx)>();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for (n, rctx) in receive {
                rctx.reply(n.to_string()).unwrap();
            }
        });
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        send.send(server.wait().unwrap()).unwrap();
        drop(send);
        assert_eq!(caller.join().unwrap(), Ok("7".to_owned()));
        worker.join().unwrap();
    });
}

fn a_context_can_be_answered_from_a_task<A: Ask>() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        let (n, rctx) = server.wait().unwrap();
        runtime.spawn(async move {
            tokio::task::yield_now().await;
            rctx.reply(n.to_string())
        });
        assert_eq!(caller.join().unwrap(), Ok("7".to_owned()));
    });
}

fn a_context_dropped_on_another_thread_is_no_reply<A: Ask>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, 7, Options::default()));
        let (_, rctx) = server.wait().unwrap();
        scope.spawn(move || drop_in_a_panic(rctx));
        let failure = caller.join().unwrap().unwrap_err();
        assert!(matches!(
            failure.why,
            Reason::NoReply(None | Some(ump::NoReply::Panicked(_)))
        ));
    });
}

mod every_way {
    use super::*;

    for_each!(
        req = Req,
        areq = Areq,
        req_async_wait = ReqAsyncWait,
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait_await = SubmitWaitAwait
        => {
            a_context_outlives_everything_else,
            a_context_can_be_answered_from_another_thread,
            a_context_can_be_answered_from_a_task,
            a_context_dropped_on_another_thread_is_no_reply,
        }
    );
}

/// The contexts can be answered in any order, long after they were taken.
#[test]
fn many_contexts_can_be_kept_at_a_time() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..100).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 100), Ok(100));
    let expected = stats_with(|stats| (stats.accepted, stats.taken) = (100, 100));
    assert_eq!(server.stats(), expected);
    drop(server);
    for (n, rctx) in batch.into_iter().rev() {
        rctx.reply(n.to_string()).unwrap();
    }
    for (n, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.wait(), Ok(n.to_string()));
    }
}
