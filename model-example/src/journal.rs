//! What an audit has on record, and the checks that wait for more of it.

use std::mem;

use crate::messages::{Checker, Complaint, Statement};

/// The records of an audit.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    recorded: Statement,
    /// Statements that count deposits whose records are still in the audit's queue, and who asked.
    unsettled: Vec<(Statement, Checker)>,
}

impl Journal {
    /// Enters a deposit.
    pub(crate) fn record(&mut self, amount: u32) {
        self.recorded = self.recorded.after(amount);
        for (stated, checker) in mem::take(&mut self.unsettled) {
            self.check(stated, checker);
        }
    }

    /// Answers a check: now, or when all that the account has stated is on record.
    pub(crate) fn check(&mut self, stated: Statement, checker: Checker) {
        if stated.entries > self.recorded.entries {
            self.unsettled.push((stated, checker));
        } else {
            let _ = checker.answer(compare(self.recorded, stated));
        }
    }
}

/// Whether the books agree.
pub(crate) fn compare(recorded: Statement, stated: Statement) -> Result<(), Complaint> {
    if recorded == stated {
        Ok(())
    } else {
        Err(Complaint::Mismatch { recorded, stated })
    }
}
