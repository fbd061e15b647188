//! Requests cancelled by the drop of a reply or future.

use super::*;

#[test]
fn a_request_cancelled_in_the_queue_never_executes() {
    let (server, client) = channel::<u32, u32, ()>();
    let replies: Vec<_> = (0..100).map(|n| client.req_async(n).unwrap()).collect();
    let kept: Vec<_> = replies
        .into_iter()
        .enumerate()
        .filter_map(|(n, reply)| (n % 3 == 0).then_some((n, reply)))
        .collect();
    assert_eq!(server.len(), kept.len());
    while let Some((n, rctx)) = server.try_pop().unwrap() {
        assert_eq!(n % 3, 0, "nobody waits for it");
        rctx.reply(n + 1).unwrap();
    }
    for (n, reply) in kept {
        assert_eq!(reply.wait(), Ok(u32::try_from(n).unwrap() + 1));
    }
    assert_eq!(client.stats().cancelled_queued, 66);
    assert_quiet(client.stats());
}

#[test]
fn a_cancelled_request_makes_room() {
    let (server, client) = bounded::<u32, u32, ()>(2).unwrap();
    for _ in 0..10 {
        let a = client.req_async(1).unwrap();
        let b = client.req_async(2).unwrap();
        assert!(client.post(3).if_room().wait().is_err());
        drop(a);
        client.post(3).if_room().wait().unwrap();
        assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
        drop(b);
        assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
    }
    assert!(server.is_empty());
}

#[test]
fn any_queued_request_can_be_revoked() {
    for gone in 0..5 {
        let (server, client) = channel::<u32, u32, ()>();
        let mut replies: Vec<_> = (0..5).map(|n| client.req_async(n).unwrap()).collect();
        drop(replies.remove(gone));
        let order: Vec<_> = (0..4).map(|_| server.wait().unwrap().0).collect();
        let expected: Vec<_> = (0..5).filter(|n| *n as usize != gone).collect();
        assert_eq!(order, expected);
        // The list is intact: the next request arrives.
        client.post(9).wait().unwrap();
        assert_eq!(server.wait().unwrap().0, 9);
    }
}

#[test]
fn a_handler_notified_first_still_has_the_message() {
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 8).unwrap(), 1);
    drop(reply);
    let (n, rctx) = batch.pop().unwrap();
    assert_eq!(n, 1);
    assert!(rctx.is_cancelled());
    assert_eq!(rctx.reply(2), Err(Error::OriginDisappeared));
}

#[test]
fn a_watching_thread_is_woken() {
    for _ in 0..500 {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        thread::scope(|scope| {
            let watching = scope.spawn(move || rctx.wait_cancelled(LONG));
            thread::yield_now();
            drop(reply);
            assert!(watching.join().unwrap());
        });
    }
}

#[test]
fn a_watching_task_is_woken() {
    for _ in 0..500 {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        must_watch(move || block_on(rctx.cancelled()), move || drop(reply));
    }
}

fn must_watch(watch: impl FnOnce() + Send, event: impl FnOnce()) {
    thread::scope(|scope| {
        let watching = scope.spawn(watch);
        thread::yield_now();
        event();
        eventually(|| watching.is_finished());
        watching.join().unwrap();
    });
}
