//! The beginning and the end of sessions.

use std::time::Duration;

use ump_router::link::{
    session::{Closed, Config, Credit, Event, Outcome, Progress, Rejected, Session, Timeouts},
    wire::{Codec, Failure, GoodbyeReason, Hello, Message, Status, encode},
};

use crate::pair::{Pair, ROOM, call, config, payload, publication};

fn closed(events: &[Event]) -> &Closed {
    match events {
        [.., Event::Closed(closed)] => closed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_end_closes_after_what_waits_was_sent() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    let taken = pair.ends[0].request(pair.now, &call("1", None)).unwrap();
    let untaken = pair.ends[0].request(pair.now, &call("2", None)).unwrap();
    let answered = pair.ends[0].request(pair.now, &call("3", None)).unwrap();
    pair.settle();
    pair.take(1);
    assert!(pair.ends[1].take(pair.now, taken));
    pair.ends[1]
        .reply(answered, Codec::Raw, Ok(&payload("3")))
        .unwrap();
    pair.ends[1]
        .publish(&publication("a", "last"), &[id])
        .unwrap();
    pair.ends[1].close(pair.now, GoodbyeReason::ShuttingDown, "SIGTERM");
    let refused = pair.ends[1].request(pair.now, &call("x", None));
    assert_eq!(refused, Err(Rejected::NotOpen));
    // A request that crosses the goodbye was not executed.
    let crossing = pair.ends[0].request(pair.now, &call("4", None)).unwrap();
    pair.write(0, usize::MAX);
    pair.settle_by(3);
    let events = pair.take(0);
    let outcome = |request| {
        let of = |event: &Event| match event {
            Event::Ended {
                request: it,
                outcome,
            } if *it == request => Some(outcome.clone()),
            _ => None,
        };
        let outcomes: Vec<_> = events.iter().filter_map(of).collect();
        assert_eq!(outcomes.len(), 1, "{events:?}");
        outcomes[0].clone()
    };
    assert!(matches!(outcome(answered), Outcome::Reply { .. }));
    assert!(matches!(
        outcome(untaken),
        Outcome::Failed {
            failure: Failure::ServerLost,
            ..
        }
    ));
    assert_eq!(outcome(taken), Outcome::LinkLost(Progress::Taken));
    assert_eq!(outcome(crossing), Outcome::LinkLost(Progress::NotSent));
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Message { .. }))
    );
    let reason = GoodbyeReason::ShuttingDown;
    let text = "SIGTERM".to_owned();
    assert_eq!(closed(&events), &Closed::Peer { reason, text });
    assert_eq!(closed(&pair.take(1)), &Closed::Local);
    assert!(pair.ends.iter().all(Session::is_finished));
}

