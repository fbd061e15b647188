//! The ways in which a request can end, given what its server does.

use loom::thread;
use ump::{Client, ReplyContext, RequestError, SendError, Server, Stats};

use crate::{Counted, assert_settled};

/// A client whose messages, replies and errors are all counted.
pub type Asker = Client<Counted, Counted, Counted>;
/// The server of an [`Asker`].
pub type Answerer = Server<Counted, Counted, Counted>;
/// The reply context of a counted request.
pub type Reply = ReplyContext<Counted, Counted>;
/// The outcome of a counted request.
pub type Outcome = Result<Counted, RequestError<Counted, Counted>>;

/// How a request ended, as seen by its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "most are names of outcomes")]
pub enum Ended {
    Replied,
    Failed,
    NoReply,
    /// The message came back because the deadline passed.
    LateQueued,
    LateTaken,
    /// The server was gone. The message came back, or would have.
    Refused,
    /// The caller did not wait for the outcome.
    Left,
}

impl Ended {
    /// Returns how the request ended whose message has this name.
    ///
    /// # Panics
    /// Panics if the value that came back belongs to another request.
    #[must_use]
    pub fn of(name: u32, outcome: Outcome) -> Self {
        let (ended, back) = match outcome {
            Ok(reply) => (Self::Replied, Some(reply)),
            Err(RequestError::App(error)) => (Self::Failed, Some(error)),
            Err(RequestError::NoReply(_)) => (Self::NoReply, None),
            Err(RequestError::TimeoutQueued(message)) => (Self::LateQueued, Some(message)),
            Err(RequestError::TimeoutTaken) => (Self::LateTaken, None),
            Err(RequestError::ServerDisappeared(message)) => (Self::Refused, Some(message)),
            Err(RequestError::Full(_) | RequestError::NoTimer(..)) => unreachable!("it waits"),
            Err(RequestError::WouldDeadlock(..) | RequestError::WouldDeadlockTaken(_)) => {
                unreachable!("nobody watches")
            }
        };
        assert!(back.is_none_or(|value| value.name() == name), "{ended:?}");
        ended
    }

    /// Returns how a request ended that was not sent.
    #[must_use]
    pub fn unsent(name: u32, error: SendError<Counted>) -> Self {
        Self::of(name, Err(error.into()))
    }
}

/// The action of the server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Deed {
    Replies,
    Fails,
    LetsGo,
    RepliesElsewhere,
    /// Leaves without taking any request.
    Goes,
}

impl Deed {
    /// Applies this action to a request.
    ///
    /// # Panics
    /// Panics if this server must not take any request.
    pub fn handle(self, message: Counted, rctx: Reply) {
        match self {
            Self::Replies => drop(rctx.answer(Ok(message))),
            Self::Fails => drop(rctx.answer(Err(message))),
            Self::LetsGo => drop((message, rctx)),
            Self::RepliesElsewhere => {
                let elsewhere = thread::spawn(move || drop(rctx.answer(Ok(message))));
                elsewhere.join().unwrap();
            }
            Self::Goes => unreachable!("it takes nothing"),
        }
    }

    /// Returns the ending that a client sees if it stays until the outcome arrives.
    #[must_use]
    pub fn tells(self) -> Ended {
        match self {
            Self::Replies | Self::RepliesElsewhere => Ended::Replied,
            Self::Fails => Ended::Failed,
            Self::LetsGo => Ended::NoReply,
            Self::Goes => Ended::Refused,
        }
    }

    /// Returns whether a request may end this way if it was taken `taken` times.
    #[must_use]
    pub fn allows(self, ended: Ended, taken: usize) -> bool {
        let told = ended == self.tells();
        match ended {
            Ended::Replied | Ended::Failed | Ended::NoReply => told && taken == 1,
            Ended::Refused => told && taken == 0,
            Ended::LateQueued => taken == 0,
            Ended::LateTaken => taken == 1,
            Ended::Left => taken <= 1,
        }
    }
}

/// Asserts that all requests have ended, and that the statistics agree with what each client
/// observed. A client that left (`Ended::Left`) may have any ending.
///
/// # Panics
/// Panics if they do not.
pub fn assert_booked(stats: Stats, told: impl IntoIterator<Item = Ended>) {
    assert_settled(stats);
    let told: Vec<_> = told.into_iter().collect();
    assert_eq!(stats.accepted + stats.refused, told.len() as u64);
    let count = |what: &[Ended]| told.iter().filter(|ended| what.contains(ended)).count() as u64;
    let left = count(&[Ended::Left]);
    // If the deadline passes or the server leaves while a sender waits for room, its request was
    // never accepted.
    let unsent = stats.timeout_queued + stats.server_disappeared + stats.refused;
    for (ended, booked) in [
        (&[Ended::Replied][..], stats.replied),
        (&[Ended::Failed], stats.failed),
        (&[Ended::NoReply], stats.no_reply),
        (&[Ended::LateTaken], stats.timeout_taken),
        (&[Ended::LateQueued, Ended::Refused], unsent),
    ] {
        let told = count(ended);
        assert!(
            (told..=told + left).contains(&booked),
            "{ended:?}, {stats:?}"
        );
    }
}
