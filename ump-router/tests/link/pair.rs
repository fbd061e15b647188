//! Two sessions back to back, in virtual time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ump_router::{
    Bytes,
    link::{
        session::{Call, Config, Credit, Event, Publication, Session},
        wire::{Codec, Status},
    },
};

pub(crate) const ROOM: Credit = Credit {
    messages: 100,
    bytes: 10_000,
};

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) ends: [Session; 2],
    /// The bytes on their way to each end.
    pub(crate) wires: [VecDeque<u8>; 2],
    /// The events of each end that were not taken.
    pub(crate) events: [Vec<Event>; 2],
}

pub(crate) fn config(router: u128) -> Config {
    let mut config = Config {
        router,
        ..Config::default()
    };
    config.timeouts.taken = Duration::ZERO;
    config
}

pub(crate) fn payload(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

pub(crate) fn publication(topic: &str, text: &str) -> Publication {
    Publication::new(topic.parse().unwrap(), Codec::Raw, payload(text))
}

pub(crate) fn call(text: &str, deadline: Option<Instant>) -> Call {
    Call {
        topic: "echo".parse().unwrap(),
        deadline,
        codec: Codec::Raw,
        payload: payload(text),
    }
}

impl Pair {
    pub(crate) fn new(configs: [Config; 2]) -> Self {
        let now = Instant::now();
        Self {
            now,
            ends: configs.map(|config| Session::new(now, config)),
            wires: Default::default(),
            events: Default::default(),
        }
    }

    /// A pair whose ends have exchanged their hellos.
    pub(crate) fn open() -> Self {
        Self::opened([config(1), config(2)])
    }

    pub(crate) fn opened(configs: [Config; 2]) -> Self {
        let mut pair = Self::new(configs);
        pair.settle();
        for end in 0..2 {
            let events = pair.take(end);
            assert!(matches!(events[..], [Event::Opened { .. }]), "{events:?}");
        }
        pair
    }

    /// Writes at most so many bytes of an end. Returns how many.
    pub(crate) fn write(&mut self, end: usize, max: usize) -> usize {
        let bytes = self.ends[end].transmit(self.now);
        let count = bytes.len().min(max);
        self.wires[1 - end].extend(&bytes[..count]);
        self.ends[end].sent(self.now, count);
        count
    }

    /// Reads at most so many bytes at an end, and takes its events. Returns how many bytes.
    pub(crate) fn read(&mut self, end: usize, max: usize) -> usize {
        let count = self.wires[end].len().min(max);
        let bytes: Vec<u8> = self.wires[end].drain(..count).collect();
        let mut rest = &bytes[..];
        loop {
            let used = self.ends[end].receive(self.now, rest);
            rest = &rest[used..];
            self.drain(end);
            if rest.is_empty() {
                return count;
            }
            assert!(used > 0, "no progress");
        }
    }

    pub(crate) fn drain(&mut self, end: usize) {
        let session = &mut self.ends[end];
        self.events[end].extend(std::iter::from_fn(|| session.poll_event()));
    }

    /// Carries all bytes, in pieces of at most `piece`.
    pub(crate) fn settle_by(&mut self, piece: usize) {
        loop {
            let mut moved = 0;
            for end in 0..2 {
                moved += self.write(end, piece) + self.read(end, piece);
                self.drain(end);
            }
            if moved == 0 {
                return;
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.settle_by(usize::MAX);
    }

    /// Lets time pass, by the deadlines of the ends, and carries what they send.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadlines = self.ends.iter().filter_map(Session::next_deadline);
            let next = deadlines.min().filter(|it| *it <= end);
            self.now = next.unwrap_or(end).max(self.now);
            for session in &mut self.ends {
                session.tick(self.now);
                assert!(session.next_deadline().is_none_or(|it| it > self.now));
            }
            self.settle();
            if next.is_none() {
                return;
            }
        }
    }

    /// Returns the events of an end.
    pub(crate) fn take(&mut self, end: usize) -> Vec<Event> {
        self.drain(end);
        std::mem::take(&mut self.events[end])
    }

    /// Returns the only event of an end.
    pub(crate) fn one(&mut self, end: usize) -> Event {
        let mut events = self.take(end);
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Subscribes at an end. The other end accepts.
    pub(crate) fn subscribe(&mut self, end: usize, pattern: &str, credit: Credit) -> u32 {
        let pattern = pattern.parse().unwrap();
        let id = self.ends[end].subscribe(&pattern, credit, false).unwrap();
        self.settle();
        assert!(matches!(self.one(1 - end), Event::Subscribe { id: it, .. } if it == id));
        let answered = self.ends[1 - end].answer_subscribe(id, Status::Accepted, "");
        assert_eq!(answered, Ok(()));
        self.settle();
        assert!(matches!(self.one(end), Event::Subscribed { id: it, .. } if it == id));
        id
    }
}
