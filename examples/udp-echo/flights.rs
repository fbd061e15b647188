//! The window: the datagrams that are under way, by sequence number.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The datagrams under way, in the order in which they were sent. It needs no socket and reads no
/// clock: the caller passes the time.
#[derive(Debug)]
pub(crate) struct Flights {
    /// The sequence number of the first one in `sent`.
    first: u64,
    /// When each was sent; `None` once it has come back.
    sent: VecDeque<Option<Instant>>,
    /// How many of them have not come back.
    under_way: usize,
    timeout: Duration,
}

/// The meaning of a datagram that has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It came in time, this long after it was sent.
    InTime(Duration),
    /// It was given up, or has come before.
    LateOrTwice,
    /// It was never sent.
    Unknown,
}

impl Flights {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            first: 0,
            sent: VecDeque::new(),
            under_way: 0,
            timeout,
        }
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Returns the sequence number of the next datagram.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Adds the next datagram, when it has been sent.
    pub(crate) fn add(&mut self, now: Instant) {
        self.sent.push_back(Some(now));
        self.under_way += 1;
    }

    /// Removes the datagram with this number.
    pub(crate) fn answered(&mut self, number: u64, now: Instant) -> Answer {
        if number >= self.next() {
            return Answer::Unknown;
        }
        let index = number
            .checked_sub(self.first)
            .and_then(|n| usize::try_from(n).ok());
        let Some(sent) = index.and_then(|index| self.sent[index].take()) else {
            return Answer::LateOrTwice;
        };
        self.under_way -= 1;
        self.trim();
        Answer::InTime(now.saturating_duration_since(sent))
    }

    /// Gives up the datagrams that were sent too long ago. Returns their number.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut lost = 0;
        while let Some(Some(sent)) = self.sent.front() {
            if now.saturating_duration_since(*sent) < self.timeout {
                break;
            }
            self.sent.pop_front();
            self.first += 1;
            self.under_way -= 1;
            lost += 1;
            self.trim();
        }
        lost
    }

    /// Forgets the oldest ones that have come back, so that the first one is under way.
    fn trim(&mut self) {
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_any_order_late_or_twice() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut flights = Flights::new(Duration::from_millis(100));
        for _ in 0..3 {
            flights.add(begin);
        }
        flights.add(at(50));
        assert_eq!((flights.next(), flights.under_way()), (4, 4));
        assert_eq!(
            flights.answered(1, at(7)),
            Answer::InTime(Duration::from_millis(7))
        );
        assert_eq!(flights.answered(1, at(8)), Answer::LateOrTwice);
        assert_eq!(flights.answered(4, at(8)), Answer::Unknown);
        assert_eq!(flights.expire(at(99)), 0);
        assert_eq!(flights.expire(at(100)), 2); // the first and the third
        assert_eq!(flights.answered(0, at(101)), Answer::LateOrTwice);
        assert_eq!(flights.under_way(), 1);
        assert_eq!(
            flights.answered(3, at(101)),
            Answer::InTime(Duration::from_millis(51))
        );
        assert_eq!((flights.under_way(), flights.next()), (0, 4));
        assert_eq!(flights.expire(at(1000)), 0);
    }
}
