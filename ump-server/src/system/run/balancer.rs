//! Choosing among the instances of a component.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ump::Client;

use crate::system::run::hash::bucket;

/// The clients of all instances of a component, and ways to choose one.
///
/// Clones are of the same instances and choose in common. Whoever keeps one keeps clients.
///
/// ```
/// # use std::time::Duration;
/// # use ump_server::{Stop, system::{Attributes, ComponentContext, System}, thread};
/// let system = System::builder()
///     .thread("square", Attributes::new().instances(3), |_: &ComponentContext<u64, u64, ()>| {
///         Ok(thread::answer(|n: u64| Ok(n * n)))
///     })
///     .start(Duration::from_secs(5))
///     .wait()?;
/// let squares = system.balancer::<u64, u64, ()>("square")?;
/// assert_eq!(squares.next().req(3), Ok(9));             // one after the other
/// assert_eq!(squares.by_key("a customer").req(4), Ok(16)); // always the same one
/// assert_eq!(squares.least_loaded().req(5), Ok(25));    // the one with the least to do
/// # drop(squares);
/// # assert!(system.stop(Stop::Drain, Duration::from_secs(5)).wait().is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer<S, R, E> {
    clients: Arc<[Client<S, R, E>]>,
    /// Which turn it is.
    turn: Arc<AtomicUsize>,
}

impl<S, R, E> Balancer<S, R, E> {
    /// There is at least one client.
    pub(in crate::system) fn new(clients: Vec<Client<S, R, E>>) -> Self {
        debug_assert!(!clients.is_empty(), "a component has an instance");
        Self {
            clients: clients.into(),
            turn: Arc::default(),
        }
    }

    /// One after the other. Those that have ended are passed over, unless all have.
    #[must_use]
    pub fn next(&self) -> &Client<S, R, E> {
        let first = self.turn();
        self.from(first)
            .find(|client| !client.is_closed())
            .unwrap_or(&self.clients[first])
    }

    /// The same one for the same key, whether or not it has ended: its state is of that key.
    ///
    /// It depends only on the key's [`Hash`] and the number of instances, not on the process or the
    /// machine; with one instance more, a key stays where it is or moves to the new one. FNV-1a,
    /// then jump consistent hashing (Lamping and Veach, 2014). Not made to withstand somebody who
    /// chooses keys so that they meet.
    #[must_use]
    pub fn by_key<K: Hash + ?Sized>(&self, key: &K) -> &Client<S, R, E> {
        &self.clients[bucket(key, self.clients.len())]
    }

    /// The one with the fewest requests in its queue and in hand; of several, one after the other.
    /// Those that have ended are passed over, unless all have.
    ///
    /// It looks at each instance, which takes some 50 ns and its channel's lock. By the time of the
    /// request it may be another one.
    #[must_use]
    pub fn least_loaded(&self) -> &Client<S, R, E> {
        let first = self.turn();
        let load = |client: &&Client<S, R, E>| {
            let stats = client.stats();
            stats.queued + stats.taken
        };
        // Of equal ones `min_by_key` takes the first, which is another one at each turn.
        self.from(first)
            .filter(|client| !client.is_closed())
            .min_by_key(load)
            .unwrap_or(&self.clients[first])
    }

    /// The clients, by the numbers of their instances.
    #[must_use]
    pub fn instances(&self) -> &[Client<S, R, E>] {
        &self.clients
    }

    fn turn(&self) -> usize {
        // Relaxed: only that each gets another number.
        self.turn.fetch_add(1, Ordering::Relaxed) % self.clients.len()
    }

    /// All of them, from this one on.
    fn from(&self, first: usize) -> impl Iterator<Item = &Client<S, R, E>> {
        let (before, after) = self.clients.split_at(first);
        after.iter().chain(before)
    }
}

impl<S, R, E> Clone for Balancer<S, R, E> {
    fn clone(&self) -> Self {
        Self {
            clients: Arc::clone(&self.clients),
            turn: Arc::clone(&self.turn),
        }
    }
}

impl<S, R, E> fmt::Debug for Balancer<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("instances", &self.clients.len())
            .finish_non_exhaustive()
    }
}
