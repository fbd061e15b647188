//! The store: a loop on a thread that owns the database and serves requests in batches, one
//! transaction each.
//!
//! A commit waits for the disk, which is nearly the whole cost of a write. So the requests that
//! queue up during one commit share the next one. No request is answered before the commit, not
//! even a read: it may have read what an earlier request of the same batch wrote. Changes are
//! published before the replies, so a caller with a reply knows that its change is on the way.
//!
//! If the store panics, the callers of the requests that it has taken get an error, queued requests
//! stay queued, and the store is restarted: it opens the database and arms a timer for each key
//! that expires. All its state is in the database, so no acknowledged write is lost.

pub(crate) mod bus;
pub(crate) mod changes;
pub(crate) mod database;
mod expiries;
pub(crate) mod faults;
pub(crate) mod gauges;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod memory;
pub(crate) mod op;
pub(crate) mod recent;
pub(crate) mod topic;
pub(crate) mod ttl;

use std::{
    iter,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use cli::log;
use rusqlite::TransactionBehavior;
use ump_server::{
    Client, OnPanic, Restart, Timers,
    system::{Attributes, Builder, Operation, StartError, System},
    thread::{Batch, BatchService},
};

use self::{
    changes::Changes,
    database::{Database, Removal, View},
    expiries::{Expiries, TimerToken},
    faults::Faults,
    gauges::Gauges,
    history::ChangeKind,
    key::Key,
    memory::MemoryBudget,
    op::{Add, Count, Crash, Delete, Get, List, Op, Put, PutIf, Reply, StoreError, Sum},
    ttl::WallTime,
};

/// The longest value, in bytes.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// The largest number of requests in one transaction.
pub(crate) const MAX_BATCH: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// More panics than this end the service.
const RESTART: Restart = Restart::new().limit(5, Duration::from_secs(60));

/// The timeout of the start, in which the database is opened and timers are armed.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of rows with a bad expiry time that are logged one by one.
const MAX_LOGGED_ROWS: usize = 10;

/// The pause before keys that could not be removed are tried again.
const SWEEP_RETRY_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    expiries: Expiries,
    context: StoreContext,
}

/// The values that outlive the store and its restarts.
#[derive(Clone, Debug)]
pub(crate) struct StoreContext {
    pub(crate) faults: Faults,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) changes: Changes,
    /// The budget of outgoing values.
    pub(crate) memory: MemoryBudget,
}

/// The name of the component.
pub(crate) const NAME: &str = "storage";

/// Starts the store as the only component of a system.
pub(crate) fn start(
    path: PathBuf,
    queue: usize,
    context: StoreContext,
) -> Operation<Result<System, StartError>> {
    add_to(System::builder(), path, queue, context).start(START_TIMEOUT)
}

/// Adds the store to a system. It is started when the database is open, and restarted when it
/// panics, unless that happens too often.
pub(crate) fn add_to(
    builder: Builder,
    path: PathBuf,
    queue: usize,
    context: StoreContext,
) -> Builder {
    let attributes = Attributes::new()
        .capacity(queue)
        .on_panic(OnPanic::Restart(RESTART));
    builder.batches(NAME, attributes, MAX_BATCH, move |setup| {
        Ok(Store::open(&path, context.clone(), setup.timers())?)
    })
}

pub(crate) fn client(system: &System) -> Client<Op, Reply, StoreError> {
    system.client(NAME).expect("it is up, and has these types")
}

impl Store {
    fn open(
        path: &Path,
        context: StoreContext,
        timers: Timers<TimerToken>,
    ) -> Result<Self, StoreError> {
        let database = database::open(path)?;
        let mut expiries = Expiries::new(timers);
        let now = WallTime::now();
        let view = View {
            db: &database.db,
            now,
        };
        let mut bad = 0_usize;
        let read = view.for_each_expiring(
            |key, expires| expiries.arm(key, now.until(expires)),
            |key| {
                bad += 1;
                if bad <= MAX_LOGGED_ROWS {
                    log!("kv: the key {key} has an `expires` that is not a number: it does not expire until it is written again");
                }
            },
        );
        if bad > MAX_LOGGED_ROWS {
            log!("kv: and {} more keys", bad - MAX_LOGGED_ROWS);
        }
        if let Err(error) = read {
            log!(
                "kv: cannot read all keys that expire, so some stay in the file, unserved: {error}"
            );
        }
        context.gauges.set_expiring(expiries.len());
        Ok(Self {
            database,
            expiries,
            context,
        })
    }

