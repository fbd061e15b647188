//! The futures of clients and of requests.

use std::{rc::Rc, sync::Arc};

use tests::LONG;
use ump::{Client, Gather, Server, bounded, channel};

use super::{Ends, Entry, Made, ends, entry, made, next};

/// Returns a client of a server that has gone: each request is refused at once.
fn deserted() -> Rc<Client<u32, u32, ()>> {
    let (_, client) = ends();
    client
}

pub(super) fn clients() -> Vec<Entry> {
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
pub(super) fn requests() -> Vec<Entry> {
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
