//! Messages that own a part of a channel.

use super::*;

type Ends = (Server<Payload, Payload, ()>, Client<Payload, Payload, ()>);

/// All parts of its own channel that a message can own, with counted contents.
fn payload(
    server: &Server<Payload, Payload, ()>,
    client: &Client<Payload, Payload, ()>,
    drop_counter: &DropCounter,
) -> Payload {
    let counted = || Payload::RequestsOnDrop(client.clone(), drop_counter.value());
    let taken = client.request(counted()).urgent().submit().wait().unwrap();
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    client.post(Payload::Empty).urgent().wait().unwrap();
    let (_, of_a_post) = server.try_pop().unwrap().unwrap();
    let queued = client.request(counted()).submit().wait().unwrap();
    let gather = (0..3)
        .map(|n| (n, client.request(counted()).submit().wait().unwrap()))
        .collect();
    Payload::Many(vec![
        Payload::Client(client.clone()),
        counted(),
        Payload::Context(rctx),
        Payload::Context(of_a_post),
        Payload::Reply(queued),
        Payload::Reply(taken),
        Payload::Gather(gather),
    ])
}

/// Queues such a message by `send`, ends it by `end`, and checks that everything is dropped.
fn end_of<Q: Send + 'static>(
    send: impl FnOnce(&Client<Payload, Payload, ()>, Payload) -> Q + Send + 'static,
    end: impl FnOnce(Server<Payload, Payload, ()>, Client<Payload, Payload, ()>, Q) + Send + 'static,
) {
    must_end(|| {
        let (server, client): Ends = channel();
        let drop_counter = DropCounter::default();
        let message = payload(&server, &client, &drop_counter);
        let queued = send(&client, message);
        let watcher = client.clone();
        end(server, client, queued);
        assert!(drop_counter.created() > 0);
        assert_eq!(drop_counter.dropped(), drop_counter.created());
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
fn a_client_in_unsent_messages_ends() {
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
fn a_client_and_more_end_in_a_handler() {
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
fn a_client_in_an_unread_reply_ends() {
    end_of(
        |client, message| {
            let reply = client
                .request(Payload::Empty)
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
                .request(Payload::Empty)
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
fn a_message_owning_its_server_can_be_withdrawn() {
    must_end(|| {
        let (server, client): Ends = channel();
        let drop_counter = DropCounter::default();
        let other = client.request(Payload::RequestsOnDrop(
            client.clone(),
            drop_counter.value(),
        ));
        let other = other.submit().wait().unwrap();
        let reply = client
            .request(Payload::Server(server))
            .submit()
            .wait()
            .unwrap();
        assert!(!client.is_closed());
        drop(reply);
        assert!(client.is_closed());
        let outcome = other.try_get().expect("it ended");
        assert!(matches!(outcome, Err(RequestError::ServerDisappeared(_))));
        drop(outcome);
        assert_eq!(drop_counter.dropped(), 1);
        assert_quiet(client.stats());
    });
}

#[test]
fn a_message_owning_its_server_can_time_out() {
    must_end(|| {
        let (server, client): Ends = channel();
        let tiny = Duration::from_millis(50);
        let back = client.request(Payload::Server(server)).timeout(tiny).wait();
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
fn a_message_owning_its_server_can_be_dropped_unpolled() {
    must_end(|| {
        let (server, client): Ends = channel();
        let mut asking = client.request(Payload::Server(server)).into_future();
        assert!(poll_once(&mut asking).is_pending());
        drop(asking);
        assert!(client.is_closed());
        assert_quiet(client.stats());
    });
}

#[test]
fn a_chain_of_messages_owning_servers_ends() {
    must_end(|| {
        let drop_counter = DropCounter::default();
        // Each server is queued in the next channel, together with a client of the one before.
        let (mut server, first): Ends = channel();
        let mut replies = vec![first.request(Payload::Empty).submit().wait().unwrap()];
        let mut before = first.clone();
        for _ in 0..50 {
            let (outer, client): Ends = channel();
            replies.push(client.request(Payload::Empty).submit().wait().unwrap());
            let inner = std::mem::replace(&mut server, outer);
            let contents = Payload::Many(vec![
                Payload::Server(inner),
                Payload::RequestsOnDrop(before, drop_counter.value()),
                Payload::RequestsOnDrop(client.clone(), drop_counter.value()),
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
        assert_eq!((drop_counter.created(), drop_counter.dropped()), (100, 100));
    });
}

#[test]
fn servers_in_each_others_queues_end_together() {
    must_end(|| {
        let (server_a, client_a): Ends = channel();
        let (server_b, client_b): Ends = channel();
        let in_a = client_a
            .request(Payload::Client(client_b.clone()))
            .submit()
            .wait()
            .unwrap();
        let in_b = client_b
            .request(Payload::Server(server_a))
            .submit()
            .wait()
            .unwrap();
        let also_in_b = client_b
            .request(Payload::Reply(in_a))
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
fn a_queued_context_ends_its_callers_wait() {
    must_end(|| {
        let (server, client): Ends = channel();
        thread::scope(|scope| {
            let asking = scope.spawn(|| matches!(client.req(Payload::Empty), Err(Error::NoReply)));
            let (_, rctx) = server.wait().unwrap();
            client
                .post(Payload::Context(rctx))
                .wait()
                .unwrap_or_else(|_| panic!());
            drop(server);
            assert!(asking.join().unwrap());
        });
        assert_quiet(client.stats());
    });
}

#[test]
fn replies_owning_each_other_end() {
    must_end(|| {
        // A reply that contains the pending reply of another request, which is answered with the
        // context of the first.
        let (server, client): Ends = channel();
        let a = client.request(Payload::Empty).submit().wait().unwrap();
        let b = client.request(Payload::Empty).submit().wait().unwrap();
        let (_, answer_a) = server.wait().unwrap();
        let (_, answer_b) = server.wait().unwrap();
        assert!(answer_b.reply(Payload::Context(answer_a)).is_ok());
        drop(b);
        let outcome = a.try_get().expect("it ended");
        assert!(matches!(outcome, Err(RequestError::NoReply(_))));
        assert_quiet(client.stats());
    });
}
