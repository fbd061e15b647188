//! Sessions in virtual time: every way in which they begin, end and begin again.

use std::{net::Ipv4Addr, time::Duration};

use ump_server::sans_io::Task;

use crate::{
    bgp::{
        codec::{Code, Families, Message, Notification},
        session::{Command, End, Event, State},
    },
    by_hand::{Action, ByHand, SECOND, configs, notification, open},
    codec::raw,
    network::{A, B, Network},
};

#[test]
fn two_neighbours_establish_a_session_from_any_seed() {
    for seed in 0..200 {
        let mut configs = configs();
        configs[A].seed = seed;
        configs[B].seed = seed + 1_000;
        // Both connect at the same instant, so there is a collision.
        let mut network = Network::new(seed, configs);
        assert!(network.establish(60 * SECOND), "seed {seed}");
        let at = network.elapsed();
        network.run(3_600 * SECOND);
        for side in [A, B] {
            let session = network.session(side);
            assert_eq!(session.state(), State::Established, "seed {seed}");
            assert_eq!(session.counters().downs, 0, "seed {seed}, up at {at:?}");
            let (up, _) = session.up().unwrap();
            assert_eq!((up.hold, up.four_octets), (90 * SECOND, true));
            assert_eq!(up.families, Families::BOTH);
        }
    }
}

#[test]
fn a_collision_leaves_the_connection_of_the_higher_identifier() {
    let mut network = Network::new(1, configs());
    assert!(network.establish(60 * SECOND));
    network.run(SECOND);
    let events = network.events.clone();
    let ends = events.iter().filter_map(|(_, _, event)| match event {
        Event::Failed(End::Sent(it) | End::Received(it)) => Some(it.code),
        Event::Failed(end) | Event::Down(end) => panic!("{end}"),
        _ => None,
    });
    let codes: Vec<_> = ends.collect();
    assert!(!codes.is_empty());
    assert!(
        codes.iter().all(|code| *code == Code::COLLISION),
        "{codes:?}"
    );
    // The one that B has begun.
    let attempts = [A, B].map(|side| network.session(side).counters().attempts);
    assert_eq!(attempts, [1, 1]);
}

#[test]
fn an_established_session_survives_a_late_connection() {
    // In both orders of the identifiers.
    for identifier in [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(203, 0, 113, 1)] {
        let mut peer = ByHand::new(|config| config.identifier = identifier);
        let first = peer.establish();
        peer.accept();
        assert_eq!(peer.outputs(), (vec![Action::Close], vec![]));
        peer.receive(first, &Message::Keepalive.encode());
        assert_eq!(peer.session.state(), State::Established);
        assert_eq!(peer.session.counters().refused, 1);
    }
}

#[test]
fn a_newer_connection_replaces_one_that_has_said_nothing() {
    let mut peer = ByHand::new(|_| {});
    peer.accept();
    peer.outputs();
    let second = peer.accept();
    let (actions, _) = peer.outputs();
    assert!(actions.contains(&notification(Code::CONNECTION_REJECTED)));
    peer.receive(second, &open(|_| {}));
    peer.receive(second, &Message::Keepalive.encode());
    assert_eq!(peer.session.state(), State::Established);
}

#[test]
fn a_silent_neighbour_is_given_up() {
    let mut network = Network::new(1, configs());
    assert!(network.establish(60 * SECOND));
    network.take_events(A);
    network.cut(true);
    network.run(89 * SECOND);
    assert_eq!(network.session(A).state(), State::Established);
    network.run(2 * SECOND);
    assert_ne!(network.session(A).state(), State::Established);
    let expired = End::Sent(Code::HOLD_TIMER_EXPIRED.into());
    assert_eq!(network.take_events(A), [Event::Down(expired)]);
    // It comes back.
    network.cut(false);
    assert!(network.establish(300 * SECOND));
}

#[test]
fn a_late_tick_gives_the_neighbour_a_second() {
    for is_heard in [true, false] {
        let mut peer = ByHand::new(|_| {});
        let stream = peer.establish();
        // The loop was busy for two minutes.
        peer.now += 120 * SECOND;
        peer.session.on_tick(peer.now);
        assert_eq!(peer.session.state(), State::Established);
        if is_heard {
            peer.receive(stream, &Message::Keepalive.encode());
        }
        peer.pass(SECOND);
        let is_established = peer.session.state() == State::Established;
        assert_eq!(is_established, is_heard);
    }
}

