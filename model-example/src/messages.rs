//! What the servers say to each other.

use ump::ReplyContext;

/// To the account. It answers with its [`Statement`].
#[derive(Debug)]
pub enum ToAccount {
    /// Answered once it is on record.
    Deposit(u32),
    /// What does it come to?
    Balance,
}

/// What an account comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// How many deposits there have been.
    pub entries: usize,
    /// Their sum.
    pub balance: u32,
}

impl Statement {
    /// What it is after a deposit.
    #[must_use]
    pub fn after(self, amount: u32) -> Self {
        Self {
            entries: self.entries + 1,
            balance: self.balance + amount,
        }
    }
}

/// A deposit is refused: the audit is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct NotOnRecord;

/// The duty to answer somebody who asked the account.
pub type Depositor = ReplyContext<Statement, NotOnRecord>;

/// To the audit.
#[derive(Debug)]
pub enum ToAudit {
    /// Of a deposit.
    Record(u32),
    /// Do the books agree?
    Check,
}

/// What an audit complains about.
#[derive(Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The account says something else than what is on record.
    Mismatch {
        /// What the audit has.
        recorded: Statement,
        /// What the account says.
        stated: Statement,
    },
    /// There is nobody to ask.
    NoAccount,
}

/// The duty to answer somebody who asked the audit.
pub type Checker = ReplyContext<(), Complaint>;
