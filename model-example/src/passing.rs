//! Right: waiting goes one way only. The audit may wait for the account, as the account never waits: it passes the duty to answer a deposit
//! on to the audit, together with the record.
//!
//! So the account may be ahead of the audit, whose queue holds what it has not recorded yet. (It is there: the account posted it before
//! it answered.) A check that counts such deposits is answered when they are on record.

use ump::{Client, WeakClient};

use crate::{
    journal::Journal,
    messages::{Checker, Complaint, Depositor, NotOnRecord, Statement, ToAccount},
};

/// To this audit.
#[derive(Debug)]
pub enum ToAudit {
    /// Of a deposit, and whom to tell what the account comes to once it is on record.
    Record(u32, Statement, Depositor),
    /// Do the books agree?
    Check,
}

/// An account that waits for nobody.
#[derive(Debug)]
pub struct Account {
    now: Statement,
    audit: Client<ToAudit, (), Complaint>,
}

impl Account {
    /// An empty one.
    #[must_use]
    pub fn new(audit: Client<ToAudit, (), Complaint>) -> Self {
        Self {
            now: Statement::default(),
            audit,
        }
    }

    /// Answers these requests: those of a server, until it has no client, or the first few of them.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAccount, Depositor)>) {
        for (message, caller) in requests {
            match message {
                ToAccount::Deposit(amount) => {
                    let after = self.now.after(amount);
                    let record = ToAudit::Record(amount, after, caller);
                    // If the audit is gone the duty to answer comes back, and is dropped: the caller gets `NoReply`.
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
    account: WeakClient<ToAccount, Statement, NotOnRecord>,
}

impl Audit {
    /// One that has nothing on record.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotOnRecord>) -> Self {
        Self {
            journal: Journal::default(),
            account,
        }
    }

    /// Answers these requests.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAudit, Checker)>) {
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
                        _ => drop(caller.fail(Complaint::NoAccount)),
                    }
                }
            }
        }
    }
}
