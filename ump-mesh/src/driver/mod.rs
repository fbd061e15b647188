//! The thread of a mesh.

mod callbacks;
mod known;
mod messages;
mod requests;
mod serving;
mod tokens;
mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use ump_router::{
    Pattern, Topic,
    bridge::{Announcements, Bridge, Outbox, RemoteServers},
};
use zenoh::{Session, Wait as _, liveliness::LivelinessToken, pubsub::Subscriber};

use self::{
    known::Known,
    requests::{Executing, Pending, Queried},
    serving::OwnClaim,
};
use crate::{
    claims::Claims,
    config::Config,
    envelope::Tell,
    error::MeshError,
    keys::Token,
    numbers::{Receiver, Source},
    participant::ParticipantId,
    progress::Progress,
    queue::Queue,
    shared::{Event, Key, Shared},
};

/// How long after a message the counts of its topic are told.
const BEAT: Duration = Duration::from_millis(250);

/// How often requests that nobody acknowledged are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// The state of a mesh. See the header of the crate.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    session: Session,
    announcements: Announcements,
    outbox: Outbox,
    servers: RemoteServers,
    wakers: Wakers,
    /// What is known of the other participants.
    known: HashMap<ParticipantId, Known>,
    /// The patterns of others, with how many subscriptions have them.
    wanted: HashMap<Pattern, usize>,
    /// The subscriptions that were told to others since the last turn.
    unconfirmed: HashMap<ParticipantId, Vec<u64>>,
    source: Source,
    claims: Claims,
    own_subscriptions: HashMap<Pattern, OwnSubscription>,
    own_claims: HashMap<Topic, OwnClaim>,
    pending: HashMap<u64, Pending>,
    executing: HashMap<(ParticipantId, u64), Executing>,
    queried: HashMap<u64, Queried>,
    next_number: u64,
    lease: Duration,
    beat_at: Option<Instant>,
    look_at: Option<Instant>,
    has_ended: bool,
    /// What is declared for as long as the mesh is joined.
    _inbox: Subscriber<()>,
    _beats: Subscriber<()>,
    _tokens: Subscriber<()>,
    _participant: LivelinessToken,
}

/// A subscription of this process, as others see it. The token goes first.
struct OwnSubscription {
    _token: LivelinessToken,
    _subscriber: Subscriber<()>,
}

/// Those of the parts of the bridge.
struct Wakers {
    announcements: Waker,
    outbox: Waker,
    servers: Waker,
}

