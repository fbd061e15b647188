//! Cursors of `SCAN`: numbers that stand for keys.

use std::collections::VecDeque;

/// The number of cursors that a connection keeps.
const KEPT: usize = 16;

/// The cursors of a connection, the last few. A cursor is the number of an interrupted `SCAN`, and
/// stands for the last key that was read.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    /// The oldest first.
    open: VecDeque<(i64, String)>,
    last: i64,
}

impl Cursors {
    /// Makes a cursor that goes on after a key.
    pub(crate) fn add(&mut self, after: String) -> i64 {
        if self.open.len() == KEPT {
            self.open.pop_front();
        }
        self.last += 1;
        self.open.push_back((self.last, after));
        self.last
    }

    /// Uses a cursor. Returns the key after which to go on.
    pub(crate) fn take(&mut self, cursor: i64) -> Option<String> {
        let index = self.open.iter().position(|(number, _)| *number == cursor)?;
        self.open.remove(index).map(|(_, after)| after)
    }
}
