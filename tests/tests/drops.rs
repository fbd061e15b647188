//! Drops: every message, reply and error is dropped exactly once, by the one who has it last; whatever they own.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{Census, Counted, LONG, block_on, eventually, must_end, poll_once};
use ump::{
    Client, Error, Gather, ReplyContext, RequestError, SendError, Server, Stats, WaitReply,
    bounded, channel,
};

type Messages = Client<Counted, Counted, Counted>;

/// Three censuses, and the ends of a channel for what they count.
struct World {
    messages: Census,
    replies: Census,
    errors: Census,
    server: Server<Counted, Counted, Counted>,
    client: Messages,
}

impl World {
    fn new() -> Self {
        let (server, client) = bounded(8).unwrap();
        Self {
            messages: Census::default(),
            replies: Census::default(),
            errors: Census::default(),
            server,
            client,
        }
    }

    /// How many messages, replies and errors are alive.
    fn alive(&self) -> [usize; 3] {
        [&self.messages, &self.replies, &self.errors]
            .map(|census| census.births() - census.deaths())
    }

    fn submit(&self) -> WaitReply<Counted, Counted, RequestError<Counted, Counted>> {
        self.client
            .request(self.messages.born())
            .submit()
            .wait()
            .unwrap()
    }

    /// The channel is gone, and with it everything, once.
    #[track_caller]
    fn end(self) {
        let Self {
            messages,
            replies,
            errors,
            server,
            client,
        } = self;
        drop((server, client));
        for census in [messages, replies, errors] {
            assert_eq!(census.deaths(), census.births());
        }
    }
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// What a caller has in the end: its reply, its error, its message back, or nothing.
#[expect(dead_code, reason = "held to be dropped")]
enum Ended {
    Reply(Counted),
    Error(Counted),
    Message(Counted),
    Nothing,
}

fn plain(outcome: Result<Counted, Error<Counted>>) -> Ended {
    match outcome {
        Ok(reply) => Ended::Reply(reply),
        Err(Error::App(error)) => Ended::Error(error),
        Err(_) => Ended::Nothing,
    }
}

fn full(outcome: Result<Counted, RequestError<Counted, Counted>>) -> Ended {
    match outcome {
        Ok(reply) => Ended::Reply(reply),
        Err(RequestError::App(error)) => Ended::Error(error),
        Err(other) => other.into_message().map_or(Ended::Nothing, Ended::Message),
    }
}

/// Lets a caller ask on a thread of its own while `serve` serves; returns what the caller has.
fn ask_and<T>(
    world: &World,
    ask: fn(&Messages, Counted) -> Ended,
    serve: impl FnOnce(&Server<Counted, Counted, Counted>) -> T,
) -> (Ended, T) {
    thread::scope(|scope| {
        let message = world.messages.born();
        let client = &world.client;
        let asking = scope.spawn(move || ask(client, message));
        let served = serve(&world.server);
        (asking.join().unwrap(), served)
    })
}

/// What happens to a request that is waited for to the end: the same for every way to wait.
macro_rules! callers {
    ($($name:ident: $ask:expr, $message_comes_back:expr;)*) => {$(
        mod $name {
            use super::*;

            const ASK: fn(&Messages, Counted) -> Ended = $ask;

            #[test]
            fn a_reply_that_is_taken_is_dropped_by_the_caller() {
                let world = World::new();
                let (ended, ()) = ask_and(&world, ASK, |server| {
                    let (message, rctx) = server.wait().unwrap();
                    assert_eq!(world.alive(), [1, 0, 0]);
                    drop(message);
                    assert_eq!(world.alive(), [0, 0, 0], "the handler had the only one");
                    rctx.reply(world.replies.born()).unwrap();
                });
                assert!(matches!(ended, Ended::Reply(_)));
                assert_eq!(world.alive(), [0, 1, 0]);
                drop(ended);
                assert_eq!(world.alive(), [0, 0, 0]);
                world.end();
            }

            #[test]
            fn an_error_that_is_taken_is_dropped_by_the_caller() {
                let world = World::new();
                let (ended, ()) = ask_and(&world, ASK, |server| {
                    let (_message, rctx) = server.wait().unwrap();
                    rctx.fail(world.errors.born()).unwrap();
                });
                assert!(matches!(ended, Ended::Error(_)));
                assert_eq!(world.alive(), [0, 0, 1]);
                drop(ended);
                world.end();
            }

            #[test]
            fn a_message_whose_context_is_dropped_is_the_handlers() {
                let world = World::new();
                let (ended, message) = ask_and(&world, ASK, |server| {
                    let (message, rctx) = server.wait().unwrap();
                    drop(rctx);
                    message
                });
                assert!(matches!(ended, Ended::Nothing));
                assert_eq!(world.alive(), [1, 0, 0]);
                drop(message);
                world.end();
            }

            #[test]
            fn a_message_queued_when_the_server_went_drops_once() {
                let World { messages, client, server, .. } = World::new();
                let message = messages.born();
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ASK(&client, message));
                    eventually(|| client.stats().accepted == 1);
                    drop(server);
                    let ended = asking.join().unwrap();
                    assert_eq!(matches!(ended, Ended::Message(_)), $message_comes_back);
                    assert_eq!(messages.deaths(), usize::from(!$message_comes_back));
                });
                assert_eq!(messages.deaths(), 1);
                assert_quiet(client.stats());
            }

            #[test]
            fn a_message_sent_after_the_server_went_drops_once() {
                let World { messages, client, server, .. } = World::new();
                drop(server);
                let ended = ASK(&client, messages.born());
                assert_eq!(matches!(ended, Ended::Message(_)), $message_comes_back);
                assert_eq!(messages.deaths(), usize::from(!$message_comes_back));
                drop(ended);
                assert_eq!(messages.deaths(), 1);
                assert_eq!(client.stats().refused, 1);
            }

            #[test]
            fn a_reply_given_after_the_server_went_still_arrives() {
                let World { messages, replies, client, server, .. } = World::new();
                let message = messages.born();
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ASK(&client, message));
                    let (message, rctx) = server.wait().unwrap();
                    drop((server, message));
                    rctx.reply(replies.born()).unwrap();
                    let ended = asking.join().unwrap();
                    assert!(matches!(ended, Ended::Reply(_)));
                    assert_eq!((messages.deaths(), replies.deaths()), (1, 0));
                });
                assert_eq!((messages.deaths(), replies.deaths()), (1, 1));
                assert_quiet(client.stats());
            }
        }
    )*};
}

