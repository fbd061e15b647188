//! The connections of a driver: the part that is the same for all kinds of streams.
//!
//! # Invariants
//!
//! 1. Each connection in the table has had its `Opened`, and has had no `Closed`. The operation
//!    that removes it queues its `Closed`, unless its task has ended.
//! 2. A connection whose bytes wait is flushed at the end of the turn (`dirty`), or it waits for
//!    the stream to be writable, and has an entry in `deadlines`.
//! 3. `inputs` has the inputs of a connection in their order. Data is read only when it has none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    net::SocketAddr,
    time::Instant,
};

use super::{
    CloseReason, ConnectionId, Origin, StreamInput, StreamLimits, StreamOutput,
    connection::{ByteStream, Connection, OwnHalf},
};
use crate::sans_io::{Payload, SocketNumber, TaskId};

/// Chooses the task of an accepted connection, by its listener and its peer.
pub(in crate::sans_io) type ChooseOwner =
    Box<dyn FnMut(SocketNumber, SocketAddr) -> Option<TaskId> + Send>;

/// The connections of a driver, and the inputs of their tasks.
pub(in crate::sans_io) struct Connections<B> {
    pub(in crate::sans_io) limits: StreamLimits,
    pub(super) table: HashMap<ConnectionId, Connection<B>>,
    by_task: BTreeMap<TaskId, BTreeSet<ConnectionId>>,
    owners: BTreeMap<SocketNumber, TaskId>,
    chooser: Option<ChooseOwner>,
    inputs: VecDeque<(TaskId, StreamInput<'static>)>,
    dirty: Vec<ConnectionId>,
    pub(super) deadlines: BTreeSet<(Instant, ConnectionId)>,
    opened: u64,
    is_paused: bool,
    pub(super) now: Instant,
}

/// The size of the buffer for reads.
const READ: usize = 64 * 1_024;

impl<B: ByteStream> Connections<B> {
    pub(in crate::sans_io) fn new(now: Instant) -> Self {
        Self {
            limits: StreamLimits::default(),
            table: HashMap::new(),
            by_task: BTreeMap::new(),
            owners: BTreeMap::new(),
            chooser: None,
            inputs: VecDeque::new(),
            dirty: Vec::new(),
            deadlines: BTreeSet::new(),
            opened: 0,
            is_paused: false,
            now,
        }
    }

    #[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
    pub(in crate::sans_io) fn len(&self) -> usize {
        self.table.len()
    }

    #[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
    pub(in crate::sans_io) fn set_owner(&mut self, listener: SocketNumber, task: TaskId) {
        self.owners.insert(listener, task);
    }

    #[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
    pub(in crate::sans_io) fn set_chooser(&mut self, chooser: ChooseOwner) {
        self.chooser = Some(chooser);
    }

    pub(in crate::sans_io) fn spawned(&mut self, task: TaskId) {
        self.by_task.insert(task, BTreeSet::new());
    }

    /// Closes the connections of a task that has ended.
    pub(in crate::sans_io) fn ended(&mut self, task: TaskId) {
        self.owners.retain(|_, owner| *owner != task);
        for id in self.by_task.remove(&task).unwrap_or_default() {
            if let Some(connection) = self.table.get_mut(&id) {
                if !connection.is_released() {
                    connection.owner = None;
                }
            }
            self.close(id);
        }
    }

    pub(in crate::sans_io) fn is_task(&self, task: TaskId) -> bool {
        self.by_task.contains_key(&task)
    }

    /// Returns the task that gets a connection that a listener has accepted.
    pub(in crate::sans_io) fn owner_of(
        &mut self,
        listener: SocketNumber,
        peer: SocketAddr,
    ) -> Option<TaskId> {
        if let Some(choose) = &mut self.chooser {
            let chosen = choose(listener, peer);
            return chosen.filter(|task| self.by_task.contains_key(task));
        }
        let owner = self.owners.get(&listener).copied();
        owner.or_else(|| self.by_task.keys().next().copied())
    }

