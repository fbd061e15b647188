//! Wrong: each server waits for the other's reply within its loop, and handles no requests
//! meanwhile.
//!
//! With a deposit and a check at the same time, the account waits for the audit to record and the
//! audit waits for the account's statement, for ever. Both requests have to be taken within the
//! same few microseconds, so ordinary tests rarely find it.

use ump::{Client, WeakClient};

use crate::{
    journal::compare,
    messages::{
        AccountContext, AuditContext, CheckError, NotRecorded, Statement, ToAccount, ToAudit,
    },
};

/// An account that waits for its audit.
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
            let answer = match message {
                // Here it waits.
                ToAccount::Deposit(amount) => match self.audit.req(ToAudit::Record(amount)) {
                    Ok(()) => {
                        self.now = self.now.after(amount);
                        Ok(self.now)
                    }
                    Err(_) => Err(NotRecorded),
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
    account: WeakClient<ToAccount, Statement, NotRecorded>,
}

impl Audit {
    /// Makes an audit without records.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotRecorded>) -> Self {
        Self {
            recorded: Statement::default(),
            account,
        }
    }

    /// Handles these requests.
    pub fn serve(mut self, requests: impl IntoIterator<Item = (ToAudit, AuditContext)>) {
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
                        _ => Err(CheckError::NoAccount),
                    }
                }
            };
            let _ = caller.answer(answer);
        }
    }
}
