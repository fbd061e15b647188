//! What ends the reading of a caller, and what it reads meanwhile.

use std::{
    future::{Future as _, IntoFuture as _},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use ump_router::{RequestMessage, Router, link::wire::Failure};

use super::request_in_a_row;
use crate::support::{
    Double, LONG, Price, await_server, await_subscriber, next, on_each, publish, serve,
};

/// A request whose encoding runs code of the test.
#[derive(Clone)]
enum Hooked {
    /// It is encoded.
    Goes,
    /// It runs this, and then it cannot be encoded.
    Fails(Arc<dyn Fn() + Send + Sync>),
}

impl Serialize for Hooked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Goes => serializer.serialize_unit(),
            Self::Fails(hook) => {
                hook();
                Err(S::Error::custom("as asked"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Hooked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self::Goes)
    }
}

impl RequestMessage for Hooked {
    type Reply = Panics;
    type Error = ();
    const PREFIX: &str = "hooked";
}

/// A reply that panics when it is decoded, if it is `true`.
#[derive(Debug, PartialEq, Serialize)]
struct Panics(bool);

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let panics = bool::deserialize(deserializer)?;
        assert!(!panics, "as asked");
        Ok(Self(panics))
    }
}

/// Lets such requests travel.
fn carry_hooked(from: &Router, to: &Router) {
    for router in [from, to] {
        router.carry_requests::<Hooked>().unwrap();
    }
}

#[test]
fn a_link_goes_on_after_panics_of_a_caller_that_reads_it() {
    on_each(|from, to, _| {
        carry_hooked(from, to);
        let server = serve(to, "a");
        let panicking = to.serve::<Hooked>("panicking").unwrap();
        let answering = thread::spawn(move || {
            for (_, rctx) in &panicking {
                rctx.reply(Panics(true)).unwrap();
            }
        });
        await_server(from, "a");
        let mut here = from.subscribe::<Price>("here").unwrap();
        await_subscriber(to, "here");
        let failure = |message| {
            let request = from.request("panicking", message).timeout(LONG);
            let error = request.wait_for_server().wait().err();
            let error = error.expect("it cannot be encoded");
            error.link().expect("an error of the link").failure
        };
        for price in 0..20 {
            let panics = Arc::new(|| panic!("as asked"));
            assert_eq!(failure(Hooked::Fails(panics)), Failure::Malformed);
            publish(to, "here", price);
            assert_eq!(next(&mut here), Ok(price));
            assert_eq!(failure(Hooked::Goes), Failure::Malformed);
            publish(to, "here", price);
            assert_eq!(next(&mut here), Ok(price));
            request_in_a_row(from);
        }
        to.close();
        server.join().unwrap();
        answering.join().unwrap();
    });
}

/// The request of the caller fails when another one is pending, so it has nothing to wait for.
#[test]
fn a_caller_does_not_wait_for_the_request_of_a_task() {
    on_each(|from, to, _| {
        carry_hooked(from, to);
        let server = to.serve::<Hooked>("slow").unwrap();
        let warm = serve(to, "a");
        await_server(from, "a");
        request_in_a_row(from);
        let task = from.clone();
        let (begin, begins) = mpsc::sync_channel(1);
        let (made, is_made) = mpsc::channel();
        let task = thread::spawn(move || {
            begins.recv_timeout(LONG).expect("the first request");
            let request = task.request("slow", Hooked::Goes).into_future();
            let mut request = pin!(request);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(request.as_mut().poll(&mut cx).is_pending());
            made.send(()).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(request).ok()
        });
        let is_made = std::sync::Mutex::new(is_made);
        let hook = Arc::new(move || {
            begin.send(()).unwrap();
            is_made.lock().unwrap().recv_timeout(LONG).unwrap();
        });
        let caller = from.clone();
        let (send, outcome) = mpsc::channel();
        thread::spawn(move || {
            let request = caller.request("slow", Hooked::Fails(hook));
            let error = request.wait_for_server().wait().err();
            let _ = send.send(error.expect("it cannot be encoded").link().cloned());
        });
        let (_, context) = server.wait().unwrap(); // that of the task
        let error = outcome.recv_timeout(LONG).expect("an outcome of its own");
        assert_eq!(error.expect("one of the link").failure, Failure::Malformed);
        context.reply(Panics(false)).unwrap();
        assert_eq!(task.join().unwrap(), Some(Panics(false)));
        to.close();
        warm.join().unwrap();
    });
}

#[test]
fn a_deadline_holds_while_messages_keep_coming() {
    on_each(|from, to, _| {
        let slow = to.serve::<Double>("slow").unwrap();
        await_server(from, "slow");
        let _prices = from.subscribe::<Price>("**").unwrap();
        await_subscriber(to, "any");
        let (send, outcome) = mpsc::channel();
        let caller = from.clone();
        thread::spawn(move || {
            let timeout = Duration::from_millis(200);
            let request = caller.request("slow", Double(1)).timeout(timeout);
            let _ = send.send(request.wait());
        });
        let (_, _context) = slow.wait().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let (publisher, ends) = (to.clone(), Arc::clone(&is_over));
        let publisher = thread::spawn(move || {
            for price in 0.. {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                publish(&publisher, "any", price);
            }
        });
        let outcome = outcome.recv_timeout(LONG);
        is_over.store(true, Ordering::Relaxed);
        let error = outcome.expect("an outcome").unwrap_err();
        assert!(error.is_timeout(), "{error}");
        publisher.join().unwrap();
    });
}
