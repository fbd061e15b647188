//! One end of a link: bytes in, bytes out, the time as an argument.
//!
//! A [`Session`] has no socket and no clock. Its driver passes it what it reads
//! ([`receive`](Session::receive)), writes what it wants to send
//! ([`transmit`](Session::transmit), [`sent`](Session::sent)), tells it the time
//! ([`tick`](Session::tick) at the [`next_deadline`](Session::next_deadline)) and that the
//! connection ended ([`disconnected`](Session::disconnected)). After each of these it takes the
//! [events](Session::poll_event), and it answers those of subscriptions, claims and requests.
//!
//! ```
//! use std::time::Instant;
//! use ump_router::{Bytes, link::{session::{Config, Credit, Event, Publication, Session}, wire::Codec}};
//!
//! let now = Instant::now();
//! let config = |router| Config { router, ..Config::default() };
//! let (mut hub, mut leaf) = (Session::new(now, config(1)), Session::new(now, config(2)));
//! # fn carry(now: Instant, from: &mut Session, to: &mut Session) {
//! #     let bytes = from.transmit(now).to_vec();
//! #     assert_eq!(to.receive(now, &bytes), bytes.len());
//! #     from.sent(now, bytes.len());
//! # }
//! // `carry` takes the bytes from one end to the other.
//! carry(now, &mut hub, &mut leaf);
//! carry(now, &mut leaf, &mut hub);
//! assert!(matches!(leaf.poll_event(), Some(Event::Opened { .. })));
//! assert!(matches!(hub.poll_event(), Some(Event::Opened { .. })));
//!
//! leaf.subscribe(&"price/**".parse()?, Credit { messages: 10, bytes: 1000 }, false)?;
//! carry(now, &mut leaf, &mut hub);
//! let Some(Event::Subscribe { id, .. }) = hub.poll_event() else { panic!() };
//!
//! let price = Publication::new("price/eur".parse()?, Codec::Raw, Bytes::from(*b"1.08"));
//! hub.publish(&price, &[id])?;
//! carry(now, &mut hub, &mut leaf);
//! let Some(Event::Message { topic, payload, .. }) = leaf.poll_event() else { panic!() };
//! assert_eq!((topic.as_str(), &payload[..]), ("price/eur", &b"1.08"[..]));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - Each request of this end ends in one [`Outcome`], also if the link is lost.
//! - A request of the peer that was cancelled or has expired is not [taken](Session::take) any
//!   more.
//! - Memory is bounded by the [`Config`], whatever the peer sends, and whether it reads or not.
//!   Reading never has to wait for writing; so two peers that write at each other do not block.
//! - A subscription without credit misses messages and is told how many. It holds up no other.
//! - [`Event::Closed`] is the last event, once.

mod calls;
mod config;
mod credit;
mod end;
mod event;
mod local;
mod names;
mod output;
mod refusals;
mod remote;
mod replica;
mod replicating;
mod room;
mod time;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    time::Instant,
};

use self::{
    calls::{Asked, Calls, Received},
    credit::{Allowance, Budget},
    names::NamesIn,
    output::{Bulk, Next, Output},
};
pub use self::{
    config::{Config, Timeouts, VERSIONS},
    event::{Closed, Event, Outcome, Progress, Rejected},
    local::{Call, Credit, Publication},
    replica::Replica,
    traffic::Traffic,
};
use crate::{
    link::wire::{Caps, Decoded, Limits, MAX_CONTROL, Message, WireError, decode},
    topic::Pattern,
};

/// How many events may wait before [`receive`](Session::receive) stops.
const MAX_EVENTS: usize = 256;

/// One end of a link. See the [module](self).
pub struct Session {
    config: Config,
    state: State,
    /// Whether the peer has answered the goodbye of this end.
    is_acknowledged: bool,
    /// The limits of the peer.
    peer: Limits,
    /// What the peer has sent.
    received_so_far: Traffic,
    /// A frame that is not complete.
    input: Vec<u8>,
    /// When its first byte came.
    frame_since: Option<Instant>,
    /// When a byte came last.
    heard: Instant,
    /// Whether a ping was sent since.
    pinged: bool,
    /// Since when bytes wait, and none could be written.
    blocked_since: Option<Instant>,
    /// Since when operations of this end wait for an answer, and none has come.
    unanswered_since: Option<Instant>,
    /// Since when it is held back that requests were taken.
    taken_since: Option<Instant>,
    output: Output,
    /// Events, and the credit of the link that returns with them.
    events: VecDeque<(Event, u64)>,
    link: Allowance,
    names: NamesIn,
    own: Own,
    their: Their,
    asked: Calls<Asked>,
    received: Calls<Received>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The hello of the peer is still to come.
    Hello {
        deadline: Instant,
    },
    Open,
    /// What is left is sent.
    Closing {
        deadline: Instant,
        /// Whether the peer says nothing more that matters.
        peer_done: bool,
    },
    Closed,
}

