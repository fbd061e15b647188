//! Which change of a retained message wins, and what is remembered of those that are gone.

use std::{
    net::TcpListener,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ump_router::{
    ReceivedAs, RecvError, Router,
    link::{
        sockets::{ConnectOptions, Link, Quota, Quotas, Rules, Who},
        wire::{FEATURE_REPLICATE, Hello, Message, RetainedChange, Status},
    },
    ump::ManualClock,
};

use crate::raw::{LIMITS, Raw, hello_of};
use crate::retained::{await_retained, change, next_as, removal, replicating, retain, watching};
use crate::support::{LONG, Pair, Price, SocketPath, carrying, carrying_with, next};

/// Connects a router to a hub that is written by hand, and may retain so many messages there.
fn connect(leaf: &Router, messages: usize) -> (Raw, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let options = ConnectOptions::new().max_retained(messages, 1 << 20);
    let link = leaf.connect_with(&address, options).unwrap();
    (Raw::accept(&listener, replicating()), link)
}

fn tell(raw: &mut Raw, changes: impl IntoIterator<Item = RetainedChange>) {
    let changes: Vec<_> = changes.into_iter().map(Message::Replicate).collect();
    raw.send(&changes).unwrap();
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_micros().try_into().unwrap()
}

#[test]
fn an_older_message_does_not_come_back_over_an_own_removal() {
    let leaf = carrying();
    let (mut hub, _link) = connect(&leaf, 1);
    retain(&leaf, "a", 1);
    leaf.remove_retained::<Price>("a").unwrap();
    let removed = loop {
        let told = hub.next_change();
        if told.removed {
            break told.stamp.time;
        }
    };
    let older = change("price/a", removed - 1, 2);
    tell(&mut hub, [older, change("price/end", 1, 3)]);
    await_retained(&leaf, "end", Some(3));
    assert_eq!(leaf.retained().len(), 1);
}

#[test]
fn an_older_message_of_another_hub_does_not_come_back() {
    let clock = ManualClock::new();
    let leaf = carrying_with(Router::with_clock(clock.clock()));
    let [(mut one, _one), (mut other, _other)] = [connect(&leaf, 10), connect(&leaf, 10)];
    let short = RetainedChange {
        remaining: Some(Duration::from_secs(10)),
        ..change("price/expired", 12, 1)
    };
    let removed = [
        change("price/removed", 12, 1),
        removal("price/removed", 13),
        change("price/end", 1, 1),
    ];
    tell(&mut one, [short].into_iter().chain(removed));
    await_retained(&leaf, "end", Some(1));
    clock.advance(Duration::from_secs(10));
    let older = ["price/expired", "price/removed"].map(|topic| change(topic, 5, 2));
    tell(&mut other, older);
    tell(&mut other, [change("price/end", 2, 2)]);
    await_retained(&leaf, "end", Some(2));
    assert_eq!(leaf.retained().len(), 1);
}

#[test]
fn what_this_process_removes_or_replaces_makes_room() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let _listener = hub.listen(path.address()).unwrap();
    let options = ConnectOptions::new().max_retained(1, 1 << 20);
    let link = leaf.connect_with(path.address(), options).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    for number in 0..4 {
        let topic = format!("job/{number}");
        retain(&hub, &topic, number);
        await_retained(&leaf, &topic, Some(number));
        if number % 2 == 0 {
            leaf.remove_retained::<Price>(&*topic).unwrap();
            await_retained(&hub, &topic, None);
        } else {
            retain(&leaf, &topic, 100);
            await_retained(&hub, &topic, Some(100));
        }
    }
}

#[test]
fn a_stamp_ahead_of_a_hub_is_refused_and_received() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = watching(&hub, "**");
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    let ahead = now() + 120 * 1_000_000;
    let old = RetainedChange {
        retained: true,
        ..change("price/old", ahead, 1)
    };
    let of_now = [change("price/a", ahead, 2), change("price/b", now(), 3)];
    tell(&mut raw, [old, removal("price/gone", ahead)]);
    tell(&mut raw, of_now);
    let mut refused = Vec::new();
    while refused.len() < 3 {
        if let Some(Message::Refused { status, topic, .. }) = raw.receive().unwrap() {
            refused.push((topic.as_str().to_owned(), status));
        }
    }
    let denied = ["price/old", "price/gone", "price/a"];
    assert_eq!(refused, denied.map(|it| (it.to_owned(), Status::Denied)));
    assert_eq!(next_as(&mut prices), (2, ReceivedAs::Published));
    assert_eq!(next_as(&mut prices), (3, ReceivedAs::Published));
    assert!(prices.is_empty());
    assert_eq!(hub.retained().len(), 1);
}

