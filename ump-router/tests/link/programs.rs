//! Random programs on two sessions, checked against what each end may be told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use proptest::{collection::vec, prelude::*, sample::Index};
use ump::Executed;
use ump_router::{
    Bytes,
    link::{
        session::{Call, Config, Credit, Event, Outcome, Publication, Session, Timeouts},
        wire::{Codec, Failure, GoodbyeReason, Limits, Status},
    },
};

use crate::pair::{Pair, config};

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize, usize),
    Read(usize, usize),
    Subscribe(usize, u64),
    Unsubscribe(usize, Index),
    Publish(usize, u8, usize),
    Consume(usize, Index),
    Request(usize, Option<u64>),
    Cancel(usize, Index),
    Take(usize, Index),
    Answer(usize, Index, u8),
    Serve(usize, bool),
    Leave(usize, Index),
    AnswerServe(usize, Index, u8),
    Advance(u64),
    Close(usize),
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2_usize;
    prop_oneof![
        20 => (end.clone(), 1..200_usize).prop_map(|(end, count)| Step::Write(end, count)),
        20 => (end.clone(), 1..200_usize).prop_map(|(end, count)| Step::Read(end, count)),
        3 => (end.clone(), 1..5_u64).prop_map(|(end, credit)| Step::Subscribe(end, credit)),
        1 => (end.clone(), any::<Index>()).prop_map(|(end, at)| Step::Unsubscribe(end, at)),
        10 => (end.clone(), any::<u8>(), 4..120_usize).prop_map(|(end, topic, length)| Step::Publish(end, topic, length)),
        6 => (end.clone(), any::<Index>()).prop_map(|(end, at)| Step::Consume(end, at)),
        10 => (end.clone(), proptest::option::of(0..30_u64)).prop_map(|(end, time)| Step::Request(end, time)),
        3 => (end.clone(), any::<Index>()).prop_map(|(end, at)| Step::Cancel(end, at)),
        8 => (end.clone(), any::<Index>()).prop_map(|(end, at)| Step::Take(end, at)),
        8 => (end.clone(), any::<Index>(), any::<u8>()).prop_map(|(end, at, how)| Step::Answer(end, at, how)),
        3 => (end.clone(), any::<bool>()).prop_map(|(end, stand_by)| Step::Serve(end, stand_by)),
        1 => (end.clone(), any::<Index>()).prop_map(|(end, at)| Step::Leave(end, at)),
        3 => (end.clone(), any::<Index>(), any::<u8>()).prop_map(|(end, at, how)| Step::AnswerServe(end, at, how)),
        4 => (0..15_u64).prop_map(Step::Advance),
        1 => end.prop_map(Step::Close),
        1 => Just(Step::Lose),
    ]
}

/// What is known of one end, from its events and from what was done there.
#[derive(Default)]
struct End {
    is_open: bool,
    is_closed: bool,
    /// Subscriptions of this end: the numbers published for each and not received or missed.
    subscriptions: BTreeMap<u32, Vec<u32>>,
    /// Messages received and not consumed.
    unconsumed: Vec<(u32, u64)>,
    /// Subscriptions of the other end that were announced here.
    announced: BTreeSet<u32>,
    /// Claims of this end: whether each was answered, and what the other end said of it and is
    /// not known here.
    claims: BTreeMap<u32, (bool, VecDeque<Status>)>,
    /// Claims of the other end that were announced here, and whether they were answered.
    announced_claims: BTreeMap<u32, bool>,
    /// Requests of this end without an outcome.
    pending: BTreeSet<u64>,
    ended: BTreeMap<u64, Outcome>,
    /// Requests of the other end here.
    delivered: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    ever_taken: BTreeSet<u64>,
    replied: BTreeSet<u64>,
}

struct Run {
    pair: Pair,
    ends: [End; 2],
    published: u32,
}

fn small(router: u128) -> Config {
    Config {
        limits: Limits {
            frame: 200,
            topics: 3,
            subscriptions: 4,
            claims: 4,
            requests: 5,
            operations: 3,
            window: 500,
        },
        queued_publications: 400,
        queued_calls: 400,
        timeouts: Timeouts {
            hello: Duration::from_secs(40),
            frame: Duration::from_secs(60),
            ..Timeouts::default()
        },
        ..config(router)
    }
}

