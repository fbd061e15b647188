//! The table: for each future, how to make one that waits, and one that is ready at once.
#![expect(
    clippy::await_holding_refcell_ref,
    reason = "one is dropped before the next is polled"
)]

use std::{
    cell::RefCell,
    future::{Future, IntoFuture, poll_fn},
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::LONG;
use ump::{Client, Clock, Gather, ReplyContext, Server, bounded, channel};
use ump_router::{Message, RequestMessage, Router, SubscribeOptions, WhenFull};
use ump_server::{
    OnPanic, Refused, TestClock,
    system::{Attributes, ComponentContext, System},
    thread::{self, Handler},
};

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
pub(super) const APART: [(&str, &str); 11] = [
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
    ("ump_server::HandlerCall", "a call of a task's handler"),
    ("ump_router::Notified", "within `RequestFuture`"),
    (
        "ump_router::Messages",
        "the stream `Subscription`, borrowed",
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
    let mut table = clients();
    table.extend(requests());
    table.extend(servers());
    table.extend(contexts_and_clocks());
    table.extend(loops());
    table.extend(router());
    table
}

/// Returns a client of a server that has gone: each request is refused at once.
fn deserted() -> Rc<Client<u32, u32, ()>> {
    let (_, client) = ends();
    client
}

fn clients() -> Vec<Entry> {
    let asked = |ask: fn(Rc<Client<u32, u32, ()>>) -> Made| {
        let (server, client) = ends();
        let deserted = deserted();
        let waiting = move || {
            let _kept = &server;
            ask(Rc::clone(&client))
        };
        (waiting, move || ask(Rc::clone(&deserted)))
    };
    let areq = asked(|client| made(async move { client.areq(1).await }));
    #[expect(deprecated, reason = "it is there")]
    let asend = asked(|client| made(async move { client.asend(1).await }));
    let closed = asked(|client| made(client.closed()));
    let (client, [server, other]) = waits_for_clients();
    let (also, [drains, drained]) = waits_for_clients();
    vec![
        entry("ump::areq", areq.0, areq.1),
        entry("ump::asend", asend.0, asend.1),
        entry("ump::Closed", closed.0, closed.1),
        entry(
            "ump::Deserted",
            move || {
                let _kept = &client;
                made(server.deserted())
            },
            move || made(other.deserted()),
        ),
        entry(
            "ump::Drained",
            move || {
                let _kept = &also;
                made(drains.drained())
            },
            move || made(drained.drained()),
        ),
    ]
}

/// Returns a server with a client, and a server without one.
fn waits_for_clients() -> (Client<u32, (), ()>, [Server<u32, (), ()>; 2]) {
    let ((server, client), (other, gone)) = (channel(), channel());
    drop(gone);
    (client, [server, other])
}

/// Returns a ready reply.
fn answered() -> ump::WaitReply<u32, ()> {
    let (server, client): Ends = channel();
    let reply = client.req_async(1).unwrap();
    let (n, rctx) = server.wait().unwrap();
    rctx.reply(n).unwrap();
    reply
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn requests() -> Vec<Entry> {
    let (server, client) = ends();
    let deserted = deserted();
    let request_owned = {
        let waiting = Arc::new(channel::<u32, u32, ()>());
        move || {
            let client = Arc::new(waiting.1.clone());
            made(Client::request_owned(client, 1).timeout(LONG))
        }
    };
    let request = entry("ump::RequestFuture", request_owned, move || {
        let deserted = Rc::clone(&deserted);
        made(async move { deserted.request(1).timeout(LONG).await })
    });
    let full = || {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        (server, Rc::new(client))
    };
    let (full_server, full_client) = full();
    let submit = {
        let (server, client) = ends();
        entry(
            "ump::SubmitFuture",
            move || {
                let _kept = &full_server;
                let client = Rc::clone(&full_client);
                made(async move { client.request(1).submit().await.map(drop) })
            },
            move || {
                let _ = server.try_pop();
                let client = Rc::clone(&client);
                made(async move { client.request(1).submit().await.map(drop) })
            },
        )
    };
    let (full_server, full_client) = full();
    let post = {
        let (server, client) = ends();
        entry(
            "ump::PostFuture",
            move || {
                let _kept = &full_server;
                let client = Rc::clone(&full_client);
                made(async move { client.post(1).timeout(LONG).await })
            },
            move || {
                let _ = server.try_pop();
                let client = Rc::clone(&client);
                made(async move { client.post(1).await })
            },
        )
    };
    let (full_server, full_client) = full();
    let reserve = {
        let (server, client) = ends();
        entry(
            "ump::ReserveFuture",
            move || {
                let _kept = &full_server;
                let client = Rc::clone(&full_client);
                made(async move { client.reserve().await.map(drop) })
            },
            move || {
                let _kept = &server;
                let client = Rc::clone(&client);
                made(async move { client.reserve().await.map(drop) })
            },
        )
    };
    let gathered = {
        let (server, client) = ends();
        entry(
            "ump::Gather",
            move || {
                let _kept = &server;
                let mut gather = Gather::new();
                gather.extend((0..3).map(|n| (n, client.req_async(n).unwrap())));
                next(gather)
            },
            || {
                let mut gather = Gather::new();
                gather.push((), answered());
                next(gather)
            },
        )
    };
    let (asked, asks) = (Rc::clone(&client), Rc::clone(&client));
    let kept = Rc::clone(&server);
    vec![
        request,
        submit,
        post,
        reserve,
        gathered,
        entry(
            "ump::WaitReply",
            move || {
                let _kept = &kept;
                made(asked.req_async(1).unwrap())
            },
            || made(answered()),
        ),
        entry(
            "ump::wait_async",
            move || {
                let _kept = &server;
                made(asks.req_async(1).unwrap().wait_async())
            },
            || made(answered().wait_async()),
        ),
    ]
}

fn servers() -> Vec<Entry> {
    // The future waits on a server without requests, and is ready with one more request each time.
    let received = |name, receive: fn(Rc<Server<u32, u32, ()>>) -> Made| {
        let ((idle, nobody), (busy, client)) = (ends(), ends());
        let waiting = move || {
            let _kept = &nobody;
            receive(Rc::clone(&idle))
        };
        entry(name, waiting, move || {
            client.post(1).wait().unwrap();
            receive(Rc::clone(&busy))
        })
    };
    let polled_server = |name, poll: fn(Rc<Server<u32, u32, ()>>) -> Made| Entry {
        keeps_latest: true,
        ..received(name, poll)
    };
    let owned = || {
        let (server, client): Ends = channel();
        (Rc::new(RefCell::new(server)), client)
    };
    let ((idle, nobody), (busy, client)) = (owned(), owned());
    let stream = entry(
        "ump::Server",
        move || {
            let _kept = &nobody;
            polled(&idle, Stream::poll_next)
        },
        move || {
            client.post(1).wait().unwrap();
            polled(&busy, Stream::poll_next)
        },
    );
    vec![
        received("ump::async_wait", |server| {
            made(async move { server.async_wait().await.map(drop) })
        }),
        received("ump::async_wait_many", |server| {
            made(async move { server.async_wait_many(&mut Vec::new(), 1).await.map(drop) })
        }),
        received("ump::Requests", |server| {
            made(async move {
                let mut requests = server.stream();
                poll_fn(|cx| Pin::new(&mut requests).poll_next(cx)).await;
            })
        }),
        polled_server("ump::poll_wait", |server| {
            made(poll_fn(move |cx| server.poll_wait(cx).map(drop)))
        }),
        Entry {
            keeps_latest: true,
            ..stream
        },
    ]
}

fn contexts_and_clocks() -> Vec<Entry> {
    let taken = || {
        let (server, client): Ends = channel();
        let request = client
            .request(1)
            .timeout(60 * LONG)
            .submit()
            .wait()
            .unwrap();
        let (_, rctx) = server.wait().unwrap();
        (Rc::new(RefCell::new(rctx)), request)
    };
    let (rctx, caller) = taken();
    let cancelled = |rctx: &Rc<RefCell<ReplyContext<u32, ()>>>| {
        let rctx = Rc::clone(rctx);
        made(async move {
            let mut rctx = rctx.borrow_mut();
            rctx.cancelled().await;
        })
    };
    let system = Clock::system();
    vec![
        entry(
            "ump::Cancelled",
            move || {
                let _kept = &caller;
                cancelled(&rctx)
            },
            move || cancelled(&taken().0),
        ),
        entry(
            "ump::Sleep",
            {
                let system = system.clone();
                move || made(system.sleep_until(Instant::now() + LONG))
            },
            move || made(system.sleep_until(Instant::now())),
        ),
    ]
}

/// Handles its request until the sender is dropped.
struct Holds(mpsc::Receiver<()>);

impl Handler<(), (), Refused> for Holds {
    fn init(&mut self, _: ump::WeakClient<(), (), Refused>) {
        let _ = self.0.recv();
    }

    fn proc_req(
        &mut self,
        (): (),
        _: ump_server::ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn running() -> (mpsc::Sender<()>, Rc<RefCell<ump_server::JoinHandle<()>>>) {
    let (go, holds) = mpsc::channel();
    let (client, handle) = thread::spawn(|_| Ok::<_, Refused>(Holds(holds))).unwrap();
    drop(client);
    (go, Rc::new(RefCell::new(handle)))
}

/// Returns the handle of a loop that has started and has ended.
fn over() -> ump_server::JoinHandle<()> {
    let (go, handle) = running();
    drop(go);
    let handle = Rc::into_inner(handle).unwrap().into_inner();
    while !handle.is_finished() {
        std::thread::yield_now();
    }
    handle
}

fn loops() -> Vec<Entry> {
    let (holds, handle) = running();
    let (starts, starting) = running();
    let started = Rc::new(RefCell::new(over()));
    let await_start = |handle: &Rc<RefCell<ump_server::JoinHandle<()>>>| {
        let handle = Rc::clone(handle);
        made(async move { handle.borrow_mut().started().await })
    };
    let (sound, failed) = (system(), system());
    let panicking = failed.client::<bool, (), ()>("only").unwrap();
    panicking.req(true).unwrap_err();
    failed.failed().wait();
    let (clock, busy_clock) = (TestClock::new(), TestClock::new());
    let (busy, holds_still) = mpsc::channel();
    let busy_loop = thread::Builder::new()
        .test_clock(&busy_clock)
        .spawn(|_| Ok::<_, Refused>(Holds(holds_still)))
        .unwrap();
    vec![
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_server::JoinHandle",
                move || {
                    let _kept = &holds;
                    polled(&handle, Future::poll)
                },
                || made(over()),
            )
        },
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_server::started",
                move || {
                    let _kept = &starts;
                    await_start(&starting)
                },
                move || await_start(&started),
            )
        },
        entry(
            "ump_server::Operation",
            move || made(sound.failed()),
            move || made(failed.failed()),
        ),
        entry(
            "ump_server::advance_async",
            {
                let clock = busy_clock;
                move || {
                    let _kept = (&busy, &busy_loop);
                    let clock = clock.clone();
                    made(async move { clock.advance_async(Duration::from_secs(1)).await })
                }
            },
            move || {
                let clock = clock.clone();
                made(async move { clock.advance_async(Duration::from_secs(1)).await })
            },
        ),
    ]
}

/// A system with one component, which panics on request.
fn system() -> System {
    System::builder()
        .thread(
            "only",
            Attributes::new().on_panic(OnPanic::Stop),
            |_: &ComponentContext<bool, (), ()>| {
                Ok(thread::answer(|panics: bool| {
                    assert!(!panics, "as asked");
                    Ok::<(), ()>(())
                }))
            },
        )
        .start(LONG)
        .wait()
        .unwrap()
}

#[derive(Debug)]
struct Word;

impl Message for Word {
    const PREFIX: &str = "word";
}

#[derive(Debug)]
struct Question;

impl RequestMessage for Question {
    type Reply = u32;
    type Error = ();
    const PREFIX: &str = "question";
}

type Subscription = Rc<RefCell<ump_router::Subscription<Word>>>;

fn router() -> Vec<Entry> {
    let router = Rc::new(Router::new());
    let subscribed = |topic: &str| {
        let subscription = router.subscribe::<Word>(topic).unwrap();
        Rc::new(RefCell::new(subscription))
    };
    let words = Rc::clone(&router);
    let publish = move || {
        let _ = words.publish("busy", Word).wait();
    };
    let receives = |name, receive: fn(Subscription) -> Made| {
        let (idle, busy, publish) = (subscribed("idle"), subscribed("busy"), publish.clone());
        entry(
            name,
            move || receive(Rc::clone(&idle)),
            move || {
                publish();
                receive(Rc::clone(&busy))
            },
        )
    };
    let stream: fn(Subscription) -> Made = |subscription| polled(&subscription, Stream::poll_next);
    let poll_recv: fn(Subscription) -> Made =
        |subscription| polled(&subscription, |of, cx| of.get_mut().poll_recv(cx));
    let recv = receives("ump_router::Recv", |subscription| {
        made(async move { subscription.borrow_mut().recv().await.map(drop) })
    });
    let full = SubscribeOptions::new()
        .capacity(1)
        .when_full(WhenFull::Block(LONG));
    let full = router.subscribe_with::<Word>("full", full).unwrap();
    router.publish("full", Word).wait().unwrap();
    let (publishes, publishing) = (Rc::clone(&router), Rc::clone(&router));
    let (asks, asking) = (Rc::clone(&router), Rc::clone(&router));
    let silent = router.serve::<Question>("silent").unwrap();
    let (idle, busy) = (
        router.serve::<Question>("idle").unwrap(),
        router.serve::<Question>("answers").unwrap(),
    );
    let (idle, busy) = (Rc::new(RefCell::new(idle)), Rc::new(RefCell::new(busy)));
    let requests = Rc::clone(&router);
    let mut asked = Vec::new();
    vec![
        Entry {
            keeps_latest: true,
            ..receives("ump_router::Subscription", stream)
        },
        Entry {
            keeps_latest: true,
            ..receives("ump_router::poll_recv", poll_recv)
        },
        recv,
        entry(
            "ump_router::PublishFuture",
            move || {
                let _kept = &full;
                made(publishing.publish("full", Word))
            },
            move || made(publishes.publish("nobody", Word)),
        ),
        entry(
            "ump_router::RequestFuture",
            {
                let mut times = 0;
                move || {
                    let _kept = &silent;
                    times += 1;
                    // The futures alternate: one waits for a reply, the next for a server.
                    match times % 2 {
                        0 => made(asking.request("silent", Question)),
                        _ => made(asking.request("none", Question).wait_for_server()),
                    }
                }
            },
            move || made(asks.request("none", Question)),
        ),
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_router::Server",
                move || polled(&idle, Stream::poll_next),
                move || {
                    let mut request = Box::pin(requests.request("answers", Question).into_future());
                    let _ = tests::poll_once(&mut request);
                    asked.push(request);
                    polled(&busy, Stream::poll_next)
                },
            )
        },
    ]
}
