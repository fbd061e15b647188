//! Random programs on one thread: a router beside a model of it that is simple and sequential. After each step its outcome, who was woken, which messages
//! are alive, what the router lists and what it tells of changes are compared. Of a program that fails the shortest version is printed.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p ump-router --test programs` looks longer.

mod name;
mod publishing;
mod queue;
mod serving;

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use ump_router::{Change, ChangeKind, RecvError, Router, Subscription, WhenFull, ump::ManualClock};

use crate::{
    name::{Name, names, topics},
    publishing::Publishing,
    serving::{How, Serving, hows},
};

/// An index is of one of those that are there.
#[derive(Clone, Debug)]
enum Step {
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

fn programs() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![60 => publishing(), 40 => serving(), 1 => Just(Step::Close)];
    prop::collection::vec(step, 0..120)
}

/// One subscription for which publishers wait, and many of them.
fn crowds() -> impl Strategy<Value = Vec<Step>> {
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

struct World {
    clock: ManualClock,
    router: Router,
    changes: Subscription<Change>,
    publishing: Publishing,
    serving: Serving,
    is_closed: bool,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let router = Router::with_clock(clock.clock());
        Self {
            changes: router.subscribe("**").unwrap(),
            publishing: Publishing::new(&router),
            serving: Serving::new(&router),
            clock,
            router,
            is_closed: false,
        }
    }

    fn run(program: Vec<Step>) {
        let mut world = Self::new();
        for step in program {
            world.step(step);
            world.check();
        }
    }

    fn step(&mut self, step: Step) {
        let (publishing, serving) = (&mut self.publishing, &mut self.serving);
        match step {
            Step::Subscribe(name, capacity, when_full) => {
                publishing.subscribe(&name, capacity, when_full);
            }
            Step::Unsubscribe(nth) => publishing.unsubscribe(nth),
            Step::Publish(name) => publishing.publish(&name, false),
            Step::Retain(name) => publishing.publish(&name, true),
            Step::Forget(name) => publishing.forget(&name),
            Step::Receive(nth) => publishing.receive(nth),
            Step::Await(nth) => publishing.poll(nth),
            Step::GoOn(nth) => publishing.go_on(nth),
            Step::GiveUp(nth) => publishing.give_up(nth),
            Step::Pass(time) => {
                self.clock.advance(time);
                publishing.pass(time);
            }
            Step::Serve(name, how) => serving.serve(&name, how),
            Step::Leave(nth) => serving.leave(nth),
            Step::End(nth) => serving.end(nth),
            Step::Unclaim(nth) => serving.unclaim(nth),
            Step::Answer(nth) => serving.answer(nth),
            Step::Ask { topic, waits } => serving.ask(&topic, waits),
            Step::Look(nth) => serving.look(nth),
            Step::Forgo(nth) => serving.forgo(nth),
            Step::Close => {
                self.router.close();
                self.is_closed = true;
                publishing.close();
                serving.close();
            }
        }
    }

    fn check(&mut self) {
        self.publishing.check();
        self.serving.check();
        let mut expected = self.publishing.take_changes();
        expected.extend(self.serving.take_changes());
        if self.is_closed {
            assert!(expected.is_empty());
            assert_eq!(self.changes.try_recv().unwrap_err(), RecvError::Closed);
            return;
        }
        let mut told: Changes = Vec::new();
        while let Some(change) = self.changes.try_recv().unwrap() {
            told.push((change.kind(), change.topic().to_string()));
        }
        assert_eq!(told, expected);
    }
}

fn one_of<T>(all: &mut [T], nth: Index) -> Option<&mut T> {
    if all.is_empty() {
        return None;
    }
    let nth = nth.index(all.len());
    Some(&mut all[nth])
}

/// What happened to which pattern or topic.
type Changes = Vec<(ChangeKind, String)>;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_router_does_what_its_model_does(program in programs()) {
        World::run(program);
    }

    #[test]
    fn publishers_that_wait_for_room_do_what_the_model_does(program in crowds()) {
        World::run(program);
    }
}
