//! Access rules and quotas by identity.

use std::time::Duration;

use ump_router::{
    RecvError, Router, Subscription,
    link::{
        session::{Closed, Timeouts},
        sockets::{LinkFailure, LinkRefusal, ListenOptions, Permission, Quota, Quotas, Rules, Who},
        wire::{Failure, GoodbyeReason, Limits, Message, Status},
    },
};

use crate::raw::{self, Raw};
use crate::support::{
    Double, LONG, Price, SocketPath, await_server, await_subscriber, await_told, carrying, next,
    publish, serve,
};

fn pattern(text: &str) -> ump_router::Pattern {
    text.parse().unwrap()
}

/// The user of this process.
fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn refusals(router: &Router) -> Subscription<LinkRefusal> {
    router.subscribe("**").unwrap()
}

fn next_refusal(refusals: &mut Subscription<LinkRefusal>) -> (String, LinkRefusal) {
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    (refusal.topic().as_str().to_owned(), (*refusal).clone())
}

fn listen(hub: &Router, rules: Rules) -> (ump_router::link::sockets::Listener, String) {
    let options = ListenOptions::new().rules(rules);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    (listener, address)
}

/// Waits until a link has failed, and returns why.
fn failure(link: &ump_router::link::sockets::Link) -> LinkFailure {
    for _ in 0..3000 {
        if let Some(failure) = link.last_failure() {
            return failure;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the link did not fail");
}

#[test]
#[cfg(target_os = "linux")]
fn a_unix_socket_knows_the_user_of_its_peer() {
    let path = SocketPath::new();
    let hub = carrying();
    let all = |who| Rules::deny_by_default().allow(who, Permission::ALL, pattern("**"));
    let options = ListenOptions::new().rules(all(Who::Uid(own_uid() + 1)));
    let listener = hub.listen_with(path.address(), options).unwrap();
    let leaf = carrying();
    let link = leaf.connect(path.address()).unwrap();
    let LinkFailure::Ended(Closed::Peer { reason, text }) = failure(&link) else {
        panic!("{:?}", link.last_failure());
    };
    assert_eq!(reason, GoodbyeReason::Denied);
    assert!(text.contains(&format!("uid {}", own_uid())), "{text}");
    assert!(
        link.last_failure()
            .is_some_and(|failure| failure.is_denied())
    );
    listener.set_rules(all(Who::Uid(own_uid())));
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
    assert_eq!(link.last_failure(), None);
}

#[test]
fn a_refused_subscription_is_told_and_gets_nothing() {
    let (hub, leaf) = (carrying(), carrying());
    let rules = Rules::deny_by_default().allow(
        Who::Anonymous,
        [Permission::Subscribe],
        pattern("price/eth/**"),
    );
    let (_listener, address) = listen(&hub, rules);
    let mut told = refusals(&leaf);
    let mut wide = leaf.subscribe::<Price>("**").unwrap();
    let mut narrow = leaf.subscribe::<Price>("eth/*").unwrap();
    let link = leaf.connect(&address).unwrap();
    let (name, refusal) = next_refusal(&mut told);
    assert_eq!(
        (name.as_str(), refusal.status),
        ("price/**", Status::Denied)
    );
    assert_eq!(refusal.permission, Permission::Subscribe);
    assert_eq!(&*refusal.link, link.name());
    assert!(refusal.text.contains("no rule allows"), "{}", refusal.text);
    await_told(&hub, "price/eth/*");
    publish(&hub, "btc/eur", 1);
    publish(&hub, "eth/eur", 2);
    assert_eq!(next(&mut narrow).unwrap(), 2);
    assert_eq!(next(&mut wide), Err(RecvError::Interrupted));
    assert!(wide.try_recv().unwrap().is_none());
}

#[test]
fn a_refused_request_is_not_executed_and_names_the_rule() {
    let (hub, leaf) = (carrying(), carrying());
    let rules = Rules::allow_by_default().deny(
        Who::Anyone,
        [Permission::Request],
        pattern("double/secret/**"),
    );
    let (_listener, address) = listen(&hub, rules);
    let servers = [serve(&hub, "secret/a"), serve(&hub, "open")];
    let _link = leaf.connect(&address).unwrap();
    await_server(&leaf, "secret/a");
    await_server(&leaf, "open");
    let error = leaf.request("secret/a", Double(1)).wait().unwrap_err();
    let link = error.link().unwrap();
    assert_eq!(link.failure, Failure::Denied);
    assert_eq!(link.executed, ump_router::ump::Executed::No);
    assert!(link.text.contains("double/secret/**"), "{}", link.text);
    assert_eq!(leaf.request("open", Double(1)).wait().unwrap(), 2);
    hub.close();
    let served: Vec<_> = servers.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!(served, [0, 1]);
}

#[test]
fn a_refused_server_and_publisher_do_nothing_in_the_hub() {
    let (hub, leaf) = (carrying(), carrying());
    let rules = Rules::deny_by_default()
        .allow(Who::Anyone, [Permission::Serve], pattern("double/own"))
        .allow(Who::Anyone, [Permission::Publish], pattern("price/own"));
    let (_listener, address) = listen(&hub, rules);
    let mut told = refusals(&leaf);
    let mut prices = hub.subscribe::<Price>("**").unwrap();
    let servers = [serve(&leaf, "other"), serve(&leaf, "own")];
    let _link = leaf.connect(&address).unwrap();
    let (name, refusal) = next_refusal(&mut told);
    assert_eq!(
        (name.as_str(), refusal.status),
        ("double/other", Status::Denied)
    );
    assert_eq!(refusal.permission, Permission::Serve);
    await_server(&hub, "own");
    assert!(hub.pin::<Double>("other").unwrap().is_none());
    await_subscriber(&leaf, "own");
    publish(&leaf, "other", 1);
    publish(&leaf, "other", 1);
    publish(&leaf, "own", 2);
    assert_eq!(next(&mut prices).unwrap(), 2);
    let (name, refusal) = next_refusal(&mut told);
    assert_eq!(
        (name.as_str(), refusal.status),
        ("price/other", Status::Denied)
    );
    assert_eq!(refusal.permission, Permission::Publish);
    assert!(told.try_recv().unwrap().is_none(), "once for a topic");
    leaf.close();
    for server in servers {
        server.join().unwrap();
    }
}

#[test]
fn new_rules_end_what_they_do_not_allow() {
    let (hub, leaf) = (carrying(), carrying());
    let (listener, address) = listen(&hub, Rules::allow_by_default());
    let mut told = refusals(&leaf);
    let mut prices = leaf.subscribe::<Price>("a/*").unwrap();
    let server = serve(&leaf, "a");
    let link = leaf.connect(&address).unwrap();
    await_told(&hub, "price/a/*");
    await_server(&hub, "a");
    publish(&hub, "a/1", 1);
    assert_eq!(next(&mut prices).unwrap(), 1);
    let rules = Rules::allow_by_default().deny(
        Who::Anyone,
        [Permission::Subscribe, Permission::Serve],
        pattern("*/a/**"),
    );
    listener.set_rules(rules);
    let mut ended = vec![next_refusal(&mut told).0, next_refusal(&mut told).0];
    ended.sort();
    assert_eq!(ended, ["double/a", "price/a/*"]);
    assert_eq!(next(&mut prices), Err(RecvError::Interrupted));
    assert!(hub.pin::<Double>("a").unwrap().is_none());
    publish(&hub, "a/1", 2);
    assert!(prices.try_recv().unwrap().is_none());
    listener.set_rules(Rules::deny_by_default());
    assert!(failure(&link).is_denied());
    leaf.close();
    server.join().unwrap();
}

#[test]
fn each_quota_refuses_the_operation_and_is_named() {
    let (hub, leaf) = (carrying(), carrying());
    let quotas = Quotas::new()
        .limit(Quota::Connections, 1)
        .limit(Quota::Subscriptions, 1)
        .limit(Quota::ServedTopics, 1)
        .limit(Quota::PendingRequests, 1);
    let (_listener, address) = listen(&hub, Rules::default().quotas(Who::Anyone, quotas));
    let stuck = hub.serve::<Double>("stuck").unwrap();
    let mut told = refusals(&leaf);
    let link = leaf.connect(&address).unwrap();
    assert!(link.opened().timeout(LONG).wait());

    let other = carrying();
    let second = other.connect(&address).unwrap();
    let LinkFailure::Ended(Closed::Peer { reason, text }) = failure(&second) else {
        panic!("{:?}", second.last_failure());
    };
    assert_eq!(reason, GoodbyeReason::Limit);
    assert!(text.contains("quota of connections"), "{text}");
    drop(second);

    let _first = leaf.subscribe::<Price>("a").unwrap();
    await_told(&hub, "price/a");
    let _second = leaf.subscribe::<Price>("b").unwrap();
    let (name, refusal) = next_refusal(&mut told);
    assert_eq!((name.as_str(), refusal.status), ("price/b", Status::Quota));
    assert!(
        refusal.text.contains("quota of subscriptions"),
        "{}",
        refusal.text
    );

    let own = leaf.serve::<Double>("c").unwrap();
    await_server(&hub, "c");
    let _also = leaf.serve::<Double>("d").unwrap();
    let (name, refusal) = next_refusal(&mut told);
    assert_eq!((name.as_str(), refusal.status), ("double/d", Status::Quota));
    assert!(
        refusal.text.contains("quota of served topics"),
        "{}",
        refusal.text
    );
    drop(own);

    await_server(&leaf, "stuck");
    let leaf = std::sync::Arc::new(leaf);
    let waiting = std::thread::spawn({
        let leaf = std::sync::Arc::clone(&leaf);
        move || leaf.request("stuck", Double(1)).wait()
    });
    let (call, reply) = stuck.iter().next().unwrap();
    assert_eq!(call.message.0, 1);
    let error = leaf.request("stuck", Double(2)).wait().unwrap_err();
    let refused = error.link().unwrap();
    assert_eq!(refused.failure, Failure::Full);
    assert!(
        refused.text.contains("quota of pending requests"),
        "{}",
        refused.text
    );
    reply.reply(2).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), 2);
}

