//! What a program is made of, and how programs are made up.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use ump_router::WhenFull;

use crate::{
    name::{Name, names, topics},
    serving::{How, hows},
};

/// An index is of one of those that are there.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Subscribe(Name, usize, WhenFull),
    Unsubscribe(Index),
    Publish(Name),
    Retain(Name),
    Forget(Name),
    Receive(Index),
    /// Receives, or is woken.
    Await(Index),
    /// Polls a publisher that waits for room.
    GoOn(Index),
    /// Drops it.
    GiveUp(Index),
    Pass(Duration),
    Serve(Name, How),
    Leave(Index),
    /// Of a claim and its channel, only the channel.
    End(Index),
    /// Only the claim.
    Unclaim(Index),
    Answer(Index),
    Ask {
        topic: Name,
        waits: bool,
    },
    /// Polls a request.
    Look(Index),
    /// Drops it.
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
        1 => (1..3_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
    ]
}

fn serving() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        5 => (topics(), hows()).prop_map(|(name, how)| Step::Serve(name, how)),
        2 => index().prop_map(Step::Leave),
        2 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Unclaim),
        6 => index().prop_map(Step::Answer),
        8 => (topics(), any::<bool>()).prop_map(|(topic, waits)| Step::Ask { topic, waits }),
        6 => index().prop_map(Step::Look),
        1 => index().prop_map(Step::Forgo),
    ]
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![60 => publishing(), 40 => serving(), 1 => Just(Step::Close)];
    prop::collection::vec(step, 0..120)
}

/// One subscription for which publishers wait, and many of them.
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
        3 => (1..3_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        2 => index().prop_map(Step::Unsubscribe),
        3 => blocking(),
        1 => Just(Step::Close),
    ];
    (blocking(), prop::collection::vec(step, 0..60)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}