#[test]
fn the_lower_hold_time_counts_and_zero_means_none() {
    for (ours, theirs, result) in [(90, 30, 30), (9, 240, 9), (90, 0, 0), (0, 90, 0)] {
        let mut peer = ByHand::new(|config| config.hold = ours * SECOND);
        let stream = peer.accept();
        peer.receive(stream, &open(|open| open.hold_time = theirs));
        peer.receive(stream, &Message::Keepalive.encode());
        let (up, _) = peer.session.up().unwrap();
        assert_eq!(up.hold, result * SECOND);
        peer.outputs();
        let keepalives = |peer: &mut ByHand| peer.outputs().0.len();
        if result == 0 {
            assert_eq!(peer.session.next_deadline(), None);
            peer.pass(10_000 * SECOND);
            assert_eq!(keepalives(&mut peer), 0);
        } else {
            peer.pass(SECOND * result * 9 / 10);
            // Every third part of the hold time, less the jitter.
            assert!((2..=4).contains(&keepalives(&mut peer)), "{ours} {theirs}");
        }
    }
}

#[test]
fn a_refused_connect_is_repeated_with_jitter() {
    let [first, mut second] = configs();
    second.is_passive = true;
    let mut network = Network::empty(1);
    network.start(A, first);
    // There is no session at the other side, so its host refuses.
    network.run(3_600 * SECOND);
    assert_eq!(network.session(A).state(), State::Active);
    // Every 30 s, less up to a quarter.
    let attempts = network.session(A).counters().attempts;
    assert!((120..=161).contains(&attempts), "{attempts}");
    network.cut(true);
    network.run(3_600 * SECOND);
    let more = network.session(A).counters().attempts - attempts;
    assert!((120..=161).contains(&more), "{more}");
    network.cut(false);
    network.start(B, second);
    assert!(network.establish(31 * SECOND));
}

#[test]
fn a_passive_session_waits() {
    let mut configs = configs();
    configs[A].is_passive = true;
    configs[B].is_passive = true;
    let mut network = Network::new(1, configs);
    network.run(3_600 * SECOND);
    assert_eq!(network.session(A).state(), State::Active);
    assert_eq!(network.session(A).counters().attempts, 0);
}

#[test]
fn a_faulty_open_is_answered_with_its_code() {
    let cases: [(Vec<u8>, Code); 6] = [
        (open(|open| open.system = 64_497), Code::BAD_SYSTEM),
        (
            open(|open| open.hold_time = 2),
            Code::UNACCEPTABLE_HOLD_TIME,
        ),
        (
            open(|open| open.identifier = Ipv4Addr::UNSPECIFIED),
            Code::BAD_IDENTIFIER,
        ),
        (Message::Keepalive.encode(), Code::UNEXPECTED_IN_OPEN_SENT),
        (raw(9, &[]), Code::BAD_TYPE),
        (b"SSH-2.0-OpenSSH_9.6".to_vec(), Code::NOT_SYNCHRONIZED),
    ];
    for (bytes, code) in cases {
        let mut peer = ByHand::new(|_| {});
        let stream = peer.accept();
        peer.outputs();
        peer.receive(stream, &bytes);
        let (actions, events) = peer.outputs();
        let [Action::Send(sent), Action::Close] = &actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!((sent[19], sent[20]), (code.0, code.1));
        assert!(matches!(&events[..], [Event::Failed(End::Sent(it))] if it.code == code));
        assert_eq!(peer.session.state(), State::Idle);
    }
}

#[test]
fn an_internal_neighbour_has_another_identifier() {
    let mut peer = ByHand::new(|config| config.peer_system = config.local_system);
    let stream = peer.accept();
    let ours = peer.session.config().identifier;
    peer.receive(
        stream,
        &open(|open| (open.system, open.identifier) = (64_496, ours)),
    );
    let (actions, _) = peer.outputs();
    assert!(actions.contains(&notification(Code::BAD_IDENTIFIER)));
}

