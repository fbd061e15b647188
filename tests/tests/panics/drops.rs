//! Messages and replies whose drop panics.

use super::*;

/// A value whose drop is counted, and may panic.
struct Fragile {
    _counted: Counted,
    breaks: bool,
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(
            !self.breaks || thread::panicking(),
            "the drop is meant to panic"
        );
    }
}

fn sound(drop_counter: &DropCounter) -> Fragile {
    Fragile {
        _counted: drop_counter.value(),
        breaks: false,
    }
}

fn fragile(drop_counter: &DropCounter) -> Fragile {
    Fragile {
        _counted: drop_counter.value(),
        breaks: true,
    }
}

type Ends = (Server<Fragile, Fragile, ()>, Client<Fragile, Fragile, ()>);

#[track_caller]
fn assert_settled(stats: Stats, drop_counter: &DropCounter) {
    assert_quiet(stats);
    assert_eq!(drop_counter.dropped(), drop_counter.created());
}

#[test]
fn a_panicking_queued_post_leaves_no_other_request() {
    let (server, client): Ends = channel();
    let drop_counter = DropCounter::default();
    let before = client.req_async(sound(&drop_counter)).unwrap();
    client.post(fragile(&drop_counter)).wait().unwrap();
    let after = client.req_async(sound(&drop_counter)).unwrap();
    client.post(sound(&drop_counter)).wait().unwrap();
    client.post(fragile(&drop_counter)).wait().unwrap();
    let urgent = client
        .request(sound(&drop_counter))
        .urgent()
        .submit()
        .wait()
        .unwrap();
    let _ = caught(|| drop(server));
    for reply in [before, after] {
        assert!(reply.is_ready(), "a caller waits for ever");
    }
    assert!(urgent.is_ready(), "a caller waits for ever");
    drop(urgent);
    assert_eq!(client.stats().server_disappeared, 6);
    assert_settled(client.stats(), &drop_counter);
}

#[test]
fn a_panicking_expired_post_loses_no_other_request() {
    let (server, client): Ends = channel();
    let drop_counter = DropCounter::default();
    let at = Instant::now() + Duration::from_millis(50);
    client
        .post(fragile(&drop_counter))
        .deadline(at)
        .wait()
        .unwrap();
    client
        .post(fragile(&drop_counter))
        .deadline(at)
        .wait()
        .unwrap();
    let reply = client.req_async(sound(&drop_counter)).unwrap();
    eventually(|| Instant::now() > at);
    while !matches!(
        caught(|| server
            .try_pop()
            .unwrap()
            .map(|(_, rctx)| rctx.reply(sound(&drop_counter)))),
        Ok(None)
    ) {}
    assert!(reply.is_ready(), "a request was lost in silence");
    drop(reply);
    let stats = client.stats();
    assert_eq!((stats.timeout_queued, stats.accepted), (2, 3));
    assert_settled(stats, &drop_counter);
}

#[test]
fn a_panicking_withdrawn_message_keeps_the_queue() {
    let (server, client): Ends = bounded(2).unwrap();
    let drop_counter = DropCounter::default();
    let first = client.req_async(fragile(&drop_counter)).unwrap();
    let second = client.req_async(sound(&drop_counter)).unwrap();
    let _ = caught(|| drop(first));
    assert_eq!(drop_counter.dropped(), 1);
    client
        .post(sound(&drop_counter))
        .if_room()
        .wait()
        .unwrap_or_else(|_| panic!("room"));
    server
        .try_pop()
        .unwrap()
        .unwrap()
        .1
        .reply(sound(&drop_counter))
        .unwrap_or_else(|_| panic!());
    assert!(second.is_ready());
    drop((second, server.try_pop()));
    assert_eq!(client.stats().cancelled_queued, 1);
    assert_settled(client.stats(), &drop_counter);
}

#[test]
fn a_panicking_unread_reply_leaks_nothing() {
    let (server, client): Ends = channel();
    let drop_counter = DropCounter::default();
    let reply = client.req_async(sound(&drop_counter)).unwrap();
    let (message, rctx) = server.wait().unwrap();
    drop(message);
    assert!(rctx.reply(fragile(&drop_counter)).is_ok());
    let _ = caught(|| drop(reply));
    assert_eq!(client.stats().replied, 1);
    assert_settled(client.stats(), &drop_counter);
}

#[test]
fn a_panicking_late_reply_is_dropped_by_the_handler() {
    let (server, client): Ends = channel();
    let drop_counter = DropCounter::default();
    let reply = client.req_async(sound(&drop_counter)).unwrap();
    let (message, rctx) = server.wait().unwrap();
    drop((message, reply));
    let back = rctx.answer(Ok(fragile(&drop_counter)));
    assert_eq!(drop_counter.dropped(), 1);
    let _ = caught(|| drop(back));
    assert_eq!(client.stats().cancelled_taken, 1);
    assert_settled(client.stats(), &drop_counter);
}

#[test]
fn a_panicking_gathered_message_cancels_the_others() {
    let (server, client): Ends = channel();
    let drop_counter = DropCounter::default();
    let mut gather = Gather::new();
    for n in 0..5 {
        let message = if n == 1 {
            fragile(&drop_counter)
        } else {
            sound(&drop_counter)
        };
        gather.push(n, client.req_async(message).unwrap());
    }
    let _ = caught(|| drop(gather));
    assert!(server.is_empty());
    assert_eq!(client.stats().cancelled_queued, 5);
    assert_settled(client.stats(), &drop_counter);
}

#[test]
fn a_panicking_unsent_message_leaves_the_wait_queue() {
    let (server, client): Ends = bounded(1).unwrap();
    let drop_counter = DropCounter::default();
    client
        .post(sound(&drop_counter))
        .wait()
        .unwrap_or_else(|_| panic!("room"));
    let counter = CountingWaker::new();
    let mut first = Box::pin(client.post(fragile(&drop_counter)).into_future());
    let mut second = Box::pin(client.post(sound(&drop_counter)).into_future());
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_with(&mut second, &counter).is_pending());
    drop(server.try_pop());
    let _ = caught(|| drop(first));
    assert_eq!(counter.wakes(), 1);
    assert!(poll_with(&mut second, &counter).is_ready());
    drop(second);
    drop(server.try_pop());
    assert_settled(client.stats(), &drop_counter);
}

/// The drop panics, and the drop of the panic payload panics as well.
#[test]
fn doubly_panicking_posts_lose_no_request() {
    struct Worst;
    impl Drop for Worst {
        fn drop(&mut self) {
            panic_any(PanicsAgain);
        }
    }
    let name = "drops::doubly_panicking_posts_lose_no_request";
    in_its_own_process(name, || {
        let (server, client) = channel::<Option<Worst>, (), ()>();
        for _ in 0..3 {
            assert!(client.post(Some(Worst)).wait().is_ok());
        }
        let last = client.req_async(None).unwrap();
        if let Err(panic) = caught(|| drop(server)) {
            std::mem::forget(panic);
        }
        assert!(last.is_ready(), "a caller waits for ever");
        assert_eq!(client.stats().server_disappeared, 4);
    });
}