    /// Executes a batch, then replies. A caller may have left by then.
    fn execute(&mut self, batch: &mut Batch<Op, Reply, StoreError>) {
        let now = WallTime::now();
        let answers = self.execute_together(batch, now).unwrap_or_else(|_| {
            // Nothing was executed. Executed alone, each request shows whether it is the one that
            // fails.
            let each = batch.iter();
            each.map(|(op, caller)| {
                if caller.is_cancelled() {
                    Err(StoreError::Late)
                } else {
                    self.execute_alone(op, now)
                }
            })
            .collect()
        });
        for ((op, _), answer) in batch.iter().zip(&answers) {
            if let Ok(reply) = answer {
                self.after_commit(op, reply, now);
            }
        }
        self.context.gauges.set_expiring(self.expiries.len());
        for ((_, caller), answer) in batch.drain().zip(answers) {
            let _ = caller.answer(answer);
        }
    }

    /// Executes a batch in one transaction. A request that fails changes nothing, and the others go
    /// on; an error means that the transaction failed and nothing was executed.
    fn execute_together(
        &mut self,
        batch: &Batch<Op, Reply, StoreError>,
        now: WallTime,
    ) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let begin = behavior(batch.iter().map(|(op, _)| op));
        let transaction = self.database.db.transaction_with_behavior(begin)?;
        let view = View {
            db: &transaction,
            now,
        };
        let mut answers = Vec::with_capacity(batch.len());
        for (op, caller) in batch {
            let answer = if caller.is_cancelled() {
                Err(StoreError::Late)
            } else {
                apply(view, op, &self.context.memory)
            };
            match answer {
                // After some errors, such as a full disk, SQLite has rolled back the transaction.
                Err(error) if transaction.is_autocommit() => return Err(error),
                answer => answers.push(answer),
            }
        }
        transaction.commit()?;
        Ok(answers)
    }

    /// Executes one request in its own transaction.
    fn execute_alone(&mut self, op: &Op, now: WallTime) -> Result<Reply, StoreError> {
        let begin = behavior(iter::once(op));
        let transaction = self.database.db.transaction_with_behavior(begin)?;
        let view = View {
            db: &transaction,
            now,
        };
        let reply = apply(view, op, &self.context.memory)?;
        transaction.commit()?;
        Ok(reply)
    }

    /// Updates the timer of a key after a committed write, and publishes the change.
    fn after_commit(&mut self, op: &Op, reply: &Reply, now: WallTime) {
        let (key, expires, kind) = match (op, reply) {
            (Op::Put(put), _) | (Op::PutIf(PutIf(put, _)), Reply::PutIf(true)) => {
                let Put(key, ttl, value) = put;
                let expires = ttl.map(|ttl| now.after(ttl));
                let bytes = value.len();
                (key, expires, ChangeKind::Put { bytes, expires })
            }
            (Op::Add(Add(key, _)), Reply::Add(Sum { value, expires })) => {
                let (bytes, expires) = (value.to_string().len(), *expires);
                (key, expires, ChangeKind::Put { bytes, expires })
            }
            (Op::Delete(Delete(key)), Reply::Delete(true)) => (key, None, ChangeKind::Deleted),
            _ => return,
        };
        match expires {
            Some(expires) => self.expiries.arm(key.clone(), now.until(expires)),
            None => self.expiries.disarm(key),
        }
        self.context.changes.publish(key, kind);
    }

    /// Removes the due keys in one transaction. A key that cannot be removed is tried again.
    fn sweep(&mut self) {
        let now = WallTime::now();
        let due = self.expiries.take_due();
        let removals = self.remove_expired(&due, now).unwrap_or_else(|error| {
            let failed = || Err(StoreError::clone(&error));
            due.iter().map(|_| failed()).collect()
        });
        let mut failed = Vec::new();
        for (key, removal) in due.into_iter().zip(removals) {
            match removal {
                Ok(Removal::Removed) => self.context.changes.publish(&key, ChangeKind::Expired),
                Ok(Removal::NotYet(expires)) => self.expiries.arm(key, now.until(expires)),
                Ok(Removal::NotNeeded) => {}
                Err(error) => failed.push((key, error)),
            }
        }
        self.expiries.finish_sweep();
        if let Some((key, error)) = failed.first() {
            log!(
                "kv: cannot remove {} expired keys, {:?} for one, and will try again: {error}",
                failed.len(),
                key.as_str()
            );
        }
        for (key, _) in failed {
            self.expiries.arm(key, SWEEP_RETRY_INTERVAL);
        }
    }

    fn remove_expired(
        &mut self,
        due: &[Key],
        now: WallTime,
    ) -> Result<Vec<Result<Removal, StoreError>>, StoreError> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.database.db.transaction_with_behavior(begin)?;
        let view = View {
            db: &transaction,
            now,
        };
        let mut removals = Vec::with_capacity(due.len());
        for key in due {
            match view.remove_expired(key).map_err(StoreError::from) {
                Err(error) if transaction.is_autocommit() => return Err(error),
                removal => removals.push(removal),
            }
        }
        transaction.commit()?;
        Ok(removals)
    }
}

