//! The thread that reads a link in place of the loop. See [`leader`](super::super::leader).

use std::{
    io, mem,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    task::Wake as _,
    time::{Duration, Instant},
};

use ump_server::net::{AdaptiveSpin, Parker};

use super::Peer;

/// How long before its deadline a caller gives the reading back: it ends as others do.
const BEFORE_DEADLINE: Duration = Duration::from_millis(1);

/// How long a caller leads at most, before it waits as others do.
///
/// The request for which it leads can be that of another thread: if the loop takes and answers its
/// own one before it looks, and the other thread makes one meanwhile. So it may be late by this
/// time, and not by the time that the other request takes.
const LONGEST: Duration = Duration::from_millis(20);

/// A thread that waits again within this time waits at once.
const AT_ONCE: Duration = Duration::from_micros(50);

/// The lead of a link, in its connection. Dropping it wakes its thread, which then finds that it
/// has it no more.
pub(super) struct Lead {
    parker: Arc<Parker>,
    waits_for: WaitsFor,
    /// It was used since the loop has looked at it last, while it was held.
    is_used: bool,
}

/// What the thread that leads waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    /// Nothing: it is held for the next wait.
    Nothing,
    /// The reply to a request that is about to be sent, after so many others.
    Unsent(u64),
    Reply(u64),
    Request,
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.parker.wake_by_ref();
    }
}

/// The socket of a link for the threads that lead it.
#[derive(Debug)]
pub(super) struct LedSocket {
    socket: OwnedFd,
    /// How callers and servers wait for it.
    replies: AdaptiveSpin,
    requests: AdaptiveSpin,
}

impl LedSocket {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            replies: AdaptiveSpin::new(),
            requests: AdaptiveSpin::new(),
        }
    }
}

/// What a thread needs that has got the lead.
pub(in super::super) struct Leading {
    socket: Arc<LedSocket>,
    /// When it has to give the lead back. A server has no such time.
    pub(in super::super) until: Option<Instant>,
}

impl Leading {
    /// Waits until there is something to read, which returns true, or until the thread is to look
    /// whether it still has the lead.
    pub(in super::super) fn park(&self, parker: &Parker) -> io::Result<bool> {
        let socket = &self.socket;
        let spin = match self.until {
            Some(_) => &socket.replies,
            None => &socket.requests,
        };
        parker.park_adaptive(spin, socket.socket.as_fd(), self.until)
    }
}

/// Whether threads lead a link again at once after they have led it.
#[derive(Default)]
pub(super) struct Rhythm {
    ended: Option<Instant>,
    /// How many waits began at once, up to two.
    at_once: u8,
    /// A thread has begun to hold the lead.
    begins_to_hold: bool,
}

impl Rhythm {
    fn begins(&mut self) {
        let ended = self.ended.take();
        if ended.is_some_and(|ended| ended.elapsed() < AT_ONCE) {
            self.at_once = 2.min(self.at_once + 1);
        } else {
            self.at_once = 0;
        }
    }

    /// Returns whether to hold the lead for the next wait.
    fn ends(&mut self) -> bool {
        self.ended = Some(Instant::now());
        self.at_once == 2
    }
}

impl Peer {
    /// Gives the lead to the thread of the parker, which is about to send the only request, if
    /// nobody waits, and there is nothing to do but to read.
    pub(in super::super) fn reserve_lead(&mut self, parker: &Arc<Parker>) {
        let taken = self.requests.taken();
        self.begin_lead(parker, WaitsFor::Unsent(taken));
    }

    /// The thread has sent its request: it leads until the reply is there.
    pub(in super::super) fn lead_for_reply(&mut self, parker: &Arc<Parker>) -> Option<Leading> {
        let connection = self.connection.as_mut()?;
        let lead = connection.lead.as_mut()?;
        let WaitsFor::Unsent(taken) = lead.waits_for else {
            return None;
        };
        if !Arc::ptr_eq(&lead.parker, parker) {
            return None;
        }
        // One that another thread has made is not waited for.
        let found = self
            .requests
            .only_pending()
            .filter(|_| self.requests.took_one(taken));
        let now = Instant::now();
        let until = match found {
            Some((_, None)) => Some(now + LONGEST),
            Some((_, Some(deadline))) => {
                let until = deadline.checked_sub(BEFORE_DEADLINE);
                let until = until.map(|until| until.min(now + LONGEST));
                until.filter(|until| *until > now)
            }
            None => None,
        };
        let socket = connection.socket();
        let sent = found.map(|(request, _)| WaitsFor::Reply(request));
        if let (Some(sent), Some(until), Some(socket), Some(lead)) =
            (sent, until, socket, &mut connection.lead)
        {
            lead.waits_for = sent;
            let until = Some(until);
            return Some(Leading { socket, until });
        }
        connection.end_lead();
        None
    }

