//! Wrong: each server waits for the other's answer within its loop, and serves nobody meanwhile.
//!
//! A deposit and a check at the same time: the account waits for the audit to record, the audit waits for the account to state its
//! balance, for ever. It takes two requests that are taken within the same few microseconds, so tests hardly ever meet it.

use ump::{Client, WeakClient};

use crate::{
    journal::compare,
    messages::{Checker, Complaint, Depositor, NotOnRecord, Statement, ToAccount, ToAudit},
};

/// An account that waits for its audit.
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
            let answer = match message {
                // Here it waits.
                ToAccount::Deposit(amount) => match self.audit.req(ToAudit::Record(amount)) {
                    Ok(()) => {
                        self.now = self.now.after(amount);
                        Ok(self.now)
                    }
                    Err(_) => Err(NotOnRecord),
                },
                ToAccount::Balance => Ok(self.now),
            };
            let _ = caller.answer(answer);
        }
    }
}

/// An audit that waits for its account.
#[derive(Debug)]
pub struct Audit {
    recorded: Statement,
    /// Weak: the account has a client of the audit, and the two would keep each other alive.
    account: WeakClient<ToAccount, Statement, NotOnRecord>,
}

impl Audit {
    /// One that has nothing on record.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotOnRecord>) -> Self {
        Self {
            recorded: Statement::default(),
            account,
        }
    }

    /// Answers these requests.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAudit, Checker)>) {
        for (message, caller) in requests {
            let answer = match message {
                ToAudit::Record(amount) => {
                    self.recorded = self.recorded.after(amount);
                    Ok(())
                }
                // And here.
                ToAudit::Check => {
                    let account = self.account.upgrade();
                    match account.map(|account| account.req(ToAccount::Balance)) {
                        Some(Ok(stated)) => compare(self.recorded, stated),
                        _ => Err(Complaint::NoAccount),
                    }
                }
            };
            let _ = caller.answer(answer);
        }
    }
}