callers! {
    req: |c, m| plain(c.req(m)), false;
    areq: |c, m| plain(block_on(c.areq(m))), false;
    req_async_wait: |c, m| c.req_async(m).map_or(Ended::Nothing, |reply| plain(reply.wait())), false;
    req_async_await: |c, m| c.req_async(m).map_or(Ended::Nothing, |reply| plain(block_on(reply))), false;
    request_wait: |c, m| full(c.request(m).wait()), true;
    request_await: |c, m| full(block_on(c.request(m))), true;
    request_with_deadline_wait: |c, m| full(c.request(m).timeout(LONG).wait()), true;
    request_with_deadline_await: |c, m| full(block_on(c.request(m).timeout(LONG))), true;
    urgent_request_if_room_wait: |c, m| full(c.request(m).urgent().if_room().wait()), true;
    urgent_request_if_room_await: |c, m| full(block_on(c.request(m).urgent().if_room())), true;
    submit_wait: |c, m| match c.request(m).submit().wait() {
        Ok(reply) => full(reply.wait()),
        Err(error) => Ended::Message(error.into_message()),
    }, true;
    submit_await: |c, m| match block_on(c.request(m).submit()) {
        Ok(reply) => full(block_on(reply.wait_async())),
        Err(error) => Ended::Message(error.into_message()),
    }, true;
    gathered: |c, m| {
        let mut gather = Gather::new();
        match c.request(m).submit().wait() {
            Ok(reply) => gather.push((), reply),
            Err(error) => return Ended::Message(error.into_message()),
        }
        full(gather.wait().unwrap().1)
    }, true;
}

mod callers_that_leave {
    use super::*;

