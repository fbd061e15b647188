//! A caller learns the message of the handler's panic, if the code that caught it passes it on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind},
    thread,
};

use tests::{assert_balanced, drop_in_a_panic, ends::*, for_each, stats_with};
use ump::{Client, Error, Executed, NoReply, PanicMessage, RequestError, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn the_panic_message_reaches_the_caller<A: Ask>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let asking = scope.spawn(|| A::ask(&client, 7, Options::default()).unwrap_err());
        let (_, rctx) = server.wait().unwrap();
        rctx.panicked("no oil").unwrap();
        let failure = asking.join().unwrap();
        let why = A::DETAILED.then(|| NoReply::Panicked("no oil".into()));
        assert_eq!(failure.why, Reason::NoReply(why));
        assert_eq!(
            (failure.executed, failure.message),
            (Executed::Perhaps, None)
        );
    });
    let expected = stats_with(|stats| (stats.accepted, stats.panicked) = (1, 1));
    assert_eq!(client.stats(), expected);
}

for_each!(
    req = Req,
    areq = Areq,
    req_async_wait = ReqAsyncWait,
    req_async_await = ReqAsyncAwait,
    request_wait = RequestWait,
    request_await = RequestAwait,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait
    => { the_panic_message_reaches_the_caller }
);

/// One client makes many requests, so that some use direct handoff.
#[test]
fn each_panic_has_its_own_message() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for (n, rctx) in &server {
                rctx.panicked(n.to_string()).unwrap();
            }
        });
        for n in 0..100 {
            let Err(RequestError::NoReply(NoReply::Panicked(message))) = client.request(n).wait()
            else {
                panic!("it panicked");
            };
            assert_eq!(message.as_str(), Some(&*n.to_string()));
        }
        assert_eq!(client.stats().panicked, 100);
        assert_balanced(&client.stats());
        drop(client);
    });
}

#[test]
fn a_post_is_counted() {
    let (server, client): Ends = ump::channel();
    client.post(7).wait().unwrap();
    server.wait().unwrap().1.panicked("no oil").unwrap();
    let expected = stats_with(|stats| (stats.accepted, stats.panicked) = (1, 1));
    assert_eq!(client.stats(), expected);
}

#[test]
fn a_waiter_that_left_is_not_woken() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(7).unwrap();
    let (_, rctx) = server.wait().unwrap();
    drop(reply);
    assert_eq!(rctx.panicked("no oil"), Err(Error::OriginDisappeared));
    assert_eq!(client.stats().cancelled_taken, 1);
}

/// This test also runs under valgrind and the leak sanitizer.
#[test]
fn an_unread_message_is_dropped() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(7).unwrap();
    let (_, rctx) = server.wait().unwrap();
    let message = PanicMessage::from("no oil".to_owned());
    rctx.panicked(message).unwrap();
    drop(reply);
    assert_eq!(client.stats().panicked, 1);
}

#[test]
fn a_context_dropped_in_a_panic_has_no_message() {
    let (server, client): Ends = ump::channel();
    let reply = client.request(7).submit().wait().unwrap();
    let (_, rctx) = server.wait().unwrap();
    drop_in_a_panic(rctx);
    let Err(RequestError::NoReply(why)) = reply.wait() else {
        panic!("it panicked");
    };
    assert_eq!(why, NoReply::Panicked(PanicMessage::default()));
    assert_eq!(why.to_string(), "the handler panicked");
}

#[test]
fn the_text_of_a_payload_is_found() {
    let message = |panics: fn()| {
        let payload = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        PanicMessage::of_payload(&*payload)
    };
    let said = |text: &'static str| -> PanicMessage { text.into() };
    // `resume_unwind` does not call the panic hook, which would print the panic.
    assert_eq!(
        message(|| resume_unwind(Box::new("no oil"))),
        said("no oil")
    );
    assert_eq!(
        message(|| resume_unwind(Box::new("no oil".to_owned()))),
        said("no oil")
    );
    assert_eq!(message(|| panic_any(7_u32)).as_str(), None);
}

#[test]
fn a_panic_message_names_the_handler() {
    let message = PanicMessage::from("no oil");
    assert_eq!(message.to_string(), "the handler panicked: no oil");
    let why = NoReply::Panicked(message);
    assert_eq!(why.to_string(), "the handler panicked: no oil");
    let error = RequestError::<u32, u32>::NoReply(why);
    assert_eq!(error.to_string(), "no reply: the handler panicked: no oil");
}

#[test]
fn outcomes_stay_small() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<PanicMessage>(), pointer);
    // There are four reasons, and a pointer has a niche for one of them only.
    assert_eq!(size_of::<NoReply>(), 2 * pointer);
    assert_eq!(size_of::<RequestError<u32, ()>>(), 3 * pointer);
}
