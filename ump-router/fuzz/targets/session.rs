//! Two sessions whose users and whose network do what the bytes say. The network may also put
//! bytes into the stream, which a peer that keeps to the protocol would not send.
#![no_main]

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use ump::Executed;
use ump_router::{
    Bytes,
    link::{
        session::{Call, Closed, Config, Credit, Event, Publication, Replica, Session},
        wire::{COMPRESSION, Codec, FEATURE_REPLICATE, Failure, GoodbyeReason, Limits, Status},
    },
};

/// The bytes that are left.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, count: usize) -> &[u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

struct End {
    session: Session,
    /// The bytes on their way to it.
    wire: VecDeque<u8>,
    pending: BTreeSet<u64>,
    received: BTreeSet<u64>,
    is_closed: bool,
}

fn end(now: Instant, router: u128) -> End {
    let config = Config {
        router,
        limits: Limits {
            frame: 1000,
            topics: 3,
            subscriptions: 4,
            claims: 4,
            requests: 5,
            operations: 3,
            window: 2500,
        },
        features: COMPRESSION | FEATURE_REPLICATE,
        queued_publications: 3000,
        queued_calls: 3000,
        ..Config::default()
    };
    End {
        session: Session::new(now, config),
        wire: VecDeque::new(),
        pending: BTreeSet::new(),
        received: BTreeSet::new(),
        is_closed: false,
    }
}

impl End {
    fn write(&mut self, now: Instant, count: usize, to: &mut VecDeque<u8>) {
        let bytes = self.session.transmit(now);
        let count = bytes.len().min(count);
        to.extend(&bytes[..count]);
        self.session.sent(now, count);
    }

    fn read(&mut self, now: Instant, count: usize) {
        let count = self.wire.len().min(count);
        let (first, _) = self.wire.make_contiguous().split_at(count);
        let used = self.session.receive(now, first);
        self.wire.drain(..used);
    }

    /// Takes the events. `is_honest`: nobody has put bytes into the stream.
    fn check(&mut self, is_honest: bool) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.is_closed, "after the last event: {event:?}");
            match event {
                Event::Ended { request, .. } => {
                    assert!(self.pending.remove(&request), "twice, or never made");
                }
                Event::Request { request, .. } => assert!(self.received.insert(request)),
                Event::Withdrawn { request } => {
                    self.received.remove(&request);
                }
                Event::Subscribe { id, .. } if id % 4 != 0 => {
                    let _ = self.session.answer_subscribe(id, Status::Accepted, "");
                }
                Event::Serve { id, .. } if id % 4 != 0 => {
                    let _ = self.session.answer_serve(id, Status::StandingBy, "");
                    let _ = self.session.answer_serve(id, Status::Accepted, "");
                }
                Event::Closed(closed) => {
                    self.is_closed = true;
                    let is_breach = matches!(closed, Closed::Violation(_) | Closed::Wire(_));
                    assert!(!(is_honest && is_breach), "{closed:?}");
                }
                _ => {}
            }
        }
        assert!(self.session.buffered() < 100_000);
        // Another hello may have other limits.
        let (queued, pending) = if is_honest { (100, 5) } else { (2000, 5000) };
        assert!(self.session.queued() < queued);
        assert!(self.session.pending() <= pending && self.pending.len() <= pending);
    }

    /// Does what its user may ask for.
    fn operate(&mut self, now: Instant, input: &mut Input<'_>) {
        let (what, which) = (input.byte(), input.byte());
        let payload = Bytes::from(vec![which; usize::from(which) * 4]);
        let (id, codec) = (u32::from(which % 16), Codec::Raw);
        let topic = ["a", "b", "c", "d"][usize::from(which % 4)];
        let session = &mut self.session;
        match what % 12 {
            0 => {
                let credit = Credit {
                    messages: 1 + u64::from(which % 4),
                    bytes: u64::from(which) * 8,
                };
                let _ = session.subscribe(&"**".parse().unwrap(), credit, false);
            }
            1 => {
                let _ = session.unsubscribe(id);
            }
            2 => {
                let _ = session.consumed(id, 1, u64::from(which) * 4);
            }
            3 | 4 => {
                let publication = Publication::new(topic.parse().unwrap(), codec, payload);
                let _ = session.publish(&publication, &[id, id + 1, 1, 2]);
            }
            5 => {
                let _ = session.unretain(&topic.parse().unwrap());
                let _ = session.replicate(Replica::removal(topic.parse().unwrap()));
                let _ = session.replicate(Replica {
                    retained: which > 100,
                    expires_at: (which % 2 == 0).then_some(now),
                    ..Replica::new(topic.parse().unwrap(), codec, payload)
                });
            }
            6 => {
                let _ = session.serve(&topic.parse().unwrap(), which > 100);
            }
            7 => {
                let _ = session.leave(id);
            }
            8 | 9 => {
                let time = Duration::from_secs(u64::from(which));
                let call = Call {
                    topic: topic.parse().unwrap(),
                    deadline: (which % 2 == 0).then_some(now + time),
                    codec,
                    payload,
                };
                if let Ok(request) = session.request(now, &call) {
                    assert!(self.pending.insert(request));
                }
            }
            10 => {
                if let Some(request) = self.pending.first() {
                    let _ = session.cancel(*request);
                }
            }
            _ => {
                if let Some(request) = self.received.pop_first() {
                    let is_taken = which < 200 && session.take(now, request);
                    let _ = match which % 3 {
                        0 if is_taken => session.reply(request, codec, Ok(&payload)),
                        1 if is_taken => session.reply(request, codec, Err(&payload)),
                        _ => session.fail(request, Failure::Denied, Executed::No, "no"),
                    };
                }
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut now = Instant::now();
    let mut ends = [end(now, 1), end(now, 2)];
    let mut is_honest = true;
    while !input.0.is_empty() {
        let what = input.byte();
        let this = usize::from(what >> 7);
        let [first, second] = &mut ends;
        let (end, other) = if this == 0 {
            (first, second)
        } else {
            (second, first)
        };
        match what & 0x7f {
            0..=29 => end.write(now, usize::from(input.byte()) * 8, &mut other.wire),
            30..=59 => end.read(now, usize::from(input.byte()) * 8),
            60..=109 => end.operate(now, &mut input),
            110..=114 => {
                is_honest = false;
                let count = usize::from(input.byte());
                end.wire.extend(input.bytes(count));
            }
            // A frame with a header that fits.
            115..=119 => {
                is_honest = false;
                let (kind, count) = (input.byte(), input.byte() % 64);
                end.wire
                    .extend([0, 0, 0, count, kind, input.byte() & 3, 0, count]);
                end.wire.extend(input.bytes(usize::from(count)));
            }
            120..=124 => {
                now += Duration::from_secs(u64::from(input.byte() % 16));
                end.session.tick(now);
                other.session.tick(now);
            }
            125 => end.session.close(now, GoodbyeReason::Done, "enough"),
            126 => end.session.disconnected(now),
            // All that is on its way arrives.
            _ => {
                for _ in 0..4 {
                    end.write(now, usize::MAX, &mut other.wire);
                    other.read(now, usize::MAX);
                    other.write(now, usize::MAX, &mut end.wire);
                    end.read(now, usize::MAX);
                    end.check(is_honest);
                    other.check(is_honest);
                }
            }
        }
        end.check(is_honest);
        other.check(is_honest);
    }
    for end in &mut ends {
        end.session.disconnected(now);
        end.check(is_honest);
        assert!(end.is_closed && end.pending.is_empty());
        assert!(end.session.is_finished() && end.session.pending() == 0);
    }
});
