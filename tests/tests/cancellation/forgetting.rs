//! Replies, futures and contexts that are forgotten instead of dropped.

use super::*;

#[test]
fn a_forgotten_reply_leaves_its_request_queued() {
    let (server, client) = channel::<Counted, Counted, ()>();
    let (messages, replies) = (DropCounter::default(), DropCounter::default());
    mem::forget(client.req_async(messages.value()).unwrap());
    assert_eq!(server.len(), 1);
    let (message, rctx) = server.wait().unwrap();
    assert!(!rctx.is_cancelled());
    drop(message);
    rctx.reply(replies.value()).unwrap();
    // The reply leaks with the forgotten slot.
    assert_eq!((messages.dropped(), replies.dropped()), (1, 0));
    assert_quiet(client.stats());
}

#[test]
fn a_forgotten_request_ends_with_the_server() {
    let (server, client) = channel::<Counted, (), ()>();
    let messages = DropCounter::default();
    mem::forget(client.req_async(messages.value()).unwrap());
    let reply = client.req_async(messages.value()).unwrap();
    drop(server);
    assert_eq!(reply.wait(), Err(Error::ServerDisappeared));
    assert_eq!(messages.dropped(), 1);
    assert_quiet(client.stats());
}

#[test]
fn a_forgotten_future_leaves_its_request_queued() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let mut asking = Box::pin(client.request(1).timeout(LONG).into_future());
    assert!(poll_with(&mut asking, &counter).is_pending());
    mem::forget(asking);
    server.wait().unwrap().1.reply(1).unwrap();
    assert_eq!(counter.wakes(), 1);
    assert_quiet(client.stats());
}

#[test]
fn a_forgotten_sender_leaves_the_room_to_others() {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    client.post(0).wait().unwrap();
    let mut forgotten = Box::pin(client.post(1).into_future());
    assert!(poll_once(&mut forgotten).is_pending());
    mem::forget(forgotten);
    let counter = CountingWaker::new();
    let mut other = client.post(2).into_future();
    assert!(poll_with(&mut other, &counter).is_pending());
    // The first room is offered to the forgotten sender, the next room to the other sender.
    assert_eq!(server.try_pop().unwrap().unwrap().0, 0);
    client.post(3).if_room().wait().unwrap();
    assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut other, &counter).is_ready());
    assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
}

#[test]
fn a_forgotten_receiver_leaves_requests_to_others() {
    let (server, client) = channel::<u32, u32, ()>();
    let mut forgotten = Box::pin(server.async_wait());
    assert!(poll_once(&mut forgotten).is_pending());
    mem::forget(forgotten);
    let counter = CountingWaker::new();
    let mut other = Box::pin(server.async_wait());
    assert!(poll_with(&mut other, &counter).is_pending());
    client.post(1).wait().unwrap();
    client.post(2).wait().unwrap();
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut other, &counter).is_ready());
}

#[test]
fn a_forgotten_context_keeps_its_caller_waiting() {
    let (server, client) = channel::<Counted, u32, ()>();
    let messages = DropCounter::default();
    let reply = client.req_async(messages.value()).unwrap();
    let (message, rctx) = server.wait().unwrap();
    mem::forget(rctx);
    drop(message);
    let reply = reply.try_get().expect_err("nobody will ever answer");
    assert_eq!(client.stats().taken, 1);
    drop(reply);
    assert_eq!(client.stats().cancelled_taken, 1);
    assert_quiet(client.stats());
    let tiny = Duration::from_millis(50);
    let reply = client
        .request(messages.value())
        .timeout(tiny)
        .submit()
        .wait()
        .unwrap();
    if let Some((_, rctx)) = server.try_pop().unwrap() {
        mem::forget(rctx);
    }
    assert!(reply.wait().unwrap_err().is_timeout());
}

#[test]
fn a_forgotten_cancelled_future_wakes_its_task() {
    let (server, client) = channel::<u32, u32, ()>();
    let counter = CountingWaker::new();
    let reply = client.req_async(1).unwrap();
    let (_, mut rctx) = server.wait().unwrap();
    let mut cancelled = Box::pin(rctx.cancelled());
    assert!(poll_with(&mut cancelled, &counter).is_pending());
    mem::forget(cancelled);
    rctx.reply(2).unwrap();
    assert_eq!((counter.wakes(), counter.wakers()), (0, 0));
    assert_eq!(reply.wait(), Ok(2));
}
