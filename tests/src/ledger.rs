//! A service of a library that takes batches, under the same lints as the [store](crate::store).
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ump_server::{service, service::ReplyLater, service::ReplyTo};

/// Keeps accounts in a database that commits once for a whole batch.
#[derive(Debug, Default)]
pub struct Ledger {
    committed: HashMap<u32, i64>,
    /// The accounts that the open transaction has changed.
    changed: HashMap<u32, i64>,
    waiting: Vec<ReplyLater<Self, i64, Refused>>,
    log: Log,
    fault: Fault,
}

/// The record of the database's actions.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

/// The fault that the database has.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<Mutex<Option<&'static str>>>);

/// The database has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFull;

/// The error of a method of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is not enough in the account.
    Overdrawn,
    /// The database has failed.
    Disk(DiskFull),
}

impl From<DiskFull> for Refused {
    fn from(error: DiskFull) -> Self {
        Self::Disk(error)
    }
}

impl Log {
    fn add(&self, what: impl Into<String>) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(what.into());
    }

    /// Returns whether this is in the log.
    #[must_use]
    pub fn contains(&self, what: &str) -> bool {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().any(|it| it == what)
    }

    /// Returns the log, which is empty afterwards.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fault {
    /// Lets something go wrong, once.
    pub fn set(&self, what: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    fn happens(&self, what: &str) -> bool {
        let mut fault = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let happens = *fault == Some(what);
        if happens {
            *fault = None;
        }
        happens
    }
}

#[service]
impl Ledger {
    /// Creates an empty ledger.
    #[must_use]
    pub fn new(log: Log, fault: Fault) -> Self {
        Self {
            log,
            fault,
            ..Self::default()
        }
    }

    #[batch_start]
    fn begin(&mut self) -> Result<(), DiskFull> {
        if self.fault.happens("begin") {
            return Err(DiskFull);
        }
        self.log.add("begin");
        self.changed.clear();
        Ok(())
    }

    #[batch_end]
    fn commit(&mut self) -> Result<(), DiskFull> {
        assert!(!self.fault.happens("panic in commit"), "commit");
        if self.fault.happens("second commit") {
            self.fault.set("commit");
        } else if self.fault.happens("commit") {
            self.log.add("rollback");
            return Err(DiskFull);
        }
        self.log.add("commit");
        self.committed.extend(self.changed.drain());
        Ok(())
    }

    /// Adds to an account, and returns what is in it.
    ///
    /// # Errors
    /// Returns an error if there is not enough in the account.
    pub fn add(&mut self, account: u32, amount: i64) -> Result<i64, Refused> {
        self.log.add(format!("add {amount}"));
        let balance = self.balance_of(account) + amount;
        if balance < 0 {
            return Err(Refused::Overdrawn);
        }
        self.changed.insert(account, balance);
        Ok(balance)
    }

    /// Returns what is in an account. Its only error is that of the database.
    ///
    /// # Errors
    /// Returns an error if the batch is not committed.
    pub fn balance(&self, account: u32) -> Result<i64, DiskFull> {
        Ok(self.balance_of(account))
    }

    /// Sets an account to zero, and returns what was in it, unless the caller has left.
    pub fn close(&mut self, account: u32, reply: ReplyTo<'_, Self, i64, Refused>) {
        self.log.add(if reply.is_cancelled() {
            "close, for nobody"
        } else {
            "close"
        });
        let balance = self.changed.insert(account, 0);
        let _ = reply.reply(balance.unwrap_or_else(|| self.balance_of(account)));
    }

    /// Replies when `release` is called.
    pub fn hold(&mut self, reply: ReplyTo<'_, Self, i64, Refused>) {
        self.waiting.push(reply.detach());
    }

    /// Replies to all that hold.
    ///
    /// # Errors
    /// Returns an error if the batch is not committed.
    pub fn release(&mut self) -> Result<usize, DiskFull> {
        let waiting = std::mem::take(&mut self.waiting);
        let released = waiting.len();
        for reply in waiting {
            let _ = reply.reply(0);
        }
        Ok(released)
    }

    /// Takes the request, and never answers.
    pub fn ignore(&mut self, reply: ReplyTo<'_, Self, (), DiskFull>) {
        self.log.add("ignore");
        drop(reply);
    }

    /// Blocks the loop until the other end is gone.
    ///
    /// # Errors
    /// Returns an error if the batch is not committed.
    pub fn block(&mut self, until: std::sync::mpsc::Receiver<()>) -> Result<(), DiskFull> {
        self.log.add("block");
        let _ = until.recv();
        Ok(())
    }

    /// Panics.
    ///
    /// # Errors
    /// Returns none.
    ///
    /// # Panics
    /// Panics.
    pub fn panic(&mut self) -> Result<(), DiskFull> {
        panic!("as asked, with {} changes", self.changed.len());
    }

    /// Adds to an account, without an answer.
    #[post]
    pub fn note(&mut self, account: u32, amount: i64) {
        self.log.add(format!("note {amount}"));
        let balance = self.balance_of(account) + amount;
        self.changed.insert(account, balance);
    }

    /// Ends the loop, after this batch.
    #[post]
    pub const fn end(&mut self) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    #[timer(every = Duration::from_secs(1))]
    fn tick(&self) {
        self.log.add("tick");
    }

    #[term]
    fn finish(&self) {
        self.log.add("end");
    }
}

impl Ledger {
    fn balance_of(&self, account: u32) -> i64 {
        let balance = self.changed.get(&account);
        let balance = balance.or_else(|| self.committed.get(&account));
        balance.copied().unwrap_or_default()
    }
}
