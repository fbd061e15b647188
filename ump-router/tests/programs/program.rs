//! The steps of a program, and strategies that generate programs.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use ump_router::WhenFull;

use crate::{
    name::{Name, names, topics},
    serving::{Answer, CallOptions, How, answers, call_options, hows},
};

/// A step of a program. An index selects one of the objects that exist.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Subscribe(Name, usize, WhenFull),
    Unsubscribe(Index),
    Publish(Name),
    Retain(Name),
    Forget(Name),
    Receive(Index),
    /// Polls the subscriber, which receives a message or is woken later.
    Await(Index),
    /// Polls a publisher that waits for room.
    GoOn(Index),
    /// Drops a publisher that waits for room.
    GiveUp(Index),
    Pass(Duration),
    Serve(Name, How),
    Leave(Index),
    /// Ends the channel of a server, and keeps its claim.
    End(Index),
    /// Closes a server: it accepts no new requests, and serves the queued ones.
    Shut(Index),
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
    Look(Index),
    /// Drops a request.
    Forgo(Index),
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
        1 => topics().prop_map(Step::Forget),
        6 => index().prop_map(Step::Receive),
        4 => index().prop_map(Step::Await),
        4 => index().prop_map(Step::GoOn),
        1 => index().prop_map(Step::GiveUp),
        1 => pass(),
    ]
}

fn pass() -> impl Strategy<Value = Step> {
    (1..3_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds)))
}

fn serving() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        5 => (topics(), hows()).prop_map(|(name, how)| Step::Serve(name, how)),
        2 => index().prop_map(Step::Leave),
        2 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Shut),
        1 => index().prop_map(Step::Unclaim),
        6 => take(3),
        6 => answer(),
        8 => ask(topics()),
        6 => index().prop_map(Step::Look),
        1 => index().prop_map(Step::Forgo),
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
pub(crate) fn crowds() -> impl Strategy<Value = Vec<Step>> {
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
        5 => index().prop_map(Step::Await),
        20 => index().prop_map(Step::GoOn),
        8 => index().prop_map(Step::GiveUp),
        3 => pass(),
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
        6 => hows().prop_map(|how| Step::Serve(Name::root(), how)),
        4 => index().prop_map(Step::Leave),
        2 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Shut),
        1 => index().prop_map(Step::Unclaim),
        4 => take(3),
        4 => answer(),
        16 => ask(Just(Name::root())),
        16 => index().prop_map(Step::Look),
        2 => index().prop_map(Step::Forgo),
        4 => pass(),
    ];
    prop::collection::vec(step, 0..80)
}

/// One server, with crowds of callers.
pub(crate) fn overtaking() -> impl Strategy<Value = Vec<Step>> {
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
        4 => index().prop_map(Step::Look),
        4 => index().prop_map(Step::Forgo),
        1 => pass(),
    ];
    let server = prop::option::of(20..40_usize).prop_map(How::alone);
    (server, prop::collection::vec(step, 0..40)).prop_map(|(how, mut steps)| {
        steps.insert(0, Step::Serve(Name::root(), how));
        steps
    })
}
