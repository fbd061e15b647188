//! The choice among the instances of a component.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ump::Client;

use crate::hash::bucket;

/// The clients of all instances of a component, and ways to choose one.
///
/// Clones have the same instances and share the turns. A balancer holds a client of each
/// instance, and keeps the instances running as any client does.
///
/// ```
/// # use std::{convert::Infallible, time::Duration};
/// # use ump_server::{Stop, system::{Attributes, System}, thread};
/// let system = System::builder()
///     .thread("square", Attributes::new().instances(3), |_| {
///         Ok(thread::reply(|n: u64| n * n))
///     })
///     .start(Duration::from_secs(5))
///     .wait()?;
/// let squares = system.balancer::<u64, u64, Infallible>("square")?;
/// assert_eq!(squares.next().req(3), Ok(9));             // in turn
/// assert_eq!(squares.by_key("a customer").req(4), Ok(16)); // always the same instance
/// assert_eq!(squares.least_loaded().req(5), Ok(25));    // the instance with the fewest requests
/// # drop(squares);
/// # assert!(system.stop(Stop::Drain, Duration::from_secs(5)).wait().is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer<S, R, E> {
    clients: Arc<[Client<S, R, E>]>,
    /// The number of turns so far.
    turn: Arc<AtomicUsize>,
}

impl<S, R, E> Balancer<S, R, E> {
    /// Creates a balancer over `clients`, of which there is at least one.
    pub(in crate::system) fn new(clients: Vec<Client<S, R, E>>) -> Self {
        debug_assert!(!clients.is_empty(), "a component has an instance");
        Self {
            clients: clients.into(),
            turn: Arc::default(),
        }
    }

    /// Returns the client of the next instance in turn. Skips instances that have ended, unless all
    /// have ended.
    #[must_use]
    pub fn next(&self) -> &Client<S, R, E> {
        let first = self.turn();
        self.from(first)
            .find(|client| !client.is_closed())
            .unwrap_or(&self.clients[first])
    }

    /// Returns the client of the instance that a key belongs to. It is always the same instance,
    /// whether or not it has ended, because the state of the key is there.
    ///
    /// The choice depends only on what the key's [`Hash`] writes and on the number of instances. So
    /// all processes of one program choose alike, on machines of other kinds as well, with these
    /// exceptions:
    ///
    /// - A slice, array or vector of integers of more than one byte writes its memory, and so does
    ///   a key that contains one. Its choice depends on the byte order of the machine, and for
    ///   `usize` and `isize` also on their width.
    /// - Keys that differ by platform, such as paths, may be chosen differently.
    /// - What the standard library's types write may change with the version of the compiler.
    ///
    /// With one more instance, a key stays where it is or moves to the new one. The algorithm is
    /// FNV-1a, then jump consistent hashing (Lamping and Veach, 2014). It does not withstand an
    /// attacker who chooses keys that collide.
    #[must_use]
    pub fn by_key<K: Hash + ?Sized>(&self, key: &K) -> &Client<S, R, E> {
        &self.clients[bucket(key, self.clients.len())]
    }

    /// Returns the client of the instance with the fewest requests, queued and in progress. Of
    /// instances with equally many, takes each in turn. Skips instances that have ended, unless all
    /// have ended.
    ///
    /// The call reads the statistics of each instance, which takes some 50 ns and the lock of its
    /// channel. When the request is made, another instance may have become the least loaded one.
    #[must_use]
    pub fn least_loaded(&self) -> &Client<S, R, E> {
        let first = self.turn();
        let load = |client: &&Client<S, R, E>| {
            let stats = client.stats();
            stats.queued + stats.taken
        };
        // Of equal loads `min_by_key` returns the first. The iteration starts at another instance
        // at each turn.
        self.from(first)
            .filter(|client| !client.is_closed())
            .min_by_key(load)
            .unwrap_or(&self.clients[first])
    }

    /// Returns the clients, in the order of the instance numbers.
    #[must_use]
    pub fn instances(&self) -> &[Client<S, R, E>] {
        &self.clients
    }

    fn turn(&self) -> usize {
        // ORDERING: Relaxed. Each call only has to get another number.
        self.turn.fetch_add(1, Ordering::Relaxed) % self.clients.len()
    }

    /// Returns an iterator over all clients. It starts at the index `first` and wraps around.
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