/// Returns the behavior of a transaction. If it writes, it takes the write lock at once, in case
/// another program writes to the file.
fn behavior<'a>(mut ops: impl Iterator<Item = &'a Op>) -> TransactionBehavior {
    if ops.any(Op::writes) {
        TransactionBehavior::Immediate
    } else {
        TransactionBehavior::Deferred
    }
}

impl BatchService for Store {
    type Request = Op;
    type Reply = Reply;
    type Error = StoreError;
    type Output = ();
    type Timer = TimerToken;

    fn handle(&mut self, batch: &mut Batch<Op, Reply, StoreError>) -> ControlFlow<()> {
        let number = self.context.gauges.count_batch(batch.len());
        sleep(self.context.faults.delay);
        assert!(
            self.context.faults.panic_at != Some(number),
            "asked to panic at batch {number}"
        );
        self.execute(batch);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, token: TimerToken) -> ControlFlow<()> {
        match token {
            TimerToken::Due(key) => self.expiries.mark_due(key),
            TimerToken::Sweep => self.sweep(),
        }
        self.context.gauges.set_expiring(self.expiries.len());
        ControlFlow::Continue(())
    }
}

fn apply(view: View<'_>, op: &Op, memory: &MemoryBudget) -> Result<Reply, StoreError> {
    Ok(match op {
        Op::Get(Get(key)) => Reply::Get(view.get(key, memory)?),
        Op::Put(Put(key, ttl, value)) => {
            let expires = ttl.map(|ttl| view.now.after(ttl));
            Reply::Put(view.put(key, expires, value)?)
        }
        Op::PutIf(PutIf(Put(key, ttl, value), condition)) => {
            let meets = condition.is_met(view.exists(key)?);
            if meets {
                view.put(key, ttl.map(|ttl| view.now.after(ttl)), value)?;
            }
            Reply::PutIf(meets)
        }
        Op::Add(Add(key, number)) => Reply::Add(view.add(key, *number)?),
        Op::Delete(Delete(key)) => Reply::Delete(view.delete(key)?),
        Op::Count(Count) => Reply::Count(view.count()?),
        Op::List(List {
            prefix,
            after,
            limit,
        }) => Reply::List(view.list(prefix, after.as_deref(), *limit)?),
        Op::Crash(Crash) => panic!("asked to by POST /debug/crash"),
    })
}
