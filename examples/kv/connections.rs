//! Which connections there are, and which of them makes way for a new one: the one on which nothing has happened for the longest time.
//!
//! A connection is idle until the head of a request has come whole, and again when the response has been handed over. A client that reads it slowly
//! shows by that that it is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    max: usize,
    open: usize,
    /// By the order in which they became idle.
    idle: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// A connection among the others.
#[derive(Debug)]
pub(crate) struct Connection {
    table: Connections,
    state: Mutex<State>,
    made_way: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// How many requests are in hand: with the rest of one's body still being thrown away, two.
    busy: usize,
    /// Its key in the table since it was idle last.
    key: u64,
}

/// The connection is busy until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            max,
            open: 0,
            idle: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Makes room for one more, and takes it. `None` if all are busy.
    pub(crate) fn enter(&self) -> Option<Arc<Connection>> {
        let mut table = self.lock();
        if table.open >= table.max {
            table.shed()?;
        }
        table.open += 1;
        let made_way = CancellationToken::new();
        let key = table.idle(made_way.clone());
        Some(Arc::new(Connection {
            table: self.clone(),
            state: Mutex::new(State { busy: 0, key }),
            made_way,
        }))
    }

    /// Lets the one go that has been idle for the longest time. `None` if none is.
    pub(crate) fn shed(&self) -> Option<()> {
        self.lock().shed()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn idle(&mut self, made_way: CancellationToken) -> u64 {
        let key = self.next;
        self.next += 1;
        self.idle.insert(key, made_way);
        key
    }

    fn shed(&mut self) -> Option<()> {
        let (_, made_way) = self.idle.pop_first()?;
        self.open -= 1;
        made_way.cancel();
        Some(())
    }
}

impl Connection {
    /// A request has come. `None` if the connection has to make way.
    pub(crate) fn busy(self: &Arc<Self>) -> Option<Arc<Busy>> {
        let mut table = self.table.lock();
        let mut state = self.lock();
        if state.busy == 0 {
            table.idle.remove(&state.key)?;
        }
        state.busy += 1;
        Some(Arc::new(Busy(Arc::clone(self))))
    }

    /// Something happened on it. If it is idle, it is so from now on.
    pub(crate) fn touch(&self) {
        let mut table = self.table.lock();
        let mut state = self.lock();
        // It is not in the table if it is busy, and if it has to make way.
        if table.idle.remove(&state.key).is_some() {
            state.key = table.idle(self.made_way.clone());
        }
    }

    /// Returns when it has to make way.
    pub(crate) async fn made_way(&self) {
        self.made_way.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut table = self.0.table.lock();
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.busy == 0 {
            state.key = table.idle(self.0.made_way.clone());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let key = self.lock().key;
        // It is idle. One that has made way is not counted any more.
        if table.idle.remove(&key).is_some() {
            table.open -= 1;
        }
    }
}
