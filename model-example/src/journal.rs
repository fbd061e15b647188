//! The records of an audit, and the checks that wait for later records.

use std::mem;

use crate::messages::{AuditContext, CheckError, Statement};

/// The records of an audit.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    recorded: Statement,
    /// Checks of statements that include deposits whose records are still in the audit's queue.
    unsettled: Vec<(Statement, AuditContext)>,
}

impl Journal {
    /// Records a deposit.
    pub(crate) fn record(&mut self, amount: u32) {
        self.recorded = self.recorded.after(amount);
        for (stated, context) in mem::take(&mut self.unsettled) {
            self.check(stated, context);
        }
    }

    /// Replies to a check at once, or when all deposits of the statement are recorded.
    pub(crate) fn check(&mut self, stated: Statement, context: AuditContext) {
        if stated.entries > self.recorded.entries {
            self.unsettled.push((stated, context));
        } else {
            let _ = context.answer(compare(self.recorded, stated));
        }
    }
}

/// Compares the records of the audit with the statement of the account.
pub(crate) fn compare(recorded: Statement, stated: Statement) -> Result<(), CheckError> {
    if recorded == stated {
        Ok(())
    } else {
        Err(CheckError::Mismatch { recorded, stated })
    }
}
