//! Requests in both directions, and the servers that answer them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use ump::Executed;
use ump_router::{
    ChangeKind::{Served, StandsBy, Unserved},
    RequestError, Router, ServeOptions,
    bridge::{Announced, Outcome},
    link::wire::{Codec, Failure},
};

use crate::wire::{Double, End, Wire, carrying, context};

/// Makes a request at one end, while the wire carries. Returns its outcome.
fn ask(wire: &mut Wire, number: u64) -> Result<u64, RequestError<Double>> {
    let router = wire.here.router.clone();
    let caller = thread::spawn(move || router.request("a", Double(number)).wait());
    while !caller.is_finished() {
        wire.carry();
        thread::yield_now();
    }
    caller.join().unwrap()
}

/// Serves a topic until the router is closed: doubles, and refuses zero.
fn serve(router: &Router) -> thread::JoinHandle<usize> {
    let server = router.serve::<Double>("a").unwrap();
    thread::spawn(move || {
        let mut served = 0;
        for (call, rctx) in &server {
            served += 1;
            let number = call.message.0;
            let refusal = || "zero".to_owned();
            let _ = rctx.answer(
                number
                    .checked_mul(2)
                    .filter(|it| *it > 0)
                    .ok_or_else(refusal),
            );
        }
        served
    })
}

#[test]
fn requests_are_answered_by_the_other_router() {
    let mut wire = Wire::new();
    let error = ask(&mut wire, 1).unwrap_err();
    assert!(
        matches!(error, RequestError::NoServer(Double(1))),
        "{error:?}"
    );
    let serving = serve(&wire.there.router);
    wire.carry();
    assert_eq!(ask(&mut wire, 21).unwrap(), 42);
    assert_eq!(
        ask(&mut wire, 0).unwrap_err().into_apperr(),
        Some("zero".to_owned())
    );
    wire.there.router.close();
    assert_eq!(serving.join().unwrap(), 2);
}

#[test]
fn a_claimed_topic_is_taken_at_the_other_router() {
    let mut wire = Wire::new();
    let server = wire.there.router.serve::<Double>("a").unwrap();
    wire.carry();
    let taken = wire.here.router.serve::<Double>("a").unwrap_err();
    assert!(matches!(taken, ump_router::Error::Taken(_)), "{taken:?}");
    drop(server);
    wire.carry();
    drop(wire.here.router.serve::<Double>("a").unwrap());
}

#[test]
fn a_server_stands_by_for_one_of_another_process() {
    let mut end = End::new(carrying());
    let server = end.router.serve::<Double>("a").unwrap();
    let options = ServeOptions::new().standby();
    let second = end.router.serve_with::<Double>("a", options).unwrap();
    let changes = end.router.subscribe::<ump_router::Change>("double/a");
    let mut changes = changes.unwrap();
    assert!(end.servers.add("double/a".parse().unwrap()));
    assert!(!end.servers.add("double/a".parse().unwrap()));
    assert!(end.servers.poll_next(&mut context()).is_pending());
    assert!(!server.is_serving() && server.is_standing_by());
    let topic = "double/a".parse().unwrap();
    // It still has the topic, and is not asked.
    assert_eq!(
        end.announced(),
        [Announced::Claimed("double/a".parse().unwrap())]
    );
    let mut refused = end.bridge.request(&topic, Codec::Cbor, &[1], None);
    let none = Outcome::Failed(Failure::NoServer, Executed::No, String::new());
    assert_eq!(refused.poll(&mut context()), Poll::Ready(none));
    assert!(end.servers.remove(&topic));
    assert!(!end.servers.remove(&topic));
    assert!(server.is_serving() && second.is_standing_by());
    let mut kinds = Vec::new();
    while !changes.is_empty() {
        kinds.push(changes.recv().wait().unwrap().kind());
    }
    assert_eq!(kinds, [Unserved, StandsBy, Served, Unserved, Served]);
}

/// Counts its wake-ups.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_request_of_the_other_router_waits_without_yielding() {
    let end = End::new(carrying());
    let server = end.router.serve::<Double>("a").unwrap();
    let topic = "double/a".parse().unwrap();
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    // More than what the channel needs to learn that tasks had better yield.
    for answered in 0..100 {
        let mut request = end.bridge.request(&topic, Codec::Cbor, &[1], None);
        assert!(request.poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(counter.0.load(Relaxed), answered);
        let (_, rctx) = server.try_pop().unwrap().unwrap();
        rctx.reply(2).unwrap();
        assert_eq!(counter.0.load(Relaxed), answered + 1);
        let outcome = request.poll(&mut context());
        assert!(matches!(outcome, Poll::Ready(Outcome::Reply(..))));
    }
}

