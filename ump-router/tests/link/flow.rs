//! Publications and flow control.

use ump_router::{
    Topic,
    link::{
        session::{Closed, Config, Credit, Event, Outcome, Publication, Rejected},
        wire::{Codec, Limits, Status},
    },
};

use crate::pair::{Pair, ROOM, call, config, payload, publication};

fn texts(events: &[Event]) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Message { to, payload, .. } => {
            format!("{to:?} {}", String::from_utf8_lossy(payload))
        }
        Event::Gap { id, missed } => format!("{id} missed {missed}"),
        other => format!("{other:?}"),
    };
    events.iter().map(show).collect()
}

#[test]
fn a_publication_arrives_whatever_the_pieces() {
    for piece in [1, 2, 3, 7, 8, 9, 100] {
        let mut pair = Pair::open();
        let id = pair.subscribe(0, "price/**", ROOM);
        let price = publication("price/eur", "1.08");
        assert_eq!(pair.ends[1].publish(&price, &[id]), Ok(1));
        pair.settle_by(piece);
        let expected = Event::Message {
            to: vec![id],
            topic: "price/eur".parse().unwrap(),
            retain: false,
            retained: false,
            codec: Codec::Raw,
            payload: payload("1.08"),
        };
        assert_eq!(pair.one(0), expected);
    }
}

#[test]
fn a_slow_subscription_does_not_hold_up_another() {
    let mut pair = Pair::open();
    let few = Credit {
        messages: 2,
        bytes: 1000,
    };
    let slow = pair.subscribe(0, "**", few);
    let quick = pair.subscribe(0, "**", ROOM);
    for number in 0..5 {
        assert_eq!(pair.ends[1].has_credit(slow, 1), number < 2);
        assert!(pair.ends[1].has_credit(quick, 1));
        let message = publication("a", &number.to_string());
        pair.ends[1].publish(&message, &[slow, quick]).unwrap();
    }
    pair.settle();
    let traffic = pair.ends[0].received_so_far();
    assert_eq!((traffic.messages, traffic.gaps, traffic.missed), (5, 1, 3));
    assert_eq!(pair.ends[1].sent_so_far(), traffic);
    let events = pair.take(0);
    assert_eq!(
        texts(&events),
        [
            "[1, 2] 0",
            "[1, 2] 1",
            "[2] 2",
            "[2] 3",
            "[2] 4",
            "1 missed 3"
        ]
    );
    pair.ends[0].consumed(slow, 2, 2).unwrap();
    pair.settle();
    pair.ends[1]
        .publish(&publication("a", "5"), &[slow, quick])
        .unwrap();
    pair.settle();
    let events = pair.take(0);
    assert_eq!(texts(&events), ["[1, 2] 5"]);
}

#[test]
fn what_does_not_fit_into_the_queue_is_a_gap() {
    let small = Config {
        queued_publications: 100,
        ..config(2)
    };
    let mut pair = Pair::opened([config(1), small]);
    let id = pair.subscribe(0, "a", ROOM);
    let message = publication("a", &"x".repeat(40));
    let sent = (0..4).map(|_| pair.ends[1].publish(&message, &[id]).unwrap());
    assert_eq!(sent.collect::<Vec<_>>(), [1, 0, 0, 0], "51 bytes each");
    pair.settle();
    let events = pair.take(0);
    assert_eq!(texts(&events)[1..], ["1 missed 3"]);
}

