//! How a request can end, by what its server does.

use loom::thread;
use ump::{Client, ReplyContext, RequestError, SendError, Server, Stats};

use crate::{Counted, assert_settled};

/// A client whose every value is counted.
pub type Asker = Client<Counted, Counted, Counted>;
/// Its server.
pub type Answerer = Server<Counted, Counted, Counted>;
/// Whoever answers.
pub type Reply = ReplyContext<Counted, Counted>;
/// What comes of a request.
pub type Outcome = Result<Counted, RequestError<Counted, Counted>>;

/// How a request ended for the one who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "most are names of outcomes")]
pub enum Ended {
    Replied,
    Failed,
    NoReply,
    /// The message came back: the deadline passed.
    LateQueued,
    LateTaken,
    /// The message came back, or would have: the server was gone.
    Refused,
    /// Its caller did not wait for the outcome.
    Left,
}

impl Ended {
    /// How the request ended whose message had this name.
    ///
    /// # Panics
    /// If what came back is another one's.
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

    /// The same for one that was not sent.
    #[must_use]
    pub fn unsent(name: u32, error: SendError<Counted>) -> Self {
        Self::of(name, Err(error.into()))
    }
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Deed {
    Replies,
    Fails,
    LetsGo,
    RepliesElsewhere,
    /// It goes without having taken anything.
    Goes,
}

impl Deed {
    /// Does it.
    ///
    /// # Panics
    /// If nothing should have been taken.
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

    /// What it tells a client that stays.
    #[must_use]
    pub fn tells(self) -> Ended {
        match self {
            Self::Replies | Self::RepliesElsewhere => Ended::Replied,
            Self::Fails => Ended::Failed,
            Self::LetsGo => Ended::NoReply,
            Self::Goes => Ended::Refused,
        }
    }

    /// Whether a request may end so, if it was taken so often.
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

/// Asserts that the books are closed and say of each request what its client was told; of one who left, anything.
///
/// # Panics
/// If they do not.
pub fn assert_booked(stats: Stats, told: impl IntoIterator<Item = Ended>) {
    assert_settled(stats);
    let told: Vec<_> = told.into_iter().collect();
    assert_eq!(stats.accepted + stats.refused, told.len() as u64);
    let count = |what: &[Ended]| told.iter().filter(|ended| what.contains(ended)).count() as u64;
    let left = count(&[Ended::Left]);
    // Whoever waits for room when the deadline passes or the server goes was never accepted.
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
