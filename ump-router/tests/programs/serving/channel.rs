//! The model of a server's channel: two bounded lanes, the order of taking, and the statistics.

use std::collections::{BTreeMap, VecDeque};

use ump_router::ump::Stats;

/// The maximum number of urgent requests taken in a row while a normal one waits.
const URGENT_RUN: u32 = 16;

/// Requests that wait for room in a lane. They are woken in the order in which they came.
#[derive(Default)]
struct WaitQueue {
    /// The waiting requests by place. A woken request is removed.
    waiting: BTreeMap<u64, u32>,
    /// The place of each request, from its registration until it leaves.
    places: BTreeMap<u32, u64>,
    last: u64,
}

impl WaitQueue {
    fn register(&mut self, number: u32) {
        let place = *self.places.entry(number).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.waiting.insert(place, number);
    }

    /// Removes a request. Returns whether it had been woken.
    fn leave(&mut self, number: u32) -> bool {
        let place = self.places.remove(&number);
        place.is_some_and(|place| self.waiting.remove(&place).is_none())
    }

    /// Returns the number of requests that are woken before this one.
    fn ahead_of(&self, number: u32) -> usize {
        match self.places.get(&number) {
            Some(place) => self.waiting.range(..place).count(),
            None => self.waiting.len(),
        }
    }
}

pub(crate) struct Channel {
    /// The capacity of each lane.
    pub(crate) capacity: Option<usize>,
    normal: VecDeque<u32>,
    urgent: VecDeque<u32>,
    /// The waiters for room in each lane.
    wait_queues: [WaitQueue; 2],
    /// Urgent requests taken since the last normal one, while a normal one waited.
    run: u32,
    /// Whether requests can enter.
    pub(crate) is_open: bool,
    /// The statistics, except for the requests that the channel holds now.
    pub(crate) counts: Stats,
}

impl Channel {
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        Self {
            capacity,
            normal: VecDeque::new(),
            urgent: VecDeque::new(),
            wait_queues: <[WaitQueue; 2]>::default(),
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

    fn has_room(&mut self, is_urgent: bool) -> bool {
        let queued = self.lane(is_urgent).len();
        self.capacity.is_none_or(|most| queued < most)
    }

    fn wait_queue(&mut self, is_urgent: bool) -> &mut WaitQueue {
        &mut self.wait_queues[usize::from(is_urgent)]
    }

    /// Wakes the next `count` requests that wait for room.
    fn wake(&mut self, is_urgent: bool, count: usize) {
        for _ in 0..count {
            self.wait_queue(is_urgent).waiting.pop_first();
        }
    }

    /// Lets a request in if there is room. If the lane is full, late requests at its head are
    /// rejected and returned. Their room goes to the waiting requests and to this one, in order.
    /// This request gets its room without being woken.
    pub(crate) fn enter(
        &mut self,
        number: u32,
        is_urgent: bool,
        is_late: impl Fn(u32) -> bool,
    ) -> (bool, Vec<u32>) {
        let mut late = Vec::new();
        let mut has_room = self.has_room(is_urgent);
        if !has_room {
            let ahead = self.wait_queue(is_urgent).ahead_of(number);
            let lane = self.lane(is_urgent);
            while let Some(number) = lane.front().copied().filter(|first| is_late(*first)) {
                lane.pop_front();
                late.push(number);
            }
            self.counts.timeout_queued += late.len() as u64;
            has_room = ahead < late.len();
            if has_room {
                // Removes it before the wake-ups: it must not be woken.
                self.wait_queue(is_urgent).leave(number);
            }
            self.wake(is_urgent, late.len() - usize::from(has_room));
        }
        if has_room {
            self.wait_queue(is_urgent).leave(number);
            self.lane(is_urgent).push_back(number);
            self.counts.accepted += 1;
        }
        (has_room, late)
    }

    pub(crate) fn await_room(&mut self, number: u32, is_urgent: bool) {
        self.wait_queue(is_urgent).register(number);
    }

    /// Ends the wait of a request for room. If it had been woken, the next one is woken.
    pub(crate) fn stop_awaiting_room(&mut self, number: u32, is_urgent: bool) {
        if self.wait_queue(is_urgent).leave(number) && self.is_open && self.has_room(is_urgent) {
            self.wake(is_urgent, 1);
        }
    }

    /// Returns whether the request waits for room and has not been woken.
    pub(crate) fn is_waiting(&self, number: u32) -> bool {
        let mut wait_queues = self.wait_queues.iter();
        wait_queues.any(|wait_queue| wait_queue.waiting.values().any(|other| *other == number))
    }

    /// Removes a queued request whose caller has left.
    pub(crate) fn revoke(&mut self, number: u32) {
        for is_urgent in [false, true] {
            let lane = self.lane(is_urgent);
            let queued = lane.len();
            lane.retain(|queued| *queued != number);
            let left = queued - lane.len();
            self.wake(is_urgent, left);
        }
    }

    /// Takes the next request. Also returns the late requests before it, which do not count as
    /// taken.
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

    /// Returns the next request, and the run of urgent requests that includes it.
    fn next(&mut self) -> (Option<u32>, u32) {
        let (is_urgent, run) = match (self.normal.is_empty(), self.urgent.is_empty()) {
            (false, false) if self.run < URGENT_RUN => (true, self.run + 1),
            (true, true) => return (None, self.run),
            (true, false) => (true, 0),
            (false, _) => (false, 0),
        };
        let next = self.lane(is_urgent).pop_front();
        self.wake(is_urgent, 1);
        (next, run)
    }

    /// Closes the channel: no request can enter, and all that wait for room are woken.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        for wait_queue in &mut self.wait_queues {
            wait_queue.waiting.clear();
        }
    }

    /// Ends the server. Returns the queued requests.
    pub(crate) fn end(&mut self) -> Vec<u32> {
        self.close();
        let left: Vec<_> = self.normal.drain(..).chain(self.urgent.drain(..)).collect();
        self.counts.server_disappeared += left.len() as u64;
        left
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counts;
        stats.queued = (self.normal.len() + self.urgent.len()) as u64;
        stats.taken = stats.accepted - stats.queued - stats.ended();
        stats
    }
}
