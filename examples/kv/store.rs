//! The blocking side: a loop on a thread that owns the database and serves requests in batches, one transaction per batch.
//!
//! A commit waits for the disk, and that wait is nearly all the cost of a write. So whatever has queued up during one
//! commit goes into the next one together. Nobody is answered before the commit, not even a reader: it may have read
//! what an earlier request of the same batch wrote. Whoever watches is told before that, so who has an answer knows that its change is on the way.
//!
//! If it panics, those whose requests are in its hands are told, what is queued stays there, and it is made anew: the database opened again, a timer
//! armed for each key that is to expire. All that it knows is in the database, so nothing is lost that was acknowledged.

use std::{
    error::Error,
    fmt,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use axum::body::Bytes;
use rusqlite::Connection;
use ump_server::{
    Client, OnPanic, Restart, Timers,
    system::{Attributes, Setup, StartError, System, Waiting},
    thread::{Batch, BatchHandler},
};

use crate::{
    changes::{Changes, What},
    database::{self, Burial, Entry, View},
    expiries::{Expiries, Token},
    gauges::Gauges,
    key::Key,
    ttl::{Ttl, WallTime},
};

/// In bytes.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// The largest number of requests in one transaction.
pub(crate) const MAX_BATCH: usize = 256;

/// More panics than this, and it is not for us to mend.
const RESTART: Restart = Restart::new().limit(5, Duration::from_secs(60));

/// For the database to be opened, and a timer armed for each key that is to expire.
const PATIENCE: Duration = Duration::from_secs(60);

/// When keys that could not be removed are tried again.
const SWEEP_AGAIN: Duration = Duration::from_secs(10);

/// What the store can be asked for.
#[derive(Debug)]
pub(crate) enum Op {
    Get(Key),
    Put(Key, Option<Ttl>, Bytes),
    Delete(Key),
    List {
        prefix: String,
        limit: usize,
    },
    /// To panic.
    Crash,
}

/// How the store answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It was written, and is on disk.
    Done,
    /// There is no such key.
    Absent,
    Value(Vec<u8>),
    Keys(Vec<Entry>),
}

/// Why the store refuses.
#[derive(Clone, Debug)]
pub(crate) enum StoreError {
    /// When its turn came nobody waited for it any more, so it was not executed.
    Late,
    /// Shared, because all the writes of a batch fail together.
    Database(Arc<rusqlite::Error>),
    /// The file has this version of the schema, which we do not know.
    Version(i64),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("nobody waits any more"),
            Self::Database(error) => error.fmt(f),
            Self::Version(version) => write!(f, "it was made by another kv: schema {version}"),
        }
    }
}

impl Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

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
    db: Connection,
    expiries: Expiries,
    faults: Faults,
    gauges: Arc<Gauges>,
    changes: Changes,
}

/// What it is called.
const NAME: &str = "storage";

/// Starts it as the one component of a system: up when the database is open, and made anew when it panics, unless it does so too often.
pub(crate) fn start(
    path: PathBuf,
    queue: usize,
    faults: Faults,
    gauges: Arc<Gauges>,
    changes: Changes,
) -> Waiting<Result<System, StartError>> {
    let max = NonZeroUsize::new(MAX_BATCH).expect("it is not zero");
    let attributes = Attributes::new()
        .capacity(queue)
        .on_panic(OnPanic::Restart(RESTART));
    System::builder()
        .batches(NAME, attributes, max, move |setup: &Setup<_, _, _, _>| {
            Ok(Store::open(
                &path,
                faults,
                Arc::clone(&gauges),
                changes.clone(),
                setup.timers(),
            )?)
        })
        .start(PATIENCE)
}

pub(crate) fn client(system: &System) -> Client<Op, Reply, StoreError> {
    system.client(NAME).expect("it is up, and has these types")
}

impl Store {
    fn open(
        path: &Path,
        faults: Faults,
        gauges: Arc<Gauges>,
        changes: Changes,
        timers: Timers<Token>,
    ) -> Result<Self, StoreError> {
        let db = database::open(path)?;
        let mut expiries = Expiries::new(timers);
        let now = WallTime::now();
        View { db: &db, now }.each_mortal(|key, expires| expiries.arm(key, now.until(expires)))?;
        gauges.set_expiring(expiries.len());
        Ok(Self {
            db,
            expiries,
            faults,
            gauges,
            changes,
        })
    }

