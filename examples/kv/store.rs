//! The blocking side: a loop on a thread that owns the database and serves requests in batches, one transaction per batch.
//!
//! A commit waits for the disk, and that wait is nearly all the cost of a write. So whatever has queued up during one
//! commit goes into the next one together. Nobody is answered before the commit, not even a reader: it may have read
//! what an earlier request of the same batch wrote. Whoever watches is told before that, so who has an answer knows that its change is on the way.
//!
//! If it panics, those whose requests are in its hands are told, what is queued stays there, and it is made anew: the database opened again, a timer
//! armed for each key that is to expire. All that it knows is in the database, so nothing is lost that was acknowledged.

use std::{
    iter,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use output::log;
use rusqlite::TransactionBehavior;
use ump_server::{
    Client, OnPanic, Restart, Timers,
    system::{Attributes, Setup, StartError, System, Waiting},
    thread::{Batch, BatchHandler},
};

use crate::{
    changes::Changes,
    database::{self, Burial, Database, View},
    expiries::{Expiries, Token},
    gauges::Gauges,
    history::What,
    key::Key,
    op::{Op, Reply, StoreError},
    room::Room,
    ttl::WallTime,
};

/// In bytes.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// The largest number of requests in one transaction.
pub(crate) const MAX_BATCH: usize = 256;

/// More panics than this, and it is not for us to mend.
const RESTART: Restart = Restart::new().limit(5, Duration::from_secs(60));

/// For the database to be opened, and a timer armed for each key that is to expire.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many keys with a bad end of their life are named at the start.
const NAMED: usize = 10;

/// When keys that could not be removed are tried again.
const SWEEP_AGAIN: Duration = Duration::from_secs(10);

/// Troubles to order, so that one can see what callers see then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Before each batch.
    pub(crate) delay: Duration,
    /// With this batch in hand, counted from one.
    pub(crate) panic_at: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    expiries: Expiries,
    surroundings: Surroundings,
}

/// What is there before the store, and after it.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) faults: Faults,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) changes: Changes,
    /// For the values on their way to those who read.
    pub(crate) room: Room,
}

/// What it is called.
const NAME: &str = "storage";

/// Starts it as the one component of a system: up when the database is open, and made anew when it panics, unless it does so too often.
pub(crate) fn start(
    path: PathBuf,
    queue: usize,
    surroundings: Surroundings,
) -> Waiting<Result<System, StartError>> {
    let max = NonZeroUsize::new(MAX_BATCH).expect("it is not zero");
    let attributes = Attributes::new()
        .capacity(queue)
        .on_panic(OnPanic::Restart(RESTART));
    System::builder()
        .batches(NAME, attributes, max, move |setup: &Setup<_, _, _, _>| {
            Ok(Store::open(&path, surroundings.clone(), setup.timers())?)
        })
        .start(PATIENCE)
}

pub(crate) fn client(system: &System) -> Client<Op, Reply, StoreError> {
    system.client(NAME).expect("it is up, and has these types")
}

impl Store {
    fn open(
        path: &Path,
        surroundings: Surroundings,
        timers: Timers<Token>,
    ) -> Result<Self, StoreError> {
        let database = database::open(path)?;
        let mut expiries = Expiries::new(timers);
        let now = WallTime::now();
        let view = View {
            db: &database.db,
            now,
        };
        let mut bad = 0_usize;
        let read = view.each_mortal(
            |key, expires| expiries.arm(key, now.until(expires)),
            |key| {
                bad += 1;
                if bad <= NAMED {
                    log!("kv: the key {key} has an `expires` that is no number: it lives until it is written again");
                }
            },
        );
        if bad > NAMED {
            log!("kv: and {} keys more", bad - NAMED);
        }
        if let Err(error) = read {
            log!(
                "kv: cannot read all keys that expire, so some will stay in the file, unseen: {error}"
            );
        }
        surroundings.gauges.set_expiring(expiries.len());
        Ok(Self {
            database,
            expiries,
            surroundings,
        })
    }

    /// Executes the batch, then answers it. That a caller may have left by then is no concern of ours.
    fn execute(&mut self, batch: &mut Batch<Op, Reply, StoreError>) {
        let now = WallTime::now();
        let answers = self.together(batch, now).unwrap_or_else(|_| {
            // Nothing of it has happened. Each shows by itself whether it is the one that fails.
            let each = batch.iter();
            each.map(|(op, caller)| {
                if caller.is_cancelled() {
                    Err(StoreError::Late)
                } else {
                    self.alone(op, now)
                }
            })
            .collect()
        });
        for ((op, _), answer) in batch.iter().zip(&answers) {
            if let Ok(Reply::Done) = answer {
                self.written(op, now);
            }
        }
        self.surroundings.gauges.set_expiring(self.expiries.len());
        for ((_, caller), answer) in batch.drain().zip(answers) {
            let _ = caller.answer(answer);
        }
    }

