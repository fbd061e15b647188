//! The threads that make requests.

use std::{
    task::Poll,
    time::{Duration, Instant},
};

use tests::{
    block_on,
    ends::{Failure, Options, Reason},
    poll_once,
};
use ump::{Gather, RequestError, WaitReply};

use super::{Answer, Ask, Asked, Deadline, Message, TestClient, Way};
use crate::payload::Register;

pub(super) fn ask_all(
    client: &TestClient,
    number: usize,
    asks: &[Ask],
    register: &Register,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut kept = Gather::new();
    for (at, ask) in asks.iter().enumerate() {
        let payload = register.payload();
        let id = payload.id();
        let message = Message {
            payload,
            client: number,
            number: at,
            ask: *ask,
        };
        let outcome = make(client, *ask, message, |reply| kept.push(asked.len(), reply));
        asked.push(Asked {
            message: id,
            ask: *ask,
            outcome,
        });
    }
    while let Some((at, outcome)) = kept.wait() {
        asked[at].outcome = Some(failure(outcome));
    }
    asked
}

fn make(
    client: &TestClient,
    ask: Ask,
    message: Message,
    keep: impl FnOnce(WaitReply<Answer, Answer, RequestError<Message, Answer>>),
) -> Option<Result<usize, Failure<usize, usize>>> {
    let now = Instant::now();
    let options = Options {
        deadline: match ask.deadline {
            Deadline::None => None,
            Deadline::Past => Some(now),
            Deadline::Soon(micros) => Some(now + Duration::from_micros(u64::from(micros))),
            Deadline::Far => Some(now + tests::LONG * 60),
        },
        urgent: ask.urgent,
        if_room: ask.if_room,
    };
    match ask.way {
        Way::Req => Some(failure(client.req(message))),
        Way::Areq => Some(failure(block_on(client.areq(message)))),
        Way::ReqAsync => Some(match client.req_async(message) {
            Ok(reply) => failure(reply.wait()),
            Err(error) => failure(Err(error)),
        }),
        Way::Wait => Some(failure(options.request(client, message).wait())),
        Way::Await => Some(failure(block_on(options.request(client, message)))),
        Way::Keep | Way::Leave => match options.request(client, message).submit().wait() {
            Ok(reply) => {
                if ask.way == Way::Keep {
                    keep(reply);
                }
                None
            }
            Err(error) => Some(failure(Err(error))),
        },
        Way::LeaveSoon => {
            let mut callers = Box::pin(async { options.request(client, message).await });
            match poll_once(&mut callers) {
                Poll::Ready(outcome) => Some(failure(outcome)),
                Poll::Pending => None,
            }
        }
        Way::Post => match options.request(client, message).post().wait() {
            Ok(()) => None,
            Err(error) => Some(failure(Err(error))),
        },
    }
}

/// The number of the message, or the outcome without a reply.
fn failure(
    outcome: Result<Answer, impl Into<Failure<Message, Answer>>>,
) -> Result<usize, Failure<usize, usize>> {
    let which = |answer: Answer| answer.of;
    outcome.map(which).map_err(|error| {
        let Failure {
            why,
            executed,
            message,
        } = error.into();
        Failure {
            executed,
            message: message.map(|message| message.payload.id()),
            why: match why {
                Reason::App(answer) => Reason::App(which(answer)),
                Reason::NoReply(why) => Reason::NoReply(why),
                Reason::ServerDisappeared => Reason::ServerDisappeared,
                Reason::TimeoutQueued => Reason::TimeoutQueued,
                Reason::TimeoutTaken => Reason::TimeoutTaken,
                Reason::Full => Reason::Full,
                Reason::Else => Reason::Else,
            },
        }
    })
}