    /// Returns the id of the next connection that is added.
    #[cfg(feature = "tokio-net")]
    pub(in crate::sans_io) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.opened + 1)
    }

    #[cfg(feature = "tokio-net")]
    pub(in crate::sans_io) fn stream_mut(&mut self, id: ConnectionId) -> Option<&mut B> {
        Some(&mut self.table.get_mut(&id)?.stream)
    }

    /// Adds a connection of a task.
    pub(in crate::sans_io) fn open(
        &mut self,
        owner: TaskId,
        stream: B,
        origin: Origin,
        (local, peer): (Option<SocketAddr>, SocketAddr),
    ) -> ConnectionId {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let mut connection = Connection::new(stream, owner);
        connection.update_reading(self.limits.pauses_blocked, self.is_paused);
        self.table.insert(id, connection);
        self.by_task.entry(owner).or_default().insert(id);
        let opened = StreamInput::Opened {
            connection: id,
            origin,
            local,
            peer,
        };
        self.inputs.push_back((owner, opened));
        id
    }

    /// Queues an input that belongs to no connection.
    pub(in crate::sans_io) fn push(&mut self, to: TaskId, input: StreamInput<'static>) {
        self.inputs.push_back((to, input));
    }

    /// Returns the task that an input is for.
    pub(in crate::sans_io) fn route(&self, input: &StreamInput<'_>) -> Option<TaskId> {
        self.owner(input.connection()?)
    }

    /// Returns the task of a connection.
    pub(in crate::sans_io) fn owner(&self, id: ConnectionId) -> Option<TaskId> {
        self.table.get(&id)?.owner
    }

    /// Handles an output of a task, other than `Connect`.
    pub(in crate::sans_io) fn transmit(
        &mut self,
        from: TaskId,
        output: StreamOutput,
    ) -> io::Result<()> {
        match output {
            StreamOutput::Connect(_) => Err(io::ErrorKind::Unsupported.into()),
            StreamOutput::Send { connection, bytes } => self.send(connection, bytes),
            StreamOutput::ShutDown { connection: id } => self.change(id, |connection| {
                if connection.own_half == OwnHalf::Open {
                    connection.own_half = OwnHalf::Ending;
                }
            }),
            StreamOutput::Close { connection } => {
                self.close(connection);
                Ok(())
            }
            StreamOutput::Reset { connection: id } => {
                if let Some(connection) = self.table.get_mut(&id) {
                    connection.stream.reset();
                    self.finish(id, CloseReason::Reset);
                }
                Ok(())
            }
            StreamOutput::PauseReading { connection: id } => {
                self.change(id, |connection| connection.is_paused = true)
            }
            StreamOutput::ResumeReading { connection: id } => {
                self.change(id, |connection| connection.is_paused = false)
            }
            StreamOutput::Release { connection } => self.release(connection),
            StreamOutput::Claim { connection } => self.claim(from, connection),
        }
    }

    fn change(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection<B>),
    ) -> io::Result<()> {
        let connection = self.table.get_mut(&id);
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        change(connection);
        connection.update_reading(self.limits.pauses_blocked, self.is_paused);
        self.make_dirty(id);
        Ok(())
    }

    fn make_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(&id) {
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(id);
            }
        }
    }

    fn send(&mut self, id: ConnectionId, bytes: Payload<'static>) -> io::Result<()> {
        let connection = self.table.get_mut(&id);
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        if connection.own_half != OwnHalf::Open || connection.closing.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let limit = self.limits.send_buffer;
        if !connection.is_all_sent() && connection.length + bytes.len() > limit {
            connection.write(self.now);
        }
        let is_full = !connection.is_all_sent() && connection.length + bytes.len() > limit;
        connection.push(bytes);
        if is_full {
            connection.stream.reset();
            self.finish(id, CloseReason::NotReading);
            return Ok(());
        }
        let is_high = connection.length > self.limits.high_water && !connection.is_blocked;
        self.make_dirty(id);
        if is_high {
            // It is read no more from now on, not from the end of the turn on.
            self.flush_one(id);
        }
        Ok(())
    }

    fn close(&mut self, id: ConnectionId) {
        let until = self.close_until();
        let _ = self.change(id, |connection| {
            connection.closing.get_or_insert(until);
            if connection.own_half == OwnHalf::Open && !connection.is_released() {
                connection.own_half = OwnHalf::Ending;
            }
        });
    }

    fn close_until(&self) -> Instant {
        let until = self.now.checked_add(self.limits.close_timeout);
        until.unwrap_or(self.now)
    }

    fn release(&mut self, id: ConnectionId) -> io::Result<()> {
        // Nobody may come to claim it: the driver may have no room for another task.
        let until = self.close_until();
        self.change(id, |connection| {
            connection.released.get_or_insert(until);
        })
    }

    fn claim(&mut self, by: TaskId, id: ConnectionId) -> io::Result<()> {
        let connection = self.table.get_mut(&id);
        let connection = connection.filter(|it| it.is_released());
        let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        let before = connection.owner.replace(by);
        if let Some(before) = before {
            if let Some(connections) = self.by_task.get_mut(&before) {
                connections.remove(&id);
            }
        }
        self.by_task.entry(by).or_default().insert(id);
        for (to, input) in &mut self.inputs {
            if input.connection() == Some(id) {
                *to = by;
            }
        }
        self.change(id, |connection| {
            connection.released = None;
            connection.closing = None;
        })
    }

    /// Removes a connection, and queues its last input.
    pub(super) fn finish(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.table.remove(&id) else {
            return;
        };
        if let Some(at) = connection.deadline {
            self.deadlines.remove(&(at, id));
        }
        let Some(owner) = connection.owner else {
            return;
        };
        if let Some(connections) = self.by_task.get_mut(&owner) {
            connections.remove(&id);
        }
        let closed = StreamInput::Closed {
            connection: id,
            reason,
            unsent: connection.length,
        };
        self.inputs.push_back((owner, closed));
    }

    /// Notes that a stream has room for bytes.
    pub(in crate::sans_io) fn writable(&mut self, id: ConnectionId) {
        self.make_dirty(id);
    }

    /// Notes that a stream was reset, or both its halves have ended, although it is not read.
    pub(in crate::sans_io) fn hung_up(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get(&id) {
            if connection.has_peer_ended {
                self.finish(id, CloseReason::PeerReset);
            } else {
                self.make_dirty(id);
            }
        }
    }

    /// Returns the next input that waits, other than data.
    pub(in crate::sans_io) fn next_queued(
        &mut self,
        now: Instant,
        has_room: &dyn Fn(TaskId) -> bool,
    ) -> Option<(TaskId, StreamInput<'static>)> {
        self.now = now;
        let at = self.inputs.iter().position(|(to, _)| has_room(*to))?;
        self.inputs.remove(at)
    }

    pub(in crate::sans_io) fn has_input(&self) -> bool {
        !self.inputs.is_empty() || !self.dirty.is_empty()
    }

    /// Reads a connection that is readable. Returns what came, if its task has room, or an input
    /// that waits.
    pub(in crate::sans_io) fn read<'a>(
        &mut self,
        id: ConnectionId,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(TaskId, StreamInput<'a>)> {
        match self.read_into(id, has_room, buffer) {
            Some((owner, length)) => Some((owner, StreamInput::data(id, &mut buffer[..length]))),
            None => self.next_queued(self.now, has_room),
        }
    }

    /// Reads a connection that is readable, if its task has room. Returns the number of bytes.
    pub(in crate::sans_io) fn read_into(
        &mut self,
        id: ConnectionId,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &mut Vec<u8>,
    ) -> Option<(TaskId, usize)> {
        let connection = self.table.get_mut(&id)?;
        if !connection.reads() {
            // It was readable before it was paused.
            return None;
        }
        let is_closing = connection.closing.is_some();
        if !is_closing && !connection.owner.is_some_and(has_room) {
            return None;
        }
        if buffer.len() < READ {
            buffer.resize(READ, 0);
        }
        match connection.stream.read(&mut buffer[..READ]) {
            Ok(0) => {
                connection.has_peer_ended = true;
                connection.update_reading(self.limits.pauses_blocked, self.is_paused);
                if !is_closing {
                    if let Some(owner) = connection.owner {
                        let ended = StreamInput::HalfClosed { connection: id };
                        self.inputs.push_back((owner, ended));
                    }
                }
                self.settle(id);
            }
            Ok(_) if is_closing => {}
            Ok(length) => return Some((connection.owner?, length)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                io::ErrorKind::ConnectionReset => self.finish(id, CloseReason::PeerReset),
                kind => self.finish(id, CloseReason::Failed(kind)),
            },
        }
        None
    }

    /// Removes a connection that is over.
    fn settle(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get(&id) else {
            return;
        };
        if !connection.has_peer_ended || !connection.is_all_sent() {
            return;
        }
        match connection.own_half {
            OwnHalf::Ended if connection.closing.is_some() => self.finish(id, CloseReason::Closed),
            OwnHalf::Ended => self.finish(id, CloseReason::Finished),
            OwnHalf::Failed(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                self.finish(id, CloseReason::PeerReset);
            }
            OwnHalf::Failed(kind) => self.finish(id, CloseReason::Failed(kind)),
            OwnHalf::Open | OwnHalf::Ending => {}
        }
    }

    /// Sends what waits, and gives up what has waited for too long.
    pub(in crate::sans_io) fn flush(&mut self, now: Instant) {
        self.now = now;
        for id in std::mem::take(&mut self.dirty) {
            self.flush_one(id);
        }
        self.expire_due();
    }

    fn flush_one(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(&id) else {
            return;
        };
        connection.is_dirty = false;
        connection.write(self.now);
        let is_failed = matches!(connection.own_half, OwnHalf::Failed(_));
        let high = self.limits.high_water;
        let is_blocked = connection.is_blocked;
        let length = connection.length;
        let says = connection.owner.filter(|_| connection.closing.is_none());
        if !is_failed && !is_blocked && length > high {
            connection.is_blocked = true;
            if let Some(owner) = says {
                let blocked = StreamInput::Blocked {
                    connection: id,
                    unsent: length,
                };
                self.inputs.push_back((owner, blocked));
            }
        } else if is_blocked && !is_failed && length <= high / 2 {
            connection.is_blocked = false;
            if let Some(owner) = says {
                let writable = StreamInput::Writable { connection: id };
                self.inputs.push_back((owner, writable));
            }
        }
        connection.update_reading(self.limits.pauses_blocked, self.is_paused);
        self.settle(id);
        self.set_deadline(id);
    }

    /// Returns whether no bytes wait, and no connection is being closed.
    pub(in crate::sans_io) fn is_flushed(&self) -> bool {
        let mut all = self.table.values();
        all.all(|connection| connection.is_all_sent() && connection.closing.is_none())
    }

    pub(in crate::sans_io) fn pause(&mut self, pauses: bool) {
        self.is_paused = pauses;
        for connection in self.table.values_mut() {
            connection.update_reading(self.limits.pauses_blocked, pauses);
        }
    }
}