/// Returns whether a claim with this status exists.
fn is_held(status: Status) -> bool {
    matches!(status, Status::Accepted | Status::StandingBy)
}

/// Returns an element of a set.
fn pick<T: Copy + Ord>(set: &BTreeSet<T>, at: Index) -> Option<T> {
    (!set.is_empty()).then(|| *set.iter().nth(at.index(set.len())).unwrap())
}

impl Run {
    fn step(&mut self, step: Step) {
        let now = self.pair.now;
        match step {
            Step::Write(end, count) => {
                self.pair.write(end, count);
            }
            Step::Read(end, count) => {
                self.pair.read(end, count);
            }
            Step::Subscribe(end, credit) => {
                let credit = Credit {
                    messages: credit,
                    bytes: credit * 80,
                };
                let pattern = "**".parse().unwrap();
                if let Ok(id) = self.pair.ends[end].subscribe(&pattern, credit, false) {
                    self.ends[end].subscriptions.insert(id, Vec::new());
                }
            }
            Step::Unsubscribe(end, at) => {
                let ids = self.ends[end].subscriptions.keys().copied().collect();
                if let Some(id) = pick(&ids, at) {
                    let _ = self.pair.ends[end].unsubscribe(id);
                    self.ends[end].subscriptions.remove(&id);
                }
            }
            Step::Publish(end, topic, length) => self.publish(end, topic, length),
            Step::Consume(end, at) => {
                let waiting = &mut self.ends[end].unconsumed;
                if !waiting.is_empty() {
                    let (id, bytes) = waiting.remove(at.index(waiting.len()));
                    let _ = self.pair.ends[end].consumed(id, 1, bytes);
                }
            }
            Step::Request(end, time) => {
                let call = Call {
                    topic: "echo".parse().unwrap(),
                    deadline: time.map(|time| now + Duration::from_secs(time)),
                    codec: Codec::Raw,
                    payload: Bytes::from([7_u8; 50]),
                };
                if let Ok(request) = self.pair.ends[end].request(now, &call) {
                    assert!(!self.ends[end].ended.contains_key(&request));
                    assert!(self.ends[end].pending.insert(request), "an id twice");
                }
            }
            Step::Cancel(end, at) => {
                if let Some(request) = pick(&self.ends[end].pending, at) {
                    let _ = self.pair.ends[end].cancel(request);
                }
            }
            Step::Take(end, at) => {
                let request = pick(&self.ends[end].delivered, at);
                let session = &mut self.pair.ends[end];
                if let Some(request) = request.filter(|it| session.take(now, *it)) {
                    self.ends[end].taken.insert(request);
                    self.ends[end].ever_taken.insert(request);
                    self.ends[end].delivered.remove(&request);
                }
            }
            Step::Answer(end, at, how) => {
                if let Some(request) = pick(&self.ends[end].taken, at) {
                    self.ends[end].taken.remove(&request);
                    let session = &mut self.pair.ends[end];
                    let reply = Bytes::from(request.to_be_bytes());
                    let _ = match how % 4 {
                        0 => session.fail(request, Failure::NoReply, Executed::Perhaps, ""),
                        1 => session.reply(request, Codec::Raw, Err(&reply)),
                        _ => session.reply(request, Codec::Raw, Ok(&reply)),
                    };
                    self.ends[end].replied.insert(request);
                }
            }
            Step::Serve(..) | Step::Leave(..) | Step::AnswerServe(..) => self.claim_step(step),
            Step::Advance(seconds) => {
                self.pair.now += Duration::from_secs(seconds);
                for session in &mut self.pair.ends {
                    session.tick(self.pair.now);
                }
            }
            Step::Close(end) => self.pair.ends[end].close(now, GoodbyeReason::Done, ""),
            Step::Lose => self.lose(),
        }
        self.check();
    }

