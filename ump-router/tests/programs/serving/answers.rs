//! Taking requests, and answering the taken ones.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};
use ump_router::ump::ReplyContext;

use super::{
    Serving, pinned,
    requests::{self, Outcome, State},
};
use crate::one_of;

/// A taken request.
pub(crate) struct TakenRequest {
    number: u32,
    server: u32,
    deadline: Option<Duration>,
    real: ReplyContext<u32, ()>,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Reply,
    Fail,
    /// Drops the reply context.
    Drop,
}

pub(crate) fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Reply),
        1 => Just(Answer::Fail),
        1 => Just(Answer::Drop),
    ]
}

impl Serving {
    pub(crate) fn take(&mut self, nth: Index, most: usize) {
        for _ in 0..most {
            self.take_one(nth);
        }
    }

    fn take_one(&mut self, nth: Index) {
        let Some(model) = one_of(&mut self.servers, nth) else {
            return;
        };
        let Some(server) = model.real.channel() else {
            return;
        };
        let requests = &self.requests;
        let is_late = |number| {
            let mut requests = requests.iter();
            requests.any(|request| request.number == number && request.is_late(self.now))
        };
        let id = model.id;
        let real = server.try_pop();
        let (expected, late) = model.channel.take(is_late);
        for number in late {
            self.set_state(number, State::Done(id, Outcome::TimeoutQueued));
        }
        match (real, expected) {
            (Ok(Some((call, rctx))), Some(number)) => {
                let caller = rctx.caller().file();
                assert!([requests::FILE, pinned::FILE].contains(&caller));
                let mut requests = self.requests.iter();
                let request = requests.find(|request| request.number == number);
                let request = request.expect("the request is pending");
                assert_eq!(call.message.number, request.message_number);
                assert_eq!(call.topic.as_str(), request.topic.text());
                self.taken.push(TakenRequest {
                    number,
                    server: id,
                    deadline: request.deadline,
                    real: rctx,
                });
                self.set_state(number, State::Taken(id));
            }
            (Ok(None), None) => assert!(self.is_reached(id)),
            (Err(_), None) => assert!(!self.is_reached(id)),
            (real, expected) => panic!("{} is not {expected:?}", real.is_ok()),
        }
    }

    /// Returns whether more requests can reach the server.
    fn is_reached(&self, id: u32) -> bool {
        let has_claim = self
            .claimants
            .values()
            .any(|claimants| claimants.contains(&id));
        let has_client = has_claim || self.requests.iter().any(|request| request.is_with(id));
        has_client && !self.has_ended(id)
    }

    pub(crate) fn answer(&mut self, nth: Index, answer: Answer) {
        if self.taken.is_empty() {
            return;
        }
        let taken = self.taken.swap_remove(nth.index(self.taken.len()));
        let is_awaited = self.is_awaited(&taken);
        let is_late = taken.deadline.is_some_and(|deadline| deadline <= self.now);
        let TakenRequest {
            number,
            server,
            real,
            ..
        } = taken;
        let outcome = match answer {
            Answer::Reply => {
                assert_eq!(real.reply(number + 1).is_ok(), is_awaited);
                Outcome::Reply(number + 1)
            }
            Answer::Fail => {
                assert_eq!(real.fail(()).is_ok(), is_awaited);
                Outcome::Failed
            }
            Answer::Drop => {
                drop(real);
                if is_late {
                    Outcome::TimeoutTaken
                } else {
                    Outcome::NoReply
                }
            }
        };
        if is_awaited {
            self.count(server, |counts| match outcome {
                Outcome::Reply(_) => &mut counts.replied,
                Outcome::Failed => &mut counts.failed,
                Outcome::NoReply => &mut counts.no_reply,
                _ => &mut counts.timeout_taken,
            });
            self.set_state(number, State::Done(server, outcome));
        }
    }

    /// Returns whether the caller still waits.
    fn is_awaited(&self, taken: &TakenRequest) -> bool {
        let mut requests = self.requests.iter();
        requests.any(|request| request.number == taken.number)
    }

    pub(super) fn check_taken(&self) {
        for taken in &self.taken {
            let is_late = taken.deadline.is_some_and(|deadline| deadline <= self.now);
            assert_eq!(
                taken.real.is_cancelled(),
                is_late || !self.is_awaited(taken),
                "whether the caller of {} has left",
                taken.number
            );
        }
    }
}