    /// Ends the lead of the thread, if it has sent nothing.
    pub(in super::super) fn end_reserved_lead(&mut self, parker: &Arc<Parker>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let is_reserved = |lead: &Lead| {
            Arc::ptr_eq(&lead.parker, parker) && matches!(lead.waits_for, WaitsFor::Unsent(_))
        };
        if connection.lead.as_ref().is_some_and(is_reserved) {
            connection.end_lead();
        }
    }

    /// Returns whether a thread may begin to lead: nobody waits, and there is nothing to do but to
    /// read.
    pub(in super::super) fn may_be_led(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            let lead = connection.lead.as_ref();
            connection.is_only_read() && lead.is_none_or(|it| it.waits_for == WaitsFor::Nothing)
        })
    }

    /// Gives the lead to the thread of the parker until it has a request.
    pub(in super::super) fn lead_for_requests(&mut self, parker: &Arc<Parker>) -> Option<Leading> {
        if !self.begin_lead(parker, WaitsFor::Request) {
            return None;
        }
        let connection = self.connection.as_mut()?;
        let Some(socket) = connection.socket() else {
            connection.end_lead();
            return None;
        };
        let until = None;
        Some(Leading { socket, until })
    }

    /// Begins the lead, or goes on with one that is held.
    fn begin_lead(&mut self, parker: &Arc<Parker>, waits_for: WaitsFor) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        if !connection.is_only_read() {
            return false;
        }
        match &mut connection.lead {
            Some(lead) if lead.waits_for != WaitsFor::Nothing => return false,
            Some(lead) => {
                lead.parker = Arc::clone(parker);
                lead.waits_for = waits_for;
                lead.is_used = true;
            }
            None => {
                connection.stream.suspend_events();
                connection.lead = Some(Lead {
                    parker: Arc::clone(parker),
                    waits_for,
                    is_used: true,
                });
            }
        }
        connection.rhythm.begins();
        true
    }

    /// Returns whether the thread of the parker waits for the socket.
    pub(in super::super) fn is_led_by(&self, parker: &Arc<Parker>) -> bool {
        let lead = self.connection.as_ref().and_then(|it| it.lead.as_ref());
        lead.is_some_and(|lead| {
            Arc::ptr_eq(&lead.parker, parker) && lead.waits_for != WaitsFor::Nothing
        })
    }

    /// The thread that leads waits no more. The lead ends, or it is held for the next wait.
    pub(in super::super) fn finish_lead(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        match &mut connection.lead {
            Some(lead) if connection.rhythm.ends() && self.requests.pending() == 0 => {
                lead.waits_for = WaitsFor::Nothing;
                lead.parker.wake_by_ref(); // if another thread has found its reply
                connection.rhythm.begins_to_hold = true;
            }
            _ => connection.end_lead(),
        }
    }

    /// Returns whether a lead is held since the last call.
    pub(in super::super) fn takes_to_hold(&mut self) -> bool {
        let connection = self.connection.as_mut();
        connection.is_some_and(|it| mem::take(&mut it.rhythm.begins_to_hold))
    }

    /// Ends a lead that is held and was not used since the last call. Returns whether one is held
    /// still.
    pub(in super::super) fn review_held_lead(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        match &mut connection.lead {
            Some(lead) if lead.waits_for == WaitsFor::Nothing => {
                let stays = mem::take(&mut lead.is_used);
                if !stays {
                    connection.end_lead();
                }
                stays
            }
            _ => false,
        }
    }

    /// Ends the lead if its thread has its reply, or if the loop has more to do than to read.
    pub(super) fn review_lead(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some(lead) = &connection.lead else {
            return;
        };
        match lead.waits_for {
            _ if !connection.is_only_read() => connection.end_lead(),
            WaitsFor::Reply(request) if !self.requests.is_pending(request) => self.finish_lead(),
            // It is of another thread, or of a task.
            WaitsFor::Nothing if self.requests.pending() > 0 => connection.end_lead(),
            _ => {}
        }
    }
}
