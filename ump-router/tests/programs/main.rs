//! Random programs on one thread: a router beside a model of it that is simple and sequential. After each step its outcome, who was woken, which messages
//! are alive, what the router lists and what it tells of changes are compared. Of a program that fails the shortest version is printed.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p ump-router --test programs` looks longer.

mod bell;
mod name;
mod program;
mod publishing;
mod queue;
mod serving;

use proptest::{prelude::*, sample::Index};
use ump_router::{Change, ChangeKind, RecvError, Router, Subscription, ump::ManualClock};

use crate::{
    program::{Step, crowds, programs},
    publishing::Publishing,
    serving::Serving,
};

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
