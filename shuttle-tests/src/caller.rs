//! Callers.

use std::{
    future::{IntoFuture, poll_fn},
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures_core::Stream;
use ump::{Error, Gather, RequestError, SendError, WaitReply};

use crate::{
    Client,
    actor::poll_times,
    rng::{any, below, one_in},
    tracker::{Message, Outcome, Reply, Source, Tracker},
};

/// A time that passes when the schedule lets it.
const SOME_TIME: Duration = Duration::from_secs(3600);

/// A kind of request. Each blocks or awaits at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `req` or `areq`.
    Ask,
    /// `request`, whose errors return the message.
    Request,
    /// An urgent `request`.
    Urgent,
    /// A `request` that fails if there is no room.
    IfRoom,
    /// With a deadline that passes at some time.
    Deadline,
    /// With a deadline that has passed.
    Overdue,
    /// Starts to wait for the reply, and leaves.
    Leave,
    /// The same, urgent and with a deadline.
    LeaveUrgent,
    /// Submits and waits for the reply.
    Submit,
    /// Submits, polls for the reply, and leaves.
    SubmitAndLeave,
    /// A post.
    Post,
    /// An urgent post.
    PostUrgent,
    /// A post with a deadline.
    PostDeadline,
    /// A post whose deadline has passed.
    PostOverdue,
    /// A post that fails if there is no room.
    PostIfRoom,
}

/// All kinds.
pub const ANY: &[RequestKind] = &[
    RequestKind::Ask,
    RequestKind::Request,
    RequestKind::Urgent,
    RequestKind::IfRoom,
    RequestKind::Deadline,
    RequestKind::Overdue,
    RequestKind::Leave,
    RequestKind::LeaveUrgent,
    RequestKind::Submit,
    RequestKind::SubmitAndLeave,
    RequestKind::Post,
    RequestKind::PostUrgent,
    RequestKind::PostDeadline,
    RequestKind::PostOverdue,
    RequestKind::PostIfRoom,
];

/// Plain requests only.
pub const STEADY: &[RequestKind] = &[RequestKind::Ask];

/// The kinds of a frequent caller.
pub const FREQUENT: &[RequestKind] = &[
    RequestKind::Ask,
    RequestKind::Ask,
    RequestKind::Ask,
    RequestKind::Post,
];

/// Urgent kinds.
pub const URGENT: &[RequestKind] = &[RequestKind::Urgent, RequestKind::PostUrgent];

/// The kinds of a caller that does not wait for outcomes.
pub const IMPATIENT: &[RequestKind] = &[
    RequestKind::IfRoom,
    RequestKind::Deadline,
    RequestKind::Overdue,
    RequestKind::Leave,
    RequestKind::LeaveUrgent,
    RequestKind::SubmitAndLeave,
    RequestKind::PostDeadline,
    RequestKind::PostIfRoom,
];

impl RequestKind {
    fn is_urgent(self) -> bool {
        matches!(self, Self::Urgent | Self::LeaveUrgent | Self::PostUrgent)
    }

    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Deadline | Self::LeaveUrgent | Self::PostDeadline => {
                Some(Instant::now() + SOME_TIME)
            }
            Self::Overdue | Self::PostOverdue => Some(Instant::now()),
            _ => None,
        }
    }
}

/// A caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The number of the caller.
    pub number: usize,
    /// Tracks its messages.
    pub tracker: Tracker,
}

impl Caller {
    /// Makes a caller with a number.
    #[must_use]
    pub fn new(number: usize, tracker: &Tracker) -> Self {
        Self {
            number,
            tracker: tracker.clone(),
        }
    }

    /// Makes a message of this caller.
    #[must_use]
    pub fn write(&self, urgent: bool) -> Message {
        self.tracker.write(Source {
            caller: self.number,
            urgent,
        })
    }

    /// Makes a number of requests.
    pub async fn request_times(&self, client: &Client, kinds: &[RequestKind], times: usize) {
        for _ in 0..times {
            self.ask(client, any(kinds)).await;
        }
    }

    /// Makes requests until the server has gone.
    pub async fn request_until_gone(&self, client: &Client, kinds: &[RequestKind]) {
        while self.ask(client, any(kinds)).await != Outcome::ServerDisappeared {}
    }

    /// Makes a request and records its outcome.
    pub async fn ask(&self, client: &Client, kind: RequestKind) -> Outcome {
        let message = self.write(kind.is_urgent());
        let number = message.number();
        let end = make(client, message, kind).await;
        self.tracker.end(number, end);
        end
    }

    /// Submits requests and gathers the replies; sometimes it stops before all have come.
    pub async fn gather(&self, client: &Client, requests: usize) {
        let mut replies = Gather::new();
        for _ in 0..requests {
            let message = self.write(false);
            let number = message.number();
            let mut request = client.request(message);
            if one_in(3) {
                request = request.timeout(SOME_TIME);
            }
            let submitted = if one_in(2) {
                request.submit().wait()
            } else {
                request.submit().await
            };
            match submitted {
                Ok(reply) => replies.push(number, reply),
                Err(error) => self.tracker.end(number, unsent(error, number)),
            }
        }
        let mut wanted = if one_in(3) { below(requests) } else { requests };
        while wanted > 0 {
            let next = match below(3) {
                0 => replies.wait(),
                1 => replies.wait_timeout(SOME_TIME),
                _ => poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)).await,
            };
            match next {
                Some((number, outcome)) => {
                    self.tracker.end(number, outcome_of(outcome, number));
                    wanted -= 1;
                }
                None if replies.is_empty() => break,
                None => {}
            }
        }
        drop(replies);
        self.tracker.leave_rest(self.number);
    }
}

