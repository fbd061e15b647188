//! What a link does, and what goes over it, as its owner and the listener see it.

use std::{net::TcpListener, time::Duration};

use futures_util::StreamExt as _;
use ump::Clock;
use ump_router::link::sockets::{Identity, LinkFailure, LinkState, LinkWatch};

use crate::support::{LONG, Price, SocketPath, await_subscriber, carrying, next, on_each, publish};

/// Waits until a link is in such a state.
fn until(watch: &mut LinkWatch, is_meant: impl Fn(&LinkState) -> bool) -> LinkState {
    loop {
        let state = watch.changed().wait_timeout(LONG).expect("a change");
        if is_meant(&state) {
            return state;
        }
    }
}

fn is_waiting(state: &LinkState) -> bool {
    matches!(state, LinkState::Waiting { .. })
}

/// The name that a router tells of its program.
fn own_program() -> String {
    let path = std::env::current_exe().unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_watch_tells_what_a_link_does() {
    let path = SocketPath::new();
    let leaf = carrying();
    let link = leaf.connect(path.address()).unwrap();
    let mut watch = link.watch();
    let state = until(&mut watch, is_waiting);
    let LinkState::Waiting {
        failure, retry_at, ..
    } = state
    else {
        unreachable!();
    };
    assert!(matches!(failure, Some(LinkFailure::Connect(_))));
    let before = Clock::system().now();
    assert!(retry_at < before + Duration::from_secs(10), "{retry_at:?}");

    let hub = carrying();
    let listener = hub.listen(path.address()).unwrap();
    let state = until(&mut watch, LinkState::is_ready);
    let LinkState::Open {
        identity,
        program,
        since,
        ..
    } = &state
    else {
        unreachable!();
    };
    assert_eq!(program, &own_program());
    assert!(*since >= before && *since <= Clock::system().now());
    if cfg!(target_os = "linux") {
        let own = rustix::process::getuid().as_raw();
        assert!(matches!(identity, Identity::Unix { uid, .. } if *uid == own));
    }
    assert_eq!(link.state(), state);
    assert_eq!(link.status().state, state);

    drop(listener);
    hub.close();
    let state = until(&mut watch, is_waiting);
    assert!(matches!(
        state,
        LinkState::Waiting {
            failure: Some(LinkFailure::Ended(_) | LinkFailure::Connect(_)),
            ..
        }
    ));
    link.close().wait();
    assert_eq!(watch.state(), LinkState::Closed);
    until(&mut watch, |state| *state == LinkState::Closed);
    assert_eq!(watch.changed().wait(), None);
}

#[test]
fn a_task_awaits_the_states_of_a_link() {
    let (hub, leaf) = (carrying(), carrying());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let link = leaf.connect(listener.address()).unwrap();
    let mut watch = link.watch();
    let watching = async {
        while !watch.changed().await.expect("a state").is_ready() {}
        leaf.close();
        // The router closes the link soon.
        let rest: Vec<_> = watch.by_ref().collect().await;
        assert_eq!(rest.last(), Some(&LinkState::Closed), "{rest:?}");
        assert_eq!(watch.changed().await, None);
    };
    Clock::system().block_on(watching, None).unwrap();
    let status = link.status();
    assert_eq!(status.state, LinkState::Closed);
    assert_eq!(status.received.frames, 0);
}

#[test]
fn a_link_tells_how_far_it_has_come() {
    let leaf = crate::support::router();
    // It accepts connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = leaf.connect(format!("tcp:{}", silent.local_addr().unwrap()));
    let link = link.unwrap();
    until(&mut link.watch(), |state| *state == LinkState::Handshake);
    assert_eq!(link.state(), LinkState::Handshake);

    let nowhere = leaf.connect("tcp:nowhere.invalid:1").unwrap();
    let state = until(&mut nowhere.watch(), is_waiting);
    assert!(matches!(
        state,
        LinkState::Waiting {
            failure: Some(LinkFailure::Resolve(_)),
            ..
        }
    ));
}

#[test]
fn a_link_that_stands_by_names_the_one_in_use() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let tcp = hub.listen("tcp:127.0.0.1:0").unwrap();
    let _unix = hub.listen(path.address()).unwrap();
    let first = leaf.connect(tcp.address()).unwrap();
    assert!(first.opened().timeout(LONG).wait());
    let second = leaf.connect(path.address()).unwrap();
    let mut watch = second.watch();
    let stands_by = |state: &LinkState| matches!(state, LinkState::StandingBy { .. });
    let LinkState::StandingBy { link, .. } = until(&mut watch, stands_by) else {
        unreachable!();
    };
    assert_eq!(&*link, first.name());
    drop(first);
    until(&mut watch, LinkState::is_ready);
    assert!(second.state().is_ready());
}

