//! The matrix: each way of asking against each way of serving, and against each way in which a request can end.
//!
//! Each cell asserts that the request ends exactly once and in an outcome that fits what the server did, that message, reply and error are
//! dropped exactly once, that the books are closed, and (loom finds that) that nobody sleeps for ever and nothing leaks.
//!
//! There are many cells, so each is explored with one preemption less than the other models.
//!
//! These are the promises at the top of `ump/src/lib.rs`; the invariants behind them are named by the models in the other files.
#![cfg(loom)]

use std::{
    future::{IntoFuture, poll_fn},
    time::{Duration, Instant},
};

use loom::{future::block_on, thread};
use loom_tests::{Census, Counted, assert_settled, explore_large, poll_once};
use ump::{Builder, Client, ReplyContext, RequestError, SendError, Server};

type Asker = Client<Counted, Counted, Counted>;
type Answerer = Server<Counted, Counted, Counted>;
type Reply = ReplyContext<Counted, Counted>;
type Outcome = Result<Counted, RequestError<Counted, Counted>>;

/// Loom's clock does not move: this deadline passes when the model says so.
fn some_day() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// How a request ended for the one who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Replied,
    Failed,
    NoReply,
    /// The message came back: the deadline passed.
    LateQueued,
    LateTaken,
    /// The message came back, or would have: the server was gone.
    Refused,
    /// Its caller did not wait for the outcome.
    Left,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(_) => Self::Replied,
            Err(RequestError::App(_)) => Self::Failed,
            Err(RequestError::NoReply(_)) => Self::NoReply,
            Err(RequestError::TimeoutQueued(_)) => Self::LateQueued,
            Err(RequestError::TimeoutTaken) => Self::LateTaken,
            Err(RequestError::ServerDisappeared(_)) => Self::Refused,
            Err(RequestError::Full(_) | RequestError::NoTimer(..)) => unreachable!("it waits"),
        }
    }
}

impl From<SendError<Counted>> for Ended {
    fn from(error: SendError<Counted>) -> Self {
        Outcome::Err(error.into()).into()
    }
}

mod ask {
    //! Each makes one request.

    use super::*;

    pub(super) fn blocking(client: &Asker, message: Counted) -> Ended {
        client.request(message).wait().into()
    }

    pub(super) fn awaiting(client: &Asker, message: Counted) -> Ended {
        block_on(client.request(message).into_future()).into()
    }

    pub(super) fn polling_once_and_leaving(client: &Asker, message: Counted) -> Ended {
        match poll_once(&mut client.request(message).into_future()) {
            std::task::Poll::Ready(outcome) => outcome.into(),
            std::task::Poll::Pending => Ended::Left,
        }
    }

    pub(super) fn polling_twice_and_leaving(client: &Asker, message: Counted) -> Ended {
        let mut asking = client.request(message).into_future();
        for _ in 0..2 {
            if let std::task::Poll::Ready(outcome) = poll_once(&mut asking) {
                return outcome.into();
            }
        }
        Ended::Left
    }

    pub(super) fn submitting_and_waiting(client: &Asker, message: Counted) -> Ended {
        match client.request(message).submit().wait() {
            Ok(reply) => reply.wait().into(),
            Err(error) => error.into(),
        }
    }

    pub(super) fn submitting_and_awaiting(client: &Asker, message: Counted) -> Ended {
        match block_on(client.request(message).submit().into_future()) {
            Ok(reply) => block_on(reply).into(),
            Err(error) => error.into(),
        }
    }

    pub(super) fn submitting_and_leaving(client: &Asker, message: Counted) -> Ended {
        match client.request(message).submit().wait() {
            Ok(_reply) => Ended::Left,
            Err(error) => error.into(),
        }
    }

    pub(super) fn with_a_deadline(client: &Asker, message: Counted) -> Ended {
        client.request(message).deadline(some_day()).wait().into()
    }

    pub(super) fn awaiting_with_a_deadline(client: &Asker, message: Counted) -> Ended {
        block_on(client.request(message).deadline(some_day()).into_future()).into()
    }