async fn make(client: &Client, message: Message, kind: RequestKind) -> Outcome {
    let number = message.number();
    let blocks = one_in(2);
    if kind == RequestKind::Ask {
        return plain_outcome(
            if blocks {
                client.req(message)
            } else {
                client.areq(message).await
            },
            number,
        );
    }
    let mut request = client.request(message);
    if kind.is_urgent() {
        request = request.urgent();
    }
    if let Some(deadline) = kind.deadline() {
        request = request.deadline(deadline);
    }
    if matches!(kind, RequestKind::IfRoom | RequestKind::PostIfRoom) {
        request = request.if_room();
    }
    match kind {
        RequestKind::Leave | RequestKind::LeaveUrgent => {
            let mut asking = request.into_future();
            let kinds = below(4);
            match poll_times(kinds, &mut asking).await {
                Poll::Ready(outcome) => outcome_of(outcome, number),
                Poll::Pending if kinds == 0 => Outcome::Unsent,
                Poll::Pending => Outcome::Left,
            }
        }
        RequestKind::Submit | RequestKind::SubmitAndLeave => {
            let submitted = if blocks {
                request.submit().wait()
            } else {
                request.submit().await
            };
            match submitted {
                Ok(reply) if kind == RequestKind::Submit => {
                    outcome_of(collect(reply).await, number)
                }
                Ok(reply) => match poll_reply(reply).await {
                    Some(outcome) => outcome_of(outcome, number),
                    None => Outcome::Left,
                },
                Err(error) => unsent(error, number),
            }
        }
        RequestKind::Post
        | RequestKind::PostUrgent
        | RequestKind::PostDeadline
        | RequestKind::PostOverdue
        | RequestKind::PostIfRoom => {
            let posted = if blocks {
                request.post().wait()
            } else {
                request.post().await
            };
            match posted {
                Ok(()) => Outcome::Posted,
                Err(error) => unsent(error, number),
            }
        }
        _ => outcome_of(
            if blocks {
                request.wait()
            } else {
                request.await
            },
            number,
        ),
    }
}

type RequestResult = Result<Reply, RequestError<Message, Reply>>;
type Expected = WaitReply<Reply, Reply, RequestError<Message, Reply>>;

/// Waits for the reply in a random way.
async fn collect(reply: Expected) -> RequestResult {
    match below(3) {
        0 => reply.wait(),
        1 => reply.await,
        _ => {
            let mut reply = reply;
            loop {
                match reply.wait_timeout(SOME_TIME) {
                    Ok(outcome) => return outcome,
                    Err(not_yet) => reply = not_yet,
                }
            }
        }
    }
}

/// Polls for the reply in a random way.
async fn poll_reply(mut reply: Expected) -> Option<RequestResult> {
    match below(4) {
        0 => reply.try_get().ok(),
        1 => reply.wait_timeout(SOME_TIME).ok(),
        2 => match poll_times(1 + below(2), &mut reply).await {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        },
        _ => None,
    }
}

fn outcome_of(outcome: RequestResult, number: usize) -> Outcome {
    let (end, of) = match outcome {
        Ok(reply) => (Outcome::Replied, reply.number()),
        Err(RequestError::App(error)) => (Outcome::Failed, error.number()),
        Err(RequestError::NoReply(_)) => return Outcome::NoReply,
        Err(RequestError::TimeoutTaken) => return Outcome::TimeoutTaken,
        Err(RequestError::ServerDisappeared(message)) => {
            (Outcome::ServerDisappeared, message.number())
        }
        Err(RequestError::TimeoutQueued(message)) => (Outcome::TimeoutQueued, message.number()),
        Err(RequestError::Full(message)) => (Outcome::Full, message.number()),
        Err(RequestError::NoTimer(..)) => unreachable!("a model has timers"),
        Err(RequestError::WouldDeadlock(..) | RequestError::WouldDeadlockTaken(_)) => {
            unreachable!("there is no deadlock detection")
        }
    };
    assert_eq!(of, number, "the value of another request");
    end
}

fn plain_outcome(outcome: Result<Reply, Error<Reply>>, number: usize) -> Outcome {
    let (end, reply) = match outcome {
        Ok(reply) => (Outcome::Replied, reply),
        Err(Error::App(reply)) => (Outcome::Failed, reply),
        Err(Error::NoReply) => return Outcome::NoReply,
        Err(Error::ServerDisappeared) => return Outcome::ServerDisappeared,
        Err(error) => unreachable!("{error:?}"),
    };
    assert_eq!(reply.number(), number, "the reply to another request");
    end
}

fn unsent(error: SendError<Message>, number: usize) -> Outcome {
    outcome_of(Err(error.into()), number)
}