    /// Executes the batch, then answers it. That a caller may have left by then is no concern of ours.
    fn execute(&mut self, batch: &mut Batch<Op, Reply, StoreError>) {
        let now = WallTime::now();
        match self.commit(batch, now) {
            Ok(replies) => {
                for ((op, _), reply) in batch.iter().zip(&replies) {
                    if let Some(Reply::Done) = reply {
                        self.written(op, now);
                    }
                }
                self.gauges.set_expiring(self.expiries.len());
                for ((_, caller), reply) in batch.drain().zip(replies) {
                    let _ = caller.answer(reply.ok_or(StoreError::Late));
                }
            }
            // The writes never happened. The reads may have seen them, so they are done again.
            Err(error) => {
                let view = View { db: &self.db, now };
                for (op, caller) in batch.drain() {
                    let answer = match op {
                        Op::Put(..) | Op::Delete(_) => Err(error.clone()),
                        Op::Get(_) | Op::List { .. } | Op::Crash => {
                            apply(view, &op).map_err(StoreError::from)
                        }
                    };
                    let _ = caller.answer(answer);
                }
            }
        }
    }

    /// All of the batch in one transaction, or nothing of it. `None` stands for a request that nobody waits for any more,
    /// which is not executed.
    fn commit(
        &mut self,
        batch: &Batch<Op, Reply, StoreError>,
        now: WallTime,
    ) -> Result<Vec<Option<Reply>>, StoreError> {
        let transaction = self.db.transaction()?;
        let view = View {
            db: &transaction,
            now,
        };
        let replies = batch
            .iter()
            .map(|(op, caller)| {
                if caller.is_cancelled() {
                    Ok(None)
                } else {
                    apply(view, op).map(Some)
                }
            })
            .collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(replies)
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
        self.changes.publish(key, what);
    }

    /// Removes what is due, in one transaction.
    fn sweep(&mut self) {
        let now = WallTime::now();
        let due = self.expiries.take_due();
        match self.bury(&due, now) {
            Ok(burials) => {
                for (key, burial) in due.into_iter().zip(burials) {
                    match burial {
                        Burial::Done => self.changes.publish(&key, What::Expired),
                        Burial::TooEarly(expires) => self.expiries.arm(key, now.until(expires)),
                        Burial::Needless => {}
                    }
                }
                self.expiries.go_on();
            }
            Err(error) => {
                eprintln!("kv: cannot remove expired keys, and will try again: {error}");
                self.expiries.put_off(due, SWEEP_AGAIN);
            }
        }
    }

    fn bury(&mut self, due: &[Key], now: WallTime) -> rusqlite::Result<Vec<Burial>> {
        let transaction = self.db.transaction()?;
        let view = View {
            db: &transaction,
            now,
        };
        let burials = due
            .iter()
            .map(|key| view.bury(key))
            .collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(burials)
    }
}

impl BatchHandler<Op, Reply, StoreError, (), Token> for Store {
    fn proc_batch(&mut self, batch: &mut Batch<Op, Reply, StoreError>) -> ControlFlow<()> {
        let number = self.gauges.count_batch(batch.len());
        sleep(self.faults.delay);
        assert!(
            self.faults.panic_at != Some(number),
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
        self.gauges.set_expiring(self.expiries.len());
        ControlFlow::Continue(())
    }
}

fn apply(view: View<'_>, op: &Op) -> rusqlite::Result<Reply> {
    let done = |is_done| if is_done { Reply::Done } else { Reply::Absent };
    match op {
        Op::Get(key) => Ok(view.get(key)?.map_or(Reply::Absent, Reply::Value)),
        Op::Put(key, ttl, value) => {
            let expires = ttl.map(|ttl| view.now.after(ttl));
            view.put(key, expires, value).map(|()| Reply::Done)
        }
        Op::Delete(key) => view.delete(key).map(done),
        Op::List { prefix, limit } => view.list(prefix, *limit).map(Reply::Keys),
        Op::Crash => panic!("asked to by POST /debug/crash"),
    }
}
