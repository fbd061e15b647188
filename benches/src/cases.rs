//! Round trips through channels. Each reply is checked.

use std::{sync::mpsc, thread, time::Duration};

use tokio::runtime::{Builder, Runtime};

pub(crate) fn blocking(trips: u64) {
    with_blocking_server(|client| {
        for n in 0..trips {
            assert_eq!(client.req(n), Ok(n + 1));
        }
    });
}

pub(crate) fn blocking_with_timeout(trips: u64) {
    with_blocking_server(|client| {
        for n in 0..trips {
            let reply = client.request(n).timeout(Duration::from_secs(60)).wait();
            assert_eq!(reply.expect("a reply"), n + 1);
        }
    });
}

pub(crate) fn four_blocking(trips: u64) {
    with_blocking_server(|client| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let client = client.clone();
                    for n in 0..trips / 4 {
                        assert_eq!(client.req(n), Ok(n + 1));
                    }
                });
            }
        });
    });
}

pub(crate) fn asynchronous_to_blocking(trips: u64) {
    with_blocking_server(|client| {
        one_thread().block_on(async {
            for n in 0..trips {
                assert_eq!(client.areq(n).await, Ok(n + 1));
            }
        });
    });
}

pub(crate) fn blocking_to_asynchronous(trips: u64) {
    let (server, client) = ump::channel::<u64, u64, ()>();
    let server = thread::spawn(move || one_thread().block_on(serve(server)));
    for n in 0..trips {
        assert_eq!(client.req(n), Ok(n + 1));
    }
    drop(client);
    server.join().expect("the server");
}

pub(crate) fn asynchronous(trips: u64) {
    let (server, client) = ump::channel::<u64, u64, ()>();
    one_thread().block_on(async {
        let server = tokio::spawn(serve(server));
        for n in 0..trips {
            assert_eq!(client.areq(n).await, Ok(n + 1));
        }
        drop(client);
        server.await.expect("the server");
    });
}

pub(crate) fn published_blocking(trips: u64) {
    let (server, client) = ump_published::channel::<u64, u64, ()>();
    let server = thread::spawn(move || {
        while let Ok((n, rctx)) = server.wait() {
            rctx.reply(n + 1).expect("the client waits");
        }
    });
    for n in 0..trips {
        assert_eq!(client.req(n).expect("a reply"), n + 1);
    }
    drop(client);
    server.join().expect("the server");
}

pub(crate) fn published_asynchronous(trips: u64) {
    let (server, client) = ump_published::channel::<u64, u64, ()>();
    one_thread().block_on(async {
        let server = tokio::spawn(async move {
            while let Ok((n, rctx)) = server.async_wait().await {
                rctx.reply(n + 1).expect("the client waits");
            }
        });
        for n in 0..trips {
            assert_eq!(client.areq(n).await.expect("a reply"), n + 1);
        }
        drop(client);
        server.await.expect("the server");
    });
}

pub(crate) fn tokio_asynchronous(trips: u64) {
    use tokio::sync::{mpsc, oneshot};

    let (client, mut server) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
    one_thread().block_on(async {
        let server = tokio::spawn(async move {
            while let Some((n, reply)) = server.recv().await {
                reply.send(n + 1).expect("the client waits");
            }
        });
        for n in 0..trips {
            let (reply, waiting) = oneshot::channel();
            client.send((n, reply)).expect("the server is there");
            assert_eq!(waiting.await, Ok(n + 1));
        }
        drop(client);
        server.await.expect("the server");
    });
}

pub(crate) fn std_blocking(trips: u64) {
    let (client, requests) = mpsc::channel::<u64>();
    let (reply, replies) = mpsc::channel();
    let server = thread::spawn(move || {
        for n in requests {
            reply.send(n + 1).expect("the client is there");
        }
    });
    for n in 0..trips {
        client.send(n).expect("the server is there");
        assert_eq!(replies.recv(), Ok(n + 1));
    }
    drop(client);
    server.join().expect("the server");
}

fn with_blocking_server(ask: impl FnOnce(&ump::Client<u64, u64, ()>)) {
    let (server, client) = ump::channel::<u64, u64, ()>();
    let server = thread::spawn(move || {
        for (n, rctx) in &server {
            rctx.reply(n + 1).expect("the client waits");
        }
    });
    ask(&client);
    drop(client);
    server.join().expect("the server");
}

async fn serve(server: ump::Server<u64, u64, ()>) {
    while let Ok((n, rctx)) = server.async_wait().await {
        rctx.reply(n + 1).expect("the client waits");
    }
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}