#[test]
fn one_peer_does_not_take_all_links_of_a_listener() {
    let hub = carrying();
    let options = ListenOptions::new().max_opening(1000);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let mut all: Vec<_> = (0..256).map(|_| Raw::open(&address, raw::LIMITS)).collect();
    let leaf = carrying();
    let link = leaf.connect(&address).unwrap();
    let LinkFailure::Ended(Closed::Peer { reason, text }) = failure(&link) else {
        panic!("{:?}", link.last_failure());
    };
    assert_eq!(reason, GoodbyeReason::Limit);
    assert!(text.contains("quota of connections"), "{text}");
    assert!(text.contains("256"), "{text}");
    // The quotas of the rules are instead of it.
    all.pop();
    assert!(link.opened().timeout(LONG).wait());
    let none = Quotas::new().limit(Quota::Connections, usize::MAX);
    listener.set_rules(Rules::default().quotas(Who::Anyone, none));
    let more = carrying();
    let second = more.connect(&address).unwrap();
    assert!(second.opened().timeout(LONG).wait());
}

#[test]
fn a_listener_tells_why_it_takes_no_more_links() {
    let hub = carrying();
    let options = ListenOptions::new().max_links(1);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let (one, two) = (carrying(), carrying());
    let first = one.connect(&address).unwrap();
    assert!(first.opened().timeout(LONG).wait());
    let second = two.connect(&address).unwrap();
    let failure = failure(&second);
    assert!(
        matches!(&failure, LinkFailure::Ended(Closed::Peer { reason: GoodbyeReason::Limit, text })
            if text.contains("1 links")),
        "{failure:?}"
    );
    drop(first);
    assert!(second.opened().timeout(LONG).wait());
}

