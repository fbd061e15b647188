//! Random programs: steps, and their choice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ump_router::routing::RequestId;

use crate::reference::Reference;

/// A step of a program. Peers and requests are identified by their indices in the lists of all that
/// ever existed.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Connect,
    Disconnect(usize),
    Subscribe(usize, u64, &'static str),
    Unsubscribe(usize, u64),
    Publish(usize, &'static str),
    Serve(usize, &'static str, bool),
    Leave(usize, &'static str),
    Request(usize, u64, &'static str, Option<u64>, bool),
    Cancel(usize, u64),
    Answer(usize, usize, Answer),
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Reply,
    Refuse,
    NoReply,
    Return,
}

const TOPICS: [&str; 3] = ["", "a", "a/b"];

const PATTERNS: [&str; 6] = ["", "a", "*", "a/*", "**", "**/b"];

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let peer = || 0..4_usize;
    let local_id = || 0..3_u64;
    let topic = || prop::sample::select(&TOPICS[..]);
    let pattern = || prop::sample::select(&PATTERNS[..]);
    let answer = prop::sample::select(
        &[
            Answer::Reply,
            Answer::Refuse,
            Answer::NoReply,
            Answer::Return,
        ][..],
    );
    prop_oneof![
        2 => Just(Step::Connect),
        1 => peer().prop_map(Step::Disconnect),
        3 => (peer(), local_id(), pattern()).prop_map(|(p, n, t)| Step::Subscribe(p, n, t)),
        1 => (peer(), local_id()).prop_map(|(p, n)| Step::Unsubscribe(p, n)),
        3 => (peer(), pattern()).prop_map(|(p, t)| Step::Publish(p, t)),
        5 => (peer(), topic(), prop::bool::weighted(0.8)).prop_map(|(p, t, s)| Step::Serve(p, t, s)),
        2 => (peer(), topic()).prop_map(|(p, t)| Step::Leave(p, t)),
        6 => (peer(), local_id(), topic(), prop::option::of(0..6_u64), any::<bool>())
            .prop_map(|(p, n, t, d, w)| Step::Request(p, n, t, d, w)),
        1 => (peer(), local_id()).prop_map(|(p, n)| Step::Cancel(p, n)),
        5 => (peer(), 0..8_usize, answer).prop_map(|(p, r, a)| Step::Answer(p, r, a)),
        2 => (1..4_u64).prop_map(Step::Advance),
    ]
}

/// Directs an answer at a request that was assigned to a server. Most answers come from that
/// server.
pub(crate) fn direct(
    step: Step,
    reference: &Reference,
    assigned: &BTreeMap<usize, RequestId>,
) -> Option<Step> {
    let Step::Answer(peer, choice, answer) = step else {
        return Some(step);
    };
    let live = reference
        .requests
        .iter()
        .filter_map(|request| Some((request.index, request.server?)));
    let live: Vec<_> = live.collect();
    if choice == 0 || live.is_empty() {
        let index = *assigned.keys().nth(choice % assigned.len().max(1))?;
        return Some(Step::Answer(peer, index, answer));
    }
    let (index, server) = live[choice % live.len()];
    Some(Step::Answer(server, index, answer))
}

/// Returns whether the step names a connected peer.
pub(crate) fn is_possible(step: &Step, connected: &[bool]) -> bool {
    match *step {
        Step::Connect => connected.len() < 4,
        Step::Advance(_) => true,
        Step::Disconnect(peer)
        | Step::Subscribe(peer, ..)
        | Step::Unsubscribe(peer, _)
        | Step::Publish(peer, _)
        | Step::Serve(peer, ..)
        | Step::Leave(peer, _)
        | Step::Request(peer, ..)
        | Step::Cancel(peer, _)
        | Step::Answer(peer, ..) => connected.get(peer) == Some(&true),
    }
}
