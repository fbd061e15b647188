//! What processes write down, in one file, so that it is there after they are killed.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

/// What happened. The numbers of requests and of processes are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A caller makes a request.
    Asked { number: u64 },
    /// It has an outcome.
    Ended { number: u64, outcome: Outcome },
    /// A server has taken a request.
    Executed { number: u64 },
    /// A subscription has received all up to this number of a publisher.
    Received { subscription: u64, last: u64 },
    /// A subscription lacks messages, or has them twice, and was not told.
    Wrong { subscription: u64, value: u64 },
    /// A process makes no new requests, all of its requests have ended, and it has published so
    /// many messages.
    Finished { process: u64, published: u64 },
}

/// How a request ended, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Replied,
    Refused,
    NotExecuted,
    Perhaps,
    Executed,
    /// The caller dropped it.
    Dropped,
    /// The reply of another request, or no message in an error that has to return it.
    Wrong,
}

const OUTCOMES: [Outcome; 7] = [
    Outcome::Replied,
    Outcome::Refused,
    Outcome::NotExecuted,
    Outcome::Perhaps,
    Outcome::Executed,
    Outcome::Dropped,
    Outcome::Wrong,
];

const SIZE: usize = 24;

impl Entry {
    fn encode(self) -> [u8; SIZE] {
        let (kind, one, other) = match self {
            Self::Asked { number } => (0, number, 0),
            Self::Ended { number, outcome } => (1, number, outcome as u64),
            Self::Executed { number } => (2, number, 0),
            Self::Received { subscription, last } => (3, subscription, last),
            Self::Wrong {
                subscription,
                value,
            } => (4, subscription, value),
            Self::Finished { process, published } => (5, process, published),
        };
        let mut bytes = [0; SIZE];
        for (to, number) in bytes.chunks_exact_mut(8).zip([kind, one, other]) {
            to.copy_from_slice(&u64::to_be_bytes(number));
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_be_bytes(bytes[8 * at..][..8].try_into().unwrap());
        let (one, other) = (number(1), number(2));
        match number(0) {
            0 => Self::Asked { number: one },
            1 => Self::Ended {
                number: one,
                outcome: OUTCOMES[usize::try_from(other).unwrap()],
            },
            2 => Self::Executed { number: one },
            3 => Self::Received {
                subscription: one,
                last: other,
            },
            4 => Self::Wrong {
                subscription: one,
                value: other,
            },
            5 => Self::Finished {
                process: one,
                published: other,
            },
            kind => panic!("no entry is of kind {kind}"),
        }
    }
}

/// The file of a process that writes.
pub(crate) struct Ledger(File);

impl Ledger {
    pub(crate) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.unwrap())
    }

    /// Writes an entry by one system call, so a kill leaves all of it or nothing.
    pub(crate) fn write(&self, entry: Entry) {
        (&self.0).write_all(&entry.encode()).unwrap();
    }
}

/// What all processes have written.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) asked: HashMap<u64, Vec<Outcome>>,
    pub(crate) executed: HashMap<u64, usize>,
    pub(crate) received: HashMap<u64, u64>,
    pub(crate) finished: HashMap<u64, u64>,
    wrong: Vec<Entry>,
}

impl Account {
    pub(crate) fn read(path: &Path) -> Self {
        let mut account = Self::default();
        for bytes in fs::read(path).unwrap_or_default().chunks_exact(SIZE) {
            let entry = Entry::decode(bytes);
            match entry {
                Entry::Asked { number } => {
                    let before = account.asked.insert(number, Vec::new());
                    assert_eq!(before, None, "{number} was made twice");
                }
                Entry::Ended { number, outcome } => {
                    let outcomes = account.asked.get_mut(&number);
                    outcomes.expect("it was made").push(outcome);
                }
                Entry::Executed { number } => *account.executed.entry(number).or_default() += 1,
                Entry::Received { subscription, last } => {
                    account.received.insert(subscription, last);
                }
                Entry::Wrong { .. } => account.wrong.push(entry),
                Entry::Finished { process, published } => {
                    account.finished.insert(process, published);
                }
            }
        }
        account
    }

    /// Checks that what callers were told agrees with what servers did. Returns the number of each
    /// outcome.
    pub(crate) fn check(&self, process_of: impl Fn(u64) -> u64) -> HashMap<Outcome, usize> {
        assert_eq!(self.wrong, [], "gaps that were not told, or messages twice");
        let mut counts = HashMap::new();
        for (number, outcomes) in &self.asked {
            let times = self.executed.get(number).copied().unwrap_or(0);
            assert!(times <= 1, "{number} was executed {times} times");
            let outcome = match outcomes[..] {
                [outcome] => outcome,
                // The caller was killed.
                [] if !self.finished.contains_key(&process_of(*number)) => continue,
                _ => panic!("{number} ended with {outcomes:?}"),
            };
            let is_right = match outcome {
                Outcome::Replied | Outcome::Refused | Outcome::Executed => times == 1,
                Outcome::NotExecuted => times == 0,
                Outcome::Perhaps | Outcome::Dropped => true,
                Outcome::Wrong => false,
            };
            assert!(is_right, "{number} was executed {times} times: {outcome:?}");
            *counts.entry(outcome).or_default() += 1;
        }
        for number in self.executed.keys() {
            assert!(self.asked.contains_key(number), "{number} was not made");
        }
        counts
    }
}
