//! The steps of a program, and strategies that generate programs.

use std::{ops::Range, time::Duration};

use proptest::{prelude::*, sample::Index};
use ump_router::WhenFull;

use crate::{
    name::{Name, names, topics},
    refused::{BadName, bad_names},
    serving::{Answer, CallOptions, ServerKind, answers, call_options, server_kinds},
};

/// A step of a program. An index selects one of the objects that exist.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// With several patterns, or none, which is refused.
    Subscribe(Vec<Name>, Options),
    /// Joins a group.
    Share(u8, Vec<Name>, Options),
    Unsubscribe(Index),
    /// Ends a subscription by its handle, and keeps its receiving end.
    CloseSubscription(Index),
    Publish(Name),
    Retain(Name),
    /// Retains a message for a time to live.
    RetainFor(Name, Duration),
    RemoveRetained(Name),
    RemoveAllRetained(Name),
    /// Reads what is retained, in pages of this size.
    ReadRetained(Name, usize),
    Receive(Index),
    /// Polls the subscriber, which receives a message or is woken later.
    PollSubscriber(Index),
    /// Polls a wait for the first message of two subscribers, and drops it.
    Select(Index, Index),
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
    /// Ends the claim of a server by its handle.
    CloseClaim(Index),
    /// Takes at most this many requests.
    Take(Index, usize),
    Answer(Index, Answer),
    Ask {
        topic: Name,
        call_options: CallOptions,
        /// Whether the request is polled at once.
        begins: bool,
    },
    /// Makes a client of the server that a topic has.
    Pin(Name),
    /// Asks by one of these clients.
    AskPinned {
        client: Index,
        call_options: CallOptions,
        begins: bool,
    },
    Unpin(Index),
    /// Asks all servers of a pattern.
    AskAll(Name, CallOptions),
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
    Watch(Name),
    /// Polls a watch, which tells a change or is woken later.
    PollWatch(Index),
    Unwatch(Index),
    /// Tries every operation with a name that is not valid.
    Refuse(BadName),
    Close,
}

/// The capacity, the policy, and whether removals are told.
pub(crate) type Options = (usize, WhenFull, bool);

fn policies() -> impl Strategy<Value = WhenFull> {
    prop_oneof![
        3 => (1..4_u64).prop_map(|seconds| WhenFull::Block(Duration::from_secs(seconds))),
        1 => Just(WhenFull::DropOldest),
        1 => Just(WhenFull::DropNewest),
        2 => Just(WhenFull::Latest),
        1 => Just(WhenFull::Disconnect),
    ]
}

fn options(rooms: Range<usize>) -> impl Strategy<Value = Options> {
    (rooms, policies(), any::<bool>())
}

fn patterns() -> impl Strategy<Value = Vec<Name>> {
    prop_oneof![
        3 => names().prop_map(|name| vec![name]),
        2 => prop::collection::vec(names(), 0..4),
    ]
}

/// Members of two groups, most of which have what the first member has.
fn groups() -> impl Strategy<Value = Step> {
    let common = (0..2_u8, 1..3_usize).prop_map(|(group, room)| {
        let policy = [WhenFull::DropOldest, WhenFull::Disconnect][usize::from(group)];
        Step::Share(group, vec![Name::all()], (2 * room, policy, true))
    });
    let any = (0..2_u8, patterns(), options(1..4));
    prop_oneof![
        4 => common,
        1 => any.prop_map(|(group, names, options)| Step::Share(group, names, options)),
    ]
}

/// Groups, whose members come, receive and leave.
pub(crate) fn shared_queues() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let step = prop_oneof![
        6 => groups(),
        12 => topics().prop_map(Step::Publish),
        2 => retained(),
        6 => index().prop_map(Step::Receive),
        8 => index().prop_map(Step::PollSubscriber),
        3 => (index(), index()).prop_map(|(one, other)| Step::Select(one, other)),
        3 => index().prop_map(Step::Unsubscribe),
        2 => index().prop_map(Step::CloseSubscription),
    ];
    prop::collection::vec(step, 0..80)
}

