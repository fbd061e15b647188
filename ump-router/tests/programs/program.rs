//! The steps of a program, and strategies that generate programs.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use ump_router::WhenFull;

use crate::{
    name::{Name, names, topics},
    serving::{Answer, CallOptions, ServerKind, answers, call_options, server_kinds},
};

/// A step of a program. An index selects one of the objects that exist.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Subscribe(Name, usize, WhenFull),
    Unsubscribe(Index),
    Publish(Name),
    Retain(Name),
    RemoveRetained(Name),
    Receive(Index),
    /// Polls the subscriber, which receives a message or is woken later.
    PollSubscriber(Index),
    /// Polls a publisher that waits for room.
    PollPublisher(Index),
    /// Drops a publisher that waits for room.
    CancelPublisher(Index),
    Advance(Duration),
    Serve(Name, ServerKind),
    Leave(Index),
    /// Ends the channel of a server, and keeps its claim.
    End(Index),
    /// Closes a server: it accepts no new requests, and serves the queued ones.
    CloseServer(Index),
    /// Drops the claim of a server, and keeps its channel.
    Unclaim(Index),
    /// Takes at most this many requests.
    Take(Index, usize),
    Answer(Index, Answer),
    Ask {
        topic: Name,
        call_options: CallOptions,
        /// Whether the request is polled at once.
        begins: bool,
    },
    /// Sends `size` requests.
    Burst {
        topic: Name,
        size: usize,
        call_options: CallOptions,
    },
    /// Polls a request.
    PollRequest(Index),
    /// Drops a request.
    CancelRequest(Index),
    Close,
}

fn policies() -> impl Strategy<Value = WhenFull> {
    prop_oneof![
        3 => (1..4_u64).prop_map(|seconds| WhenFull::Block(Duration::from_secs(seconds))),
        1 => Just(WhenFull::DropOldest),
        1 => Just(WhenFull::DropNewest),
        2 => Just(WhenFull::Latest),
        1 => Just(WhenFull::Disconnect),
    ]
}

fn publishing() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => (names(), 1..4_usize, policies()).prop_map(|(name, room, policy)| Step::Subscribe(name, room, policy)),
        2 => index().prop_map(Step::Unsubscribe),
        10 => names().prop_map(Step::Publish),
        3 => topics().prop_map(Step::Retain),
        1 => topics().prop_map(Step::RemoveRetained),
        6 => index().prop_map(Step::Receive),
        4 => index().prop_map(Step::PollSubscriber),
        4 => index().prop_map(Step::PollPublisher),
        1 => index().prop_map(Step::CancelPublisher),
        1 => advance_clock(),
    ]
}

fn advance_clock() -> impl Strategy<Value = Step> {
    (1..3_u64).prop_map(|seconds| Step::Advance(Duration::from_secs(seconds)))
}

fn serving() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        5 => (topics(), server_kinds()).prop_map(|(name, kind)| Step::Serve(name, kind)),
        2 => index().prop_map(Step::Leave),
        2 => index().prop_map(Step::End),
        1 => index().prop_map(Step::CloseServer),
        1 => index().prop_map(Step::Unclaim),
        6 => take(3),
        6 => answer(),
        8 => ask(topics()),
        6 => index().prop_map(Step::PollRequest),
        1 => index().prop_map(Step::CancelRequest),
    ]
}

fn take(most: usize) -> impl Strategy<Value = Step> {
    (any::<Index>(), 1..most).prop_map(|(nth, most)| Step::Take(nth, most))
}

fn answer() -> impl Strategy<Value = Step> {
    (any::<Index>(), answers()).prop_map(|(nth, answer)| Step::Answer(nth, answer))
}

fn ask(topic: impl Strategy<Value = Name>) -> impl Strategy<Value = Step> {
    let begins = prop::bool::weighted(0.9);
    (topic, call_options(), begins).prop_map(|(topic, call_options, begins)| Step::Ask {
        topic,
        call_options,
        begins,
    })
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![60 => publishing(), 40 => serving(), 1 => Just(Step::Close)];
    prop::collection::vec(step, 0..120)
}

/// One subscription, with many publishers that wait for its room.
pub(crate) fn contended_queues() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let blocking = || {
        (1..3_usize, 1..4_u64).prop_map(|(room, seconds)| {
            let policy = WhenFull::Block(Duration::from_secs(seconds));
            Step::Subscribe(Name::all(), room, policy)
        })
    };
    let step = prop_oneof![
        20 => topics().prop_map(Step::Publish),
        15 => index().prop_map(Step::Receive),
        5 => index().prop_map(Step::PollSubscriber),
        20 => index().prop_map(Step::PollPublisher),
        8 => index().prop_map(Step::CancelPublisher),
        3 => advance_clock(),
        2 => index().prop_map(Step::Unsubscribe),
        3 => blocking(),
        1 => Just(Step::Close),
    ];
    (blocking(), prop::collection::vec(step, 0..60)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}

/// One topic with many callers, whose servers come and go while others stand by.
pub(crate) fn handovers() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let step = prop_oneof![
        6 => server_kinds().prop_map(|kind| Step::Serve(Name::root(), kind)),
        4 => index().prop_map(Step::Leave),
        2 => index().prop_map(Step::End),
        1 => index().prop_map(Step::CloseServer),
        1 => index().prop_map(Step::Unclaim),
        4 => take(3),
        4 => answer(),
        16 => ask(Just(Name::root())),
        16 => index().prop_map(Step::PollRequest),
        2 => index().prop_map(Step::CancelRequest),
        4 => advance_clock(),
    ];
    prop::collection::vec(step, 0..80)
}

/// One server, with bursts of callers.
pub(crate) fn urgent_bursts() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let burst = |size, is_urgent| Step::Burst {
        topic: Name::root(),
        size,
        call_options: CallOptions::of_lane(is_urgent),
    };
    let step = prop_oneof![
        6 => (1..24_usize).prop_map(move |size| burst(size, true)),
        4 => (1..4_usize).prop_map(move |size| burst(size, false)),
        4 => ask(Just(Name::root())),
        10 => take(20),
        2 => answer(),
        4 => index().prop_map(Step::PollRequest),
        4 => index().prop_map(Step::CancelRequest),
        1 => advance_clock(),
    ];
    let server = prop::option::of(20..40_usize).prop_map(ServerKind::alone);
    (server, prop::collection::vec(step, 0..40)).prop_map(|(kind, mut steps)| {
        steps.insert(0, Step::Serve(Name::root(), kind));
        steps
    })
}