#[test]
fn a_neighbour_without_a_common_family_is_refused() {
    let ipv6 = Families {
        ipv4: false,
        ipv6: true,
    };
    let mut peer = ByHand::new(|config| config.families = ipv6);
    let stream = peer.accept();
    peer.outputs();
    // It names no family, which means IPv4.
    peer.receive(stream, &open(|open| open.capabilities.families = None));
    let wanted = Notification::new(Code::UNSUPPORTED_CAPABILITY).data([1, 4, 0, 2, 0, 1]);
    let (actions, _) = peer.outputs();
    assert_eq!(
        actions[0],
        Action::Send(Message::Notification(wanted).encode())
    );
}

#[test]
fn a_message_in_the_wrong_state_is_answered_with_its_code() {
    let mut peer = ByHand::new(|_| {});
    let stream = peer.accept();
    peer.receive(stream, &open(|_| {}));
    assert_eq!(peer.session.state(), State::OpenConfirm);
    peer.outputs();
    peer.receive(stream, &open(|_| {}));
    let (actions, _) = peer.outputs();
    assert_eq!(
        actions,
        [
            notification(Code::UNEXPECTED_IN_OPEN_CONFIRM),
            Action::Close
        ]
    );

    let mut peer = ByHand::new(|_| {});
    let stream = peer.establish();
    peer.receive(stream, &open(|_| {}));
    let (actions, _) = peer.outputs();
    assert_eq!(
        actions,
        [notification(Code::UNEXPECTED_IN_ESTABLISHED), Action::Close]
    );
}

#[test]
fn a_neighbour_that_flaps_is_tried_less_and_less_often() {
    let mut peer = ByHand::new(|_| {});
    let mut last = Duration::ZERO;
    for round in 0..12 {
        let stream = peer.establish();
        peer.reset(stream);
        assert_eq!(peer.session.state(), State::Idle);
        // It refuses connections meanwhile.
        peer.outputs();
        peer.accept();
        assert_eq!(peer.outputs().0, [Action::Close]);
        let until = peer.session.next_deadline().unwrap();
        let pause = until - peer.now;
        let full = (SECOND * (1 << round)).min(120 * SECOND);
        assert!(
            pause > full * 7 / 10 && pause <= full,
            "{pause:?} in round {round}"
        );
        assert!(pause > last || full == 120 * SECOND);
        last = pause;
        peer.pass(pause);
        assert_eq!(peer.session.state(), State::Active);
    }
    // A session that lasts makes it short again.
    let stream = peer.establish();
    for _ in 0..5 {
        peer.pass(30 * SECOND);
        peer.receive(stream, &Message::Keepalive.encode());
    }
    peer.reset(stream);
    assert!(peer.session.next_deadline().unwrap() - peer.now <= SECOND);
}

#[test]
fn a_restarted_neighbour_is_found_again() {
    for seed in 0..50 {
        let mut network = Network::new(seed, configs());
        assert!(network.establish(60 * SECOND));
        network.run(20 * SECOND);
        network.take_events(A);
        let [_, config] = configs();
        network.kill(B, config);
        assert!(network.establish(120 * SECOND), "seed {seed}");
        let events = network.take_events(A);
        let ends = events
            .iter()
            .filter(|event| matches!(event, Event::Down(_)));
        assert_eq!(ends.count(), 1, "{events:?}");
        assert!(matches!(events.last(), Some(Event::Up(_))), "{events:?}");
    }
}

#[test]
fn a_stopped_session_says_so_and_can_be_started_again() {
    let mut network = Network::new(1, configs());
    assert!(network.establish(60 * SECOND));
    network.command(A, Command::Stop(Code::SHUTDOWN));
    network.run(SECOND);
    assert_eq!(network.session(A).state(), State::Idle);
    let received = End::Received(Code::SHUTDOWN.into());
    assert_eq!(network.session(B).last_end(), Some(&received));
    network.run(3_600 * SECOND);
    assert_eq!(network.session(A).state(), State::Idle);
    network.command(A, Command::Start);
    assert!(network.establish(300 * SECOND));
}

#[test]
fn a_session_ends_with_its_driver() {
    let mut peer = ByHand::new(|_| {});
    peer.establish();
    peer.session.on_shutdown(peer.now);
    let (actions, events) = peer.outputs();
    assert_eq!(actions, [notification(Code::SHUTDOWN), Action::Close]);
    assert_eq!(events, [Event::Down(End::Sent(Code::SHUTDOWN.into()))]);
    assert_eq!(peer.session.next_deadline(), None);
}
