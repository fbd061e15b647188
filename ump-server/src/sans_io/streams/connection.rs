//! The state of one connection.
//!
//! # States
//!
//! ```text
//!   half of the peer:  reads ──(end)──► ended
//!   own half:          open ──ShutDown──► ending ──(all is sent)──► ended
//!                      open, ending ──(an error)──► failed: nothing waits
//!   the connection:    over when both halves have ended or failed, when a read fails, after a
//!                      reset, and when it is closing and the peer's half has ended
//! ```

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    time::Instant,
};

use crate::sans_io::{Payload, TaskId};

/// A stream of bytes that does not block. When it is dropped, it is closed.
pub(in crate::sans_io) trait ByteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes some bytes. After it has written fewer than it got, the driver notes
    /// [`Connections::writable`](super::Connections::writable) when there is room.
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    fn shut_down(&mut self) -> io::Result<()>;

    /// Whether the driver is to note when there is something to read.
    fn set_reading(&mut self, reads: bool);

    /// Makes the stream reset when it is dropped.
    fn reset(&mut self);
}

#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct Connection<B> {
    pub(super) stream: B,
    /// `None` after the task has ended.
    pub(super) owner: Option<TaskId>,
    unsent: VecDeque<Payload<'static>>,
    /// The number of bytes of the first payload that are sent.
    sent: usize,
    /// The number of bytes to be sent, or of those that were lost by an error.
    pub(super) length: usize,
    pub(super) own_half: OwnHalf,
    pub(super) has_peer_ended: bool,
    /// Whether `Blocked` was reported, and no `Writable` since.
    pub(super) is_blocked: bool,
    pub(super) is_paused: bool,
    /// The task has released it: until when it can be claimed.
    pub(super) released: Option<Instant>,
    /// The task has closed it, or has ended: when it is given up.
    pub(super) closing: Option<Instant>,
    /// Since when nothing could be sent, although there is something.
    pub(super) stalled: Option<Instant>,
    /// The instant of its entry in the table of deadlines.
    pub(super) deadline: Option<Instant>,
    /// Whether it is in the list of those to be flushed.
    pub(super) is_dirty: bool,
    reads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnHalf {
    Open,
    /// It ends when all is sent.
    Ending,
    Ended,
    Failed(io::ErrorKind),
}

/// The number of payloads in one write.
const SLICES: usize = 16;

impl<B: ByteStream> Connection<B> {
    pub(super) fn new(stream: B, owner: TaskId) -> Self {
        Self {
            stream,
            owner: Some(owner),
            unsent: VecDeque::new(),
            sent: 0,
            length: 0,
            own_half: OwnHalf::Open,
            has_peer_ended: false,
            is_blocked: false,
            is_paused: false,
            released: None,
            closing: None,
            stalled: None,
            deadline: None,
            is_dirty: false,
            reads: true,
        }
    }

    pub(super) fn push(&mut self, bytes: Payload<'static>) {
        self.length += bytes.len();
        self.unsent.push_back(bytes);
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends as much as there is room for, and then ends the own half if it is to end.
    pub(super) fn write(&mut self, now: Instant) {
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            let mut all = 0;
            for (slice, payload) in slices.iter_mut().zip(&self.unsent) {
                let from = if count == 0 { self.sent } else { 0 };
                *slice = IoSlice::new(&payload[from..]);
                all += payload.len() - from;
                count += 1;
            }
            match self.stream.write(&slices[..count]) {
                Ok(written) => {
                    self.advance(written);
                    self.stalled = (!self.unsent.is_empty()).then_some(now);
                    if written < all {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert(now);
                    return;
                }
                Err(error) => return self.fail(error.kind()),
            }
        }
        if self.own_half == OwnHalf::Ending {
            self.own_half = match self.stream.shut_down() {
                Ok(()) => OwnHalf::Ended,
                Err(error) => OwnHalf::Failed(error.kind()),
            };
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        while let Some(first) = self.unsent.front() {
            let rest = first.len() - self.sent;
            if written < rest {
                self.sent += written;
                return;
            }
            written -= rest;
            self.sent = 0;
            self.unsent.pop_front();
        }
    }

    /// Nothing more can be sent. What waits is lost, and `length` tells how much that is. What has
    /// been received is still read.
    fn fail(&mut self, error: io::ErrorKind) {
        self.own_half = OwnHalf::Failed(error);
        self.unsent.clear();
        self.stalled = None;
        self.is_blocked = false;
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.is_some()
    }

    /// Returns whether it is to be read.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// Reads if it is to be read.
    pub(super) fn update_reading(&mut self, pauses_blocked: bool, is_driver_paused: bool) {
        let is_paused = self.is_paused || self.is_released() || (pauses_blocked && self.is_blocked);
        // What comes to a connection that is closing is dropped.
        let drops = self.closing.is_some() && !self.is_released();
        let reads = !self.has_peer_ended && !is_driver_paused && (!is_paused || drops);
        if reads != self.reads {
            self.reads = reads;
            self.stream.set_reading(reads);
        }
    }
}
