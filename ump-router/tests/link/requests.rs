//! The outcomes of requests.

use std::time::Duration;

use ump::Executed;
use ump_router::link::{
    session::{Event, Outcome, Progress, Rejected},
    wire::{Codec, Failure},
};

use crate::pair::{Pair, call, config, payload};

fn outcome(event: Event) -> Outcome {
    match event {
        Event::Ended { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

/// A pair in which end 1 has a request of end 0.
fn asked(deadline: Option<Duration>) -> (Pair, u64) {
    let mut pair = Pair::open();
    let deadline = deadline.map(|time| pair.now + time);
    let request = pair.ends[0]
        .request(pair.now, &call("hi", deadline))
        .unwrap();
    pair.settle();
    assert!(matches!(pair.one(1), Event::Request { request: it, .. } if it == request));
    (pair, request)
}

#[test]
fn a_request_ends_in_its_reply() {
    let (mut pair, request) = asked(None);
    assert!(pair.ends[1].take(pair.now, request));
    pair.settle();
    assert_eq!(pair.one(0), Event::Taken { request });
    let reply = payload("hi yourself");
    assert_eq!(pair.ends[1].reply(request, Codec::Raw, Ok(&reply)), Ok(()));
    let again = pair.ends[1].reply(request, Codec::Raw, Ok(&reply));
    assert_eq!(again, Err(Rejected::Unknown));
    pair.settle();
    let expected = Outcome::Reply {
        codec: Codec::Raw,
        payload: reply,
    };
    assert_eq!(outcome(pair.one(0)), expected);
    assert_eq!(pair.ends[0].pending(), 0);
}

#[test]
fn an_answer_at_once_says_that_it_was_taken() {
    let (mut pair, request) = asked(None);
    assert!(pair.ends[1].take(pair.now, request));
    let refused = pair.ends[1].reply(request, Codec::Raw, Err(&payload("no")));
    assert_eq!(refused, Ok(()));
    pair.settle();
    assert!(matches!(outcome(pair.one(0)), Outcome::Refused { .. }));
}

#[test]
fn a_taken_request_that_is_not_answered_soon_is_told() {
    let soon = Duration::from_millis(1);
    let patient = |router| {
        let mut config = config(router);
        config.timeouts.taken = soon;
        config
    };
    let mut pair = Pair::opened([1, 2].map(patient));
    let mut asked = || {
        let call = call("hi", None);
        let request = pair.ends[0].request(pair.now, &call).unwrap();
        pair.settle();
        pair.take(1);
        assert!(pair.ends[1].take(pair.now, request));
        pair.settle();
        request
    };
    let (answered, other) = (asked(), asked());
    assert_eq!(pair.take(0), []);
    let reply = payload("hi yourself");
    let replied = pair.ends[1].reply(answered, Codec::Raw, Ok(&reply));
    assert_eq!(replied, Ok(()));
    pair.settle();
    assert!(matches!(outcome(pair.one(0)), Outcome::Reply { .. }));
    pair.advance(soon);
    assert_eq!(pair.one(0), Event::Taken { request: other });
}

#[test]
fn a_failure_says_whether_the_request_was_executed() {
    for executed in [Executed::No, Executed::Perhaps] {
        let (mut pair, request) = asked(None);
        let failed = pair.ends[1].fail(request, Failure::ServerLost, executed, "killed");
        assert_eq!(failed, Ok(()));
        pair.settle();
        let outcome = outcome(pair.one(0));
        assert_eq!(outcome.executed(), executed);
        let text = "killed".to_owned();
        let failure = Failure::ServerLost;
        let expected = Outcome::Failed {
            failure,
            executed,
            text,
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn a_reply_that_does_not_fit_becomes_a_failure() {
    let (mut pair, request) = asked(None);
    let long = payload(&"x".repeat(2 << 20));
    let result = pair.ends[1].reply(request, Codec::Raw, Ok(&long));
    assert_eq!(result, Err(Rejected::TooLong(1 << 20)));
    pair.settle();
    let Outcome::Failed {
        failure, executed, ..
    } = outcome(pair.one(0))
    else {
        panic!()
    };
    assert_eq!((failure, executed), (Failure::TooLarge, Executed::Yes));
}

#[test]
fn a_request_cancelled_before_it_was_taken_is_not_executed() {
    let (mut pair, request) = asked(None);
    assert_eq!(pair.ends[0].cancel(request), Ok(()));
    assert_eq!(pair.ends[0].cancel(request), Err(Rejected::Unknown));
    let cancelled = Outcome::Cancelled(Progress::Sent);
    assert_eq!(outcome(pair.one(0)), cancelled);
    pair.settle();
    assert_eq!(pair.one(1), Event::Withdrawn { request });
    assert!(!pair.ends[1].take(pair.now, request));
    assert_eq!(pair.take(0), [], "it had its outcome");
    assert_eq!(pair.ends[0].pending(), 0);
}

#[test]
fn a_request_cancelled_before_it_was_sent_is_not_sent() {
    let mut pair = Pair::open();
    let request = pair.ends[0].request(pair.now, &call("hi", None)).unwrap();
    assert_eq!(pair.ends[0].cancel(request), Ok(()));
    assert_eq!(outcome(pair.one(0)), Outcome::Cancelled(Progress::NotSent));
    assert_eq!(pair.write(0, usize::MAX), 0);
    assert_eq!(pair.ends[0].pending(), 0);
}

#[test]
fn a_handler_sees_that_its_request_was_cancelled() {
    let (mut pair, request) = asked(None);
    assert!(pair.ends[1].take(pair.now, request));
    pair.settle();
    pair.take(0);
    pair.ends[0].cancel(request).unwrap();
    assert_eq!(outcome(pair.one(0)), Outcome::Cancelled(Progress::Taken));
    pair.settle();
    assert_eq!(pair.one(1), Event::Withdrawn { request });
    let late = pair.ends[1].reply(request, Codec::Raw, Ok(&payload("late")));
    assert_eq!(late, Err(Rejected::Unknown));
}

#[test]
fn a_reply_that_crosses_a_cancellation_is_dropped() {
    let (mut pair, request) = asked(None);
    assert!(pair.ends[1].take(pair.now, request));
    pair.ends[1]
        .reply(request, Codec::Raw, Ok(&payload("late")))
        .unwrap();
    pair.ends[0].cancel(request).unwrap();
    pair.settle();
    assert_eq!(outcome(pair.one(0)), Outcome::Cancelled(Progress::Sent));
    assert_eq!((pair.take(1), pair.ends[0].pending()), (vec![], 0));
}

#[test]
fn an_expired_request_is_not_taken() {
    let (mut pair, request) = asked(Some(Duration::from_secs(2)));
    // The peer notices by its own clock, though no cancellation arrives.
    let late = pair.now + Duration::from_secs(2);
    assert!(!pair.ends[1].take(late, request));
    pair.now = late;
    pair.ends[0].tick(late);
    pair.settle();
    assert_eq!(outcome(pair.one(0)), Outcome::TimedOut(Progress::Sent));
    assert_eq!(pair.one(1), Event::Withdrawn { request });
    assert_eq!(pair.ends[0].pending(), 0);
}

#[test]
fn a_deadline_in_the_past_ends_a_request_at_once() {
    let mut pair = Pair::open();
    pair.ends[0]
        .request(pair.now, &call("hi", Some(pair.now)))
        .unwrap();
    assert_eq!(outcome(pair.one(0)), Outcome::TimedOut(Progress::NotSent));
}

#[test]
fn the_time_that_remains_is_sent_when_the_frame_is() {
    let mut pair = Pair::open();
    let deadline = pair.now + Duration::from_secs(3);
    pair.ends[0]
        .request(pair.now, &call("hi", Some(deadline)))
        .unwrap();
    pair.now += Duration::from_secs(2);
    pair.settle();
    let Event::Request {
        deadline: there, ..
    } = pair.one(1)
    else {
        panic!()
    };
    assert_eq!(there, Some(deadline));
}
