//! Formatted records that are not yet written, and how far the first of them is.

/// Formatted records in their order.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    /// The end of each record, and its time in microseconds since 1970.
    ends: Vec<(usize, u64)>,
    written: usize,
    /// The index of the record in which `written` lies.
    record: usize,
}

impl Pending {
    /// Begins anew, and keeps memory for the next records unless it is much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(256 * 1024);
        self.ends.clear();
        (self.written, self.record) = (0, 0);
    }

    pub(crate) fn add(&mut self, micros: u64, format: impl FnOnce(&mut Vec<u8>)) {
        format(&mut self.bytes);
        self.ends.push((self.bytes.len(), micros));
    }

    pub(crate) fn is_written(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Returns all that is not written.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Returns the rest of the first record.
    pub(crate) fn first(&self) -> &[u8] {
        let end = self
            .ends
            .get(self.record)
            .map_or(self.bytes.len(), |(end, _)| *end);
        &self.bytes[self.written..end]
    }

    /// Returns the time of the first record, in microseconds since 1970.
    pub(crate) fn time(&self) -> u64 {
        self.ends.get(self.record).map_or(0, |(_, micros)| *micros)
    }

    /// Returns whether the first record is written in part.
    pub(crate) fn is_within_record(&self) -> bool {
        self.written > self.start()
    }

    /// Returns as many whole records as have at most `room` bytes and a time before `until`.
    pub(crate) fn whole(&self, room: u64, until: u64) -> &[u8] {
        let fits =
            |(end, micros): &&(usize, u64)| (end - self.written) as u64 <= room && *micros < until;
        let fitting = self.ends[self.record..].iter().take_while(fits).last();
        let end = fitting.map_or(self.written, |(end, _)| *end);
        &self.bytes[self.written..end]
    }

    /// Notes that some bytes are written. Returns how many records that completes.
    pub(crate) fn advance(&mut self, count: usize) -> usize {
        self.written = self.bytes.len().min(self.written + count);
        let before = self.record;
        while self
            .ends
            .get(self.record)
            .is_some_and(|(end, _)| *end <= self.written)
        {
            self.record += 1;
        }
        self.record - before
    }

    /// Goes back to the beginning of the first record, to write it anew.
    pub(crate) fn rewind(&mut self) {
        self.written = self.start();
    }

    fn start(&self) -> usize {
        self.record
            .checked_sub(1)
            .map_or(0, |before| self.ends[before].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Pending {
        let mut pending = Pending::default();
        for (micros, text) in [(1, "one\n"), (2, "two\n"), (9, "three\n")] {
            pending.add(micros, |out| out.extend_from_slice(text.as_bytes()));
        }
        pending
    }

    #[test]
    fn whole_records_fit_in_size_and_time() {
        let pending = three();
        assert_eq!(pending.whole(3, 100), b"");
        assert_eq!(pending.whole(13, 100), b"one\ntwo\n");
        assert_eq!(pending.whole(14, 100), b"one\ntwo\nthree\n");
        assert_eq!(pending.whole(100, 9), b"one\ntwo\n");
        assert_eq!(pending.whole(100, 1), b"");
    }

    #[test]
    fn what_is_written_in_part_is_completed_or_rewound() {
        let mut pending = three();
        assert_eq!(pending.advance(6), 1);
        assert!(pending.is_within_record());
        assert_eq!((pending.first(), pending.time()), (&b"o\n"[..], 2));
        pending.rewind();
        assert_eq!(
            (pending.first(), pending.is_within_record()),
            (&b"two\n"[..], false)
        );
        assert_eq!(pending.advance(10), 2);
        assert!(pending.is_written());
    }
}