impl Driver {
    /// Opens zenoh, and tells the others of this participant.
    pub(crate) fn open(
        bridge: Bridge,
        config: &Config,
        zenoh: zenoh::Config,
    ) -> Result<Self, MeshError> {
        let failed = |error: zenoh::Error| MeshError::Open(error.to_string());
        let session = zenoh::open(zenoh).wait().map_err(failed)?;
        let own = u128::from_str_radix(&session.zid().to_string(), 16);
        let own = ParticipantId(own.map_err(|error| MeshError::Open(error.to_string()))?);
        let shared = Arc::new(Shared {
            own,
            domain: config.domain_name().to_owned(),
            queue: Queue::new(),
            receiver: Mutex::new(Receiver::default()),
            participants: Mutex::new(BTreeMap::new()),
            progress: Progress::default(),
            bridge,
        });
        let announcements = shared.bridge.announcements();
        let announcements = announcements.map_err(|_| MeshError::Closed)?;
        // The inbox before the tokens: who sees a token may tell something.
        let inbox = callbacks::inbox(&session, &shared).map_err(failed)?;
        let beats = callbacks::beats(&session, &shared).map_err(failed)?;
        let tokens = callbacks::tokens(&session, &shared).map_err(failed)?;
        let participant = Token::Participant {
            id: own,
            name: config.display_name(),
            host: host(),
            pid: std::process::id(),
            joined: SystemTime::now(),
        };
        let participant = session.liveliness().declare_token(participant.key());
        let participant = participant.wait().map_err(failed)?;
        Ok(Self {
            outbox: shared.bridge.outbox(),
            servers: shared.bridge.remote_servers(),
            announcements,
            wakers: Wakers {
                announcements: shared.queue.waker(Key::Announcements),
                outbox: shared.queue.waker(Key::Outbox),
                servers: shared.queue.waker(Key::Servers),
            },
            known: HashMap::new(),
            wanted: HashMap::new(),
            unconfirmed: HashMap::new(),
            source: Source::default(),
            claims: Claims::new(own),
            own_subscriptions: HashMap::new(),
            own_claims: HashMap::new(),
            pending: HashMap::new(),
            executing: HashMap::new(),
            queried: HashMap::new(),
            next_number: 0,
            lease: config.lease_time(),
            beat_at: None,
            look_at: None,
            has_ended: false,
            _inbox: inbox,
            _beats: beats,
            _tokens: tokens,
            _participant: participant,
            session,
            shared,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs until the handle is dropped, or the router is closed.
    pub(crate) fn run(mut self) {
        // First what others have told while zenoh was opened: a topic that is served has its server
        // before this process claims it.
        self.turn();
        self.announce();
        self.send_messages();
        self.send_requests();
        while !self.has_ended {
            self.wait();
            self.turn();
        }
        self.leave();
    }

    /// Waits until there is something to do. If the process was stopped for so long meanwhile that
    /// others have given it up, its claims are stale: what they have sent before is not executed.
    fn wait(&mut self) {
        let timer = self.beat_at.into_iter().chain(self.look_at).min();
        if self.own_claims.is_empty() {
            return self.shared.queue.wait(timer);
        }
        let before = Instant::now();
        let look = before + self.lease / 4;
        self.shared
            .queue
            .wait(Some(timer.map_or(look, |timer| timer.min(look))));
        if before.elapsed() > self.lease / 4 * 3 {
            self.renew_claims();
        }
    }

    /// Does what there is to do, a limited part of it.
    fn turn(&mut self) {
        for key in self.shared.queue.take_keys() {
            self.on_key(key);
        }
        for _ in 0..wire::TURN {
            let Some(event) = self.shared.queue.pop() else {
                break;
            };
            self.on_event(event);
        }
        self.after_events();
        let now = Instant::now();
        if self.beat_at.is_some_and(|at| at <= now) {
            self.beat();
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_for_unacknowledged(now);
        }
    }

    fn on_key(&mut self, key: Key) {
        match key {
            Key::Announcements => self.announce(),
            Key::Outbox => self.send_messages(),
            Key::Servers => self.send_requests(),
            Key::Pending(number) => self.poll_pending(number),
            Key::Executing(from, number) => self.poll_executing((from, number)),
            Key::Queried(number) => self.poll_queried(number),
            Key::Leave => self.has_ended = true,
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Token { token, is_there } => self.on_token(token, is_there),
            Event::Told {
                from,
                told,
                payload,
            } => self.on_told(from, told, &payload),
            Event::Query(query) => self.on_query(&query),
        }
    }

    /// The subscriptions and claims of others may have changed.
    fn after_events(&mut self) {
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        if unconfirmed.is_empty() {
            return;
        }
        // Messages go to them from here on, and only then it is confirmed.
        self.source.on_subscription();
        self.send_messages();
        for (id, numbers) in unconfirmed {
            for numbers in numbers.chunks(wire::MAX_SEEN) {
                let numbers = numbers.to_vec();
                self.tell(id, &Tell::Seen { numbers }, &[]);
            }
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Sends what waits, ends all requests, and closes zenoh.
    pub(crate) fn leave(mut self) {
        self.announcements_end();
        self.send_all_messages();
        self.end_requests();
        let own = self.shared.own;
        let leaving = Token::Leaving { id: own }.key();
        let leaving = self.session.liveliness().declare_token(leaving).wait();
        self.own_subscriptions.clear();
        self.own_claims.clear();
        self.shared.queue.close();
        self.shared.participants.lock().clear();
        self.shared.progress.notify();
        drop(leaving);
        let _ = self.session.close().wait(); // an error if it was closed before
    }

    /// Takes all topics of others from this router.
    fn announcements_end(&mut self) {
        let remote: Vec<_> = self.known.values().flat_map(Known::topics).collect();
        for topic in remote {
            self.servers.remove(&topic);
        }
    }
}

/// The name of this host, or nothing.
fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().chars().take(64).collect()
}

/// Polls with a waker.
fn poll_with<T>(waker: &Waker, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(waker))
}
