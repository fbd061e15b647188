//! The model of a server's channel: two lanes with room for so many each, whose turn it is, and the books.

use std::collections::VecDeque;

use ump_router::ump::Stats;

/// So many urgent requests may be taken in a row while a normal one waits.
const URGENT_RUN: u32 = 16;

pub(crate) struct Channel {
    /// Of each lane.
    pub(crate) capacity: Option<usize>,
    normal: VecDeque<u32>,
    urgent: VecDeque<u32>,
    /// Urgent requests taken since the last normal one, while a normal one waited.
    run: u32,
    /// Whether requests can enter.
    pub(crate) is_open: bool,
    /// But for what it holds now.
    pub(crate) counts: Stats,
}

impl Channel {
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        Self {
            capacity,
            normal: VecDeque::new(),
            urgent: VecDeque::new(),
            run: 0,
            is_open: true,
            counts: Stats::default(),
        }
    }

    fn lane(&mut self, is_urgent: bool) -> &mut VecDeque<u32> {
        if is_urgent {
            &mut self.urgent
        } else {
            &mut self.normal
        }
    }

    /// For how many more; `usize::MAX` if for any.
    pub(crate) fn room(&self, is_urgent: bool) -> usize {
        let lane = if is_urgent {
            &self.urgent
        } else {
            &self.normal
        };
        self.capacity.map_or(usize::MAX, |most| most - lane.len())
    }

    pub(crate) fn enter(&mut self, number: u32, is_urgent: bool) {
        self.lane(is_urgent).push_back(number);
        self.counts.accepted += 1;
    }

    /// A request that is queued does not wait any more.
    pub(crate) fn withdraw(&mut self, number: u32) {
        for is_urgent in [false, true] {
            self.lane(is_urgent).retain(|queued| *queued != number);
        }
    }

    /// The request whose turn it is, and those before it that were late: they are nobody's turn.
    pub(crate) fn take(&mut self, is_late: impl Fn(u32) -> bool) -> (Option<u32>, Vec<u32>) {
        let mut late = Vec::new();
        loop {
            let (next, run) = self.next();
            match next {
                Some(number) if is_late(number) => {
                    self.counts.timeout_queued += 1;
                    late.push(number);
                }
                next => {
                    self.run = run;
                    return (next, late);
                }
            }
        }
    }

    /// The next request, and the run of urgent ones with it.
    fn next(&mut self) -> (Option<u32>, u32) {
        match (self.normal.is_empty(), self.urgent.is_empty()) {
            (false, false) if self.run < URGENT_RUN => (self.urgent.pop_front(), self.run + 1),
            (true, _) => (self.urgent.pop_front(), 0),
            (false, _) => (self.normal.pop_front(), 0),
        }
    }

    /// The server goes; tells who was queued.
    pub(crate) fn end(&mut self) -> Vec<u32> {
        self.is_open = false;
        let left: Vec<_> = self.normal.drain(..).chain(self.urgent.drain(..)).collect();
        self.counts.server_disappeared += left.len() as u64;
        left
    }

    pub(crate) fn books(&self) -> Stats {
        let mut books = self.counts;
        books.queued = (self.normal.len() + self.urgent.len()) as u64;
        books.taken = books.accepted - books.queued - books.ended();
        books
    }
}