#[test]
fn a_request_that_is_dropped_or_not_sent_ends() {
    let mut end = End::new(carrying());
    assert!(end.servers.add("double/a".parse().unwrap()));
    assert!(end.servers.poll_next(&mut context()).is_pending());
    let outcomes = [
        Some(Outcome::Failed(
            Failure::ServerLost,
            Executed::No,
            "gone".to_owned(),
        )),
        Some(Outcome::Failed(
            Failure::ServerLost,
            Executed::Perhaps,
            String::new(),
        )),
        Some(Outcome::Reply(Codec::Cbor, [6].into())),
        Some(Outcome::Reply(Codec::Raw, [6].into())),
        None,
    ];
    let mut ended = Vec::new();
    for outcome in outcomes {
        let router = end.router.clone();
        let caller = thread::spawn(move || router.request("a", Double(3)).wait());
        let call = loop {
            match end.servers.poll_next(&mut context()) {
                Poll::Ready(call) => break call,
                Poll::Pending => thread::yield_now(),
            }
        };
        assert_eq!(
            (call.topic().as_str(), &**call.payload()),
            ("double/a", &[3][..])
        );
        match outcome {
            Some(outcome) => call.finish(outcome),
            None => drop(call),
        }
        ended.push(caller.join().unwrap());
    }
    let error = ended[0].as_ref().unwrap_err();
    let link = error.link().unwrap();
    assert_eq!((&*link.link, &*link.text), ("wire", "gone"));
    assert!(
        matches!(error, RequestError::Link(Some(Double(3)), _)),
        "{error:?}"
    );
    assert!(
        matches!(&ended[1], Err(RequestError::Link(None, _))),
        "{ended:?}"
    );
    assert_eq!(ended[2], Ok(6));
    let malformed = ended[3].as_ref().unwrap_err().link().unwrap();
    assert_eq!(malformed.failure, Failure::Malformed);
    let unanswered = ended[4].as_ref().unwrap_err();
    assert_eq!(unanswered.executed(), Executed::Perhaps);
}

#[test]
fn a_caller_that_leaves_is_seen() {
    let mut end = End::new(carrying());
    assert!(end.servers.add("double/a".parse().unwrap()));
    assert!(end.servers.poll_next(&mut context()).is_pending());
    let router = end.router.clone();
    let short = Duration::from_millis(1);
    let caller = thread::spawn(move || router.request("a", Double(3)).timeout(short).wait());
    let mut call = loop {
        match end.servers.poll_next(&mut context()) {
            Poll::Ready(call) => break call,
            // The deadline may pass first.
            Poll::Pending if caller.is_finished() => return,
            Poll::Pending => thread::yield_now(),
        }
    };
    assert!(call.deadline().is_some());
    assert!(caller.join().unwrap().unwrap_err().is_timeout());
    assert!(call.poll_cancelled(&mut context()).is_ready());
}

#[test]
fn a_request_of_another_process_that_is_dropped_is_cancelled() {
    let end = End::new(carrying());
    let server = end.router.serve::<Double>("a").unwrap();
    let topic = "double/a".parse().unwrap();
    let mut request = end.bridge.request(&topic, Codec::Cbor, &[4], None);
    assert!(request.poll(&mut context()).is_pending());
    let (call, rctx) = server.wait().unwrap();
    assert_eq!((call.message.0, rctx.is_cancelled()), (4, false));
    drop(request);
    assert!(rctx.is_cancelled());
    let mut request = end.bridge.request(&topic, Codec::Cbor, b"?", None);
    let Poll::Ready(Outcome::Failed(failure, executed, _)) = request.poll(&mut context()) else {
        panic!("it cannot be decoded");
    };
    assert_eq!((failure, executed), (Failure::Malformed, Executed::No));
    assert!(request.poll(&mut context()).is_pending(), "it has ended");
}

#[test]
fn a_topic_of_a_type_that_travels_later_is_claimed_then() {
    let router = Router::new();
    let mut end = End::new(router.clone());
    assert!(end.servers.add("double/a".parse().unwrap()));
    assert!(end.servers.poll_next(&mut context()).is_pending());
    assert!(router.pin::<Double>("a").unwrap().is_none());
    router.carry_requests::<Double>().unwrap();
    assert!(end.servers.poll_next(&mut context()).is_pending());
    assert!(router.pin::<Double>("a").unwrap().is_some());
}