#[test]
fn a_router_follows_the_clock_of_its_hub() {
    let leaf = carrying();
    let (mut hub, _link) = connect(&leaf, 10);
    let ahead = now() + 2 * 3600 * 1_000_000;
    tell(&mut hub, [change("price/a", ahead, 1)]);
    await_retained(&leaf, "a", Some(1));
    retain(&leaf, "a", 2);
    assert!(hub.next_change().stamp.time > ahead);
    // And not without a limit.
    let far = [
        change("price/a", u64::MAX, 3),
        change("price/end", ahead, 4),
    ];
    tell(&mut hub, far);
    await_retained(&leaf, "end", Some(4));
    await_retained(&leaf, "a", Some(2));
}

#[test]
fn the_number_of_a_router_hides_nothing_from_it() {
    let pair = Pair::new(false);
    let (hub, leaf) = (&pair.hub, &pair.leaf);
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    retain(leaf, "own", 1);
    await_retained(hub, "own", Some(1));
    let router = {
        let mut other = Raw::open_with(&address, replicating());
        other.next_change().stamp.router
    };
    // The leaf has another owner: it uses a unix socket.
    assert!(pair.link.close().timeout(LONG).wait());
    let Message::Hello(hello) = hello_of(router, LIMITS) else {
        unreachable!()
    };
    let mut other = Raw::open_with(
        &address,
        Message::Hello(Hello {
            features: FEATURE_REPLICATE,
            ..hello
        }),
    );
    tell(&mut other, [change("price/other", now(), 2)]);
    await_retained(hub, "other", Some(2));
    let _link = leaf.connect(pair.listener.address()).unwrap();
    await_retained(leaf, "other", Some(2));
}

#[test]
fn a_change_that_cannot_be_decoded_leaves_no_older_message() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = hub.subscribe::<Price>("**").unwrap();
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    let text = RetainedChange {
        payload: [0x61, b'x'].into(), // a text
        ..change("price/a", 6, 0)
    };
    let all = [change("price/a", 5, 1), text.clone(), text];
    tell(&mut raw, all);
    tell(&mut raw, [change("price/b", 1, 2)]);
    assert_eq!(next(&mut prices), Ok(1));
    assert_eq!(next(&mut prices), Err(RecvError::Missed(1)));
    assert_eq!(next(&mut prices), Ok(2));
    assert_eq!(hub.retained().len(), 1);
    // An older one does not come back.
    tell(&mut raw, [change("price/a", 5, 1), change("price/b", 2, 3)]);
    assert_eq!(next(&mut prices), Ok(3));
    assert_eq!(hub.retained().len(), 1);
}

#[test]
fn one_peer_may_fill_a_quarter_of_a_hub() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    let quota = Quotas::new().of(Quota::RetainedMessages);
    assert_eq!(quota, 16_384);
    for number in 0..=quota {
        tell(&mut raw, [change(&format!("other/{number}"), 1, 1)]);
    }
    loop {
        if let Message::Refused { status, topic, .. } = raw.receive().unwrap().unwrap() {
            assert_eq!(status, Status::Quota);
            assert_eq!(topic.as_str(), format!("other/{quota}"));
            break;
        }
    }
}

#[test]
fn a_hub_has_no_quota_at_its_routers() {
    let leaf = carrying();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let quotas = Quotas::new().limit(Quota::RetainedMessages, 1);
    let rules = Rules::allow_by_default().quotas(Who::Anyone, quotas);
    let options = ConnectOptions::new().rules(rules);
    let _link = leaf.connect_with(&address, options).unwrap();
    let mut hub = Raw::accept(&listener, replicating());
    tell(&mut hub, ["price/a", "price/b"].map(|it| change(it, 1, 1)));
    await_retained(&leaf, "b", Some(1));
    assert_eq!(leaf.retained().len(), 2);
}
