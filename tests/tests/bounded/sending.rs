//! All ways of sending with limited capacity.

use super::*;

// ---- every way of sending

/// A way of sending a message that waits until it is taken, or longer.
trait Send {
    /// Whether its errors return the message.
    const DETAILED: bool = true;

    fn send(
        client: &Client<u32, (), ()>,
        message: u32,
        options: Options,
    ) -> Result<(), Failure<u32, ()>>;
}

/// Makes requests ways of sending, too.
macro_rules! send {
    ($($name:ident)+) => {$(
        impl Send for $name {
            const DETAILED: bool = <Self as Ask>::DETAILED;

            fn send(
                client: &Client<u32, (), ()>,
                message: u32,
                options: Options,
            ) -> Result<(), Failure<u32, ()>> {
                Self::ask(client, message, options)
            }
        }
    )+};
}

send! { Req Areq ReqAsyncWait RequestWait RequestAwait SubmitWait SubmitAwait }

struct PostWait;
struct PostAwait;

impl Send for PostWait {
    fn send(
        client: &Client<u32, (), ()>,
        message: u32,
        options: Options,
    ) -> Result<(), Failure<u32, ()>> {
        Ok(options.request(client, message).post().wait()?)
    }
}

impl Send for PostAwait {
    fn send(
        client: &Client<u32, (), ()>,
        message: u32,
        options: Options,
    ) -> Result<(), Failure<u32, ()>> {
        Ok(block_on(options.request(client, message).post())?)
    }
}

fn a_sender_waits_for_room<T: Send>() {
    let (server, client) = full(2);
    thread::scope(|scope| {
        let server = server;
        let client = &client;
        let senders: Vec<_> = (2..6)
            .map(|n| scope.spawn(move || T::send(client, n, Options::default())))
            .collect();
        let mut taken = Vec::new();
        for _ in 0..6 {
            assert!(server.len() <= 2);
            let (n, rctx) = server.wait().unwrap();
            taken.push(n);
            // No request that was not taken has ended, and some still wait for room.
            assert!(senders.iter().filter(|sender| sender.is_finished()).count() <= 4);
            rctx.reply(()).unwrap();
        }
        assert_eq!(taken[..2], [0, 1]);
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
        assert_eq!(
            server.stats(),
            stats_with(|stats| (stats.accepted, stats.replied) = (6, 6))
        );
    });
}

fn a_sender_stays_while_there_is_no_room<T: Send>() {
    let (server, client) = full(1);
    thread::scope(|scope| {
        let server = server;
        let sender = scope.spawn(|| T::send(&client, 1, Options::default()));
        for _ in 0..100 {
            assert!(!sender.is_finished());
            assert_eq!(server.len(), 1);
            thread::yield_now();
        }
        assert_eq!(take(&server), 0);
        server.wait().unwrap().1.reply(()).unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

fn senders_waiting_for_room_see_the_server_go<T: Send>() {
    for _ in 0..10 {
        let (server, client) = full(1);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            let senders = [1, 2, 3].map(|n| {
                let (client, start) = (&client, &start);
                scope.spawn(move || {
                    start.wait();
                    T::send(client, n, Options::default())
                })
            });
            start.wait();
            drop(server);
            for (n, sender) in (1..).zip(senders) {
                let failure = Failure {
                    why: Reason::ServerDisappeared,
                    executed: Executed::No,
                    message: T::DETAILED.then_some(n),
                };
                assert_eq!(sender.join().unwrap(), Err(failure));
            }
        });
        let expected = stats_with(|stats| {
            (stats.accepted, stats.server_disappeared, stats.refused) = (1, 1, 3);
        });
        assert_eq!(client.stats(), expected);
    }
}

for_each!(
    req = Req,
    areq = Areq,
    req_async = ReqAsyncWait,
    request_wait = RequestWait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait,
    post_wait = PostWait,
    post_await = PostAwait
    => {
        a_sender_waits_for_room,
        a_sender_stays_while_there_is_no_room,
        senders_waiting_for_room_see_the_server_go,
    }
);

fn if_room_returns_the_message_without_room<T: Send>() {
    let (server, client) = full(2);
    for urgent in [false, true] {
        if urgent {
            client.post(10).urgent().wait().unwrap();
            client.post(11).urgent().wait().unwrap();
        }
        let options = Options {
            urgent,
            if_room: true,
            ..Options::default()
        };
        let failure = Failure {
            why: Reason::Full,
            executed: Executed::No,
            message: Some(7),
        };
        assert_eq!(T::send(&client, 7, options), Err(failure));
    }
    assert_eq!(server.stats().refused, 2);
    assert_eq!(take_all(&server), [10, 11, 0, 1]);
    assert_balanced(&server.stats());
}

fn if_room_uses_room<T: Send>() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    thread::scope(|scope| {
        let server = server;
        let options = Options {
            if_room: true,
            ..Options::default()
        };
        let sender = scope.spawn(move || T::send(&client, 7, options));
        let (n, rctx) = server.wait().unwrap();
        assert_eq!(n, 7);
        rctx.reply(()).unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

fn a_gone_server_is_distinct_from_a_full_queue<T: Send>() {
    let (server, client) = full(1);
    drop(server);
    let options = Options {
        if_room: true,
        ..Options::default()
    };
    let failure = T::send(&client, 7, options).unwrap_err();
    assert_eq!(failure.why, Reason::ServerDisappeared);
    assert_eq!(failure.message, Some(7));
}

mod if_room {
    use super::*;

    for_each!(
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait = SubmitWait,
        submit_await = SubmitAwait,
        post_wait = PostWait,
        post_await = PostAwait
        => {
            if_room_returns_the_message_without_room,
            if_room_uses_room,
            a_gone_server_is_distinct_from_a_full_queue,
        }
    );
}
