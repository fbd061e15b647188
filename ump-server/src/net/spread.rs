//! Spreading the connections of one listener over several loops.

use std::{
    fmt,
    net::{SocketAddr, TcpStream as StdTcpStream},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    Error, SocketId, Sockets,
    reactor::{Arrival, Injected, Reactor},
    socket::Spreading,
};
use crate::sync::Mutex;

/// How a listener spreads its connections over the members of a [`Group`]. A connection stays with
/// the member that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Spread {
    /// To each member in turn.
    RoundRobin,
    /// By a hash of the peer's IP address: connections from one host go to the same member, as long
    /// as the members are the same.
    PeerHash,
    /// To the member with the fewest open sockets.
    LeastLoaded,
    /// To the listener's own loop only, whether or not it is a member.
    Own,
    /// To the members other than the listener's own loop, in turn; for a loop that only accepts.
    Others,
}

/// The loops over which connections are [spread](Spread): the workers of a pool, the instances of a
/// component, or any others.
///
/// Create it before the loops, and clone it into their factory. Each factory [joins](Self::join)
/// with the [`Sockets`] of its context; one of them (or another loop) listens with
/// [`Listen::spread`](super::Listen::spread). The member that gets a connection gets its
/// [`Accepted`](super::Event::Accepted), with a stream of its own loop. A connection for which
/// there is no member stays with the listener's own loop. One for a member whose handler is being
/// rebuilt waits for the next handler.
///
/// ```
/// use std::{net::Ipv4Addr, num::NonZeroUsize, ops::ControlFlow};
/// use ump_server::{
///     Refused, ReplyContext,
///     net::{Event, Group, Listen, Spread, TcpListener, TcpStream},
///     thread,
/// };
///
/// struct Worker {
///     listener: Option<TcpListener>,
///     connections: Vec<TcpStream>,
/// }
///
/// impl thread::Service for Worker {
///     type Request = ();
///     type Reply = usize;
///     type Error = Refused;
///     type Output = ();
///     type Timer = ();
///
///     fn handle(&mut self, (): (), reply: ReplyContext<usize, Refused>) -> ControlFlow<()> {
///         let _ = reply.reply(self.connections.len());
///         ControlFlow::Continue(())
///     }
///
///     fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
///         if let Event::Accepted { stream, .. } = event {
///             self.connections.push(stream);
///         }
///         ControlFlow::Continue(())
///     }
/// }
///
/// let group = Group::new();
/// let (client, _pool) = thread::Builder::new().spawn_pool(NonZeroUsize::new(2).unwrap(), move |cx| {
///     group.join(&cx.sockets()).map_err(|_| Refused)?;
///     let listens = Listen::new((Ipv4Addr::LOCALHOST, 0)).spread(&group, Spread::RoundRobin);
///     let listener = match cx.worker() {
///         0 => Some(cx.sockets().listen(listens).map_err(|_| Refused)?),
///         _ => None,
///     };
///     Ok(Worker { listener, connections: Vec::new() })
/// }).unwrap();
/// # drop(client);
/// ```
#[derive(Clone, Default)]
pub struct Group(Arc<Members>);

#[derive(Default)]
struct Members {
    all: Mutex<Vec<Weak<Reactor>>>,
    turn: AtomicUsize,
}

impl Group {
    /// Creates a group without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a loop. It leaves the group when it ends. If it is a member already, for instance
    /// because its handler is rebuilt, nothing changes.
    ///
    /// # Errors
    /// [`Register`](super::Operation::Register) if there are no descriptors left for the loop's
    /// selector, if the handler is gone, or if the loop runs on a task.
    pub fn join(&self, sockets: &Sockets) -> Result<(), Error> {
        sockets.reactor.activate(sockets.era)?;
        let mut all = self.0.all.lock();
        all.retain(|member| member.upgrade().is_some_and(|member| !member.is_closed()));
        let new = Arc::downgrade(&sockets.reactor);
        if !all.iter().any(|member| member.ptr_eq(&new)) {
            all.push(new);
        }
        Ok(())
    }

    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// Returns whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn members(&self) -> Vec<Arc<Reactor>> {
        let all = self.0.all.lock();
        let members = all.iter().filter_map(Weak::upgrade);
        members.filter(|member| !member.is_closed()).collect()
    }

    pub(super) fn spreading(&self, how: Spread) -> Box<dyn Spreading> {
        Box::new(SpreadOver {
            group: self.clone(),
            how,
        })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("len", &self.len()).finish()
    }
}

/// The way in which a listener spreads its connections.
#[derive(Debug)]
struct SpreadOver {
    group: Group,
    how: Spread,
}

impl Spreading for SpreadOver {
    fn hand_over(
        &self,
        own: u64,
        listener: SocketId,
        stream: StdTcpStream,
        peer: SocketAddr,
    ) -> Option<StdTcpStream> {
        let mut stream = stream;
        // A member that ends just now gives the connection back.
        for _ in 0..self.group.len() {
            let Some(member) = self.choose(own, peer) else {
                break;
            };
            if member.id == own {
                break;
            }
            let accepted = Injected::Accepted(Arrival {
                listener,
                stream,
                peer,
            });
            match member.try_inject(accepted) {
                Err(Injected::Accepted(back)) => stream = back.stream,
                Ok(()) | Err(_) => return None,
            }
        }
        Some(stream)
    }
}

impl SpreadOver {
    fn choose(&self, own: u64, peer: SocketAddr) -> Option<Arc<Reactor>> {
        let mut members = self.group.members();
        match self.how {
            Spread::Own => return None,
            Spread::Others => members.retain(|member| member.id != own),
            _ => {}
        }
        let count = members.len();
        let index = match self.how {
            _ if count == 0 => return None,
            Spread::PeerHash => bucket(&peer.ip().to_canonical(), count),
            Spread::LeastLoaded => {
                let loads = members.iter().map(|member| member.load());
                let least = loads.enumerate().min_by_key(|(_, load)| *load);
                least.map_or(0, |(index, _)| index)
            }
            _ => self.group.0.turn.fetch_add(1, Relaxed) % count,
        };
        Some(members.swap_remove(index))
    }
}

/// Returns the bucket of a peer: the same for each connection of it.
fn bucket(peer: &std::net::IpAddr, buckets: usize) -> usize {
    crate::hash::bucket(peer, buckets)
}