#[test]
fn a_topic_keeps_its_name_when_numbers_are_reused() {
    let few = Limits {
        topics: 2,
        ..Limits::default()
    };
    let limited = Config {
        limits: few,
        ..config(1)
    };
    let mut pair = Pair::opened([limited, config(2)]);
    let id = pair.subscribe(0, "**", ROOM);
    let topics = ["a", "b", "a", "c", "b", "d", "a", "c", "d"];
    for topic in topics {
        let sent = pair.ends[1].publish(&publication(topic, topic), &[id]);
        assert_eq!(sent, Ok(1));
    }
    pair.settle_by(5);
    let found = pair.take(0).into_iter().map(|event| match event {
        Event::Message { topic, payload, .. } => {
            assert_eq!(topic.as_str().as_bytes(), &payload[..]);
            topic.as_str().to_owned()
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), topics);
}

#[test]
fn two_ends_that_write_at_each_other_go_on() {
    let small = |router| Config {
        limits: Limits {
            frame: 1000,
            window: 2100,
            ..Limits::default()
        },
        ..config(router)
    };
    let mut pair = Pair::opened([small(1), small(2)]);
    let text = "x".repeat(900);
    let mut replies = [0; 2];
    for round in 0..200 {
        for (end, replies) in replies.iter_mut().enumerate() {
            let _ = pair.ends[end].request(pair.now, &call(&text, None));
            // The wire has room for so much.
            if pair.wires[1 - end].len() < 3000 {
                pair.write(end, 1000);
            }
            pair.read(end, if round % 3 == 0 { 10 } else { 700 });
            for event in pair.take(end) {
                match event {
                    Event::Request {
                        request, payload, ..
                    } => {
                        assert!(pair.ends[end].take(pair.now, request));
                        let replied = pair.ends[end].reply(request, Codec::Raw, Ok(&payload));
                        assert_eq!(replied, Ok(()));
                    }
                    Event::Ended { outcome, .. } => {
                        assert!(matches!(outcome, Outcome::Reply { .. }));
                        *replies += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(replies.iter().all(|replies| *replies > 20), "{replies:?}");
}

#[test]
fn an_end_refuses_what_the_peer_does_not_allow() {
    let limits = Limits {
        frame: 100,
        subscriptions: 1,
        claims: 1,
        requests: 1,
        operations: 2,
        ..Limits::default()
    };
    let strict = Config {
        limits,
        ..config(2)
    };
    let mut pair = Pair::opened([config(1), strict]);
    let topic: Topic = "a".parse().unwrap();
    let pattern = topic.clone().into();
    let end = &mut pair.ends[0];
    assert!(end.subscribe(&pattern, ROOM, false).is_ok());
    let quota = |what| Some(Rejected::Quota(what));
    assert_eq!(
        end.subscribe(&pattern, ROOM, false).err(),
        quota("subscriptions")
    );
    assert!(end.serve(&topic, false).is_ok());
    assert_eq!(end.unsubscribe(1), Ok(()));
    // Two are without an answer.
    assert_eq!(
        end.subscribe(&pattern, ROOM, false).err(),
        Some(Rejected::Full)
    );
    let long = call(&"x".repeat(100), None);
    assert_eq!(
        end.request(pair.now, &long).err(),
        Some(Rejected::TooLong(100))
    );
    assert!(end.request(pair.now, &call("x", None)).is_ok());
    let second = end.request(pair.now, &call("x", None));
    assert_eq!(second.err(), quota("pending requests"));
    pair.settle();
    // The subscription ended before its answer, which came nevertheless.
    assert_eq!(pair.ends[1].answer_serve(1, Status::Accepted, ""), Ok(()));
    pair.settle();
    let served = Event::Served {
        id: 1,
        status: Status::Accepted,
        text: String::new(),
    };
    assert_eq!(pair.one(0), served);
    let end = &mut pair.ends[0];
    assert_eq!(end.serve(&topic, false).err(), quota("served topics"));
    assert_eq!(end.subscribe(&pattern, ROOM, false), Ok(2));
}

#[test]
fn a_standby_learns_that_it_serves() {
    let mut pair = Pair::open();
    let claim = pair.ends[0].serve(&"a".parse().unwrap(), true).unwrap();
    pair.settle();
    assert!(matches!(pair.one(1), Event::Serve { stand_by: true, .. }));
    for status in [Status::StandingBy, Status::Accepted, Status::Lost] {
        pair.ends[1].answer_serve(claim, status, "").unwrap();
        pair.settle();
        let event = pair.one(0);
        assert!(matches!(event, Event::Served { status: it, .. } if it == status));
    }
    assert_eq!(pair.ends[0].leave(claim), Err(Rejected::Unknown));
}

#[test]
fn a_refused_subscription_does_not_exist() {
    let mut pair = Pair::open();
    let pattern = "secret/**".parse().unwrap();
    let id = pair.ends[0].subscribe(&pattern, ROOM, false).unwrap();
    pair.settle();
    pair.take(1);
    let refused = pair.ends[1].answer_subscribe(id, Status::Denied, "not for guests");
    assert_eq!(refused, Ok(()));
    assert_eq!(
        pair.ends[1].publish(&publication("secret/1", "x"), &[id]),
        Ok(0)
    );
    pair.settle();
    let event = pair.one(0);
    assert!(matches!(
        event,
        Event::Subscribed {
            status: Status::Denied,
            ..
        }
    ));
    assert_eq!(pair.ends[0].unsubscribe(id), Err(Rejected::Unknown));
}

#[test]
fn messages_on_their_way_to_an_ended_subscription_are_dropped() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    pair.ends[1].publish(&publication("a", "x"), &[id]).unwrap();
    pair.write(1, usize::MAX);
    pair.ends[0].unsubscribe(id).unwrap();
    pair.settle();
    assert_eq!(pair.take(0), []);
    assert_eq!(pair.one(1), Event::Unsubscribe { id });
    pair.ends[1].close(pair.now, ump_router::link::wire::GoodbyeReason::Done, "");
    pair.settle();
    assert!(matches!(pair.one(0), Event::Closed(Closed::Peer { .. })));
}

#[test]
fn a_message_is_removed_after_it_was_retained() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    let message = Publication {
        retain: true,
        ..publication("a", "x")
    };
    pair.ends[1].publish(&message, &[id]).unwrap();
    pair.ends[1].unretain(&"a".parse().unwrap()).unwrap();
    pair.settle();
    let events = pair.take(0);
    assert!(
        matches!(
            events[..],
            [Event::Message { retain: true, .. }, Event::Unretain { .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_message_that_is_too_long_for_the_peer_is_a_gap() {
    let limits = Limits {
        frame: 100,
        ..Limits::default()
    };
    let narrow = Config {
        limits,
        ..config(1)
    };
    let mut pair = Pair::opened([narrow, config(2)]);
    let id = pair.subscribe(0, "a", ROOM);
    // The fields of a publication to one subscription are 11 bytes.
    let fits = publication("a", &"x".repeat(89));
    assert_eq!(pair.ends[1].publish(&fits, &[id]), Ok(1));
    let long = publication("a", &"x".repeat(90));
    let refused = pair.ends[1].publish(&long, &[id]);
    assert_eq!(refused, Err(Rejected::TooLong(100)));
    pair.settle();
    let events = pair.take(0);
    assert_eq!(events.len(), 2);
    assert_eq!(texts(&events)[1], "1 missed 1");
}

#[test]
fn ids_that_do_not_fit_into_a_frame_are_sent_in_further_ones() {
    let limits = Limits {
        frame: 100,
        ..Limits::default()
    };
    let narrow = Config {
        limits,
        ..config(1)
    };
    let mut pair = Pair::opened([narrow, config(2)]);
    let ids: Vec<_> = (0..7).map(|_| pair.subscribe(0, "a", ROOM)).collect();
    let message = publication("a", &"x".repeat(80));
    assert_eq!(pair.ends[1].publish(&message, &ids), Ok(7));
    pair.settle();
    let to = pair.take(0).into_iter().map(|event| match event {
        Event::Message { to, .. } => to,
        other => panic!("{other:?}"),
    });
    assert_eq!(to.collect::<Vec<_>>(), ids.chunks(3).collect::<Vec<_>>());
}

#[test]
fn a_gap_of_unknown_size_follows_the_missed_messages() {
    let mut pair = Pair::open();
    let one = Credit {
        messages: 1,
        bytes: 1000,
    };
    let id = pair.subscribe(0, "a", one);
    let hub = &mut pair.ends[1];
    assert_eq!(hub.publish(&publication("a", "1"), &[id]), Ok(1));
    assert_eq!(hub.publish(&publication("a", "2"), &[id]), Ok(0));
    hub.interrupted(&[id]);
    hub.interrupted(&[id]);
    pair.settle();
    pair.ends[0].consumed(id, 1, 1).unwrap();
    pair.settle();
    let hub = &mut pair.ends[1];
    assert_eq!(hub.publish(&publication("a", "3"), &[id]), Ok(1));
    pair.settle();
    let expected = ["[1] 1", "1 missed 1", "1 missed 0", "[1] 3"];
    assert_eq!(texts(&pair.take(0)), expected);
}
