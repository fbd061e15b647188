//! The messages of the servers.

use ump::ReplyContext;

/// A request to the account, which replies with its [`Statement`].
#[derive(Debug)]
pub enum ToAccount {
    /// Replies when the deposit is recorded.
    Deposit(u32),
    /// Replies with the statement.
    Balance,
}

/// The state of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The number of deposits.
    pub entries: usize,
    /// Their sum.
    pub balance: u32,
}

impl Statement {
    /// Returns the statement after a deposit.
    #[must_use]
    pub fn after(self, amount: u32) -> Self {
        Self {
            entries: self.entries + 1,
            balance: self.balance + amount,
        }
    }
}

/// A deposit failed because the audit has gone.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRecorded;

/// The reply context of a request to the account.
pub type AccountContext = ReplyContext<Statement, NotRecorded>;

/// A request to the audit.
#[derive(Debug)]
pub enum ToAudit {
    /// Records a deposit.
    Record(u32),
    /// Compares the records with the statement of the account.
    Check,
}

/// Why a check fails.
#[derive(Debug, PartialEq, Eq)]
pub enum CheckError {
    /// The statement differs from the records.
    Mismatch {
        /// The records of the audit.
        recorded: Statement,
        /// The statement of the account.
        stated: Statement,
    },
    /// The account has gone.
    NoAccount,
}

/// The reply context of a request to the audit.
pub type AuditContext = ReplyContext<(), CheckError>;