    /// All of the batch in one transaction. A request that fails changes nothing, and the others go on; an error means that the
    /// transaction failed, and nothing has happened.
    fn together(
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
                apply(view, op, &self.surroundings.room)
            };
            match answer {
                // After some errors, such as a full disk, SQLite has rolled back all of it.
                Err(error) if transaction.is_autocommit() => return Err(error),
                answer => answers.push(answer),
            }
        }
        transaction.commit()?;
        Ok(answers)
    }

    /// One request in a transaction of its own.
    fn alone(&mut self, op: &Op, now: WallTime) -> Result<Reply, StoreError> {
        let begin = behavior(iter::once(op));
        let transaction = self.database.db.transaction_with_behavior(begin)?;
        let view = View {
            db: &transaction,
            now,
        };
        let reply = apply(view, op, &self.surroundings.room)?;
        transaction.commit()?;
        Ok(reply)
    }

    /// What follows from a committed write: the key expires when it is to, and no more when it is not, and whoever watches is told.
    fn written(&mut self, op: &Op, now: WallTime) {
        let (key, expires, what) = match op {
            Op::Put(key, ttl, value) => {
                let expires = ttl.map(|ttl| now.after(ttl));
                let bytes = value.len();
                (key, expires, What::Put { bytes, expires })
            }
            Op::Delete(key) => (key, None, What::Deleted),
            Op::Get(_) | Op::List { .. } | Op::Crash => return,
        };
        match expires {
            Some(expires) => self.expiries.arm(key.clone(), now.until(expires)),
            None => self.expiries.disarm(key),
        }
        self.surroundings.changes.publish(key, what);
    }

    /// Removes what is due, in one transaction. A key that cannot be removed is tried again.
    fn sweep(&mut self) {
        let now = WallTime::now();
        let due = self.expiries.take_due();
        let burials = self.bury(&due, now).unwrap_or_else(|error| {
            let failed = || Err(StoreError::clone(&error));
            due.iter().map(|_| failed()).collect()
        });
        let mut failed = Vec::new();
        for (key, burial) in due.into_iter().zip(burials) {
            match burial {
                Ok(Burial::Done) => self.surroundings.changes.publish(&key, What::Expired),
                Ok(Burial::TooEarly(expires)) => self.expiries.arm(key, now.until(expires)),
                Ok(Burial::Needless) => {}
                Err(error) => failed.push((key, error)),
            }
        }
        self.expiries.go_on();
        if let Some((key, error)) = failed.first() {
            log!(
                "kv: cannot remove {} expired keys, {:?} for one, and will try again: {error}",
                failed.len(),
                key.as_str()
            );
        }
        for (key, _) in failed {
            self.expiries.arm(key, SWEEP_AGAIN);
        }
    }

    fn bury(
        &mut self,
        due: &[Key],
        now: WallTime,
    ) -> Result<Vec<Result<Burial, StoreError>>, StoreError> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.database.db.transaction_with_behavior(begin)?;
        let view = View {
            db: &transaction,
            now,
        };
        let mut burials = Vec::with_capacity(due.len());
        for key in due {
            match view.bury(key).map_err(StoreError::from) {
                Err(error) if transaction.is_autocommit() => return Err(error),
                burial => burials.push(burial),
            }
        }
        transaction.commit()?;
        Ok(burials)
    }
}

/// A transaction that is to write asks for it at once, in case another program writes to the file.
fn behavior<'a>(mut ops: impl Iterator<Item = &'a Op>) -> TransactionBehavior {
    if ops.any(|op| matches!(op, Op::Put(..) | Op::Delete(_))) {
        TransactionBehavior::Immediate
    } else {
        TransactionBehavior::Deferred
    }
}

impl BatchHandler<Op, Reply, StoreError, (), Token> for Store {
    fn proc_batch(&mut self, batch: &mut Batch<Op, Reply, StoreError>) -> ControlFlow<()> {
        let number = self.surroundings.gauges.count_batch(batch.len());
        sleep(self.surroundings.faults.delay);
        assert!(
            self.surroundings.faults.panic_at != Some(number),
            "asked to panic at batch {number}"
        );
        self.execute(batch);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, token: Token) -> ControlFlow<()> {
        match token {
            Token::Due(key) => self.expiries.fall_due(key),
            Token::Sweep => self.sweep(),
        }
        self.surroundings.gauges.set_expiring(self.expiries.len());
        ControlFlow::Continue(())
    }
}

fn apply(view: View<'_>, op: &Op, room: &Room) -> Result<Reply, StoreError> {
    let done = |is_done| if is_done { Reply::Done } else { Reply::Absent };
    match op {
        Op::Get(key) => Ok(view.get(key, room)?.map_or(Reply::Absent, Reply::Value)),
        Op::Put(key, ttl, value) => {
            let expires = ttl.map(|ttl| view.now.after(ttl));
            view.put(key, expires, value)?;
            Ok(Reply::Done)
        }
        Op::Delete(key) => Ok(done(view.delete(key)?)),
        Op::List {
            prefix,
            after,
            limit,
        } => view.list(prefix, after.as_deref(), *limit).map(Reply::Keys),
        Op::Crash => panic!("asked to by POST /debug/crash"),
    }
}