    pub(super) fn urgently(client: &Asker, message: Counted) -> Ended {
        client.request(message).urgent().wait().into()
    }

    pub(super) fn posting(client: &Asker, message: Counted) -> Ended {
        match client.post(message).wait() {
            Ok(()) => Ended::Left,
            Err(error) => error.into(),
        }
    }
}

type Handle<'a> = &'a mut dyn FnMut((Counted, Reply));

mod serve {
    //! Each takes requests until no client is left.

    use super::*;

    pub(super) fn waiting(server: &Answerer, handle: Handle<'_>) {
        server.iter().for_each(handle);
    }

    pub(super) fn by_deadline(server: &Answerer, handle: Handle<'_>) {
        if let Ok(Some(job)) = server.wait_deadline(some_day()) {
            handle(job);
        }
        server.iter().for_each(handle);
    }

    pub(super) fn many_at_a_time(server: &Answerer, handle: Handle<'_>) {
        let mut batch = Vec::new();
        while server.wait_many(&mut batch, 2).is_ok() {
            batch.drain(..).for_each(&mut *handle);
        }
    }

    pub(super) fn awaiting(server: &Answerer, handle: Handle<'_>) {
        while let Ok(job) = block_on(server.async_wait()) {
            handle(job);
        }
    }

    pub(super) fn awaiting_many(server: &Answerer, handle: Handle<'_>) {
        let mut batch = Vec::new();
        while block_on(server.async_wait_many(&mut batch, 2)).is_ok() {
            batch.drain(..).for_each(&mut *handle);
        }
    }

    pub(super) fn by_a_stream(server: &Answerer, handle: Handle<'_>) {
        let mut requests = server.stream();
        while let Ok(job) = block_on(poll_fn(|cx| requests.poll_wait(cx))) {
            handle(job);
        }
    }

    pub(super) fn polling(server: &Answerer, handle: Handle<'_>) {
        while let Ok(job) = block_on(poll_fn(|cx| server.poll_wait(cx))) {
            handle(job);
        }
    }

    /// Looks once, then waits.
    pub(super) fn popping(server: &Answerer, handle: Handle<'_>) {
        if let Ok(Some(job)) = server.try_pop() {
            handle(job);
        }
        server.iter().for_each(handle);
    }
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Replies,
    Fails,
    LetsGo,
    RepliesElsewhere,
    /// It goes without having taken anything.
    Goes,
}

impl Deed {
    fn handle(self, message: Counted, rctx: Reply) {
        match self {
            Self::Replies => drop(rctx.answer(Ok(message))),
            Self::Fails => drop(rctx.answer(Err(message))),
            Self::LetsGo => drop((message, rctx)),
            Self::RepliesElsewhere => {
                let elsewhere = thread::spawn(move || drop(rctx.answer(Ok(message))));
                elsewhere.join().unwrap();
            }
            Self::Goes => unreachable!("it takes nothing"),
        }
    }

    /// Whether a request may end so, if it was taken so often.
    fn allows(self, ended: Ended, taken: u32) -> bool {
        let told = match self {
            Self::Replies | Self::RepliesElsewhere => Ended::Replied,
            Self::Fails => Ended::Failed,
            Self::LetsGo => Ended::NoReply,
            Self::Goes => Ended::Refused,
        };
        match ended {
            Ended::Replied | Ended::Failed | Ended::NoReply => ended == told && taken == 1,
            Ended::Refused => ended == told && taken == 0,
            Ended::LateQueued => taken == 0,
            Ended::LateTaken => taken == 1,
            Ended::Left => taken <= 1,
        }
    }
}

