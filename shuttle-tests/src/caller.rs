//! Those who ask.

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
    actor::look,
    book::{Author, Book, End, Message, Reply},
    chance::{any, below, one_in},
};

/// A time that passes when the model says so.
const SOME_TIME: Duration = Duration::from_secs(3600);

/// How a request is made. Each of them blocks or awaits as chance will have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Asks and waits.
    Ask,
    /// By the other interface, which gives the message back.
    Request,
    /// The same, overtaking.
    Urgent,
    /// If there is room.
    IfRoom,
    /// Until a deadline that passes at some time.
    Deadline,
    /// After its deadline.
    Overdue,
    /// Begins to wait for the reply, and leaves.
    Leave,
    /// The same with a deadline, overtaking.
    LeaveUrgent,
    /// Submits and waits for the reply.
    Submit,
    /// Submits, looks for the reply, and leaves.
    SubmitAndLeave,
    /// Nobody waits.
    Post,
    /// Nobody waits, overtaking.
    PostUrgent,
    /// Nobody waits, until a deadline.
    PostDeadline,
    /// Nobody waits, after its deadline.
    PostOverdue,
    /// Nobody waits, if there is room.
    PostIfRoom,
}

/// In any way.
pub const ANY: &[Way] = &[
    Way::Ask,
    Way::Request,
    Way::Urgent,
    Way::IfRoom,
    Way::Deadline,
    Way::Overdue,
    Way::Leave,
    Way::LeaveUrgent,
    Way::Submit,
    Way::SubmitAndLeave,
    Way::Post,
    Way::PostUrgent,
    Way::PostDeadline,
    Way::PostOverdue,
    Way::PostIfRoom,
];

/// One request after the other, always the usual way.
pub const STEADY: &[Way] = &[Way::Ask];

/// By those who ask so often that they are known.
pub const FAMILIAR: &[Way] = &[Way::Ask, Way::Ask, Way::Ask, Way::Post];

/// What cannot wait.
pub const URGENT: &[Way] = &[Way::Urgent, Way::PostUrgent];

/// By those who do not wait for what they have begun.
pub const HASTY: &[Way] = &[
    Way::IfRoom,
    Way::Deadline,
    Way::Overdue,
    Way::Leave,
    Way::LeaveUrgent,
    Way::SubmitAndLeave,
    Way::PostDeadline,
    Way::PostIfRoom,
];

impl Way {
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

/// One who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Tells callers apart.
    pub number: usize,
    /// Where it writes.
    pub book: Book,
}

impl Caller {
    /// The one of this number.
    #[must_use]
    pub fn new(number: usize, book: &Book) -> Self {
        Self {
            number,
            book: book.clone(),
        }
    }

    /// A message of this caller.
    #[must_use]
    pub fn write(&self, urgent: bool) -> Message {
        self.book.write(Author {
            caller: self.number,
            urgent,
        })
    }

    /// Asks so many times.
    pub async fn ask_times(&self, client: &Client, ways: &[Way], times: usize) {
        for _ in 0..times {
            self.ask(client, any(ways)).await;
        }
    }

    /// Asks until the server is gone.
    pub async fn ask_until_gone(&self, client: &Client, ways: &[Way]) {
        while self.ask(client, any(ways)).await != End::ServerDisappeared {}
    }

    /// Makes a request and sees to its end.
    pub async fn ask(&self, client: &Client, way: Way) -> End {
        let message = self.write(way.is_urgent());
        let number = message.number();
        let end = make(client, message, way).await;
        self.book.end(number, end);
        end
    }

    /// Submits so many and gathers what comes; may have enough of it before all have come.
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
                Err(error) => self.book.end(number, unsent(error, number)),
            }
        }
        let mut enough = if one_in(3) { below(requests) } else { requests };
        while enough > 0 {
            let next = match below(3) {
                0 => replies.wait(),
                1 => replies.wait_timeout(SOME_TIME),
                _ => poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)).await,
            };
            match next {
                Some((number, outcome)) => {
                    self.book.end(number, end_of(outcome, number));
                    enough -= 1;
                }
                None if replies.is_empty() => break,
                None => {}
            }
        }
        drop(replies);
        self.book.leave_the_rest(self.number);
    }
}