#[test]
fn silent_connections_make_room_at_a_full_listener() {
    let hub = carrying();
    let options = ListenOptions::new().max_links(3);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let _silent: Vec<_> = (0..5).map(|_| Raw::connect(&address)).collect();
    let leaf = carrying();
    let link = leaf.connect(&address).unwrap();
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
}

#[test]
fn the_oldest_silent_connection_makes_room() {
    let hub = carrying();
    let timeouts = Timeouts {
        hello: Duration::MAX,
        ..Timeouts::default()
    };
    let options = ListenOptions::new().max_opening(4).timeouts(timeouts);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let raw = address.strip_prefix("tcp:").unwrap();
    let silent: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(raw).unwrap())
        .collect();
    let leaf = carrying();
    let link = leaf.connect(&address).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    for mut one in &silent[..15] {
        one.set_read_timeout(Some(LONG)).unwrap();
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut one, &mut all).unwrap();
    }
}

#[test]
fn a_silent_connection_is_given_up() {
    let hub = carrying();
    let timeouts = Timeouts {
        hello: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let options = ListenOptions::new().timeouts(timeouts);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let raw = address.strip_prefix("tcp:").unwrap();
    let mut silent = std::net::TcpStream::connect(raw).unwrap();
    silent.set_read_timeout(Some(LONG)).unwrap();
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut silent, &mut all).unwrap();
    assert!(!all.is_empty(), "a hello and a goodbye");
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Large(u64);

impl ump_router::RequestMessage for Large {
    type Reply = String;
    type Error = ();
    const PREFIX: &str = "large";
}

#[test]
fn a_peer_that_does_not_read_its_replies_gets_no_more() {
    let hub = crate::support::router();
    hub.carry_requests::<Large>().unwrap();
    let server = hub.serve::<Large>("a").unwrap();
    let thread = std::thread::spawn(move || {
        for (_, rctx) in &server {
            let _ = rctx.reply("x".repeat(4000));
        }
    });
    let quotas = Quotas::new().limit(Quota::QueuedBytes, 1000);
    let rules = Rules::default().quotas(Who::Anonymous, quotas);
    let (_listener, address) = listen(&hub, rules);
    // Two replies use up the credit of the link. No more is given.
    let limits = Limits {
        frame: 4100,
        window: 8300,
        ..raw::LIMITS
    };
    let mut raw = Raw::open(&address, limits);
    raw.send(&[raw::topic(0, "large/a")]).unwrap();
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for number in 1..1000 {
        raw.send(&[raw::request(number)]).unwrap();
        while let Ok(received) = raw.receive() {
            let Some(Message::Outcome { failure, text, .. }) = received else {
                continue;
            };
            assert_eq!(failure, Failure::Full);
            assert!(text.contains("quota of queued bytes"), "{text}");
            hub.close();
            thread.join().unwrap();
            return;
        }
    }
    panic!("all requests were taken");
}

#[test]
fn a_frame_that_is_not_completed_ends_its_link() {
    let hub = carrying();
    let timeouts = Timeouts {
        frame: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let options = ListenOptions::new().timeouts(timeouts);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let mut raw = Raw::open(&listener.address().to_string(), raw::LIMITS);
    std::io::Write::write_all(&mut raw.stream, &[0, 0, 0]).unwrap();
    raw.ends();
}
