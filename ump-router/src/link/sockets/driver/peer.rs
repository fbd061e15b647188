//! One link: its connection, its session, and what both ends have told.

mod admission;
mod connection;
mod events;
mod lead;
mod replicas;
mod replicating;
mod standby;
mod state;
mod timing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ump_server::{TimerId, net::SocketId};

pub(super) use self::lead::Leading;
use self::{
    connection::{Connection, Opened},
    state::Phase,
    timing::FIRST_PAUSE,
};
use super::{
    LinkId, Reply, Shared,
    access::Access,
    calls::{Incoming, Requests},
    closing::{Waiting, tell_closed},
    dial::Target,
    interest::Interest,
    listeners::Accepted,
    random,
    relay::ForOthers,
    retained::{PeerView, Replication},
    stream::Stream,
    wake::Key,
};
use crate::{
    link::{
        session::{Config, Session, Timeouts, Traffic},
        sockets::{
            access::Permission, error::LinkFailure, limits::RetainedLimits, watch::StatePublisher,
        },
        wire::{FEATURE_REPLICATE, GoodbyeReason, Status},
    },
    topic::{Pattern, Topic},
};

/// Whether a link is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    No,
    ForGood,
}

pub(super) struct Peer {
    id: LinkId,
    name: Arc<str>,
    /// The address of a link that is made again.
    target: Option<Target>,
    connection: Option<Connection>,
    /// When to connect again, and the pause after the next failure.
    retry_at: Option<Instant>,
    pause: Duration,
    /// Those that wait until the link is open.
    openers: Vec<Waiting>,
    /// Those that wait until it is closed.
    closers: Vec<Waiting>,
    /// The peer has answered the goodbye of this end.
    is_acknowledged: bool,
    timeouts: Timeouts,
    /// The features that its sessions offer.
    features: u64,
    access: Access,
    last_failure: Option<LinkFailure>,
    /// Tells what a link does that is kept, and what was told last.
    state: Option<StatePublisher>,
    published: Option<Phase>,
    /// What earlier connections have received and sent.
    past: (Traffic, Traffic),
    /// The link for which this one stands by.
    twin: Option<LinkId>,
    /// The same with its name, also while it is looked whether that is still so.
    stands_by_for: Option<(LinkId, Arc<str>)>,
    /// The session has opened, or one that was open has ended, and the driver has not looked at it.
    has_opened: bool,
    has_ended: bool,
    interest: Interest,
    requests: Requests,
    pub(super) replication: Replication,
    retained_limits: RetainedLimits,
    /// What it has brought for other links.
    pub(super) for_others: ForOthers,
    timer: Option<(TimerId, Instant)>,
}

impl Peer {
    /// A link that is made again when it is lost.
    pub(super) fn kept(id: LinkId, name: Arc<str>, target: Target, state: StatePublisher) -> Self {
        let options = &target.options;
        let access = Access::new(Arc::new(options.rules.clone()));
        let mut peer = Self::new(id, name, (options.timeouts, options.features), access);
        peer.retained_limits = options.retained;
        peer.target = Some(target);
        peer.state = Some(state);
        peer
    }

    /// A link that was accepted.
    pub(super) fn accepted(
        shared: &Shared,
        id: LinkId,
        accepted: &Accepted,
        stream: Stream,
    ) -> Self {
        let access = Access::new(Arc::clone(&accepted.rules));
        let name = Arc::clone(&accepted.name);
        let mut peer = Self::new(id, name, (accepted.timeouts, accepted.features), access);
        peer.retained_limits = accepted.retained;
        peer.for_others = ForOthers::of_accepted();
        peer.connection = Some(Connection::new(stream, None));
        if accepted.refusal.is_none() {
            peer.begin(shared);
        } else if let Some(connection) = &mut peer.connection {
            connection.session = Some(new_session(shared, peer.timeouts, peer.features));
        }
        peer
    }

    fn new(
        id: LinkId,
        name: Arc<str>,
        (timeouts, features): (Timeouts, u64),
        access: Access,
    ) -> Self {
        let interest = Interest::new(&name);
        Self {
            id,
            name,
            target: None,
            connection: None,
            retry_at: None,
            pause: FIRST_PAUSE,
            openers: Vec::new(),
            closers: Vec::new(),
            is_acknowledged: false,
            timeouts,
            features,
            access,
            last_failure: None,
            state: None,
            published: None,
            past: Default::default(),
            twin: None,
            stands_by_for: None,
            has_opened: false,
            has_ended: false,
            interest,
            requests: Requests::default(),
            replication: Replication::default(),
            retained_limits: RetainedLimits::default(),
            for_others: ForOthers::default(),
            timer: None,
        }
    }

