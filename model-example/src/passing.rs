//! Right: only one of the two waits. The audit may wait for the account, as the account never
//! waits: it hands the reply context of a deposit on to the audit, together with the record.
//!
//! So the account may be ahead of the audit, whose queue holds the missing records: the account
//! posted them before it replied. A check that includes such deposits is answered when they are
//! recorded.

use ump::{Client, WeakClient};

use crate::{
    journal::Journal,
    messages::{AccountContext, AuditContext, CheckError, NotRecorded, Statement, ToAccount},
};

/// A request to this audit.
#[derive(Debug)]
pub enum ToAudit {
    /// Records a deposit, then replies to the depositor with the statement.
    Record(u32, Statement, AccountContext),
    /// Compares the records with the statement of the account.
    Check,
}

/// An account that never waits.
#[derive(Debug)]
pub struct Account {
    now: Statement,
    audit: Client<ToAudit, (), CheckError>,
}

impl Account {
    /// Makes an empty account.
    #[must_use]
    pub fn new(audit: Client<ToAudit, (), CheckError>) -> Self {
        Self {
            now: Statement::default(),
            audit,
        }
    }

    /// Handles these requests: those of a server until it has no clients, or only the first ones.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAccount, AccountContext)>) {
        for (message, caller) in requests {
            match message {
                ToAccount::Deposit(amount) => {
                    let after = self.now.after(amount);
                    let record = ToAudit::Record(amount, after, caller);
                    // If the audit has gone, the context comes back and is dropped: the caller gets
                    // `NoReply`.
                    if self.audit.post(record).wait().is_ok() {
                        self.now = after;
                    }
                }
                ToAccount::Balance => drop(caller.reply(self.now)),
            }
        }
    }
}

/// An audit that waits for its account.
#[derive(Debug)]
pub struct Audit {
    journal: Journal,
    /// Weak: the account has a client of the audit, and the two would keep each other alive.
    account: WeakClient<ToAccount, Statement, NotRecorded>,
}

impl Audit {
    /// Makes an audit without records.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotRecorded>) -> Self {
        Self {
            journal: Journal::default(),
            account,
        }
    }

    /// Handles these requests.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAudit, AuditContext)>) {
        for (message, caller) in requests {
            match message {
                ToAudit::Record(amount, after, depositor) => {
                    self.journal.record(amount);
                    let _ = depositor.reply(after);
                    let _ = caller.reply(());
                }
                ToAudit::Check => {
                    let account = self.account.upgrade();
                    match account.map(|account| account.req(ToAccount::Balance)) {
                        Some(Ok(stated)) => self.journal.check(stated, caller),
                        _ => drop(caller.fail(CheckError::NoAccount)),
                    }
                }
            }
        }
    }
}
