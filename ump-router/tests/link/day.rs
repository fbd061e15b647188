//! Days of keep-alives, deadlines and lost connections, in virtual time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ump_router::link::{
    session::{Event, Outcome, Session},
    wire::Codec,
};

use crate::pair::{Pair, call, config, payload};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A connection whose bytes arrive at once, until it is cut.
struct Connection {
    pair: Pair,
    is_cut: bool,
    /// How often an end looked at its deadlines.
    ticks: usize,
    bytes: usize,
}

impl Connection {
    fn open(now: Instant) -> Self {
        let mut pair = Pair {
            now,
            ends: [config(1), config(2)].map(|config| Session::new(now, config)),
            wires: Default::default(),
            events: Default::default(),
        };
        pair.settle();
        for end in 0..2 {
            assert!(matches!(pair.one(end), Event::Opened { .. }));
        }
        Self {
            pair,
            is_cut: false,
            ticks: 0,
            bytes: 0,
        }
    }

    /// Carries what both ends send. Returns whether there was anything.
    fn carry(&mut self) -> bool {
        let mut moved = 0;
        for end in 0..2 {
            moved += self.pair.write(end, usize::MAX);
            if self.is_cut {
                self.pair.wires[1 - end].clear(); // into the void
            } else {
                self.pair.read(1 - end, usize::MAX);
            }
            self.pair.drain(end);
        }
        self.bytes += moved;
        moved > 0
    }

    /// Lets time pass until the next deadline, or until `end`. Returns whether it was a deadline.
    fn step(&mut self, end: Instant) -> bool {
        let deadlines = self.pair.ends.iter().filter_map(Session::next_deadline);
        let next = deadlines.min().filter(|at| *at <= end);
        assert!(next.is_none_or(|at| at >= self.pair.now));
        self.pair.now = next.unwrap_or(end);
        for session in &mut self.pair.ends {
            session.tick(self.pair.now);
            let later = session.next_deadline();
            assert!(later.is_none_or(|at| at > self.pair.now), "no progress");
            self.ticks += 1;
        }
        while self.carry() {}
        next.is_some()
    }
}

#[test]
fn an_idle_day_is_a_ping_each_ten_seconds() {
    let mut connection = Connection::open(Instant::now());
    let end = connection.pair.now + DAY;
    while connection.pair.now < end {
        connection.step(end);
    }
    assert!(connection.pair.ends.iter().all(Session::is_open));
    assert_eq!([connection.pair.take(0), connection.pair.take(1)], [[], []]);
    // A ping and its pong are 32 bytes. Either end may send one.
    let rounds = 24 * 3600 / 10;
    assert!(connection.bytes <= rounds * 2 * 32, "{}", connection.bytes);
    assert!(connection.bytes >= rounds * 32);
    assert!(connection.ticks <= rounds * 4, "{}", connection.ticks);
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// Requests of both ends that have no outcome.
#[derive(Default)]
struct Ledger {
    pending: HashMap<(usize, u64), Option<Instant>>,
    /// At the other end, whose handler has not answered.
    held: HashMap<(usize, u64), Option<Instant>>,
    is_closed: [bool; 2],
    outcomes: [usize; 3],
}

impl Ledger {
    fn look_at(&mut self, connection: &mut Connection, random: &mut Random) {
        let pair = &mut connection.pair;
        for end in 0..2 {
            for event in pair.take(end) {
                match event {
                    Event::Request {
                        request, deadline, ..
                    } => {
                        let at = self.pending[&(1 - end, request)];
                        assert_eq!(deadline.is_some(), at.is_some());
                        let late = deadline.zip(at).map(|(there, here)| there - here);
                        assert!(late.is_none_or(|late| late < Duration::from_millis(1)));
                        assert!(pair.ends[end].take(pair.now, request));
                        if random.below(2) == 0 {
                            let replied =
                                pair.ends[end].reply(request, Codec::Raw, Ok(&payload("x")));
                            assert_eq!(replied, Ok(()));
                        } else {
                            self.held.insert((end, request), at);
                        }
                    }
                    Event::Withdrawn { request } => {
                        let held = self.held.remove(&(end, request)).expect("it was held");
                        let is_late = held.is_some_and(|at| at <= pair.now);
                        assert!(is_late || !pair.ends[end].is_open());
                    }
                    Event::Ended { request, outcome } => {
                        let pending = self.pending.remove(&(end, request));
                        let deadline = pending.expect("one outcome each");
                        let nth = match outcome {
                            Outcome::Reply { .. } => 0,
                            Outcome::TimedOut(_) => {
                                assert_eq!(deadline, Some(pair.now), "at its deadline");
                                1
                            }
                            Outcome::LinkLost(_) => {
                                assert!(!pair.ends[end].is_open());
                                2
                            }
                            other => panic!("{other:?}"),
                        };
                        self.outcomes[nth] += 1;
                    }
                    Event::Closed(_) => self.is_closed[end] = true,
                    Event::Taken { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn days_of_requests_and_cut_cables_end_each_request_once() {
    let silence = config(1).timeouts.silence;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut now = Instant::now();
    let end = now + 7 * DAY;
    let mut outcomes = [0; 3];
    while now < end {
        let mut connection = Connection::open(now);
        let mut ledger = Ledger::default();
        let mut cut_at = None;
        while ledger.is_closed != [true; 2] {
            let until = connection.pair.now + Duration::from_millis(random.below(60_000));
            while connection.step(until) {
                ledger.look_at(&mut connection, &mut random);
                while connection.carry() {
                    ledger.look_at(&mut connection, &mut random);
                }
            }
            let pair = &mut connection.pair;
            for from in 0..2 {
                let time = Duration::from_millis(1 << random.below(24));
                let deadline = (random.below(8) > 0).then(|| pair.now + time);
                if let Ok(request) = pair.ends[from].request(pair.now, &call("x", deadline)) {
                    ledger.pending.insert((from, request), deadline);
                }
            }
            if random.below(100) == 0 {
                cut_at.get_or_insert(pair.now);
                connection.is_cut = true;
            }
            while connection.carry() {
                ledger.look_at(&mut connection, &mut random);
            }
            ledger.look_at(&mut connection, &mut random);
            let both_know_by = cut_at.map(|at| at + silence);
            let is_known = ledger.is_closed == [true; 2];
            assert!(is_known || both_know_by.is_none_or(|at| connection.pair.now < at));
        }
        assert!(cut_at.is_some(), "nothing else ends a link");
        assert!(ledger.pending.is_empty() && ledger.held.is_empty());
        for (sum, count) in outcomes.iter_mut().zip(ledger.outcomes) {
            *sum += count;
        }
        now = connection.pair.now + Duration::from_millis(random.below(5000));
    }
    println!("{outcomes:?} replies, timed out, lost");
    assert!(outcomes.iter().all(|count| *count > 50), "{outcomes:?}");
}