fn cell(
    capacity: usize,
    ask: fn(&Asker, Counted) -> Ended,
    serve: fn(&Answerer, Handle<'_>),
    deed: Deed,
) {
    explore_large(move || {
        let census = Census::default();
        let (server, client) = Builder::new().capacity(capacity).build().unwrap();
        let server = thread::spawn(move || {
            let mut taken = 0;
            if deed != Deed::Goes {
                serve(&server, &mut |(message, rctx)| {
                    taken += 1;
                    deed.handle(message, rctx);
                });
            }
            drop(server);
            taken
        });
        let ended = ask(&client, census.born());
        let weak = client.weak();
        drop(client);
        let taken = server.join().unwrap();
        assert!(
            deed.allows(ended, taken),
            "{deed:?}, {taken} taken: {ended:?}"
        );
        assert!(weak.upgrade().is_none());
        assert_eq!(census.alive(), 0, "{ended:?}");
    });
}

/// The books are looked at by the server, after the end.
fn books(ask: fn(&Asker, Counted) -> Ended) {
    explore_large(move || {
        let census = Census::default();
        let (server, client) = ump::channel();
        let server = thread::spawn(move || {
            serve::waiting(&server, &mut |(message, rctx)| {
                Deed::Replies.handle(message, rctx);
            });
            server
        });
        let ended = ask(&client, census.born());
        drop(client);
        let stats = server.join().unwrap().stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 1, "{stats:?}");
        match ended {
            Ended::Replied => assert_eq!(stats.replied, 1, "{stats:?}"),
            Ended::Left => {
                assert_eq!(
                    stats.replied + stats.cancelled_queued + stats.cancelled_taken,
                    1
                );
            }
            Ended::LateQueued => assert_eq!(stats.timeout_queued, 1, "{stats:?}"),
            Ended::LateTaken => assert_eq!(stats.timeout_taken, 1, "{stats:?}"),
            Ended::Failed | Ended::NoReply | Ended::Refused => unreachable!("it replies"),
        }
        assert_eq!(census.alive(), 0);
    });
}

const UNBOUNDED: usize = usize::MAX;

macro_rules! matrix {
    ($($ask:ident),*) => { $(
        mod $ask {
            use super::*;

            fn served(serve: fn(&Answerer, Handle<'_>)) {
                cell(UNBOUNDED, ask::$ask, serve, Deed::Replies);
            }

            fn ended(deed: Deed) {
                cell(UNBOUNDED, ask::$ask, serve::waiting, deed);
            }

            fn bounded(serve: fn(&Answerer, Handle<'_>)) {
                cell(1, ask::$ask, serve, Deed::Replies);
            }

            #[test]
            fn is_served_by_one_who_waits() {
                served(serve::waiting);
            }

            #[test]
            fn is_served_by_one_who_waits_until_a_deadline() {
                served(serve::by_deadline);
            }

            #[test]
            fn is_served_by_one_who_takes_many() {
                served(serve::many_at_a_time);
            }

            #[test]
            fn is_served_by_one_who_awaits() {
                served(serve::awaiting);
            }

            #[test]
            fn is_served_by_one_who_awaits_many() {
                served(serve::awaiting_many);
            }

            #[test]
            fn is_served_by_a_stream() {
                served(serve::by_a_stream);
            }

            #[test]
            fn is_served_by_one_who_polls() {
                served(serve::polling);
            }

            #[test]
            fn is_served_by_one_who_pops() {
                served(serve::popping);
            }

            #[test]
            fn is_served_where_there_is_little_room() {
                bounded(serve::waiting);
            }

            #[test]
            fn is_served_by_a_task_where_there_is_little_room() {
                bounded(serve::awaiting);
            }

            #[test]
            fn fails() {
                ended(Deed::Fails);
            }

            #[test]
            fn is_let_go_of() {
                ended(Deed::LetsGo);
            }

            #[test]
            fn is_answered_by_another_thread() {
                ended(Deed::RepliesElsewhere);
            }

            #[test]
            fn meets_a_server_that_goes() {
                ended(Deed::Goes);
            }

            #[test]
            fn is_booked() {
                books(ask::$ask);
            }
        }
    )* };
}

matrix!(
    blocking,
    awaiting,
    polling_once_and_leaving,
    polling_twice_and_leaving,
    submitting_and_waiting,
    submitting_and_awaiting,
    submitting_and_leaving,
    with_a_deadline,
    awaiting_with_a_deadline,
    urgently,
    posting
);
