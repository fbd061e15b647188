//! Messages and replies of callers that leave, time out or are refused.

use super::*;

#[test]
fn a_revoked_message_is_dropped_by_the_caller() {
    let fixture = Fixture::new();
    let reply = fixture.submit();
    assert_eq!(fixture.alive(), [1, 0, 0]);
    drop(reply);
    assert_eq!(fixture.alive(), [0, 0, 0]);
    assert_eq!(fixture.client.stats().cancelled_queued, 1);
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn a_reply_to_a_caller_that_left_comes_back() {
    let fixture = Fixture::new();
    let reply = fixture.submit();
    let (message, rctx) = fixture.server.wait().unwrap();
    drop(reply);
    assert_eq!(fixture.alive(), [1, 0, 0], "the message is the handler's");
    let back = rctx.answer(Ok(fixture.replies.value()));
    assert!(matches!(back, Err(Ok(_))));
    assert_eq!(fixture.alive(), [1, 1, 0]);
    drop((message, back));
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn an_error_to_a_caller_that_left_comes_back() {
    let fixture = Fixture::new();
    let reply = fixture.submit();
    let (_, rctx) = fixture.server.wait().unwrap();
    drop(reply);
    let back = rctx.answer(Err(fixture.errors.value()));
    assert!(matches!(back, Err(Err(_))));
    assert_eq!(fixture.alive(), [0, 0, 1]);
    drop(back);
    fixture.end();
}

#[test]
fn an_undelivered_outcome_is_dropped_by_the_channel() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        let reply = fixture.submit();
        let (_, rctx) = fixture.server.wait().unwrap();
        drop(reply);
        let outcome = rctx.reply(fixture.replies.value());
        assert!(matches!(outcome, Err(Error::OriginDisappeared)));
        let reply = fixture.submit();
        let (_, rctx) = fixture.server.wait().unwrap();
        drop(reply);
        let outcome = rctx.fail(fixture.errors.value());
        assert!(matches!(outcome, Err(Error::OriginDisappeared)));
        assert_eq!(fixture.alive(), [0, 0, 0]);
    }
    assert_eq!(fixture.client.stats().cancelled_taken, 4);
    fixture.end();
}