#[test]
fn what_was_missed_is_told_before_the_goodbye() {
    let mut pair = Pair::open();
    let few = Credit {
        messages: 1,
        bytes: 100,
    };
    let id = pair.subscribe(0, "a", few);
    for _ in 0..3 {
        pair.ends[1].publish(&publication("a", "x"), &[id]).unwrap();
    }
    pair.ends[1].close(pair.now, GoodbyeReason::Done, "");
    pair.settle();
    let events = pair.take(0);
    assert!(
        matches!(
            events[..],
            [
                Event::Message { .. },
                Event::Gap { missed: 2, .. },
                Event::Closed(_)
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_peer_that_does_not_answer_a_goodbye_is_left() {
    let mut pair = Pair::open();
    pair.ends[0].close(pair.now, GoodbyeReason::Done, "");
    assert!(!pair.ends[0].is_finished());
    let deadline = pair.ends[0].next_deadline().unwrap();
    pair.ends[0].tick(deadline);
    assert!(pair.ends[0].is_finished());
    assert_eq!(pair.ends[0].next_deadline(), None);
}

#[test]
fn an_idle_link_stays_open() {
    let mut pair = Pair::open();
    pair.advance(Duration::from_secs(24 * 3600));
    assert!(pair.ends.iter().all(Session::is_open));
    assert_eq!((pair.take(0), pair.take(1)), (vec![], vec![]));
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut pair = Pair::open();
    pair.ends[0].request(pair.now, &call("hi", None)).unwrap();
    pair.write(0, usize::MAX);
    let start = pair.now;
    while !pair.ends[0].is_finished() {
        pair.now = pair.ends[0].next_deadline().unwrap();
        pair.ends[0].tick(pair.now);
        pair.write(0, usize::MAX);
    }
    assert_eq!(pair.now - start, Duration::from_secs(25));
    let events = pair.take(0);
    assert!(matches!(closed(&events), Closed::TimedOut(_)));
    let lost = Outcome::LinkLost(Progress::Sent);
    assert!(matches!(&events[0], Event::Ended { outcome, .. } if *outcome == lost));
}

#[test]
fn a_peer_is_asked_again_after_a_stop_of_this_end() {
    let stop = Duration::from_secs(60);
    let mut pair = Pair::open();
    pair.now += stop; // of both
    for end in &mut pair.ends {
        end.resumed(pair.now);
        end.tick(pair.now);
    }
    pair.settle();
    assert!(pair.ends.iter().all(Session::is_open));
    // The peer is gone.
    pair.now += stop;
    let resumed = pair.now;
    pair.ends[0].resumed(resumed);
    while !pair.ends[0].is_finished() {
        pair.ends[0].tick(pair.now);
        pair.write(0, usize::MAX);
        pair.now = pair.ends[0].next_deadline().unwrap_or(pair.now);
    }
    assert_eq!(pair.now - resumed, Duration::from_secs(15));
    let events = pair.take(0);
    assert_eq!(closed(&events), &Closed::TimedOut("the peer is silent"));
}

#[test]
fn a_peer_has_its_time_anew_after_a_stop_of_this_end() {
    let mut pair = Pair::open();
    pair.subscribe(0, "a", ROOM);
    pair.ends[0]
        .subscribe(&"b".parse().unwrap(), ROOM, false)
        .unwrap();
    pair.write(0, usize::MAX);
    pair.ends[1].request(pair.now, &call("hi", None)).unwrap();
    pair.write(1, 1);
    pair.read(0, 1); // half a frame, and no answer to the second subscribe
    pair.now += Duration::from_secs(100);
    pair.ends[0].resumed(pair.now);
    pair.ends[0].tick(pair.now);
    assert!(pair.ends[0].is_open());
    let [hello, _] = &mut Pair::new([config(1), config(2)]).ends;
    hello.resumed(pair.now);
    hello.tick(pair.now);
    assert!(!hello.is_finished());
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let mut hasty = config(1);
    hasty.timeouts.write = Duration::from_secs(20);
    let mut pair = Pair::opened([hasty, config(2)]);
    pair.ends[0].request(pair.now, &call("hi", None)).unwrap();
    let start = pair.now;
    while pair.ends[0].is_open() {
        let _ = pair.ends[0].transmit(pair.now); // nothing of it is written
        pair.now = pair.ends[0].next_deadline().unwrap();
        // The peer goes on sending.
        pair.ends[1].tick(pair.now);
        pair.write(1, usize::MAX);
        pair.read(0, usize::MAX);
        pair.ends[0].tick(pair.now);
    }
    assert_eq!(pair.now - start, Duration::from_secs(20));
    let events = pair.take(0);
    assert_eq!(closed(&events), &Closed::TimedOut("the peer does not read"));
}

#[test]
fn a_frame_has_to_be_completed_in_time() {
    let mut pair = Pair::open();
    pair.ends[0].request(pair.now, &call("hi", None)).unwrap();
    let start = pair.now;
    while pair.ends[1].is_open() {
        // A byte now and then is not enough.
        pair.write(0, 1);
        pair.read(1, 1);
        pair.now += Duration::from_secs(5);
        pair.ends[1].tick(pair.now);
    }
    assert_eq!(pair.now - start, Duration::from_secs(30));
    assert!(matches!(closed(&pair.take(1)), Closed::TimedOut(_)));
}

#[test]
fn a_peer_without_a_hello_is_given_up() {
    let mut pair = Pair::new([config(1), config(2)]);
    pair.now += Duration::from_secs(5);
    pair.ends[0].tick(pair.now);
    assert_eq!(
        closed(&pair.take(0)),
        &Closed::TimedOut("the peer sent no hello in time")
    );
}

#[test]
fn nothing_is_sent_before_the_hellos() {
    let mut pair = Pair::new([config(1), config(2)]);
    let end = &mut pair.ends[0];
    let pattern = "a".parse().unwrap();
    assert_eq!(end.subscribe(&pattern, ROOM, false), Err(Rejected::NotOpen));
    let published = end.publish(&publication("a", "x"), &[]);
    assert_eq!(published, Err(Rejected::NotOpen));
    assert_eq!(
        end.request(pair.now, &call("x", None)),
        Err(Rejected::NotOpen)
    );
    assert_eq!(end.synced(), Err(Rejected::NotOpen));
}

#[test]
fn a_router_refuses_a_link_to_itself() {
    let mut pair = Pair::new([config(1), config(1)]);
    pair.settle();
    for end in 0..2 {
        let events = pair.take(end);
        let Closed::Incompatible(reason, _) = closed(&events) else {
            panic!()
        };
        assert_eq!(*reason, GoodbyeReason::OwnRouter);
    }
}

#[test]
fn both_ends_learn_the_versions_of_both() {
    let mut pair = Pair::new([config(1), config(2)]);
    pair.write(0, usize::MAX);
    let hello = Hello {
        min_version: 2,
        max_version: 3,
        features: 0,
        required: 0,
        limits: config(2).limits,
        router: 2,
        name: String::new(),
    };
    let mut bytes = Vec::new();
    encode(&Message::Hello(hello), &mut bytes).unwrap();
    pair.wires[0].extend(bytes);
    pair.read(0, usize::MAX);
    let events = pair.take(0);
    let text = closed(&events).to_string();
    assert!(text.contains("versions 1 to 1, the peer 2 to 3"), "{text}");
    // The peer gets the same text.
    pair.wires[1].clear();
    pair.write(0, usize::MAX);
    let sent: Vec<u8> = pair.wires[1].iter().copied().collect();
    assert!(String::from_utf8_lossy(&sent).contains("the peer 2 to 3"));
    assert!(pair.ends[0].is_finished());
}

#[test]
fn a_required_feature_that_is_missing_refuses_the_link() {
    let needy = Config {
        required: 2,
        features: 3,
        ..config(1)
    };
    let mut pair = Pair::new([needy.clone(), config(2)]);
    pair.settle();
    let events = pair.take(1);
    assert!(matches!(
        closed(&events),
        Closed::Incompatible(GoodbyeReason::Feature, _)
    ));
    let offering = Config {
        features: 6,
        ..config(2)
    };
    let mut pair = Pair::new([needy, offering]);
    pair.settle();
    assert!(matches!(
        pair.one(0),
        Event::Opened {
            features: 2,
            version: 1,
            ..
        }
    ));
}

#[test]
fn two_ends_that_close_at_once_do_not_wait_for_their_deadlines() {
    let narrow = |router| {
        let mut config = config(router);
        (config.limits.frame, config.limits.window) = (1000, 2016);
        config
    };
    let mut pair = Pair::opened([narrow(1), narrow(2)]);
    let ids = [pair.subscribe(0, "a", ROOM), pair.subscribe(1, "a", ROOM)];
    for end in 0..2 {
        for _ in 0..10 {
            // More than the link has credit for.
            let message = publication("a", &"x".repeat(900));
            assert_eq!(pair.ends[end].publish(&message, &[ids[1 - end]]), Ok(1));
        }
    }
    for end in &mut pair.ends {
        end.close(pair.now, GoodbyeReason::Done, "");
    }
    pair.settle();
    assert!(pair.ends.iter().all(Session::is_finished));
}

#[test]
fn an_end_that_closes_before_the_hello_says_goodbye() {
    let mut pair = Pair::new([config(1), config(2)]);
    pair.ends[0].close(pair.now, GoodbyeReason::ShuttingDown, "SIGTERM");
    pair.settle();
    assert_eq!(pair.take(0), [Event::Closed(Closed::Local)]);
    let events = pair.take(1);
    assert!(matches!(events[0], Event::Opened { .. }), "{events:?}");
    let Closed::Peer { reason, text } = closed(&events) else {
        panic!("{events:?}")
    };
    assert_eq!(
        (*reason, text.as_str()),
        (GoodbyeReason::ShuttingDown, "SIGTERM")
    );
    assert!(pair.ends.iter().all(Session::is_finished));
}

#[test]
fn the_longest_times_are_no_deadlines() {
    let patient = |router| {
        let max = Duration::MAX;
        Config {
            timeouts: Timeouts {
                hello: max,
                frame: max,
                ping: max,
                silence: max,
                write: max,
                answer: max,
                taken: max,
                close: max,
            },
            ..config(router)
        }
    };
    let mut pair = Pair::opened([patient(1), patient(2)]);
    pair.write(0, 3);
    pair.advance(Duration::from_secs(1 << 30));
    assert!(pair.ends.iter().all(Session::is_open));
    pair.ends[0].close(pair.now, GoodbyeReason::Done, "");
    pair.settle();
    assert!(pair.ends.iter().all(Session::is_finished));
}

#[test]
fn a_peer_that_answers_no_subscribe_is_given_up() {
    let mut pair = Pair::opened([config(1), config(2)]);
    let credit = Credit {
        messages: 1,
        bytes: 1,
    };
    let ids = ["a", "b"].map(|name| {
        let pattern = name.parse().unwrap();
        pair.ends[0].subscribe(&pattern, credit, false).unwrap()
    });
    pair.settle();
    let answer = Config::default().timeouts.answer;
    for id in ids {
        assert!(pair.ends[0].is_open(), "each answer prolongs the time");
        pair.advance(answer / 3);
        pair.ends[1]
            .answer_subscribe(id, Status::Accepted, "")
            .unwrap();
        pair.settle();
        pair.advance(answer / 3);
    }
    pair.advance(answer);
    assert!(pair.ends[0].is_open(), "nothing waits for an answer");
    pair.ends[0].serve(&"a".parse().unwrap(), false).unwrap();
    pair.settle();
    pair.advance(answer);
    let closed = pair.take(0).pop();
    assert!(
        matches!(closed, Some(Event::Closed(Closed::TimedOut(_)))),
        "{closed:?}"
    );
}

#[test]
fn bytes_now_and_then_do_not_prolong_the_hello() {
    let mut pair = Pair::new([config(1), config(2)]);
    let start = pair.now;
    while !matches!(pair.take(1)[..], [Event::Closed(_)]) {
        pair.write(0, 1);
        pair.read(1, 1);
        pair.now += Duration::from_secs(1);
        pair.ends[1].tick(pair.now);
    }
    assert_eq!(pair.now - start, Duration::from_secs(5));
}

#[cfg(not(feature = "compression"))]
#[test]
fn compression_is_not_offered_without_its_feature() {
    use ump_router::link::wire::COMPRESSION;
    let offering = |router| Config {
        features: COMPRESSION,
        ..config(router)
    };
    let mut pair = Pair::new([offering(1), offering(2)]);
    pair.settle();
    let Event::Opened {
        hello, features, ..
    } = pair.one(0)
    else {
        panic!("it is not open");
    };
    assert_eq!((hello.features, features), (0, 0));
}