/// Subscriptions and claims of this end.
#[derive(Debug, Default)]
struct Own {
    subscriptions: BTreeMap<u32, OwnSubscription>,
    last_subscription: u32,
    claims: BTreeSet<u32>,
    last_claim: u32,
    /// Those whose answer is still to come.
    unanswered_subscriptions: BTreeSet<u32>,
    unanswered_claims: BTreeSet<u32>,
}

impl Own {
    /// Returns the number of operations whose answer is still to come.
    fn unanswered(&self) -> usize {
        self.unanswered_subscriptions.len() + self.unanswered_claims.len()
    }
}

#[derive(Debug)]
struct OwnSubscription {
    pattern: Pattern,
    messages: Allowance,
    bytes: Allowance,
}

/// Subscriptions and claims of the peer.
#[derive(Debug, Default)]
struct Their {
    subscriptions: BTreeMap<u32, TheirSubscription>,
    last_subscription: u32,
    /// Whether each was answered.
    claims: BTreeMap<u32, bool>,
    last_claim: u32,
    /// Subscriptions with missed messages that are to be told when no publication waits.
    gaps: BTreeSet<u32>,
}

#[derive(Debug)]
struct TheirSubscription {
    is_answered: bool,
    messages: Budget,
    bytes: Budget,
    /// The bytes that it began with.
    first_bytes: u64,
    /// Missed messages that were not told.
    missed: u64,
    /// It may have missed more, and was not told.
    is_interrupted: bool,
}

impl TheirSubscription {
    /// Takes the gaps to be told. An unknown number is 0.
    fn take_gaps(&mut self) -> impl Iterator<Item = u64> + use<> {
        let missed = std::mem::take(&mut self.missed);
        let counted = (missed > 0).then_some(missed);
        let unknown = std::mem::take(&mut self.is_interrupted).then_some(0);
        counted.into_iter().chain(unknown)
    }
}