    fn claim_step(&mut self, step: Step) {
        match step {
            Step::Serve(end, stand_by) => {
                let topic = "served".parse().unwrap();
                if let Ok(id) = self.pair.ends[end].serve(&topic, stand_by) {
                    self.ends[end].claims.insert(id, Default::default());
                }
            }
            Step::Leave(end, at) => {
                let ids = self.ends[end].claims.keys().copied().collect();
                if let Some(id) = pick(&ids, at) {
                    let _ = self.pair.ends[end].leave(id);
                    self.ends[end].claims.remove(&id);
                }
            }
            Step::AnswerServe(end, at, how) => {
                let ids = self.ends[end].announced_claims.keys().copied().collect();
                if let Some(id) = pick(&ids, at) {
                    let status = match how % 8 {
                        0 => Status::Taken,
                        1 => Status::Lost,
                        2..=4 => Status::StandingBy,
                        _ => Status::Accepted,
                    };
                    self.answer_serve(end, id, status);
                }
            }
            _ => {}
        }
    }

    fn lose(&mut self) {
        for end in 0..2 {
            self.pair.ends[end].disconnected(self.pair.now);
            self.pair.wires[end].clear();
        }
    }

    fn answer_serve(&mut self, end: usize, id: u32, status: Status) {
        if self.pair.ends[end].answer_serve(id, status, "").is_err() {
            return; // the session is over
        }
        if is_held(status) {
            self.ends[end].announced_claims.insert(id, true);
        } else {
            self.ends[end].announced_claims.remove(&id);
        }
        if let Some((_, told)) = self.ends[1 - end].claims.get_mut(&id) {
            told.push_back(status);
        }
    }

    fn publish(&mut self, end: usize, topic: u8, length: usize) {
        let to: Vec<u32> = self.ends[end].announced.iter().copied().collect();
        self.published += 1;
        let mut payload = vec![0_u8; length];
        payload[..4].copy_from_slice(&self.published.to_be_bytes());
        let topic = format!("t/{}", topic % 6).parse().unwrap();
        let publication = Publication::new(topic, Codec::Raw, payload.into());
        if self.pair.ends[end].publish(&publication, &to).is_ok() {
            for id in to {
                if let Some(numbers) = self.ends[1 - end].subscriptions.get_mut(&id) {
                    numbers.push(self.published);
                }
            }
        }
    }

    /// Takes the events of both ends, and checks all that holds at any time.
    fn check(&mut self) {
        for end in 0..2 {
            for event in self.pair.take(end) {
                self.on_event(end, event);
            }
            let session = &self.pair.ends[end];
            assert!(session.buffered() < 100_000, "{session:?}");
            assert!(session.queued() < 60, "{session:?}");
            assert!(session.pending() <= 5);
        }
    }

    fn on_event(&mut self, end: usize, event: Event) {
        let (this, other) = {
            let [first, second] = &mut self.ends;
            if end == 0 {
                (first, second)
            } else {
                (second, first)
            }
        };
        assert!(!this.is_closed, "after the last event: {event:?}");
        let is_first = matches!(event, Event::Opened { .. } | Event::Closed(_));
        assert!(this.is_open || is_first, "before the hello: {event:?}");
        match event {
            Event::Opened { .. } => this.is_open = true,
            Event::Closed(_) => this.is_closed = true,
            Event::Subscribe { id, .. } => {
                let is_refused = id % 5 == 0;
                let status = if is_refused {
                    Status::Denied
                } else {
                    Status::Accepted
                };
                let answered = self.pair.ends[end].answer_subscribe(id, status, "");
                if answered.is_ok() && !is_refused {
                    this.announced.insert(id);
                }
            }
            Event::Subscribed { id, status, .. } => {
                assert_eq!(status == Status::Denied, id % 5 == 0);
                if status == Status::Denied {
                    assert_eq!(this.subscriptions.remove(&id), Some(Vec::new()));
                }
            }
            Event::Serve { id, .. } => {
                assert_eq!(this.announced_claims.insert(id, false), None);
            }
            Event::Leave { id } => assert!(this.announced_claims.remove(&id).is_some()),
            Event::Served { id, status, .. } => {
                let (is_answered, told) = this.claims.get_mut(&id).expect("it has not ended");
                assert_eq!(told.pop_front(), Some(status), "in order, and each");
                *is_answered = true;
                if !is_held(status) {
                    this.claims.remove(&id);
                }
            }
            Event::Unsubscribe { id } => {
                this.announced.remove(&id);
            }
            Event::Message { to, payload, .. } => {
                let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
                for id in to {
                    let numbers = this.subscriptions.get_mut(&id).expect("it has not ended");
                    assert_eq!(numbers.remove(0), number, "in order, without an untold gap");
                    this.unconsumed.push((id, payload.len() as u64));
                }
            }
            Event::Gap { id, missed } => {
                let numbers = this.subscriptions.get_mut(&id).expect("it has not ended");
                numbers.drain(..usize::try_from(missed).unwrap());
            }
            Event::Request { request, .. } => {
                assert!(this.delivered.insert(request));
            }
            Event::Withdrawn { request } => {
                assert!(this.delivered.remove(&request) || this.taken.remove(&request));
            }
            Event::Taken { request } => assert!(other.ever_taken.contains(&request)),
            Event::Ended { request, outcome } => {
                assert!(this.pending.remove(&request), "twice, or never made");
                match &outcome {
                    Outcome::Reply { payload, .. } | Outcome::Refused { payload, .. } => {
                        assert_eq!(payload[..], request.to_be_bytes());
                        assert!(other.replied.contains(&request));
                    }
                    _ => {}
                }
                this.ended.insert(request, outcome);
            }
            _ => {}
        }
    }

