//! Threads that read a link by themselves while they block.
//!
//! A thread that blocks for what a link brings, its reply or the next request, waits for the socket
//! of the link in place of the loop: it *leads* the link, and reads for all. So the data wakes the
//! thread that needs it, where otherwise it wakes the loop, which wakes the thread. (Leader and
//! followers, after Schmidt et al., "Leader/Followers", Pattern Languages of Programs, 2000. The
//! followers are all others that wait for this link, and the loop is the next leader.)
//!
//! - A **caller** leads from when its request is written until its outcome is there, for 20 ms at
//!   most, if no other request is pending on the link.
//! - A **server** leads the link that has brought its last two requests, from when it has nothing
//!   to do until it has a request, whoever makes it.
//!
//! A thread that leads stays awake for a moment before it sleeps, as long as that pays off: to be
//! woken takes longer than most replies. Callers and servers of a link learn this apart
//! ([`AdaptiveSpin`](ump_server::net::AdaptiveSpin)).
//!
//! Taking the socket out of the selector and putting it back costs two system calls. A thread that
//! has waited again at once after its last two waits *holds* the lead instead, until its next wait.
//! In the meantime nobody reads the link: what else it brings comes up to 2 ms later, when the loop
//! finds that the lead was not used. If anybody else makes a request, the lead ends at once.
//!
//! ```text
//!            begin_lead (the socket leaves the selector)
//!   the loop ───────────────────────────▶ a thread: park ─▶ lock ─▶ read, and do all that follows
//!     reads  ◀───────────────────────────            ▲                  │
//!            end_lead (it is back there)             └──────────────────┘
//!                                            finish_lead: end_lead, or held
//! ```
//!
//! # Invariants
//!
//! 1. A link has one leader at most. It is noted in the connection, under the lock of the links,
//!    and only under that lock it changes. While there is one, the selector does not know the
//!    socket; so one thread is woken for its data.
//! 2. The lead ends when the thread gives it back, when its reply is there, when something is to be
//!    written that has no room (the selector tells when there is), and with the connection. Whoever
//!    ends it wakes the thread, which looks under the lock whether it has it still. So no thread
//!    waits for a socket that brings it nothing.
//!
//!    A lead that is held is in `HeldLeads`, and then the loop has a timer.
//! 3. What the loop does besides reading it goes on doing: commands, deadlines, other links.
//! 4. A thread that leads holds a duplicate of the socket's descriptor, so it never waits for
//!    another file of the same number.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use ump::hooks::LoopView;
use ump_server::net::Parker;

use super::{
    Driver, LinkId,
    lock::Links,
    peer::{Leading, Peer},
    thread_state::{self, parker},
};

/// How long a lead is held without being used; twice as long at most.
const HOLD: Duration = Duration::from_millis(1);

/// The links that some thread leads, without waiting for them.
#[derive(Default)]
pub(super) struct HeldLeads {
    links: BTreeSet<LinkId>,
    has_timer: bool,
}

impl HeldLeads {
    /// No link has it.
    pub(super) const TIMER: LinkId = LinkId(0);
}

/// A thread that leads a link.
pub(super) struct Leader {
    id: LinkId,
    parker: Arc<Parker>,
    leading: Leading,
}

impl Leader {
    /// Begins to lead, sends the only request, and goes on until its reply.
    ///
    /// The socket leaves the selector before the request is written, so that a quick reply does not
    /// wake the loop.
    pub(super) fn for_reply(
        driver: &mut Driver,
        id: LinkId,
        send: impl FnOnce(&mut Driver),
    ) -> Option<Self> {
        let Some(parker) = driver.may_be_led(id).then(parker).flatten() else {
            send(driver);
            return None;
        };
        let reserved = Reserved::new(driver, id, &parker);
        send(reserved.driver);
        let leading = reserved.lead()?;
        Some(Self {
            id,
            parker,
            leading,
        })
    }

    /// Begins to lead until a server has a request.
    fn for_request(driver: &mut Driver, id: LinkId, parker: &Arc<Parker>) -> Option<Self> {
        if !driver.shared.clock.is_system() {
            return None;
        }
        let leading = driver.links.get_mut(&id)?.lead_for_requests(parker)?;
        let parker = Arc::clone(parker);
        Some(Self {
            id,
            parker,
            leading,
        })
    }

    /// Leads until the lead ends.
    pub(super) fn lead(&self, links: &Links) {
        let _finish = FinishLead(self, links);
        while self.turn(links).is_continue() {}
    }