impl Session {
    /// Begins a session. Its hello waits to be sent.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        let config = config.corrected();
        let mut output = Output::default();
        output.encode(&Message::Hello(config.hello()));
        Self {
            state: State::Hello {
                deadline: now + config.timeouts.hello,
            },
            is_acknowledged: false,
            peer: Limits::default(),
            received_so_far: Traffic::default(),
            input: Vec::new(),
            frame_since: None,
            heard: now,
            pinged: false,
            blocked_since: None,
            unanswered_since: None,
            taken_since: None,
            output,
            events: VecDeque::new(),
            link: Allowance::new(config.limits.window),
            names: NamesIn::default(),
            own: Own::default(),
            their: Their::default(),
            asked: Calls::default(),
            received: Calls::default(),
            config,
        }
    }

    /// Receives bytes of the peer. Returns how many were used: fewer than there are if too many
    /// events wait. Take the events then, and pass the rest.
    #[must_use = "the rest of the bytes is to be passed again"]
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if !bytes.is_empty() {
            self.heard = now;
            self.pinged = false;
        }
        let mut used = 0;
        while self.events.len() < MAX_EVENTS {
            if matches!(
                self.state,
                State::Closing {
                    peer_done: true,
                    ..
                } | State::Closed
            ) {
                used = bytes.len(); // it does not matter any more, whatever it is
                break;
            }
            let rest = &bytes[used..];
            let is_buffered = !self.input.is_empty();
            let source = if is_buffered { &self.input[..] } else { rest };
            match decode(source, &self.caps()) {
                Ok(Decoded::Incomplete { needed }) => {
                    let missing = needed - self.input.len();
                    let take = rest.len().min(missing);
                    if take == 0 {
                        break;
                    }
                    self.input.extend_from_slice(&rest[..take]);
                    self.frame_since.get_or_insert(now);
                    used += take;
                }
                Ok(Decoded::Frame {
                    length,
                    uncompressed,
                    kind,
                    message,
                }) => {
                    if is_buffered {
                        self.input.clear();
                        self.input.shrink_to(2 * MAX_CONTROL); // the memory of a large frame
                        self.frame_since = None;
                    } else {
                        used += length;
                    }
                    self.received_so_far.frame(message.as_ref());
                    // It is what its payload takes here.
                    let credit = if kind.is_bulk() { uncompressed } else { 0 } as u64;
                    if let Err(closed) = self.on_frame(now, message, credit) {
                        self.end(now, closed);
                    }
                }
                Err(error) => {
                    let is_first = matches!(self.state, State::Hello { .. });
                    let error = if is_first { WireError::NoHello } else { error };
                    self.end(now, error.into());
                    self.ignore_peer(); // what follows cannot be understood
                }
            }
        }
        self.received_so_far.bytes(used);
        self.settle();
        used
    }

    fn caps(&self) -> Caps {
        match self.state {
            State::Hello { .. } => Caps::HELLO,
            _ => Caps {
                control: MAX_CONTROL,
                bulk: self.config.limits.frame as usize,
                compression: self.output.compresses,
            },
        }
    }

    /// Returns bytes to be written, if there are any. Tell how many [were](Self::sent).
    pub fn transmit(&mut self, now: Instant) -> &[u8] {
        self.expire(now);
        if self.own.unanswered() > 0 {
            self.unanswered_since.get_or_insert(now);
        }
        if !self.holds_taken(now) {
            self.taken_since = None;
        }
        let holds_taken = self.taken_since.is_some();
        loop {
            if !self.output.has_publications() {
                self.tell_gaps();
            }
            let Some(next) = self.output.take_next(holds_taken) else {
                break;
            };
            match next {
                Next::Window => {
                    let bytes = self.link.tell();
                    self.output.encode(&Message::Window { bytes });
                }
                Next::Credit(id) => {
                    if let Some(subscription) = self.own.subscriptions.get_mut(&id) {
                        let messages = subscription.messages.tell();
                        let bytes = subscription.bytes.tell();
                        self.output.encode(&Message::Credit {
                            id,
                            messages,
                            bytes,
                        });
                    }
                }
                Next::Message(message) => self.output.encode(&message),
                Next::Bulk(bulk) => {
                    if let Bulk::Request { request, .. } = bulk {
                        self.asked.set(request, Asked::Pending(Progress::Sent));
                    }
                    self.output.encode_bulk(now, bulk);
                }
            }
        }
        if !self.output.staged().is_empty() {
            self.blocked_since.get_or_insert(now);
        }
        self.output.staged()
    }

    /// Queues the gaps that are to be told.
    fn tell_gaps(&mut self) {
        while let Some(id) = self.their.gaps.pop_first() {
            if let Some(subscription) = self.their.subscriptions.get_mut(&id) {
                for missed in subscription.take_gaps() {
                    self.output.bulk(Bulk::Gap { id, missed });
                }
            }
        }
    }

    /// Tells that the first `count` bytes of [`transmit`](Self::transmit) were written.
    pub fn sent(&mut self, now: Instant, count: usize) {
        self.output.write(count);
        if self.output.staged().is_empty() {
            self.blocked_since = None;
        } else if count > 0 {
            self.blocked_since = Some(now);
        }
        self.settle();
    }

    /// Tells that the connection ended, in either direction, or failed. Pass what was read before.
    pub fn disconnected(&mut self, now: Instant) {
        self.end(now, Closed::Lost);
        self.output.discard();
        self.state = State::Closed;
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let (event, credit) = self.events.pop_front()?;
        self.consume(credit);
        Some(event)
    }

    fn emit(&mut self, event: Event) {
        self.events.push_back((event, 0));
    }

    /// Returns credit of the link to the peer.
    fn consume(&mut self, credit: u64) {
        let may_tell = match self.state {
            State::Open => true,
            // Two ends that close at the same time empty their queues.
            State::Closing { .. } => self.output.has_goodbye(),
            State::Hello { .. } | State::Closed => false,
        };
        if credit > 0 && self.link.consume(credit) && may_tell {
            self.output.window = true;
        }
    }

    /// Returns whether messages can be exchanged.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Returns whether nothing more is to be read or written: the connection can be dropped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed
    }

    /// Returns whether this end has [closed](Self::close) the session, and the peer has answered:
    /// it has received all that was sent before.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// Returns the number of requests of this end that have no outcome, or whose answer is still
    /// to come after they were cancelled.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.asked.len()
    }

    /// Returns whether a subscription of the peer has credit for a message with so many bytes of
    /// payload. One that has ended has none. For a publisher that would rather wait than have a
    /// message missed.
    #[must_use]
    pub fn has_credit(&self, id: u32, bytes: u64) -> bool {
        let subscription = self.their.subscriptions.get(&id);
        subscription.is_some_and(|it| it.messages.has(1) && it.bytes.has(bytes))
    }

    /// Returns the bytes of payload that the session holds, and of frames that are not complete.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let events = self.events.iter().map(|(_, credit)| *credit).sum::<u64>();
        self.input.capacity() + self.output.bytes() + usize::try_from(events).unwrap_or(usize::MAX)
    }

    /// Returns the number of requests of the peer that have no answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.received.len()
    }

    /// Returns the number of requests of the peer that have no answer and whose event was taken.
    #[must_use]
    pub fn in_service(&self) -> usize {
        let is_request = |(event, _): &&(Event, u64)| matches!(event, Event::Request { .. });
        let waiting = self.events.iter().filter(is_request).count();
        self.received.len().saturating_sub(waiting)
    }

    /// Returns the bytes that wait to be sent: encoded frames and the payload of others.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.output.unsent()
    }

    /// Returns the number of control frames and events that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.output.controls() + self.events.len()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("pending", &self.asked.len())
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}
