//! The table: for each future, how to make one that waits, and one that is ready at once.
#![expect(
    clippy::await_holding_refcell_ref,
    reason = "one is dropped before the next is polled"
)]

mod clients;
mod links;
mod loops;
mod router;
mod servers;

use std::{
    cell::RefCell,
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    rc::Rc,
};

use futures_core::Stream;
use ump::{Client, Server, channel};

/// A future that is polled by hand.
pub(super) type Made = Pin<Box<dyn Future<Output = ()>>>;
pub(super) type Maker = Box<dyn FnMut() -> Made>;

pub(super) struct Entry {
    /// `crate::Type`, `crate::function`.
    pub(super) name: &'static str,
    /// Makes a future that waits while the entry exists.
    pub(super) waiting: Maker,
    /// Makes a future that is ready at each poll.
    pub(super) ready: Maker,
    /// The polled object outlives the future, so the latest waker stays until another poll.
    pub(super) keeps_latest: bool,
}

/// The names that the table need not contain, and the reason.
pub(super) const APART: [(&str, &str); 29] = [
    ("ump::ChannelEvent", "the future of `Closed` and `Deserted`"),
    ("ump::consume_budget", "it waits for nothing"),
    ("ump::timeout_at", "within other futures"),
    (
        "ump::post",
        "of a request by a `DynClient`: a boxed `PostFuture`",
    ),
    (
        "ump_server::RuntimeSleep",
        "within `Sleep`, by the clock of a runtime",
    ),
    (
        "ump::RequestState",
        "the future of `Client::areq` and `RequestFuture`",
    ),
    (
        "ump::Receive",
        "the future of `Server::async_wait` and the stream `Requests`",
    ),
    (
        "ump::Typed",
        "a future of the table, whose outcome it converts",
    ),
    (
        "ump::poll_cancelled",
        "what `Cancelled` waits for, and its one waker, for loops that have a budget of their own",
    ),
    (
        "ump_server::run",
        "a loop: it waits for the stream `Requests`, a `Sleep` and the sockets of the caller",
    ),
    ("ump_server::HandlerCall", "a call of a task's handler"),
    ("ump_router::Notified", "within `RequestFuture`"),
    ("ump_router::ChannelFuture", "within `RequestFuture`"),
    ("ump_router::Closed", "a future of `ump`, of either channel"),
    (
        "ump_router::LocalRequest",
        "a `ChannelFuture`, polled by the loop of the links",
    ),
    (
        "ump_router::OpenedFuture",
        "a future of `ump`, to the loop of the links",
    ),
    ("ump_router::ClosingFuture", "the same, for another request"),
    ("ump_router::Answer", "within both"),
    (
        "ump_router::Typed",
        "a `RequestFuture`, whose outcome it converts",
    ),
    (
        "ump_router::Messages",
        "the stream `Subscription`, borrowed",
    ),
    (
        "ump_router::WatchStream",
        "the changes of `SubscriberWatch::poll_changed`",
    ),
    ("ump_router::AnswerStream", "the stream `Answers`, borrowed"),
    (
        "ump_router::poll_answer",
        "what the stream `Answers` yields",
    ),
    ("ump_router::SelectFuture", "it polls other futures"),
    (
        "ump_router::NextRequest",
        "the stream `Requests`, of which it takes one",
    ),
    (
        "ump_router::poll_event",
        "events of a state machine: it wakes nobody",
    ),
    (
        "ump_router::poll_cancelled",
        "of a bridge: `ump::poll_cancelled`",
    ),
    (
        "ump_router::poll_next",
        "of a bridge: the streams `Subscription` and `Requests`",
    ),
    (
        "ump_router::poll_output",
        "input and output of a state machine: it wakes nobody",
    ),
];

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn ends() -> (Rc<Server<u32, u32, ()>>, Rc<Client<u32, u32, ()>>) {
    let (server, client): Ends = channel();
    (Rc::new(server), Rc::new(client))
}

fn entry(
    name: &'static str,
    waiting: impl FnMut() -> Made + 'static,
    ready: impl FnMut() -> Made + 'static,
) -> Entry {
    Entry {
        name,
        waiting: Box::new(waiting),
        ready: Box::new(ready),
        keeps_latest: false,
    }
}

/// Returns a future without its outcome.
fn made<T>(future: impl IntoFuture<Output = T> + 'static) -> Made {
    let future = future.into_future();
    Box::pin(async move {
        future.await;
    })
}

fn next<T: Stream + Unpin + 'static>(mut stream: T) -> Made {
    made(poll_fn(move |cx| Pin::new(&mut stream).poll_next(cx)))
}

/// Returns a future that polls an object by reference. The object stays.
fn polled<T: Unpin + 'static, O>(
    of: &Rc<RefCell<T>>,
    poll: impl Fn(Pin<&mut T>, &mut std::task::Context<'_>) -> std::task::Poll<O> + 'static,
) -> Made {
    let of = Rc::clone(of);
    made(poll_fn(move |cx| poll(Pin::new(&mut *of.borrow_mut()), cx)))
}

pub(super) fn table() -> Vec<Entry> {
    let mut table = clients::clients();
    table.extend(clients::requests());
    table.extend(servers::servers());
    table.extend(servers::contexts_and_clocks());
    table.extend(loops::loops());
    table.extend(router::router());
    table.extend(links::links());
    table
}