#[test]
fn a_context_dropped_after_its_caller_frees_all() {
    let fixture = Fixture::new();
    let reply = fixture.submit();
    let job = fixture.server.wait().unwrap();
    drop(reply);
    drop(job);
    assert_eq!(fixture.alive(), [0, 0, 0]);
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn an_unread_reply_is_dropped_with_its_caller() {
    let fixture = Fixture::new();
    let reply = fixture.submit();
    let (_, rctx) = fixture.server.wait().unwrap();
    rctx.reply(fixture.replies.value()).unwrap();
    assert_eq!(fixture.alive(), [0, 1, 0]);
    drop(reply);
    assert_eq!(fixture.alive(), [0, 0, 0]);
    assert_eq!(fixture.client.stats().replied, 1);
    fixture.end();
}

#[test]
fn an_unread_outcome_survives_both_ends() {
    let Fixture {
        messages,
        replies,
        errors,
        server,
        client,
    } = Fixture::new();
    let send = || client.request(messages.value()).submit().wait().unwrap();
    let (replied, failed, queued) = (send(), send(), send());
    server.wait().unwrap().1.reply(replies.value()).unwrap();
    server.wait().unwrap().1.fail(errors.value()).unwrap();
    drop((server, client));
    assert_eq!(
        (messages.dropped(), replies.dropped(), errors.dropped()),
        (2, 0, 0)
    );
    drop(replied);
    assert_eq!(
        (messages.dropped(), replies.dropped(), errors.dropped()),
        (2, 1, 0)
    );
    drop(failed);
    assert_eq!(
        (messages.dropped(), replies.dropped(), errors.dropped()),
        (2, 1, 1)
    );
    drop(queued);
    assert_eq!(
        (messages.dropped(), replies.dropped(), errors.dropped()),
        (3, 1, 1)
    );
}

#[test]
fn a_message_expired_in_the_queue_comes_back_once() {
    let fixture = Fixture::new();
    let tiny = Duration::from_millis(50);
    let back = fixture
        .client
        .request(fixture.messages.value())
        .timeout(tiny)
        .wait();
    assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
    assert_eq!(fixture.alive(), [1, 0, 0]);
    drop(back);
    assert_eq!(fixture.alive(), [0, 0, 0]);
    let back = block_on(
        fixture
            .client
            .request(fixture.messages.value())
            .timeout(tiny),
    );
    assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
    assert_eq!(fixture.alive(), [1, 0, 0]);
    drop(back);
    assert_eq!(fixture.client.stats().timeout_queued, 2);
    fixture.end();
}

#[test]
fn a_message_turned_down_as_expired_comes_back_once() {
    let fixture = Fixture::new();
    let at = Instant::now() + Duration::from_millis(50);
    let reply = fixture
        .client
        .request(fixture.messages.value())
        .deadline(at)
        .submit()
        .wait()
        .unwrap();
    eventually(|| Instant::now() > at);
    assert!(fixture.server.try_pop().unwrap().is_none());
    assert_eq!(fixture.alive(), [1, 0, 0], "it is on its way back");
    let back = reply.try_get().expect("it ended");
    assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
    assert_eq!(fixture.alive(), [1, 0, 0]);
    drop(back);
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn a_reply_after_the_deadline_comes_back() {
    let fixture = Fixture::new();
    thread::scope(|scope| {
        let tiny = Duration::from_millis(50);
        let request = fixture
            .client
            .request(fixture.messages.value())
            .timeout(tiny);
        let asking = scope.spawn(move || request.wait().map_err(RequestError::into_message));
        let Ok(Some((message, rctx))) = fixture.server.wait_timeout(Duration::from_millis(49))
        else {
            // On a slow machine the request expired in the queue.
            assert!(asking.join().unwrap().is_err());
            return;
        };
        assert!(matches!(asking.join().unwrap(), Err(None)));
        drop(message);
        assert_eq!(fixture.alive(), [0, 0, 0]);
        assert!(matches!(
            rctx.answer(Ok(fixture.replies.value())),
            Err(Ok(_))
        ));
    });
    assert_eq!(fixture.alive(), [0, 0, 0]);
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn a_message_refused_for_want_of_room_comes_back_once() {
    let Fixture {
        messages, server, ..
    } = Fixture::new();
    drop(server);
    let (server, client) = bounded::<Counted, Counted, Counted>(1).unwrap();
    client.post(messages.value()).wait().unwrap();
    let backs = [
        client.post(messages.value()).if_room().wait().unwrap_err(),
        block_on(client.post(messages.value()).if_room()).unwrap_err(),
        client
            .request(messages.value())
            .if_room()
            .submit()
            .wait()
            .unwrap_err(),
        block_on(client.request(messages.value()).if_room().submit()).unwrap_err(),
    ];
    assert!(backs.iter().all(|back| matches!(back, SendError::Full(_))));
    let back = client
        .request(messages.value())
        .if_room()
        .wait()
        .unwrap_err();
    assert!(matches!(back, RequestError::Full(_)));
    assert_eq!(messages.dropped(), 0);
    drop((backs, back));
    assert_eq!(messages.dropped(), 5);
    drop(server);
    assert_eq!(messages.dropped(), 6);
}

#[test]
fn futures_that_never_sent_drop_their_message() {
    let fixture = Fixture::new();
    // None of these futures is polled.
    drop(fixture.client.request(fixture.messages.value()));
    drop(
        fixture
            .client
            .request(fixture.messages.value())
            .into_future(),
    );
    drop(fixture.client.request(fixture.messages.value()).submit());
    drop(
        fixture
            .client
            .request(fixture.messages.value())
            .submit()
            .into_future(),
    );
    drop(fixture.client.post(fixture.messages.value()));
    drop(fixture.client.post(fixture.messages.value()).into_future());
    drop(fixture.client.areq(fixture.messages.value()));
    assert_eq!(fixture.alive(), [0, 0, 0]);
    // These futures wait for room.
    for _ in 0..8 {
        fixture
            .client
            .post(fixture.messages.value())
            .wait()
            .unwrap();
    }
    let mut request = fixture
        .client
        .request(fixture.messages.value())
        .into_future();
    let mut submit = fixture
        .client
        .request(fixture.messages.value())
        .submit()
        .into_future();
    let mut post = fixture.client.post(fixture.messages.value()).into_future();
    assert!(poll_once(&mut request).is_pending());
    assert!(poll_once(&mut submit).is_pending());
    assert!(poll_once(&mut post).is_pending());
    assert_eq!(fixture.alive(), [11, 0, 0]);
    drop((request, submit, post));
    assert_eq!(fixture.alive(), [8, 0, 0]);
    fixture.end();
}

#[test]
fn a_gather_drops_what_it_still_holds() {
    let fixture = Fixture::new();
    let mut gather = Gather::new();
    for n in 0..6 {
        gather.push(n, fixture.submit());
    }
    fixture
        .server
        .wait()
        .unwrap()
        .1
        .reply(fixture.replies.value())
        .unwrap();
    fixture
        .server
        .wait()
        .unwrap()
        .1
        .fail(fixture.errors.value())
        .unwrap();
    let (message, rctx) = fixture.server.wait().unwrap();
    drop(message);
    let (key, outcome) = gather.wait().unwrap();
    assert!(key == 0 && outcome.is_ok());
    assert_eq!(fixture.alive(), [3, 1, 1]);
    drop(gather);
    assert_eq!(fixture.alive(), [0, 1, 0]);
    assert!(rctx.is_cancelled());
    drop((outcome, rctx));
    assert_quiet(fixture.client.stats());
    fixture.end();
}
