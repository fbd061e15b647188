//! Messages and replies of posts.

use super::*;

#[test]
fn a_handled_posts_message_stays_and_its_reply_drops() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        fixture
            .client
            .post(fixture.messages.value())
            .wait()
            .unwrap();
    }
    let (message, rctx) = fixture.server.wait().unwrap();
    rctx.reply(fixture.replies.value()).unwrap();
    assert_eq!(fixture.alive(), [3, 0, 0]);
    drop(message);
    let (_, rctx) = fixture.server.wait().unwrap();
    rctx.fail(fixture.errors.value()).unwrap();
    drop(fixture.server.wait().unwrap());
    assert_eq!(fixture.alive(), [0, 0, 0]);
    assert_quiet(fixture.client.stats());
    fixture.end();
}

#[test]
fn the_messages_of_queued_posts_go_with_the_server() {
    let Fixture {
        messages,
        client,
        server,
        ..
    } = Fixture::new();
    for _ in 0..4 {
        client.post(messages.value()).wait().unwrap();
        client.post(messages.value()).urgent().wait().unwrap();
    }
    drop(server);
    assert_eq!(messages.dropped(), 8);
    assert_eq!(client.stats().server_disappeared, 8);
    let back = client.post(messages.value()).wait();
    assert!(matches!(back, Err(SendError::ServerDisappeared(_))));
    assert_eq!(messages.dropped(), 8);
}

#[test]
fn expired_posts_are_dropped_when_found() {
    let fixture = Fixture::new();
    let at = Instant::now() + Duration::from_millis(50);
    for _ in 0..4 {
        let post = fixture.client.post(fixture.messages.value());
        post.deadline(at).wait().unwrap();
    }
    fixture
        .client
        .post(fixture.messages.value())
        .wait()
        .unwrap();
    eventually(|| Instant::now() > at);
    assert_eq!(fixture.alive(), [5, 0, 0], "nobody has looked");
    let (message, rctx) = fixture.server.wait().unwrap();
    assert_eq!(fixture.alive(), [1, 0, 0]);
    drop((message, rctx));
    let stats = fixture.client.stats();
    assert_eq!((stats.timeout_queued, stats.replied), (4, 1));
    assert_quiet(stats);
    fixture.end();
}

#[test]
fn many_expired_posts_are_all_dropped() {
    let (server, client) = channel::<Counted, (), ()>();
    let messages = DropCounter::default();
    let at = Instant::now() + Duration::from_millis(50);
    for _ in 0..1000 {
        // On a slow machine the post may be late.
        let _ = client.post(messages.value()).deadline(at).wait();
    }
    client.post(messages.value()).wait().unwrap();
    eventually(|| Instant::now() > at);
    let job = server.wait().unwrap();
    assert_eq!(messages.dropped(), 1000);
    drop(job);
    assert_quiet(client.stats());
}

#[test]
fn a_taken_posts_message_outlives_its_server() {
    let Fixture {
        messages,
        client,
        server,
        ..
    } = Fixture::new();
    client.post(messages.value()).wait().unwrap();
    let job = server.wait().unwrap();
    drop((server, client));
    assert_eq!(messages.dropped(), 0);
    drop(job);
    assert_eq!(messages.dropped(), 1);
}
