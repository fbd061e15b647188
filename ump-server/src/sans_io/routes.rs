//! Which task gets a received packet.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
};

use super::{Receive, SocketNumber, TaskId, Transmit};

/// A table that says which task gets a received packet.
///
/// A packet goes to the task that last sent a packet to its source by the same socket. If no task
/// has, it goes to the [owner](Self::set_owner) of the socket, and if there is none, to the oldest
/// task. So a single task gets all packets. And a task that listens, and spawns a task for each
/// peer, gets the packets of new peers only, once the spawned tasks have sent something.
///
/// The table remembers a limited number of peers. If it is full, those of the task that listens are
/// forgotten first: it gets their packets anyway. So packets from many forged sources, which it
/// answers, do not take the room of the others.
pub struct Routes {
    peers: HashMap<(SocketNumber, SocketAddr), TaskId>,
    /// The peers of each task.
    by_task: HashMap<TaskId, Vec<(SocketNumber, SocketAddr)>>,
    owners: HashMap<SocketNumber, TaskId>,
    tasks: BTreeSet<TaskId>,
    limit: usize,
}

impl Routes {
    /// Creates a table that remembers at most `limit` peers.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            peers: HashMap::new(),
            by_task: HashMap::new(),
            owners: HashMap::new(),
            tasks: BTreeSet::new(),
            limit,
        }
    }

    /// Makes a task the owner of a socket.
    pub fn set_owner(&mut self, socket: SocketNumber, task: TaskId) {
        self.owners.insert(socket, task);
    }

    /// Returns the task that gets a packet.
    #[must_use]
    pub fn route(&self, packet: &Receive<'_>) -> Option<TaskId> {
        let peer = self.peers.get(&(packet.socket, packet.source));
        peer.copied().or_else(|| self.default_of(packet.socket))
    }

    /// Returns the task that gets the packets of unknown peers.
    fn default_of(&self, socket: SocketNumber) -> Option<TaskId> {
        let owner = self.owners.get(&socket);
        owner.or_else(|| self.tasks.first()).copied()
    }

    /// Forgets a peer of the task that gets the packets of unknown peers, and so gets those of this
    /// one as before. Returns whether there was one, and `from` is another task.
    fn make_room(&mut self, socket: SocketNumber, from: TaskId) -> bool {
        let Some(default) = self.default_of(socket).filter(|default| *default != from) else {
            return false;
        };
        let Some(peers) = self.by_task.get_mut(&default) else {
            return false;
        };
        let Some(at) = peers.iter().rposition(|(of, _)| *of == socket) else {
            return false;
        };
        let peer = peers.swap_remove(at);
        self.peers.remove(&peer);
        true
    }

    /// Adds a task.
    pub fn spawned(&mut self, task: TaskId) {
        self.tasks.insert(task);
    }

    /// Removes a task.
    pub fn ended(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.owners.retain(|_, owner| *owner != task);
        for peer in self.by_task.remove(&task).unwrap_or_default() {
            if self.peers.get(&peer) == Some(&task) {
                self.peers.remove(&peer);
            }
        }
    }

    /// Remembers that a task sends a packet.
    pub fn sent(&mut self, from: TaskId, packet: &Transmit) {
        let peer = (packet.socket, packet.destination);
        let has_room = self.peers.len() < self.limit;
        match self.peers.get_mut(&peer) {
            Some(task) if *task == from => return,
            Some(task) => {
                let before = std::mem::replace(task, from);
                if let Some(peers) = self.by_task.get_mut(&before) {
                    peers.retain(|other| *other != peer);
                }
            }
            None => {
                if !has_room && !self.make_room(packet.socket, from) {
                    return;
                }
                self.peers.insert(peer, from);
            }
        }
        self.by_task.entry(from).or_default().push(peer);
    }
}

impl Default for Routes {
    /// Creates a table that remembers at most 65,536 peers.
    fn default() -> Self {
        Self::with_limit(65_536)
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("peers", &self.peers.len())
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sans_io::{Group, Input, Io, Output, Task};

    struct Idle;

    impl Task for Idle {
        type Io = Io;

        fn on_tick(&mut self, _: Instant) {}

        fn on_input(&mut self, _: Instant, _: Input<'_, Io>) {}

        fn pop_output(&mut self, _: Instant) -> Option<Output<Io>> {
            None
        }

        fn next_deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn the_peers_of_a_listener_leave_room_for_those_of_other_tasks() {
        let peer = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let mut group = Group::new();
        let now = Instant::now();
        let [listener, session] = [(); 2].map(|()| group.spawn(now, Idle).unwrap());
        let mut routes = Routes::with_limit(2);
        routes.spawned(listener);
        routes.spawned(session);
        for port in 1..10 {
            routes.sent(listener, &Transmit::new(peer(port), [7]));
        }
        routes.sent(session, &Transmit::new(peer(20), [7]));
        assert_eq!(routes.peers.len(), 2);
        let task_of = |port| routes.route(&Receive::new(peer(port), [7]));
        assert_eq!(task_of(20), Some(session));
        assert_eq!([1, 2, 9].map(task_of), [Some(listener); 3]);
    }
}