fn publishing() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => (patterns(), options(1..4)).prop_map(|(names, options)| Step::Subscribe(names, options)),
        1 => groups(),
        2 => index().prop_map(Step::Unsubscribe),
        1 => index().prop_map(Step::CloseSubscription),
        10 => names().prop_map(Step::Publish),
        4 => retained(),
        6 => index().prop_map(Step::Receive),
        4 => index().prop_map(Step::PollSubscriber),
        3 => (index(), index()).prop_map(|(one, other)| Step::Select(one, other)),
        4 => index().prop_map(Step::PollPublisher),
        1 => index().prop_map(Step::CancelPublisher),
        1 => advance_clock(),
        2 => names().prop_map(Step::Watch),
        4 => index().prop_map(Step::PollWatch),
        1 => index().prop_map(Step::Unwatch),
    ]
}

/// Messages are retained, expire, and are removed and read.
fn retained() -> impl Strategy<Value = Step> {
    let time_to_live = (0..4_u64).prop_map(Duration::from_secs);
    prop_oneof![
        4 => topics().prop_map(Step::Retain),
        3 => (topics(), time_to_live).prop_map(|(name, time)| Step::RetainFor(name, time)),
        1 => topics().prop_map(Step::RemoveRetained),
        1 => names().prop_map(Step::RemoveAllRetained),
        1 => (names(), 1..4_usize).prop_map(|(name, page)| Step::ReadRetained(name, page)),
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
        1 => index().prop_map(Step::CloseClaim),
        6 => take(3),
        6 => answer(),
        8 => ask(topics()),
        2 => topics().prop_map(Step::Pin),
        4 => ask_pinned(),
        1 => index().prop_map(Step::Unpin),
        3 => (names(), call_options()).prop_map(|(name, options)| Step::AskAll(name, options)),
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

fn ask_pinned() -> impl Strategy<Value = Step> {
    let begins = prop::bool::weighted(0.9);
    (any::<Index>(), call_options(), begins).prop_map(|(client, call_options, begins)| {
        Step::AskPinned {
            client,
            call_options,
            begins,
        }
    })
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        60 => publishing(),
        40 => serving(),
        2 => bad_names().prop_map(Step::Refuse),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..120)
}

/// One subscription, with many publishers that wait for its room.
pub(crate) fn contended_queues() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let blocking = || {
        (1..3_usize, 1..4_u64).prop_map(|(room, seconds)| {
            let policy = WhenFull::Block(Duration::from_secs(seconds));
            Step::Subscribe(vec![Name::all()], (room, policy, false))
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
        1 => index().prop_map(Step::CloseSubscription),
        3 => blocking(),
        1 => Just(Step::Close),
    ];
    (blocking(), prop::collection::vec(step, 0..60)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}

/// Tables of last values: names and patterns are published to queues that keep the latest.
pub(crate) fn tables() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let table = || {
        (patterns(), 1..7_usize)
            .prop_map(|(names, room)| Step::Subscribe(names, (room, WhenFull::Latest, true)))
    };
    let step = prop_oneof![
        20 => names().prop_map(Step::Publish),
        5 => retained(),
        5 => index().prop_map(Step::Receive),
        3 => index().prop_map(Step::PollSubscriber),
        1 => table(),
    ];
    let first = (1..7_usize)
        .prop_map(|room| Step::Subscribe(vec![Name::all()], (room, WhenFull::Latest, true)));
    (first, prop::collection::vec(step, 0..80)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}

/// Many topics are retained, expire and are removed, while subscribers come, sleep and receive.
pub(crate) fn retained_tables() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let step = prop_oneof![
        20 => retained(),
        4 => names().prop_map(Step::Publish),
        5 => (patterns(), options(1..4)).prop_map(|(names, options)| Step::Subscribe(names, options)),
        10 => index().prop_map(Step::Receive),
        10 => index().prop_map(Step::PollSubscriber),
        5 => advance_clock(),
        2 => index().prop_map(Step::Unsubscribe),
        1 => index().prop_map(Step::CloseSubscription),
        2 => index().prop_map(Step::PollPublisher),
    ];
    prop::collection::vec(step, 0..100)
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
        1 => index().prop_map(Step::CloseClaim),
        4 => take(3),
        4 => answer(),
        16 => ask(Just(Name::root())),
        3 => Just(Step::Pin(Name::root())),
        8 => ask_pinned(),
        1 => index().prop_map(Step::Unpin),
        3 => call_options().prop_map(|options| Step::AskAll(Name::all(), options)),
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
