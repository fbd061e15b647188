//! The stream of one side of a simulated connection.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
};

use crate::{
    sans_io::streams::ByteStream,
    sync::{Arc, Mutex},
};

/// The kinds of segments that one side of a connection sends to the other.
#[derive(Debug)]
pub(super) enum Kind {
    Connect,
    Accepted,
    Refused,
    Data(Vec<u8>),
    End,
    Reset,
    /// The reader has room for more bytes.
    Room(usize),
}

/// The state that a pipe and the sockets of its host share.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(super) struct State {
    pub(super) incoming: VecDeque<u8>,
    pub(super) outgoing: VecDeque<Kind>,
    pub(super) has_ended: bool,
    pub(super) is_reset: bool,
    /// The number of bytes that the other side has room for.
    pub(super) room: usize,
    pub(super) is_reading: bool,
    /// A write has found no room.
    pub(super) waits: bool,
    pub(super) is_shut: bool,
    pub(super) resets: bool,
    pub(super) is_dropped: bool,
    /// The end was read.
    pub(super) is_read: bool,
}

impl State {
    pub(super) fn is_readable(&self) -> bool {
        let has_end = (self.has_ended || self.is_reset) && !self.is_read;
        !self.is_dropped && self.is_reading && (!self.incoming.is_empty() || has_end)
    }
}

pub(super) struct Pipe(pub(super) Arc<Mutex<State>>);

impl ByteStream for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.is_reset {
            state.is_read = true;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let length = state.incoming.len().min(buffer.len());
        if length == 0 && !state.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buffer.iter_mut().zip(state.incoming.drain(..length)) {
            *place = byte;
        }
        if length > 0 {
            state.outgoing.push_back(Kind::Room(length));
        } else {
            state.is_read = true;
        }
        Ok(length)
    }

    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let all = bytes.iter().flat_map(|slice| slice.iter().copied());
        let data: Vec<u8> = all.take(state.room).collect();
        let length = data.len();
        if length < bytes.iter().map(|slice| slice.len()).sum() {
            state.waits = true;
        }
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.room -= length;
        state.outgoing.push_back(Kind::Data(data));
        Ok(length)
    }

    fn shut_down(&mut self) -> io::Result<()> {
        let mut state = self.0.lock();
        if !mem::replace(&mut state.is_shut, true) {
            state.outgoing.push_back(Kind::End);
        }
        Ok(())
    }

    fn set_reading(&mut self, reads: bool) {
        self.0.lock().is_reading = reads;
    }

    fn reset(&mut self) {
        self.0.lock().resets = true;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_dropped = true;
        if state.is_reset {
            return;
        }
        if state.resets || !state.incoming.is_empty() {
            state.outgoing.push_back(Kind::Reset);
        } else if !state.is_shut {
            state.outgoing.push_back(Kind::End);
        }
    }
}
