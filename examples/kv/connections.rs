//! The table of connections. If it is full, a new connection evicts the one that has been idle for
//! the longest time.
//!
//! A connection is idle until the head of a request has been received, and again when the response
//! has been written. A client that reads slowly refreshes its idle time with each read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The table of connections. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    max: usize,
    open: usize,
    /// The idle connections, in the order in which they became idle.
    idle: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// A connection in the table.
#[derive(Debug)]
pub(crate) struct Connection {
    table: Connections,
    state: Mutex<State>,
    eviction: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// The number of requests in hand. It is two while the rest of a body is drained.
    busy: usize,
    /// Its key in the table while it is idle.
    key: u64,
}

/// Keeps the connection busy until it is dropped.
#[derive(Debug)]
pub(crate) struct BusyGuard(Arc<Connection>);

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            max,
            open: 0,
            idle: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Admits a connection, evicting an idle one if needed; `None` if all are busy.
    pub(crate) fn admit(&self) -> Option<Arc<Connection>> {
        let mut table = self.lock();
        if table.open >= table.max {
            table.evict()?;
        }
        table.open += 1;
        let eviction = CancellationToken::new();
        let key = table.idle(eviction.clone());
        Some(Arc::new(Connection {
            table: self.clone(),
            state: Mutex::new(State { busy: 0, key }),
            eviction,
        }))
    }

    /// Evicts the connection that has been idle for the longest time, if there is one.
    pub(crate) fn evict(&self) -> Option<()> {
        self.lock().evict()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn idle(&mut self, eviction: CancellationToken) -> u64 {
        let key = self.next;
        self.next += 1;
        self.idle.insert(key, eviction);
        key
    }

    fn evict(&mut self) -> Option<()> {
        let (_, eviction) = self.idle.pop_first()?;
        self.open -= 1;
        eviction.cancel();
        Some(())
    }
}

impl Connection {
    /// Marks the connection as busy with a request; `None` if it was evicted.
    pub(crate) fn busy(self: &Arc<Self>) -> Option<Arc<BusyGuard>> {
        let mut table = self.table.lock();
        let mut state = self.lock();
        if state.busy == 0 {
            table.idle.remove(&state.key)?;
        }
        state.busy += 1;
        Some(Arc::new(BusyGuard(Arc::clone(self))))
    }

    /// Refreshes the idle time, if the connection is idle.
    pub(crate) fn touch(&self) {
        let mut table = self.table.lock();
        let mut state = self.lock();
        // A busy or evicted connection is not in the table.
        if table.idle.remove(&state.key).is_some() {
            state.key = table.idle(self.eviction.clone());
        }
    }

    /// Waits until the connection is evicted.
    pub(crate) async fn evicted(&self) {
        self.eviction.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        let mut table = self.0.table.lock();
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.busy == 0 {
            state.key = table.idle(self.0.eviction.clone());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let key = self.lock().key;
        // Without requests it is idle, unless it was evicted and is no longer counted.
        if table.idle.remove(&key).is_some() {
            table.open -= 1;
        }
    }
}