#[test]
fn what_goes_over_a_link_is_counted_at_both_ends() {
    on_each(|from, to, pair| {
        let mut prices = to.subscribe::<Price>("a").unwrap();
        await_subscriber(from, "a");
        for number in 0..3 {
            publish(from, "a", number);
            assert_eq!(next(&mut prices), Ok(number));
        }
        let at_leaf = pair.link.status();
        let [at_hub] = &pair.listener.links()[..] else {
            panic!("one link");
        };
        assert_eq!(&*at_leaf.name, pair.link.name());
        let LinkState::Open { program, .. } = &at_hub.state else {
            panic!("{at_hub:?}");
        };
        assert_eq!(program, &own_program());
        let (sender, receiver) = if std::ptr::eq(from, &raw const pair.hub) {
            (at_hub, &at_leaf)
        } else {
            (&at_leaf, at_hub)
        };
        assert_eq!(sender.sent.messages, 3);
        assert_eq!(receiver.received.messages, 3);
        assert_eq!((sender.received.messages, receiver.sent.messages), (0, 0));
        assert_eq!((receiver.received.gaps, receiver.received.missed), (0, 0));
        // A hello, `synced`, the topic and the publications at least.
        assert!(sender.sent.frames >= 6, "{sender:?}");
        assert!(receiver.received.bytes >= 8 * receiver.received.frames);
        assert_eq!(sender.queued_bytes, 0);
    });
}

#[test]
fn a_link_counts_over_all_its_connections() {
    let path = SocketPath::new();
    let leaf = carrying();
    let link = leaf.connect(path.address()).unwrap();
    let mut watch = link.watch();
    let mut frames = 0;
    for _ in 0..2 {
        let hub = carrying();
        let _listener = hub.listen(path.address()).unwrap();
        until(&mut watch, LinkState::is_ready);
        let status = link.status();
        assert!(status.received.frames > frames, "{status:?}");
        frames = status.received.frames;
        hub.close();
        until(&mut watch, is_waiting);
    }
}

#[test]
fn a_listener_lists_the_links_that_there_are() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    assert!(listener.links().is_empty());
    let leaves = [carrying(), carrying()];
    let links = leaves
        .each_ref()
        .map(|leaf| leaf.connect(listener.address()).unwrap());
    for link in &links {
        assert!(link.opened().timeout(LONG).wait());
    }
    let listed = listener.links();
    assert_eq!(listed.len(), 2, "{listed:?}");
    for one in &listed {
        assert!(matches!(
            one.state,
            LinkState::Open {
                identity: Identity::Anonymous {
                    address: Some(_),
                    ..
                },
                ..
            }
        ));
    }
    for link in links {
        assert!(link.close().timeout(LONG).wait());
    }
    while !listener.links().is_empty() {
        std::thread::yield_now();
    }
    hub.close();
    assert!(listener.links().is_empty());
}

#[test]
fn a_router_lists_the_links_of_both_directions() {
    let (hub, middle, leaf) = (carrying(), carrying(), carrying());
    assert!(middle.links().is_empty());
    let above = hub.listen("tcp:127.0.0.1:0").unwrap();
    let below = middle.listen("tcp:127.0.0.1:0").unwrap();
    let up = middle.connect(above.address()).unwrap();
    assert!(up.opened().timeout(LONG).wait());
    let down = leaf.connect(below.address()).unwrap();
    assert!(down.opened().timeout(LONG).wait());
    let links = middle.links();
    assert_eq!(links.len(), 2);
    assert_eq!(&*links[0].name, up.name());
    assert_eq!(links[1].name, below.links()[0].name);
    assert!(up.close().wait());
    assert_eq!(middle.links().len(), 1);
    middle.close();
    assert!(middle.links().is_empty());
}