    /// Lets the ends finish, without further requests.
    fn finish(&mut self) {
        for _ in 0..40 {
            for end in 0..2 {
                self.pair.write(end, usize::MAX);
                self.pair.read(end, usize::MAX);
                self.check();
                for (id, bytes) in std::mem::take(&mut self.ends[end].unconsumed) {
                    let _ = self.pair.ends[end].consumed(id, 1, bytes);
                }
                let claims = self.ends[end].announced_claims.clone();
                for (id, _) in claims.into_iter().filter(|(_, is_answered)| !is_answered) {
                    self.answer_serve(end, id, Status::Accepted);
                }
                let taken: Vec<_> = self.ends[end].delivered.iter().copied().collect();
                for request in taken {
                    if self.pair.ends[end].take(self.pair.now, request) {
                        self.ends[end].delivered.remove(&request);
                        self.ends[end].ever_taken.insert(request);
                        self.ends[end].taken.insert(request);
                    }
                }
                for request in std::mem::take(&mut self.ends[end].taken) {
                    let reply = Bytes::from(request.to_be_bytes());
                    self.ends[end].replied.insert(request);
                    let _ = self.pair.ends[end].reply(request, Codec::Raw, Ok(&reply));
                }
                self.check();
            }
        }
    }
}

fn run(steps: Vec<Step>) {
    let mut run = Run {
        pair: Pair::new([small(1), small(2)]),
        ends: Default::default(),
        published: 0,
    };
    for step in steps {
        run.step(step);
    }
    run.finish();
    // Without a loss, all is settled by now.
    if run.pair.ends.iter().all(Session::is_open) {
        for end in &run.ends {
            assert_eq!(end.pending.len(), 0, "a request without an outcome");
            for (id, (is_answered, told)) in &end.claims {
                assert!(*is_answered && told.is_empty(), "claim {id}: {told:?}");
            }
            for (id, numbers) in &end.subscriptions {
                assert!(
                    numbers.is_empty(),
                    "subscription {id}: neither received nor missed: {numbers:?}"
                );
            }
        }
    }
    run.lose();
    run.check();
    for end in 0..2 {
        assert!(run.ends[end].is_closed);
        assert_eq!(
            run.ends[end].pending.len(),
            0,
            "a request without an outcome"
        );
        for (request, outcome) in &run.ends[end].ended {
            let was_taken = run.ends[1 - end].ever_taken.contains(request);
            match outcome.executed() {
                Executed::No => assert!(!was_taken, "{request} {outcome:?}"),
                Executed::Yes => assert!(was_taken, "{request} {outcome:?}"),
                Executed::Perhaps => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn a_random_program_ends_each_request_once(steps in vec(step(), 1..300)) {
        run(steps);
    }
}