    /// Waits for data, and reads it. Breaks if the lead has ended.
    fn turn(&self, links: &Links) -> ControlFlow<()> {
        let parked = self.leading.park(&self.parker);
        let is_over = self
            .leading
            .until
            .is_some_and(|until| until <= Instant::now());
        let mut driver = links.lock();
        if !driver.is_led_by(self) {
            return ControlFlow::Break(());
        }
        match parked {
            _ if is_over => driver.finish_lead(self),
            Ok(true) => driver.read_now(self.id),
            Ok(false) => {}
            Err(_) => driver.finish_lead(self),
        }
        if driver.is_led_by(self) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// A link whose lead a thread has got, which is about to send a request.
struct Reserved<'a> {
    driver: &'a mut Driver,
    id: LinkId,
    parker: &'a Arc<Parker>,
}

impl<'a> Reserved<'a> {
    fn new(driver: &'a mut Driver, id: LinkId, parker: &'a Arc<Parker>) -> Self {
        if let Some(peer) = driver.links.get_mut(&id) {
            peer.reserve_lead(parker);
        }
        Self { driver, id, parker }
    }

    fn lead(self) -> Option<Leading> {
        let peer = self.driver.links.get_mut(&self.id)?;
        peer.lead_for_reply(self.parker)
    }
}

/// Ends the lead if nothing was sent, also by a panic.
impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(peer) = self.driver.links.get_mut(&self.id) {
            peer.end_reserved_lead(self.parker);
        }
    }
}

/// Ends the wait for the socket in any case.
struct FinishLead<'a>(&'a Leader, &'a Links);

impl Drop for FinishLead<'_> {
    fn drop(&mut self) {
        self.1.lock().finish_lead(self.0);
    }
}

/// Blocks until a server has a request. It leads the link that has asked it before.
pub(crate) fn wait_for_request<S, R, E>(
    server: &ump::Server<S, R, E>,
) -> Result<(S, ump::ReplyContext<R, E>), ump::Error<E>> {
    let Some((links, id)) = thread_state::expected() else {
        return server.wait();
    };
    let Some(parker) = parker() else {
        return server.wait();
    };
    let mut requests = LoopView::new(server).requests();
    let waker = Waker::from(Arc::clone(&parker));
    if let Some(request) = requests.take_or_register(&waker, false)? {
        return Ok(request);
    }
    let driver = links.try_lock();
    let leader = driver.and_then(|mut driver| Leader::for_request(&mut driver, id, &parker));
    let Some(leader) = leader else {
        // As other receivers do, the thread stays awake for a moment.
        drop(requests);
        drop(links);
        return server.wait();
    };
    {
        let _finish = FinishLead(&leader, &links);
        loop {
            let has_ended = leader.turn(&links).is_break();
            if let Some(request) = requests.take_or_register(&waker, false)? {
                return Ok(request);
            }
            if has_ended {
                break;
            }
        }
    }
    // It keeps its place among those that wait, and nothing of the links.
    drop(links);
    loop {
        parker.park_alone();
        if let Some(request) = requests.take_or_register(&waker, false)? {
            return Ok(request);
        }
    }
}

impl Driver {
    fn is_led_by(&self, leader: &Leader) -> bool {
        let peer = self.links.get(&leader.id);
        peer.is_some_and(|peer| peer.is_led_by(&leader.parker))
    }

    /// Returns whether a thread may begin to lead a link now. By a virtual clock the wait would
    /// have no end.
    fn may_be_led(&self, id: LinkId) -> bool {
        let peer = self.links.get(&id);
        self.shared.clock.is_system() && peer.is_some_and(Peer::may_be_led)
    }

    /// The thread waits no more, if it has waited until now.
    fn finish_lead(&mut self, leader: &Leader) {
        let peer = self.links.get_mut(&leader.id);
        let Some(peer) = peer.filter(|peer| peer.is_led_by(&leader.parker)) else {
            return;
        };
        peer.finish_lead();
        if peer.takes_to_hold() {
            self.note_held_lead(leader.id);
        }
    }

    /// A thread holds the lead of a link. The loop looks after it.
    pub(super) fn note_held_lead(&mut self, id: LinkId) {
        self.held_leads.links.insert(id);
        if !std::mem::replace(&mut self.held_leads.has_timer, true) {
            let at = self.shared.clock.now() + HOLD;
            self.shared.timers.at(at, HeldLeads::TIMER);
        }
    }

    /// Ends the leads that are held and were not used for a time.
    pub(super) fn review_held_leads(&mut self) {
        let links = &mut self.links;
        let held = &mut self.held_leads.links;
        held.retain(|id| links.get_mut(id).is_some_and(Peer::review_held_lead));
        self.held_leads.has_timer = !held.is_empty();
        if self.held_leads.has_timer {
            let at = self.shared.clock.now() + HOLD;
            self.shared.timers.at(at, HeldLeads::TIMER);
        }
    }

    /// Reads what has come by a link, and does what follows.
    fn read_now(&mut self, id: LinkId) {
        self.act(id, |peer, shared| {
            peer.look(shared);
        });
    }
}
