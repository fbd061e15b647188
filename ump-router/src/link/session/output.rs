//! What waits to be sent: control before bulk, and replies, requests and publications in turn.
//!
//! # Bounds
//!
//! 1. Of pongs and windows, and of the credit of each subscription, only the last one waits.
//! 2. Answers to operations wait at most as many as the peer may have without an answer; answers
//!    to requests and cancellations, as many as there may be requests. They count until they are
//!    encoded, so a peer that does not read them may make no further ones.
//! 3. Operations of this end are refused while more than [`MAX_CONTROL`] control frames wait.
//! 4. Each lane has a maximum of bytes.
//! 5. At most [`STAGE`] bytes and one frame are encoded and not written.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use super::{credit::Budget, names::NamesOut, replica::Replica, traffic::Traffic};
use crate::{
    link::wire::{Codec, HEADER, Message, encode, encode_compressed},
    protocol::Bytes,
    topic::{Pattern, Topic},
};

/// How many control frames may wait before operations are refused.
const MAX_CONTROL: usize = 1024;

/// How many bytes are encoded before some are written.
const STAGE: usize = 16 << 10;

/// A frame with a shorter body is not compressed: there is little to gain.
const MIN_COMPRESSED: usize = 512;

/// The lanes of bulk frames.
pub(super) const REPLIES: usize = 0;
pub(super) const REQUESTS: usize = 1;
pub(super) const PUBLICATIONS: usize = 2;
const LANES: usize = 3;

/// A frame with a payload, or one that keeps its place among these. Its topic gets a number when
/// the frame is encoded.
#[derive(Debug)]
pub(super) enum Bulk {
    Publish {
        topic: Pattern,
        retain: bool,
        retained: bool,
        codec: Codec,
        to: Vec<u32>,
        payload: Bytes,
    },
    /// A control frame in the place of missed messages.
    Gap {
        id: u32,
        missed: u64,
    },
    /// A control frame that must not overtake the message that it removes.
    Unretain {
        topic: Topic,
    },
    Request {
        request: u64,
        topic: Pattern,
        deadline: Option<Instant>,
        codec: Codec,
        payload: Bytes,
    },
    Reply {
        request: u64,
        refused: bool,
        codec: Codec,
        payload: Bytes,
    },
    Replicate(Replica),
}

/// The length of the body of a publication.
pub(super) fn publish_body(ids: usize, payload: usize) -> usize {
    7 + 4 * ids + payload
}

impl Bulk {
    /// The length of the body.
    pub(super) fn body(&self) -> usize {
        match self {
            Self::Publish { to, payload, .. } => publish_body(to.len(), payload.len()),
            Self::Gap { .. } => 12,
            Self::Unretain { topic } => 2 + topic.as_str().len(),
            Self::Request { payload, .. } => 21 + payload.len(),
            Self::Reply { payload, .. } => 9 + payload.len(),
            Self::Replicate(it) => 35 + it.topic.as_str().len() + it.payload.len(),
        }
    }

    fn lane(&self) -> usize {
        match self {
            Self::Reply { .. } => REPLIES,
            Self::Request { .. } => REQUESTS,
            Self::Publish { .. }
            | Self::Gap { .. }
            | Self::Unretain { .. }
            | Self::Replicate(_) => PUBLICATIONS,
        }
    }

    /// The credit of the link that the frame uses.
    fn credit(&self) -> u64 {
        match self {
            Self::Gap { .. } | Self::Unretain { .. } => 0,
            _ => (HEADER + self.body()) as u64,
        }
    }
}

/// A queue with a maximum of bytes.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Bulk>,
    bytes: usize,
}

impl Lane {
    fn push(&mut self, bulk: Bulk) {
        self.bytes += bulk.body();
        self.queue.push_back(bulk);
    }

    fn pop(&mut self) -> Option<Bulk> {
        let bulk = self.queue.pop_front()?;
        self.bytes -= bulk.body();
        Some(bulk)
    }

    fn retain(&mut self, keep: impl Fn(&Bulk) -> bool) {
        self.queue.retain(keep);
        self.bytes = self.queue.iter().map(Bulk::body).sum();
    }
}