async fn make(client: &Client, message: Message, way: Way) -> End {
    let number = message.number();
    let blocks = one_in(2);
    if way == Way::Ask {
        return plain_end(
            if blocks {
                client.req(message)
            } else {
                client.areq(message).await
            },
            number,
        );
    }
    let mut request = client.request(message);
    if way.is_urgent() {
        request = request.urgent();
    }
    if let Some(deadline) = way.deadline() {
        request = request.deadline(deadline);
    }
    if matches!(way, Way::IfRoom | Way::PostIfRoom) {
        request = request.if_room();
    }
    match way {
        Way::Leave | Way::LeaveUrgent => {
            let mut asking = request.into_future();
            let looks = below(4);
            match look(looks, &mut asking).await {
                Poll::Ready(outcome) => end_of(outcome, number),
                Poll::Pending if looks == 0 => End::Unsent,
                Poll::Pending => End::Left,
            }
        }
        Way::Submit | Way::SubmitAndLeave => {
            let submitted = if blocks {
                request.submit().wait()
            } else {
                request.submit().await
            };
            match submitted {
                Ok(reply) if way == Way::Submit => end_of(collect(reply).await, number),
                Ok(reply) => match glance(reply).await {
                    Some(outcome) => end_of(outcome, number),
                    None => End::Left,
                },
                Err(error) => unsent(error, number),
            }
        }
        Way::Post | Way::PostUrgent | Way::PostDeadline | Way::PostOverdue | Way::PostIfRoom => {
            let posted = if blocks {
                request.post().wait()
            } else {
                request.post().await
            };
            match posted {
                Ok(()) => End::Posted,
                Err(error) => unsent(error, number),
            }
        }
        _ => end_of(
            if blocks {
                request.wait()
            } else {
                request.await
            },
            number,
        ),
    }
}

type Outcome = Result<Reply, RequestError<Message, Reply>>;
type Expected = WaitReply<Reply, Reply, RequestError<Message, Reply>>;

/// Waits for the reply in some way.
async fn collect(reply: Expected) -> Outcome {
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

/// Looks for the reply, in vain perhaps.
async fn glance(mut reply: Expected) -> Option<Outcome> {
    match below(4) {
        0 => reply.try_get().ok(),
        1 => reply.wait_timeout(SOME_TIME).ok(),
        2 => match look(1 + below(2), &mut reply).await {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        },
        _ => None,
    }
}

fn end_of(outcome: Outcome, number: usize) -> End {
    let (end, of) = match outcome {
        Ok(reply) => (End::Replied, reply.number()),
        Err(RequestError::App(error)) => (End::Failed, error.number()),
        Err(RequestError::NoReply(_)) => return End::NoReply,
        Err(RequestError::TimeoutTaken) => return End::TimeoutTaken,
        Err(RequestError::ServerDisappeared(message)) => (End::ServerDisappeared, message.number()),
        Err(RequestError::TimeoutQueued(message)) => (End::TimeoutQueued, message.number()),
        Err(RequestError::Full(message)) => (End::Full, message.number()),
        Err(RequestError::NoTimer(..)) => unreachable!("a model has timers"),
        Err(RequestError::WouldDeadlock(..) | RequestError::WouldDeadlockTaken(_)) => {
            unreachable!("nobody watches")
        }
    };
    assert_eq!(of, number, "another's");
    end
}

fn plain_end(outcome: Result<Reply, Error<Reply>>, number: usize) -> End {
    let (end, reply) = match outcome {
        Ok(reply) => (End::Replied, reply),
        Err(Error::App(reply)) => (End::Failed, reply),
        Err(Error::NoReply) => return End::NoReply,
        Err(Error::ServerDisappeared) => return End::ServerDisappeared,
        Err(error) => unreachable!("{error:?}"),
    };
    assert_eq!(reply.number(), number, "another's reply");
    end
}

fn unsent(error: SendError<Message>, number: usize) -> End {
    end_of(Err(error.into()), number)
}
