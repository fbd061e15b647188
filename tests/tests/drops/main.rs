//! Drops: every message, reply and error is dropped exactly once by its last owner, whatever it
//! owns.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use tests::{Counted, DropCounter, LONG, block_on, eventually, must_end, poll_once};
use ump::{
    Client, Error, Gather, ReplyContext, RequestError, SendError, Server, Stats, WaitReply,
    bounded, channel,
};

type Messages = Client<Counted, Counted, Counted>;

/// Three drop counters, and the ends of a channel for their values.
struct Fixture {
    messages: DropCounter,
    replies: DropCounter,
    errors: DropCounter,
    server: Server<Counted, Counted, Counted>,
    client: Messages,
}

impl Fixture {
    fn new() -> Self {
        let (server, client) = bounded(8).unwrap();
        Self {
            messages: DropCounter::default(),
            replies: DropCounter::default(),
            errors: DropCounter::default(),
            server,
            client,
        }
    }

    /// Returns the numbers of messages, replies and errors that are alive.
    fn alive(&self) -> [usize; 3] {
        [&self.messages, &self.replies, &self.errors]
            .map(|drop_counter| drop_counter.created() - drop_counter.dropped())
    }

    fn submit(&self) -> WaitReply<Counted, Counted, RequestError<Counted, Counted>> {
        self.client
            .request(self.messages.value())
            .submit()
            .wait()
            .unwrap()
    }

    /// Checks that the channel is gone, and that each value was dropped once.
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
        for drop_counter in [messages, replies, errors] {
            assert_eq!(drop_counter.dropped(), drop_counter.created());
        }
    }
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// The outcome for a caller: its reply, its error, its message, or nothing.
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

/// Makes a request on its own thread while `serve` serves, and returns the outcome for the caller.
fn ask_and<T>(
    fixture: &Fixture,
    ask: fn(&Messages, Counted) -> Ended,
    serve: impl FnOnce(&Server<Counted, Counted, Counted>) -> T,
) -> (Ended, T) {
    thread::scope(|scope| {
        let message = fixture.messages.value();
        let client = &fixture.client;
        let asking = scope.spawn(move || ask(client, message));
        let served = serve(&fixture.server);
        (asking.join().unwrap(), served)
    })
}

/// Makes tests of requests that are awaited to the end, for each way to wait.
macro_rules! callers {
    ($($name:ident: $ask:expr, $message_comes_back:expr;)*) => {$(
        mod $name {
            use super::*;

            const ASK: fn(&Messages, Counted) -> Ended = $ask;

            #[test]
            fn a_reply_that_is_taken_is_dropped_by_the_caller() {
                let fixture = Fixture::new();
                let (ended, ()) = ask_and(&fixture, ASK, |server| {
                    let (message, rctx) = server.wait().unwrap();
                    assert_eq!(fixture.alive(), [1, 0, 0]);
                    drop(message);
                    assert_eq!(fixture.alive(), [0, 0, 0], "the handler had the only one");
                    rctx.reply(fixture.replies.value()).unwrap();
                });
                assert!(matches!(ended, Ended::Reply(_)));
                assert_eq!(fixture.alive(), [0, 1, 0]);
                drop(ended);
                assert_eq!(fixture.alive(), [0, 0, 0]);
                fixture.end();
            }

            #[test]
            fn an_error_that_is_taken_is_dropped_by_the_caller() {
                let fixture = Fixture::new();
                let (ended, ()) = ask_and(&fixture, ASK, |server| {
                    let (_message, rctx) = server.wait().unwrap();
                    rctx.fail(fixture.errors.value()).unwrap();
                });
                assert!(matches!(ended, Ended::Error(_)));
                assert_eq!(fixture.alive(), [0, 0, 1]);
                drop(ended);
                fixture.end();
            }

            #[test]
            fn a_message_whose_context_is_dropped_is_the_handlers() {
                let fixture = Fixture::new();
                let (ended, message) = ask_and(&fixture, ASK, |server| {
                    let (message, rctx) = server.wait().unwrap();
                    drop(rctx);
                    message
                });
                assert!(matches!(ended, Ended::Nothing));
                assert_eq!(fixture.alive(), [1, 0, 0]);
                drop(message);
                fixture.end();
            }

            #[test]
            fn a_message_queued_when_the_server_went_drops_once() {
                let Fixture { messages, client, server, .. } = Fixture::new();
                let message = messages.value();
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ASK(&client, message));
                    eventually(|| client.stats().accepted == 1);
                    drop(server);
                    let ended = asking.join().unwrap();
                    assert_eq!(matches!(ended, Ended::Message(_)), $message_comes_back);
                    assert_eq!(messages.dropped(), usize::from(!$message_comes_back));
                });
                assert_eq!(messages.dropped(), 1);
                assert_quiet(client.stats());
            }

            #[test]
            fn a_message_sent_after_the_server_went_drops_once() {
                let Fixture { messages, client, server, .. } = Fixture::new();
                drop(server);
                let ended = ASK(&client, messages.value());
                assert_eq!(matches!(ended, Ended::Message(_)), $message_comes_back);
                assert_eq!(messages.dropped(), usize::from(!$message_comes_back));
                drop(ended);
                assert_eq!(messages.dropped(), 1);
                assert_eq!(client.stats().refused, 1);
            }

            #[test]
            fn a_reply_given_after_the_server_went_still_arrives() {
                let Fixture { messages, replies, client, server, .. } = Fixture::new();
                let message = messages.value();
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ASK(&client, message));
                    let (message, rctx) = server.wait().unwrap();
                    drop((server, message));
                    rctx.reply(replies.value()).unwrap();
                    let ended = asking.join().unwrap();
                    assert!(matches!(ended, Ended::Reply(_)));
                    assert_eq!((messages.dropped(), replies.dropped()), (1, 0));
                });
                assert_eq!((messages.dropped(), replies.dropped()), (1, 1));
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

