//! The outcomes of posts.

use super::*;

// ---- posts

/// The outcome of a post for its caller.
type Posted = Result<(), Failure<String, String>>;

fn posted<P: PostMode, T: Take>(handle: impl FnOnce(Rctx)) -> Stats {
    let (server, client) = ump::channel();
    assert_eq!(P::mail(&client, request(), Options::default()), Ok(()));
    let (message, rctx) = T::take(&server).expect("a client is left");
    assert_eq!(message, request());
    assert!(rctx.is_post());
    handle(rctx);
    assert_balanced(&server.stats());
    server.stats()
}

fn a_post_that_is_answered_was_handled<P: PostMode, T: Take>() {
    let stats = posted::<P, T>(|rctx| rctx.reply("unread".to_owned()).unwrap());
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.replied) = (1, 1))
    );
}

fn a_post_whose_context_is_dropped_was_handled<P: PostMode, T: Take>() {
    let stats = posted::<P, T>(drop);
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.replied) = (1, 1))
    );
}

fn a_post_that_is_refused_has_failed<P: PostMode, T: Take>() {
    let stats = posted::<P, T>(|rctx| rctx.fail("no".to_owned()).unwrap());
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.failed) = (1, 1))
    );
}

fn a_post_with_a_panicking_handler_is_counted<P: PostMode, T: Take>() {
    let stats = posted::<P, T>(drop_in_a_panic);
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.panicked) = (1, 1))
    );
}

fn a_post_overdue_in_the_queue_never_executes<P: PostMode, T: Take>() {
    let (server, client, deadline) = with_growing_time(|time| {
        let (server, client) = ump::channel();
        let deadline = Instant::now() + time;
        P::mail(&client, request(), Options::until(deadline)).ok()?;
        Some((server, client, deadline))
    });
    pass(deadline);
    the_next_taken_is_another_request::<T>(&server, &client);
    let expected = stats_with(|stats| {
        (stats.accepted, stats.timeout_queued, stats.replied) = (2, 1, 1);
    });
    assert_eq!(server.stats(), expected);
    assert_balanced(&server.stats());
}

fn a_post_whose_deadline_has_passed_comes_back<P: PostMode, T: Take>() {
    let (server, client) = ump::channel();
    let options = Options::until(Instant::now());
    assert_eq!(
        P::mail(&client, request(), options),
        Err(Failure {
            why: Reason::TimeoutQueued,
            executed: Executed::No,
            message: Some(request()),
        })
    );
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 1));
    the_next_taken_is_another_request::<T>(&server, &client);
}

fn a_post_that_does_not_wait_for_room_comes_back<P: PostMode, T: Take>() {
    let (server, client) = ump::bounded(1).unwrap();
    let options = Options {
        if_room: true,
        ..Options::default()
    };
    assert_eq!(P::mail(&client, next(), options), Ok(()));
    assert_eq!(
        P::mail(&client, request(), options),
        Err(Failure {
            why: Reason::Full,
            executed: Executed::No,
            message: Some(request()),
        })
    );
    let (message, rctx) = T::take::<_, String, _>(&server).expect("a client is left");
    assert_eq!(message, next());
    drop(rctx);
    let expected = stats_with(|stats| {
        (stats.accepted, stats.replied, stats.refused) = (1, 1, 1);
    });
    assert_eq!(server.stats(), expected);
}

/// A way of posting.
trait PostMode {
    fn mail(client: &Client<String, String, String>, message: String, options: Options) -> Posted;
}

struct Blocking;
struct Async;

impl PostMode for Blocking {
    fn mail(client: &Client<String, String, String>, message: String, options: Options) -> Posted {
        Ok(options.request(client, message).post().wait()?)
    }
}

impl PostMode for Async {
    fn mail(client: &Client<String, String, String>, message: String, options: Options) -> Posted {
        Ok(tests::block_on(options.request(client, message).post())?)
    }
}

mod post {
    use super::*;

    for_each!(
        wait = Blocking,
        await_ = Async;
        (wait = Wait, async_wait = AsyncWait, try_pop = TryPop, wait_many = WaitMany) => {
            a_post_that_is_answered_was_handled,
            a_post_whose_context_is_dropped_was_handled,
            a_post_that_is_refused_has_failed,
            a_post_with_a_panicking_handler_is_counted,
            a_post_overdue_in_the_queue_never_executes,
            a_post_whose_deadline_has_passed_comes_back,
            a_post_that_does_not_wait_for_room_comes_back,
        }
    );
}

fn a_post_to_a_server_that_is_gone_comes_back<P: PostMode>() {
    let (server, client) = ump::channel();
    drop(server);
    assert_eq!(
        P::mail(&client, request(), Options::default()),
        Err(Failure {
            why: Reason::ServerDisappeared,
            executed: Executed::No,
            message: Some(request()),
        })
    );
    assert_eq!(client.stats(), stats_with(|stats| stats.refused = 1));
}

fn a_post_queued_when_the_server_goes_is_counted<P: PostMode>() {
    let (server, client) = ump::channel();
    P::mail(&client, request(), Options::default()).unwrap();
    drop(server);
    let expected = stats_with(|stats| (stats.accepted, stats.server_disappeared) = (1, 1));
    assert_eq!(client.stats(), expected);
    assert_balanced(&client.stats());
}

mod post_without_a_server {
    use super::*;

    for_each!(
        wait = Blocking,
        await_ = Async => {
            a_post_to_a_server_that_is_gone_comes_back,
            a_post_queued_when_the_server_goes_is_counted,
        }
    );
}
