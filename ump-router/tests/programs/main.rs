//! Random programs on one thread: a router next to a simple sequential model of it. Each step
//! compares its outcome, the woken wakers, the live messages, the statistics of each server, and
//! the router's lists and announced changes. A failing program is shortened before it is printed.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p ump-router --test programs` runs more programs.

mod check;
mod counting_waker;
mod name;
mod program;
mod publishing;
mod queue;
mod serving;

use proptest::sample::Index;
use ump_router::{Change, ChangeKind, RecvError, Router, Subscription, ump::ManualClock};

use crate::{
    check::check,
    program::{Step, contended_queues, handovers, programs, urgent_bursts},
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
            serving: Serving::new(&router, clock.clock()),
            clock,
            router,
            is_closed: false,
        }
    }

    fn run(program: Vec<Step>) {
        // The model has no budget: each poll must find what is ready.
        ump::coop::with_budget(u32::MAX, || {
            let mut world = Self::new();
            for step in program {
                world.step(step);
                world.check();
            }
        });
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
            Step::RemoveRetained(name) => publishing.remove_retained(&name),
            Step::Receive(nth) => publishing.receive(nth),
            Step::PollSubscriber(nth) => publishing.poll(nth),
            Step::PollPublisher(nth) => publishing.poll_publisher(nth),
            Step::CancelPublisher(nth) => publishing.cancel_publisher(nth),
            Step::Advance(time) => {
                self.clock.advance(time);
                publishing.advance_clock(time);
                serving.advance_clock(time);
            }
            Step::Serve(name, kind) => serving.serve(&name, kind),
            Step::Leave(nth) => serving.leave(nth),
            Step::End(nth) => serving.end(nth),
            Step::CloseServer(nth) => serving.close_server(nth),
            Step::Unclaim(nth) => serving.unclaim(nth),
            Step::Take(nth, most) => serving.take(nth, most),
            Step::Answer(nth, answer) => serving.answer(nth, answer),
            Step::Ask {
                topic,
                call_options,
                begins,
            } => serving.ask(&topic, call_options, begins),
            Step::Burst {
                topic,
                size,
                call_options,
            } => {
                (0..size).for_each(|_| serving.ask(&topic, call_options, true));
            }
            Step::PollRequest(nth) => serving.poll_request(nth),
            Step::CancelRequest(nth) => serving.cancel_request(nth),
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
        let mut received: Changes = Vec::new();
        while let Some(change) = self.changes.try_recv().unwrap() {
            received.push((change.kind(), change.topic().to_string()));
        }
        assert_eq!(received, expected);
    }
}

fn one_of<T>(all: &mut [T], nth: Index) -> Option<&mut T> {
    if all.is_empty() {
        return None;
    }
    let nth = nth.index(all.len());
    Some(&mut all[nth])
}

/// Each change, with its pattern or topic.
type Changes = Vec<(ChangeKind, String)>;

#[test]
fn a_router_matches_its_model() {
    check(256, &programs());
}

#[test]
fn waiting_publishers_match_the_model() {
    check(256, &contended_queues());
}

#[test]
fn redirected_requests_match_the_model() {
    check(500, &handovers());
}

#[test]
fn urgent_requests_match_the_model() {
    check(256, &urgent_bursts());
}