    /// Returns the address to connect to, if the link is kept.
    pub(super) fn target(&mut self) -> Option<&mut Target> {
        self.target.as_mut()
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn socket(&self) -> Option<SocketId> {
        self.connection.as_ref().map(|it| it.stream.id())
    }

    /// Returns whether no request of this process waits for its outcome.
    pub(super) fn has_none_pending(&self) -> bool {
        self.requests.pending() == 0
    }

    /// Returns whether there is one request of the peer.
    pub(super) fn has_one_local(&self) -> bool {
        self.requests.local() == 1
    }

    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.connection.as_mut()?.session.as_mut()
    }

    pub(super) fn connecting(&mut self, stream: Stream) {
        self.twin = None;
        self.connection = Some(Connection::new(stream, None));
    }

    pub(super) fn connected(&mut self, shared: &Shared) {
        if let Some(target) = &mut self.target {
            target.connected();
        }
        self.begin(shared);
    }

    pub(super) fn await_open(&mut self, opener: Waiting) {
        if self.connection.as_ref().is_some_and(Connection::is_ready) {
            let _ = opener.reply(Reply::Done); // an error if the caller is gone
        } else {
            self.openers.retain(|opener| !opener.is_cancelled());
            self.openers.push(opener);
        }
    }

    /// Returns those that wait until the link is open.
    pub(super) fn take_openers(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.openers)
    }

    /// Notes a caller that waits until the link is closed.
    pub(super) fn await_closed(&mut self, closer: Waiting) {
        self.closers.push(closer);
    }

    /// The link is over: tells those that wait for it. Returns whether the peer has all that was
    /// sent.
    pub(super) fn finish(self, shared: &Shared) -> bool {
        if let Some((timer, _)) = self.timer {
            shared.timers.cancel(timer);
        }
        drop(self.state); // before they look
        for closer in self.closers {
            tell_closed(closer, self.is_acknowledged);
        }
        self.is_acknowledged
    }

    /// Closes the link for good.
    pub(super) fn close(&mut self, shared: &Shared) {
        self.target = None;
        self.retry_at = None;
        self.send_all(shared);
        match self.session() {
            Some(session) => session.close(shared.clock.now(), GoodbyeReason::Done, ""),
            None => self.connection = None,
        }
    }

    /// The connection ended, or was not made.
    pub(super) fn disconnected(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        match self.session() {
            Some(session) => session.disconnected(now),
            None => self.connection = None,
        }
    }

    /// Returns whether claims of the peer stand by here. One may serve by now.
    pub(super) fn has_standbys(&self) -> bool {
        self.requests.has_standbys()
    }

    /// The link is lost for good.
    pub(super) fn lose(&mut self, shared: &Shared) {
        self.target = None;
        self.retry_at = None;
        self.disconnected(shared);
    }

    pub(super) fn look_at_interest(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.is_untold = true;
        }
    }

    /// Returns whether the peer may be told a name, for which it needs a permission.
    pub(super) fn may_be_told(&self, permission: Permission, name: &Pattern) -> bool {
        self.access.may_within(permission, name)
    }

    pub(super) fn forget_claim(&mut self, claim: u32) {
        self.requests.on_leave(claim);
    }

    pub(super) fn carried_more(&mut self, shared: &Shared) {
        self.interest.carried_more(shared);
        self.requests.carried_more(shared, &self.name);
        self.look_at_interest();
    }

    pub(super) fn on_woken(&mut self, _: &Shared, key: Key) {
        let session = self.connection.as_mut().and_then(|it| it.session.as_mut());
        match (key, session) {
            (Key::Outbox(_, nth), _) => self.interest.outbox_woken(nth),
            (Key::Calls(_, nth), _) => self.requests.calls_woken(nth),
            (Key::Pending(_, slot), Some(session)) => self.requests.poll_pending(session, slot),
            (Key::Local(_, slot), Some(session)) => self.requests.poll_local(session, slot),
            _ => {}
        }
    }

    /// The loop has looked at its sockets.
    pub(super) fn begin_turn(&mut self, _: &Shared) {
        if let Some(connection) = &mut self.connection {
            connection.awaits_turn = false;
        }
    }

    /// Returns whether messages of this process may be sent: the link is used, and its owner has
    /// room.
    fn may_send(&mut self) -> bool {
        let has_room = self.has_queue_room();
        let Some(connection) = &self.connection else {
            return false;
        };
        let (Some(session), Some(Opened { is_used: true, .. })) =
            (&connection.session, &connection.opened)
        else {
            return false;
        };
        // A link where nothing waits goes on, as nothing would wake it later.
        let is_idle = session.unsent() == 0 && self.access.max_queued_bytes() > 0;
        (is_idle || has_room) && !connection.awaits_turn
    }

    /// Does what there is to do: events, messages and requests to be sent, and writing.
    pub(super) fn pump(&mut self, shared: &Shared) -> Ends {
        loop {
            self.handle_events(shared);
            self.interest.refresh_outboxes(shared);
            self.tell(shared);
            // A subscription receives first what is retained, up to where its messages begin.
            let may_send = self.may_send() && !self.replication.awaits_feed();
            if let Some(connection) = &mut self.connection {
                // Not before it is decided whether the link is used: nothing was told until then,
                // and subscriptions are to be told before requests.
                let opened = connection.opened.as_ref().filter(|it| it.is_used);
                if let (Some(session), Some(Opened { max_pending, .. })) =
                    (&mut connection.session, opened)
                {
                    let replication = &mut self.replication;
                    let to = (self.id, &self.access);
                    let has_sent = may_send && self.interest.send(shared, session, replication, to);
                    if may_send {
                        let peer = PeerView {
                            link: self.id,
                            has_ready_for: &|topic: &Topic| self.interest.has_ready_for(topic),
                            has_more_of: &|nth| self.interest.has_more_of(nth),
                            access: &self.access,
                            is_accepted: self.for_others.is_accepted(),
                        };
                        replication.send(shared, session, peer);
                    }
                    self.requests.send(shared, session, self.id, *max_pending);
                    if has_sent {
                        connection.await_turn();
                    }
                }
            }
            self.tell_before_writing(shared);
            if let Some(connection) = &mut self.connection {
                connection.write(shared.clock.now());
            }
            // What was held up may have room now, and no event tells of it.
            let may_send = self.may_send();
            if let Some(connection) = self.connection.as_mut().filter(|_| may_send) {
                let session = connection.session.as_ref();
                if session.is_some_and(|session| {
                    self.interest.has_more_for(session)
                        || self.replication.has_more_for(shared, session)
                }) {
                    connection.await_turn();
                }
            }
            self.end_broken(shared);
            if !self.handle_events(shared) {
                break;
            }
        }
        let session = self.connection.as_ref().and_then(|it| it.session.as_ref());
        if let Some(session) = session.filter(|session| session.is_finished()) {
            self.is_acknowledged = session.is_acknowledged();
            self.past.0 += session.received_so_far();
            self.past.1 += session.sent_so_far();
            self.connection = None;
        }
        self.review_lead();
        self.count_all();
        let may_retry = self.target.as_ref().is_some_and(|it| !it.is_resolving());
        if self.connection.is_none() && may_retry && self.retry_at.is_none() {
            self.retry(shared);
        }
        self.arm(shared);
        if self.connection.is_none() && self.target.is_none() {
            Ends::ForGood
        } else {
            Ends::No
        }
    }

    /// Tells the peer what has changed in this process before the requests, replies and messages
    /// that are about to be written were made. (Control frames go first.)
    fn tell_before_writing(&mut self, shared: &Shared) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let session = connection.session.as_ref();
        if session.is_some_and(|session| session.unsent() > 0) && shared.local.has_changed() {
            shared.note_changes();
            connection.is_untold = true;
            self.tell(shared);
        }
    }

    /// Tells the peer what has changed in this process.
    fn tell(&mut self, shared: &Shared) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(session) = &mut connection.session else {
            return;
        };
        let is_used = connection.opened.as_ref().is_some_and(|it| it.is_used);
        let may_tell = connection.is_untold
            || self.interest.may_tell_more(session)
            || self.requests.may_tell_more(session);
        if !may_tell || !is_used {
            return;
        }
        self.requests.tell_takeovers(session);
        let (mut patterns, mut topics) = (Vec::new(), Vec::new());
        let told = self
            .interest
            .tell(shared, session, &self.access, &mut patterns)
            && self.requests.tell(shared, session, &mut topics)
            && self.for_others.is_told();
        connection.is_untold = !told;
        if told && !connection.synced.here {
            connection.synced.here = session.synced().is_ok();
        }
        let refused = |permission, name: &Pattern| {
            let text = "the peer has no room for more".to_owned();
            self.refused(shared, permission, name, (Status::Quota, text));
        };
        for name in &patterns {
            refused(Permission::Subscribe, name);
        }
        for name in &topics {
            refused(Permission::Serve, name);
        }
    }

    /// Handles all events of the session. Returns whether there was one.
    fn handle_events(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        while let Some(event) = self.session().and_then(Session::poll_event) {
            any = true;
            self.on_event(shared, event);
        }
        any
    }
}

fn new_session(shared: &Shared, timeouts: Timeouts, features: u64) -> Session {
    let config = Config {
        router: shared.router,
        name: shared.program.clone(),
        timeouts,
        features: features | FEATURE_REPLICATE,
        ..Config::default()
    };
    Session::new(shared.clock.now(), config)
}