#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) sent_so_far: Traffic,
    staged: Vec<u8>,
    written: usize,
    pub(super) pong: Option<u64>,
    pub(super) window: bool,
    /// Subscriptions of this end whose credit has risen.
    pub(super) credits: BTreeSet<u32>,
    /// Requests that were taken and not answered.
    pub(super) taken: VecDeque<u64>,
    control: VecDeque<Control>,
    lanes: [Lane; LANES],
    /// The lane whose turn it is.
    turn: usize,
    goodbye: Option<Message>,
    /// Both ends want payloads to be compressed.
    pub(super) compresses: bool,
    pub(super) names: NamesOut,
    pub(super) link: Budget,
    /// Operations of the peer without an answer that was encoded.
    pub(super) operations: u32,
    /// Answers to requests of the peer that were not encoded.
    pub(super) answers: usize,
}

/// A control frame that waits.
#[derive(Debug)]
struct Control {
    message: Message,
    /// Whether it answers an operation of the peer.
    is_answer: bool,
}

/// What becomes encoded and needs the session.
pub(super) enum Next {
    /// Encode the window of the link.
    Window,
    /// Encode the credit of a subscription.
    Credit(u32),
    /// Encode this message.
    Message(Message),
    /// Encode a frame.
    Bulk(Bulk),
}

impl Output {
    /// Appends a control frame.
    pub(super) fn control(&mut self, message: Message) {
        self.answers += usize::from(matches!(message, Message::Outcome { .. }));
        let is_answer = false;
        self.control.push_back(Control { message, is_answer });
    }

    /// Appends the answer to an operation of the peer.
    pub(super) fn answer(&mut self, message: Message) {
        let is_answer = true;
        self.control.push_back(Control { message, is_answer });
    }

    pub(super) fn is_full(&self) -> bool {
        self.control.len() >= MAX_CONTROL
    }

    /// Appends a frame to its lane.
    pub(super) fn bulk(&mut self, bulk: Bulk) {
        self.answers += usize::from(matches!(bulk, Bulk::Reply { .. }));
        self.lanes[bulk.lane()].push(bulk);
    }

    pub(super) fn has_room(&self, lane: usize, body: usize, max: usize) -> bool {
        let bytes = self.lanes[lane].bytes;
        bytes == 0 || bytes + body <= max
    }

    pub(super) fn has_publications(&self) -> bool {
        !self.lanes[PUBLICATIONS].queue.is_empty()
    }

    /// Removes a request that was not encoded.
    pub(super) fn remove_request(&mut self, id: u64) {
        let is_other = |it: &Bulk| !matches!(it, Bulk::Request { request, .. } if *request == id);
        self.lanes[REQUESTS].retain(is_other);
    }

    /// Drops the requests that were not encoded.
    pub(super) fn drop_requests(&mut self) {
        self.lanes[REQUESTS] = Lane::default();
    }

    /// Drops all that was not encoded.
    pub(super) fn drop_all(&mut self) {
        self.answers = 0;
        self.operations = 0;
        self.control.clear();
        self.lanes = Default::default();
        self.taken.clear();
        self.credits.clear();
        self.window = false;
        self.pong = None;
    }

    /// Drops all, also what was encoded.
    pub(super) fn discard(&mut self) {
        self.drop_all();
        self.goodbye = None;
        self.staged = Vec::new();
        self.written = 0;
    }

    /// Ends the output with a goodbye, after all else.
    pub(super) fn goodbye(&mut self, message: Message) {
        self.goodbye = Some(message);
    }

    /// Returns whether the goodbye waits.
    pub(super) fn has_goodbye(&self) -> bool {
        self.goodbye.is_some()
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.staged.len() == self.written
            && self.goodbye.is_none()
            && self.control.is_empty()
            && self.is_drained()
            && self.taken.is_empty()
            && self.credits.is_empty()
            && !self.window
            && self.pong.is_none()
    }

    /// Returns whether nothing of what is encoded was sent.
    pub(super) fn is_unsent(&self) -> bool {
        self.written == 0 && !self.staged.is_empty()
    }

    pub(super) fn staged(&self) -> &[u8] {
        &self.staged[self.written..]
    }

    pub(super) fn write(&mut self, count: usize) {
        self.sent_so_far.bytes(count);
        self.written = (self.written + count).min(self.staged.len());
        if self.written == self.staged.len() {
            self.written = 0;
            self.staged.clear();
            self.staged.shrink_to(2 * STAGE); // the memory of a large frame
        } else if self.written >= STAGE && self.written >= self.staged.len() / 2 {
            self.staged.drain(..self.written);
            self.written = 0;
        }
    }