mod leaving_callers;

mod posts;

/// Messages that own an end of a channel, or another part of it: their drop re-enters it.
#[expect(dead_code, reason = "held to be dropped")]
enum Payload {
    Empty,
    Client(Client<Payload, Payload, ()>),
    Server(Server<Payload, Payload, ()>),
    Context(ReplyContext<Payload, ()>),
    Reply(WaitReply<Payload, (), RequestError<Payload, ()>>),
    Gather(Gather<u32, Payload, (), RequestError<Payload, ()>>),
    Many(Vec<Payload>),
    /// Makes a request when it is dropped.
    RequestsOnDrop(Client<Payload, Payload, ()>, Counted),
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Self::RequestsOnDrop(client, _) = self {
            let _ = client.post(Self::Empty).if_room().wait();
            drop(client.request(Self::Empty).if_room().submit().wait());
            let _ = (client.stats(), client.len());
        }
    }
}

mod owning_messages;

#[test]
fn a_long_chain_of_owned_replies_ends() {
    must_end(|| {
        let (server, client) = channel::<Payload, Payload, ()>();
        // Each queued message owns the pending reply of the one before it.
        let mut last = client.request(Payload::Empty).submit().wait().unwrap();
        for _ in 0..200 {
            last = client
                .request(Payload::Reply(last))
                .submit()
                .wait()
                .unwrap();
        }
        drop(server);
        drop(last);
        assert_quiet(client.stats());
        assert_eq!(client.stats().server_disappeared, 201);
    });
}

#[test]
fn the_channel_is_freed_with_its_last_owner() {
    // A queued message is dropped earlier. The registered waker shows when the channel is freed.
    let counter = tests::CountingWaker::new();
    let (server, client) = channel::<u32, u32, ()>();
    let reply = client.req_async(1).unwrap();
    let (_, rctx) = server.wait().unwrap();
    let weak = client.weak();
    {
        let mut forgotten = Box::pin(server.async_wait());
        assert!(tests::poll_with(&mut forgotten, &counter).is_pending());
        // The entry of the forgotten future in the wait queue, with the waker, stays behind.
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
    assert_eq!(counter.wakers(), 0);
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
        /// Lets another thread use the channel while it is dropped.
        struct ChecksOnDrop(Client<ChecksOnDrop, (), ()>, Arc<Mutex<usize>>);
        impl Drop for ChecksOnDrop {
            fn drop(&mut self) {
                let client = self.0.clone();
                let looking = thread::spawn(move || client.stats());
                let _ = looking.join().unwrap();
                *self.1.lock().unwrap() += 1;
            }
        }
        let looks = Arc::new(Mutex::new(0));
        let (server, client) = channel::<ChecksOnDrop, (), ()>();
        let message = || ChecksOnDrop(client.clone(), Arc::clone(&looks));
        // Revoked, expired, and left in the queue.
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
        let (messages, replies) = (DropCounter::default(), DropCounter::default());
        let slot = Slot::default();
        let reply = client
            .req_async((messages.value(), Arc::clone(&slot)))
            .unwrap();
        *slot.lock().unwrap() = Some(reply);
        drop(slot);
        let ((message, slot), rctx) = server.wait().unwrap();
        drop(slot);
        assert!(rctx.is_cancelled());
        assert!(rctx.answer(Ok(replies.value())).is_err());
        drop(message);
        assert_eq!((messages.dropped(), replies.dropped()), (1, 1));
        assert_quiet(client.stats());
    });
}

#[test]
fn values_that_are_not_static_can_be_sent() {
    let text = String::from("on this stack");
    let drop_counter = DropCounter::default();
    {
        let (server, client) = channel::<&str, (&str, Counted), ()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                for (message, rctx) in &server {
                    rctx.reply((message, drop_counter.value())).unwrap();
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
    assert_eq!((drop_counter.created(), drop_counter.dropped()), (3, 3));
}
