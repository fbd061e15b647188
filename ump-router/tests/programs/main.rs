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
mod refused;
mod selecting;
mod serving;
mod watches;

use std::time::Duration;

use proptest::sample::Index;
use ump_router::{Change, ChangeKind, RecvError, Router, Subscription, ump::ManualClock};

use crate::{
    check::check,
    program::{
        Step, contended_queues, handovers, programs, retained_tables, shared_queues, tables,
        urgent_bursts,
    },
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
    /// Whether the type of `refused` was used before the router was closed.
    is_text_known: bool,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let router = Router::with_clock(clock.clock());
        Self {
            changes: router.subscribe("**").unwrap(),
            publishing: Publishing::new(&router, clock.clock()),
            serving: Serving::new(&router, clock.clock()),
            clock,
            router,
            is_closed: false,
            is_text_known: false,
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
            Step::Subscribe(names, options) => publishing.subscribe(&names, options),
            Step::Share(group, names, options) => publishing.share(group, &names, options),
            Step::Unsubscribe(nth) => publishing.unsubscribe(nth),
            Step::CloseSubscription(nth) => publishing.close_subscription(nth),
            Step::Publish(name) => publishing.publish(&name, None),
            Step::Retain(name) => publishing.publish(&name, Some(Duration::MAX)),
            Step::RetainFor(name, time_to_live) => publishing.publish(&name, Some(time_to_live)),
            Step::RemoveRetained(name) => publishing.remove_retained(&name),
            Step::RemoveAllRetained(name) => publishing.remove_all_retained(&name),
            Step::ReadRetained(name, page) => publishing.read_retained(&name, page),
            Step::Receive(nth) => publishing.receive(nth),
            Step::PollSubscriber(nth) => publishing.poll(nth),
            Step::Select(one, other) => publishing.select(one, other),
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
            Step::CloseClaim(nth) => serving.close_claim(nth),
            Step::Take(nth, most) => serving.take(nth, most),
            Step::Answer(nth, answer) => serving.answer(nth, answer),
            Step::Ask {
                topic,
                call_options,
                begins,
            } => serving.ask(&topic, call_options, begins),
            Step::Pin(name) => serving.pin(&name),
            Step::AskPinned {
                client,
                call_options,
                begins,
            } => serving.ask_pinned(client, call_options, begins),
            Step::Unpin(nth) => serving.unpin(nth),
            Step::AskAll(name, call_options) => serving.ask_all(&name, call_options),
            Step::Burst {
                topic,
                size,
                call_options,
            } => {
                (0..size).for_each(|_| serving.ask(&topic, call_options, true));
            }
            Step::PollRequest(nth) => serving.poll_request(nth),
            Step::CancelRequest(nth) => serving.cancel_request(nth),
            Step::Watch(name) => publishing.watch(&name),
            Step::PollWatch(nth) => publishing.poll_watch(nth),
            Step::Unwatch(nth) => publishing.unwatch(nth),
            Step::Refuse(bad) => {
                self.is_text_known |= !self.is_closed;
                refused::refuse(&self.router, !self.is_text_known, &bad);
            }
            Step::Close => {
                self.router.close();
                self.is_closed = true;
                publishing.close();
                serving.close();
            }
        }
    }

    fn check(&mut self) {
        self.publishing.check_watches();
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
fn tables_of_last_values_match_the_model() {
    check(256, &tables());
}

#[test]
fn retained_messages_match_the_model() {
    check(512, &retained_tables());
}

#[test]
fn shared_subscriptions_match_the_model() {
    check(256, &shared_queues());
}

#[test]
fn redirected_requests_match_the_model() {
    check(500, &handovers());
}

#[test]
fn urgent_requests_match_the_model() {
    check(256, &urgent_bursts());
}