    #[test]
    fn a_revoked_message_is_dropped_by_the_caller() {
        let world = World::new();
        let reply = world.submit();
        assert_eq!(world.alive(), [1, 0, 0]);
        drop(reply);
        assert_eq!(world.alive(), [0, 0, 0]);
        assert_eq!(world.client.stats().cancelled_queued, 1);
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn a_reply_to_a_caller_that_left_comes_back() {
        let world = World::new();
        let reply = world.submit();
        let (message, rctx) = world.server.wait().unwrap();
        drop(reply);
        assert_eq!(world.alive(), [1, 0, 0], "the message is the handler's");
        let back = rctx.answer(Ok(world.replies.born()));
        assert!(matches!(back, Err(Ok(_))));
        assert_eq!(world.alive(), [1, 1, 0]);
        drop((message, back));
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn an_error_to_a_caller_that_left_comes_back() {
        let world = World::new();
        let reply = world.submit();
        let (_, rctx) = world.server.wait().unwrap();
        drop(reply);
        let back = rctx.answer(Err(world.errors.born()));
        assert!(matches!(back, Err(Err(_))));
        assert_eq!(world.alive(), [0, 0, 1]);
        drop(back);
        world.end();
    }

    #[test]
    fn an_undelivered_outcome_is_dropped_by_the_channel() {
        let world = World::new();
        for _ in 0..2 {
            let reply = world.submit();
            let (_, rctx) = world.server.wait().unwrap();
            drop(reply);
            let outcome = rctx.reply(world.replies.born());
            assert!(matches!(outcome, Err(Error::OriginDisappeared)));
            let reply = world.submit();
            let (_, rctx) = world.server.wait().unwrap();
            drop(reply);
            let outcome = rctx.fail(world.errors.born());
            assert!(matches!(outcome, Err(Error::OriginDisappeared)));
            assert_eq!(world.alive(), [0, 0, 0]);
        }
        assert_eq!(world.client.stats().cancelled_taken, 4);
        world.end();
    }

    #[test]
    fn a_context_dropped_after_its_caller_frees_all() {
        let world = World::new();
        let reply = world.submit();
        let job = world.server.wait().unwrap();
        drop(reply);
        drop(job);
        assert_eq!(world.alive(), [0, 0, 0]);
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn an_unread_reply_is_dropped_with_its_caller() {
        let world = World::new();
        let reply = world.submit();
        let (_, rctx) = world.server.wait().unwrap();
        rctx.reply(world.replies.born()).unwrap();
        assert_eq!(world.alive(), [0, 1, 0]);
        drop(reply);
        assert_eq!(world.alive(), [0, 0, 0]);
        assert_eq!(world.client.stats().replied, 1);
        world.end();
    }

    #[test]
    fn an_unread_outcome_survives_both_ends() {
        let World {
            messages,
            replies,
            errors,
            server,
            client,
        } = World::new();
        let send = || client.request(messages.born()).submit().wait().unwrap();
        let (replied, failed, queued) = (send(), send(), send());
        server.wait().unwrap().1.reply(replies.born()).unwrap();
        server.wait().unwrap().1.fail(errors.born()).unwrap();
        drop((server, client));
        assert_eq!(
            (messages.deaths(), replies.deaths(), errors.deaths()),
            (2, 0, 0)
        );
        drop(replied);
        assert_eq!(
            (messages.deaths(), replies.deaths(), errors.deaths()),
            (2, 1, 0)
        );
        drop(failed);
        assert_eq!(
            (messages.deaths(), replies.deaths(), errors.deaths()),
            (2, 1, 1)
        );
        drop(queued);
        assert_eq!(
            (messages.deaths(), replies.deaths(), errors.deaths()),
            (3, 1, 1)
        );
    }

    #[test]
    fn a_message_expired_in_the_queue_comes_back_once() {
        let world = World::new();
        let tiny = Duration::from_millis(50);
        let back = world
            .client
            .request(world.messages.born())
            .timeout(tiny)
            .wait();
        assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
        assert_eq!(world.alive(), [1, 0, 0]);
        drop(back);
        assert_eq!(world.alive(), [0, 0, 0]);
        let back = block_on(world.client.request(world.messages.born()).timeout(tiny));
        assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
        assert_eq!(world.alive(), [1, 0, 0]);
        drop(back);
        assert_eq!(world.client.stats().timeout_queued, 2);
        world.end();
    }

    #[test]
    fn a_message_turned_down_as_expired_comes_back_once() {
        let world = World::new();
        let at = Instant::now() + Duration::from_millis(50);
        let reply = world
            .client
            .request(world.messages.born())
            .deadline(at)
            .submit()
            .wait()
            .unwrap();
        eventually(|| Instant::now() > at);
        assert!(world.server.try_pop().unwrap().is_none());
        assert_eq!(world.alive(), [1, 0, 0], "it is on its way back");
        let back = reply.try_get().expect("it ended");
        assert!(matches!(back, Err(RequestError::TimeoutQueued(_))));
        assert_eq!(world.alive(), [1, 0, 0]);
        drop(back);
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn a_reply_after_the_deadline_comes_back() {
        let world = World::new();
        thread::scope(|scope| {
            let tiny = Duration::from_millis(50);
            let request = world.client.request(world.messages.born()).timeout(tiny);
            let asking = scope.spawn(move || request.wait().map_err(RequestError::into_message));
            let Ok(Some((message, rctx))) = world.server.wait_timeout(Duration::from_millis(49))
            else {
                // Too slow a machine: it expired in the queue.
                assert!(asking.join().unwrap().is_err());
                return;
            };
            assert!(matches!(asking.join().unwrap(), Err(None)));
            drop(message);
            assert_eq!(world.alive(), [0, 0, 0]);
            assert!(matches!(rctx.answer(Ok(world.replies.born())), Err(Ok(_))));
        });
        assert_eq!(world.alive(), [0, 0, 0]);
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn a_message_refused_for_want_of_room_comes_back_once() {
        let World {
            messages, server, ..
        } = World::new();
        drop(server);
        let (server, client) = bounded::<Counted, Counted, Counted>(1).unwrap();
        client.post(messages.born()).wait().unwrap();
        let backs = [
            client.post(messages.born()).if_room().wait().unwrap_err(),
            block_on(client.post(messages.born()).if_room()).unwrap_err(),
            client
                .request(messages.born())
                .if_room()
                .submit()
                .wait()
                .unwrap_err(),
            block_on(client.request(messages.born()).if_room().submit()).unwrap_err(),
        ];
        assert!(backs.iter().all(|back| matches!(back, SendError::Full(_))));
        let back = client
            .request(messages.born())
            .if_room()
            .wait()
            .unwrap_err();
        assert!(matches!(back, RequestError::Full(_)));
        assert_eq!(messages.deaths(), 0);
        drop((backs, back));
        assert_eq!(messages.deaths(), 5);
        drop(server);
        assert_eq!(messages.deaths(), 6);
    }

    #[test]
    fn futures_that_never_sent_drop_their_message() {
        let world = World::new();
        // Never polled.
        drop(world.client.request(world.messages.born()));
        drop(world.client.request(world.messages.born()).into_future());
        drop(world.client.request(world.messages.born()).submit());
        drop(
            world
                .client
                .request(world.messages.born())
                .submit()
                .into_future(),
        );
        drop(world.client.post(world.messages.born()));
        drop(world.client.post(world.messages.born()).into_future());
        drop(world.client.areq(world.messages.born()));
        assert_eq!(world.alive(), [0, 0, 0]);
        // Waiting for room.
        for _ in 0..8 {
            world.client.post(world.messages.born()).wait().unwrap();
        }
        let mut request = world.client.request(world.messages.born()).into_future();
        let mut submit = world
            .client
            .request(world.messages.born())
            .submit()
            .into_future();
        let mut post = world.client.post(world.messages.born()).into_future();
        assert!(poll_once(&mut request).is_pending());
        assert!(poll_once(&mut submit).is_pending());
        assert!(poll_once(&mut post).is_pending());
        assert_eq!(world.alive(), [11, 0, 0]);
        drop((request, submit, post));
        assert_eq!(world.alive(), [8, 0, 0]);
        world.end();
    }

    #[test]
    fn a_gather_drops_what_it_still_holds() {
        let world = World::new();
        let mut gather = Gather::new();
        for n in 0..6 {
            gather.push(n, world.submit());
        }
        world
            .server
            .wait()
            .unwrap()
            .1
            .reply(world.replies.born())
            .unwrap();
        world
            .server
            .wait()
            .unwrap()
            .1
            .fail(world.errors.born())
            .unwrap();
        let (message, rctx) = world.server.wait().unwrap();
        drop(message);
        let (key, outcome) = gather.wait().unwrap();
        assert!(key == 0 && outcome.is_ok());
        assert_eq!(world.alive(), [3, 1, 1]);
        drop(gather);
        assert_eq!(world.alive(), [0, 1, 0]);
        assert!(rctx.is_cancelled());
        drop((outcome, rctx));
        assert_quiet(world.client.stats());
        world.end();
    }
}

mod posts {
    use super::*;

    #[test]
    fn a_handled_posts_message_stays_and_its_reply_drops() {
        let world = World::new();
        for _ in 0..3 {
            world.client.post(world.messages.born()).wait().unwrap();
        }
        let (message, rctx) = world.server.wait().unwrap();
        rctx.reply(world.replies.born()).unwrap();
        assert_eq!(world.alive(), [3, 0, 0]);
        drop(message);
        let (_, rctx) = world.server.wait().unwrap();
        rctx.fail(world.errors.born()).unwrap();
        drop(world.server.wait().unwrap());
        assert_eq!(world.alive(), [0, 0, 0]);
        assert_quiet(world.client.stats());
        world.end();
    }

    #[test]
    fn the_messages_of_queued_posts_go_with_the_server() {
        let World {
            messages,
            client,
            server,
            ..
        } = World::new();
        for _ in 0..4 {
            client.post(messages.born()).wait().unwrap();
            client.post(messages.born()).urgent().wait().unwrap();
        }
        drop(server);
        assert_eq!(messages.deaths(), 8);
        assert_eq!(client.stats().server_disappeared, 8);
        let back = client.post(messages.born()).wait();
        assert!(matches!(back, Err(SendError::ServerDisappeared(_))));
        assert_eq!(messages.deaths(), 8);
    }

    #[test]
    fn expired_posts_are_dropped_when_found() {
        let world = World::new();
        let at = Instant::now() + Duration::from_millis(50);
        for _ in 0..4 {
            let post = world.client.post(world.messages.born());
            post.deadline(at).wait().unwrap();
        }
        world.client.post(world.messages.born()).wait().unwrap();
        eventually(|| Instant::now() > at);
        assert_eq!(world.alive(), [5, 0, 0], "nobody has looked");
        let (message, rctx) = world.server.wait().unwrap();
        assert_eq!(world.alive(), [1, 0, 0]);
        drop((message, rctx));
        let stats = world.client.stats();
        assert_eq!((stats.timeout_queued, stats.replied), (4, 1));
        assert_quiet(stats);
        world.end();
    }

    #[test]
    fn many_expired_posts_are_all_dropped() {
        let (server, client) = channel::<Counted, (), ()>();
        let messages = Census::default();
        let at = Instant::now() + Duration::from_millis(50);
        for _ in 0..1000 {
            // On a slow machine it may be late.
            let _ = client.post(messages.born()).deadline(at).wait();
        }
        client.post(messages.born()).wait().unwrap();
        eventually(|| Instant::now() > at);
        let job = server.wait().unwrap();
        assert_eq!(messages.deaths(), 1000);
        drop(job);
        assert_quiet(client.stats());
    }

    #[test]
    fn a_taken_posts_message_outlives_its_server() {
        let World {
            messages,
            client,
            server,
            ..
        } = World::new();
        client.post(messages.born()).wait().unwrap();
        let job = server.wait().unwrap();
        drop((server, client));
        assert_eq!(messages.deaths(), 0);
        drop(job);
        assert_eq!(messages.deaths(), 1);
    }
}

/// Messages that own an end of a channel, or something else of it: dropped, they re-enter it.
#[expect(dead_code, reason = "held to be dropped")]
enum Parcel {
    Empty,
    Client(Client<Parcel, Parcel, ()>),
    Server(Server<Parcel, Parcel, ()>),
    Context(ReplyContext<Parcel, ()>),
    Reply(WaitReply<Parcel, (), RequestError<Parcel, ()>>),
    Gather(Gather<u32, Parcel, (), RequestError<Parcel, ()>>),
    Many(Vec<Parcel>),
    /// Makes a request of its own when it is dropped.
    Asks(Client<Parcel, Parcel, ()>, Counted),
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Self::Asks(client, _) = self {
            let _ = client.post(Self::Empty).if_room().wait();
            drop(client.request(Self::Empty).if_room().submit().wait());
            let _ = (client.stats(), client.len());
        }
    }
}

/// What a queued message owns: a way to make it, and its census.
mod messages_that_own {
    use super::*;

    type Ends = (Server<Parcel, Parcel, ()>, Client<Parcel, Parcel, ()>);

    /// Everything of its own channel that a message can hold, with counted contents.
    fn parcel(
        server: &Server<Parcel, Parcel, ()>,
        client: &Client<Parcel, Parcel, ()>,
        census: &Census,
    ) -> Parcel {
        let counted = || Parcel::Asks(client.clone(), census.born());
        let taken = client.request(counted()).urgent().submit().wait().unwrap();
        let (_, rctx) = server.try_pop().unwrap().unwrap();
        client.post(Parcel::Empty).urgent().wait().unwrap();
        let (_, of_a_post) = server.try_pop().unwrap().unwrap();
        let queued = client.request(counted()).submit().wait().unwrap();
        let gather = (0..3)
            .map(|n| (n, client.request(counted()).submit().wait().unwrap()))
            .collect();
        Parcel::Many(vec![
            Parcel::Client(client.clone()),
            counted(),
            Parcel::Context(rctx),
            Parcel::Context(of_a_post),
            Parcel::Reply(queued),
            Parcel::Reply(taken),
            Parcel::Gather(gather),
        ])
    }

    /// Puts such a message in the queue by `send`, ends it by `end`, and looks whether all has gone.
    fn end_of<Q: Send + 'static>(
        send: impl FnOnce(&Client<Parcel, Parcel, ()>, Parcel) -> Q + Send + 'static,
        end: impl FnOnce(Server<Parcel, Parcel, ()>, Client<Parcel, Parcel, ()>, Q) + Send + 'static,
    ) {
        must_end(|| {
            let (server, client): Ends = channel();
            let census = Census::default();
            let message = parcel(&server, &client, &census);
            let queued = send(&client, message);
            let watcher = client.clone();
            end(server, client, queued);
            assert!(census.births() > 0);
            assert_eq!(census.deaths(), census.births());
            assert_quiet(watcher.stats());
        });
    }

    #[test]
    fn a_client_in_posts_ends_with_the_server() {
        end_of(
            |client, message| client.post(message).wait().unwrap_or_else(|_| panic!()),
            |server, client, ()| drop((server, client)),
        );
    }

    #[test]
    fn a_client_in_posts_ends_with_a_deserted_server() {
        end_of(
            |client, message| client.post(message).wait().unwrap_or_else(|_| panic!()),
            |server, client, ()| {
                drop(client);
                drop(server);
            },
        );
    }

    #[test]
    fn a_client_in_requests_ends_with_the_server() {
        end_of(
            |client, message| client.request(message).submit().wait().unwrap(),
            |server, client, reply| {
                drop((server, client));
                drop(reply);
            },
        );
    }

    #[test]
    fn a_client_in_unwanted_messages_ends() {
        end_of(
            |client, message| client.req_async(message).unwrap(),
            |server, client, reply| {
                drop(server);
                assert!(matches!(reply.wait(), Err(Error::ServerDisappeared)));
                drop(client);
            },
        );
    }

    #[test]
    fn a_client_and_more_end_as_withdrawn_requests() {
        end_of(
            |client, message| client.request(message).submit().wait().unwrap(),
            |server, client, reply| {
                drop(reply);
                drop((client, server));
            },
        );
    }

    #[test]
    fn a_client_and_more_end_as_expired_posts() {
        end_of(
            |client, message| {
                let at = Instant::now() + Duration::from_millis(50);
                client
                    .post(message)
                    .deadline(at)
                    .wait()
                    .unwrap_or_else(|_| panic!("in time"));
                at
            },
            |server, client, at| {
                eventually(|| Instant::now() > at);
                while let Some(job) = server.try_pop().unwrap() {
                    drop(job);
                }
                drop((client, server));
            },
        );
    }

    #[test]
    fn a_client_and_more_end_as_timed_out_requests() {
        end_of(
            |client, message| {
                let tiny = Duration::from_millis(50);
                client
                    .request(message)
                    .timeout(tiny)
                    .submit()
                    .wait()
                    .unwrap()
            },
            |server, client, reply| {
                drop(reply.wait());
                drop((client, server));
            },
        );
    }

    #[test]
    fn a_client_and_more_end_in_the_hands_of_a_handler() {
        end_of(
            |client, message| client.post(message).wait().unwrap_or_else(|_| panic!()),
            |server, client, ()| {
                drop(client);
                while let Ok(Some(job)) = server.try_pop() {
                    drop(job);
                }
                drop(server);
            },
        );
    }

    #[test]
    fn a_client_and_more_end_as_a_reply_nobody_looks_at() {
        end_of(
            |client, message| {
                let reply = client
                    .request(Parcel::Empty)
                    .urgent()
                    .submit()
                    .wait()
                    .unwrap();
                (reply, message)
            },
            |server, client, (reply, message)| {
                let (_, rctx) = server.try_pop().unwrap().unwrap();
                assert!(rctx.reply(message).is_ok());
                drop(reply);
                drop((client, server));
            },
        );
    }

    #[test]
    fn a_client_in_a_late_reply_ends() {
        end_of(
            |client, message| {
                let reply = client
                    .request(Parcel::Empty)
                    .urgent()
                    .submit()
                    .wait()
                    .unwrap();
                (reply, message)
            },
            |server, client, (reply, message)| {
                let (_, rctx) = server.try_pop().unwrap().unwrap();
                drop(reply);
                assert!(rctx.reply(message).is_err());
                drop((client, server));
            },
        );
    }

    #[test]
    fn their_own_server_end_when_they_are_withdrawn() {
        must_end(|| {
            let (server, client): Ends = channel();
            let census = Census::default();
            let other = client.request(Parcel::Asks(client.clone(), census.born()));
            let other = other.submit().wait().unwrap();
            let reply = client
                .request(Parcel::Server(server))
                .submit()
                .wait()
                .unwrap();
            assert!(!client.is_closed());
            drop(reply);
            assert!(client.is_closed());
            let outcome = other.try_get().expect("it ended");
            assert!(matches!(outcome, Err(RequestError::ServerDisappeared(_))));
            drop(outcome);
            assert_eq!(census.deaths(), 1);
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn their_own_server_end_when_they_time_out() {
        must_end(|| {
            let (server, client): Ends = channel();
            let tiny = Duration::from_millis(50);
            let back = client.request(Parcel::Server(server)).timeout(tiny).wait();
            let Err(RequestError::TimeoutQueued(message)) = back else {
                panic!("nobody took it");
            };
            assert!(!client.is_closed());
            drop(message);
            assert!(client.is_closed());
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn their_own_server_end_with_a_dropped_future() {
        must_end(|| {
            let (server, client): Ends = channel();
            let mut asking = client.request(Parcel::Server(server)).into_future();
            assert!(poll_once(&mut asking).is_pending());
            drop(asking);
            assert!(client.is_closed());
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn another_server_end_it_with_its_queue() {
        must_end(|| {
            let census = Census::default();
            // Each server is queued in the next channel, together with a client of the one before.
            let (mut server, first): Ends = channel();
            let mut replies = vec![first.request(Parcel::Empty).submit().wait().unwrap()];
            let mut before = first.clone();
            for _ in 0..50 {
                let (outer, client): Ends = channel();
                replies.push(client.request(Parcel::Empty).submit().wait().unwrap());
                let inner = std::mem::replace(&mut server, outer);
                let contents = Parcel::Many(vec![
                    Parcel::Server(inner),
                    Parcel::Asks(before, census.born()),
                    Parcel::Asks(client.clone(), census.born()),
                ]);
                client.post(contents).wait().unwrap_or_else(|_| panic!());
                before = client;
            }
            drop(before);
            drop(server);
            assert!(first.is_closed());
            for reply in replies {
                let outcome = reply.try_get().expect("it ended");
                assert!(matches!(outcome, Err(RequestError::ServerDisappeared(_))));
            }
            assert_eq!((census.births(), census.deaths()), (100, 100));
        });
    }

    #[test]
    fn two_servers_crosswise_end_together() {
        must_end(|| {
            let (server_a, client_a): Ends = channel();
            let (server_b, client_b): Ends = channel();
            let in_a = client_a
                .request(Parcel::Client(client_b.clone()))
                .submit()
                .wait()
                .unwrap();
            let in_b = client_b
                .request(Parcel::Server(server_a))
                .submit()
                .wait()
                .unwrap();
            let also_in_b = client_b
                .request(Parcel::Reply(in_a))
                .submit()
                .wait()
                .unwrap();
            drop(server_b);
            drop(in_b);
            assert!(client_a.is_closed());
            drop(also_in_b);
            assert_quiet(client_a.stats());
            assert_quiet(client_b.stats());
        });
    }

    #[test]
    fn the_context_of_a_waiting_caller_end_its_wait() {
        must_end(|| {
            let (server, client): Ends = channel();
            thread::scope(|scope| {
                let asking =
                    scope.spawn(|| matches!(client.req(Parcel::Empty), Err(Error::NoReply)));
                let (_, rctx) = server.wait().unwrap();
                client
                    .post(Parcel::Context(rctx))
                    .wait()
                    .unwrap_or_else(|_| panic!());
                drop(server);
                assert!(asking.join().unwrap());
            });
            assert_quiet(client.stats());
        });
    }

    #[test]
    fn their_own_reply_end_without_a_sound() {
        must_end(|| {
            // A reply that contains the caller's end of another request, which is answered with the context of the first.
            let (server, client): Ends = channel();
            let a = client.request(Parcel::Empty).submit().wait().unwrap();
            let b = client.request(Parcel::Empty).submit().wait().unwrap();
            let (_, answer_a) = server.wait().unwrap();
            let (_, answer_b) = server.wait().unwrap();
            assert!(answer_b.reply(Parcel::Context(answer_a)).is_ok());
            drop(b);
            let outcome = a.try_get().expect("it ended");
            assert!(matches!(outcome, Err(RequestError::NoReply(_))));
            assert_quiet(client.stats());
        });
    }
}

#[test]
fn a_long_chain_of_owned_replies_ends() {
    must_end(|| {
        let (server, client) = channel::<Parcel, Parcel, ()>();
        // Each queued message holds the caller's end of the one before it.
        let mut last = client.request(Parcel::Empty).submit().wait().unwrap();
        for _ in 0..200 {
            last = client.request(Parcel::Reply(last)).submit().wait().unwrap();
        }
        drop(server);
        drop(last);
        assert_quiet(client.stats());
        assert_eq!(client.stats().server_disappeared, 201);
    });
}

#[test]
fn the_channel_is_freed_with_the_last_that_knows_it() {
    // A queued message cannot tell, as it is gone before; a waker that nobody takes back can.
    let bell = tests::Bell::new();
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let (_, rctx) = server.wait().unwrap();
    let weak = client.weak();
    {
        let mut forgotten = Box::pin(server.async_wait());
        assert!(tests::poll_with(&mut forgotten, &bell).is_pending());
        // Its place in line, and the waker in it, stay behind.
        std::mem::forget(forgotten);
    }
    let (give, given) = mpsc::channel();
    client.post(0).wait().unwrap();
    drop(server);
    drop(client);
    give.send(()).unwrap();
    given.recv().unwrap();
    drop((weak, rctx));
    assert_eq!(reply.wait(), Err(Error::NoReply));
    assert_eq!(bell.wakers(), 0);
}

#[test]
fn zero_sized_and_large_values_make_the_round_trip() {
    let (server, client) = channel::<[u64; 1000], (), [u8; 5000]>();
    let reply = client.req_async([7; 1000]).unwrap();
    let (message, rctx) = server.wait().unwrap();
    assert_eq!(message, [7; 1000]);
    rctx.reply(()).unwrap();
    assert_eq!(reply.wait(), Ok(()));
    let reply = client.request([8; 1000]).submit().wait().unwrap();
    server.wait().unwrap().1.fail([9; 5000]).unwrap();
    assert_eq!(reply.wait().unwrap_err().into_apperr(), Some([9; 5000]));
    let reply = client.request([9; 1000]).submit().wait().unwrap();
    drop(server);
    assert_eq!(reply.wait().unwrap_err().into_message(), Some([9; 1000]));
}

#[test]
fn messages_are_dropped_outside_the_channels_lock() {
    must_end(|| {
        /// Has another thread look at the channel while it is dropped.
        struct Looks(Client<Looks, (), ()>, Arc<Mutex<usize>>);
        impl Drop for Looks {
            fn drop(&mut self) {
                let client = self.0.clone();
                let looking = thread::spawn(move || client.stats());
                let _ = looking.join().unwrap();
                *self.1.lock().unwrap() += 1;
            }
        }
        let looks = Arc::new(Mutex::new(0));
        let (server, client) = channel::<Looks, (), ()>();
        let message = || Looks(client.clone(), Arc::clone(&looks));
        // Withdrawn, expired, and left behind.
        drop(client.req_async(message()).unwrap());
        let at = Instant::now() + Duration::from_millis(50);
        assert!(client.post(message()).deadline(at).wait().is_ok());
        eventually(|| Instant::now() > at);
        assert!(server.try_pop().unwrap().is_none());
        let reply = client.req_async(message()).unwrap();
        assert!(client.post(message()).wait().is_ok());
        drop(server);
        assert!(matches!(reply.wait(), Err(Error::ServerDisappeared)));
        assert_eq!(*looks.lock().unwrap(), 4);
        drop(client);
    });
}

#[test]
fn a_future_dropped_by_its_own_handler_frees_all() {
    must_end(|| {
        type Slot = Arc<Mutex<Option<WaitReply<Counted, (), Error<()>>>>>;
        let (server, client) = channel::<(Counted, Slot), Counted, ()>();
        let (messages, replies) = (Census::default(), Census::default());
        let slot = Slot::default();
        let reply = client
            .req_async((messages.born(), Arc::clone(&slot)))
            .unwrap();
        *slot.lock().unwrap() = Some(reply);
        drop(slot);
        let ((message, slot), rctx) = server.wait().unwrap();
        drop(slot);
        assert!(rctx.is_cancelled());
        assert!(rctx.answer(Ok(replies.born())).is_err());
        drop(message);
        assert_eq!((messages.deaths(), replies.deaths()), (1, 1));
        assert_quiet(client.stats());
    });
}

#[test]
fn values_that_are_not_static_can_be_sent() {
    let text = String::from("on this stack");
    let census = Census::default();
    {
        let (server, client) = channel::<&str, (&str, Counted), ()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                for (message, rctx) in &server {
                    rctx.reply((message, census.born())).unwrap();
                    if message.is_empty() {
                        break;
                    }
                }
            });
            assert_eq!(client.req(&text).unwrap().0, text);
            let reply = block_on(client.request(&text).timeout(LONG)).unwrap();
            assert_eq!(reply.0, text);
            let mut asking = pin!(client.areq(""));
            let outcome = loop {
                if let Poll::Ready(outcome) = poll_once(&mut asking) {
                    break outcome;
                }
                thread::yield_now();
            };
            assert_eq!(outcome.unwrap().0, "");
        });
    }
    assert_eq!((census.births(), census.deaths()), (3, 3));
}