    /// The bytes that wait, encoded or not.
    pub(super) fn bytes(&self) -> usize {
        self.staged.capacity() + self.lanes.iter().map(|lane| lane.bytes).sum::<usize>()
    }

    /// The bytes that wait to be sent, encoded or not.
    pub(super) fn unsent(&self) -> usize {
        let waiting = self.lanes.iter().map(|lane| lane.bytes).sum::<usize>();
        self.staged.len() - self.written + waiting
    }

    /// The number of control frames that wait.
    pub(super) fn controls(&self) -> usize {
        self.control.len() + self.credits.len() + self.taken.len()
    }

    /// Returns what is to be encoded next. May hold back which requests were taken.
    pub(super) fn take_next(&mut self, holds_taken: bool) -> Option<Next> {
        if self.staged.len() - self.written >= STAGE {
            return None;
        }
        if let Some(token) = self.pong.take() {
            return Some(Next::Message(Message::Pong { token }));
        }
        if std::mem::take(&mut self.window) {
            return Some(Next::Window);
        }
        if let Some(id) = self.credits.pop_first() {
            return Some(Next::Credit(id));
        }
        if let Some(Control { message, is_answer }) = self.control.pop_front() {
            self.operations -= u32::from(is_answer);
            self.answers -= usize::from(matches!(message, Message::Outcome { .. }));
            return Some(Next::Message(message));
        }
        let taken = &mut self.taken;
        if let Some(request) = (!holds_taken).then(|| taken.pop_front()).flatten() {
            return Some(Next::Message(Message::Taken { request }));
        }
        if let Some(bulk) = self.next_bulk() {
            return Some(Next::Bulk(bulk));
        }
        if self.is_drained() {
            return self.goodbye.take().map(Next::Message);
        }
        None
    }

    fn is_drained(&self) -> bool {
        self.lanes.iter().all(|lane| lane.queue.is_empty())
    }

    /// Takes a frame from the lane whose turn it is, or else from the next one for whose frame the
    /// link has credit.
    fn next_bulk(&mut self) -> Option<Bulk> {
        for _ in 0..LANES {
            let lane = &mut self.lanes[self.turn];
            self.turn = (self.turn + 1) % LANES;
            let credit = lane.queue.front().map(Bulk::credit);
            if let Some(credit) = credit.filter(|credit| self.link.has(*credit)) {
                self.link.use_up(credit);
                let bulk = lane.pop();
                self.answers -= usize::from(matches!(bulk, Some(Bulk::Reply { .. })));
                return bulk;
            }
        }
        None
    }

    pub(super) fn encode(&mut self, message: &Message) {
        self.sent_so_far.frame(Some(message));
        // Its length was checked when it was made.
        let encoded = encode(message, &mut self.staged);
        debug_assert_eq!(encoded, Ok(()));
    }

    /// Encodes a frame, after the definition of its topic.
    pub(super) fn encode_bulk(&mut self, now: Instant, bulk: Bulk) {
        let compresses = self.compresses && bulk.body() >= MIN_COMPRESSED;
        let message = match bulk {
            Bulk::Publish {
                topic,
                retain,
                retained,
                codec,
                to,
                payload,
            } => Message::Publish {
                topic: self.number(topic),
                retain,
                retained,
                codec,
                to,
                payload,
            },
            Bulk::Gap { id, missed } => Message::Gap { id, missed },
            Bulk::Unretain { topic } => Message::Unretain { topic },
            Bulk::Request {
                request,
                topic,
                deadline,
                codec,
                payload,
            } => Message::Request {
                request,
                topic: self.number(topic),
                remaining: deadline.map(|it| it.saturating_duration_since(now)),
                codec,
                payload,
            },
            Bulk::Reply {
                request,
                refused,
                codec,
                payload,
            } => Message::Reply {
                request,
                refused,
                codec,
                payload,
            },
            Bulk::Replicate(replica) => Message::Replicate(replica.into_change(now)),
        };
        if compresses {
            // Its length was checked when it was made.
            let encoded = encode_compressed(&message, &mut self.staged);
            debug_assert_eq!(encoded, Ok(()));
        } else {
            self.encode(&message);
        }
    }

    fn number(&mut self, topic: Pattern) -> u32 {
        let (number, is_new) = self.names.number(&topic);
        if is_new {
            self.encode(&Message::Topic { number, topic });
        }
        number
    }
}
