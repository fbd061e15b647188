//! Waits for the first message of two subscribers.

use std::{
    future::IntoFuture,
    pin::pin,
    task::{Context, Poll},
};

use proptest::sample::Index;
use ump_router::{Received, RecvError, Router, Select};

use crate::publishing::{Number, Publishing, Subscriber};

/// A wait, and how often it was made: each time it begins with another one of the two.
pub(crate) struct Selecting {
    real: Select,
    turn: usize,
}

impl Selecting {
    pub(crate) fn new(router: &Router) -> Self {
        let real = router.select();
        Self { real, turn: 0 }
    }
}

fn number(received: Result<Received<Number>, RecvError>) -> Result<u32, RecvError> {
    received.map(|message| message.number())
}

impl Publishing {
    pub(crate) fn select(&mut self, one: Index, other: Index) {
        let (Some(one), Some(other)) = (self.member(one), self.member(other)) else {
            return;
        };
        if one.0 == other.0 {
            return; // two members of a group, or the same one twice
        }
        if self.is_expiry_due(one.0) || self.is_expiry_due(other.0) {
            return; // it would change both, in an order of its own
        }
        let (first, second) = (one.min(other), one.max(other));
        let (before, after) = self.subscribers.split_at_mut(second.0);
        let mut arms = [(&mut before[first.0], first.1), (&mut after[0], second.1)];
        let Selecting { real, turn } = &mut self.select;
        *turn += 1;
        // If it were left behind, it would be called and counted.
        let waker = arms[0].0.members[arms[0].1].waker.waker();
        let [one, other] = arms.each_mut();
        let selecting = real
            .on(one.0.members[one.1].real.recv(), |it| (0, number(it)))
            .on(other.0.members[other.1].real.recv(), |it| (1, number(it)));
        let polled = {
            let mut selecting = pin!(selecting.into_future());
            selecting.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let mut expected = Poll::Pending;
        for nth in [*turn % 2, (*turn + 1) % 2] {
            let (Subscriber { members, model, .. }, member) = &mut arms[nth];
            if model.removals {
                members[*member].timer = None;
            }
            if let Some(received) = members[*member].expected(model) {
                expected = Poll::Ready((nth, received.map(|(number, _)| number)));
                break;
            }
            // Its waker was replaced, and removed.
            members[*member].is_asleep = false;
        }
        assert_eq!(polled, expected);
    }
}
